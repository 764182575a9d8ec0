"""In: take the committed messages of charge points, once each and in order, and apply what they say happened.

The gateway commits a message before it answers it; from then on it is ours. One charge point's messages are applied
strictly in their order, each in one transaction together with everything that follows from it: the row is DONE exactly
if its effect is there (OCPP-98, OCPP-99). A transaction lock per charge point makes any number of workers safe.

Authorize and StartTransaction want an answer from us, written into the row with its effect; a trigger tells the
gateway. If the eMSP has to be asked first, `step` writes nothing and returns the question: whoever runs us asks it
without any transaction, and calls `step` again with the verdict.

A message that cannot be read is parked at once; one that fails is tried again, and parked after the fifth time. Both
are shown to the operator and hold up nobody (OCPP-44); while it waits for its next try it holds up its own transaction
alone (`inbox_order.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models.functions import Now

from cpo.gateway import frames
from cpo.gateway.frames import FrameError, PayloadError
from cpo.gateway_models import InboxState
from cpo.models import ChargePoint, InboxMessage
from cpo.modules import (
    authorization,
    connector_states,
    features,
    smart_charging,
    station_events,
    tokens,
    transactions,
    transactions_201,
    transactions_tokens,
)
from cpo.modules import locations_operations as locations
from cpo.modules import reservations_operations as reservations
from cpo.modules.authorization import Question, Verdict
from cpo.ocpp import events, fields, inbox_order, v16, v201
from cpo.ocpp.events import Event
from cpo.ocpp.inbox_order import next_message
from cpo.ocpp.inbox_order import waiting as waiting
from cpo.whitelist_states import ACCEPTED, INVALID
from ocpi import database_trouble, documents, prepared
from ocpi.headers import Address

log = logging.getLogger(__name__)

ATTEMPTS = 5
UNREADABLE = (fields.Unreadable, PayloadError, FrameError, ValueError)


KEPT, STARTS_KEPT = 14, 90  # days
_FORGET = """
DELETE FROM cpo_inboxmessage WHERE id IN (
    SELECT m.id FROM cpo_inboxmessage m
    WHERE m.state = 'DONE' AND m.received_at < now() - make_interval(days => %s)
      AND (m.action <> 'StartTransaction' OR m.received_at < now() - make_interval(days => %s))
      AND NOT EXISTS (SELECT FROM cpo_unmatchedstop u WHERE u.message_id = m.id)
    ORDER BY m.id LIMIT 10000)
"""
_FORGET_ANSWERS = """
DELETE FROM cpo_authorizationanswer WHERE id IN (
    SELECT id FROM cpo_authorizationanswer WHERE at < now() - interval '1 day' LIMIT 10000)
"""


class Step(Enum):
    """What came of one look at a charge point's messages."""

    APPLIED = "applied"
    LAST = "applied, and no other was there"  # one that comes meanwhile is told of
    NOTHING = "nothing waits"
    BUSY = "another worker has it"
    FAILED = "to be tried again"
    PARKED = "left to the operator"


@dataclass(frozen=True, slots=True)
class Asking:
    """The next message needs an answer of the eMSP first."""

    message_id: int
    question: Question


def step(charge_point_id: int, verdicts: Mapping[int, Verdict], *, at_once: bool = False) -> Step | Asking:
    """Apply the next message of a charge point; `verdicts` are answers to earlier questions, by message.

    `at_once` tries a failed one again without waiting.
    """
    message: InboxMessage | None = None
    try:
        with transaction.atomic():
            if not _lock(charge_point_id):
                return Step.BUSY
            # A statement of its own after the lock: only then does it see what the lock's last holder has done.
            message, more = next_message(charge_point_id, at_once=at_once)
            if message is None:
                return Step.NOTHING
            event = _read(message)
            if event is None:
                return Step.PARKED
            found = _apply(message, event, verdicts)
            return Step.LAST if found is Step.APPLIED and not more else found
    except Exception as error:  # one of the three edges: a message must not stop the others
        if database_trouble.passes(error):
            raise  # the database's fault, not the message's
        log.exception("message %s of charge point %s failed", message and message.pk, charge_point_id)
        return _failed(message, error)


def apply_all() -> int:
    """Apply everything that waits, in this thread, eMSPs asked on the way; return how many messages were applied."""
    applied, verdicts = 0, dict[int, Verdict]()
    for charge_point_id in waiting(at_once=True):
        while True:
            found = step(charge_point_id, verdicts, at_once=True)
            if isinstance(found, Asking):
                verdicts[found.message_id] = authorization.ask(found.question)
                continue
            applied += found in (Step.APPLIED, Step.LAST)
            if found in (Step.NOTHING, Step.BUSY, Step.LAST):
                break
    return applied


