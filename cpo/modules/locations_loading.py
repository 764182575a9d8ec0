"""Many Locations at once: checked one by one, written in batches of one statement per table.

We are the owner of what is loaded. An EVSE that is no longer in the file becomes REMOVED and stays (LOC-23); the Status
of an EVSE with a charge point is what that says; a change that the file does not date gets the time of loading, since
we may have stamped the Location later than the file did (LOC-09).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction

from cpo.modules import features
from cpo.modules import locations_operations as operations
from ocpi import documents, status
from ocpi.headers import Address
from ocpi.loading import Kept
from ocpi.v2_2_1 import locations as schema
from ocpi.v2_2_1.types import format_datetime, parse_datetime

_REMOVED = "REMOVED"


@dataclass(slots=True)
class LoadedEVSE:
    uid: str
    status: str
    last_updated: datetime
    document: str


@dataclass(slots=True)
class Loaded:
    """A Location from a file, taken apart."""

    owner: Address
    object_id: str
    time_zone: str
    last_updated: datetime
    document: str  # without its EVSEs
    evses: list[LoadedEVSE]
    remarks: Sequence[str] = ()  # what is odd, and no reason to refuse it

    @property
    def key(self) -> tuple[str, str, str]:
        return (*self.owner.key, self.object_id.upper())


@dataclass(frozen=True, slots=True)
class _Written:
    """A row that was written."""

    id: int
    private: bool


@dataclass(slots=True)
class _Known:
    """What is stored of a Location."""

    id: int
    document: str
    last_updated: datetime
    evses: dict[str, tuple[int, LoadedEVSE, bool]]  # by upper uid: id, EVSE, whether a charge point is behind it


def check(body: bytes, *, owners: Sequence[Address], as_party: Address | None = None) -> Loaded:
    """Return a Location of a file, checked as a request's body is; `as_party` makes it that party's.

    :raises InvalidParameters: if it breaks its table or is of none of our parties.
    """
    ours, remarks = schema.check_ours(body, "Location")
    kept = msgspec.json.format(ours, indent=-1)
    if as_party is not None:
        kept = documents.set_members(
            kept, {"country_code": as_party.country_code, "party_id": as_party.party_id}
        ).encode()
    members = documents.members(kept)
    owner = Address(_value(members, "country_code"), _value(members, "party_id"))
    if owner.key not in {each.key for each in owners}:
        raise status.InvalidParameters("party_id", f"{owner} is not a party of this platform")
    rest, parts = documents.take_parts(kept, "evses")
    evses = [_evse(part) for part in parts]
    updated = max([_moment(members), *(evse.last_updated for evse in evses)])
    stamped = documents.set_member(rest, "last_updated", format_datetime(updated))
    return Loaded(
        owner=owner,
        object_id=_value(members, "id"),
        time_zone=_value(members, "time_zone"),
        last_updated=parse_datetime(format_datetime(updated)),
        document=documents.last_updated_last(stamped),
        evses=evses,
        remarks=remarks,
    )


def keep(batch: Sequence[Loaded], *, dry_run: bool = False, private: bool = False) -> Kept:
    """Write a batch in one transaction, with the pushes that follow; or only count what it would do.

    :param private: new Locations are for nobody else (LOC-42); those that are published stay so.
    """
    with transaction.atomic():
        known = _known(batch)
        lacking = features.taken_away() if known else {}
        created = [loaded for loaded in batch if loaded.key not in known]
        changed = [loaded for loaded in batch if loaded.key in known and _merge(loaded, known[loaded.key], lacking)]
        kept = Kept(len(created), len(changed), len(batch) - len(created) - len(changed))
        written = [*created, *changed]
        if not dry_run and written:
            ids = _write(written, private)
            operations.push(
                [
                    (ids[loaded.key].id, loaded.owner, loaded.object_id)
                    for loaded in written
                    if not ids[loaded.key].private
                ]
            )
    return kept


def _merge(loaded: Loaded, known: _Known, lacking: Mapping[int, set[str]]) -> bool:
    """Bring a loaded Location together with the stored one; say whether anything changes."""
    now = operations.moment_now()
    is_new = _undated(loaded.document) != _undated(known.document)
    for evse in loaded.evses:
        stored = known.evses.get(evse.uid.upper())
        if stored is None:
            is_new = True
            continue
        evse_id, before, is_live = stored
        if is_live:
            _restate(evse, before.status)
        if evse_id in lacking:
            kept = [each for each in documents.get(evse.document, "capabilities") or () if each not in lacking[evse_id]]
            evse.document = documents.set_member(evse.document, "capabilities", kept)
        if _undated(evse.document) == _undated(before.document):
            evse.document, evse.last_updated, evse.status = before.document, before.last_updated, before.status
            continue
        is_new = True
        if evse.last_updated <= before.last_updated:
            _redate(evse, now)
    named = {evse.uid.upper() for evse in loaded.evses}
    for uid, (_, before, _live) in known.evses.items():
        if uid not in named and before.status != _REMOVED:
            _restate(before, _REMOVED)
            _redate(before, now)
            loaded.evses.append(before)
            is_new = True
    if is_new:
        latest = max([loaded.last_updated, *(evse.last_updated for evse in loaded.evses)])
        loaded.last_updated = latest if latest > known.last_updated else now
        text = format_datetime(loaded.last_updated)
        loaded.document = documents.set_member(loaded.document, "last_updated", text)
    return is_new


def _evse(text: str) -> LoadedEVSE:
    members = documents.members(text)
    updated = _moment(members)
    for connector in documents.elements(members.get("connectors", msgspec.Raw(b"[]"))):
        updated = max(updated, _moment(documents.members(bytes(connector))))
    exact = parse_datetime(format_datetime(updated))
    document = documents.set_member(text, "last_updated", format_datetime(updated))
    return LoadedEVSE(_value(members, "uid"), _value(members, "status"), exact, document)


def _restate(evse: LoadedEVSE, wanted: str) -> None:
    evse.status = wanted
    evse.document = documents.set_member(evse.document, "status", wanted)


def _redate(evse: LoadedEVSE, moment: datetime) -> None:
    evse.last_updated = moment
    evse.document = documents.set_member(evse.document, "last_updated", format_datetime(moment))


def _undated(text: str) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in documents.members(text).items() if name != "last_updated"}


def _moment(members: dict[str, msgspec.Raw]) -> datetime:
    return parse_datetime(_value(members, "last_updated"))


def _value(members: dict[str, msgspec.Raw], name: str) -> str:
    return str(msgspec.json.decode(members[name]))


# ---------------------------------------------------------------- the tables


def _known(batch: Sequence[Loaded]) -> dict[tuple[str, str, str], _Known]:
    found: dict[int, _Known] = {}
    by_key: dict[tuple[str, str, str], _Known] = {}
    with connection.cursor() as cursor:
        keys = [loaded.key for loaded in batch]
        cursor.execute(_FIND, [list(column) for column in zip(*keys, strict=True)])
        for row_id, country_code, party_id, object_id, document, updated in cursor.fetchall():
            known = _Known(row_id, document, updated, {})
            found[row_id] = by_key[(country_code, party_id, object_id)] = known
        if found:
            cursor.execute(_FIND_EVSES, [list(found)])
            for row_id, location_id, uid, state, updated, document, is_live in cursor.fetchall():
                found[location_id].evses[uid.upper()] = (row_id, LoadedEVSE(uid, state, updated, document), is_live)
    return by_key


def _write(batch: Sequence[Loaded], private: bool) -> dict[tuple[str, str, str], _Written]:
    rows = [
        (
            loaded.owner.country_code,
            loaded.owner.party_id,
            loaded.object_id,
            loaded.last_updated,
            loaded.document,
            loaded.time_zone,
            all(evse.status == _REMOVED for evse in loaded.evses),
            private,
        )
        for loaded in batch
    ]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, _columns(rows))
        ids = {tuple(key): _Written(row_id, is_private) for row_id, is_private, *key in cursor.fetchall()}
        evses = [
            (ids[loaded.key].id, evse.uid, evse.status, evse.last_updated, evse.document)
            for loaded in batch
            for evse in loaded.evses
        ]
        if evses:
            cursor.execute(_KEEP_EVSES, _columns(evses))
    return ids


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


_FIND = """
SELECT l.id, UPPER(l.country_code), UPPER(l.party_id), UPPER(l.object_id), l.document, l.last_updated
FROM unnest(%s::text[], %s::text[], %s::text[]) AS wanted(country_code, party_id, object_id)
JOIN cpo_location l ON UPPER(l.country_code) = wanted.country_code AND UPPER(l.party_id) = wanted.party_id
  AND UPPER(l.object_id) = wanted.object_id
FOR NO KEY UPDATE OF l
"""
_FIND_EVSES = """
SELECT id, location_id, uid, status, last_updated, document, charge_point_id IS NOT NULL FROM cpo_evse
WHERE location_id = ANY(%s) FOR NO KEY UPDATE
"""
_KEEP = """
INSERT INTO cpo_location (country_code, party_id, object_id, last_updated, document, time_zone, hidden, private)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::bool[],
                     %s::bool[])
ON CONFLICT (UPPER(country_code), UPPER(party_id), UPPER(object_id)) DO UPDATE SET
    last_updated = EXCLUDED.last_updated, document = EXCLUDED.document, time_zone = EXCLUDED.time_zone,
    hidden = EXCLUDED.hidden
RETURNING id, private, UPPER(country_code), UPPER(party_id), UPPER(object_id)
"""
_KEEP_EVSES = """
INSERT INTO cpo_evse (location_id, uid, status, last_updated, document)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])
ON CONFLICT (location_id, UPPER(uid)) DO UPDATE SET
    status = EXCLUDED.status, last_updated = EXCLUDED.last_updated, document = EXCLUDED.document
"""
