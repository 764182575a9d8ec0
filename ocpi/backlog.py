"""How much waits for each platform and how long, in a few queries for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from ocpi import kept


@dataclass(slots=True)
class Backlog:
    """What one platform has not got yet."""

    pending: int = 0
    marks: int = 0
    dead: int = 0
    refused: int = 0
    oldest: float = 0.0  # seconds since the oldest pending delivery is due


def by_platform(*, dead: bool = True) -> dict[int, Backlog]:
    """Return what waits for each platform that has anything waiting or dead; large counts may be some seconds old."""
    found: dict[int, Backlog] = {}
    for platform_id, pending, oldest in kept.read("pending", lambda: _rows(_PENDING)):
        found[platform_id] = Backlog(pending, oldest=max(0.0, oldest or 0.0))
    for platform_id, marks in kept.read("marks", lambda: _rows(_MARKS)):
        found.setdefault(platform_id, Backlog()).marks = marks
    if dead:
        for platform_id, number, refused in kept.read("dead", lambda: _rows(_DEAD)):
            one = found.setdefault(platform_id, Backlog())
            one.dead, one.refused = number, refused
    return found


def pending(most: int) -> int:
    """Return how many deliveries are pending, counting no further than `most`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM ocpi_delivery WHERE state = 'PENDING' LIMIT %s) counted", [most]
        )
        return int(cursor.fetchone()[0])


def _rows(sql: str) -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


# Each from a partial index; the first two without their table.
_PENDING = """
SELECT platform_id, count(*), extract(epoch FROM statement_timestamp() - min(due_at))::float8
FROM ocpi_delivery WHERE state = 'PENDING' GROUP BY platform_id
"""
_MARKS = "SELECT platform_id, count(*) FROM ocpi_delivery WHERE state = 'MARKED' GROUP BY platform_id"
_DEAD = """
SELECT platform_id, count(*) FILTER (WHERE state = 'DEAD'), count(*) FILTER (WHERE state = 'REFUSED')
FROM ocpi_finisheddelivery WHERE state IN ('DEAD', 'REFUSED') GROUP BY platform_id
"""
