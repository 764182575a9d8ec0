"""Transactions of charge points: started, metered, stopped; with the Session and the CDR they make.

Everything here runs in the caller's transaction. A start is always stored, whatever the authorisation says (OCPP-39);
a stop is never applied to a guessed connector (OCPP-43); what is not plausible waits for an operator (OCPP-45).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from cpo import metering
from cpo.models import CommandedToken, InboxMessage, Transaction, UnmatchedStop
from cpo.modules import chargingprofiles_installed as chargingprofiles
from cpo.modules import credits_operations as credits
from cpo.modules import locations_operations as locations
from cpo.modules import preferences_operations as preferences
from cpo.modules import readings, reservations_local, sessions_pending, snapshots
from cpo.modules import reservations_operations as reservations
from cpo.modules import sessions_operations as sessions
from cpo.modules.authorization import Verdict
from cpo.ocpp.events import ConnectorStatus, MeterValues, TransactionStarted, TransactionStopped
from ocpi import clock
from ocpi.v2_2_1.sessions import SessionStatus

log = logging.getLogger(__name__)

SUPERSEDED_WAIT = timedelta(seconds=60)
SYNTHETIC_WAIT = timedelta(hours=24)
_SMALL = Decimal("0.05")  # kWh: an emergency stop below it is looked at first (M-5)
# Without a timestamp a status is of now, unless the charge point's own clock is far from ours.
_OTHER_CLOCK = timedelta(hours=1)


def start(message: InboxMessage, event: TransactionStarted, verdict: Verdict) -> Transaction:
    """Store a start and, if it is authorised at an EVSE of ours, begin its Session or go on with a reservation's."""
    number = message.transaction_id or _next_number()
    known = Transaction.objects.filter(transaction_id=number).first()
    if known is not None:
        return known
    charge_point = message.charge_point
    _supersede(charge_point.id, event.connector)
    flags = [name for name, is_so in (("clock_suspect", event.moment.suspect), ("late", message.gave_up)) if is_so]
    authorised = verdict.accepted
    connected_at = charge_point.connected_at
    if not authorised and verdict.token and connected_at is not None and event.moment.at < connected_at:
        # It let the driver in while nobody could be asked: the energy has flowed, it is billed (OCPP-40).
        authorised = True
        flags.append("offline_authorised")
    row = Transaction(
        charge_point=charge_point,
        connector_id=event.connector,
        transaction_id=number,
        id_tag=event.id_token,
        authorised=authorised,
        started_at=event.moment.at,
        meter_start=event.meter_start_wh,
        flags=flags,
    )
    if authorised:
        reservations_local.use(charge_point.id, event)
    # A tag of our own has no Token: it charges, and nothing of it is published or billed over OCPI (OCPP-122).
    place = locations.place_of(charge_point.id, event.connector) if authorised and verdict.token else None
    reservation = reservations.taken_by(charge_point.id, event, verdict) if place is not None else None
    if place is not None:
        if reservation is None:
            row.snapshot, odd = snapshots.text_of(place, verdict, row.started_at)
        else:
            row.reserved_from = min(reservation.started_at or row.started_at, row.started_at)
            row.snapshot, odd = reservations.snapshot_of(reservation, place, verdict, row.started_at)
        row.flags += odd
        row.held = bool(odd)
    elif authorised and verdict.token:
        row.flags.append("no_evse")
        log.warning("connector %s of %s belongs to no EVSE: its session is not billed", event.connector, charge_point)
    row.save(force_insert=True)
    if place is not None:
        earlier = reservation.session if reservation is not None else sessions_pending.of_start(verdict)
        session = sessions.begin(row, earlier)
        preferences.note_default(row)
        _join(verdict, session.object_id)
        if reservation is not None:
            reservations.use(reservation)
    locations.refresh(charge_point.id, event.connector)
    return row


def note_phase(charge_point_id: int, event: ConnectorStatus, received_at: datetime) -> None:
    """Note from when on the car of an open transaction draws or parks (M-10)."""
    phase = metering.PHASE_OF.get(event.status)
    row = _open(charge_point_id, event.connector) if phase else None
    if row is None or phase is None or (row.phases[-1][1] if row.phases else metering.CHARGING) == phase:
        return
    at = event.moment.at
    if not event.moment.original:
        own = row.last_at or row.started_at
        at = own if abs(received_at - own) > _OTHER_CLOCK else at
    row.phases.append([max(at, row.started_at).isoformat(), phase])
    row.save(update_fields=["phases"])
    sessions.note_change(row)


