"""Keep, patch and read Locations, EVSEs and Connectors as their CPO tells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from django.db import transaction
from django.db.models.functions import Now

from emsp.models import EVSE, Location
from emsp.modules import locations_quick as quick
from emsp.modules import locations_rows as rows
from ocpi import defects, documents, keeping, status
from ocpi.headers import Address
from ocpi.pull_table import Item
from ocpi.v2_2_1 import locations as schema
from ocpi.v2_2_1.types import format_datetime

LEVELS = ("Location", "EVSE", "Connector")
_OWN_ID = ("id", "uid", "id")
_NULL = b"null"


def read(owner: Address, path: Sequence[str]) -> str:
    """Return a Location with all its EVSEs, one EVSE, or one Connector, as stored (LOC-03).

    :raises UnknownLocationObject: if it is not there.
    """
    location = keeping.find(Location, owner=owner, object_id=path[0], gone_at=None)
    if location is None:
        raise _unknown(path)
    evses = location.evses.filter(deleted_at=None)
    if len(path) == 1:
        return documents.splice(location.document, "evses", evses.order_by("id").values_list("document", flat=True))
    evse = evses.filter(uid__iexact=path[1]).first()
    if evse is None:
        raise _unknown(path)
    return evse.document if len(path) == 2 else _connector(evse.document, path)


def put(owner: Address, path: Sequence[str], body: bytes, *, platform_id: int) -> bool:
    """Create or replace what the path names; say whether it is new.

    :raises InvalidParameters: if the body breaks its table, names another id or is older than what is stored.
    :raises UnknownLocationObject: for a part of a Location or EVSE we do not know (LOC-20).
    """
    kept = defects.taken(schema.check_leniently(body, LEVELS[len(path) - 1]))
    members = documents.members(kept)
    keeping.check_identity(members, _identity(owner, path))
    updated = keeping.last_updated(members)
    if len(path) == 1:
        return _put_location(owner, path[0], members, updated, platform_id)
    with transaction.atomic():
        if len(path) == 2:
            return _put_evse(owner, path, kept.decode())
        return _put_connector(owner, path, kept.decode(), updated)


def patch(owner: Address, path: Sequence[str], body: bytes) -> None:
    """Change the members that a PATCH names.

    :raises InvalidParameters: without `last_updated`, if it is older, or if the merged object breaks its table.
    :raises UnknownLocationObject: if there is nothing to change.
    """
    kept = defects.taken(schema.check_leniently(body, LEVELS[len(path) - 1], partial=True))
    members = documents.members(kept)
    identity = _identity(owner, path)
    keeping.check_identity(members, identity)
    updated = keeping.last_updated(members)
    change = keeping.without_identity(kept, identity)
    if len(path) == 2 and _patch_quickly(owner, path, change, updated):
        return
    with transaction.atomic():
        if len(path) == 1:
            _patch_location(owner, path[0], change, updated)
        elif len(path) == 2:
            _patch_evse(_locked(owner, path), change, updated)
        else:
            _write_connector(_locked(owner, path), path, lambda old: documents.merge(old, change), updated)


def _put_location(
    owner: Address, location_id: str, members: Mapping[str, msgspec.Raw], updated: datetime, platform_id: int
) -> bool:
    document, evses, newest = _taken_apart(members, updated)
    publish = "publish" in members and bool(msgspec.json.decode(members["publish"]))
    created = None
    if _is_spelled(members, owner, location_id):
        created = quick.put(owner, location_id, document, newest, platform_id=platform_id, publish=publish, evses=evses)
    if created is not None:
        return created
    columns = {"gone_at": None, "publish": publish, "platform_id": platform_id}
    with transaction.atomic():
        kept = keeping.put(
            Location, owner=owner, object_id=location_id, document=document, updated=newest, columns=columns
        )
        # PUT replaces the whole tree: EVSEs that the body does not name are gone (LOC-22).
        rows.keep_evses(kept.row_id, evses, whole=True)
    return kept.created


def _is_spelled(members: Mapping[str, msgspec.Raw], owner: Address, location_id: str) -> bool:
    """Say whether a body spells its ids as the URL does: if not, the first spelling has to be put in (TRN-097)."""
    named = {"country_code": owner.country_code, "party_id": owner.party_id, "id": location_id}
    return all(bytes(members[name]).decode() == f'"{value}"' for name, value in named.items() if name in members)


def unchanged(items: Sequence[Item], platform_id: int) -> set[str]:
    """Return the keys of pulled Locations that are stored exactly so, their EVSEs included."""
    wanted = {}
    for item in items:
        document, evses, _ = _taken_apart(documents.members(item.body), item.updated)
        wanted[item.key] = (item.owner, item.object_id, document, {evse.uid: evse.document for evse in evses})
    return rows.unchanged(wanted)


def _taken_apart(members: Mapping[str, msgspec.Raw], updated: datetime) -> tuple[str, list[rows.NewEvse], datetime]:
    """Return a Location's own document, its EVSEs, and the time stamp of the whole (LOC-12).

    The time stamp is the last member of the document.
    """
    own = dict(members)
    parts = own.pop("evses", None)
    evses: list[rows.NewEvse] = []
    if parts is not None:
        texts = [bytes(part).decode() for part in documents.elements(parts)]
        moments = _Moments()
        evses = [_new_evse(*each, moments) for each in zip(texts, _all_parts.decode(parts) or (), strict=True)]
    newest = max([updated, *(evse.last_updated for evse in evses)])
    stamp = own.pop("last_updated")
    own["last_updated"] = stamp if newest == updated else documents.raw(f'"{format_datetime(newest)}"')
    return documents.text(own), evses, newest


def _put_evse(owner: Address, path: Sequence[str], document: str) -> bool:
    location = keeping.find(Location, owner=owner, object_id=path[0], lock=True, gone_at=None)
    if location is None:
        raise _unknown(path)
    evse = _new_evse(document)
    stored = location.evses.filter(uid__iexact=path[1], deleted_at=None).first()
    if stored is not None:
        keeping.refuse_older(evse.last_updated, stored.last_updated)
    rows.keep_evses(location.pk, [evse])
    rows.stamp(location.pk, evse.last_updated)
    return stored is None


def _put_connector(owner: Address, path: Sequence[str], document: str, updated: datetime) -> bool:
    row = _locked(owner, path)

    def replaced(old: str) -> str:
        return documents.set_member(document, "id", documents.get(old, "id"))

    return _write_connector(row, path, replaced, updated, new=document)


def _patch_location(owner: Address, location_id: str, change: bytes, updated: datetime) -> None:
    location = keeping.find(Location, owner=owner, object_id=location_id, lock=True, gone_at=None)
    if location is None:
        raise _unknown([location_id])
    keeping.refuse_older(updated, location.last_updated)
    named = documents.members(change).get("evses")
    merged = _checked(documents.merge(location.document, documents.without(change, "evses")), "Location")
    evses: list[rows.NewEvse] = []
    if named is not None and bytes(named) == _NULL:
        rows.keep_evses(location.pk, [], whole=True)
    elif named is not None:
        stored = {evse.uid.casefold(): evse for evse in location.evses.filter(deleted_at=None)}
        for index, part in enumerate(documents.elements(named)):
            evses.append(_merged_evse(stored, bytes(part).decode(), updated, f"evses[{index}]"))
        rows.keep_evses(location.pk, evses)
    newest = max([updated, *(evse.last_updated for evse in evses)])
    Location.objects.filter(pk=location.pk).update(
        document=_stamped(merged, updated, newest),
        publish=bool(documents.get(merged, "publish")),
        last_updated=newest,
        received_at=Now(),
    )


def _merged_evse(stored: dict[str, EVSE], part: str, updated: datetime, field: str) -> rows.NewEvse:
    """Return an EVSE that a PATCH of its Location names: merged by uid, or complete if it is new (LOC-31)."""
    try:
        known = stored.get(documents.identity(part, "uid"))
        if known is None:
            return _new_evse(_checked(part, "EVSE"))
        if "last_updated" in documents.members(part):
            keeping.refuse_older(keeping.last_updated(documents.members(part)), known.last_updated)
        else:
            part = documents.set_member(part, "last_updated", format_datetime(max(updated, known.last_updated)))
        change = documents.without(part, "uid")
        return _new_evse(_checked(documents.merge_tree(known.document, change, schema.PARTS[1:]), "EVSE"))
    except status.InvalidParameters as error:
        raise status.InvalidParameters(f"{field}.{error.field}" if error.field else field, error.rule) from error


def _patch_quickly(owner: Address, path: Sequence[str], change: bytes, updated: datetime) -> bool:
    """Patch an EVSE without a lock, unless its Connectors are named; say whether that is done.

    :raises InvalidParameters: if it is older, or the merged object breaks its table.
    :raises UnknownLocationObject: if there is no such EVSE.
    """
    if "connectors" in documents.members(change):
        return False
    row = quick.read(owner, path[0], path[1])
    if row is None:
        raise _unknown(path)
    keeping.refuse_older(updated, row.last_updated)
    return quick.write(row, _checked(documents.merge(row.document, change), "EVSE"), updated)


def _patch_evse(row: rows.EvseRow, change: bytes, updated: datetime) -> None:
    keeping.refuse_older(updated, row.last_updated)
    if "connectors" not in documents.members(change):  # a status, nearly always
        rows.write_evse(row, _checked(documents.merge(row.document, change), "EVSE"), updated)
        return
    merged = _new_evse(_checked(documents.merge_tree(row.document, change, schema.PARTS[1:]), "EVSE"))
    rows.write_evse(row, merged.document, merged.last_updated)


def _write_connector(
    row: rows.EvseRow, path: Sequence[str], change: Callable[[str], str], updated: datetime, *, new: str | None = None
) -> bool:
    """Change one Connector inside its EVSE's document and pass its time stamp up; say whether it is new."""
    _, connectors = documents.take_parts(row.document, "connectors")
    wanted, created, kept = path[2].casefold(), True, []
    for connector in connectors:
        if documents.identity(connector, "id") == wanted:
            created = False
            keeping.refuse_older(updated, keeping.last_updated(documents.members(connector)))
            connector = _checked(change(connector), "Connector")
        kept.append(connector)
    if created:
        if new is None:
            raise _unknown(path)
        kept.append(new)
    newest = max(updated, row.last_updated)
    joined = documents.raw("[" + ",".join(kept) + "]")
    changes = {"connectors": joined, "last_updated": format_datetime(newest)}
    rows.write_evse(row, documents.set_members(row.document, changes), newest)
    return created


