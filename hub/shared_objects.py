"""The objects the hub keeps: each push applied to the stored state, the owner's `last_updated` untouched (HUB-20).

An object that a module addresses on its own has its own row ("LOC1", "LOC1/3256"); what is addressed below that (a
Connector) is a member of its row's document (docs/adr/0002). Which levels there are is read from the version's schema.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db import connection
from django.db.models.functions import Now

from hub import ownership, shared_sql, spelling
from hub.models import SharedObject
from ocpi import defects, documents, keeping, outbox, prepared, session_periods, status, version_numbers
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime, parse_datetime

VERSION = "2.2.1"
LEVELS: dict[str, tuple[str, ...]] = {
    "locations": ("Location", "EVSE", "Connector"),
    "tariffs": ("Tariff",),
    "tokens": ("Token",),
    "sessions": ("Session",),
    "cdrs": ("CDR",),
}
ROW_LEVELS = 2
_HAS_PARTS = {"locations": "evses"}
_STAMPED = "last_updated"
_DEFAULT_TYPE = "RFID"
_LONGEST_TYPE = 20
_FINAL = frozenset({"cdrs"})  # never changed once they are there (CDR-05)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a push changed, and what has to reach the receivers."""

    row_id: int
    path: str
    order_key: str
    fields: tuple[str, ...] | None  # None = the whole document
    created: bool
    added: bool  # there was not even a deleted one
    split: bool  # some receivers have a version of their own that may now be outdated (hub/direct_versions.py)


@dataclass(frozen=True, slots=True)
class _Row:
    """A kept object, locked."""

    id: int
    document: str
    last_updated: datetime
    container_id: int | None
    deleted: bool
    split: bool
    country_code: str  # these as they were spelled first
    party_id: str
    path: str


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
    receiver: str = ""  # whose version this is, if it was pushed to one party alone: "DE*EMS"


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
    # What is kept and sent on stays as it came (HUB-21); the deviations are only counted.
    schema = version_numbers.schema(VERSION, push.module)
    defects.taken(schema.check_leniently(push.body, level, partial=partial, any_value=True))
    members = documents.members(push.body)
    keeping.last_updated(members)
    spelling.check(push, members)


def token_type(method: str, given: str | None, body: bytes) -> str:
    """Return the type that is part of a Token's identity: the query's, else the body's, else RFID (TOK-07, TOK-08).

    A PATCH has it from its URL alone, and does not change it (SEC-36).

    :raises InvalidParameters: if query and body name two different ones, or one that cannot be kept.
    """
    if method not in ("PUT", "PATCH"):
        return given or _DEFAULT_TYPE
    raw = documents.members(body).get("type")
    inside = spelling.text(raw) if raw is not None else None
    found = given or (inside if method == "PUT" else None) or _DEFAULT_TYPE
    if len(found) > _LONGEST_TYPE or not found.isprintable():
        raise status.InvalidParameters("type", f"must be a word of at most {_LONGEST_TYPE} characters")
    if inside and inside != found:
        raise status.InvalidParameters("type", f"is {inside[:_LONGEST_TYPE]} in the body and {found} in the URL")
    return found


def apply(push: Push) -> Applied:
    """Keep the new state of an object, in the caller's transaction.

    :raises UnknownObject: for a PATCH or DELETE of what was never pushed, and for parts of an unknown parent.
    :raises InvalidParameters: if the push is older than what is kept (TRN-091).
    """
    if len(push.path) > 1:
        _find(push, push.path[:1])  # a whole is locked before its parts, else a PUT of it and this wait for each other
    if len(push.path) > ROW_LEVELS:
        return _apply_to_member(push)
    row = _find(push, push.path)
    if push.method == "DELETE":
        return _delete(push, row)
    if push.method == "PATCH":
        return _patch(push, row)
    return _put(push, row)


