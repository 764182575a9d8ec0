"""Members of EVSEs written anew, their Locations stamped (LOC-09), everybody told (LOC-32): many in few statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cpo import recipients
from ocpi import documents, outbox, prepared, sql_arrays
from ocpi.headers import Address
from ocpi.outbox import Marked, Recipient
from ocpi.v2_2_1.types import format_datetime

MODULE, CHILD = "locations", "cpo.EVSE"


@dataclass(frozen=True, slots=True)
class Locked:
    """An EVSE whose row nobody else changes before the transaction ends."""

    id: int
    location_id: int
    uid: str
    document: str
    status: str
    last_updated: datetime
    country_code: str
    party_id: str
    object_id: str
    private: bool


def lock(evse_ids: Collection[int], *, waits: bool = True) -> dict[int, Locked]:
    """Lock EVSEs and return those that are there, by id.

    :param waits: otherwise those are left out that somebody else is changing, or whose Location is being changed; a
        transaction that holds many waits for nobody, and so in no circle.
    """
    if not evse_ids:
        return {}
    rows = prepared.fetch_all(_LOCK if waits else _LOCK_FREE, [sql_arrays.numbers(evse_ids)])
    return {row[0]: Locked(*row) for row in rows}


def write(changes: Sequence[tuple[Locked, Mapping[str, Any]]], *, correlation_id: str | None = None) -> None:
    """Give locked EVSEs new members and have them sent, in the caller's transaction.

    :param changes: each EVSE once; the same members of all.
    """
    if not changes:
        return
    now = moment_now()
    moments = [max(now, row.last_updated) for row, _ in changes]
    latest: dict[int, datetime] = {}
    for (row, _), moment in zip(changes, moments, strict=True):
        latest[row.location_id] = max(moment, latest.get(row.location_id, moment))
    prepared.fetch_all(
        _WRITE,
        {
            "ids": sql_arrays.numbers([row.id for row, _ in changes]),
            "statuses": [str(members.get("status", row.status)) for row, members in changes],
            "updated": [*moments],
            "documents": [
                documents.set_members(row.document, {**members, "last_updated": format_datetime(moment)})
                for (row, members), moment in zip(changes, moments, strict=True)
            ],
            "locations": sql_arrays.numbers(latest),
            "latest": [*latest.values()],
            "texts": [format_datetime(moment) for moment in latest.values()],
        },
    )
    _tell([row for row, _ in changes], fields=(*changes[0][1], "last_updated"), correlation_id=correlation_id)


def _tell(rows: Sequence[Locked], *, fields: Sequence[str], correlation_id: str | None) -> None:
    receivers: dict[Address, list[Recipient]] = {}
    marked = []
    for row in rows:
        if row.private:
            continue
        owner = Address(row.country_code, row.party_id)
        if owner not in receivers:
            receivers[owner] = recipients.broadcast(MODULE, owner)
        marked.append(
            Marked(
                source_id=row.id,
                path=recipients.path(owner, row.object_id, row.uid),
                order_key=recipients.order_key(owner, row.object_id),
                recipients=receivers[owner],
            )
        )
    outbox.mark_all(marked, module=MODULE, source=CHILD, fields=fields, correlation_id=correlation_id)


def set_capability(evse_id: int, capability: str, *, present: bool) -> bool:
    """Give an EVSE a capability or take it away, and tell everybody; say whether that is a change."""
    with transaction.atomic(savepoint=False):
        row = lock([evse_id]).get(evse_id)
        kept = list(documents.get(row.document, "capabilities") or ()) if row is not None else []
        if row is None or (capability in kept) == present:
            return False
        wanted = [*kept, capability] if present else [each for each in kept if each != capability]
        write([(row, {"capabilities": wanted})])
    return True


def set_schedule(evse_id: int, schedule: list[dict[str, str]]) -> bool:
    """Give an EVSE its status_schedule, and tell everybody; say whether that is a change."""
    with transaction.atomic(savepoint=False):
        row = lock([evse_id]).get(evse_id)
        if row is None or (documents.get(row.document, "status_schedule") or []) == schedule:
            return False
        write([(row, {"status_schedule": schedule})])
    return True


def hide_or_show(location_ids: Sequence[int]) -> None:
    """Note for each Location whether it has a valid EVSE (LOC-15)."""
    with connection.cursor() as cursor:
        cursor.execute(_HIDE, [list(location_ids)])


def moment_now() -> datetime:
    """Return the time as a document can say it: in whole milliseconds."""
    now = timezone.now().astimezone(UTC)
    return now - timedelta(microseconds=now.microsecond % 1000)


_ROWS = """
SELECT e.id, l.id, e.uid, e.document, e.status, e.last_updated, l.country_code, l.party_id, l.object_id, l.private
FROM cpo_evse e JOIN cpo_location l ON l.id = e.location_id WHERE e.id = ANY(%s::text::bigint[]) ORDER BY e.id
"""
_LOCK = f"{_ROWS} FOR NO KEY UPDATE OF e"
_LOCK_FREE = f"{_ROWS} FOR NO KEY UPDATE OF e, l SKIP LOCKED"
# `last_updated` is always the last member of a Location's document, so it is replaced without parsing: no more is
# looked through than the end in which it is.
_WRITE = r"""
WITH evse AS (
    UPDATE cpo_evse e SET document = w.document, status = w.status, last_updated = w.updated
    FROM unnest(%(ids)s::text::bigint[], %(statuses)s::text[], %(updated)s::text[]::timestamptz[],
                %(documents)s::text[]) AS w(id, status, updated, document)
    WHERE e.id = w.id
)
UPDATE cpo_location l SET last_updated = w.updated,
    document = left(l.document, -60)
        || regexp_replace(right(l.document, 60), '"last_updated":"[^"]*"\}$', '"last_updated":"' || w.said || '"}')
FROM unnest(%(locations)s::text::bigint[], %(latest)s::text[]::timestamptz[], %(texts)s::text[])
     AS w(id, updated, said)
WHERE l.id = w.id AND l.last_updated < w.updated
"""
_HIDE = """
UPDATE cpo_location l SET hidden = NOT l.hidden WHERE l.id = ANY(%s)
AND l.hidden = EXISTS (SELECT FROM cpo_evse e WHERE e.location_id = l.id AND e.status <> 'REMOVED')
"""
