"""Reservations: asked for by RESERVE_NOW, in force at a charge point, used, or ended by somebody (OCPP-88).

The charge point keeps the EVSE free; we keep the books. A reservation in force has a Session (SES-16), which the start
of its Token takes over and any other end completes. What the charge point may still hold after we have ended it, or
after an answer we never got, it is told to forget.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from cpo import policy, reservation_states
from cpo.models import EVSE, ChargePoint, CommandedToken, Location, Reservation
from cpo.modules import commands_results, snapshots
from cpo.modules import reservations_sessions as books
from cpo.modules.authorization import Verdict
from cpo.modules.locations_operations import Place
from cpo.ocpp import calls
from cpo.ocpp.events import ConnectorStatus, TransactionStarted
from cpo.reservation_states import ACCEPTED, CHARGE_POINT, DRIVER, OPERATOR, TIME, WAITING
from ocpi import clock, documents
from ocpi.headers import Address
from ocpi.v2_2_1.commands import CommandResultType as Result

log = logging.getLogger(__name__)

# A start just before the end may still be on its way when the end has come.
GRACE = timedelta(seconds=30)
_MOST_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reservation as an eMSP asks for it."""

    emsp: Address
    reservation_id: str
    location: Location
    charge_point: ChargePoint
    evse: EVSE | None
    id_tag: str
    expires_at: datetime


# ---------------------------------------------------------------- asked for


def find_open(emsp: Address, owner: Address, reservation_id: str) -> Reservation | None:
    """Return what an eMSP has reserved with us under its own id; nobody finds another's (CMD-39, SEC-37)."""
    found = _named(emsp, reservation_id).select_related("charge_point", "evse", "location").order_by("-id")
    places = ((row, row.location) for row in found)
    return next(
        (row for row, at in places if at is not None and Address(at.country_code, at.party_id).key == owner.key), None
    )


def ask_for(wanted: Wanted) -> Reservation:
    """Return the reservation that a RESERVE_NOW is about: the one it replaces (CMD-37), else a new one.

    What is in force stays as it is until the charge point has accepted what is asked for now.
    """
    rows = _named(wanted.emsp, wanted.reservation_id).select_for_update(of=("self",))
    known = rows.filter(location=wanted.location).first()
    if known is not None:
        return known
    return Reservation.objects.create(
        number=new_number(),
        state=WAITING,
        country_code=wanted.emsp.country_code,
        party_id=wanted.emsp.party_id,
        reservation_id=wanted.reservation_id,
        location=wanted.location,
        charge_point=wanted.charge_point,
        connector_id=(wanted.evse.connector_id if wanted.evse else None) or 0,
        evse=wanted.evse,
        id_tag=wanted.id_tag,
        expires_at=wanted.expires_at,
    )


def _named(emsp: Address, reservation_id: str) -> QuerySet[Reservation]:
    """Return what is under way by an eMSP's own id, which it may have given at more than one Location."""
    rows: QuerySet[Reservation] = Reservation.objects.filter(state__in=reservation_states.OPEN)
    return rows.extra(
        where=[
            "UPPER(cpo_reservation.country_code) = %s",
            "UPPER(cpo_reservation.party_id) = %s",
            "UPPER(cpo_reservation.reservation_id) = UPPER(%s)",
        ],
        params=[*emsp.key, reservation_id],
    )


def new_number() -> int:
    """Return a number that no reservation has (CMD-38)."""
    while True:
        number = secrets.randbelow(_MOST_NUMBER) + 1
        if not Reservation.objects.filter(number=number).exists():
            return number


# ---------------------------------------------------------------- used


def taken_by(charge_point_id: int, event: TransactionStarted, verdict: Verdict) -> Reservation | None:
    """Return the reservation that a start uses: that of its Token, here and in force when it began (SES-17).

    One that the charge point names but another Token has taken is over, and nobody pays for it.
    """
    rows = Reservation.objects.select_for_update(of=("self",)).select_related("session", "charge_point")
    here = list(rows.filter(charge_point_id=charge_point_id, state=ACCEPTED).order_by("-connector_id", "id"))
    for row in here:
        named = row.number == event.reservation_id
        there = row.connector_id in (0, event.connector) and event.moment.at <= row.expires_at
        if not named and not there:
            continue
        if _is_of(row, event.id_token, verdict):
            return row
        if named:
            end(row, "cancel", CHARGE_POINT)
    return None


