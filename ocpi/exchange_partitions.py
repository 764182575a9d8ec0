"""The days of the exchange log: made ahead, emptied of personal bodies, kept within a disk budget, dropped (REL-55).

Nothing here keeps a writer waiting for long: a day is filled before it becomes part of the table, and what needs the
table's lock gives up after a moment and is done in a later round. What was done to a day stands in its table's comment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import OperationalError, connection, transaction

from ocpi import registry_sql, traffic, transaction_limits
from ocpi.models import Exchange

log = logging.getLogger(__name__)

AHEAD = 7  # days
PERSONAL = ("tokens", "cdrs")  # modules whose bodies are kept for a shorter time
_PERSONAL_GONE, _BODIES_GONE = "bodies of tokens and cdrs are removed", "bodies are removed: disk budget"
_LOCK_KEY = 0x4F43_4558  # of the one process that does this
_LOCK_WAIT = "300ms"
_AT_ONCE = 5_000  # rows
_ROOM = 0.9  # of the budget, to which the log is brought back
_BODIES = ("request_body", "response_body")


@dataclass(frozen=True, slots=True)
class Day:
    """One partition."""

    name: str
    start: datetime
    octets: int  # on disk, with its indexes
    done: str  # its comment

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the disk the log takes."""

    octets: int
    budget: int  # octets; 0 = none
    days: int
    without_bodies: int  # days that gave theirs up

    @property
    def is_over(self) -> bool:
        return bool(self.budget) and self.octets > self.budget


def care(now: datetime | None = None) -> None:
    """Do all of it; one process at a time, any number of times."""
    moment = now or datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_KEY])
        if not cursor.fetchone()[0]:
            return
    try:
        _make_ahead(moment.date())
        _drop_old(moment)
        _remove_personal(moment)
        _keep_budget(moment)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK_KEY])


def room() -> Room:
    """Return how much of the disk the log takes, and what was given up for it."""
    days = _days()
    return Room(
        sum(day.octets for day in days) + _octets("ocpi_exchange_default"),
        settings.OCPI_EXCHANGE_BUDGET_MB << 20,
        len(days),
        sum(day.done == _BODIES_GONE for day in days),
    )


def _make_ahead(today: date) -> None:
    known = {day.name for day in _days()}
    for day in (today + timedelta(days=number) for number in range(AHEAD + 1)):
        if registry_sql.partition_name(day) not in known:
            _make(day)


def _make(day: date) -> None:
    """Make one day; what the partition for days without one holds of it moves there."""
    name = registry_sql.partition_name(day)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    bounds = [start, start + timedelta(days=1)]
    _run(f"CREATE TABLE IF NOT EXISTS {name} (LIKE ocpi_exchange INCLUDING ALL)")
    # In pieces, and only the last of them while writers wait.
    while _move(name, bounds) == _AT_ONCE:
        pass

    def attach() -> None:
        _run("LOCK TABLE ocpi_exchange_default IN ACCESS EXCLUSIVE MODE")
        while _move(name, bounds):
            pass
        _run(_attach(name, start))

    _briefly(attach, f"{name} was not made")


