"""One page of a pulled list: good objects are kept as a push would be, bad ones are put aside (TRN-104, TRN-105)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from django.db import DatabaseError, connection, transaction

from ocpi import authentication, database_trouble, defects, documents, json_text, keeping, status, version_numbers
from ocpi.enums import VersionNumber
from ocpi.headers import Address
from ocpi.pull_table import Item, Pull, key_of
from ocpi.snapshot import KnownPlatform

log = logging.getLogger(__name__)

LONGEST_OBJECT = 4 << 20  # bytes, as for a Location that is PUT


@dataclass(frozen=True, slots=True)
class Invalid:
    """An object that cannot be kept, and why."""

    key: str
    document: str
    field: str
    reason: str


@dataclass(slots=True)
class Kept:
    """What became of a page."""

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("read", "created", "updated", "unchanged", "refused", "ignored", "differences"), 0
        )
    )
    seen: set[str] = field(default_factory=set)  # also what cannot be kept: it is in the list, so it is not gone
    invalid: list[Invalid] = field(default_factory=list)
    valid: list[str] = field(default_factory=list)


def keep(
    pull: Pull, platform: KnownPlatform, objects: Sequence[bytes], *, request_id: str, known_until: datetime | None
) -> Kept:
    """Keep the objects of a page, in the caller's transaction.

    :param known_until: what is not newer than this should have been here before; if it was not, that is a difference.
    """
    kept = Kept()
    items = [item for body in objects if (item := _read(pull, platform, body, kept)) is not None]
    same = set(pull.unchanged(items, platform.id)) if items else set()
    for item in items:
        if item.key in same:
            kept.counts["unchanged"] += 1
            kept.valid.append(item.key)
        else:
            _keep(pull, platform, item, kept, known_until)
    kept.counts["read"] = len(objects)
    kept.counts["refused"] = len(kept.invalid)
    _put_aside(platform.id, pull.module, kept, request_id)
    return kept


def _read(pull: Pull, platform: KnownPlatform, body: bytes, kept: Kept) -> Item | None:
    """Return an object that may be kept; its owner is read from inside it (TRN-098)."""
    key = ""
    try:
        json_text.read(body, limit=LONGEST_OBJECT)
        members = documents.members(body)
        owner = _owner(members) if pull.owners else None
        ids = [_text(members, name) for name in pull.ids]
        key = key_of(owner, *ids)
        if owner is not None and not authentication.acts_for(platform, owner, *pull.owners):
            log.warning("platform %s lists %s of %s, whom it may not speak for", platform.id, pull.module, owner)
            defects.noted(["TRN-100 foreign owner"])
            kept.counts["ignored"] += 1
            return None
        schema = version_numbers.schema(VersionNumber.V2_2_1, pull.module)
        with defects.one_object() as noted:
            checked = defects.taken(schema.check_leniently(body, pull.level))
            updated = keeping.last_updated(documents.members(checked))
    except status.OcpiError as error:
        _refuse(kept, key, body, error)
        return None
    kept.seen.add(key)
    return Item(key, owner or Address("", ""), ids[0], checked, updated, frozenset(noted))


def _keep(pull: Pull, platform: KnownPlatform, item: Item, kept: Kept, known_until: datetime | None) -> None:
    try:
        with transaction.atomic(), defects.one_object(item.noted):
            created = pull.keep(item, platform.id)
    except keeping.Older:
        created = None
    except status.OcpiError as error:
        _refuse(kept, item.key, item.body, error)
        return
    except DatabaseError as error:  # what no rule foresaw must not stop the rest either
        if database_trouble.passes(error):
            raise  # nothing is wrong with the object: the page comes again
        log.exception("%s %s of platform %s cannot be stored", pull.module, item.key, platform.id)
        _refuse(kept, item.key, item.body, status.ServerError(f"cannot be stored: {type(error).__name__}"))
        return
    kept.valid.append(item.key)
    kept.counts["unchanged" if created is None else "created" if created else "updated"] += 1
    if created is not None and known_until is not None and item.updated < known_until:
        kept.counts["differences"] += 1


def _refuse(kept: Kept, key: str, body: bytes, error: status.OcpiError) -> None:
    text = bytes(body).decode("utf-8", "replace").replace("\0", "�")
    # What does not say who it is goes by its content.
    key = key or "?" + hashlib.sha256(body).hexdigest()[:32]
    kept.seen.add(key)
    kept.invalid.append(Invalid(key, text, (error.field or "")[:200], error.message[:1000]))


def _owner(members: dict[str, msgspec.Raw]) -> Address:
    return Address(_text(members, "country_code"), _text(members, "party_id"))


def _text(members: dict[str, msgspec.Raw], name: str) -> str:
    """Return a member that identifies the object.

    :raises InvalidParameters: if it is missing, or no text.
    """
    if name not in members:
        raise status.InvalidParameters(name, "is required")
    value = msgspec.json.decode(members[name])
    if not isinstance(value, str) or not value:
        raise status.InvalidParameters(name, "must be a string")
    return value


def _put_aside(platform_id: int, module: str, kept: Kept, request_id: str) -> None:
    """Keep what is invalid for inspection; what came valid is no longer there (TRN-105)."""
    # The last of two with one key: one statement cannot write a row twice.
    invalid = {each.key: each for each in kept.invalid}
    with connection.cursor() as cursor:
        if kept.valid:
            cursor.execute(
                "DELETE FROM ocpi_pulledinvalid WHERE platform_id = %s AND module = %s AND key = ANY(%s)",
                [platform_id, module, kept.valid],
            )
        if invalid:
            rows = [(each.key, each.field, each.reason, each.document) for each in invalid.values()]
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(_PUT_ASIDE, [platform_id, module, request_id[:255], *columns])
            log.warning("platform %s: %s invalid %s were put aside", platform_id, len(invalid), module)


_PUT_ASIDE = """
INSERT INTO ocpi_pulledinvalid AS i (platform_id, module, request_id, key, field, reason, document)
SELECT %s, %s, %s, r.* FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS r
ON CONFLICT (platform_id, module, key) DO UPDATE SET
    request_id = EXCLUDED.request_id, field = EXCLUDED.field, reason = EXCLUDED.reason, document = EXCLUDED.document,
    times = i.times + 1, last_at = statement_timestamp()
"""
