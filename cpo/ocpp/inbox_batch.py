"""The next messages of many charge points at once, where they are plain statuses: the same effect, few statements.

Statuses are most of what charge points say, and nearly all of them have the same few effects. Those of many charge
points are applied in one transaction whose number of statements does not grow with theirs (OCPP-113). It takes one
message of each, so the order of one charge point's messages stays what it is, under the same locks (OCPP-99).

What a status means beside that (a transaction's phase, the end of a reservation, the effect of an operation) is left to
`inbox.step`, and so is what was tried before. If anything goes wrong nothing of the batch is written, and each message
is applied by itself: a bad one takes no other with it (OCPP-44).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import transaction

from cpo import metering, reservation_states
from cpo.gateway import frames
from cpo.models import InboxMessage
from cpo.modules import availability, connector_history, connector_states
from cpo.modules import locations_statuses as statuses
from cpo.ocpp import inbox, inbox_order, v16
from cpo.ocpp.events import ConnectorStatus
from ocpi import database_trouble, prepared, sql_arrays

log = logging.getLogger(__name__)

_PROTOCOL, _ACTION = "1.6", "StatusNotification"


@dataclass(slots=True)
class Applied:
    """What came of one look at many charge points, each of which is in one of these or had nothing to apply."""

    last: set[int] = field(default_factory=set)  # applied, and no other message was there
    more: set[int] = field(default_factory=set)  # applied, and others wait
    left: set[int] = field(default_factory=set)  # for `inbox.step`


@dataclass(frozen=True, slots=True)
class _Said:
    message: InboxMessage
    payload: dict[str, Any]
    event: ConnectorStatus
    more: bool

    @property
    def charge_point_id(self) -> int:
        return self.message.charge_point_id


def kinds(charge_point_ids: Collection[int]) -> tuple[set[int], set[int]]:
    """Return whose next message may be applied together with others, and whose are for `inbox.step`.

    Who has none to apply is in neither.
    """
    rows = prepared.fetch_all(_KINDS, [_PROTOCOL, _ACTION, sql_arrays.numbers(charge_point_ids)])
    plain = {charge_point_id for charge_point_id, is_plain in rows if is_plain}
    return plain, {charge_point_id for charge_point_id, is_plain in rows if not is_plain}


def apply(charge_point_ids: Collection[int]) -> Applied:
    """Apply the next message of each of these charge points, where it is a plain status.

    Whom another worker has is not among what came of it: that one goes on with it.
    """
    ids = set(charge_point_ids)
    while True:
        try:
            with transaction.atomic():
                found = _apply(ids)
            found.left |= set(charge_point_ids) - ids
            return found
        except statuses.BeingChanged as error:
            ids -= error.charge_point_ids  # they wait one by one, holding up nobody
        except Exception as error:  # one of them is bad; by itself it fails alone
            if isinstance(error.__cause__, psycopg.errors.DeadlockDetected):
                return Applied(left=set(charge_point_ids))
            if database_trouble.passes(error):
                raise  # the database's fault, not the messages'
            log.warning("%d messages are applied one by one", len(ids), exc_info=True)
            return Applied(left=set(charge_point_ids))


def _apply(charge_point_ids: Collection[int]) -> Applied:
    found = Applied()
    wanted = [sql_arrays.numbers(charge_point_ids), inbox_order.LOCK_KEYS]
    locked = [charge_point_id for (charge_point_id,) in prepared.fetch_all(_LOCK, wanted)]
    if not locked:
        return found
    # A statement of its own after the locks: only then does it see what their last holders have done.
    said = _read(locked, found)
    if not said:
        return found
    concerned = {number for (number,) in prepared.fetch_all(_MEANS_MORE, _meanings(said))}
    found.left |= {said[number].charge_point_id for number in concerned}
    plain = [each for number, each in enumerate(said) if number not in concerned]
    if not plain:
        return found
    kept = connector_states.note_all([(each.charge_point_id, each.event) for each in plain])
    if kept:
        statuses.refresh_all(sorted(kept))
    connector_history.note_all([(each.message, each.payload) for each in plain])
    prepared.fetch_all(_DONE, [sql_arrays.numbers([each.message.pk for each in plain])])
    for each in plain:
        (found.more if each.more else found.last).add(each.charge_point_id)
    return found


def _read(charge_point_ids: Sequence[int], found: Applied) -> list[_Said]:
    """Return what is said in the next messages; what is no plain status is noted as left."""
    said = []
    for *columns, more, charge_point_id in prepared.fetch_all(_NEXT, [sql_arrays.numbers(charge_point_ids)]):
        message = InboxMessage(charge_point_id=charge_point_id, **dict(zip(inbox_order.COLUMNS, columns, strict=True)))
        event, payload = _event(message)
        if event is None:
            found.left.add(charge_point_id)
        else:
            said.append(_Said(message, payload, event, more))
    return said


def _event(message: InboxMessage) -> tuple[ConnectorStatus | None, dict[str, Any]]:
    """Return what a message says if it is a plain status that was never tried."""
    if message.attempts or (message.protocol, message.action) != (_PROTOCOL, _ACTION):
        return None, {}
    try:
        payload = frames.read_payload(message.payload)
        event = v16.read(message.action, payload, message.received_at)
    except inbox.UNREADABLE:
        return None, {}
    return (event, payload) if isinstance(event, ConnectorStatus) else (None, {})


def _meanings(said: Sequence[_Said]) -> dict[str, Any]:
    return {
        "points": [str(each.charge_point_id) for each in said],
        "connectors": [str(each.event.connector) for each in said],
        "moments": [each.event.moment.at if each.event.moment.original else None for each in said],
        "are_phases": ["t" if each.event.status in metering.PHASE_OF else "f" for each in said],
        "are_endings": ["t" if each.event.status in reservation_states.ENDING_STATUSES else "f" for each in said],
        "accepted": reservation_states.ACCEPTED,
        "action": availability.ACTION,
        "pending": availability.PENDING,
    }


_KINDS = """
SELECT w.id, m.protocol = %s AND m.action = %s AND m.attempts = 0 FROM unnest(%s::text::bigint[]) AS w(id)
CROSS JOIN LATERAL (SELECT protocol, action, attempts FROM cpo_inboxmessage
                    WHERE charge_point_id = w.id AND state = 'NEW' ORDER BY id LIMIT 1) AS m
