"""How many requests each platform and we exchange, how they end and how long they take: counted, not searched for.

Every process counts what its log of exchanges writes, in the thread that writes it, and adds its counts to those of the
others every few seconds. Minutes are kept for an hour, hours for a day; what is older is one sum, so that the totals of
`/metrics` only ever grow.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from ocpi.background_writer import BackgroundWriter

MINUTE, HOUR, EVER = 60, 3600, 0
GOOD = "2xx"
LOG = "LOG"  # in place of a direction: what happened to the log of exchanges

_MINUTES_KEPT, _HOURS_KEPT = 65 * 60, 25 * 3600  # seconds
_WRITE_SECONDS, _PAUSE_SECONDS = 2.0, 2.0
# Partners choose their status codes; labels are only those that exist.
_CODES = frozenset((2000, 2001, 2002, 2003, 2004, 3000, 3001, 3002, 3003, 4000, 4001, 4002, 4003))

Key = tuple[int, int, str, str]  # platform, minute, direction, outcome
_waiting: dict[Key, list[float]] = defaultdict(lambda: [0, 0.0])
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Rate:
    """What went between a platform and us in one stretch of time."""

    number: int = 0
    failed: int = 0
    milliseconds: float = 0.0  # of our requests to it, together
    sent: int = 0

    @property
    def error_rate(self) -> float | None:
        """The share that did not end well, 0 to 1; None if there was nothing."""
        return self.failed / self.number if self.number else None

    @property
    def average_ms(self) -> float | None:
        return self.milliseconds / self.sent if self.sent else None


def outcome(http_status: int | None, status_code: int | None, error: str) -> str:
    """Return in a word how an exchange ended; of few kinds, since it is a label."""
    if http_status is None:
        return error.partition(":")[0][:20] or "no answer"
    if 200 <= http_status < 300 and status_code is not None and status_code >= 2000:
        return f"OCPI {status_code}" if status_code in _CODES else f"OCPI {min(status_code // 1000, 9)}xxx"
    return f"{http_status // 100}xx" if 100 <= http_status < 600 else "odd"


def note(platform_id: int | None, direction: str, ended: str, at: float, milliseconds: float) -> None:
    """Count one exchange that began at `at` (seconds since 1970); no I/O."""
    note_all({key(platform_id, direction, ended, at): [1, milliseconds]})


def key(platform_id: int | None, direction: str, ended: str, at: float) -> Key:
    """Return what an exchange that began at `at` (seconds since 1970) is counted under."""
    return platform_id or 0, int(at) // MINUTE * MINUTE, direction, ended


def note_all(tallies: Mapping[Key, Sequence[float]]) -> None:
    """Count many exchanges: how many of each kind, and their milliseconds together; no I/O."""
    with _lock:
        for kind, (number, milliseconds) in tallies.items():
            found = _waiting[kind]
            found[0] += number
            found[1] += milliseconds
    if not _writer.is_running and settings.OCPI_WAKE:
        _writer.start()


def note_log(what: str) -> None:
    """Count something that happened to the log of exchanges itself: `lost` rows, or its `budget` reached."""
    note(None, LOG, what, time.time(), 0.0)


def rates(seconds: int, platform_ids: Collection[int] | None = None) -> dict[int, Rate]:
    """Return what went on in the last so many seconds, up to a day, per platform; to the minute, beyond an hour to
    the hour."""
    with connection.cursor() as cursor:
        cursor.execute(_RATES, {"seconds": seconds, "good": GOOD, "hour": HOUR, "minute": MINUTE,
                                "ids": None if platform_ids is None else list(platform_ids)})  # fmt: skip
        return {platform_id: Rate(*values) for platform_id, *values in cursor.fetchall()}


STRETCHES = (300, HOUR, 86400)  # seconds: five minutes, an hour, a day


def three_rates(platform_ids: Collection[int]) -> dict[int, tuple[Rate, ...]]:
    """Return what went on with these platforms in the last five minutes, hour and day, in one statement each."""
    found = [rates(seconds, platform_ids) for seconds in STRETCHES]
    return {pk: tuple(one.get(pk, Rate()) for one in found) for pk in platform_ids}


def per_minute(minutes: int = 60) -> list[tuple[int, int]]:
    """Return of each of the last minutes, oldest first, how many exchanges there were and how many ended badly."""
    with connection.cursor() as cursor:
        cursor.execute(_PER_MINUTE, {"minutes": minutes, "good": GOOD, "minute": MINUTE})
        return [(number, failed) for number, failed in cursor.fetchall()]


def totals() -> list[tuple[int, str, str, int, float]]:
    """Return all counts there ever were: platform, direction, outcome, number, milliseconds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT platform_id, direction, outcome, sum(number)::bigint, sum(milliseconds) FROM ocpi_trafficcount "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        return list(cursor.fetchall())


