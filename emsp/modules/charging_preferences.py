"""Charging preferences of a driver: sent to the CPO of an ongoing Session, and kept with its answer (OCPI 2.2.1,
Sessions, Set charging preferences)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from emsp.models import SentPreferences, Session
from emsp.modules import asking
from emsp.modules.chargingprofiles_operations import ONGOING
from ocpi import client, defects, documents, status
from ocpi.headers import Address, Routing, new_id
from ocpi.v2_2_1 import sessions as schema

CAPABLE = "CHARGING_PREFERENCES_CAPABLE"
_LONGEST_RESPONSE = 30


def send(*, session: Session, preferences: Mapping[str, Any], asked_by: str = "") -> SentPreferences:
    """Send ChargingPreferences; a second time they replace the former ones (SES-41).

    :raises InvalidParameters: if the Session is over, its EVSE is not known as CHARGING_PREFERENCES_CAPABLE (SES-35),
        or they break their table.
    :raises ReceiverUnreachable: if no connected platform leads to the CPO.
    """
    _refuse_incapable(session)
    given = {name: value for name, value in preferences.items() if value is not None}
    text = documents.text(given)
    schema.check(text.encode(), "ChargingPreferences", strict=True)
    cpo = Address(session.country_code, session.party_id)
    platform = asking.platform_to(cpo, "sessions", "SENDER")
    url = client.join(platform.endpoints["sessions", "SENDER"], session.object_id, "charging_preferences")
    routing = Routing(to=cpo, sender=asking.driver_party(session))
    question = asking.Question(platform, "sessions", "PUT", url, routing, new_id(), text.encode())
    try:
        answer = asking.send(question)
        with defects.reading(platform.id, f"PUT {url}"):
            response, message = _heard(answer)
    except client.ClientError as error:
        response, message = "", f"{type(error).__name__}: {error}"
    values = {
        "document": text,
        "response": response,
        "message": message,
        "asked_by": asked_by,
        "sent_at": timezone.now(),
    }
    row, _ = SentPreferences.objects.update_or_create(session=session, defaults=values)
    return row


def _heard(answer: client.Answer) -> tuple[str, str]:
    """Return the ChargingPreferencesResponse, a bare string or, from some, {"result": …} (PIT-29)."""
    try:
        found = answer.data()
    except client.Garbage:
        found = None
    if isinstance(found, dict):
        defects.noted(["PIT-29 charging preferences in an object"])
        found = found.get("result")
    if not answer.ok or not isinstance(found, str):
        return "", asking.failure(answer)
    return found[:_LONGEST_RESPONSE], ""


def _refuse_incapable(session: Session) -> None:
    if session.status not in ONGOING:
        raise status.InvalidParameters("session_id", f"{session.object_id} is {session.status}")
    cpo = Address(session.country_code, session.party_id)
    location_id, evse_uid = (str(documents.get(session.document, name)) for name in ("location_id", "evse_uid"))
    evse = asking.evse_at(cpo, location_id, evse_uid)
    if evse is None or not asking.capable(evse, CAPABLE):
        raise status.InvalidParameters("evse_uid", f"{evse_uid} is not {CAPABLE}")
