"""What partners do wrong without harm: tolerated, and counted per platform and kind, so that an operator can tell them.

A kind begins with the number of the line that says what we make of it: "QRK-13 coordinates". Noting one costs a lookup
in memory; a thread of the process adds what came together to the table every second. What a killed process loses is the
last second of these counts.

    with defects.reading(platform.id, "PUT /ocpi/emsp/2.2.1/locations/NL/TNM/LOC1"):
        body = defects.taken(schema.check_leniently(body, "Location"))
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection
from prometheus_client import Counter

from ocpi import secrets
from ocpi.background_writer import BackgroundWriter

LONGEST_EXAMPLE = 200
_FLUSH_SECONDS = 1.0
_PAUSE_SECONDS = 5.0

# One statement for all; a platform that is gone takes its counts along.
_ADD = """
INSERT INTO ocpi_deviation (platform_id, kind, count, first_seen_at, last_seen_at, example)
SELECT p.id, r.kind, r.count, r.first, r.last, r.example
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[])
    AS r(platform_id, kind, count, first, last, example)
JOIN ocpi_platform p ON p.id = r.platform_id
ORDER BY 1, 2
ON CONFLICT (platform_id, kind) DO UPDATE SET
    count = ocpi_deviation.count + EXCLUDED.count,
    first_seen_at = LEAST(ocpi_deviation.first_seen_at, EXCLUDED.first_seen_at),
    last_seen_at = GREATEST(ocpi_deviation.last_seen_at, EXCLUDED.last_seen_at),
    example = COALESCE(NULLIF(EXCLUDED.example, ''), ocpi_deviation.example)
"""

_found = Counter("ocpi_defects", "Harmless defects in what a platform sent", ["platform", "kind"])


@dataclass(slots=True)
class _Seen:
    """How often something came since the last flush."""

    count: int
    first: float
    last: float
    example: str


@dataclass(slots=True)
class _Message:
    """Whose message is being read, where it came, and what was noted of it: each kind counts once a message."""

    platform_id: int
    place: str
    kinds: set[str] = field(default_factory=set)


_reading: ContextVar[_Message | None] = ContextVar("ocpi_defects_reading", default=None)
_waiting: dict[tuple[int, str], _Seen] = {}
_adding = threading.Lock()


@contextmanager
def reading(platform_id: int, place: str) -> Iterator[None]:
    """Say whose message is read in this block; what is noted in it counts for that platform."""
    before = _reading.set(_Message(platform_id, place))
    try:
        yield
    finally:
        _reading.reset(before)


@contextmanager
def one_object(noted_before: Iterable[str] = ()) -> Iterator[set[str]]:
    """Say that in this block one of several objects of the message is read: its kinds count for themselves.

    What was noted of it before does not count again; the block is given what was noted of it so far.
    """
    message = _reading.get()
    kinds = set(noted_before)
    before = _reading.set(_Message(message.platform_id, message.place, kinds) if message else None)
    try:
        yield kinds
    finally:
        _reading.reset(before)


def taken(checked: tuple[bytes, list[str]]) -> bytes:
    """Return the body of a lenient check and note the kinds of deviation that it found."""
    body, kinds = checked
    if kinds:
        noted(kinds)
    return body


def noted(kinds: Iterable[str]) -> None:
    """Note what is wrong with the message that is being read. Without a sender (a file of our own) nobody is blamed."""
    message = _reading.get()
    if message is None:
        return
    for kind in kinds:
        if kind not in message.kinds:
            message.kinds.add(kind)
            note(message.platform_id, kind, message.place)


def note(platform_id: int, kind: str, place: str = "") -> None:
    """Note one defect of a platform; `place` is the request in which it came, "PUT /ocpi/…"."""
    _found.labels(str(platform_id), kind).inc()
    now, key = time.time(), (platform_id, kind)
    with _adding:
        seen = _waiting.get(key)
        if seen is None:
            _waiting[key] = _Seen(1, now, now, example_of(place))
        else:
            seen.count += 1
            seen.last = now
    if not _writer.is_running and settings.OCPI_WAKE:
        _writer.start()


def count(platform_id: int, kind: str) -> int:
    """Return how often this process has seen a defect."""
    return int(_found.labels(str(platform_id), kind)._value.get())


def example_of(place: str) -> str:
    """Return where something was seen, short and without what may be used: no query, no key, no token's uid."""
    path = secrets.without_keys(place.partition("?")[0])
    if "/tokens/" in path:
        before, _, tail = path.partition("/tokens/")
        parts = tail.split("/")
        uid = 0 if parts[-1] == "authorize" else len(parts) - 1
        parts[uid] = secrets.mask(parts[uid])
        path = f"{before}/tokens/{'/'.join(parts)}"
    return path[:LONGEST_EXAMPLE]


def flush() -> int:
    """Add what waits to the table, now and in this thread; return how many kinds. For tests and a process's end."""
    return _writer.flush()


def _take() -> dict[tuple[int, str], _Seen]:
    with _adding:
        found = dict(_waiting)
        _waiting.clear()
    return found


def _add(found: dict[tuple[int, str], _Seen]) -> None:
    rows = [
        (platform_id, _storable(kind)[:100], seen.count, _moment(seen.first), _moment(seen.last),
         _storable(seen.example))
        for (platform_id, kind), seen in found.items()
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])


def _storable(text: str) -> str:
    """Return a text the database takes: a path may have had a NUL in it, and would keep all others waiting."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def _put_back(found: dict[tuple[int, str], _Seen]) -> None:
    with _adding:
        for key, seen in found.items():
            newer = _waiting.setdefault(key, seen)
            if newer is not seen:
                newer.count += seen.count
                newer.first = seen.first


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def stop() -> None:
    """End this process's writer and write what it left; noting starts another one."""
    _writer.stop()


def forget() -> None:
    """Drop what waits: of another process, or of another test."""
    global _adding
    _adding = threading.Lock()
    _waiting.clear()


_writer = BackgroundWriter(
    "kinds of deviation", seconds=_FLUSH_SECONDS, pause=_PAUSE_SECONDS, take=_take, write=_add, put_back=_put_back
)
os.register_at_fork(after_in_child=forget)
