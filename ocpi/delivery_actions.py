"""What an operator may do with deliveries: send them again at once, or give them up."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import connection, transaction

from ocpi import delivery_states, outbox_rows, outbox_settle, outbox_wake, snapshot
from ocpi.delivery_states import DEAD, DELIVERED, PENDING


def _states_with(event: str) -> list[str]:
    return [state for state, events in delivery_states.TABLE.items() if event in events]


def send_again(ids: Collection[int]) -> int:
    """Send deliveries now, whole: those that wait and those that are only marks; return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE ocpi_delivery SET state = '{PENDING}', due_at = statement_timestamp(), "  # noqa: S608 - constants
            "changed_at = statement_timestamp(), attempts = 0, fields = NULL "
            "WHERE id = ANY(%s) AND state = ANY(%s) RETURNING platform_id, slot",
            [list(ids), _states_with("sent_again")],
        )
        return _wake(cursor.fetchall())


def give_up(ids: Collection[int]) -> int:
    """End deliveries as DEAD: nobody sends them until the object changes again; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP, {"ids": list(ids), "states": _states_with("given_up")})
        return int(cursor.rowcount)


def send_finished_again(ids: Collection[int]) -> int:
    """Put finished deliveries on their way again; return how many.

    What failed leaves the finished ones; what was delivered stays there as well, as a record. A result whose announced
    timeout has passed means nothing to its receiver any more and is left alone.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SEND_FINISHED, {"ids": list(ids), "states": _states_with("sent_again")})
        return _wake(cursor.fetchall())


def reopen_lane(platform_id: int) -> int:
    """Try again now what a platform failed to take; return how many deliveries.

    Its pause is ended by `health.resume`; what backs off on its own account is made due here.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE ocpi_delivery SET due_at = statement_timestamp() WHERE platform_id = %s "  # noqa: S608 - constants
            f"AND state = '{PENDING}' AND due_at > statement_timestamp() RETURNING platform_id, slot",
            [platform_id],
        )
        moved = _wake(cursor.fetchall())
        waiting = outbox_rows.waiting(platform_id)
        transaction.on_commit(lambda: outbox_wake.wake(waiting))
    snapshot.changed()
    return moved


def _wake(rows: Iterable[tuple[int, int]]) -> int:
    lanes = list(rows)
    if lanes:
        transaction.on_commit(lambda: outbox_wake.wake(set(lanes)))
    return len(lanes)


_ENDED = outbox_settle.ALL_COLUMNS.replace("state,", f"'{DEAD}',").replace(
    "error", "left('given up by an operator; ' || error, 2000)"
)
_GIVE_UP = f"""
WITH gone AS (DELETE FROM ocpi_delivery WHERE id = ANY(%(ids)s) AND state = ANY(%(states)s) RETURNING *)
INSERT INTO ocpi_finisheddelivery ({outbox_settle.ALL_COLUMNS}, location) SELECT {_ENDED}, '' FROM gone
"""  # noqa: S608 - constants only

_FRESH = {
    "state": f"'{PENDING}'",
    "attempts": "0",
    "fields": "NULL",
    "change": "1",
    "created_at": "statement_timestamp()",
    "changed_at": "statement_timestamp()",
    "due_at": "statement_timestamp()",
}
_COPIED = ", ".join(_FRESH.get(name, name) for name in outbox_settle.ALL_COLUMNS.split(", "))
_SEND_FINISHED = f"""
WITH chosen AS (
    SELECT * FROM ocpi_finisheddelivery WHERE id = ANY(%(ids)s) AND state = ANY(%(states)s)
      AND (kind <> 'RESULT' OR deadline_at > statement_timestamp()) ORDER BY id FOR UPDATE
), moved AS (
    DELETE FROM ocpi_finisheddelivery WHERE id IN (SELECT id FROM chosen WHERE state <> '{DELIVERED}')
), latest AS (
    -- One object may have failed several times for one receiver: the newest of them goes out, once. A result has no
    -- object, each is its own.
    SELECT DISTINCT ON (platform_id, source, source_id, to_country_code, to_party_id,
                        CASE WHEN kind = 'RESULT' THEN id END) *
    FROM chosen
    ORDER BY platform_id, source, source_id, to_country_code, to_party_id, CASE WHEN kind = 'RESULT' THEN id END,
             id DESC
)
INSERT INTO ocpi_delivery AS d ({outbox_settle.ALL_COLUMNS}) SELECT {_COPIED} FROM latest
ON CONFLICT (platform_id, source, source_id, to_country_code, to_party_id) WHERE kind IN ('STATE', 'CDR') DO
UPDATE SET state = '{PENDING}', due_at = statement_timestamp(), changed_at = statement_timestamp(), attempts = 0,
           fields = NULL, change = d.change + 1
RETURNING platform_id, slot
"""  # noqa: S608 - constants only
