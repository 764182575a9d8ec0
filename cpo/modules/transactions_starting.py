"""The begin of a transaction's Session, of either OCPP version: what it costs, what it takes the place of."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cpo.models import CommandedToken, Reservation, Transaction
from cpo.modules import locations_operations as locations
from cpo.modules import preferences_operations as preferences
from cpo.modules import reservations_local, sessions_pending, snapshots, transactions_causes
from cpo.modules import reservations_operations as reservations
from cpo.modules import sessions_operations as sessions
from cpo.modules.authorization import Verdict
from cpo.modules.locations_operations import Place
from cpo.ocpp.events import TransactionStarted
from ocpi import clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where an authorised transaction is, and the reservation that it uses."""

    place: Place
    reservation: Reservation | None


def prepare(row: Transaction, event: TransactionStarted, verdict: Verdict) -> Beginning | None:
    """Fill in what a transaction's Session will say, nothing if it is not authorised or nowhere of ours."""
    if not row.authorised:
        return None
    reservations_local.use(row.charge_point_id, event)
    if not verdict.token:
        return None  # a tag of our own has no Token: nothing of it is published or billed over OCPI (OCPP-122)
    place = locations.place_of(row.charge_point_id, row.connector_id, row.plug)
    if place is None:
        if "no_evse" not in row.flags:
            row.flags = [*row.flags, "no_evse"]
            log.warning("connector %s of %s is no EVSE: it is not billed", row.connector_id, row.charge_point)
        return None
    reservation = reservations.taken_by(row.charge_point_id, event, verdict)
    if reservation is None:
        row.snapshot, odd = snapshots.text_of(place, verdict, row.started_at)
    else:
        row.reserved_from = min(reservation.started_at or row.started_at, row.started_at)
        row.snapshot, odd = reservations.snapshot_of(reservation, place, verdict, row.started_at)
    row.flags = [*row.flags, *odd]
    row.held = bool(odd)
    return Beginning(place, reservation)


def begin(row: Transaction, beginning: Beginning, verdict: Verdict) -> None:
    """Begin the Session, or go on with that of a reservation or a START_SESSION; the row is stored already."""
    reservation = beginning.reservation
    earlier = reservation.session if reservation is not None else sessions_pending.of_start(verdict)
    session = sessions.begin(row, earlier)
    preferences.note_default(row)
    _join(verdict, session.object_id)
    if reservation is not None:
        reservations.use(reservation)
    transactions_causes.compare_meters(row)


def supersede(row: Transaction) -> None:
    """Note that an older transaction at the same connector must be over, though its stop has not come (OCPP-41)."""
    older = Transaction.objects.filter(
        charge_point_id=row.charge_point_id,
        connector_id=row.connector_id,
        stopped_at=None,
        superseded_at=None,
        started_at__lte=row.started_at,
    ).exclude(pk=row.pk)
    for each in older:
        each.superseded_at = clock.now()
        each.flags = [*each.flags, "superseded"]
        each.save(update_fields=["superseded_at", "flags"])


def _join(verdict: Verdict, session_id: str) -> None:
    """Join a Session with the START_SESSION that caused it."""
    if verdict.commanded_id is None:
        return
    commanded = CommandedToken.objects.select_related("command").get(pk=verdict.commanded_id)
    commanded.used_at = clock.now()
    commanded.save(update_fields=["used_at"])
    commanded.command.session_id = session_id
    commanded.command.save(update_fields=["session_id"])
