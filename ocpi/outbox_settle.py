"""Writing what came of many tries, in a few statements; a row ends only if its object did not change meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from ocpi import delivery_states, outbox_policy, prepared, sql_arrays
from ocpi.models import Delivery
from ocpi.outbox_rows import Ended, Outcome, Row

_PARKED = "PARKED"  # PENDING, but not for an hour


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
                again.append((outcome, _PARKED, outbox_policy.PARKED.total_seconds()))
            case Ended.DROPPED | Ended.PARENT:
                finished.append((outcome, delivery_states.DROPPED))
            case Ended.PAUSED:
                again.append((outcome, delivery_states.PENDING, 0.0))
            case Ended.AWAY if outcome.row.kind == outbox_policy.STATE:
                again.append((outcome, delivery_states.MARKED, settings.OCPI_PULL_GRACE))
            case Ended.LATER | Ended.AWAY | Ended.FAILED:
                _decide(outcome, finished, again)
    locked = _finish(finished) | _again(again)
    return [outcome for outcome in outcomes if outcome.row.id in locked] if locked else []


def _decide(outcome: Outcome, finished: list[tuple[Outcome, str]], again: list[tuple[Outcome, str, float]]) -> None:
    row = outcome.row
    wait = outbox_policy.delay(row.kind, row.attempts + 1, random.random(), outcome.retry_after)  # noqa: S311 - jitter
    state = outbox_policy.ending(row.kind, age=row.age, wait=wait, time_to_live=settings.OCPI_PUSH_TTL, left=row.left)
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
    rows = prepared.fetch_all(_FINISH, {**parameters, "states": [state for _, state in finished]})
    return {row_id for (row_id,) in rows}


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


def _results(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "ids": sql_arrays.numbers([outcome.row.id for outcome in outcomes]),
        "changes": sql_arrays.numbers([outcome.row.change for outcome in outcomes]),
        "http_statuses": sql_arrays.numbers([outcome.http_status for outcome in outcomes]),
        # Partners bend this number; what does not fit the column is no status code.
        "status_codes": sql_arrays.numbers(
            [code if 0 <= (code := outcome.status_code or 0) < 32768 else None for outcome in outcomes]
        ),
        "errors": sql_arrays.texts([outcome.error[:2000].replace("\0", "�") for outcome in outcomes]),
        "locations": sql_arrays.texts([outcome.location[:2048] for outcome in outcomes]),
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
    str(column.column)
    for column in Delivery._meta.concrete_fields
    if not column.primary_key and column.column not in _RESULT_COLUMNS
)
ALL_COLUMNS = f"{_KEPT}, {', '.join(_RESULT_COLUMNS)}"  # without the id
_COPY = f"""INSERT INTO ocpi_finisheddelivery ({_KEPT}, {", ".join(_RESULT_COLUMNS)}, location)
    SELECT {", ".join(f"d.{name}" for name in _KEPT.split(", "))}, o.state, d.attempts + 1, statement_timestamp(),
           o.http_status, o.status_code, o.error, o.location"""

# A row whose object changed meanwhile stays, with a clean record if the platform confirmed what it was sent; what it
# did not take goes out whole (REL-16).
_FINISH = f"""
WITH {_OUTCOME}, gone AS (
    DELETE FROM ocpi_delivery d USING outcome o, ready
    WHERE d.id = o.id AND ready.id = o.id AND d.change = o.change RETURNING d.*
), copied AS (
    {_COPY} FROM gone d JOIN outcome o ON o.id = d.id
), changed AS (
    UPDATE ocpi_delivery d SET
        attempts = 0, fields = CASE WHEN o.state = 'DELIVERED' THEN d.fields END, error = o.error,
        http_status = o.http_status, status_code = o.status_code,
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