def _is_of(row: Reservation, id_tag: str, verdict: Verdict) -> bool:
    if not verdict.token:
        return False
    owner = Address(str(documents.get(verdict.token, "country_code")), str(documents.get(verdict.token, "party_id")))
    same_tag = row.id_tag.upper() == id_tag.upper()
    return same_tag and owner.key == Address(row.country_code, row.party_id).key


def snapshot_of(row: Reservation, place: Place, verdict: Verdict, at: datetime) -> tuple[str, list[str]]:
    """Return what a CDR will say of the start: all as when it was reserved, the decision as now (CDR-18, CDR-30).

    Where no EVSE had been assigned, or another is used, or its tariff was not valid then, it is as it is now.
    """
    seen = snapshots.read(row.snapshot)
    if seen.assigned and row.evse_id == place.evse.pk and not seen.lacks_tariff:
        return snapshots.with_token(row.snapshot, verdict), []
    reference = verdict.authorization_reference or seen.authorization_reference
    return snapshots.text_of(place, replace(verdict, authorization_reference=reference), at)


def use(row: Reservation) -> None:
    """Note that charging has begun."""
    row.state = reservation_states.next_state(row.state, "use")
    row.ended_at, row.ended_by = clock.now(), DRIVER
    row.save(update_fields=["state", "ended_at", "ended_by"])


# ---------------------------------------------------------------- ended otherwise


def interrupt(charge_point_id: int, event: ConnectorStatus) -> None:
    """End the reservations of a connector that is out of order, or of all of them, and tell the eMSPs (CMD-20)."""
    if event.status not in reservation_states.ENDING_STATUSES:
        return
    rows = Reservation.objects.filter(charge_point_id=charge_point_id, state=ACCEPTED)
    if event.connector:
        rows = rows.filter(connector_id=event.connector)
    for pk in list(rows.values_list("pk", flat=True)):
        row = locked(pk)
        if row is not None and row.state == ACCEPTED:
            end(row, "cancel", CHARGE_POINT)
            tell(row, row.charge_point)


def cancel(pk: int) -> bool:
    """End a reservation for an operator, tell the eMSP and the charge point; say whether there was one to end."""
    with transaction.atomic():
        row = locked(pk)
        if row is None or not reservation_states.takes(row.state, "cancel"):
            return False
        end(row, "cancel", OPERATOR)
        tell(row, row.charge_point)
        return True


def expire_due() -> int:
    """End the reservations whose time is over; return how many."""
    due = Reservation.objects.filter(state=ACCEPTED, expires_at__lte=clock.now() - GRACE)
    pks = list(due.order_by("expires_at").values_list("pk", flat=True)[:200])
    for pk in pks:
        with transaction.atomic():
            row = locked(pk)
            if row is not None and row.state == ACCEPTED and row.expires_at <= clock.now() - GRACE:
                end(row, "expire", TIME)
    return len(pks)


def end(row: Reservation, event: str, by: str, *, told: bool = True) -> None:
    """End a reservation with its Session, in the caller's transaction."""
    if not reservation_states.takes(row.state, event):
        return
    was_in_force = row.state == ACCEPTED
    row.state = reservation_states.next_state(row.state, event)
    at = row.expires_at if by == TIME else clock.now()
    row.ended_at, row.ended_by = at, by
    row.save(update_fields=["state", "ended_at", "ended_by"])
    CommandedToken.objects.filter(command__reservation=row, used_at=None).delete()
    if not was_in_force:
        return
    books.complete(row, at, billed=by not in reservation_states.OURS)
    if by in reservation_states.OURS and told and row.command is not None:
        until = max(row.expires_at, clock.now() + timedelta(seconds=policy.command_seconds("RESERVE_NOW")))
        commands_results.send(row.command, Result.CANCELED_RESERVATION, deadline_at=until)


def tell(row: Reservation, charge_point: ChargePoint) -> None:
    """Have the charge point forget a reservation, now or when it comes back; it may answer what it likes."""
    now = clock.now()
    if row.expires_at <= now:
        return
    key = f"forget {row.number} {now.timestamp():.3f}"
    try:
        calls.cancel_reservation(
            charge_point, number=row.number, asked_by=f"{row} is over", key=key, until=row.expires_at
        )
    except calls.NotAsked as error:
        log.warning("%s could not be asked to forget %s: %s", charge_point, row, error)


def locked(pk: int | None) -> Reservation | None:
    rows = Reservation.objects.select_for_update(of=("self",))
    return rows.select_related("charge_point", "session", "command").filter(pk=pk or 0).first()
