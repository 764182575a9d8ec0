"""Hosts that platforms name and that are not approved for them: noted here, decided in `host_actions` (SEC-21).

Noting one costs a lookup in memory; a thread of the process writes what came together every second, so that a request
that is refused because of it, and rolled back, leaves its trace all the same.
"""

from __future__ import annotations

import os
import threading

from django.conf import settings
from django.db import connection

from ocpi import secrets
from ocpi.background_writer import BackgroundWriter

MOST_WAITING = 50  # of one platform: who names a new host in every message fills no table
_FLUSH_SECONDS = 1.0
_PAUSE_SECONDS = 5.0

_ADD = """
INSERT INTO ocpi_requestedhost (platform_id, host, named_in, count, decision)
SELECT p.id, r.host, r.named_in, r.count, 'WAITING'
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[]) AS r(platform_id, host, named_in, count)
JOIN ocpi_platform p ON p.id = r.platform_id
WHERE (SELECT count(*) FROM ocpi_requestedhost h WHERE h.platform_id = p.id AND h.decision = 'WAITING') < %s
   OR EXISTS (SELECT 1 FROM ocpi_requestedhost h WHERE h.platform_id = p.id AND h.host = r.host)
ORDER BY 1, 2
ON CONFLICT (platform_id, host) DO UPDATE SET
    count = ocpi_requestedhost.count + EXCLUDED.count, named_in = EXCLUDED.named_in, last_seen_at = now()
"""

_waiting: dict[tuple[int, str], tuple[str, int]] = {}
_adding = threading.Lock()


def note(platform_id: int, host: str, named_in: str) -> None:
    """Note that a platform has named a host (host:port) that is not approved for it."""
    key = (platform_id, host.lower())
    with _adding:
        if key in _waiting or len(_waiting) < 10_000:
            _waiting[key] = (secrets.without_keys(named_in.partition("?")[0])[:200], _waiting.get(key, ("", 0))[1] + 1)
    if not _writer.is_running and settings.OCPI_WAKE:
        _writer.start()


def flush() -> int:
    """Write what waits, now and in this thread; return how many hosts. For tests and a process's end."""
    return _writer.flush()


def stop() -> None:
    """End this process's writer and write what it left; noting starts another one."""
    _writer.stop()


def forget() -> None:
    """Drop what waits: of another process, or of another test."""
    global _adding
    _adding = threading.Lock()
    _waiting.clear()


def _take() -> dict[tuple[int, str], tuple[str, int]]:
    with _adding:
        found = dict(_waiting)
        _waiting.clear()
    return found


def _add(found: dict[tuple[int, str], tuple[str, int]]) -> None:
    rows = [(platform_id, host, place, count) for (platform_id, host), (place, count) in found.items()]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [*(list(column) for column in zip(*rows, strict=True)), MOST_WAITING])


def _put_back(found: dict[tuple[int, str], tuple[str, int]]) -> None:
    with _adding:
        for key, seen in found.items():
            _waiting.setdefault(key, seen)


_writer = BackgroundWriter(
    "requested hosts", seconds=_FLUSH_SECONDS, pause=_PAUSE_SECONDS, take=_take, write=_add, put_back=_put_back
)
os.register_at_fork(after_in_child=forget)
