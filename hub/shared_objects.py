"""The objects the hub keeps: each push applied to the stored state, the owner's `last_updated` untouched (HUB-20).

An object that a module addresses on its own has its own row ("LOC1", "LOC1/3256"); what is addressed below that (a
Connector) is a member of its row's document. Which levels there are is read from the version's schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from django.db.models import Q
from django.db.models.functions import Now

from hub.models import SharedObject
from ocpi import documents, status, version_numbers
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime, parse_datetime

VERSION = "2.2.1"
LEVELS: dict[str, tuple[str, ...]] = {
    "locations": ("Location", "EVSE", "Connector"),
    "tariffs": ("Tariff",),
    "tokens": ("Token",),
}
# Locations and EVSEs have rows of their own, Connectors live inside their EVSE (docs/adr/0002).
_ROW_LEVELS = 2
_UNKNOWN = {"locations": status.UnknownLocationObject, "tokens": status.UnknownTokenObject}


@dataclass(frozen=True, slots=True)
class Applied:
    """What a push changed, and what has to reach the receivers."""

    row_id: int
    path: str
    order_key: str
    fields: tuple[str, ...] | None  # None = the whole document
    created: bool


@dataclass(frozen=True, slots=True)
class Push:
    """A PUT, PATCH or DELETE of an object of an owner."""

    module: str
    method: str
    owner: Address
    path: tuple[str, ...]  # object id, and the ids of parts below it
    kind: str  # the query's type
    body: bytes
    platform_id: int


def check(push: Push) -> None:
    """Refuse what breaks the object's table, before anything is kept (HUB-32). Unknown enum values pass (TRN-115).

    :raises InvalidParameters: naming the field and the rule.
    :raises UnknownObject: if the path is deeper than the module's objects.
    """
    levels = LEVELS[push.module]
    if not 1 <= len(push.path) <= len(levels):
        raise status.UnknownObject("There is nothing at this URL")
    if push.method == "DELETE":
        return
    level, partial = levels[len(push.path) - 1], push.method == "PATCH"
    version_numbers.schema(VERSION, push.module).check_leniently(push.body, level, partial=partial)
    members = documents.members(push.body)
    if partial and "last_updated" not in members:
        raise status.InvalidParameters("last_updated", "is required in a PATCH")
    _check_identity(push, members)


def apply(push: Push) -> Applied:
    """Keep the new state of an object, in the caller's transaction.

    :raises UnknownObject: for a PATCH or DELETE of what was never pushed, and for parts of an unknown parent.
    :raises InvalidParameters: if the push is older than what is kept (TRN-091).
    """
    if len(push.path) > _ROW_LEVELS:
        return _apply_to_member(push)
    row = _find(push, push.path)
    if push.method == "DELETE":
        return _delete(push, row)
    if push.method == "PATCH":
        return _patch(push, row)
    return _put(push, row)


def _put(push: Push, row: SharedObject | None) -> Applied:
    parent = None
    if len(push.path) > 1:
        parent = _find(push, push.path[:-1])
        if parent is None:
            raise _unknown(push)
    updated = _moment(documents.members(push.body))
    if row is not None and row.deleted_at is None and updated < row.last_updated:
        raise _older(updated, row.last_updated)
    body = push.body.decode()
    parts: list[str] = []
    if push.module == "locations" and len(push.path) == 1:
        body, parts = documents.take_parts(body, "evses")
    kept = _keep(push, push.path, body, updated, parent)
    if push.module == "locations" and len(push.path) == 1:
        _keep_parts(push, kept, parts)
    elif parent is not None:
        _stamp(parent, updated)
    created = row is None or row.deleted_at is not None
    return Applied(kept.pk, _joined(push), f"{push.owner}/{push.path[0]}", None, created)


def _patch(push: Push, row: SharedObject | None) -> Applied:
    if row is None or row.deleted_at is not None:
        raise _unknown(push)
    patch = documents.members(push.body)
    updated = _moment(patch)
    if updated < row.last_updated:
        raise _older(updated, row.last_updated)
    if "evses" in patch:
        _merge_parts(push, row, patch)
        return Applied(row.pk, _joined(push), f"{push.owner}/{push.path[0]}", None, False)
    _write(row, documents.merge(row.document, push.body), updated)
    if row.container is not None:
        _stamp(row.container, updated)
    return Applied(row.pk, _joined(push), f"{push.owner}/{push.path[0]}", tuple(patch), False)


def _delete(push: Push, row: SharedObject | None) -> Applied:
    if row is None or row.deleted_at is not None:
        raise _unknown(push)
    SharedObject.objects.filter(pk=row.pk).update(deleted_at=Now(), received_at=Now())
    return Applied(row.pk, _joined(push), f"{push.owner}/{push.path[0]}", None, False)


def _apply_to_member(push: Push) -> Applied:
    """Put or patch a Connector inside its EVSE; the EVSE is what goes out."""
    row = _find(push, push.path[:_ROW_LEVELS])
    if row is None:
        raise _unknown(push)
    updated = _moment(documents.members(push.body))
    rest, connectors = documents.take_parts(row.document, "connectors")
    wanted = push.path[_ROW_LEVELS].upper()
    kept, found = [], False
    for text in connectors:
        if _text(documents.members(text)["id"]).upper() == wanted:
            found = True
            kept.append(documents.merge(text, push.body) if push.method == "PATCH" else push.body.decode())
        else:
            kept.append(text)
    if not found and push.method == "PATCH":
        raise _unknown(push)
    if not found:
        kept.append(push.body.decode())
    stamped = documents.merge(rest, _dumps({"last_updated": format_datetime(max(updated, row.last_updated))}))
    _write(row, documents.splice(stamped, "connectors", kept), max(updated, row.last_updated))
    if row.container is not None:
        _stamp(row.container, updated)
    path = "/".join((push.owner.country_code, push.owner.party_id, *push.path[:_ROW_LEVELS]))
    return Applied(row.pk, path, f"{push.owner}/{push.path[0]}", None, not found)


def _merge_parts(push: Push, row: SharedObject, patch: dict[str, msgspec.Raw]) -> None:
    """Apply a Location PATCH that names EVSEs: each is merged by its uid (LOC-31)."""
    updated = _moment(patch)
    for raw in msgspec.json.decode(patch.pop("evses"), type=list[msgspec.Raw]):
        part = bytes(raw)
        uid = _text(documents.members(part)["uid"])
        below = (*push.path, uid)
        child = _find(push, below)
        if child is None:
            _keep(push, below, part.decode(), updated, row)
        else:
            _write(child, documents.merge(child.document, part), max(updated, child.last_updated))
    _write(row, documents.merge(row.document, msgspec.json.encode(patch)), updated)


def _keep_parts(push: Push, parent: SharedObject, parts: Sequence[str]) -> None:
    kept = []
    for part in parts:
        members = documents.members(part)
        below = (*push.path, _text(members["uid"]))
        kept.append(_keep(push, below, part, _moment(members), parent).pk)
    # PUT replaces the whole tree (LOC-22).
    parent.children.exclude(pk__in=kept).delete()


def _keep(
    push: Push, path: tuple[str, ...], body: str, updated: datetime, parent: SharedObject | None
) -> SharedObject:
    row = _find(push, path)
    document = documents.last_updated_last(body)
    if row is None:
        return SharedObject.objects.create(
            platform_id=push.platform_id,
            module=push.module,
            country_code=push.owner.country_code,
            party_id=push.owner.party_id,
            path="/".join(path),
            kind=push.kind,
            container=parent,
            last_updated=updated,
            document=document,
        )
    row.container, row.last_updated, row.document, row.deleted_at = parent, updated, document, None
    SharedObject.objects.filter(pk=row.pk).update(
        container=parent, last_updated=updated, document=document, deleted_at=None, received_at=Now(),
        platform_id=push.platform_id,
    )
    return row


def _write(row: SharedObject, document: str, updated: datetime) -> None:
    SharedObject.objects.filter(pk=row.pk).update(
        document=documents.last_updated_last(document), last_updated=updated, received_at=Now()
    )


def _stamp(parent: SharedObject, updated: datetime) -> None:
    """Give a parent its child's time stamp; it never goes backwards (LOC-10, LOC-11)."""
    if updated > parent.last_updated:
        patch = _dumps({"last_updated": format_datetime(updated)})
        _write(parent, documents.merge(parent.document, patch), updated)


