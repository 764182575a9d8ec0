"""Reservations of our drivers: what we asked for, and what the results of commands make of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from emsp import reservation_states
from emsp.models import Command, Reservation, Token
from ocpi import documents, ours, status
from ocpi.enums import Role
from ocpi.headers import Address
from ocpi.v2_2_1.types import parse_datetime

RESERVE_NOW, CANCEL_RESERVATION = "RESERVE_NOW", "CANCEL_RESERVATION"
CANCELED_RESERVATION = "CANCELED_RESERVATION"
# Clocks differ: so long after its end a reservation still counts as one.
_LEEWAY = timedelta(minutes=1)
# What an ended CANCEL_RESERVATION may say that means: there is no such reservation any more.
_GONE = ("ACCEPTED", "UNKNOWN_RESERVATION")


def request(
    *, cpo: Address, sender: Address, token: Token, reservation_id: str, location_id: str, evse_uid: str,
    expiry_date: datetime,
) -> Reservation:  # fmt: skip
    """Note a reservation that is about to be asked for, or asked for once more (CMD-37).

    :raises InvalidParameters: if it stands at another Location: there it would be a second one under the same id.
    """
    with transaction.atomic():
        row = _of(cpo, reservation_id).filter(_asked_by([sender])).select_for_update().first()
        if row is None:
            return Reservation.objects.create(
                country_code=cpo.country_code, party_id=cpo.party_id, emsp_country_code=sender.country_code,
                emsp_party_id=sender.party_id, reservation_id=reservation_id, state="REQUESTED", token=token,
                location_id=location_id, evse_uid=evse_uid, expiry_date=expiry_date,
            )  # fmt: skip
        if row.state in reservation_states.OPEN and row.location_id.upper() != location_id.upper():
            raise status.InvalidParameters("reservation_id", f"is a reservation at {row.location_id}")
        _move(row, "requested")
        if row.state == "REQUESTED":
            row.token, row.location_id, row.evse_uid, row.expiry_date = token, location_id, evse_uid, expiry_date
            row.save(update_fields=["token", "location_id", "evse_uid", "expiry_date"])
        return row


def find(*, cpo: Address, reservation_id: str) -> Reservation:
    """Return a reservation of one of our drivers.

    :raises UnknownObject: if there is none.
    """
    row = _of(cpo, reservation_id).filter(_asked_by(ours.addresses(Role.EMSP))).order_by("-changed_at").first()
    if row is None:
        raise status.UnknownObject(f"There is no reservation {reservation_id} at {cpo}")
    return row


def answered(command: Command) -> None:
    """Take note of the CommandResponse of a command, in the caller's transaction."""
    if command.command == RESERVE_NOW and command.state == "REFUSED":
        _tell(command, "refused")


def told(command: Command) -> None:
    """Take note of the CommandResult of a command, in the caller's transaction."""
    if command.result == CANCELED_RESERVATION:
        _tell(command, "canceled_by_cpo")
    elif command.command == RESERVE_NOW:
        _tell(command, "confirmed" if command.result == "ACCEPTED" else "refused")
    elif command.command == CANCEL_RESERVATION and command.result in _GONE:
        _tell(command, "canceled")


def lives(command: Command, now: datetime) -> bool:
    """Say whether the reservation that a command asked for may still be reported about (CMD-20)."""
    if command.command != RESERVE_NOW or command.reservation is None:
        return False
    return command.reservation.state in reservation_states.OPEN and now < command.reservation.expiry_date + _LEEWAY


def end_old(now: datetime) -> int:
    """End the reservations whose time is over; say how many."""
    rows = Reservation.objects.filter(state__in=reservation_states.OPEN, expiry_date__lte=now - _LEEWAY)
    return sum(
        rows.filter(state=state).update(state=reservation_states.next_state(state, "over"), changed_at=now)
        for state in reservation_states.OPEN
    )


def _tell(command: Command, event: str) -> None:
    row = Reservation.objects.select_for_update().filter(pk=command.reservation_id or 0).first()
    if row is None or not reservation_states.takes(row.state, event):
        return
    _move(row, event)
    if event == "confirmed":  # what was asked for is what holds now (CMD-37)
        asked = command.request
        row.location_id = str(documents.get(asked, "location_id"))
        row.evse_uid = documents.get(asked, "evse_uid") or ""
        row.expiry_date = parse_datetime(str(documents.get(asked, "expiry_date")))
        row.token_id = command.token_id
        row.save(update_fields=["location_id", "evse_uid", "expiry_date", "token"])


def _of(cpo: Address, reservation_id: str) -> QuerySet[Reservation]:
    return Reservation.objects.filter(
        country_code__iexact=cpo.country_code, party_id__iexact=cpo.party_id, reservation_id__iexact=reservation_id
    )


def _asked_by(parties: Sequence[Address]) -> Q:
    found = Q(pk=None)
    for party in parties:
        found |= Q(emsp_country_code__iexact=party.country_code, emsp_party_id__iexact=party.party_id)
    return found


def _move(row: Reservation, event: str) -> None:
    row.state = reservation_states.next_state(row.state, event)
    row.changed_at = timezone.now()
    row.save(update_fields=["state", "changed_at"])