def _move(name: str, bounds: Sequence[datetime]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH moved AS (DELETE FROM ocpi_exchange_default WHERE (id, at) IN ("  # noqa: S608 - our own names
            f"SELECT id, at FROM ocpi_exchange_default WHERE at >= %s AND at < %s LIMIT {_AT_ONCE}) RETURNING *) "
            f"INSERT INTO {name} ({_COLUMNS}) SELECT {_COLUMNS} FROM moved",
            list(bounds),
        )
        return int(cursor.rowcount)


def _drop_old(now: datetime) -> None:
    oldest = now - timedelta(days=settings.OCPI_EXCHANGE_DAYS)
    for day in _days():
        if day.end <= oldest:
            _briefly(lambda name=day.name: _run(f"DROP TABLE {name}"), f"{day.name} was not dropped")  # type: ignore[misc]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ocpi_exchange_default WHERE at < %s", [oldest])


def _remove_personal(now: datetime) -> None:
    """Remove the bodies of Tokens and CDRs once they are a week old, a day at a time and each day once."""
    until = now - timedelta(days=settings.OCPI_EXCHANGE_BODY_DAYS)
    for day in _days():
        if day.start < until and not day.done:
            _empty(day.name, until)
            if day.end <= until:
                _run(f"COMMENT ON TABLE {day.name} IS '{_PERSONAL_GONE}'")
    _empty("ocpi_exchange_default", until)


def _empty(name: str, until: datetime) -> None:
    after = -1
    while after is not None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH next AS (SELECT id FROM {name} WHERE id > %s AND module = ANY(%s) AND at < %s "  # noqa: S608
                f"ORDER BY id LIMIT {_AT_ONCE}), emptied AS (UPDATE {name} SET request_body = '', response_body = '' "
                "WHERE id IN (SELECT id FROM next) AND (request_body <> '' OR response_body <> '')) "
                "SELECT max(id) FROM next",
                [after, list(PERSONAL), until],
            )
            after = cursor.fetchone()[0]


def _keep_budget(now: datetime) -> None:
    """Give up bodies, the oldest days first, then whole days, until the log fits its budget again."""
    found = room()
    if not found.is_over:
        return
    wanted = int(found.budget * _ROOM)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    past = [day for day in _days() if day.end <= today]
    for give_up in (_slim, _drop):
        for day in past:
            if room().octets <= wanted:
                return
            if give_up is _drop or day.done != _BODIES_GONE:
                give_up(day)
    if room().is_over:
        traffic.note_log("budget")
        log.error("the exchanges of today alone take more than OCPI_EXCHANGE_BUDGET_MB")


def _slim(day: Day) -> None:
    """Put a copy without bodies in the place of a day: only a new table gives the disk back."""
    copy = f"{day.name}_slim"
    columns = ", ".join("''" if name in _BODIES else name for name in _COLUMNS.split(", "))
    with transaction.atomic():
        transaction_limits.lift()
        _run(f"DROP TABLE IF EXISTS {copy}")
        _run(f"CREATE TABLE {copy} (LIKE ocpi_exchange INCLUDING ALL)")
        _run(f"INSERT INTO {copy} ({_COLUMNS}) SELECT {columns} FROM {day.name}")  # noqa: S608 - our own names
        # Known to hold, so that nobody waits while it is looked at.
        between = f"at >= '{day.start.isoformat()}' AND at < '{day.end.isoformat()}'"
        _run(f"ALTER TABLE {copy} ADD CONSTRAINT of_one_day CHECK ({between})")

    def swap() -> None:
        _run(f"DROP TABLE {day.name}")
        _run(f"ALTER TABLE {copy} RENAME TO {day.name}")
        _run(_attach(day.name, day.start))
        _run(f"ALTER TABLE {day.name} DROP CONSTRAINT of_one_day")
        _run(f"COMMENT ON TABLE {day.name} IS '{_BODIES_GONE}'")

    if _briefly(swap, f"{day.name} keeps its bodies"):
        traffic.note_log("budget")
        log.error("OCPI_EXCHANGE_BUDGET_MB is reached: the bodies of %s are removed", f"{day.start:%Y-%m-%d}")


def _drop(day: Day) -> None:
    if _briefly(lambda: _run(f"DROP TABLE {day.name}"), f"{day.name} was not dropped"):
        traffic.note_log("budget")
        log.error("OCPI_EXCHANGE_BUDGET_MB is reached: the exchanges of %s are removed", f"{day.start:%Y-%m-%d}")


def _briefly(do: Callable[[], None], otherwise: str) -> bool:
    """Do what needs the table's lock, unless that takes long to come by; say whether it was done."""
    try:
        with transaction.atomic():
            _run(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
            do()
            _run("SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError as error:
        log.info("%s this time: %s", otherwise, error)
        return False
    return True


def _days() -> list[Day]:
    """Return the partitions, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_total_relation_size(c.oid), coalesce(obj_description(c.oid, 'pg_class'), '') "
            "FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
            "WHERE inhparent = 'ocpi_exchange'::regclass AND relname ~ '^ocpi_exchange_[0-9]{8}$' ORDER BY relname"
        )
        rows = cursor.fetchall()
    return [
        Day(name, datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC), size, done) for name, size, done in rows
    ]


def _octets(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s::regclass)", [table])
        return int(cursor.fetchone()[0])


def _run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _attach(name: str, start: datetime) -> str:
    end = start + timedelta(days=1)
    bounds = f"FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
    return f"ALTER TABLE ocpi_exchange ATTACH PARTITION {name} FOR VALUES {bounds}"


_COLUMNS = ", ".join(field.attname for field in Exchange._meta.concrete_fields)
