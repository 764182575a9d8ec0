"""Transactions of OCPP 2.0.1: told in events that come in any order, any number of times (OCPP-49 … OCPP-57).

Each event is kept once; then the whole transaction is worked out anew from all of them (`cpo.transaction_events`), and
the row, its Session and its CDR follow. An end with events missing before it waits for them: after a minute the charge
point is asked whether more is to come, after a quarter of an hour what is there has to do.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from django.db import transaction

from cpo import metering, transaction_events
from cpo.gateway import frames, operations
from cpo.models import InboxMessage, Operation, Transaction, TransactionEvent
from cpo.modules import connectors, readings, snapshots, transactions, transactions_ending, transactions_starting
from cpo.modules import locations_operations as locations
from cpo.modules import sessions_operations as sessions
from cpo.modules import transactions_tokens as tokens
from cpo.modules.authorization import Verdict
from cpo.ocpp import calls
from cpo.ocpp.events import MeterValues, TransactionStarted
from cpo.ocpp.events import TransactionEvent as Event
from cpo.transaction_events import ENDED, Course, Told
from ocpi import clock, documents
from ocpi.headers import Address
from ocpi.v2_2_1.sessions import SessionStatus

log = logging.getLogger(__name__)

ASKED_AFTER = timedelta(seconds=60)
GIVEN_UP_AFTER = timedelta(minutes=15)
_ZERO = Decimal(0)


def find(charge_point_id: int, ocpp_id: str, *, lock: bool = False) -> Transaction | None:
    """Return what is known of a transaction by the charge point's own id."""
    rows = Transaction.objects.select_related("session", "charge_point")
    if lock:  # time closes and completes transactions beside the charge point's messages
        rows = rows.select_for_update(of=("self",))
    return rows.filter(charge_point_id=charge_point_id, ocpp_id=ocpp_id).first()


def known_event(row: Transaction | None, event: Event) -> TransactionEvent | None:
    """Return the same event if it has come before (OCPP-49)."""
    if row is None:
        return None
    same = row.events.filter(seq_no=event.seq_no, kind=event.kind)
    if event.moment.suspect:  # its time is only that of its receipt
        return same.filter(facts__said=event.moment.original).first()
    return same.filter(at=event.moment.at).first()


def take(message: InboxMessage, event: Event, verdict: Verdict | None) -> dict[str, Any]:
    """Keep an event and let everything follow from it; return the answer (OCPP-55)."""
    row = find(message.charge_point_id, event.transaction_id, lock=True)
    known = known_event(row, event)
    if known is not None:
        answered: dict[str, Any] = msgspec.json.decode(known.answer or "{}")
        return answered
    row = row or _new(message, event)
    kept = _keep(row, message, event, verdict)
    row.started_by = tokens.note_remote_start(row, event)
    _follow(row)
    answer = tokens.answer(row, event, verdict)
    kept.answer = frames.payload_text(answer)
    kept.save(update_fields=["answer"])
    return answer


def add_values(message: InboxMessage, event: MeterValues) -> None:
    """Keep meter values of an EVSE with its transaction of then; EVSE 0 is the main meter, never billed (OCPP-66)."""
    at = max((sample.moment.at for sample in event.samples), default=None)
    if not event.evse or at is None:
        return
    numbers = connectors.numbers_of(message.charge_point_id, event.evse)
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("session", "charge_point")
    rows = rows.filter(charge_point_id=message.charge_point_id, connector_id__in=numbers, started_at__lte=at)
    row = rows.filter(stopped_at=None).order_by("-id").first() or rows.order_by("-started_at").first()
    if row is None or (row.stopped_at is not None and row.stopped_at < at):
        return
    readings.keep(row, event.samples)
    if row.stopped_at is None and row.ocpp_id:
        _follow(row)


def complete_due() -> int:
    """Ask about ended transactions with missing events, and complete those that wait long enough (OCPP-52)."""
    due = Transaction.objects.filter(gap_since__lte=clock.now() - ASKED_AFTER)
    pks = list(due.values_list("pk", flat=True)[:200])
    for pk in pks:
        with transaction.atomic():
            _look(transactions_ending.locked(pk))
    return len(pks)


# ---------------------------------------------------------------- kept


