"""Our drivers' Tokens: keep, send to the CPOs, and answer whether one may charge."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from emsp import recipients
from emsp.models import Location, Token
from ocpi import defects, documents, keeping, normal_ids, ours, outbox, prepared, status
from ocpi.enums import Role
from ocpi.headers import Address
from ocpi.v2_2_1 import tokens as schema
from ocpi.v2_2_1.types import format_datetime

SOURCE = "emsp.Token"
RFID = "RFID"
_REMEMBER = """
INSERT INTO emsp_authorization (reference, token_id, platform_id, allowed, location_id) VALUES (%s, %s, %s, %s, %s)
"""
_FIND = """
SELECT t.id, t.document, t.valid
FROM unnest(%(countries)s::text[], %(parties)s::text[]) AS asked(country_code, party_id)
JOIN emsp_token t ON UPPER(t.country_code) = asked.country_code AND UPPER(t.party_id) = asked.party_id
    AND UPPER(t.object_id) = UPPER(%(uid)s) AND t.type = %(type)s
LIMIT 2
"""
# A driver stands at the charge point and waits: who needs no more than a valid Token is answered after one statement.
_FIND_AND_ALLOW = f"""
WITH found AS ({_FIND}), allowed AS (
    INSERT INTO emsp_authorization (reference, token_id, platform_id, allowed, location_id)
    SELECT %(reference)s, id, %(platform_id)s::bigint, 'ALLOWED', %(location_id)s FROM found
    WHERE valid AND (SELECT count(*) FROM found) = 1
)
SELECT * FROM found
"""  # noqa: S608 - constants only
_UNKNOWN_MESSAGE = "This Token is not known here"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for a real-time authorization."""

    uid: str
    type: str
    receiver: Address | None  # the eMSP asked, if the To headers say so
    askers: Sequence[Address]  # the CPO that asks, or those it may be
    body: bytes  # LocationReferences, or empty
    platform_id: int


class _Known(NamedTuple):
    """What an authorization needs of a Token."""

    id: int
    document: str
    valid: bool


def keep(body: bytes) -> keeping.Kept:
    """Create or replace one of our Tokens and send it to every CPO.

    :raises InvalidParameters: if it breaks its table, is not of one of our parties, or is older than what is stored.
    """
    kept, _ = schema.check_ours(body, "Token")
    members = documents.members(kept)
    values = {name: msgspec.json.decode(members[name]) for name in _COLUMNS if name in members}
    owner = Address(str(documents.get(kept, "country_code")), str(documents.get(kept, "party_id")))
    if not is_ours(owner):
        raise status.InvalidParameters("party_id", f"{owner} is not a party of this platform")
    with transaction.atomic():
        stored = keeping.put(
            Token,
            owner=owner,
            object_id=values["uid"],
            document=kept.decode(),
            updated=keeping.last_updated(members),
            columns={"group_id": "", **values},
            key="type",
        )
        push(stored.row_id, owner, values["uid"], values["type"])
    return stored


def block(token: Token, *, at: datetime | None = None) -> keeping.Kept:
    """Take the right to charge from a Token, and tell everybody; Tokens are never deleted (TOK-12)."""
    moment = max(at or timezone.now(), token.last_updated)
    changed = {"valid": False, "last_updated": format_datetime(moment)}
    return keep(documents.set_members(token.document, changed).encode())


def is_ours(owner: Address) -> bool:
    """Say whether an address is one of our eMSP parties."""
    return owner.key in {address.key for address in ours.addresses(Role.EMSP)}


def push(row_id: int, owner: Address, uid: str, token_type: str, *, platform_id: int | None = None) -> None:
    """Leave the Token for everybody who has to know it. Its type is in the URL unless it is the default (PIT-47)."""
    outbox.mark(
        recipients.broadcast("tokens", owner, platform_id=platform_id),
        module="tokens",
        source=SOURCE,
        source_id=row_id,
        path=outbox.path_of(owner.country_code, owner.party_id, uid),
        order_key=f"{owner}/{uid}/{token_type}",
        query="" if token_type == RFID else f"type={token_type}",
    )


def push_all(platform_id: int | None = None) -> int:
    """Leave every Token for everybody, or for one platform that has just been connected. Return how many."""
    count = 0
    for token in Token.objects.order_by("id").iterator(chunk_size=500):
        with transaction.atomic():
            owner = Address(token.country_code, token.party_id)
            push(token.pk, owner, token.uid, token.type, platform_id=platform_id)
        count += 1
    return count


