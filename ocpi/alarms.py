"""What an operator has to be told: each alarm with its condition and what to do, all in this file (REL-51, REL-59).

`read` asks the database in two statements, `alarms` is pure. `/readyz`, `/metrics` and the first page of the admin show
the same list; docs/OPERATIONS.md has a section for each name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.db import connection

MOST_PENDING = 200_000  # deliveries of all platforms together (REL-51)
MOST_PENDING_OF_ONE = 10_000  # of one platform; above that further state pushes only leave marks
OLDEST_SECONDS = 60.0  # that a delivery may be due while nothing but us keeps it from going out
LONGEST_TRANSACTION = 300.0  # seconds (REL-19)
MOST_DEAD_ROWS = 20_000  # of one table, ten times what starts a vacuum (REL-19)
CLOCK_SECONDS = 2.0  # that this host may differ from the database (REL-52)
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What the alarms look at, at one moment."""

    pending: int = 0
    oldest: float = 0.0  # seconds since the oldest delivery is due that could be sent
    overfull: tuple[tuple[str, int], ...] = ()  # platform, pending
    paused: tuple[tuple[str, str], ...] = ()  # platform, reason
    dead_cdrs: int = 0
    transaction: float = 0.0  # seconds the longest open transaction of the database is open
    dead_rows: tuple[tuple[str, int], ...] = ()  # table, rows that wait for a vacuum
    lost_exchanges: int = 0  # in the last hour
    dropped_bodies: int = 0  # days whose bodies went because the disk budget was reached, in the last day
    clock: float = 0.0  # seconds this host is ahead of the database


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something an operator has to look at."""

    name: str
    text: str  # what is wrong; may name platforms, so it is not for strangers
    advice: str  # what to do about it
    degraded: bool = False  # this instance does not do its work as it should
    page: str = ""  # of the admin, with the rows behind it
    query: str = ""


def read() -> Facts:
    """Read what the alarms look at; two statements, bounded."""
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute(_FACTS, {"most": MOST_PENDING + 1, "dead": MOST_DEAD_ROWS})
        pending, oldest, dead_cdrs, transaction, lost, dropped, now, dead_rows = cursor.fetchone()
        # Of the time the statement took, half is taken to lie before the clock was read: the first thing it does.
        took = time.time() - before
        cursor.execute(_PLATFORMS, {"most": MOST_PENDING_OF_ONE, "named": 50})
        platforms = cursor.fetchall()
    ahead = before - float(now)
    return Facts(
        pending=pending,
        oldest=max(0.0, float(oldest or 0)),
        overfull=tuple((name, number) for name, number, _ in platforms if number > MOST_PENDING_OF_ONE),
        paused=tuple((name, reason) for name, _, reason in platforms if reason),
        dead_cdrs=dead_cdrs,
        transaction=float(transaction or 0),
        dead_rows=tuple((name, number) for name, number in dead_rows or ()),
        lost_exchanges=lost,
        dropped_bodies=dropped,
        # The database read its clock between the two readings of ours: only what lies outside is a difference.
        clock=ahead if ahead > 0 else min(0.0, ahead + took),
    )


def alarms(facts: Facts) -> list[Alarm]:
    """Return what has to be told, the worst first."""
    found = [alarm for condition in _CONDITIONS if (alarm := condition(facts)) is not None]
    return sorted(found, key=lambda alarm: not alarm.degraded)


def current() -> list[Alarm]:
    """Return what has to be told right now, the sides' own alarms included: those of `<side>/alarms.py`.

    :raises django.db.Error: if the database is away.
    """
    return sorted(alarms(read()) + of_sides(), key=lambda alarm: not alarm.degraded)


def of_sides() -> list[Alarm]:
    """Return what the sides of this instance have to tell.

    :raises django.db.Error: if the database is away.
    """
    return [alarm for side in _sides() for alarm in side.current()]


def names() -> tuple[str, ...]:
    """Return the names of all alarms that this instance may give."""
    return (*NAMES, *(name for side in _sides() for name in side.NAMES))


def _sides() -> list[Any]:
    return [import_module(f"{side}.alarms") for side in settings.OCPI_SIDES if find_spec(f"{side}.alarms")]


def _too_much_pending(facts: Facts) -> Alarm | None:
    if facts.pending <= MOST_PENDING:
        return None
    return Alarm(
        "deliveries_too_many",
        f"More than {MOST_PENDING:,} deliveries are pending.",
        "Look at the lanes: if all grow, start more workers; if one does, its platform is slow, suspend it or wait.",
        degraded=True, page="ocpi_lane_changelist",
    )  # fmt: skip


def _too_old(facts: Facts) -> Alarm | None:
    if facts.oldest <= OLDEST_SECONDS:
        return None
    return Alarm(
        "deliveries_too_old",
        f"A delivery that nothing but us holds back has been due for {duration(facts.oldest)}.",
        "See under Worker heartbeats that workers run, and in their log why they do not send; then start one.",
        degraded=True, page="ocpi_lane_changelist",
    )  # fmt: skip


def _overfull(facts: Facts) -> Alarm | None:
    if not facts.overfull:
        return None
    return Alarm(
        "platform_overfull",
        f"More than {MOST_PENDING_OF_ONE:,} deliveries wait for {_names([name for name, _ in facts.overfull])}; "
        "of further changes only marks are kept.",
        "It takes less than we send. It will be brought up to date from the marks; ask its operator why it is slow.",
        page="ocpi_lane_changelist",
    )  # fmt: skip


def _paused(facts: Facts) -> Alarm | None:
    if not facts.paused:
        return None
    return Alarm(
        "platform_paused",
        f"Nothing is sent to {_names([name for name, _ in facts.paused])}: {facts.paused[0][1]}.",
        "It does not accept our token: register again or renew the token, then Resume on its page.",
        page="ocpi_connection_changelist", query="?status=PAUSED",
    )  # fmt: skip


def _dead_cdrs(facts: Facts) -> Alarm | None:
    if not facts.dead_cdrs:
        return None
    return Alarm(
        "cdr_dead",
        f"{facts.dead_cdrs:,} CDRs were given up unconfirmed: nobody pays them.",
        "Settle with the partner, then retry them among the dead letters, or drop them with a reason.",
        page="ocpi_deadletter_changelist", query="?state=DEAD&kind=CDR",
    )  # fmt: skip


def _long_transaction(facts: Facts) -> Alarm | None:
    if facts.transaction <= LONGEST_TRANSACTION:
        return None
    return Alarm(
        "transaction_open",
        f"A transaction has been open in the database for {duration(facts.transaction)}.",
        "Find it in pg_stat_activity (a forgotten psql, a backup) and end it: tables grow until it does.",
    )


def _many_dead_rows(facts: Facts) -> Alarm | None:
    if not facts.dead_rows:
        return None
    tables = _names([f"{name} ({number:,})" for name, number in facts.dead_rows])
    return Alarm(
        "dead_rows",
        f"Removed rows are not cleaned away: {tables}.",
        "Autovacuum does not keep up or is held up by an open transaction: end that, then VACUUM the table.",
    )


def _lost_exchanges(facts: Facts) -> Alarm | None:
    if not facts.lost_exchanges:
        return None
    return Alarm(
        "exchanges_lost",
        f"{facts.lost_exchanges:,} exchanges of the last hour could not be kept in the log.",
        "The database is slower than the traffic: look at its disk and load. No data is lost, only its record.",
    )


def _disk_budget(facts: Facts) -> Alarm | None:
    if not facts.dropped_bodies:
        return None
    return Alarm(
        "disk_budget",
        "The disk budget of the exchanges is reached: the bodies of their oldest days are gone.",
        "Give the log more room, or keep it for fewer days.",
    )


def _clock(facts: Facts) -> Alarm | None:
    if abs(facts.clock) <= CLOCK_SECONDS:
        return None
    side = "ahead of" if facts.clock > 0 else "behind"
    return Alarm(
        "clock_off",
        f"The clock of this host is {abs(facts.clock):.1f} s {side} the database's.",
        "Have both hosts keep time by NTP; times in our documents come from this host.",
    )


_CONDITIONS: tuple[Callable[[Facts], Alarm | None], ...] = (
    _too_old, _too_much_pending, _dead_cdrs, _paused, _overfull, _clock, _long_transaction, _many_dead_rows,
    _lost_exchanges, _disk_budget,
)  # fmt: skip
NAMES = (
    "deliveries_too_old", "deliveries_too_many", "cdr_dead", "platform_paused", "platform_overfull", "clock_off",
    "transaction_open", "dead_rows", "exchanges_lost", "disk_budget",
)  # fmt: skip


def duration(seconds: float) -> str:
    """Return a length of time for people: 45 s, 12 min, 3 h, 2 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= 120):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


