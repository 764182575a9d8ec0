"""Reading due deliveries of many lanes and settling many outcomes, each in one statement."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec
from django.conf import settings
from django.db import connection, transaction

from ocpi import delivery_states, outbox_policy
from ocpi.models import Delivery
from ocpi.outbox_wake import Lane


@dataclass(slots=True, eq=False)
class Row:
    """A delivery as it was when it was read; `change` was read before the document (REL-18)."""

    id: int
    platform_id: int
    slot: int
    kind: str
    order_key: str
    module: str
    path: str
    query: str
    url: str
    source: str
    source_id: int | None
    fields: list[str] | None
    body: str
    deleted: bool
    change: int
    to_country_code: str
    to_party_id: str
    from_country_code: str
    from_party_id: str
    correlation_id: str
    attempts: int
    ambiguous: bool
    age: float  # seconds: of a CDR since it was written, otherwise since its last change
    left: float | None  # seconds until the deadline of a result

    @property
    def lane(self) -> Lane:
        return self.platform_id, self.slot


class Ended(Enum):
    """What came of one try."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # the message's fault: the lane goes on
    DROPPED = "dropped"  # there is nothing to send any more
    LATER = "later"  # somebody behind the platform is away: this row waits, the lane goes on
    FAILED = "failed"  # the platform's fault: it backs off as a whole
    PAUSED = "paused"  # it does not accept our token
    PARENT = "parent"  # it does not know the Location of the EVSE: the whole Location is due


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of sending one row."""

    row: Row
    ended: Ended
    http_status: int | None = None
    status_code: int | None = None
    error: str = ""
    ambiguous: bool = False
    retry_after: float | None = None
    elapsed: float | None = None  # seconds, if it answered
    location: str = ""


def due(lanes: Collection[Lane], *, limit: int) -> dict[Lane, list[Row]]:
    """Return what is due in these lanes, of each lane the oldest rows first (REL-14)."""
    found: dict[Lane, list[Row]] = {}
    if not lanes:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            DUE,
            {
                "platform_ids": [platform_id for platform_id, _ in lanes],
                "slots": [slot for _, slot in lanes],
                "limit": limit,
                "holds_back": outbox_policy.HOLDS_BACK_SECONDS,
            },
        )
        for values in cursor.fetchall():
            row = Row(*values)
            if isinstance(row.fields, str):
                row.fields = msgspec.json.decode(row.fields, type=list[str])
            found.setdefault(row.lane, []).append(row)
    return found


def waiting(platform_id: int | None = None) -> list[Lane]:
    """Return the lanes that have something due and whose platform may be sent to."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"platform_id": platform_id})
        return [(found, slot) for found, slot in cursor.fetchall()]