def add_values(charge_point_id: int, event: MeterValues) -> None:
    """Keep meter values and bring the Session up to date; connector 0 is the main meter and never billed (OCPP-66)."""
    if event.connector == 0 and event.transaction_id is None:
        return
    row = _of_values(charge_point_id, event)
    if row is None or not event.samples:
        return
    newest = readings.keep(row, event.samples)
    if newest is not None and (row.last_at is None or newest > row.last_at):
        row.last_at = newest
        row.save(update_fields=["last_at"])
    if row.stopped_at is None:
        sessions.note_change(row)


def stop(message: InboxMessage, event: TransactionStopped) -> Transaction | None:
    """Store a stop, complete the Session and make its CDR; what fits no transaction is kept for the operator."""
    row = _matching(message.charge_point_id, event)
    if row is None:
        UnmatchedStop.objects.create(charge_point_id=message.charge_point_id, message=message)
        log.warning("a stop of charge point %s fits no transaction: %s", message.charge_point_id, event.transaction_id)
        return None
    if row.stopped_at is not None and not _replaces(row):
        if (row.stopped_at, row.meter_stop) != (max(event.moment.at, row.started_at), event.meter_stop_wh):
            UnmatchedStop.objects.create(charge_point_id=message.charge_point_id, message=message, transaction=row)
        return row
    readings.keep(row, event.samples)
    _stopped(row, at=event.moment.at, meter=event.meter_stop_wh, reason=event.reason, suspect=event.moment.suspect)
    locations.refresh(row.charge_point_id, row.connector_id)
    return row


def release(pk: int) -> None:
    """Complete the Session of a held transaction: an operator has looked at it (OCPP-45)."""
    with transaction.atomic():
        row = Transaction.objects.select_for_update(of=("self",)).select_related("session").get(pk=pk)
        if row.held and row.stopped_at is not None:
            row.held = False
            row.save(update_fields=["held"])
            _complete(row)


def discard(pk: int) -> None:
    """Make the Session of a held transaction INVALID: it will not be billed."""
    with transaction.atomic():
        row = Transaction.objects.select_for_update(of=("self",)).select_related("session").get(pk=pk)
        if row.held and row.session is not None:
            row.held = False
            row.save(update_fields=["held"])
            sessions.end(row, "discard")


def close_superseded() -> int:
    """Stop transactions whose real stop has not come, with their last reading; return how many (OCPP-41)."""
    due = Transaction.objects.filter(stopped_at=None, superseded_at__lte=clock.now() - SUPERSEDED_WAIT)
    pks = list(due.values_list("pk", flat=True)[:200])
    for pk in pks:
        close(pk)
    return len(pks)


def close(pk: int) -> bool:
    """Stop an open transaction with its last reading; its real stop takes the place of ours if it still comes."""
    with transaction.atomic():
        row = Transaction.objects.select_for_update(of=("self",)).select_related("session").get(pk=pk)
        if row.stopped_at is not None:
            return False
        last = row.readings.filter(flag="", register_wh__isnull=False).order_by("-at", "-id").first()
        at, meter = (row.started_at, row.meter_start) if last is None else (last.at, last.register_wh)
        row.synthetic = True
        _stopped(row, at=at, meter=meter or row.meter_start, reason="Other", suspect=False)
        return True


def settle_due() -> int:
    """Make the CDRs that waited for a real stop; return how many were due."""
    pks = list(Transaction.objects.filter(cdr_due_at__lte=clock.now()).values_list("pk", flat=True)[:200])
    for pk in pks:
        with transaction.atomic():
            row = Transaction.objects.select_for_update(of=("self",)).select_related("session").get(pk=pk)
            if row.cdr_due_at is not None:
                row.cdr_due_at = None
                row.save(update_fields=["cdr_due_at"])
                credits.settle(row, sessions.meter(row, snapshots.read(row.snapshot)))
    return len(pks)


# ---------------------------------------------------------------- the steps


