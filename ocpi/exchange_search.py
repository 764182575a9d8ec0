"""Finding exchanges among millions: day after day, the newest first, from indexes alone, and never counted.

Each day is a partition and asked by itself, so that a page that is full needs no other day, and the cost of a day is
known: the entries of one narrow index at most (`ocpi/exchange_tables.py`). Where no id leads to what is wanted, a day
is asked in stretches, longer ones while they are quick: whatever is looked for, and however busy the day was, a page
comes within a second or so. It ends with a place to go on from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from ocpi.exchange_tables import is_id
from ocpi.models import Exchange

PAGE = 50
MOST_SECONDS = 0.8  # of one page; what is older is looked through when asked for
_QUICK, _SLOW = 0.05, 0.2  # seconds of a stretch: the next one is twice as long, or half as long
_FIRST_STRETCH, _SHORTEST = timedelta(hours=6), timedelta(minutes=1)
BODIES = ("request_headers", "request_body", "response_headers", "response_body")
_DAY = timedelta(days=1)
_TICK = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDS = ("correlation_id", "request_id")
_NO_BITMAP = "; SET LOCAL enable_bitmapscan = off"
_MOST_STRAY_DAYS = 100  # of the partition for days without one


class BadPlace(ValueError):
    """The text names no place in the list."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; what is empty does not matter."""

    any_id: str = ""  # of a message, a request or an object
    correlation_id: str = ""
    request_id: str = ""
    object_id: str = ""
    party: str = ""  # NL*TNM: whom it is from or for, or whose object it is about
    platform_id: int | None = None
    module: str = ""
    direction: str = ""
    method: str = ""
    failed: bool = False  # no answer, an HTTP error, or an OCPI status code of 2000 and above
    unanswered: bool = False
    http_status: tuple[int, int] | None = None  # from, to
    status_code: tuple[int, int] | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def has_id(self) -> bool:
        """Say whether an index of ids leads to all that is wanted."""
        return bool(self.any_id or self.correlation_id or self.request_id or self.object_id)

    def conditions(self) -> tuple[list[str], list[Any]]:
        """Return what has to hold, as SQL, and its parameters."""
        found: list[tuple[str, tuple[Any, ...]]] = []
        if self.any_id:
            # In three columns with an index each.
            ids = [*[self.any_id] * 4, *[self.any_id.upper()] * 2]
            found.append((f"({' OR '.join(map(is_id, ('correlation_id', 'request_id', 'object_id')))})", tuple(ids)))
        if self.party:
            found.append(("%s IN (from_party, to_party, owner)", (self.party.upper(),)))
        if self.object_id:
            found.append((is_id("object_id"), (self.object_id.upper(),) * 2))
        found += [(is_id(name), (value,) * 2) for name in _IDS if (value := getattr(self, name))]
        for name in ("platform_id", "module", "direction", "method"):
            value = getattr(self, name)
            if value not in ("", None):
                found.append((f"{name} = %s", (value,)))
        if self.failed:
            found.append(("(http_status IS NULL OR http_status >= 400 OR status_code >= 2000)", ()))
        if self.unanswered:
            found.append(("http_status IS NULL", ()))
        spans = {"http_status": self.http_status, "status_code": self.status_code}
        found += [(f"{name} BETWEEN %s AND %s", span) for name, span in spans.items() if span]
        return [sql for sql, _ in found], [value for _, values in found for value in values]


@dataclass(frozen=True, slots=True)
class Found:
    """One page, and where the next one begins."""

    rows: Sequence[Exchange]
    next_place: str = ""  # empty: there is nothing older
    looked_back_to: datetime | None = None  # the time was over before this page was full


def search(wanted: Wanted, *, place: str = "", most: int = PAGE, seconds: float = MOST_SECONDS) -> Found:
    """Return the newest exchanges that are wanted, from a `place` that an earlier page ended with.

    :raises BadPlace: if the place was not made here.
    """
    before = _read_place(place) if place else None
    ids: list[int] = []
    spans: list[tuple[datetime, datetime]] = []
    give_up = time.monotonic() + seconds
    length, has_looked = _FIRST_STRETCH, False
    for start, end in _days(wanted, before[0] if before else None):
        until = min(end, _until(before)) if before else end
        while until > start:
            began = time.monotonic()
            if has_looked and began > give_up:  # each page gets on, however little time it has
                return Found(_rows(ids, spans), _place(until, _first_id(until)), until)
            since = start if wanted.has_id else max(start, until - length)
            found = _of_stretch(wanted, since, until, before, most + 1 - len(ids))
            if found:
                ids += found
                spans.append((since, until))
            if len(ids) > most:
                rows = _rows(ids[:most], spans)
                return Found(rows, _place(rows[-1].at, rows[-1].pk) if rows else "")
            taken, until, has_looked = time.monotonic() - began, since, True
            if taken < _QUICK:
                length = min(length * 2, _DAY)
            elif taken > _SLOW:
                length = max(length / 2, _SHORTEST)
    return Found(_rows(ids, spans))