def settle(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Write what came of these tries; return those whose rows are being changed just now, to be settled later.

    A row that somebody else has locked is left alone rather than waited for: two statements that each hold many rows
    would otherwise wait for each other.
    """
    finished: list[tuple[Outcome, str]] = []
    again: list[tuple[Outcome, str, float]] = []
    for outcome in outcomes:
        match outcome.ended:
            case Ended.DELIVERED:
                finished.append((outcome, delivery_states.DELIVERED))
            case Ended.REFUSED if not (outcome.row.kind == outbox_policy.STATE and _parks(outcome.row)):
                finished.append((outcome, delivery_states.REFUSED))
            case Ended.REFUSED:
                again.append((outcome, "PARKED", outbox_policy.PARKED.total_seconds()))
            case Ended.DROPPED | Ended.PARENT:
                finished.append((outcome, delivery_states.DROPPED))
            case Ended.PAUSED:
                again.append((outcome, delivery_states.PENDING, 0.0))
            case Ended.LATER | Ended.FAILED:
                _decide(outcome, finished, again)
    locked = _finish(finished) | _again(again)
    return [outcome for outcome in outcomes if outcome.row.id in locked] if locked else []


def _decide(
    outcome: Outcome, finished: list[tuple[Outcome, str]], again: list[tuple[Outcome, str, float]]
) -> None:
    row = outcome.row
    wait = outbox_policy.delay(row.kind, row.attempts + 1, random.random(), outcome.retry_after)  # noqa: S311 - jitter
    state = outbox_policy.ending(
        row.kind, age=row.age, wait=wait, time_to_live=settings.OCPI_PUSH_TTL, left=row.left
    )
    if state in (delivery_states.DEAD, delivery_states.DROPPED):
        finished.append((outcome, state))
    elif state == delivery_states.MARKED:
        again.append((outcome, state, settings.OCPI_PULL_GRACE))
    else:
        again.append((outcome, delivery_states.PENDING, wait))


def _finish(finished: Sequence[tuple[Outcome, str]]) -> set[int]:
    """Move rows to the finished ones, unless their object changed meanwhile; return the ids of locked rows."""
    if not finished:
        return set()
    parameters = _results([outcome for outcome, _ in finished])
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, {**parameters, "states": [state for _, state in finished]})
        return {row_id for (row_id,) in cursor.fetchall()}


def _again(again: Sequence[tuple[Outcome, str, float]]) -> set[int]:
    if not again:
        return set()
    parameters = _results([outcome for outcome, _, _ in again])
    parameters["states"] = [state for _, state, _ in again]
    parameters["waits"] = [wait for _, _, wait in again]
    parameters["ambiguous"] = [outcome.ambiguous for outcome, _, _ in again]
    parameters["tries"] = [0 if outcome.ended is Ended.PAUSED else 1 for outcome, _, _ in again]
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(_KEEP_REFUSALS, parameters)
        cursor.execute(_AGAIN, parameters)
        return {row_id for (row_id,) in cursor.fetchall()}


def _results(outcomes: Sequence[Outcome]) -> dict[str, list[object]]:
    return {
        "ids": [outcome.row.id for outcome in outcomes],
        "changes": [outcome.row.change for outcome in outcomes],
        "http_statuses": [outcome.http_status for outcome in outcomes],
        # Partners bend this number; what does not fit the column is no status code.
        "status_codes": [code if 0 <= (code := outcome.status_code or 0) < 32768 else None for outcome in outcomes],
        "errors": [outcome.error[:2000].replace("\0", "�") for outcome in outcomes],
        "locations": [outcome.location[:2048] for outcome in outcomes],
    }


def _parks(row: Row) -> bool:
    """Say whether this refusal is the fifth in a row for the object at this platform (REL-27)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state FROM ocpi_finisheddelivery WHERE source = %s AND source_id = %s AND platform_id = %s "
            "AND state IN ('REFUSED', 'DELIVERED') ORDER BY finished_at DESC, id DESC LIMIT 100",
            [row.source, row.source_id, row.platform_id],
        )
        refusals = 1
        for (state,) in cursor.fetchall():
            if state != delivery_states.REFUSED:
                break
            refusals += 1
    return outbox_policy.parks(refusals)


_SENDABLE = """p.state = 'REGISTERED' AND p.connection = 'CONNECTED' AND p.paused_reason = ''
      AND (p.backoff_until IS NULL OR p.backoff_until <= statement_timestamp())"""

DUE = f"""
WITH held_back AS MATERIALIZED (
    SELECT platform_id, order_key, min(id) AS id FROM ocpi_delivery
    WHERE state = 'PENDING' AND due_at > statement_timestamp()
      AND due_at <= statement_timestamp() + make_interval(secs => %(holds_back)s)
      AND platform_id = ANY(%(platform_ids)s::bigint[])
    GROUP BY platform_id, order_key
)
SELECT row.* FROM unnest(%(platform_ids)s::bigint[], %(slots)s::smallint[]) AS lane(platform_id, slot)
JOIN ocpi_platform p ON p.id = lane.platform_id AND {_SENDABLE}
CROSS JOIN LATERAL (
    SELECT d.id, d.platform_id, d.slot, d.kind, d.order_key, d.module, d.path, d.query, d.url, d.source, d.source_id,
           d.fields::text AS fields, d.body, d.deleted, d.change, d.to_country_code, d.to_party_id,
           d.from_country_code, d.from_party_id, d.correlation_id, d.attempts, d.ambiguous,
           extract(epoch FROM statement_timestamp()
                   - CASE WHEN d.kind = 'CDR' THEN d.created_at ELSE d.changed_at END)::float8 AS age,
           extract(epoch FROM d.deadline_at - statement_timestamp())::float8 AS remaining
    FROM ocpi_delivery d
    WHERE d.platform_id = lane.platform_id AND d.slot = lane.slot AND d.state = 'PENDING'
      AND d.due_at <= statement_timestamp()
      AND NOT EXISTS (SELECT FROM held_back h
                      WHERE h.platform_id = d.platform_id AND h.order_key = d.order_key AND h.id < d.id)
    ORDER BY d.id LIMIT %(limit)s
) row
"""  # noqa: S608 - constants only