def _stopped(row: Transaction, *, at: datetime, meter: Decimal, reason: str, suspect: bool) -> None:
    seen = snapshots.read(row.snapshot) if row.snapshot else None
    rated = seen.rated_power if seen else None
    faults = metering.faults_of_stop(row.started_at, row.meter_start, at, meter, rated)
    if reason == "EmergencyStop" and meter - row.meter_start < _SMALL * 1000:
        faults = (*faults, "emergency_stop")
    row.stopped_at, row.meter_stop, row.reason = max(at, row.started_at), meter, reason
    row.flags = list(dict.fromkeys([*row.flags, *faults, *(["clock_suspect"] if suspect else [])]))
    row.held = row.held or bool(faults)
    row.save()
    chargingprofiles.end(row)
    if row.session is None:
        return
    if row.held:
        log.warning("transaction %s is held: %s", row.transaction_id, ", ".join(row.flags))
        sessions.update(row)
    else:
        _complete(row)


def _complete(row: Transaction) -> None:
    """Complete the Session and make its CDR; what has no price is held, so that it is never lost."""
    if row.session is None:
        return
    metered = sessions.meter(row, snapshots.read(row.snapshot))
    if metered.priced is None:
        row.held = True
        row.flags = [*row.flags, "not_priceable"]
        row.save(update_fields=["held", "flags"])
        log.error("transaction %s has no price", row.transaction_id)
        return
    row.flags = list(dict.fromkeys([*row.flags, *metered.course.flags]))
    row.cdr_due_at = clock.now() + SYNTHETIC_WAIT if row.synthetic else None
    row.save(update_fields=["flags", "cdr_due_at"])
    if row.session.status == "ACTIVE":
        metered = sessions.end(row)
    if not row.synthetic:
        credits.settle(row, metered)


def _replaces(row: Transaction) -> bool:
    """Say whether a real stop takes the place of ours; a CDR that is out is corrected then (OCPP-42)."""
    if not row.synthetic or (row.session is not None and row.session.status == SessionStatus.INVALID):
        return False
    row.synthetic, row.cdr_due_at = False, None
    return True


def _supersede(charge_point_id: int, connector: int) -> None:
    older = Transaction.objects.filter(
        charge_point_id=charge_point_id, connector_id=connector, stopped_at=None, superseded_at=None
    )
    for row in older:
        row.superseded_at = clock.now()
        row.flags = [*row.flags, "superseded"]
        row.save(update_fields=["superseded_at", "flags"])


def _join(verdict: Verdict, session_id: str) -> None:
    """Join a Session with the START_SESSION that caused it."""
    if verdict.commanded_id is None:
        return
    commanded = CommandedToken.objects.select_related("command").get(pk=verdict.commanded_id)
    commanded.used_at = clock.now()
    commanded.save(update_fields=["used_at"])
    commanded.command.session_id = session_id
    commanded.command.save(update_fields=["session_id"])


def _matching(charge_point_id: int, event: TransactionStopped) -> Transaction | None:
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("session")
    row = rows.filter(charge_point_id=charge_point_id, transaction_id=event.transaction_id).first()
    if row is not None:
        return row
    unfinished = [
        each
        for each in rows.filter(charge_point_id=charge_point_id, stopped_at=None)
        if each.started_at <= event.moment.at and each.meter_start <= event.meter_stop_wh
    ]
    same_tag = [each for each in unfinished if event.id_token and each.id_tag.upper() == event.id_token.upper()]
    found = same_tag or unfinished
    return found[0] if len(found) == 1 else None


def _open(charge_point_id: int, connector: int) -> Transaction | None:
    rows = Transaction.objects.select_related("session").filter(
        charge_point_id=charge_point_id, connector_id=connector, stopped_at=None, superseded_at=None
    )
    return rows.order_by("-id").first()


def _of_values(charge_point_id: int, event: MeterValues) -> Transaction | None:
    rows = Transaction.objects.select_related("session").filter(charge_point_id=charge_point_id)
    if event.transaction_id is not None:
        row = rows.filter(transaction_id=event.transaction_id).first()
        if row is not None:
            return row
    at = max((sample.moment.at for sample in event.samples), default=clock.now())
    row = _open(charge_point_id, event.connector)
    return row if row is not None and row.started_at <= at else None


def _next_number() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('ocpp_transaction_id')")
        return int(cursor.fetchone()[0])
