"""Keep, patch and read Locations, EVSEs and Connectors: the only code that touches their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction

from emsp.models import EVSE, Location
from ocpi import documents, keeping, status
from ocpi.headers import Address
from ocpi.v2_2_1 import locations as schema
from ocpi.v2_2_1.types import format_datetime

LEVELS = ("Location", "EVSE", "Connector")
_OWN_ID = ("id", "uid", "id")

# One statement: the EVSE, and its Location's time stamp where it would go forward (LOC-11). `last_updated` is always
# the last member of a Location's document, so the database can replace it without parsing.
_WRITE_EVSE = r"""
WITH evse AS (
    UPDATE emsp_evse SET document = %(document)s, status = %(status)s, last_updated = %(updated)s WHERE id = %(id)s
    RETURNING location_id
)
UPDATE emsp_location SET last_updated = %(updated)s,
    document = regexp_replace(document, '"last_updated":"[^"]*"\}$', '"last_updated":"' || %(text)s || '"}')
FROM evse WHERE emsp_location.id = evse.location_id AND emsp_location.last_updated < %(updated)s
"""
_KEEP_EVSE = """
INSERT INTO emsp_evse (location_id, uid, status, last_updated, document) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (location_id, UPPER(uid)) DO UPDATE SET
    status = EXCLUDED.status, last_updated = EXCLUDED.last_updated, document = EXCLUDED.document
RETURNING id, (xmax = 0)
"""
_STAMP = r"""
UPDATE emsp_location SET last_updated = %(updated)s,
    document = regexp_replace(document, '"last_updated":"[^"]*"\}$', '"last_updated":"' || %(text)s || '"}')