def _new(message: InboxMessage, event: Event) -> Transaction:
    return Transaction.objects.create(
        charge_point=message.charge_point,
        connector_id=0,
        transaction_id=transactions.next_number(),
        ocpp_id=event.transaction_id,
        authorised=False,
        started_at=event.moment.at,
        meter_start=_ZERO,
        heard_at=clock.now(),
    )


def _keep(row: Transaction, message: InboxMessage, event: Event, verdict: Verdict | None) -> TransactionEvent:
    number = connectors.number_of(row.charge_point_id, event.evse, event.connector) if event.evse else None
    samples = readings.turned(row.charge_point, event.samples)
    registers = [each for each in samples if readings.is_register(each)]
    begins = [each.value for each in registers if each.context == "Transaction.Begin"]
    ends = [each.value for each in registers if each.context == "Transaction.End"]
    if not ends and event.kind == ENDED:
        ends = [each.value for each in registers if each.context != "Transaction.Begin"]
    facts = {
        "trigger": event.trigger,
        "charging_state": event.charging_state,
        "reason": event.stopped_reason,
        "number": number,
        "plug": event.connector,
        "id_token": event.id_token,
        "token_type": event.token_type,
        "begin_wh": str(begins[0]) if begins else None,
        "end_wh": str(ends[-1]) if ends else None,
        "suspect": event.moment.suspect,
        "said": event.moment.original,
        "offline": event.offline,
        "reservation": event.reservation_id,
        "remote_start": event.remote_start_id,
        **tokens.facts(row, event, verdict),
    }
    kept = TransactionEvent.objects.create(
        transaction=row,
        seq_no=event.seq_no,
        kind=event.kind,
        at=event.moment.at,
        facts=facts,
        received_at=message.received_at,
    )
    readings.keep(row, event.samples)
    return kept


