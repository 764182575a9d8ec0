"""What is due in many lanes, read with one statement; and what came of a try."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import msgspec
from django.db import connection

from ocpi import outbox_policy, prepared, sql_arrays
from ocpi.outbox_wake import Lane


@dataclass(slots=True, eq=False)
class Row:
    """A delivery as it was when it was read; `change` was read before the document (REL-18)."""

    fields: list[str] | None
    id: int
    platform_id: int
    slot: int
    kind: str
    order_key: str
    module: str
    path: str
    query: str
    url: str
    source: str
    source_id: int | None
    body: str
    deleted: bool
    change: int
    to_country_code: str
    to_party_id: str
    from_country_code: str
    from_party_id: str
    correlation_id: str
    attempts: int
    ambiguous: bool
    age: float  # seconds: of a CDR since it was written, otherwise since its last change
    left: float | None  # seconds until the deadline of a result

    @property
    def lane(self) -> Lane:
        return self.platform_id, self.slot


class Ended(Enum):
    """What came of one try."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # the message's fault: the lane goes on
    DROPPED = "dropped"  # there is nothing to send any more
    LATER = "later"  # somebody behind the platform is away: this row waits, the lane goes on
    AWAY = "away"  # somebody behind the platform is known to be away: nothing was sent, the lane goes on
    FAILED = "failed"  # the platform's fault: it backs off as a whole
    PAUSED = "paused"  # it does not accept our token
    PARENT = "parent"  # it does not know the Location of the EVSE: the whole Location is due


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of sending one row."""

    row: Row
    ended: Ended
    http_status: int | None = None
    status_code: int | None = None
    error: str = ""
    ambiguous: bool = False
    retry_after: float | None = None
    elapsed: float | None = None  # seconds, if it answered
    location: str = ""


def due(lanes: Collection[Lane], *, limit: int) -> dict[Lane, list[Row]]:
    """Return what is due in these lanes, of each lane the oldest rows first (REL-14)."""
    found: dict[Lane, list[Row]] = {}
    if not lanes:
        return found
    values = {
        "platform_ids": sql_arrays.numbers(platform_id for platform_id, _ in lanes),
        "slots": sql_arrays.numbers(slot for _, slot in lanes),
        "limit": limit,
    }
    for fields, *others in prepared.fetch_all(DUE, values):
        row = Row(None if fields is None else msgspec.json.decode(fields, type=list[str]), *others)
        found.setdefault(row.lane, []).append(row)
    return found


def waiting(platform_id: int | None = None) -> list[Lane]:
    """Return the lanes that have something due and whose platform may be sent to."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"platform_id": platform_id})
        return [(found, slot) for found, slot in cursor.fetchall()]


_SENDABLE = """p.state = 'REGISTERED' AND p.connection = 'CONNECTED' AND p.paused_reason = ''
      AND (p.backoff_until IS NULL OR p.backoff_until <= statement_timestamp())"""

# What the receiver did not take last is still missing there: the whole object is due, not what changed since (REL-16).
_REFUSED_BEFORE = """d.fields IS NOT NULL AND (
        SELECT f.state FROM ocpi_finisheddelivery f
        WHERE f.source = d.source AND f.source_id = d.source_id AND f.platform_id = d.platform_id
          AND f.to_country_code = d.to_country_code AND f.to_party_id = d.to_party_id
        ORDER BY f.id DESC LIMIT 1
    ) <> 'DELIVERED'"""

DUE = f"""
WITH held_back AS MATERIALIZED (
    SELECT platform_id, order_key, min(id) AS id FROM ocpi_delivery
    WHERE state = 'PENDING' AND due_at > statement_timestamp()
      AND due_at <= statement_timestamp() + make_interval(secs => {outbox_policy.HOLDS_BACK_SECONDS})
      AND platform_id = ANY(%(platform_ids)s::bigint[])
    GROUP BY platform_id, order_key
)
SELECT row.* FROM unnest(%(platform_ids)s::bigint[], %(slots)s::smallint[]) AS lane(platform_id, slot)
JOIN ocpi_platform p ON p.id = lane.platform_id AND {_SENDABLE}
CROSS JOIN LATERAL (
    SELECT CASE WHEN {_REFUSED_BEFORE} THEN NULL ELSE d.fields END::text,
           d.id, d.platform_id, d.slot, d.kind, d.order_key, d.module, d.path, d.query, d.url, d.source,
           d.source_id, d.body, d.deleted, d.change, d.to_country_code, d.to_party_id,
           d.from_country_code, d.from_party_id, d.correlation_id, d.attempts, d.ambiguous,
           extract(epoch FROM statement_timestamp()
                   - CASE WHEN d.kind = 'CDR' THEN d.created_at ELSE d.changed_at END)::float8 AS age,
           extract(epoch FROM d.deadline_at - statement_timestamp())::float8 AS remaining
    FROM ocpi_delivery d
    WHERE d.platform_id = lane.platform_id AND d.slot = lane.slot AND d.state = 'PENDING'
      AND d.due_at <= statement_timestamp()
      AND NOT EXISTS (SELECT FROM held_back h
                      WHERE h.platform_id = d.platform_id AND h.order_key = d.order_key AND h.id < d.id)
    ORDER BY d.id LIMIT %(limit)s
) row
"""  # noqa: S608 - constants only

_WAITING = f"""
SELECT d.platform_id, d.slot FROM ocpi_delivery d JOIN ocpi_platform p ON p.id = d.platform_id AND {_SENDABLE}
WHERE d.state = 'PENDING' AND d.due_at <= statement_timestamp()
  AND (%(platform_id)s::bigint IS NULL OR d.platform_id = %(platform_id)s::bigint)
GROUP BY d.platform_id, d.slot ORDER BY min(d.due_at) LIMIT 2000
"""  # noqa: S608 - constants only
