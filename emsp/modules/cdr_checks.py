"""Price a CDR again that arrived and keep the verdict beside it; the CDR itself is never touched (PRI-98)."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.utils import timezone

from emsp.models import CDR, Location, Tariff
from emsp.modules import cdr_references
from ocpi import documents, keeping, tariff_pricing
from ocpi.headers import Address

log = logging.getLogger(__name__)


def check(cdr: CDR) -> tariff_pricing.Check:
    """Compare what a CDR claims with what its tariffs make of it, and store the verdict."""
    document = tariff_pricing.loads(cdr.document)
    result = tariff_pricing.check(document, _published(cdr, document), timezone=_time_zone(cdr))
    shown = result.as_json()
    if document.get("credit"):
        shown["credit"] = _credit_flags(cdr, document)
    if odd := cdr_references.flags(cdr, document):
        shown["references"] = odd
    computed = result.computed.total_cost.excl_vat if result.computed is not None else None
    CDR.objects.filter(pk=cdr.pk).update(
        verdict=result.verdict,
        computed_cost="" if computed is None else str(computed),
        check_result=json.dumps(shown),
        checked_at=timezone.now(),
    )
    return result


def check_waiting(limit: int = 100) -> int:
    """Check CDRs nobody has checked yet: what a lost wake-up left behind. Return how many."""
    waiting = CDR.objects.filter(verdict="").order_by("id")[:limit]
    for cdr in waiting:
        try:
            check(cdr)
        except Exception:  # one CDR that nobody can read must not keep the others waiting
            log.exception("CDR %s could not be checked", cdr)
            CDR.objects.filter(pk=cdr.pk).update(
                verdict=CDR.Verdict.UNVERIFIABLE,
                check_result=json.dumps({"verdict": "unverifiable", "reason": "internal_error"}),
                checked_at=timezone.now(),
            )
    return len(waiting)


def _published(cdr: CDR, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the CDR's Tariffs as we know them, deleted ones included: old CDRs still refer to them (PRI-96)."""
    named = [each.get("tariff_id") for each in document.get("charging_periods") or ()]
    named += [each.get("id") for each in document.get("tariffs") or ()]
    owner = Address(cdr.country_code, cdr.party_id)
    spelled = {tariff_id.upper(): tariff_id for tariff_id in named if isinstance(tariff_id, str)}
    found = [keeping.find(Tariff, owner=owner, object_id=tariff_id) for tariff_id in spelled.values()]
    return [tariff_pricing.loads(tariff.document) for tariff in found if tariff is not None]


def _credit_flags(cdr: CDR, document: dict[str, Any]) -> list[str]:
    """Return what is odd in a Credit CDR; it is kept all the same (CDR-21, CDR-26)."""
    owner, reference = Address(cdr.country_code, cdr.party_id), str(document.get("credit_reference_id"))
    original = keeping.find(CDR, owner=owner, object_id=reference)
    if original is None:
        return ["original_unknown"]
    flags = []
    others = CDR.objects.filter(
        country_code__iexact=owner.country_code, party_id__iexact=owner.party_id, credit_reference_id__iexact=reference
    )
    if others.exclude(pk=cdr.pk).filter(pk__lt=cdr.pk).exists():
        flags.append("credited_before")
    try:
        different = tariff_pricing.credit_differences(document, tariff_pricing.loads(original.document))
    except tariff_pricing.NotPriceable as error:
        return [*flags, error.code]
    return flags + [f"differs_from_original: {name}" for name in different]


def _time_zone(cdr: CDR) -> str | None:
    """Return the time zone of the Location we know under the CDR's location id (PRI-03)."""
    location_id = (documents.get(cdr.document, "cdr_location") or {}).get("id")
    owner = Address(cdr.country_code, cdr.party_id)
    location = keeping.find(Location, owner=owner, object_id=location_id) if location_id else None
    return documents.get(location.document, "time_zone") if location is not None else None
