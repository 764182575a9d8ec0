"""What becomes of a command: the answer at once, by table M-6, and what to ask of which charge point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from cpo.models import EVSE, ChargePoint, ChargePointConnector, Location, Reservation, Session, Transaction
from cpo.modules import features, reserving, tokens
from cpo.modules import locations_operations as locations
from cpo.modules import reservations_operations as reservations
from cpo.modules.reservations_operations import Wanted
from cpo.ocpp import calls
from ocpi import documents, keeping, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1.commands import CommandResponseType as Response
from ocpi.v2_2_1.commands import CommandType
from ocpi.v2_2_1.types import parse_datetime


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
    wanted: Wanted | None = None  # RESERVE_NOW
    reservation: Reservation | None = None  # CANCEL_RESERVATION


def _start(asked: Asked, members: dict[str, Any]) -> Plan:
    owner = _owner_of_token(asked, members)
    location = _location(asked, members)
    evse = _evse(location, members)
    if isinstance(evse, Plan):
        return evse
    wanted = _connector(evse, members)
    capabilities = locations.capabilities(evse)
    if not _can(evse, "RemoteStartTransaction"):
        return Plan(Response.NOT_SUPPORTED, "This EVSE cannot be started remotely", evse=evse)
    if not wanted and "START_SESSION_CONNECTOR_REQUIRED" in capabilities:
        raise status.InvalidParameters("connector_id", "is required for this EVSE")
    return replace(_reached(evse.charge_point), evse=evse, id_tag=_id_tag(evse.charge_point, owner, members))


def _owner_of_token(asked: Asked, members: dict[str, Any]) -> Address:
    """Return whose Token it is: nobody uses another eMSP's (CMD-25)."""
    token = members["token"]
    owner = Address(token["country_code"], token["party_id"])
    if owner.key != asked.sender.key:
        raise status.InvalidParameters("token", f"is of {owner}, the command comes from {asked.sender}")
    return owner


def _id_tag(charge_point: ChargePoint | None, owner: Address, members: dict[str, Any]) -> str:
    """Return what the charge point calls the Token; OCPP 2.0.1 takes any uid as it is (M-7)."""
    token = members["token"]
    if charge_point is not None and calls.speaks_201(charge_point):
        return str(token["uid"])
    return tokens.id_tag(owner, token["type"], token["uid"])


def _location(asked: Asked, members: dict[str, Any]) -> Location:
    location = locations.find(asked.receiver, members["location_id"])
    if location is None or location.private:
        raise _unknown(f"Location {members['location_id']} is not known")
    return location


def _evses(location: Location) -> list[EVSE]:
    return list(location.evses.select_related("charge_point").exclude(status="REMOVED").order_by("id"))


def _named(rows: list[EVSE], uid: str) -> EVSE:
    found = next((row for row in rows if row.uid.casefold() == uid.casefold()), None)
    if found is None:
        raise _unknown(f"EVSE {uid} is not known")
    return found


def _connector(evse: EVSE, members: dict[str, Any]) -> str:
    """Return the Connector that is named, if any."""
    wanted = str(members.get("connector_id") or "")
    if wanted and wanted.casefold() not in {each.casefold() for each in locations.connector_ids(evse.document)}:
        raise _unknown(f"EVSE {evse.uid} has no Connector {wanted}")
    return wanted


def _can(evse: EVSE, action: str) -> bool:
    """Say whether an EVSE has the capability for an action, and its charge point knows it (CMD-34, LOC-69)."""
    known = features.CAPABILITIES[action] in locations.capabilities(evse)
    return known and not features.lacks(evse.charge_point, action)


def _evse(location: Location, members: dict[str, Any]) -> EVSE | Plan:
    """Return the named EVSE; without one, the only one that can be meant (M-6)."""
    rows = _evses(location)
    if members.get("evse_uid"):
        return _named(rows, members["evse_uid"])
    usable = [row for row in rows if row.charge_point is not None and row.status in ("AVAILABLE", "BLOCKED")]
    plugged = [row for row in usable if connector_status(row) == "Preparing"]
    for found in (plugged, usable):
        if len(found) == 1:
            return found[0]
    return Plan(Response.REJECTED, "Name the EVSE: more than one, or none, can be meant")


