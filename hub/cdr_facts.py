"""What a hub knows around a CDR that passed: what else passed between the two parties, and what they have agreed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

from hub import known_objects, permissions
from ocpi import documents, meter_keys, snapshot, tariff_pricing
from ocpi.cdr_firewall import Agreement, Facts
from ocpi.cdr_firewall.reading import moment, part
from ocpi.cdr_reviews import Known
from ocpi.headers import Address
from ocpi.models import CdrReview

# The receiver's own version of an object, else the one that all were sent; deleted ones still explain old CDRs.
_DOCUMENT = """
SELECT document FROM hub_sharedobject
WHERE module = %s AND UPPER(country_code) = %s AND UPPER(party_id) = %s AND UPPER(path) = UPPER(%s) AND kind = %s
    AND receiver IN ('', %s)
ORDER BY receiver DESC LIMIT 1
"""
_ANY = """
SELECT EXISTS (SELECT FROM hub_sharedobject WHERE module = %s AND UPPER(country_code) = %s AND UPPER(party_id) = %s)
"""


def find(row: CdrReview) -> str | None:
    """Return the CDR that a review is about."""
    owner, emsp = Address(row.country_code, row.party_id), Address(row.emsp_country_code, row.emsp_party_id)
    return _Kept(owner, emsp).text("cdrs", row.cdr_id)


def collect(cdr: dict[str, Any], known: Known) -> Facts:
    """Return what is known around a CDR. Of what a party never sends through us nothing is missed."""
    driver, place = cdr.get("cdr_token"), cdr.get("cdr_location")
    owner = Address(str(cdr.get("country_code")), str(cdr.get("party_id")))
    emsp = Address(str(part(driver, "country_code")), str(part(driver, "party_id")))
    kept, drivers = _Kept(owner, emsp), _Kept(emsp, owner)
    location = kept.location(str(part(place, "id") or ""), str(part(place, "evse_uid") or ""))
    session = kept.read("sessions", str(cdr.get("session_id") or cdr.get("id")))
    token = drivers.read("tokens", str(part(driver, "uid") or ""), kind=str(part(driver, "type") or ""))
    reference = cdr.get("credit_reference_id")
    return Facts(
        received_at=known.received_at,
        neighbours=known.neighbours,
        other_content=known.other_content,
        credited_before=known.credited_before,
        tariffs=kept.tariffs(cdr),
        time_zone=location.get("time_zone") if location else None,
        session=session,
        sessions_known=session is not None or kept.any("sessions"),
        token=token,
        tokens_known=token is not None or drivers.any("tokens"),
        location=location,
        locations_known=location is not None or kept.any("locations"),
        agreement=_agreement(owner, emsp, moment(cdr.get("start_date_time"))),
        original=kept.read("cdrs", reference) if isinstance(reference, str) and reference else None,
        signed=meter_keys.proof(owner, cdr.get("signed_data")),
    )


def _agreement(owner: Address, emsp: Address, start: datetime | None) -> Agreement | None:
    """Return whether the rules of the hub let the CPO bill the eMSP when the session began (SEC-40)."""
    if start is None:
        return None
    now = start.timestamp()
    return Agreement(permissions.allowed(snapshot.current(), owner, emsp, "cdrs", permissions.PUSH, now))


class _Kept:
    """The objects of one party that another one was shown."""

    def __init__(self, owner: Address, receiver: Address) -> None:
        self._owner = owner.key
        self._receiver = known_objects.text_of(receiver)

    def text(self, module: str, path: str, *, kind: str = "") -> str | None:
        with connection.cursor() as cursor:
            cursor.execute(_DOCUMENT, [module, *self._owner, path, kind, self._receiver])
            row = cursor.fetchone()
        return None if row is None else str(row[0])

    def read(self, module: str, path: str, *, kind: str = "") -> dict[str, Any] | None:
        text = self.text(module, path, kind=kind)
        return None if text is None else tariff_pricing.loads(text)

    def any(self, module: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_ANY, [module, *self._owner])
            return bool(cursor.fetchone()[0])

    def location(self, location_id: str, evse_uid: str) -> dict[str, Any] | None:
        text = self.text("locations", location_id) if location_id else None
        if text is None:
            return None
        evse = self.read("locations", f"{location_id}/{evse_uid}")
        time_zone = documents.get(text, "time_zone")
        return {"id": location_id, "time_zone": time_zone, "evses": [] if evse is None else [evse]}

    def tariffs(self, cdr: dict[str, Any]) -> list[dict[str, Any]]:
        named = [each.get("tariff_id") for each in cdr.get("charging_periods") or ()]
        named += [each.get("id") for each in cdr.get("tariffs") or ()]
        spelled = {each.upper(): each for each in named if isinstance(each, str)}
        found = [self.read("tariffs", each) for each in spelled.values()]
        return [each for each in found if each is not None]