# The clock comes first: what follows takes its time. A delivery counts as held back by us if its platform may be sent
# to; the oldest of them is found from the oldest of all, past what waits for platforms that are away.
_FACTS = """
WITH clock AS MATERIALIZED (SELECT extract(epoch FROM clock_timestamp())::float8 AS now)
SELECT
    (SELECT count(*) FROM (SELECT FROM ocpi_delivery WHERE state = 'PENDING' LIMIT %(most)s) counted),
    (SELECT extract(epoch FROM statement_timestamp() - d.due_at)::float8
     FROM ocpi_delivery d JOIN ocpi_platform p ON p.id = d.platform_id
     WHERE d.state = 'PENDING' AND p.state = 'REGISTERED' AND p.connection = 'CONNECTED' AND p.paused_reason = ''
       AND (p.backoff_until IS NULL OR p.backoff_until <= statement_timestamp())
     ORDER BY d.due_at LIMIT 1),
    (SELECT count(*) FROM ocpi_finisheddelivery WHERE state = 'DEAD' AND kind = 'CDR'),
    (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()),
    (SELECT coalesce(sum(number), 0)::bigint FROM ocpi_trafficcount
     WHERE platform_id = 0 AND seconds = 60 AND start > statement_timestamp() - interval '1 hour' AND direction = 'LOG'
       AND outcome = 'lost'),
    (SELECT coalesce(sum(number), 0)::bigint FROM ocpi_trafficcount
     WHERE platform_id = 0 AND seconds IN (60, 3600) AND start > statement_timestamp() - interval '1 day'
       AND direction = 'LOG' AND outcome = 'budget'),
    clock.now,
    (SELECT json_agg(json_build_array(relname, n_dead_tup) ORDER BY n_dead_tup DESC) FROM pg_stat_user_tables
     WHERE schemaname = current_schema() AND n_dead_tup > greatest(%(dead)s, 0.4 * n_live_tup))
FROM clock
"""
_PLATFORMS = """
SELECT p.name, coalesce(waiting.number, 0), p.paused_reason FROM ocpi_platform p
LEFT JOIN (SELECT platform_id, count(*) AS number FROM ocpi_delivery WHERE state = 'PENDING' GROUP BY platform_id
           HAVING count(*) > %(most)s) waiting ON waiting.platform_id = p.id
WHERE p.state = 'REGISTERED' AND (p.paused_reason <> '' OR waiting.number IS NOT NULL)
ORDER BY waiting.number DESC NULLS LAST, p.name LIMIT %(named)s
"""
