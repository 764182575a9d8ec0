"""What a charge point has answered to a RESERVE_NOW or CANCEL_RESERVATION, or has not, and what follows from it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import msgspec

from cpo import reservation_states
from cpo.models import EVSE, Command, CommandedToken, Reservation
from cpo.modules import locations_operations as locations
from cpo.modules import reservations_operations as reservations
from cpo.modules import reservations_sessions as books
from cpo.modules import snapshots
from cpo.modules.authorization import Verdict
from cpo.modules.locations_operations import Place
from cpo.reservation_states import ACCEPTED, CHARGE_POINT, EMSP, WAITING
from cpo.whitelist_states import ACCEPTED as LET_IN
from ocpi import clock, documents
from ocpi.v2_2_1.commands import CommandResultType as Result
from ocpi.v2_2_1.types import parse_datetime

log = logging.getLogger(__name__)

# How long after a command no eMSP is asked about its card (CMD-27).
CARD_MINUTES = timedelta(minutes=15)
_APP_TYPES = frozenset({"APP_USER", "AD_HOC_USER"})
# Endings of an operation after which the charge point may have accepted all the same.
_UNCERTAIN = frozenset({"SENT", "TIMEOUT", "CONNECTION_LOST", "INVALID_ANSWER"})


def settle(command: Command, result: Result) -> Result | None:
    """Draw the consequence of how a RESERVE_NOW or CANCEL_RESERVATION ended, in the caller's transaction.

    Return what the eMSP has to be told after the result, if anything.
    """
    row = reservations.locked(command.reservation_id)
    if row is None:
        return None
    if command.command == "RESERVE_NOW":
        if result is Result.ACCEPTED:
            return _accept(row, command)
        _refuse(row, command)
    elif result is Result.ACCEPTED:
        reservations.end(row, "cancel", EMSP)
    elif result is Result.UNKNOWN_RESERVATION:
        reservations.end(row, "cancel", CHARGE_POINT, told=False)
    return None


def _accept(row: Reservation, command: Command) -> Result | None:
    if not reservation_states.takes(row.state, "accept"):
        if row.ended_by == EMSP:
            return None
        # Used, or cancelled by an operator, while the charge point was asked: what it keeps now nobody wants.
        reservations.tell(row, command.charge_point or row.charge_point)
        return Result.CANCELED_RESERVATION
    if (row.command_id or 0) > command.pk:
        return None  # replaced by a later command
    place = _place(command)
    if place is None:
        log.warning("%s has no EVSE any more", row)
        _refuse(row, command)
        reservations.tell(row, command.charge_point or row.charge_point)
        return Result.CANCELED_RESERVATION
    _put_in_force(row, command, place)
    return None


def _put_in_force(row: Reservation, command: Command, place: Place) -> None:
    """Take over what the charge point has accepted, with its Session: a new one, or that of what it replaces."""
    members: dict[str, Any] = msgspec.json.decode(command.request)
    if row.state == ACCEPTED and row.charge_point_id != command.charge_point_id:
        reservations.tell(row, row.charge_point)  # replaced elsewhere
    now = clock.now()
    row.snapshot = _snapshot(row, command, members, place)
    row.state = reservation_states.next_state(row.state, "accept")
    row.command, row.evse, row.id_tag = command, command.evse, command.id_tag
    row.charge_point_id = command.charge_point_id or row.charge_point_id
    row.connector_id = (command.evse.connector_id if command.evse else None) or 0
    row.expires_at = parse_datetime(members["expiry_date"])
    row.started_at = row.started_at or now
    if row.session is None:
        row.session = books.begin(row.snapshot, row.started_at)
    else:
        books.replace(row.session, row.snapshot)
    row.save()
    command.session_id = row.session.object_id
    command.save(update_fields=["session_id"])
    _let_in(row, command, members)


def _snapshot(row: Reservation, command: Command, members: dict[str, Any], place: Place) -> str:
    """Return what a CDR will say of it: all as it was first reserved, unless it is another EVSE now (CDR-18)."""
    reference = members.get("authorization_reference") or ""
    verdict = Verdict(LET_IN, _token(command), "COMMAND", reference)
    same_place = (row.evse_id, row.charge_point_id) == (command.evse_id, command.charge_point_id)
    if row.snapshot and same_place:
        return snapshots.with_token(row.snapshot, verdict)
    text, odd = snapshots.text_of(place, verdict, clock.now(), assigned=command.evse is not None)
    if odd:
        log.warning("%s: %s", row, ", ".join(odd))
    return text


def _token(command: Command) -> str:
    return bytes(documents.members(command.request)["token"]).decode()


def _place(command: Command) -> Place | None:
    """Return what is reserved; of any EVSE at a charge point the first, which sets the price."""
    if command.evse is not None and command.evse.connector_id is not None:
        return locations.place_of(command.charge_point_id or 0, command.evse.connector_id)
    first = EVSE.objects.filter(charge_point_id=command.charge_point_id, connector_id__isnull=False)
    connector = first.exclude(status="REMOVED").order_by("id").values_list("connector_id", flat=True).first()
    return None if connector is None else locations.place_of(command.charge_point_id or 0, connector)


def _let_in(row: Reservation, command: Command, members: dict[str, Any]) -> None:
    """Have the Token let in unasked: an app's as long as it is reserved, a card's for 15 minutes (CMD-27)."""
    if command.charge_point is None:
        return
    token_type = members["token"]["type"]
    is_app = token_type in _APP_TYPES
    CommandedToken.objects.filter(command__reservation=row).delete()
    CommandedToken.objects.create(
        charge_point=command.charge_point,
        connector_id=row.connector_id or None,
        id_tag=row.id_tag,
        type=token_type,
        document=_token(command),
        authorization_reference=members.get("authorization_reference") or "",
        command=command,
        expires_at=row.expires_at + reservations.GRACE if is_app else clock.now() + CARD_MINUTES,
    )


def _refuse(row: Reservation, command: Command) -> None:
    """Nothing is in force, unless something was before; what the charge point may hold after all it is to forget."""
    others = Command.objects.filter(reservation=row, command="RESERVE_NOW", result="").exclude(pk=command.pk)
    if row.state != WAITING or others.exists():
        return
    row.state = reservation_states.next_state(row.state, "refuse")
    row.ended_at = clock.now()
    row.save(update_fields=["state", "ended_at"])
    if command.operation is not None and command.operation.state in _UNCERTAIN and command.charge_point is not None:
        reservations.tell(row, command.charge_point)
