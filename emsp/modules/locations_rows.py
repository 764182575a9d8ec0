"""The rows of Locations and EVSEs: locked in one order, Location before EVSE, and written in single statements."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from emsp.models import EVSE, Location
from ocpi import defects, documents, keeping
from ocpi.headers import Address
from ocpi.pull_table import IN_SCOPE, NOT_SEEN, OBJECT_KEY, Scope, scope_parameters
from ocpi.v2_2_1.types import format_datetime

log = logging.getLogger(__name__)

REMOVED = "REMOVED"

# `last_updated` is always the last member of a Location's document, so the database can replace it without parsing.
_FORWARD = r"""
last_updated = %(updated)s, received_at = statement_timestamp(),
document = regexp_replace(document, '"last_updated":"[^"]*"\}$', '"last_updated":"' || %(text)s || '"}')
"""
# One statement: the EVSE, and its Location's time stamp where it would go forward (LOC-11).
_WRITE_EVSE = f"""
WITH evse AS (
    UPDATE emsp_evse SET document = %(document)s, status = %(status)s, last_updated = %(updated)s WHERE id = %(id)s
    RETURNING location_id
)
UPDATE emsp_location SET {_FORWARD}
FROM evse WHERE emsp_location.id = evse.location_id AND emsp_location.last_updated < %(updated)s
"""  # noqa: S608 - constants only
_STAMP = f"UPDATE emsp_location SET {_FORWARD} WHERE id = %(id)s AND last_updated < %(updated)s"  # noqa: S608
_LOCK_EVSE = """
SELECT e.id, e.uid, e.status, e.last_updated, e.document
FROM emsp_location l JOIN emsp_evse e ON e.location_id = l.id
WHERE UPPER(l.country_code) = %s AND UPPER(l.party_id) = %s AND UPPER(l.object_id) = UPPER(%s)
    AND UPPER(e.uid) = UPPER(%s) AND e.deleted_at IS NULL AND l.gone_at IS NULL
FOR NO KEY UPDATE OF l, e
"""
_STORED_EVSES = "SELECT uid, CASE WHEN deleted_at IS NULL THEN status ELSE '' END FROM emsp_evse WHERE location_id = %s"
_KEEP_EVSES = """
INSERT INTO emsp_evse (location_id, uid, status, last_updated, document)
SELECT %(location_id)s, r.uid, r.status, r.last_updated, r.document
FROM json_to_recordset(%(evses)s) AS r(number int, uid text, status text, last_updated timestamptz, document text)
ORDER BY r.number
ON CONFLICT (location_id, UPPER(uid)) DO UPDATE SET
    status = EXCLUDED.status, last_updated = EXCLUDED.last_updated, document = EXCLUDED.document, deleted_at = NULL
"""
_GONE = f"""
UPDATE emsp_location o SET gone_at = statement_timestamp()
WHERE {IN_SCOPE} AND o.gone_at IS NULL AND o.received_at < %(started_at)s
  AND {NOT_SEEN.format(key=OBJECT_KEY)}
"""  # noqa: S608 - constants only

# From owner to owner in the index, however many Locations each of them has.
_OWNERS = """
WITH RECURSIVE owner AS (
    (SELECT country_code, party_id FROM emsp_location WHERE platform_id = %(id)s ORDER BY 1, 2 LIMIT 1)
    UNION ALL
    SELECT further.* FROM owner, LATERAL (
        SELECT l.country_code, l.party_id FROM emsp_location l
        WHERE l.platform_id = %(id)s AND (l.country_code, l.party_id) > (owner.country_code, owner.party_id)
        ORDER BY 1, 2 LIMIT 1) further
)
SELECT country_code, party_id FROM owner
"""


@dataclass(frozen=True, slots=True)
class EvseRow:
    """An EVSE as it is stored, locked."""

    id: int
    uid: str
    status: str
    last_updated: datetime
    document: str


class NewEvse(msgspec.Struct, frozen=True):
    """An EVSE as it is to be stored."""

    uid: str
    status: str
    last_updated: datetime
    document: str


def lock_evse(owner: Address, location_id: str, evse_uid: str) -> EvseRow | None:
    """Return an EVSE, its Location locked before it."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_EVSE, [*owner.key, location_id, evse_uid])
        found = cursor.fetchone()
    return EvseRow(*found) if found else None


