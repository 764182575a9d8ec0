"""Keep what an owner pushes: the rules that are the same for every Client Owned Object at its receiver.

One statement writes an object; a PATCH works on the locked row. Identity ignores case and keeps the spelling that came
first (TRN-097); what is older than the stored object is not applied (TRN-091). One that is hidden, as it was
deleted or is gone from its owner's list, is not there for its owner: whatever comes of it makes it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from django.db import connection
from django.utils import timezone

from ocpi import defects, documents, status
from ocpi.headers import Address
from ocpi.models import ClientOwnedObject
from ocpi.v2_2_1.types import format_datetime, parse_datetime

M = TypeVar("M", bound=ClientOwnedObject)

# Columns that say that an object is no longer there for its owner.
_HIDDEN = ("deleted_at", "gone_at")
# A stored time this far ahead of our clock is an error of its owner and must not block the next update (REL-53).
FUTURE = timedelta(minutes=5)


class Older(status.InvalidParameters):
    """What came is older than what is stored (TRN-091)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a push did."""

    row_id: int
    created: bool


def check_identity(members: Mapping[str, msgspec.Raw], expected: Mapping[str, str]) -> None:
    """Refuse a body that names another owner or id than the URL does (TRN-047, TRN-048, TRN-090).

    :raises InvalidParameters: naming the member.
    """
    for name, value in expected.items():
        if name in members and str(msgspec.json.decode(members[name])).upper() != value.upper():
            raise status.InvalidParameters(name, f"differs from {value} in the URL")


def without_identity(body: bytes, expected: Mapping[str, str]) -> bytes:
    """Return a PATCH body without the ids that `check_identity` has compared: the stored spelling stays (TRN-097)."""
    return documents.without(body, *expected).encode()


def last_updated(members: Mapping[str, msgspec.Raw]) -> datetime:
    """Return a body's time stamp.

    :raises InvalidParameters: if it has none: a PATCH without it changes nothing (TRN-085).
    """
    if "last_updated" not in members:
        raise status.InvalidParameters("last_updated", "is required")
    return read_moment(msgspec.json.decode(members["last_updated"]))


def read_moment(text: Any) -> datetime:
    """Read the time stamp of an object; one in the future is noted (QRK-18).

    :raises InvalidParameters: if it is none.
    """
    try:
        found = parse_datetime(str(text))
    except ValueError as error:
        raise status.InvalidParameters("last_updated", "must be a DateTime such as 2026-01-31T08:30:00Z") from error
    if found > timezone.now() + FUTURE:
        defects.noted(["QRK-18 last_updated in the future"])
    return found


def moment(raw: msgspec.Raw) -> datetime:
    """Return the DateTime in a member that was checked before."""
    return parse_datetime(str(msgspec.json.decode(raw)))


def put(
    model: type[ClientOwnedObject],
    *,
    owner: Address,
    object_id: str,
    document: str,
    updated: datetime,
    columns: Mapping[str, object] | None = None,
    key: str = "",
) -> Kept:
    """Create or replace an object in one statement; `key` is a further column of its identity (type, for Tokens).

    :raises InvalidParameters: if what is stored is newer.
    """
    values: dict[str, Any] = {
        "country_code": owner.country_code,
        "party_id": owner.party_id,
        "object_id": object_id,
        "last_updated": updated,
        "document": document,
        **(columns or {}),
    }
    sql = _upsert(model, tuple(values), key)
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values.values()))
        row = cursor.fetchone()
    if row is not None:
        row_id, created, *spelled = row
        if not created:
            _respell(model, row_id, document, spelled)
        return Kept(row_id=row_id, created=created)
    where: dict[str, Any] = {key: values[key]} if key else {}
    stored = find(model, owner=owner, object_id=object_id, **where)
    if stored is not None:
        raise older(updated, stored.last_updated)
    raise status.ServerError(f"{model.__name__} {object_id} could not be stored")


def patch(
    row: ClientOwnedObject, body: bytes, *, check: Callable[[bytes], tuple[bytes, list[str]]]
) -> tuple[str, datetime]:
    """Return a row's document with a PATCH applied, and its new time stamp; the caller writes both.

    :raises InvalidParameters: if `last_updated` is missing or older, or the merged object breaks its table (TRN-089).
    """
    updated = last_updated(documents.members(body))
    refuse_older(updated, row.last_updated)
    merged, _ = check(documents.merge(row.document, body).encode())
    return merged.decode(), updated


def refuse_older(given: datetime, stored: datetime) -> None:
    """Refuse what is older than the stored object (TRN-091).

    :raises InvalidParameters: naming both times.
    """
    if given < stored and stored <= timezone.now() + FUTURE:
        raise older(given, stored)


def older(given: datetime, stored: datetime) -> Older:
    return Older("last_updated", f"{format_datetime(given)} is older than {format_datetime(stored)}, which is stored")


def find(model: type[M], *, owner: Address, object_id: str, lock: bool = False, **where: Any) -> M | None:
    """Return an object by its key, whatever the spelling."""
    rows = model._default_manager.extra(
        where=["UPPER(country_code) = %s", "UPPER(party_id) = %s", "UPPER(object_id) = UPPER(%s)"],
        params=[owner.key[0], owner.key[1], object_id],
    ).filter(**where)
    if lock:
        rows = rows.select_for_update()
    return rows.first()


def stored(model: type[ClientOwnedObject], wanted: Sequence[tuple[Address, str]], *columns: str) -> list[Any]:
    """Return the rows of many objects (owner, id) in one query, with only these columns and those of the identity."""
    table = model._meta.db_table
    names = ", ".join(f"o.{name}" for name in ("id", "country_code", "party_id", "object_id", *columns))
    sql = (
        f"SELECT {names} FROM (SELECT DISTINCT * FROM unnest(%s::text[], %s::text[], %s::text[])) "  # noqa: S608 - our own names
        f"AS r(country_code, party_id, object_id) JOIN {table} o ON UPPER(o.country_code) = r.country_code "
        "AND UPPER(o.party_id) = r.party_id AND UPPER(o.object_id) = UPPER(r.object_id)"
    )
    keys = [(*owner.key, object_id) for owner, object_id in wanted]
    parameters = [list(column) for column in zip(*keys, strict=True)] or [[], [], []]
    return list(model._default_manager.raw(sql, parameters))


def _respell(model: type[ClientOwnedObject], row_id: int, document: str, spelled: list[str]) -> None:
    """Write the identity into a document as it was spelled when it first came, in the URL (TRN-097)."""
    country_code, party_id, object_id = spelled
    members = documents.members(document)
    identity = {"country_code": country_code, "party_id": party_id, "id": object_id, "uid": object_id}
    changes = {
        name: value
        for name, value in identity.items()
        if name in members and (given := str(msgspec.json.decode(members[name]))) != value
        if given.upper() == value.upper()
    }
    if not changes:
        return
    defects.noted(["QRK-20 identity in another case"])
    # Unless somebody has written a newer one meanwhile.
    rows = model._default_manager.filter(pk=row_id, document=document)
    rows.update(document=documents.set_members(document, changes))


@lru_cache(maxsize=64)
def _upsert(model: type[ClientOwnedObject], columns: tuple[str, ...], key: str) -> str:
    table = model._meta.db_table
    identity = f"UPPER(country_code), UPPER(party_id), UPPER(object_id){', ' + key if key else ''}"
    kept = {"country_code", "party_id", "object_id", "uid", key}
    updates = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns if name not in kept)
    places = ", ".join(["%s"] * len(columns))
    names = {field.name for field in model._meta.concrete_fields}
    if "received_at" in names:
        updates += ", received_at = statement_timestamp()"
    hidden = "".join(f" OR {table}.{name} IS NOT NULL" for name in _HIDDEN if name in names)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) "  # noqa: S608 names from the model, no input
        f"ON CONFLICT ({identity}) DO UPDATE SET {updates} "
        f"WHERE {table}.last_updated <= EXCLUDED.last_updated{hidden} "
        f"OR {table}.last_updated > now() + interval '5 minutes' "
        "RETURNING id, (xmax = 0), country_code, party_id, object_id"
    )
