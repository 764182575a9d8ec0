"""What an eMSP knows around a CDR: its drivers' Tokens and authorizations, and what the CPO has told of the rest."""

from __future__ import annotations

from typing import Any

from emsp.models import CDR, EVSE, Authorization, Location, Session, Tariff, Token
from ocpi import documents, keeping, meter_keys, tariff_pricing
from ocpi.cdr_firewall import Authorized, Facts
from ocpi.cdr_firewall.reading import part
from ocpi.cdr_reviews import Known
from ocpi.headers import Address
from ocpi.models import CdrReview


def find(row: CdrReview) -> str | None:
    """Return the CDR that a review is about."""
    cdr = keeping.find(CDR, owner=Address(row.country_code, row.party_id), object_id=row.cdr_id)
    return None if cdr is None else cdr.document


def collect(cdr: dict[str, Any], known: Known) -> Facts:
    """Return what is known around a CDR."""
    owner = Address(str(cdr.get("country_code")), str(cdr.get("party_id")))
    location = _location(owner, cdr.get("cdr_location"))
    session_id = str(cdr.get("session_id") or cdr.get("id"))
    session = keeping.find(Session, owner=owner, object_id=session_id)
    return Facts(
        received_at=known.received_at,
        neighbours=known.neighbours,
        other_content=known.other_content,
        credited_before=known.credited_before,
        tariffs=published(owner, cdr),
        time_zone=location.get("time_zone") if location else None,
        session=tariff_pricing.loads(session.document) if session is not None else None,
        sessions_known=True,
        token=_token(cdr.get("cdr_token")),
        tokens_known=True,
        location=location,
        locations_known=True,
        authorization=_authorization(cdr.get("authorization_reference")),
        authorizations_known=True,
        original=_original(owner, cdr.get("credit_reference_id")),
        signed=meter_keys.proof(owner, cdr.get("signed_data")),
    )


def published(owner: Address, cdr: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the CDR's Tariffs as we know them, deleted ones included: old CDRs still refer to them (PRI-96)."""
    named = [each.get("tariff_id") for each in cdr.get("charging_periods") or ()]
    named += [each.get("id") for each in cdr.get("tariffs") or ()]
    spelled = {tariff_id.upper(): tariff_id for tariff_id in named if isinstance(tariff_id, str)}
    found = [keeping.find(Tariff, owner=owner, object_id=tariff_id) for tariff_id in spelled.values()]
    return [tariff_pricing.loads(tariff.document) for tariff in found if tariff is not None]


def _location(owner: Address, place: object) -> dict[str, Any] | None:
    location_id, evse_uid = str(part(place, "id") or ""), str(part(place, "evse_uid") or "")
    location = keeping.find(Location, owner=owner, object_id=location_id) if location_id else None
    if location is None:
        return None
    evse = EVSE.objects.filter(location=location, uid__iexact=evse_uid).first()
    evses = [tariff_pricing.loads(evse.document)] if evse is not None else []
    return {"id": location.object_id, "time_zone": documents.get(location.document, "time_zone"), "evses": evses}


def _token(named: object) -> dict[str, Any] | None:
    owner = Address(str(part(named, "country_code")), str(part(named, "party_id")))
    uid, kind = str(part(named, "uid") or ""), str(part(named, "type") or "")
    token = keeping.find(Token, owner=owner, object_id=uid, type=kind)
    return None if token is None else tariff_pricing.loads(token.document)


def _authorization(reference: object) -> Authorized | None:
    if not isinstance(reference, str) or not reference:
        return None
    found = Authorization.objects.select_related("token").filter(reference__iexact=reference).first()
    return None if found is None else Authorized(found.token.uid, found.at)


def _original(owner: Address, reference: object) -> dict[str, Any] | None:
    if not isinstance(reference, str) or not reference:
        return None
    original = keeping.find(CDR, owner=owner, object_id=reference)
    return None if original is None else tariff_pricing.loads(original.document)
