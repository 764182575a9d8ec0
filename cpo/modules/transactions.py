"""Transactions of OCPP 1.6: started, metered, stopped; with the Session and the CDR they make.

Everything here runs in the caller's transaction. A start is always stored, whatever the authorisation says (OCPP-39);
a stop is never applied to a guessed connector (OCPP-43); what is not plausible waits for an operator (OCPP-45).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import connection

from cpo import metering
from cpo.gateway_models import InboxState
from cpo.models import InboxMessage, Transaction, UnmatchedStop
from cpo.modules import locations_operations as locations
from cpo.modules import readings, tokens, transactions_ending, transactions_starting
from cpo.modules import sessions_operations as sessions
from cpo.modules.authorization import Verdict
from cpo.modules.transactions_ending import close as close
from cpo.modules.transactions_ending import close_stale as close_stale
from cpo.modules.transactions_ending import close_superseded as close_superseded
from cpo.modules.transactions_ending import discard as discard
from cpo.modules.transactions_ending import release as release
from cpo.modules.transactions_ending import settle_due as settle_due
from cpo.ocpp.events import ConnectorStatus, MeterValues, TransactionStarted, TransactionStopped
from ocpi import clock, prepared

log = logging.getLogger(__name__)

# Without a timestamp a status is of now, unless the charge point's own clock is far from ours.
_OTHER_CLOCK = timedelta(hours=1)
_BEFORE = timedelta(minutes=1)  # that a status of a transaction may be before its start
_OPEN_OR_AFTER = """
SELECT EXISTS (SELECT FROM cpo_transaction
               WHERE charge_point_id = %(charge_point)s AND connector_id = %(connector)s AND stopped_at IS NULL)
    OR EXISTS (SELECT FROM cpo_transaction
               WHERE charge_point_id = %(charge_point)s AND connector_id = %(connector)s
               AND stopped_at > %(at)s::timestamptz)
"""


def start(message: InboxMessage, event: TransactionStarted, verdict: Verdict) -> Transaction:
    """Store a start and, if it is authorised at an EVSE of ours, begin its Session or go on with a reservation's."""
    number = message.transaction_id or next_number()
    known = Transaction.objects.filter(transaction_id=number).first()
    if known is not None:
        return known
    charge_point = message.charge_point
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
        heard_at=clock.now(),
    )
    beginning = transactions_starting.prepare(row, event, verdict)
    row.save(force_insert=True)
    transactions_starting.supersede(row)
    if beginning is not None:
        transactions_starting.begin(row, beginning, verdict)
    locations.refresh(charge_point.id, event.connector)
    return row


def note_phase(charge_point_id: int, event: ConnectorStatus, received_at: datetime) -> None:
    """Note from when on the car of a transaction draws or parks (M-10), in whatever order that is told."""
    phase = metering.PHASE_OF.get(event.status)
    if phase is None:
        return
    at = event.moment.at
    if not _may_be_of_one(charge_point_id, event.connector, at if event.moment.original else None):
        return  # most of what connectors say, asked without what it takes to load a transaction
    row = _open(charge_point_id, event.connector)
    if row is not None and not event.moment.original:
        own = row.last_at or row.started_at
        at = own if abs(received_at - own) > _OTHER_CLOCK else at
    if row is None or at < row.started_at - _BEFORE:
        # Of another time: told again after an outage, or late.
        row = _ended(charge_point_id, event.connector, at) if event.moment.original else None
    if row is None:
        return
    said = [max(at, row.started_at).isoformat(), phase]
    if said in row.phases:
        return
    row.phases = sorted([*row.phases, said], key=lambda each: (datetime.fromisoformat(each[0]), each[1]))
    row.save(update_fields=["phases"])
    _follow(row)


def add_values(charge_point_id: int, event: MeterValues) -> None:
    """Keep meter values and bring the Session up to date; connector 0 is the main meter and never billed (OCPP-66).

    What was measured after the stop is kept and counts for nothing.
    """
    if event.connector == 0 and event.transaction_id is None:
        return
    row = _of_values(charge_point_id, event)
    if row is None or not event.samples:
        return
    newest = readings.keep(row, event.samples)
    row.heard_at = clock.now()
    if newest is not None and (row.last_at is None or newest > row.last_at):
        row.last_at = newest
    row.save(update_fields=["last_at", "heard_at"])
    if row.stopped_at is None or any(sample.moment.at <= row.stopped_at for sample in event.samples):
        _follow(row)


