"""What a CPO knows around its own CDRs: it reads them with the eyes of those who pay before they complain."""

from __future__ import annotations

from typing import Any

from cpo.models import CDR, EVSE, Location, Session
from ocpi import keeping, meter_keys, tariff_pricing
from ocpi.cdr_firewall import Facts
from ocpi.cdr_firewall.reading import part
from ocpi.cdr_reviews import Known
from ocpi.headers import Address
from ocpi.models import CdrReview


def find(row: CdrReview) -> str | None:
    """Return the CDR of ours that a review is about."""
    cdr = keeping.find(CDR, owner=Address(row.country_code, row.party_id), object_id=row.cdr_id)
    return None if cdr is None else cdr.document


def collect(cdr: dict[str, Any], known: Known) -> Facts:
    """Return what is known around a CDR. Its Tariffs are those it carries: they were fixed at the start (CDR-19)."""
    owner = Address(str(cdr.get("country_code")), str(cdr.get("party_id")))
    session_id, reference = cdr.get("session_id"), cdr.get("credit_reference_id")
    session = keeping.find(Session, owner=owner, object_id=str(session_id)) if session_id else None
    location = _location(owner, cdr.get("cdr_location"))
    original = keeping.find(CDR, owner=owner, object_id=str(reference)) if reference else None
    return Facts(
        received_at=known.received_at,
        neighbours=known.neighbours,
        other_content=known.other_content,
        credited_before=known.credited_before,
        time_zone=location.get("time_zone") if location else None,
        session=tariff_pricing.loads(session.document) if session is not None else None,
        sessions_known=bool(session_id),
        location=location,
        locations_known=location is not None,
        original=tariff_pricing.loads(original.document) if original is not None else None,
        signed=meter_keys.proof(owner, cdr.get("signed_data")),
    )


def _location(owner: Address, place: object) -> dict[str, Any] | None:
    location = keeping.find(Location, owner=owner, object_id=str(part(place, "id") or ""))
    if location is None:
        return None
    evse = EVSE.objects.filter(location=location, uid__iexact=str(part(place, "evse_uid"))).first()
    evses = [tariff_pricing.loads(evse.document)] if evse is not None else []
    return {"id": location.object_id, "time_zone": location.time_zone, "evses": evses}