def forget_old() -> int:
    """Remove what was applied long ago, a batch at a time; return how many rows.

    Starts stay longer: a charge point may repeat one after weeks (OCPP-38). What an operator may look at stays.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [KEPT, STARTS_KEPT])
        messages = cursor.rowcount
        cursor.execute(_FORGET_ANSWERS)
        return int(messages + cursor.rowcount)


def retry_seconds(attempts: int) -> float:
    """Return how long a failed message waits before its next try."""
    return float(min(2**attempts, 30))


def _lock(charge_point_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [inbox_order.LOCK_KEYS + charge_point_id])
        return bool(cursor.fetchone()[0])


def _read(message: InboxMessage) -> Event | None:
    try:
        read = v16.read if message.protocol == "1.6" else v201.read
        return read(message.action, message.payload, message.received_at)
    except UNREADABLE as error:
        log.warning("message %s cannot be read: %s", message.pk, error)
        _settle(message, InboxState.FAILED, error=f"{type(error).__name__}: {error}")
        return None


def _apply(message: InboxMessage, event: Event, verdicts: Mapping[int, Verdict]) -> Step | Asking:
    answer: dict[str, Any] | None = None
    match event:
        case events.AuthorizeAsked() | events.TransactionStarted():
            decided = _decide(message, event, verdicts)
            if isinstance(decided, Asking):
                return decided
            answer = _answer(message, event, decided)
        case events.TransactionStopped():
            transactions.stop(message, event)
        case events.TransactionEvent():
            found = _take_event(message, event, verdicts)
            if isinstance(found, Asking):
                return found
            answer = found
        case events.MeterValues() if event.evse is not None:
            transactions_201.add_values(message, event)
        case events.MeterValues():
            transactions.add_values(message.charge_point_id, event)
        case events.ConnectorStatus():
            _note_state(message, event)
        case events.ConnectorStates():
            for state in event.states:
                _note_state(message, state)
        case events.Booted():
            features.note_boot(message.charge_point_id, event)
            smart_charging.note_boot(message.charge_point_id)
            locations.refresh(message.charge_point_id)
        case _:
            pass  # what else there is to do is in the table of station_events
    answer = station_events.note(message) or answer
    _settle(message, InboxState.DONE, answer=answer)
    return Step.APPLIED


def _note_state(message: InboxMessage, event: events.ConnectorStatus) -> None:
    charge_point_id = message.charge_point_id
    if event.evse is None:
        kept = [event.connector] if connector_states.note(charge_point_id, event) else []
        transactions.note_phase(charge_point_id, event, message.received_at)
    else:
        kept = connector_states.note_201(charge_point_id, event)
    for number in kept:
        reservations.interrupt(charge_point_id, replace(event, connector=number))
        locations.refresh(charge_point_id, number)


def _decide(
    message: InboxMessage, event: events.AuthorizeAsked | events.TransactionStarted, verdicts: Mapping[int, Verdict]
) -> Verdict | Asking:
    known = verdicts.get(message.pk)
    if known is not None:
        return known
    connector = event.connector if isinstance(event, events.TransactionStarted) else None
    token_type = event.token_type if isinstance(event, events.AuthorizeAsked) else ""
    if token_type == transactions_tokens.NO_AUTHORIZATION:
        return Verdict(ACCEPTED)
    if not message.charge_point.is_accepted:
        return Verdict(INVALID)  # kept and answered; nothing of it is published, and no eMSP is asked (OCPP-32)
    decided = authorization.prepare(message.charge_point, event.id_token, connector=connector, token_type=token_type)
    return Asking(message.pk, decided) if isinstance(decided, Question) else decided


def _take_event(
    message: InboxMessage, event: events.TransactionEvent, verdicts: Mapping[int, Verdict]
) -> dict[str, Any] | Asking:
    row = transactions_201.find(message.charge_point_id, event.transaction_id)
    verdict: Verdict | Question | None = verdicts.get(message.pk)
    if verdict is None and transactions_201.known_event(row, event) is None:
        verdict = transactions_tokens.prepare(message, row, event) if message.charge_point.is_accepted else None
    if isinstance(verdict, Question):
        return Asking(message.pk, verdict)
    return transactions_201.take(message, event, verdict)


def _answer(
    message: InboxMessage, event: events.AuthorizeAsked | events.TransactionStarted, verdict: Verdict
) -> dict[str, Any]:
    if isinstance(event, events.AuthorizeAsked):
        authorization.remember(message.charge_point, event.id_token, verdict)
        if message.protocol != "1.6":
            return transactions_tokens.authorize_answer(event, verdict)
        return {"idTagInfo": _id_tag_info(message.charge_point, verdict)}
    row = transactions.start(message, event, verdict)
    return {"idTagInfo": _id_tag_info(message.charge_point, verdict), "transactionId": row.transaction_id}


def _id_tag_info(charge_point: ChargePoint, verdict: Verdict) -> dict[str, Any]:
    info: dict[str, Any] = {"status": verdict.told("1.6")}
    owner = Address(charge_point.country_code, charge_point.party_id)
    group: object = verdict.parent
    if verdict.token:
        token = documents.members(verdict.token)
        owner = Address(*(msgspec.json.decode(token[name], type=str) for name in ("country_code", "party_id")))
        group = documents.get(verdict.token, "group_id")
    if isinstance(group, str) and group:
        info["parentIdTag"] = tokens.parent_id_tag(owner, group)
    return info


def _settle(message: InboxMessage, state: InboxState, *, answer: dict[str, Any] | None = None, error: str = "") -> None:
    """End a message; an answer that the gateway has given in our stead stays (`gave_up`)."""
    prepared.fetch_all(
        "UPDATE cpo_inboxmessage SET state = %s, error = %s, answer = COALESCE(answer, %s) WHERE id = %s",
        [state.value, error[:2000], None if answer is None else frames.payload_text(answer), message.pk],
    )


def _failed(message: InboxMessage | None, error: Exception) -> Step:
    if message is None:
        return Step.FAILED
    attempts = message.attempts + 1
    state = InboxState.FAILED if attempts >= ATTEMPTS else InboxState.NEW
    InboxMessage.objects.filter(pk=message.pk, state=InboxState.NEW).update(
        attempts=attempts,
        state=state,
        error=f"{type(error).__name__}: {error}"[:2000],
        retry_at=Now() + timedelta(seconds=retry_seconds(attempts)),
    )
    return Step.PARKED if state == InboxState.FAILED else Step.FAILED