def authorize(asked: Asked) -> str:
    """Answer a real-time authorization: AuthorizationInfo, whatever the verdict (TOK-25, TOK-26).

    :raises UnknownTokenObject: if it is none of our Tokens (404 and 2004, TOK-27).
    :raises NotEnoughInformation: if the same uid belongs to several of our parties and none is named (TOK-38), or no
        Location is named although we want to know it (TOK-29).
    :raises InvalidParameters: if the LocationReferences break their table.
    """
    references = _references(asked.body)
    needs_location = references is None and settings.OCPI_AUTHORIZE_NEEDS_LOCATION
    # Valid is allowed where no EVSE is named, and where nobody says whose they are.
    at_once = not needs_location and (references is None or not references[1] or not asked.askers)
    reference = str(uuid.uuid4())
    location_id = references[0] if references else ""
    allowing = {"reference": reference, "platform_id": asked.platform_id, "location_id": location_id}
    token = _find(asked, allowing if at_once else None)
    if needs_location:
        raise status.NotEnoughInformation("location_id: is required for an authorization here")
    allowed, evses = _verdict(token, references, asked.askers)
    info: dict[str, object] = {"allowed": allowed, "token": documents.raw(token.document)}
    if allowed == "ALLOWED":
        info["authorization_reference"] = reference
        if not at_once:
            prepared.fetch_all(_REMEMBER, [reference, token.id, asked.platform_id, allowed, location_id])
        if references is not None:
            location: dict[str, object] = {"location_id": location_id}
            if evses:
                location["evse_uids"] = evses
            info["location"] = location
    return documents.text(info)


def _find(asked: Asked, allowing: Mapping[str, object] | None) -> _Known:
    """Return the Token asked for; if it is valid and `allowing` is given, it is allowed in the same breath."""
    parties = ours.addresses(Role.EMSP) if asked.receiver is None else (asked.receiver,)
    found = _tokens(parties, asked.uid, asked.type, allowing)
    other_end = normal_ids.reversed_uid(asked.uid) if asked.type == RFID else None
    if not found and other_end:
        found = _tokens(parties, other_end, RFID, allowing)
        if found:
            defects.noted(["QRK-33 uid in reversed byte order"])
    if not found:
        raise status.UnknownTokenObject(_UNKNOWN_MESSAGE)
    if len(found) > 1:
        raise status.NotEnoughInformation("Several parties have this Token: name one in the To headers")
    return found[0]


def _tokens(parties: Sequence[Address], uid: str, kind: str, allowing: Mapping[str, object] | None) -> list[_Known]:
    """Return up to two Tokens of these parties."""
    keys = list(dict.fromkeys(party.key for party in parties))
    values: dict[str, object] = {
        "countries": [country_code for country_code, _ in keys],
        "parties": [party_id for _, party_id in keys],
        "uid": uid,
        "type": kind,
    }
    rows = (
        prepared.fetch_all(_FIND_AND_ALLOW, {**values, **allowing}) if allowing else prepared.fetch_all(_FIND, values)
    )
    return [_Known(*row) for row in rows]


def _references(body: bytes) -> tuple[str, list[str]] | None:
    if not body.strip():
        return None
    kept = defects.taken(schema.check_leniently(body, "LocationReferences"))
    return str(documents.get(kept, "location_id")), list(documents.get(kept, "evse_uids") or [])


def _verdict(
    token: _Known, references: tuple[str, list[str]] | None, askers: Sequence[Address]
) -> tuple[str, list[str]]:
    """Return AllowedType and the EVSEs that may be used. Opening hours and status are no reason to refuse (TOK-32)."""
    if not token.valid:
        return "BLOCKED", []
    if references is None:
        return "ALLOWED", []
    location_id, evse_uids = references
    if not evse_uids or not askers:
        return "ALLOWED", evse_uids
    there = _evses_of(location_id, askers)
    if there is None:
        return "ALLOWED", evse_uids  # a Location that was never published is normal (TOK-33)
    known = [uid for uid in evse_uids if uid.upper() in there or _has_evse_id(location_id, askers, uid)]
    return ("ALLOWED", known) if known else ("NOT_ALLOWED", [])


def _evses_of(location_id: str, askers: Sequence[Address]) -> set[str] | None:
    """Return the EVSEs of a Location that are not gone for good; whatever their status, it may be old (TOK-32)."""
    known = Location.objects.filter(_of(askers), object_id__iexact=location_id)
    found = list(known.values_list("evses__uid", "evses__status", "evses__deleted_at"))
    if not any(uid for uid, _, _ in found):
        return None
    return {uid.upper() for uid, state, deleted_at in found if not deleted_at and state != "REMOVED"}


def _has_evse_id(location_id: str, askers: Sequence[Address], text: str) -> bool:
    """Say whether an EVSE that is not gone has this as its evse_id: some write that where the uid is due (QRK-19)."""
    rows = Location.objects.filter(_of(askers), object_id__iexact=location_id, evses__deleted_at=None)
    documents_of = rows.exclude(evses__status="REMOVED").values_list("evses__document", flat=True)
    ids = [str(documents.get(text_of, "evse_id") or "") for text_of in documents_of if text_of]
    if not any(normal_ids.same_evse_id(evse_id, text) for evse_id in ids if evse_id):
        return False
    defects.noted(["QRK-19 evse_id where the uid is due"])
    return True


def _of(parties: Sequence[Address]) -> Q:
    found = Q()
    for party in parties:
        found |= Q(country_code__iexact=party.country_code, party_id__iexact=party.party_id)
    return found


_COLUMNS = ("uid", "type", "contract_id", "group_id", "valid", "whitelist")