_WAITING = f"""
SELECT d.platform_id, d.slot FROM ocpi_delivery d JOIN ocpi_platform p ON p.id = d.platform_id AND {_SENDABLE}
WHERE d.state = 'PENDING' AND d.due_at <= statement_timestamp()
  AND (%(platform_id)s::bigint IS NULL OR d.platform_id = %(platform_id)s::bigint)
GROUP BY d.platform_id, d.slot ORDER BY min(d.due_at) LIMIT 2000
"""  # noqa: S608 - constants only

_OUTCOME = """outcome AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(changes)s::int[], %(states)s::text[], %(http_statuses)s::smallint[],
                         %(status_codes)s::smallint[], %(errors)s::text[], %(locations)s::text[])
        AS o(id, change, state, http_status, status_code, error, location)
), ready AS MATERIALIZED (
    SELECT d.id, d.change FROM ocpi_delivery d WHERE d.id = ANY(%(ids)s::bigint[]) ORDER BY d.id
    FOR UPDATE SKIP LOCKED
)"""

# Whoever is neither ready nor gone is locked by somebody who changes it.
_LOCKED = """SELECT d.id FROM ocpi_delivery d WHERE d.id = ANY(%(ids)s::bigint[])
    AND NOT EXISTS (SELECT FROM ready WHERE ready.id = d.id)"""

_RESULT_COLUMNS = ("state", "attempts", "tried_at", "http_status", "status_code", "error")
_KEPT = ", ".join(
    column.column
    for column in Delivery._meta.concrete_fields
    if not column.primary_key and column.column not in _RESULT_COLUMNS
)
ALL_COLUMNS = f"{_KEPT}, {', '.join(_RESULT_COLUMNS)}"  # without the id
_COPY = f"""INSERT INTO ocpi_finisheddelivery ({_KEPT}, {", ".join(_RESULT_COLUMNS)}, location)
    SELECT {", ".join(f"d.{name}" for name in _KEPT.split(", "))}, o.state, d.attempts + 1, statement_timestamp(),
           o.http_status, o.status_code, o.error, o.location"""

# A row whose object changed meanwhile stays, with a clean record: the platform confirmed what it was sent.
_FINISH = f"""
WITH {_OUTCOME}, gone AS (
    DELETE FROM ocpi_delivery d USING outcome o, ready
    WHERE d.id = o.id AND ready.id = o.id AND d.change = o.change RETURNING d.*
), copied AS (
    {_COPY} FROM gone d JOIN outcome o ON o.id = d.id
), changed AS (
    UPDATE ocpi_delivery d SET
        attempts = 0, error = o.error, http_status = o.http_status, status_code = o.status_code,
        ambiguous = d.ambiguous AND o.state <> 'DELIVERED', tried_at = statement_timestamp(),
        due_at = statement_timestamp()
    FROM outcome o JOIN ready ON ready.id = o.id WHERE d.id = o.id AND ready.change <> o.change
)
{_LOCKED}
"""  # noqa: S608 - constants only

_KEEP_REFUSALS = f"""
WITH {_OUTCOME}
{_COPY.replace("o.state", "'REFUSED'")} FROM ocpi_delivery d JOIN outcome o ON o.id = d.id AND o.state = 'PARKED'
JOIN ready ON ready.id = d.id
"""

_AGAIN = f"""
WITH {_OUTCOME}, extra AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(waits)s::float8[], %(ambiguous)s::bool[], %(tries)s::int[])
        AS e(id, wait, ambiguous, tries)
), kept AS (
    UPDATE ocpi_delivery d SET
        state = CASE WHEN o.state = 'MARKED' THEN 'MARKED' ELSE 'PENDING' END,
        due_at = statement_timestamp() + make_interval(secs => e.wait),
        attempts = CASE WHEN o.state = 'PARKED' THEN 0 ELSE d.attempts + e.tries END,
        ambiguous = o.state <> 'PARKED' AND (d.ambiguous OR e.ambiguous),
        fields = CASE WHEN o.state = 'PENDING' THEN d.fields END,
        tried_at = statement_timestamp(), http_status = o.http_status, status_code = o.status_code, error = o.error
    FROM outcome o JOIN extra e ON e.id = o.id JOIN ready ON ready.id = o.id WHERE d.id = o.id
)
{_LOCKED}
"""  # noqa: S608 - constants only