def _told(kept: TransactionEvent) -> Told:
    facts = kept.facts
    return Told(
        kind=kept.kind,
        seq_no=kept.seq_no,
        at=kept.at,
        trigger=facts["trigger"],
        charging_state=facts["charging_state"],
        reason=facts["reason"],
        number=facts["number"],
        plug=facts["plug"],
        id_token=facts["id_token"],
        token_type=facts["token_type"],
        status=facts.get("status", ""),
        begin_wh=_decimal(facts["begin_wh"]),
        end_wh=_decimal(facts["end_wh"]),
        suspect=facts["suspect"],
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


# ---------------------------------------------------------------- what follows


def _follow(row: Transaction) -> None:
    """Work the transaction out anew and bring everything up to date with it."""
    kept = list(row.events.order_by("id"))
    if not kept:
        return
    told = [_told(each) for each in kept]
    course = transaction_events.course(told)
    numbers = {row.connector_id, course.number}
    was_ended = row.stopped_at is not None and not row.synthetic
    _write(row, course, told)
    if row.session is None and course.begins_at is not None and course.number:
        _begin(row, kept, course)
    elif row.session is not None and course.token is not None:
        _retake(row, kept, course)
    if course.ended_at is not None:
        _end(row, course, told, late=was_ended)
    elif row.stopped_at is None:
        row.save()
        sessions.note_change(row)
    else:
        row.save()  # closed by us: its real end is still to come
    for number in numbers - {0}:
        locations.refresh(row.charge_point_id, number)


def _write(row: Transaction, course: Course, told: list[Told]) -> None:
    registers = [(each.at, each.register) for each in readings.of(row) if each.register is not None]
    begin, _ = transaction_events.outer_registers(told, registers, course.started_at)
    if not readings.has_registers(row):
        begin = _ZERO  # they are counted by us, from the start
    row.connector_id, row.plug = course.number, course.plug
    row.started_at, row.meter_start = course.started_at, begin if begin is not None else _ZERO
    row.charging_state = course.charging_state
    row.phases = [[at.isoformat(), phase] for at, phase in course.phases]
    row.flags = list(dict.fromkeys([*(flag for flag in row.flags if flag != "no_start"), *course.flags]))
    row.heard_at = clock.now()
    row.last_at = max((at for at, _ in registers), default=row.last_at)
    if course.token is not None:
        row.id_tag, row.token_type = course.token.id_token or row.id_tag, course.token.token_type
        row.authorised = course.accepted
    if row.session is not None and row.session.status == SessionStatus.ACTIVE:
        row.session.start_date_time = row.started_at


def _begin(row: Transaction, kept: list[TransactionEvent], course: Course) -> None:
    """Begin the Session: the token is accepted and the car is connected (OCPP-53)."""
    verdict = tokens.verdict_of(kept, course)
    reservation_id = next((each.facts["reservation"] for each in kept if each.facts["reservation"]), None)
    asked = TransactionStarted(
        connector=row.connector_id,
        id_token=row.id_tag,
        meter_start_wh=row.meter_start,
        moment=tokens.moment(row.started_at),
        reservation_id=reservation_id,
    )
    row.flags = list(dict.fromkeys([*row.flags, *tokens.flags_of(kept, course)]))
    beginning = transactions_starting.prepare(row, asked, verdict)
    row.save()
    transactions_starting.supersede(row)
    if beginning is not None:
        transactions_starting.begin(row, beginning, verdict)


def _retake(row: Transaction, kept: list[TransactionEvent], course: Course) -> None:
    """Go by an earlier token that has become known, as if it had come first (OCPP-50); never by another eMSP's."""
    session, verdict = row.session, tokens.verdict_of(kept, course)
    seen = snapshots.read(row.snapshot)
    if session is None or session.status != SessionStatus.ACTIVE or not verdict.token:
        return
    if documents.get(verdict.token, "uid") == seen.token["uid"]:
        return
    owner = Address(str(documents.get(verdict.token, "country_code")), str(documents.get(verdict.token, "party_id")))
    if owner.key != seen.emsp.key:
        row.held, row.flags = True, list(dict.fromkeys([*row.flags, "token_of_another_emsp"]))
        return
    row.snapshot = snapshots.with_token(row.snapshot, verdict)
    session.token_uid = str(documents.get(verdict.token, "uid"))


def _end(row: Transaction, course: Course, told: list[Told], *, late: bool) -> None:
    """End it, if it has not ended yet; what comes late is counted in, and a CDR that is out is corrected."""
    at = course.ended_at or row.started_at
    _, meter = transaction_events.outer_registers(told, (), at)
    meter_stop = _last_register(row, at) if meter is None else meter
    if late and row.gap_since is None:
        _correct(row, at, meter_stop, course.reason)
        return
    if row.stopped_at is not None and not late and not transactions_ending.gives_way(row):
        row.save()
        return
    row.gap_since = None if course.complete else row.gap_since or clock.now()
    transactions_ending.stopped(
        row, at=at, meter=meter_stop, reason=course.reason, trigger=course.trigger, whole=course.complete
    )


def _last_register(row: Transaction, at: datetime) -> Decimal:
    """Return the last register that is plausible, where the end gives none."""
    within = [each for each in readings.of(row) if each.at <= at]
    rated = snapshots.read(row.snapshot).rated_power if row.snapshot else None
    return metering.course(row.started_at, row.meter_start, within, rated_power=rated).meter_end


def _correct(row: Transaction, at: datetime, meter: Decimal, reason: str) -> None:
    row.stopped_at, row.meter_stop, row.reason = at, meter, reason
    row.save()
    transactions_ending.count_in(row)


# ---------------------------------------------------------------- events that are missing


def _look(row: Transaction) -> None:
    if row.gap_since is None:
        return
    waited = clock.now() - row.gap_since
    if waited >= GIVEN_UP_AFTER or _says_no_more(row):
        row.gap_since = None
        row.flags = list(dict.fromkeys([*row.flags, "incomplete"]))
        log.warning("%s of %s is completed with events missing", row, row.charge_point)
        at, meter = row.stopped_at or row.started_at, row.meter_stop or row.meter_start
        transactions_ending.stopped(row, at=at, meter=meter, reason=row.reason)


def _says_no_more(row: Transaction) -> bool:
    """Ask once whether messages of a transaction are still to come; say whether the answer is no."""
    key = f"transaction status {row.pk} {row.gap_since:%Y%m%d%H%M%S%f}"
    asked = Operation.objects.filter(idempotency_key=key).first()
    if asked is None:
        try:
            operations.ask(
                row.charge_point,
                "GetTransactionStatus",
                {"transactionId": row.ocpp_id},
                asked_by="missing events",
                idempotency_key=key,
            )
        except (operations.QueueFull, operations.UnknownAction) as error:
            log.warning("%s cannot be asked about: %s", row, error)
        return False
    return asked.state == "ANSWERED" and calls.raw_answer(asked).get("messagesInQueue") is False