class _Stamped(msgspec.Struct):
    last_updated: str


class _Parts(msgspec.Struct):
    """What is looked at of an EVSE that was checked."""

    uid: str
    status: str
    last_updated: str
    connectors: list[_Stamped] | None = None


_parts = msgspec.json.Decoder(_Parts)
_all_parts = msgspec.json.Decoder(list[_Parts] | None)


class _Moments(dict[str, datetime]):
    """Time stamps that were read: the parts of a Location nearly all have the same."""

    def __missing__(self, text: str) -> datetime:
        found = self[text] = keeping.read_moment(text)
        return found


def _new_evse(document: str, found: _Parts | None = None, moments: _Moments | None = None) -> rows.NewEvse:
    """Return an EVSE to be stored; it is never older than its Connectors (LOC-12)."""
    found = found or _parts.decode(document)
    moments = _Moments() if moments is None else moments
    updated = newest = moments[found.last_updated]
    for each in found.connectors or ():
        if each.last_updated != found.last_updated:
            newest = max(newest, moments[each.last_updated])
    if newest > updated:
        document = documents.set_member(document, "last_updated", format_datetime(newest))
    return rows.NewEvse(found.uid, found.status, newest, document)


def _stamped(document: str, updated: datetime, newest: datetime) -> str:
    """Return a Location's document with its time stamp last, never older than its EVSEs (LOC-12)."""
    if newest > updated:
        document = documents.set_member(document, "last_updated", format_datetime(newest))
    return documents.last_updated_last(document)


def _locked(owner: Address, path: Sequence[str]) -> rows.EvseRow:
    row = rows.lock_evse(owner, path[0], path[1])
    if row is None:
        raise _unknown(path)
    return row


def _checked(document: str, level: str) -> str:
    """Return a merged object that keeps its table (TRN-089)."""
    checked, _ = schema.check_leniently(document.encode(), level)
    return checked.decode()


def _connector(document: str, path: Sequence[str]) -> str:
    _, connectors = documents.take_parts(document, "connectors")
    for connector in connectors:
        if documents.identity(connector, "id") == path[2].casefold():
            return connector
    raise _unknown(path)


def _identity(owner: Address, path: Sequence[str]) -> dict[str, str]:
    expected = {_OWN_ID[len(path) - 1]: path[-1]}
    if len(path) == 1:
        expected |= {"country_code": owner.country_code, "party_id": owner.party_id}
    return expected


def _unknown(path: Sequence[str]) -> status.UnknownLocationObject:
    return status.UnknownLocationObject()