def of_request(request_id: str) -> Exchange | None:
    """Return the newest exchange with an id of a request, if that is kept."""
    found = search(Wanted(request_id=request_id), most=1).rows if request_id else ()
    return found[0] if found else None


def _until(before: tuple[datetime, int]) -> datetime:
    """Return the end of what comes after a place: of its millisecond there may be more, unless it ended with that."""
    at, exchange_id = before
    return at if exchange_id == _first_id(at) else at + _TICK


def _first_id(at: datetime) -> int:
    """Return the smallest id that an exchange of this millisecond may have (`exchange_columns`)."""
    return ((at - _EPOCH) // _TICK) << 22


def _of_stretch(
    wanted: Wanted, start: datetime, end: datetime, before: tuple[datetime, int] | None, most: int
) -> list[int]:
    """Return the ids of a day, or a stretch of it, that fit, the newest first."""
    conditions, values = wanted.conditions()
    start, end = max(start, wanted.since or start), min(end, wanted.until or end)
    if start >= end:
        return []
    conditions += ["at >= %s", "at < %s"]
    values += [start, end]
    if not wanted.has_id:  # the index is in the order of ids, which is that of time
        conditions += ["id >= %s", "id < %s"]
        values += [_first_id(start), _first_id(end + _TICK)]
    if before is not None:
        conditions.append("id < %s")
        values.append(before[1])
    sql = f"SELECT id FROM ocpi_exchange WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT %s"  # noqa: S608 our own words
    with transaction.atomic(), connection.cursor() as cursor:
        # What the last minutes brought is not vacuumed yet, and the planner would rather read whole days of bodies.
        cursor.execute(f"SET LOCAL enable_seqscan = off; SET LOCAL jit = off{'' if wanted.has_id else _NO_BITMAP}")
        cursor.execute(sql, [*values, most])
        found = [int(row[0]) for row in cursor.fetchall()]
        cursor.execute("SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on")
    return found


def _rows(ids: Sequence[int], spans: Sequence[tuple[datetime, datetime]]) -> list[Exchange]:
    if not ids:
        return []
    rows = Exchange.objects.select_related("platform").defer(*BODIES)
    return list(rows.filter(pk__in=ids, at__gte=spans[-1][0], at__lt=spans[0][1]).order_by("-pk"))


def _days(wanted: Wanted, before: datetime | None) -> Iterator[tuple[datetime, datetime]]:
    """Give the days that may hold what is wanted, the newest first."""
    for start, end in days():
        if wanted.until is not None and start >= wanted.until:
            continue
        if before is not None and start > before:
            continue
        if wanted.since is not None and end <= wanted.since:
            return
        yield start, end


def days() -> list[tuple[datetime, datetime]]:
    """Return the days of which exchanges are kept, the newest first: from, to."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT substr(relname, 15) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = 'ocpi_exchange'::regclass AND relname ~ '^ocpi_exchange_[0-9]{8}$'"
        )
        known = {datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC) for (name,) in cursor.fetchall()}
        cursor.execute(
            "(SELECT at FROM ocpi_exchange_default ORDER BY id LIMIT 1) UNION ALL "
            "(SELECT at FROM ocpi_exchange_default ORDER BY id DESC LIMIT 1)"
        )
        stray = sorted(_midnight(at) for (at,) in cursor.fetchall())
    if stray:
        # Days nobody made a partition for; those before the last hundred are asked as one.
        first = max(stray[0], stray[-1] - _MOST_STRAY_DAYS * _DAY)
        known |= {first + number * _DAY for number in range((stray[-1] - first).days + 1)}
    spans = [(day, day + _DAY) for day in sorted(known, reverse=True)]
    if stray and stray[0] < spans[-1][0]:
        spans.append((stray[0], spans[-1][0]))
    return spans


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _place(at: datetime, exchange_id: int) -> str:
    return f"{at.timestamp():.6f}-{exchange_id}"


def _read_place(text: str) -> tuple[datetime, int]:
    at, _, exchange_id = text.partition("-")
    try:
        moment = datetime.fromtimestamp(float(at), UTC)
        _ = moment + _DAY  # what is looked through ends a little after a place
        return moment, min(int(exchange_id), (1 << 63) - 1)
    except (ValueError, OverflowError, OSError) as error:
        raise BadPlace(text) from error