def _put(push: Push, row: _Row | None) -> Applied:
    container, parts = None, list[str]()
    if len(push.path) > 1:
        container = _find(push, push.path[:-1])
        if container is None:
            raise _unknown(push)
    updated = moment(documents.members(push.body))
    if row is not None and not row.deleted:
        if push.module in _FINAL:
            raise status.InvalidParameters("id", "is known: it is not changed any more")
        if updated < row.last_updated and container is None:  # some stamp only the EVSE that changed (LOC-09, LOC-11)
            parts = documents.take_parts(push.body, _HAS_PARTS.get(push.module, ""))[1]
            updated = max((updated, *(moment(documents.members(part)) for part in parts)))
        keeping.refuse_older(updated, row.last_updated)
    body = push.body.decode()
    if row is not None:
        body = spelling.as_kept(body, row.document, spelling.identity(push))
        body = spelling.tree_as_kept(body, row.document, member_parts(push))
    whole = container is None and _HAS_PARTS.get(push.module)
    if whole:
        body, parts = documents.take_parts(body, whole)
        if row is not None:
            kept_parts = SharedObject.objects.filter(container_id=row.id).values_list("document", flat=True)
            parts = spelling.parts_as_kept(parts, kept_parts, member_parts(push))
    kept, is_new = _keep(push, push.path, body, updated, container.id if container else None)
    if whole:
        _keep_parts(push, kept, parts)
    elif container is not None:
        _stamp(container, updated)
    split = any(each.split for each in (row, container) if each is not None)
    created = is_new or (row is not None and row.deleted)
    return _applied(push, kept, row, created=created, added=is_new and container is None, split=split)


def _patch(push: Push, row: _Row | None) -> Applied:
    if row is None or row.deleted:
        raise _unknown(push)
    change = spelling.change_of(push)
    if push.module == "sessions":
        change = session_periods.added(row.document, change).encode()
    patch = documents.members(change)
    updated = moment(patch)
    keeping.refuse_older(updated, row.last_updated)
    part = _HAS_PARTS.get(push.module, "") if row.container_id is None else ""
    if part in patch:
        _merge_parts(push, row, patch, part)
        return _applied(push, row.id, row, split=row.split)
    merged = documents.merge_tree(row.document, documents.text(patch), member_parts(push))
    if names_parts(push, patch):  # a Connector that is new must be complete (LOC-31, TRN-089)
        level = LEVELS[push.module][len(push.path) - 1]
        version_numbers.schema(VERSION, push.module).check_leniently(merged.encode(), level, any_value=True)
    split = _write(row, merged, updated)
    # To others a PATCH would add those periods once more: the whole goes to them.
    return _applied(push, row.id, row, fields=None if session_periods.MEMBER in patch else tuple(patch), split=split)


def _delete(push: Push, row: _Row | None) -> Applied:
    if row is None or row.deleted:
        raise _unknown(push)
    SharedObject.objects.filter(pk=row.id).update(deleted_at=Now(), received_at=Now())
    return _applied(push, row.id, row, split=row.split)


def _apply_to_member(push: Push) -> Applied:
    """Put or patch a Connector inside its EVSE; the EVSE is what goes out."""
    row = _find(push, push.path[:ROW_LEVELS])
    if row is None:
        raise _unknown(push)
    member, key = version_numbers.schema(VERSION, push.module).PARTS[ROW_LEVELS - 1]
    updated = moment(documents.members(push.body))
    rest, elements = documents.take_parts(row.document, member)
    wanted = documents.identity(documents.text({key: push.path[ROW_LEVELS]}), key)
    places = [index for index, text in enumerate(elements) if documents.identity(text, key) == wanted]
    if not places and push.method == "PATCH":
        raise _unknown(push)
    if not places:
        elements.append(push.body.decode())
    for index in places:
        before = elements[index]
        keeping.refuse_older(updated, moment(documents.members(before)))
        whole = documents.merge(before, push.body) if push.method == "PATCH" else push.body.decode()
        elements[index] = spelling.as_kept(whole, before, (key,))
    stamp = max(updated, row.last_updated)
    whole = documents.splice(documents.set_member(rest, _STAMPED, format_datetime(stamp)), member, elements)
    split = _write(row, whole, stamp)
    return _applied(push, row.id, row, path=push.path[:ROW_LEVELS], created=not places, split=split)


def _merge_parts(push: Push, row: _Row, patch: dict[str, msgspec.Raw], part: str) -> None:
    """Apply a Location PATCH that names EVSEs: each is merged by its uid, an unknown one must be complete (LOC-31)."""
    schema = version_numbers.schema(VERSION, push.module)
    parts = schema.PARTS
    updated = moment(patch)
    for index, raw in enumerate(documents.elements(patch.pop(part), part)):
        members = documents.members(bytes(raw))
        if parts[0][1] not in members:
            raise status.InvalidParameters(f"{part}[{index}].{parts[0][1]}", "is required")
        below = (*push.path, spelling.text(members[parts[0][1]]))
        child = _find(push, below)
        text = bytes(raw).decode()
        if child is not None:
            text = documents.merge_tree(child.document, documents.without(text, parts[0][1]), parts[1:])
        schema.check_leniently(text.encode(), LEVELS[push.module][1], any_value=True)
        stamp = moment(documents.members(text))
        if child is None:
            _keep(push, below, text, stamp, row.id)
        else:
            keeping.refuse_older(stamp, child.last_updated)
            _write(child, text, stamp)
    _write(row, documents.merge(row.document, documents.text(patch)), updated)


