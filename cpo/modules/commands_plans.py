"""What becomes of a command: the answer at once, by table M-6, and what to ask of which charge point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cpo.models import EVSE, ChargePoint, ChargePointConnector, Location, Session, Transaction
from cpo.modules import locations_operations as locations
from cpo.modules import tokens
from ocpi import documents, keeping, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1.commands import CommandResponseType as Response
from ocpi.v2_2_1.commands import CommandType


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as it arrived."""

    command: CommandType
    body: bytes
    platform: KnownPlatform
    sender: Address  # the eMSP
    receiver: Address  # which of our parties
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a command: the answer at once, and what to ask of which charge point."""

    response: Response
    message: str = ""
    charge_point: ChargePoint | None = None
    evse: EVSE | None = None
    id_tag: str = ""
    transaction_id: int | None = None
    session_id: str = ""


def _start(asked: Asked, members: dict[str, Any]) -> Plan:
    token = members["token"]
    owner = Address(token["country_code"], token["party_id"])
    if owner.key != asked.sender.key:
        raise status.InvalidParameters("token", f"is of {owner}, the command comes from {asked.sender}")
    location = locations.find(asked.receiver, members["location_id"])
    if location is None:
        raise _unknown(f"Location {members['location_id']} is not known")
    evse = _evse(location, members)
    if isinstance(evse, Plan):
        return evse
    wanted = members.get("connector_id") or ""
    if wanted and wanted.casefold() not in {each.casefold() for each in locations.connector_ids(evse.document)}:
        raise _unknown(f"EVSE {evse.uid} has no Connector {wanted}")
    capabilities = locations.capabilities(evse)
    if "REMOTE_START_STOP_CAPABLE" not in capabilities:
        return Plan(Response.NOT_SUPPORTED, "This EVSE cannot be started remotely", evse=evse)
    if not wanted and "START_SESSION_CONNECTOR_REQUIRED" in capabilities:
        raise status.InvalidParameters("connector_id", "is required for this EVSE")
    tag = tokens.id_tag(owner, token["type"], token["uid"])
    return replace(_reached(evse.charge_point), evse=evse, id_tag=tag)


def _evse(location: Location, members: dict[str, Any]) -> EVSE | Plan:
    """Return the named EVSE; without one, the only one that can be meant (M-6)."""
    rows = list(location.evses.select_related("charge_point").exclude(status="REMOVED").order_by("id"))
    uid = members.get("evse_uid")
    if uid:
        named = [row for row in rows if row.uid.casefold() == uid.casefold()]
        if not named:
            raise _unknown(f"EVSE {uid} is not known")
        return named[0]
    usable = [row for row in rows if row.charge_point is not None and row.status in ("AVAILABLE", "BLOCKED")]
    plugged = [row for row in usable if connector_status(row) == "Preparing"]
    for found in (plugged, usable):
        if len(found) == 1:
            return found[0]
    return Plan(Response.REJECTED, "Name the EVSE: more than one, or none, can be meant")


def _stop(asked: Asked, members: dict[str, Any]) -> Plan:
    session = keeping.find(Session, owner=asked.receiver, object_id=members["session_id"])
    if session is None or session.status not in ("ACTIVE", "PENDING"):
        return Plan(Response.UNKNOWN_SESSION)
    if Address(session.emsp_country_code, session.emsp_party_id).key != asked.sender.key:
        return Plan(Response.REJECTED, "This is not a session of yours")  # CMD-12
    row = Transaction.objects.select_related("charge_point").filter(session=session, stopped_at=None).first()
    if row is None:
        return Plan(Response.UNKNOWN_SESSION)
    plan = _reached(row.charge_point)
    evse = EVSE.objects.filter(charge_point=row.charge_point, connector_id=row.connector_id).first()
    return replace(plan, evse=evse, transaction_id=row.transaction_id, session_id=session.object_id)


def _not_supported(asked: Asked, members: dict[str, Any]) -> Plan:
    return Plan(Response.NOT_SUPPORTED, f"{asked.command} is not offered here")


def decide(asked: Asked, members: dict[str, Any]) -> Plan:
    """Return what becomes of a command whose body has been checked.

    :raises InvalidParameters: if it may not be asked for like this.
    :raises UnknownLocation: if it names a place we do not know, with the CommandResponse.
    """
    return _PLANS[asked.command](asked, members)


_PLANS = {
    CommandType.START_SESSION: _start,
    CommandType.STOP_SESSION: _stop,
    CommandType.CANCEL_RESERVATION: _not_supported,
    CommandType.RESERVE_NOW: _not_supported,
    CommandType.UNLOCK_CONNECTOR: _not_supported,
}


def _reached(charge_point: ChargePoint | None) -> Plan:
    """Return whether a charge point can be asked now: it takes a socket, and its boot was accepted."""
    if charge_point is None or not charge_point.online or charge_point.boot_status != "Accepted":
        return Plan(Response.REJECTED, "The charge point is not connected", charge_point=charge_point)
    return Plan(Response.ACCEPTED, charge_point=charge_point)


def _unknown(text: str) -> status.UnknownLocation:
    return status.UnknownLocation(text, data=response_text(Response.REJECTED, 0, text))


def response_text(response: Response, timeout: int, message: str = "") -> str:
    """Return a CommandResponse."""
    members: dict[str, Any] = {"result": response.value, "timeout": timeout}
    if message:
        members["message"] = [{"language": "en", "text": message}]
    return documents.text(members)


def connector_status(evse: EVSE) -> str:
    if evse.connector_id is None:
        return ""
    rows = ChargePointConnector.objects.filter(charge_point_id=evse.charge_point_id, connector_id=evse.connector_id)
    found = rows.first()
    return found.status if found else ""