def write_evse(row: EvseRow, document: str, updated: datetime) -> None:
    """Store a changed EVSE and pass its time stamp up."""
    status = str(documents.get(document, "status"))
    warn_if_back(row.uid, row.status, status)
    _run(_WRITE_EVSE, {"id": row.id, "document": document, "status": status, **_moment(updated)})


def stamp(location_pk: int, updated: datetime) -> None:
    """Give a Location the time stamp of a part, if that is newer."""
    _run(_STAMP, {"id": location_pk, **_moment(updated)})


def keep_evses(location_pk: int, evses: Sequence[NewEvse], *, whole: bool = False) -> None:
    """Create or replace EVSEs of a Location that is locked. The first spelling of a uid stays.

    :param whole: these are all there are: others are gone (LOC-22).
    """
    if not evses and not whole:
        return
    with connection.cursor() as cursor:
        cursor.execute(_STORED_EVSES, [location_pk])
        known = {uid.casefold(): (uid, state) for uid, state in cursor.fetchall()}
    kept = [_spelled(evse, *known.get(evse.uid.casefold(), (evse.uid, ""))) for evse in evses]
    if kept:
        # One JSON text: an array of texts this long is slow to escape.
        members = [
            {"number": number, "uid": evse.uid, "status": evse.status, "last_updated": evse.last_updated,
             "document": evse.document}
            for number, evse in enumerate(kept)
        ]  # fmt: skip
        _run(_KEEP_EVSES, {"location_id": location_pk, "evses": msgspec.json.encode(members).decode()})
    named = {evse.uid.casefold() for evse in evses}
    if whole and (gone := [uid for key, (uid, status) in known.items() if status and key not in named]):
        EVSE.objects.filter(location_id=location_pk, uid__in=gone).update(deleted_at=timezone.now())


def warn_if_back(uid: str, before: str, now: str) -> None:
    """A removed EVSE that comes back is stored; its CPO should not have done that (LOC-28)."""
    if before == REMOVED and now != REMOVED:
        defects.noted(["LOC-28 EVSE comes back after REMOVED"])
        log.warning("EVSE %s was REMOVED and is now %s", uid, now)


def unchanged(wanted: Mapping[str, tuple[Address, str, str, Mapping[str, str]]]) -> set[str]:
    """Return the keys of those Locations that are stored exactly so: owner, id, document and EVSEs by uid."""
    found = keeping.stored(
        Location, [(owner, location_id) for owner, location_id, _, _ in wanted.values()], "document", "gone_at"
    )
    evses: dict[int, dict[str, str]] = {}
    rows = EVSE.objects.filter(location_id__in=[row.pk for row in found], deleted_at=None)
    for location_id, uid, document in rows.values_list("location_id", "uid", "document"):
        evses.setdefault(location_id, {})[uid] = document
    kept = {
        f"{row.country_code}*{row.party_id}*{row.object_id}".upper(): (row.document, evses.get(row.pk, {}))
        for row in found
        if row.gone_at is None
    }
    return {key for key, (_, _, document, parts) in wanted.items() if kept.get(key) == (document, parts)}


def owners_from(platform_id: int) -> list[Address]:
    """Return the CPOs whose Locations a platform has brought."""
    with connection.cursor() as cursor:
        cursor.execute(_OWNERS, {"id": platform_id})
        return [Address(*row) for row in cursor.fetchall()]


def mark_gone(scope: Scope) -> int:
    """Mark the Locations that a full pull did not hold (TRN-106, QRK-23); one that was pushed meanwhile stays."""
    with connection.cursor() as cursor:
        cursor.execute(_GONE, scope_parameters(scope))
        return int(cursor.rowcount)


def _spelled(evse: NewEvse, uid: str, before: str) -> NewEvse:
    warn_if_back(uid, before, evse.status)
    if evse.uid == uid:
        return evse
    defects.noted(["QRK-20 identity in another case"])
    return NewEvse(uid, evse.status, evse.last_updated, documents.set_member(evse.document, "uid", uid))


def _moment(updated: datetime) -> dict[str, object]:
    return {"updated": updated, "text": format_datetime(updated)}


def _run(sql: str, values: Mapping[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
