"""Counts of rare events over all processes: kept in memory, added up in the database every few seconds (REL-59)."""

from __future__ import annotations

import os
import threading
from collections import Counter

from django.conf import settings
from django.db import connection

from ocpi.background_writer import BackgroundWriter

# Lanes whose worker had fallen silent, so that another took them over.
LANES_TAKEN_OVER = "lanes_taken_over"
# Messages that had arrived before, and were neither stored nor passed on again.
DUPLICATES_AVOIDED = "duplicates_avoided"
NAMES = (LANES_TAKEN_OVER, DUPLICATES_AVOIDED)

_WRITE_SECONDS, _PAUSE_SECONDS = 2.0, 2.0
_waiting: Counter[str] = Counter()
_lock = threading.Lock()


def add(name: str, number: int = 1) -> None:
    """Count something; never raises and does no I/O."""
    if number <= 0:
        return
    with _lock:
        _waiting[name] += number
    if settings.OCPI_WAKE and not _writer.is_running:
        _writer.start()


def read() -> dict[str, int]:
    """Return all counts, with what this process has not written yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, number FROM ocpi_tally")
        found = Counter(dict.fromkeys(NAMES, 0) | dict(cursor.fetchall()))
    with _lock:
        found.update(_waiting)
    return dict(found)


def flush() -> int:
    """Write what waits, now and in this thread; for tests and the end of a process."""
    return _writer.flush()


def forget() -> None:
    """Drop what waits."""
    _waiting.clear()


def _take() -> Counter[str]:
    global _waiting
    with _lock:
        taken, _waiting = _waiting, Counter()
    return taken


def _write(batch: Counter[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ocpi_tally AS t (name, number) SELECT * FROM unnest(%s::text[], %s::bigint[]) "
            "AS n(name, number) ORDER BY name ON CONFLICT (name) DO UPDATE SET number = t.number + EXCLUDED.number",
            [list(batch), list(batch.values())],
        )


def _put_back(batch: Counter[str]) -> None:
    with _lock:
        _waiting.update(batch)


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _waiting.clear()


_writer = BackgroundWriter("tallies", seconds=_WRITE_SECONDS, pause=_PAUSE_SECONDS, take=_take, write=_write,
                           put_back=_put_back)  # fmt: skip
os.register_at_fork(after_in_child=_forget)
