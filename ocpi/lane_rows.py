"""The lanes of platforms as operators see them: what waits, since when, who drains it; a few queries for many."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from ocpi import backlog, kept, lanes
from ocpi.outbox import SLOTS
from ocpi.outbox_policy import HOLDS_BACK_SECONDS
from ocpi.outbox_sender import SLOW_SECONDS


@dataclass(slots=True)
class Lanes:
    """The four lanes of one platform."""

    waiting: backlog.Backlog = field(default_factory=backlog.Backlog)
    slots: int = 1  # that may be drained at once: one of a platform not known to be healthy (REL-21)
    holders: list[str] = field(default_factory=list)  # "host 4711", one for each lane that is being drained
    parked: int = 0  # objects that wait for an hour after five refusals (REL-27), or longer than others wait for them

    @property
    def in_flight(self) -> int:
        return len(self.holders)


def of(platforms: Collection[Any], waiting: Mapping[int, backlog.Backlog] | None = None) -> dict[int, Lanes]:
    """Return the lanes of these platforms (rows of `Platform`); four queries, however many they are."""
    waiting = backlog.by_platform() if waiting is None else waiting
    found = {
        row.pk: Lanes(waiting.get(row.pk, backlog.Backlog()), slots_of(row.failures, row.average_ms))
        for row in platforms
    }
    workers = kept.read("workers", _workers)
    for platform_id, _slot, pid in lanes.holders():
        if platform_id in found:
            found[platform_id].holders.append(workers.get(pid, f"session {pid}"))
    with connection.cursor() as cursor:
        cursor.execute(_PARKED, {"ids": list(found), "held_back": HOLDS_BACK_SECONDS})
        for platform_id, number in cursor.fetchall():
            found[platform_id].parked = number
    return found


def in_flight() -> dict[int, int]:
    """Return how many lanes of each platform are being drained, each with one call in flight."""
    found: dict[int, int] = {}
    for platform_id, _slot, _pid in lanes.holders():
        found[platform_id] = found.get(platform_id, 0) + 1
    return found


def slots_of(failures: int, average_ms: float | None) -> int:
    """Return how many lanes of a platform may be drained at once (REL-21)."""
    healthy = failures == 0 and average_ms is not None and average_ms <= SLOW_SECONDS * 1000
    return SLOTS if healthy else 1


def _workers() -> dict[int, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT backend_pid, host FROM ocpi_workerheartbeat")
        return {pid: f"{host} {pid}" for pid, host in cursor.fetchall()}


# Few rows: what is due later than anybody is held back for.
_PARKED = """
SELECT platform_id, count(*) FROM ocpi_delivery
WHERE state = 'PENDING' AND due_at > statement_timestamp() + make_interval(secs => %(held_back)s)
  AND platform_id = ANY(%(ids)s::bigint[])
GROUP BY platform_id
"""