"""
_LOCK = "SELECT w.id FROM unnest(%s::text::bigint[]) AS w(id) WHERE pg_try_advisory_xact_lock(%s + w.id)"
_NEXT = f"""
SELECT {", ".join(f"m.{name}" for name in inbox_order.COLUMNS)},
       EXISTS (SELECT FROM cpo_inboxmessage n WHERE n.charge_point_id = w.id AND n.state = 'NEW' AND n.id > m.id), w.id
FROM unnest(%s::text::bigint[]) AS w(id)
CROSS JOIN LATERAL (SELECT {", ".join(inbox_order.COLUMNS)} FROM cpo_inboxmessage
                    WHERE charge_point_id = w.id AND state = 'NEW' ORDER BY id LIMIT 1) AS m
ORDER BY m.id
"""  # noqa: S608 - constants only
# As `transactions.note_phase`, `reservations.interrupt` and `availability.note_status` ask for one message.
_MEANS_MORE = """
SELECT w.number - 1 FROM unnest(%(points)s::text[]::bigint[], %(connectors)s::text[]::int[],
    %(moments)s::text[]::timestamptz[], %(are_phases)s::text[]::bool[], %(are_endings)s::text[]::bool[])
    WITH ORDINALITY AS w(point, connector, at, is_phase, is_ending, number)
WHERE (w.is_phase AND EXISTS (SELECT FROM cpo_transaction t
                              WHERE t.charge_point_id = w.point AND t.connector_id = w.connector
                              AND t.stopped_at IS NULL))
   OR (w.is_phase AND EXISTS (SELECT FROM cpo_transaction t
                              WHERE t.charge_point_id = w.point AND t.connector_id = w.connector
                              AND t.stopped_at > w.at))
   OR (w.is_ending AND EXISTS (SELECT FROM cpo_reservation r
                               WHERE r.charge_point_id = w.point AND r.state = %(accepted)s))
   OR EXISTS (SELECT FROM cpo_operation o
              WHERE o.charge_point_id = w.point AND o.action = %(action)s AND o.effect = %(pending)s)
"""
_DONE = "UPDATE cpo_inboxmessage SET state = 'DONE', error = '' WHERE id = ANY(%s::text::bigint[])"
