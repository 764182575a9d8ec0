"""What an operator may do with deliveries and lanes; each action is audited in its own transaction (REL-40)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import connection, transaction

from ocpi import audit, delivery_states, outbox_rows, outbox_settle, outbox_wake, snapshot
from ocpi.delivery_states import DEAD, DELIVERED, PENDING
from ocpi.models import Platform

_MOST_NAMED = 100  # ids in one entry of the audit trail


def _states_with(event: str) -> list[str]:
    return [state for state, events in delivery_states.TABLE.items() if event in events]


def send_again(ids: Collection[int], *, actor: str = audit.SYSTEM) -> int:
    """Send deliveries now, whole: those that wait and those that are only marks; return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE ocpi_delivery SET state = '{PENDING}', due_at = statement_timestamp(), "  # noqa: S608 - constants
            "changed_at = statement_timestamp(), attempts = 0, fields = NULL "
            "WHERE id = ANY(%s) AND state = ANY(%s) RETURNING platform_id, slot",
            [list(ids), _states_with("sent_again")],
        )
        moved = _wake(cursor.fetchall())
        _record("delivery.send_again", actor, ids, moved)
    return moved


def give_up(ids: Collection[int], *, actor: str = audit.SYSTEM, reason: str = "") -> int:
    """End deliveries as DEAD: nobody sends them until the object changes again; return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _GIVE_UP, {"ids": list(ids), "states": _states_with("given_up"), "note": _note("given up", actor, reason)}
        )
        ended = int(cursor.rowcount)
        _record("delivery.give_up", actor, ids, ended, reason=reason)
    return ended


def send_finished_again(ids: Collection[int], *, actor: str = audit.SYSTEM) -> int:
    """Put finished deliveries on their way again, in the order in which they first ended; return how many.

    What failed leaves the finished ones; what was delivered stays there as well, as a record. A result whose announced
    timeout has passed means nothing to its receiver any more and is left alone.
    """
    with transaction.atomic():
        moved = put_back(ids)
        _record("delivery.retry", actor, ids, moved)
    return moved


def put_back(ids: Collection[int]) -> int:
    """As `send_finished_again`, in the caller's transaction and audited by the caller."""
    with connection.cursor() as cursor:
        cursor.execute(_SEND_FINISHED, {"ids": list(ids), "states": _states_with("sent_again")})
        return _wake(cursor.fetchall())


def drop(ids: Collection[int], *, actor: str = audit.SYSTEM, reason: str) -> int:
    """Close failed deliveries for good: settled with the partner, or of no use any more; return how many.

    They stay visible as DROPPED, with who did it and why.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ocpi_finisheddelivery SET state = 'DROPPED', error = left(%s || error, 2000) "
            "WHERE id = ANY(%s) AND state = ANY(%s)",
            [_note("dropped", actor, reason), list(ids), [DEAD, delivery_states.REFUSED]],
        )
        dropped = int(cursor.rowcount)
        _record("delivery.drop", actor, ids, dropped, reason=reason)
    return dropped


def reopen_lane(platform_id: int, *, actor: str = audit.SYSTEM) -> int:
    """Try again now what a platform failed to take; return how many deliveries.

    Its pause is ended by `health.resume`; what backs off on its own account, or is parked, is made due here.
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
        audit.record("lane.reopen", actor=actor, about=_name(platform_id), details={"deliveries": moved})
    snapshot.changed()
    return moved


def catch_up_now(platform_id: int, *, actor: str = audit.SYSTEM) -> int:
    """Have the marks of a platform sent from now on, at the usual pace (REL-36); return how many there are."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ocpi_delivery SET due_at = statement_timestamp() WHERE platform_id = %s AND state = 'MARKED' "
            "AND due_at > statement_timestamp()",
            [platform_id],
        )
        moved = int(cursor.rowcount)
        audit.record("lane.catch_up", actor=actor, about=_name(platform_id), details={"marks": moved})
    return moved


def probe_now(platform_id: int, *, actor: str = audit.SYSTEM) -> bool:
    """Have an OFFLINE platform probed in the next seconds instead of after its back-off; say whether it is one."""
    with transaction.atomic():
        found = Platform.objects.filter(pk=platform_id, connection="OFFLINE", state="REGISTERED", paused_reason="")
        moved = bool(found.update(backoff_until=None))
        if moved:
            audit.record("lane.probe", actor=actor, about=_name(platform_id))
    return moved


def _name(platform_id: int) -> str:
    return Platform.objects.filter(pk=platform_id).values_list("name", flat=True).first() or f"platform {platform_id}"


def _note(what: str, actor: str, reason: str) -> str:
    by = "an operator" if actor == audit.SYSTEM else actor
    return f"{what} by {by}{': ' if reason else ''}{reason}; "


def _record(action: str, actor: str, ids: Collection[int], number: int, *, reason: str = "") -> None:
    details: dict[str, object] = {"number": number, "ids": sorted(ids)[:_MOST_NAMED]}
    if len(ids) > _MOST_NAMED:
        details["ids_in_all"] = len(ids)
    if reason:
        details["reason"] = reason
    audit.record(action, actor=actor, about=f"{number} deliveries", details=details)


def _wake(rows: Iterable[tuple[int, int]]) -> int:
    lanes = list(rows)
    if lanes:
        transaction.on_commit(lambda: outbox_wake.wake(set(lanes)))
    return len(lanes)


_ENDED = outbox_settle.ALL_COLUMNS.replace("state,", f"'{DEAD}',").replace("error", "left(%(note)s || error, 2000)")
_GIVE_UP = f"""
WITH gone AS (DELETE FROM ocpi_delivery WHERE id = ANY(%(ids)s) AND state = ANY(%(states)s) RETURNING *)
INSERT INTO ocpi_finisheddelivery ({outbox_settle.ALL_COLUMNS}, location) SELECT {_ENDED}, '' FROM gone
"""  # noqa: S608 - constants only

_FRESH = {
    # A platform that is not there gets a mark of what is current when it is back (REL-35).
    "state": "(SELECT CASE WHEN latest.kind = 'STATE' AND p.connection IN ('OFFLINE', 'SUSPENDED') THEN 'MARKED' "
    "ELSE 'PENDING' END FROM ocpi_platform p WHERE p.id = latest.platform_id)",
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
                        CASE WHEN kind = 'RESULT' THEN id END) *,
           min(id) OVER (PARTITION BY platform_id, source, source_id, to_country_code, to_party_id,
                                      CASE WHEN kind = 'RESULT' THEN id END) AS first_id
    FROM chosen
    ORDER BY platform_id, source, source_id, to_country_code, to_party_id, CASE WHEN kind = 'RESULT' THEN id END,
             id DESC
)
INSERT INTO ocpi_delivery AS d ({outbox_settle.ALL_COLUMNS}) SELECT {_COPIED} FROM latest ORDER BY first_id
ON CONFLICT (platform_id, source, source_id, to_country_code, to_party_id) WHERE kind IN ('STATE', 'CDR') DO
UPDATE SET state = EXCLUDED.state, due_at = statement_timestamp(), changed_at = statement_timestamp(), attempts = 0,
           fields = NULL, change = d.change + 1
RETURNING platform_id, slot
"""  # noqa: S608 - constants only