WHERE id = %(id)s AND last_updated < %(updated)s
"""
_FIND_EVSE = """
SELECT e.id, e.document, e.last_updated FROM emsp_evse e JOIN emsp_location l ON l.id = e.location_id
WHERE UPPER(l.country_code) = %s AND UPPER(l.party_id) = %s AND UPPER(l.object_id) = UPPER(%s)
AND UPPER(e.uid) = UPPER(%s) FOR UPDATE OF e
"""


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    document: str
    last_updated: datetime


def read(owner: Address, path: Sequence[str]) -> str:
    """Return a Location with all its EVSEs, one EVSE, or one Connector, as stored (LOC-03).

    :raises UnknownLocationObject: if it is not there.
    """
    location = keeping.find(Location, owner=owner, object_id=path[0])
    if location is None:
        raise _unknown(path)
    if len(path) == 1:
        evses = location.evses.order_by("id").values_list("document", flat=True)
        return documents.splice(location.document, "evses", evses)
    evse = location.evses.filter(uid__iexact=path[1]).first()
    if evse is None:
        raise _unknown(path)
    return evse.document if len(path) == 2 else _connector(evse.document, path)


def put(owner: Address, path: Sequence[str], body: bytes) -> bool:
    """Create or replace what the path names; say whether it is new.

    :raises InvalidParameters: if the body breaks its table, names another id or is older than what is stored.
    :raises UnknownLocationObject: for a part of a Location or EVSE we do not know (LOC-20).
    """
    kept, _ = schema.check_leniently(body, LEVELS[len(path) - 1])
    members = documents.members(kept)
    expected = {_OWN_ID[len(path) - 1]: path[-1]}
    if len(path) == 1:
        expected |= {"country_code": owner.country_code, "party_id": owner.party_id}
    keeping.check_identity(members, expected)
    updated = keeping.last_updated(members)
    with transaction.atomic():
        if len(path) == 1:
            return _put_location(owner, path[0], kept, updated)
        if len(path) == 2:
            return _put_evse(owner, path, kept.decode(), members, updated)
        return _put_connector(owner, path, kept.decode(), updated)


def patch(owner: Address, path: Sequence[str], body: bytes) -> None:
    """Change the members that a PATCH names.

    :raises InvalidParameters: without `last_updated`, if it is older, or if the merged object breaks its table.
    :raises UnknownLocationObject: if there is nothing to change.
    """
    level = LEVELS[len(path) - 1]
    kept, _ = schema.check_leniently(body, level, partial=True)
    members = documents.members(kept)
    expected = {_OWN_ID[len(path) - 1]: path[-1]}
    if len(path) == 1:
        expected |= {"country_code": owner.country_code, "party_id": owner.party_id}
    keeping.check_identity(members, expected)
    updated = keeping.last_updated(members)
    with transaction.atomic():
        if len(path) == 1:
            _patch_location(owner, path[0], kept, members, updated)
            return
        row = _evse(owner, path)
        if len(path) == 2:
            keeping.refuse_older(updated, row.last_updated)
            merged = documents.merge_tree(row.document, kept, (("connectors", "id"),))
            _write_evse(row, _checked(merged, "EVSE"), updated)
        else:
            _write_connector(row, path, lambda old: documents.merge(old, kept), updated)


def _put_location(owner: Address, location_id: str, body: bytes, updated: datetime) -> bool:
    document, evses = documents.take_parts(body, "evses")
    newest = max([updated, *(keeping.last_updated(documents.members(evse)) for evse in evses)])
    if newest > updated:  # a parent is never older than its parts (LOC-12)
        document = documents.set_member(document, "last_updated", format_datetime(newest))
    kept = keeping.put(
        Location,
        owner=owner,
        object_id=location_id,
        document=documents.last_updated_last(document),
        updated=newest,
    )
    # PUT replaces the whole tree: EVSEs that the body does not name are gone (LOC-22).
    ids = [_keep_evse(kept.row_id, evse, documents.members(evse))[0] for evse in evses]
    EVSE.objects.filter(location_id=kept.row_id).exclude(pk__in=ids).delete()
    return kept.created


def _put_evse(
    owner: Address, path: Sequence[str], document: str, members: dict[str, msgspec.Raw], updated: datetime
) -> bool:
    location = keeping.find(Location, owner=owner, object_id=path[0], lock=True)
    if location is None:
        raise _unknown(path)
    stored = location.evses.filter(uid__iexact=path[1]).first()
    if stored is not None:
        keeping.refuse_older(updated, stored.last_updated)
    _, created = _keep_evse(location.pk, document, members)
    _run(_STAMP, {"id": location.pk, "updated": updated, "text": format_datetime(updated)})
    return created


def _put_connector(owner: Address, path: Sequence[str], document: str, updated: datetime) -> bool:
    row = _evse(owner, path)
    _, connectors = documents.take_parts(row.document, "connectors")
    known = {documents.identity(connector, "id") for connector in connectors}
    _write_connector(row, path, lambda _: document, updated, new=document)
    return path[2].casefold() not in {each.casefold() for each in known}


def _patch_location(
    owner: Address, location_id: str, body: bytes, members: dict[str, msgspec.Raw], updated: datetime
) -> None:
    location = keeping.find(Location, owner=owner, object_id=location_id, lock=True)
    if location is None:
        raise _unknown([location_id])
    keeping.refuse_older(updated, location.last_updated)
    parts = documents.elements(members.pop("evses")) if "evses" in members else []
    whole = documents.splice(location.document, "evses", location.evses.order_by("id").values_list("document", flat=True))
    merged = _checked(documents.merge_tree(whole, body, schema.PARTS), "Location")
    document, evses = documents.take_parts(merged, "evses")
    Location.objects.filter(pk=location.pk).update(
        document=documents.last_updated_last(document), last_updated=max(updated, location.last_updated)
    )
    if parts:
        for evse in evses:
            _keep_evse(location.pk, evse, documents.members(evse))


def _evse(owner: Address, path: Sequence[str]) -> _Row:
    with connection.cursor() as cursor:
        cursor.execute(_FIND_EVSE, [*owner.key, path[0], path[1]])
        found = cursor.fetchone()
    if found is None:
        raise _unknown(path)
    return _Row(*found)


def _write_connector(
    row: _Row, path: Sequence[str], change: Any, updated: datetime, *, new: str | None = None
) -> None:
    """Change one Connector inside its EVSE's document and pass its time stamp up."""
    rest, connectors = documents.take_parts(row.document, "connectors")
    wanted, found, kept = path[2].casefold(), False, []
    for connector in connectors:
        if documents.identity(connector, "id").casefold() != wanted:
            kept.append(connector)
            continue
        found = True
        keeping.refuse_older(updated, keeping.last_updated(documents.members(connector)))
        changed = change(connector)
        schema.check(changed.encode(), "Connector")
        kept.append(changed)
    if not found:
        if new is None:
            raise _unknown(path)
        kept.append(new)
    stamp = max(updated, row.last_updated)
    rest = documents.set_member(rest, "last_updated", format_datetime(stamp))
    _write_evse(row, documents.splice(rest, "connectors", kept), stamp)


def _write_evse(row: _Row, document: str, updated: datetime) -> None:
    values = {"id": row.id, "document": document, "status": documents.get(document, "status"), "updated": updated}
    _run(_WRITE_EVSE, {**values, "text": format_datetime(updated)})


def _keep_evse(location_id: int, document: str, members: dict[str, msgspec.Raw]) -> tuple[int, bool]:
    uid, status_ = (str(msgspec.json.decode(members[name])) for name in ("uid", "status"))
    values = [location_id, uid, status_, keeping.last_updated(members), document]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_EVSE, values)
        row_id, created = cursor.fetchone()
    return row_id, created


def _checked(document: str, level: str) -> str:
    """Return a merged object that keeps its table (TRN-089)."""
    checked, _ = schema.check_leniently(document.encode(), level)
    return checked.decode()


def _connector(document: str, path: Sequence[str]) -> str:
    _, connectors = documents.take_parts(document, "connectors")
    for connector in connectors:
        if documents.identity(connector, "id").casefold() == path[2].casefold():
            return connector
    raise _unknown(path)


def _run(sql: str, values: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _unknown(path: Sequence[str]) -> status.UnknownLocationObject:
    return status.UnknownLocationObject(f"{'/'.join(path)} is not known here")
