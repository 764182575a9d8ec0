"""How each platform is doing: consecutive failures, back-off, OFFLINE and CONNECTED again; all of it in the database.

Who answers again after failures is pulled from, since what it pushed meanwhile was lost (TRN-121).

Every change is one conditional UPDATE, so several workers may report at once. A success costs no write while nothing
changes, except every few seconds for the moving average and the time it was last heard.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from ocpi import outbox_policy, outbox_wake, pull_rows, snapshot
from ocpi.headers import Address
from ocpi.models import Platform

log = logging.getLogger(__name__)

_WRITE_SECONDS = 5.0
_AVERAGE_WEIGHT = 0.2

# When this process last wrote down that a platform is well, and that it was heard (monotonic).
_written: dict[int, float] = {}
_heard: dict[int, float] = {}


def succeeded(platform_id: int, elapsed: float, *, was_well: bool = True) -> None:
    """Note a call that was answered properly; any success ends a back-off (REL-26).

    Who knows that the platform was not well, perhaps by another process's failure, says so and is not kept waiting.
    """
    all_succeeded({platform_id: elapsed}, unwell=() if was_well else (platform_id,))


def all_succeeded(elapsed: Mapping[int, float], *, unwell: Collection[int] = ()) -> None:
    """Note calls to many platforms that were answered properly, in one statement.

    :param elapsed: seconds by platform id.
    :param unwell: the platforms that are known not to have been well.
    """
    now = time.monotonic()
    due = {
        platform_id: seconds * 1000
        for platform_id, seconds in elapsed.items()
        if platform_id in unwell or now - _written.get(platform_id, -_WRITE_SECONDS) >= _WRITE_SECONDS
    }
    if due:
        _written.update(dict.fromkeys(due, now))
        _well(due)


def answered(platform_id: int) -> None:
    """Note a call that was answered properly, but whose time tells nothing: a page of a list is larger than a push."""
    now = time.monotonic()
    if now - _written.get(platform_id, -_WRITE_SECONDS) < _WRITE_SECONDS:
        return
    _written[platform_id] = now
    _well({platform_id: None})


def failed(platform_id: int, error: str, *, retry_after: float | None = None) -> None:
    """Note a call that failed by the platform's fault: it is left alone for a while, after the third it is OFFLINE.

    Calls that ran side by side count as one failure: while a back-off runs no further is counted.
    """
    _written.pop(platform_id, None)
    pauses = [outbox_policy.pause(number) for number in range(1, 10)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _FAILED,
            {
                "id": platform_id,
                "error": error[:500].replace("\0", "�"),
                "pauses": pauses,
                "most": len(pauses),
                "retry_after": min(retry_after or 0.0, outbox_policy.LONGEST_RETRY_AFTER),
                "offline": outbox_policy.FAILURES_UNTIL_OFFLINE,
            },
        )
        row = cursor.fetchone()
        if row and row[0]:
            leave_marks(platform_id)
    if row and row[0]:
        log.warning("platform %s is OFFLINE after %s failures: %s", platform_id, row[1], error)
        snapshot.changed()


def rest(platform_id: int, seconds: float) -> None:
    """Send a platform no pushes for a while, because it has asked for that; it is well all the same (REL-26)."""
    with connection.cursor() as cursor:
        cursor.execute(_REST, {"id": platform_id, "seconds": min(seconds, outbox_policy.LONGEST_RETRY_AFTER)})


def heard_from(platform_id: int) -> None:
    """Note a valid request from a platform: whoever talks to us is CONNECTED (REL-38)."""
    known = snapshot.current().platforms.get(platform_id)
    is_offline = known is not None and known.connection == "OFFLINE"
    now = time.monotonic()
    if not is_offline and now - _heard.get(platform_id, -_WRITE_SECONDS) < _WRITE_SECONDS:
        return
    _heard[platform_id] = now
    if is_offline:
        _well({platform_id: None})
    else:  # its requests say nothing about how it answers ours
        Platform.objects.filter(pk=platform_id).update(last_heard_at=Now())


def pause(platform_id: int, reason: str) -> None:
    """Stop sending to a platform that refuses our token, until `resume` (REL-25)."""
    if Platform.objects.filter(pk=platform_id, paused_reason="").update(paused_reason=reason[:200]):
        log.error("platform %s is paused: %s", platform_id, reason)
        snapshot.changed()


def resume(platform_id: int) -> None:
    """Send again to a paused or OFFLINE platform: its credentials are new, or an operator says so."""
    Platform.objects.filter(pk=platform_id).update(paused_reason="")
    _written.pop(platform_id, None)
    _well({platform_id: None})
    snapshot.changed()


def forget_written(platform_ids: Iterable[int] | None = None) -> None:
    """Have the next success written down at once."""
    for platform_id in [*_written, *_heard] if platform_ids is None else platform_ids:
        _written.pop(platform_id, None)
        _heard.pop(platform_id, None)


def _well(milliseconds: Mapping[int, float | None]) -> None:
    """Write down that platforms are well; those that were OFFLINE are CONNECTED again."""
    ids = sorted(milliseconds)
    back = []
    with transaction.atomic(), connection.cursor() as cursor:
        times = [milliseconds[platform_id] for platform_id in ids]
        cursor.execute(_WELL, {"ids": ids, "milliseconds": times, "weight": _AVERAGE_WEIGHT})
        for platform_id, was_offline, since in cursor.fetchall():
            if since:
                pull_rows.recover(platform_id, since)
            if was_offline:
                give_grace(platform_id)
                back.append(platform_id)
    for platform_id in back:
        log.warning("platform %s is CONNECTED again", platform_id)
    if back:
        snapshot.changed()


def leave_marks(platform_id: int, party: Address | None = None) -> None:
    """Of the state pushes for an OFFLINE platform, or for a party that is away behind it, keep only marks (REL-35)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ocpi_delivery SET state = 'MARKED', fields = NULL, attempts = 0 WHERE id = ANY(ARRAY("  # noqa: S608 - constants only
            "  SELECT id FROM ocpi_delivery WHERE platform_id = %(platform_id)s AND state = 'PENDING' "
            f"  AND kind = 'STATE' AND {_FOR_PARTY} ORDER BY id FOR UPDATE SKIP LOCKED))",
            {"platform_id": platform_id, "party": "*".join(party.key) if party else None},
        )


def give_grace(platform_id: int, party: Address | None = None) -> None:
    """Let who is back pull first (REL-36); what is kept until confirmed goes out at once, when this commits.

    :param party: who is back behind this platform, a hub; otherwise it is the platform itself.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ocpi_delivery d SET due_at = statement_timestamp() + make_interval(secs => CASE "  # noqa: S608
            "WHEN d.state = 'PENDING' OR p.catch_up = 'at_once' THEN 0 ELSE %(grace)s END) FROM ocpi_platform p "
            "WHERE p.id = d.platform_id AND d.id = ANY(ARRAY("
            "  SELECT id FROM ocpi_delivery WHERE platform_id = %(platform_id)s "
            f"  AND (state = 'MARKED' OR (state = 'PENDING' AND attempts > 0)) AND {_FOR_PARTY} "
            "ORDER BY id FOR UPDATE SKIP LOCKED)) RETURNING d.platform_id, d.slot, d.state",
            {
                "platform_id": platform_id,
                "party": "*".join(party.key) if party else None,
                "grace": settings.OCPI_PULL_GRACE,
            },
        )
        lanes = sorted({(found, slot) for found, slot, state in cursor.fetchall() if state == "PENDING"})
    transaction.on_commit(lambda: outbox_wake.wake(lanes))


_FOR_PARTY = "(%(party)s::text IS NULL OR UPPER(to_country_code || '*' || to_party_id) = %(party)s)"

_FAILED = """
UPDATE ocpi_platform p SET
    failures = p.failures + 1,
    failing_since = coalesce(p.failing_since, statement_timestamp()),
    last_error = %(error)s,
    backoff_until = statement_timestamp() + make_interval(secs => greatest(
        (%(pauses)s::float8[])[least(p.failures + 1, %(most)s)], %(retry_after)s)),
    connection = CASE WHEN old.goes_offline THEN 'OFFLINE' ELSE p.connection END,
    offline_since = CASE WHEN old.goes_offline THEN statement_timestamp() ELSE p.offline_since END
FROM (SELECT id, connection = 'CONNECTED' AND failures + 1 >= %(offline)s AS goes_offline FROM ocpi_platform
      WHERE id = %(id)s FOR UPDATE) old
WHERE p.id = old.id AND (p.backoff_until IS NULL OR p.backoff_until <= statement_timestamp())
RETURNING old.goes_offline, p.failures
"""

# Who writes several rows locks them in the order of their ids.
_REST = """
UPDATE ocpi_platform SET backoff_until = greatest(
    coalesce(backoff_until, statement_timestamp()), statement_timestamp() + make_interval(secs => %(seconds)s))
WHERE id = %(id)s
"""

_WELL = """
UPDATE ocpi_platform p SET
    failures = 0, failing_since = NULL, backoff_until = NULL, last_error = '', last_heard_at = statement_timestamp(),
    connection = CASE WHEN p.connection = 'OFFLINE' THEN 'CONNECTED' ELSE p.connection END,
    offline_since = CASE WHEN p.connection = 'OFFLINE' THEN NULL ELSE p.offline_since END,
    average_ms = CASE WHEN well.milliseconds IS NULL THEN p.average_ms
                      WHEN p.average_ms IS NULL THEN well.milliseconds
                      ELSE p.average_ms + %(weight)s * (well.milliseconds - p.average_ms) END
FROM unnest(%(ids)s::bigint[], %(milliseconds)s::float8[]) AS well(id, milliseconds)
JOIN (SELECT id, connection = 'OFFLINE' AS was_offline, least(failing_since, offline_since) AS since
      FROM ocpi_platform WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE) old ON old.id = well.id
WHERE p.id = old.id
RETURNING p.id, old.was_offline, old.since
"""