def compact() -> None:
    """Sum minutes that are over up into hours, and hours into one; may run anywhere, any number of times."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('ocpi_trafficcount'))")
        if not cursor.fetchone()[0]:
            return
        cursor.execute(_COMPACT, {"from": MINUTE, "to": HOUR, "kept": _MINUTES_KEPT})
        cursor.execute(_COMPACT, {"from": HOUR, "to": EVER, "kept": _HOURS_KEPT})


def flush() -> int:
    """Write what waits, now and in this thread; for tests and the end of a process."""
    return _writer.flush()


def forget() -> None:
    """Drop what waits."""
    _waiting.clear()


def _take() -> dict[Key, list[float]]:
    global _waiting
    with _lock:
        taken, _waiting = _waiting, defaultdict(lambda: [0, 0.0])
    return taken


def _write(batch: dict[Key, list[float]]) -> None:
    keys = sorted(batch)  # one order for all processes: none waits for another in a circle
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "platforms": [key[0] for key in keys],
                "starts": [key[1] for key in keys],
                "directions": [key[2] for key in keys],
                "outcomes": [key[3] for key in keys],
                "numbers": [int(batch[key][0]) for key in keys],
                "milliseconds": [batch[key][1] for key in keys],
                "minute": MINUTE,
            },
        )


def _put_back(batch: dict[Key, list[float]]) -> None:
    with _lock:
        for key, (number, milliseconds) in batch.items():
            found = _waiting[key]
            found[0] += number
            found[1] += milliseconds


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _waiting.clear()


_writer = BackgroundWriter("traffic counts", seconds=_WRITE_SECONDS, pause=_PAUSE_SECONDS, take=_take, write=_write,
                           put_back=_put_back)  # fmt: skip
os.register_at_fork(after_in_child=_forget_after_fork)

_ADD = """
INSERT INTO ocpi_trafficcount AS t (platform_id, seconds, start, direction, outcome, number, milliseconds)
SELECT n.platform_id, %(minute)s, to_timestamp(n.start), n.direction, n.outcome, n.number, n.milliseconds
FROM unnest(%(platforms)s::bigint[], %(starts)s::bigint[], %(directions)s::text[], %(outcomes)s::text[],
            %(numbers)s::bigint[], %(milliseconds)s::float8[])
     AS n(platform_id, start, direction, outcome, number, milliseconds)
ORDER BY n.platform_id, n.start, n.direction, n.outcome
ON CONFLICT (platform_id, seconds, start, direction, outcome)
DO UPDATE SET number = t.number + EXCLUDED.number, milliseconds = t.milliseconds + EXCLUDED.milliseconds
"""
_COMPACT = """
WITH old AS (
    DELETE FROM ocpi_trafficcount WHERE seconds = %(from)s
      AND start < statement_timestamp() - make_interval(secs => %(kept)s) RETURNING *
)
INSERT INTO ocpi_trafficcount AS t (platform_id, seconds, start, direction, outcome, number, milliseconds)
SELECT platform_id, %(to)s, CASE WHEN %(to)s = 0 THEN to_timestamp(0) ELSE date_trunc('hour', start, 'UTC') END AS hour,
       direction, outcome, sum(number), sum(milliseconds)
FROM old GROUP BY platform_id, hour, direction, outcome ORDER BY platform_id, hour, direction, outcome
ON CONFLICT (platform_id, seconds, start, direction, outcome)
DO UPDATE SET number = t.number + EXCLUDED.number, milliseconds = t.milliseconds + EXCLUDED.milliseconds
"""
# An hour counts if it began within the stretch; the minutes of the last hour are never among the hours.
_RATES = """
SELECT platform_id, sum(number)::bigint, coalesce(sum(number) FILTER (WHERE outcome <> %(good)s), 0)::bigint,
       coalesce(sum(milliseconds) FILTER (WHERE direction = 'OUT'), 0)::float8,
       coalesce(sum(number) FILTER (WHERE direction = 'OUT'), 0)::bigint
FROM ocpi_trafficcount
WHERE (seconds = %(minute)s OR (seconds = %(hour)s AND %(seconds)s > %(hour)s))
  AND start > statement_timestamp()
              - make_interval(secs => %(seconds)s + CASE seconds WHEN %(minute)s THEN 60 ELSE 0 END)
  AND direction <> 'LOG'
  AND (%(ids)s::bigint[] IS NULL OR platform_id = ANY(%(ids)s::bigint[]))
GROUP BY platform_id
"""
_PER_MINUTE = """
SELECT coalesce(sum(t.number), 0)::bigint, coalesce(sum(t.number) FILTER (WHERE t.outcome <> %(good)s), 0)::bigint
FROM generate_series(date_trunc('minute', statement_timestamp()) - make_interval(mins => %(minutes)s - 1),
                     statement_timestamp(), interval '1 minute') AS m(start)
LEFT JOIN ocpi_trafficcount t ON t.seconds = %(minute)s AND t.start = m.start AND t.direction <> 'LOG'
GROUP BY m.start ORDER BY m.start
"""