def _stop(asked: Asked, members: dict[str, Any]) -> Plan:
    session = keeping.find(Session, owner=asked.receiver, object_id=members["session_id"])
    if session is None or session.status not in ("ACTIVE", "PENDING", "RESERVATION"):
        return Plan(Response.UNKNOWN_SESSION)
    if _emsp_of(session).key != asked.sender.key:
        return Plan(Response.REJECTED, "This is not a session of yours")  # CMD-12
    if session.status == "RESERVATION":
        return Plan(Response.REJECTED, "This is a reservation: CANCEL_RESERVATION ends it")
    if session.status == "PENDING":
        return Plan(Response.REJECTED, "It has not begun")
    row = Transaction.objects.select_related("charge_point").filter(session=session, stopped_at=None).first()
    if row is None:
        return Plan(Response.UNKNOWN_SESSION)
    plan = _reached(row.charge_point)
    evse = EVSE.objects.filter(charge_point=row.charge_point, connector_id=row.connector_id).first()
    return replace(plan, evse=evse, transaction_id=row.transaction_id, session_id=session.object_id)


def _reserve(asked: Asked, members: dict[str, Any]) -> Plan:
    owner = _owner_of_token(asked, members)
    expires_at = parse_datetime(members["expiry_date"])
    if expires_at <= timezone.now():
        raise status.InvalidParameters("expiry_date", "is in the past")  # CMD-40
    location = _location(asked, members)
    rows = _evses(location)
    uid = members.get("evse_uid")
    able = [row for row in ([_named(rows, uid)] if uid else rows) if _can(row, "ReserveNow")]
    if not able:
        return Plan(Response.NOT_SUPPORTED, "This cannot be reserved")
    charge_point, evse = (able[0].charge_point, able[0]) if uid else reserving.choose(able)
    plan = _reached(charge_point) if uid or charge_point else Plan(Response.REJECTED, "No EVSE is free")
    if plan.response is not Response.ACCEPTED or charge_point is None:
        return replace(plan, evse=evse)
    tag = _id_tag(charge_point, owner, members)
    wanted = Wanted(asked.sender, members["reservation_id"], location, charge_point, evse, tag, expires_at)
    return replace(plan, evse=evse, id_tag=tag, wanted=wanted)


def _cancel(asked: Asked, members: dict[str, Any]) -> Plan:
    row = reservations.find_open(asked.sender, asked.receiver, members["reservation_id"])
    if row is None:
        return Plan(Response.REJECTED, "There is no such reservation of yours")  # CMD-39
    plan = _reached(row.charge_point)
    if plan.response is Response.ACCEPTED and features.lacks(row.charge_point, "CancelReservation"):
        plan = Plan(Response.NOT_SUPPORTED, "The charge point cannot cancel reservations")
    return replace(plan, evse=row.evse, reservation=row)


def _unlock(asked: Asked, members: dict[str, Any]) -> Plan:
    evse = _named(_evses(_location(asked, members)), members["evse_uid"])
    _connector(evse, members)
    if not _can(evse, "UnlockConnector"):
        return Plan(Response.NOT_SUPPORTED, "This EVSE cannot be unlocked remotely", evse=evse)
    running = Transaction.objects.select_related("session").filter(
        charge_point=evse.charge_point, connector_id=evse.connector_id or 0, stopped_at=None
    )
    for row in running:
        # Many charge points end the transaction when they unlock (OCPP-94).
        if row.session is None or _emsp_of(row.session).key != asked.sender.key:
            return Plan(Response.REJECTED, "Somebody else charges here", evse=evse)
    return replace(_reached(evse.charge_point), evse=evse)


def _emsp_of(session: Session) -> Address:
    return Address(session.emsp_country_code, session.emsp_party_id)


def decide(asked: Asked, members: dict[str, Any]) -> Plan:
    """Return what becomes of a command whose body has been checked.

    :raises InvalidParameters: if it may not be asked for like this.
    :raises UnknownLocation: if it names a place we do not know, with the CommandResponse.
    """
    return _PLANS[asked.command](asked, members)


_PLANS = {
    CommandType.START_SESSION: _start,
    CommandType.STOP_SESSION: _stop,
    CommandType.CANCEL_RESERVATION: _cancel,
    CommandType.RESERVE_NOW: _reserve,
    CommandType.UNLOCK_CONNECTOR: _unlock,
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
