"""What a CDR refers to, held against what we know: odd references are noted beside it, never refused (QRK-29)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emsp.models import CDR, EVSE, Authorization, Location, Session, Token
from ocpi import defects, documents, keeping, normal_ids
from ocpi.headers import Address

_NOT_AVAILABLE = "#NA"
_COUNTED = {
    "location_unknown": "QRK-29 CDR for an unknown Location",
    "evse_unknown": "QRK-29 CDR for an unknown EVSE",
    "evse_id_differs": "QRK-19 evse_id of a CDR differs from the EVSE's",
    "contract_id_differs": "QRK-19 contract_id of a CDR differs from the Token's",
    "authorization_unknown": "QRK-29 authorization_reference of nobody",
}


def flags(cdr: CDR, document: dict[str, Any]) -> list[str]:
    """Return what is odd in the references of a CDR; at its first check it is counted for its platform."""
    owner = Address(cdr.country_code, cdr.party_id)
    found = [*_place(owner, document.get("cdr_location") or {}), *_driver(document)]
    if (
        not cdr.credit_reference_id
        and keeping.find(Session, owner=owner, object_id=cdr.session_id or cdr.object_id) is None
    ):
        found.append("session_unknown")  # counted when it came
    if cdr.checked_at is None:
        for flag in found:
            if flag in _COUNTED:
                defects.note(cdr.platform_id, _COUNTED[flag], f"POST CDR {cdr.object_id}")
    return found


def _place(owner: Address, place: dict[str, Any]) -> Iterator[str]:
    location = keeping.find(Location, owner=owner, object_id=str(place.get("id")))
    if location is None:
        yield "location_unknown"
        return
    evse_uid = str(place.get("evse_uid"))
    evse = EVSE.objects.filter(location=location, uid__iexact=evse_uid).first()
    if evse is None:
        if evse_uid != _NOT_AVAILABLE:
            yield "evse_unknown"
        return
    known, given = documents.get(evse.document, "evse_id"), str(place.get("evse_id"))
    if known and given != _NOT_AVAILABLE and not normal_ids.same_evse_id(known, given):
        yield "evse_id_differs"


def _driver(document: dict[str, Any]) -> Iterator[str]:
    named = document["cdr_token"]
    owner = Address(named["country_code"], named["party_id"])
    token = keeping.find(Token, owner=owner, object_id=named["uid"], type=named["type"])
    if token is None:
        yield "token_unknown"
    elif not normal_ids.same_contract_id(token.contract_id, named["contract_id"]):
        yield "contract_id_differs"
    reference = document.get("authorization_reference")
    if document.get("auth_method") == "AUTH_REQUEST" and reference:
        if not Authorization.objects.filter(reference__iexact=reference).exists():
            yield "authorization_unknown"
    elif document.get("auth_method") != "WHITELIST" and not reference:
        yield "authorization_reference_missing"  # counted when it came