def _keep_parts(push: Push, container_id: int, parts: Sequence[str]) -> None:
    kept: dict[str, tuple[str, datetime, str]] = {}  # of two with one uid the last counts
    for part in parts:
        members = documents.members(part)
        path = "/".join((*push.path, spelling.text(members["uid"])))
        kept[path.upper()] = path, moment(members), documents.last_updated_last(part)
    prepared.fetch_all(
        shared_sql.KEEP_PARTS,
        {
            "platform_id": push.platform_id,
            "module": push.module,
            "country_code": push.owner.country_code,
            "party_id": push.owner.party_id,
            "kind": push.kind,
            "receiver": push.receiver,
            "container_id": container_id,
            "paths": [path for path, _, _ in kept.values()],
            "moments": [moment for _, moment, _ in kept.values()],
            "documents": [document for _, _, document in kept.values()],
        },
    )


def _applied(
    push: Push,
    row_id: int,
    row: _Row | None,
    *,
    path: tuple[str, ...] | None = None,
    fields: tuple[str, ...] | None = None,
    created: bool = False,
    added: bool = False,
    split: bool = False,
) -> Applied:
    below = path or push.path
    if row is None:
        there = outbox.path_of(push.owner.country_code, push.owner.party_id, *below)
    else:
        there = spelling.path_as_kept(below, row.country_code, row.party_id, row.path)
    return Applied(row_id, there, order_key_of(push), fields, created, added, split)


def order_key_of(push: Push) -> str:
    """Return what keeps an object and its parts in order (REL-14)."""
    return f"{push.owner}/{push.path[0]}"


def parts_of(module: str) -> str:
    """Return the member of a module's objects whose elements have rows of their own, or nothing."""
    return _HAS_PARTS.get(module, "")


def member_parts(push: Push) -> tuple[tuple[str, str], ...]:
    """Return the lists inside this row's document that are merged element by element."""
    return tuple(version_numbers.schema(VERSION, push.module).PARTS[len(push.path) - 1 :])


def names_parts(push: Push, patch: Collection[str]) -> bool:
    """Say whether a PATCH of an object names parts of it that are merged one by one, or that are added (SES-29)."""
    is_added = push.module == "sessions" and session_periods.MEMBER in patch
    return is_added or any(name in patch for name, _ in member_parts(push))


def _stamp(container: _Row, updated: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            shared_sql.STAMP, {"container_id": container.id, "updated": updated, "text": format_datetime(updated)}
        )


def _keep(
    push: Push, path: tuple[str, ...], body: str, updated: datetime, container_id: int | None
) -> tuple[int, bool]:
    """Write a row; return its id and whether it is new.

    :raises InvalidParameters: if somebody was faster with a newer one.
    """
    owner = push.owner
    identity = (push.module, owner.country_code, owner.party_id, "/".join(path), push.kind, push.receiver)
    values = (container_id, updated, documents.last_updated_last(body))
    rows = prepared.fetch_all(shared_sql.KEEP, (push.platform_id, *identity, *values))
    if not rows:
        stored = _find(push, path)
        raise keeping.older(updated, stored.last_updated if stored else updated)
    return rows[0][0], rows[0][1]


def _write(row: _Row, document: str, updated: datetime) -> bool:
    """Write a row and, in the same statement, pass its time stamp up; it never goes backwards (LOC-10, LOC-11).

    Return whether the object whose time stamp this is, is split.
    """
    stamped = prepared.fetch_all(
        shared_sql.WRITE,
        {
            "id": row.id,
            "document": documents.last_updated_last(document),
            "updated": updated,
            "container_id": row.container_id,
            "text": format_datetime(updated),
        },
    )
    return row.split or any(split for (split,) in stamped)


def _find(push: Push, path: tuple[str, ...]) -> _Row | None:
    rows = prepared.fetch_all(shared_sql.FIND, [push.module, *push.owner.key, "/".join(path), push.kind, push.receiver])
    return _Row(*rows[0]) if rows else None


def _unknown(push: Push) -> status.OcpiError:
    return ownership.unknown(push.module)


def moment(members: dict[str, msgspec.Raw]) -> datetime:
    """Return the time stamp of an object."""
    return parse_datetime(spelling.text(members["last_updated"]))
