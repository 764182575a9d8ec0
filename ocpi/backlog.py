"""How much waits for each platform and how long, in a few queries for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection


@dataclass(slots=True)
class Backlog:
    """What one platform has not got yet."""

    pending: int = 0
    marks: int = 0
    dead: int = 0
    oldest: float = 0.0  # seconds since the oldest pending delivery is due


def by_platform(*, dead: bool = True) -> dict[int, Backlog]:
    """Return what waits for each platform that has anything waiting or dead."""
    found: dict[int, Backlog] = {}
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        for platform_id, pending, marks, oldest in cursor.fetchall():
            found[platform_id] = Backlog(pending, marks, 0, max(0.0, oldest or 0.0))
        if dead:
            cursor.execute(
                "SELECT platform_id, count(*) FROM ocpi_finisheddelivery WHERE state = 'DEAD' GROUP BY platform_id"
            )
            for platform_id, number in cursor.fetchall():
                found.setdefault(platform_id, Backlog()).dead = number
    return found


def pending(most: int) -> int:
    """Return how many deliveries are pending, counting no further than `most`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM ocpi_delivery WHERE state = 'PENDING' LIMIT %s) counted", [most]
        )
        return int(cursor.fetchone()[0])


def oldest_sendable() -> float:
    """Return for how many seconds a delivery has been due that nothing but us keeps from going out."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_SENDABLE)
        return max(0.0, float(cursor.fetchone()[0] or 0.0))


_AGE = "extract(epoch FROM statement_timestamp() - {})::float8"
_WAITING = f"""
SELECT platform_id, count(*) FILTER (WHERE state = 'PENDING'), count(*) FILTER (WHERE state = 'MARKED'),
       {_AGE.format("min(due_at) FILTER (WHERE state = 'PENDING')")}
FROM ocpi_delivery GROUP BY platform_id
"""  # noqa: S608 - constants only
# Of each platform that can be sent to, the delivery due the longest; a few index look-ups.
_OLDEST_SENDABLE = f"""
SELECT max({_AGE.format("first.due_at")}) FROM ocpi_platform p CROSS JOIN LATERAL (
    SELECT due_at FROM ocpi_delivery d WHERE d.platform_id = p.id AND d.state = 'PENDING'
    ORDER BY due_at LIMIT 1
) first
WHERE p.state = 'REGISTERED' AND p.connection = 'CONNECTED' AND p.paused_reason = ''
  AND (p.backoff_until IS NULL OR p.backoff_until <= statement_timestamp())
"""  # noqa: S608 - constants only
