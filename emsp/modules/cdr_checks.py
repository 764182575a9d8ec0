"""Price a CDR again that arrived and keep the verdict beside it; the CDR itself is never touched (PRI-98)."""

from __future__ import annotations

import json

from django.utils import timezone

from emsp.models import CDR, Location, Tariff
from ocpi import documents, keeping, tariff_pricing
from ocpi.headers import Address


def check(cdr: CDR) -> tariff_pricing.Check:
    """Compare what a CDR claims with what its tariffs make of it, and store the verdict."""
    document = tariff_pricing.loads(cdr.document)
    result = tariff_pricing.check(document, _published(cdr), timezone=_time_zone(cdr))
    computed = result.computed.total_cost.excl_vat if result.computed is not None else None
    CDR.objects.filter(pk=cdr.pk).update(
        verdict=result.verdict,
        computed_cost="" if computed is None else str(computed),
        check_result=json.dumps(result.as_json()),
        checked_at=timezone.now(),
    )
    return result


def check_waiting(limit: int = 100) -> int:
    """Check CDRs nobody has checked yet: what a lost wake-up left behind. Return how many."""
    waiting = CDR.objects.filter(verdict="").order_by("id")[:limit]
    for cdr in waiting:
        check(cdr)
    return len(waiting)


def _published(cdr: CDR) -> list[dict[str, object]]:
    """Return the CPO's Tariffs as we know them, deleted ones included: old CDRs still refer to them (PRI-96)."""
    stored = Tariff.objects.filter(country_code__iexact=cdr.country_code, party_id__iexact=cdr.party_id)
    return [tariff_pricing.loads(text) for text in stored.order_by("id").values_list("document", flat=True)]


def _time_zone(cdr: CDR) -> str | None:
    """Return the time zone of the Location we know under the CDR's location id (PRI-03)."""
    location_id = (documents.get(cdr.document, "cdr_location") or {}).get("id")
    owner = Address(cdr.country_code, cdr.party_id)
    location = keeping.find(Location, owner=owner, object_id=location_id) if location_id else None
    return documents.get(location.document, "time_zone") if location is not None else None
