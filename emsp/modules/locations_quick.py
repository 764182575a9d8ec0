"""What comes most, with the fewest round trips: a whole Location in one statement, the change of an EVSE in two.

Both do the ordinary case and say so if it is another: an id in another spelling, an EVSE that comes back after REMOVED,
something older than what is stored, somebody who was faster. That goes the longer way of `locations_operations`, which
locks first. One statement is one transaction (docs/adr/0019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from emsp.modules.locations_rows import REMOVED, NewEvse
from ocpi import documents, prepared
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime

_ODD = "odd"
_PUT = """
SELECT emsp_put_location(%(country_code)s, %(party_id)s, %(object_id)s, %(updated)s, %(document)s, %(publish)s,
    %(platform_id)s::bigint, %(uids)b::text[], %(statuses)b::text[], %(moments)b::timestamptz[], %(documents)b::text[])
"""
_READ = """
SELECT e.id, l.id, e.status, e.last_updated, e.document, e.xmin::text || e.ctid::text
FROM emsp_location l JOIN emsp_evse e ON e.location_id = l.id
WHERE UPPER(l.country_code) = %s AND UPPER(l.party_id) = %s AND UPPER(l.object_id) = UPPER(%s)
    AND UPPER(e.uid) = UPPER(%s) AND e.deleted_at IS NULL AND l.gone_at IS NULL
"""
# Location before EVSE, as everybody locks them. `last_updated` is the last member of a Location's document, so the
# database can replace it without parsing.
_WRITE = r"""
WITH held AS MATERIALIZED (
    SELECT id FROM emsp_location WHERE id = %(location_id)s FOR NO KEY UPDATE
), evse AS (
    UPDATE emsp_evse e SET document = %(document)s, status = %(status)s, last_updated = %(updated)s
    FROM held WHERE e.id = %(id)s AND e.xmin::text || e.ctid::text = %(version)s::text
    RETURNING e.location_id
), stamped AS (
    UPDATE emsp_location l SET last_updated = %(updated)s, received_at = statement_timestamp(),
        document = regexp_replace(l.document, '"last_updated":"[^"]*"\}$', '"last_updated":"' || %(text)s || '"}')
    FROM evse WHERE l.id = evse.location_id AND l.last_updated < %(updated)s
)
SELECT EXISTS (SELECT FROM evse)
"""


@dataclass(frozen=True, slots=True)
class ReadEvse:
    """An EVSE as it is stored, not locked."""

    id: int
    location_id: int
    status: str
    last_updated: datetime
    document: str
    version: str  # another one as soon as anybody has written the row


def put(
    owner: Address,
    location_id: str,
    document: str,
    updated: datetime,
    *,
    platform_id: int,
    publish: bool,
    evses: Sequence[NewEvse],
) -> bool | None:
    """Keep a Location and exactly these EVSEs; say whether it is new, or None if this is not the ordinary case."""
    [(outcome,)] = prepared.fetch_all(
        _PUT,
        {
            "country_code": owner.country_code,
            "party_id": owner.party_id,
            "object_id": location_id,
            "updated": updated,
            "document": document,
            "publish": publish,
            "platform_id": platform_id,
            "uids": [evse.uid for evse in evses],
            "statuses": [evse.status for evse in evses],
            "moments": [evse.last_updated for evse in evses],
            "documents": [evse.document for evse in evses],
        },
    )
    return None if outcome == _ODD else outcome == "new"


def read(owner: Address, location_id: str, evse_uid: str) -> ReadEvse | None:
    """Return an EVSE that is there."""
    rows = prepared.fetch_all(_READ, [*owner.key, location_id, evse_uid])
    return ReadEvse(*rows[0]) if rows else None


def write(row: ReadEvse, document: str, updated: datetime) -> bool:
    """Store a changed EVSE and pass its time stamp up, unless somebody was faster; say whether that is done."""
    status = str(documents.get(document, "status"))
    if row.status == REMOVED:
        return False
    values = {
        "id": row.id, "location_id": row.location_id, "version": row.version, "document": document, "status": status,
        "updated": updated, "text": format_datetime(updated),
    }  # fmt: skip
    [(is_written,)] = prepared.fetch_all(_WRITE, values)
    return bool(is_written)