def _find(push: Push, path: tuple[str, ...]) -> SharedObject | None:
    where = Q(module=push.module, kind=push.kind, path__iexact="/".join(path))
    where &= Q(country_code__iexact=push.owner.country_code, party_id__iexact=push.owner.party_id)
    return SharedObject.objects.select_for_update(of=("self",)).select_related("container").filter(where).first()


def _check_identity(push: Push, members: dict[str, msgspec.Raw]) -> None:
    """Refuse a body that names another owner or id than the URL (TRN-047, TRN-048, TRN-090)."""
    own_id = "uid" if push.module == "tokens" or len(push.path) == _ROW_LEVELS else "id"
    expected = {own_id: push.path[-1]}
    if len(push.path) == 1:
        expected |= {"country_code": push.owner.country_code, "party_id": push.owner.party_id}
    for name, value in expected.items():
        if name in members and _text(members[name]).upper() != value.upper():
            raise status.InvalidParameters(name, f"differs from {value} in the URL")


def _unknown(push: Push) -> status.OcpiError:
    return _UNKNOWN.get(push.module, status.UnknownObject)(f"{push.path[0]} is not known here")


def _older(given: datetime, stored: datetime) -> status.InvalidParameters:
    return status.InvalidParameters(
        "last_updated", f"{format_datetime(given)} is older than {format_datetime(stored)}, which is kept"
    )


def _joined(push: Push) -> str:
    return "/".join((push.owner.country_code, push.owner.party_id, *push.path))


def _moment(members: dict[str, msgspec.Raw]) -> datetime:
    return parse_datetime(_text(members["last_updated"]))


def _text(raw: msgspec.Raw) -> str:
    return str(msgspec.json.decode(raw))


def _dumps(value: Any) -> bytes:
    return msgspec.json.encode(value)



