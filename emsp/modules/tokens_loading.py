"""Many Tokens at once: checked one by one, found and written in a few statements per batch, and pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction
from django.utils import timezone

from emsp.modules import tokens_operations
from ocpi import documents, keeping, status
from ocpi.headers import Address
from ocpi.loading import Kept
from ocpi.v2_2_1 import tokens as schema
from ocpi.v2_2_1.types import format_datetime

_FIND = """
SELECT k.number, t.last_updated, t.document
FROM unnest(%(country_codes)s::text[], %(party_ids)s::text[], %(uids)s::text[], %(types)s::text[])
    WITH ORDINALITY AS k(country_code, party_id, uid, type, number)
JOIN emsp_token t ON UPPER(t.country_code) = UPPER(k.country_code) AND UPPER(t.party_id) = UPPER(k.party_id)
    AND UPPER(t.object_id) = UPPER(k.uid) AND t.type = k.type
FOR UPDATE OF t
"""
_KEEP = """
INSERT INTO emsp_token (country_code, party_id, object_id, uid, type, contract_id, group_id, valid, whitelist,
    last_updated, document)
SELECT r.country_code, r.party_id, r.uid, r.uid, r.type, r.contract_id, r.group_id, r.valid, r.whitelist,
    r.last_updated, r.document
FROM unnest(%(country_codes)s::text[], %(party_ids)s::text[], %(uids)s::text[], %(types)s::text[],
    %(contract_ids)s::text[], %(group_ids)s::text[], %(valid)s::boolean[], %(whitelists)s::text[],
    %(last_updated)s::timestamptz[], %(documents)s::text[])
    WITH ORDINALITY AS r(country_code, party_id, uid, type, contract_id, group_id, valid, whitelist, last_updated,
        document, number)
ORDER BY r.number
ON CONFLICT (UPPER(country_code), UPPER(party_id), UPPER(object_id), type) DO UPDATE SET
    contract_id = EXCLUDED.contract_id, group_id = EXCLUDED.group_id, valid = EXCLUDED.valid,
    whitelist = EXCLUDED.whitelist, last_updated = EXCLUDED.last_updated, document = EXCLUDED.document
RETURNING id, country_code, party_id, uid, type
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A Token of a file, checked."""

    owner: Address
    uid: str
    type: str
    contract_id: str
    group_id: str
    valid: bool
    whitelist: str
    last_updated: datetime
    document: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (*self.owner.key, self.uid.upper(), self.type)


def check(body: bytes, *, as_party: Address | None = None) -> Loaded:
    """Return a Token of a file, checked as a request's body is; `as_party` makes it that party's.

    :raises InvalidParameters: if it breaks its table or is of none of our parties.
    """
    kept, _ = schema.check_ours(body, "Token")
    text = msgspec.json.format(kept, indent=-1).decode()
    if as_party is not None:
        text = documents.set_members(text, {"country_code": as_party.country_code, "party_id": as_party.party_id})
    members = documents.members(text)
    values = {name: msgspec.json.decode(members[name]) for name in _MEMBERS if name in members}
    owner = Address(values.pop("country_code"), values.pop("party_id"))
    if not tokens_operations.is_ours(owner):
        raise status.InvalidParameters("party_id", f"{owner} is not a party of this platform")
    values["group_id"] = values.get("group_id") or ""
    return Loaded(owner=owner, last_updated=keeping.last_updated(members), document=text, **values)


def keep(batch: Sequence[Loaded], *, dry_run: bool = False) -> Kept:
    """Write a batch in one transaction, with the pushes that follow; or only count what it would do."""
    kept, changed = Kept(), []
    with transaction.atomic():
        stored = _stored(batch)
        for number, loaded in enumerate(batch, start=1):
            found = stored.get(number)
            if found is None:
                kept.created += 1
                changed.append(loaded)
            elif _undated(found[1]) == _undated(loaded.document):
                kept.unchanged += 1
            else:
                kept.updated += 1
                changed.append(_newer(loaded, found[0]))
        if changed and not dry_run:
            _write(changed)
    return kept


def _stored(batch: Sequence[Loaded]) -> dict[int, tuple[datetime, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, _identities(batch))
        return {number: (last_updated, document) for number, last_updated, document in cursor.fetchall()}


def _write(changed: Sequence[Loaded]) -> None:
    values: dict[str, Any] = {
        **_identities(changed),
        "contract_ids": [token.contract_id for token in changed],
        "group_ids": [token.group_id for token in changed],
        "valid": [token.valid for token in changed],
        "whitelists": [token.whitelist for token in changed],
        "last_updated": [token.last_updated for token in changed],
        "documents": [token.document for token in changed],
    }
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, values)
        rows = cursor.fetchall()
    for row_id, country_code, party_id, uid, token_type in rows:
        tokens_operations.push(row_id, Address(country_code, party_id), uid, token_type)


def _identities(batch: Sequence[Loaded]) -> dict[str, list[str]]:
    return {
        "country_codes": [token.owner.country_code for token in batch],
        "party_ids": [token.owner.party_id for token in batch],
        "uids": [token.uid for token in batch],
        "types": [token.type for token in batch],
    }


def _newer(loaded: Loaded, stored: datetime) -> Loaded:
    """Return a changed Token with a time stamp that everybody who has the former one takes for newer."""
    if loaded.last_updated > stored:
        return loaded
    moment = max(timezone.now(), stored)
    document = documents.set_member(loaded.document, "last_updated", format_datetime(moment))
    return replace(loaded, last_updated=moment, document=document)


def _undated(text: str) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in documents.members(text).items() if name != "last_updated"}


_MEMBERS = ("country_code", "party_id", "uid", "type", "contract_id", "group_id", "valid", "whitelist")