def _follow(row: Transaction) -> None:
    if row.stopped_at is None:
        sessions.note_change(row)
    else:
        transactions_ending.count_in(row)


def stop(message: InboxMessage, event: TransactionStopped) -> Transaction | None:
    """Store a stop, complete the Session and make its CDR; what fits no transaction is kept for the operator."""
    row = _matching(message.charge_point_id, event)
    if row is None:
        if _is_repeat(message):
            return None
        UnmatchedStop.objects.create(charge_point_id=message.charge_point_id, message=message)
        log.warning("a stop of charge point %s fits no transaction: %s", message.charge_point_id, event.transaction_id)
        return None
    if row.stopped_at is not None and not transactions_ending.gives_way(row):
        same = (row.stopped_at, row.meter_stop) == (max(event.moment.at, row.started_at), event.meter_stop_wh)
        if not same and not _is_repeat(message):
            UnmatchedStop.objects.create(charge_point_id=message.charge_point_id, message=message, transaction=row)
        return row
    readings.keep(row, event.samples)
    _note_other_tag(row, event)
    transactions_ending.stopped(
        row,
        at=event.moment.at,
        meter=event.meter_stop_wh,
        reason=event.reason,
        suspect=event.moment.suspect,
        ahead=event.moment.is_ahead,
    )
    locations.refresh(row.charge_point_id, row.connector_id)
    return row


def next_number() -> int:
    """Return a transactionId that was never used (OCPP-37)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('ocpp_transaction_id')")
        return int(cursor.fetchone()[0])


def _is_repeat(message: InboxMessage) -> bool:
    """Say whether a charge point has sent this very stop before, under another message id (OCPP-42).

    Where its clock cannot be right, each is taken for one of the moment it came, so times alone do not tell.
    """
    before = InboxMessage.objects.filter(
        charge_point_id=message.charge_point_id, action=message.action, pk__lt=message.pk, state=InboxState.DONE
    )
    return before.filter(payload=message.payload).exists()


def _note_other_tag(row: Transaction, event: TransactionStopped) -> None:
    """Note a tag that stops what another has started; it stops it all the same (OCPP-47)."""
    if not event.id_token or event.id_token.upper() == row.id_tag.upper():
        return
    if not tokens.in_one_group(row.id_tag, event.id_token):
        row.flags = [*row.flags, "other_token"]


def _matching(charge_point_id: int, event: TransactionStopped) -> Transaction | None:
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("session", "charge_point")
    rows = rows.filter(charge_point_id=charge_point_id, ocpp_id="")
    row = rows.filter(transaction_id=event.transaction_id).first()
    if row is not None:
        return row
    unfinished = [
        each
        for each in rows.filter(stopped_at=None)
        if each.started_at <= event.moment.at and each.meter_start <= event.meter_stop_wh
    ]
    same_tag = [each for each in unfinished if event.id_token and each.id_tag.upper() == event.id_token.upper()]
    found = same_tag or unfinished
    return found[0] if len(found) == 1 else None


def _may_be_of_one(charge_point_id: int, connector: int, at: datetime | None) -> bool:
    """Say whether a transaction is open at a connector, or went on after a moment."""
    values = {"charge_point": charge_point_id, "connector": connector, "at": at}
    [(found,)] = prepared.fetch_all(_OPEN_OR_AFTER, values)
    return bool(found)


def _open(charge_point_id: int, connector: int) -> Transaction | None:
    rows = Transaction.objects.select_related("session", "charge_point").filter(
        charge_point_id=charge_point_id, connector_id=connector, stopped_at=None, superseded_at=None
    )
    return rows.order_by("-id").first()


def _ended(charge_point_id: int, connector: int, at: datetime) -> Transaction | None:
    """Return the transaction that went on at a connector then and has ended since."""
    rows = Transaction.objects.select_related("session", "charge_point").filter(
        charge_point_id=charge_point_id, connector_id=connector, ocpp_id="", started_at__lte=at, stopped_at__gt=at
    )
    return rows.order_by("-started_at", "-id").first()


def _of_values(charge_point_id: int, event: MeterValues) -> Transaction | None:
    rows = Transaction.objects.select_related("session", "charge_point").filter(charge_point_id=charge_point_id)
    if event.transaction_id is not None:
        row = rows.filter(transaction_id=event.transaction_id, ocpp_id="").first()
        if row is not None:
            return row
    at = max((sample.moment.at for sample in event.samples), default=clock.now())
    row = _open(charge_point_id, event.connector)
    return row if row is not None and row.started_at <= at else _ended(charge_point_id, event.connector, at)
