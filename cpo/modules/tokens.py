"""Tokens, Receiver interface: the Tokens that eMSPs push to us (OCPI 2.2.1, Tokens)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from cpo.models import Token
from ocpi import defects, documents, envelope, keeping, normal_ids, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.headers import Address
from ocpi.v2_2_1 import tokens as schema
from ocpi.v2_2_1.tokens import TokenType
from ocpi.views import OcpiView

RFID = "RFID"
_SUBSTITUTES = 4  # of one token, until one is found that no other has
_SEPARATORS = re.compile(r"[-*:. ]")
LONGEST_ID_TAG = 20  # of OCPP 1.6
_PATCHED = ("contract_id", "group_id", "valid", "whitelist", "document", "last_updated", "gone_at", "received_at")
_COLUMNS = ("uid", "type", "contract_id", "group_id", "valid", "whitelist")


def keep(owner: Address, token_uid: str, body: bytes, *, asked_type: str | None) -> bool:
    """Create or replace a Token; say whether it is new (TOK-04).

    :raises InvalidParameters: if the body breaks its table, names another owner, uid or type than the URL does, or is
        older than what is stored.
    """
    kept = defects.taken(schema.check_leniently(body, "Token"))
    members = documents.members(kept)
    keeping.check_identity(members, _identity(owner, token_uid))
    values = _values(members)
    given = values["type"]
    if asked_type is None and given != RFID and find(owner, token_uid, RFID) is not None:
        raise status.InvalidParameters("type", f"is {given}, but without ?type= this is the URL of a known RFID Token")
    if asked_type is not None and asked_type != given:
        raise status.InvalidParameters("type", f"is {given}, but the URL says {asked_type}")
    return keeping.put(
        Token,
        owner=owner,
        object_id=token_uid,
        document=kept.decode(),
        updated=keeping.last_updated(members),
        columns={"group_id": "", "gone_at": None, **values, "id_tag": id_tag(owner, given, values["uid"])},
        key="type",
    ).created


def patch(owner: Address, token_uid: str, body: bytes, *, token_type: str) -> None:
    """Change members of a Token (TOK-05).

    :raises UnknownTokenObject: if it is not there.
    :raises InvalidParameters: if `last_updated` is missing or older, or the result breaks its table.
    """
    identity = {**_identity(owner, token_uid), "type": token_type}
    kept = defects.taken(schema.check_leniently(body, "Token", partial=True))
    keeping.check_identity(documents.members(kept), identity)
    change = keeping.without_identity(kept, identity)
    keeping.last_updated(documents.members(change))
    with transaction.atomic():
        row = find(owner, token_uid, token_type, lock=True)
        if row is None:
            raise status.UnknownTokenObject
        document, updated = keeping.patch(row, change, check=lambda merged: schema.check_leniently(merged, "Token"))
        values = _values(documents.members(document))
        for name in ("contract_id", "valid", "whitelist"):
            setattr(row, name, values[name])
        row.group_id = values.get("group_id", "")
        row.document, row.last_updated, row.gone_at, row.received_at = document, updated, None, timezone.now()
        row.save(update_fields=_PATCHED)


def read(owner: Address, token_uid: str, token_type: str) -> str:
    """Return a Token as it is stored (TOK-03).

    :raises UnknownTokenObject: if it is not there.
    """
    row = find(owner, token_uid, token_type)
    if row is None:
        raise status.UnknownTokenObject
    return row.document


def find(owner: Address, token_uid: str, token_type: str, *, lock: bool = False) -> Token | None:
    """Return a pushed Token by owner, uid and type (TOK-07)."""
    return keeping.find(Token, owner=owner, object_id=token_uid, lock=lock, type=token_type)


def with_tag(tag: str) -> list[Token]:
    """Return the Tokens that a charge point may mean by an id tag, the likeliest first (M-7).

    Who has it as a substitute of ours comes first: nobody gets another's by pushing a Token with this uid later.
    """
    order = {RFID: 0, "APP_USER": 1, "AD_HOC_USER": 2}
    rows = list(Token.objects.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[tag])[:20])
    other_end = normal_ids.reversed_uid(tag)
    if not rows and other_end:  # its reader, or the eMSP's, begins at the other end of the uid (QRK-33)
        rows = list(Token.objects.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[other_end]).filter(type=RFID)[:20])
    return sorted(rows, key=lambda row: (len(row.uid) <= LONGEST_ID_TAG, order.get(row.type, 3), not row.valid, row.id))


def with_id_token(uid: str, token_types: Sequence[str]) -> list[Token]:
    """Return the Tokens that a charge point of OCPP 2.0.1 means by an idToken, the likeliest first (M-7)."""
    found = _of_types([uid], token_types) or _of_types([_SEPARATORS.sub("", uid)], token_types)
    other_end = normal_ids.reversed_uid(uid)
    if not found and other_end and RFID in token_types:
        found = _of_types([other_end], [RFID])
    order = {token_type: number for number, token_type in enumerate(token_types)}
    return sorted(found, key=lambda row: (order[row.type], not row.valid, row.id))


def in_one_group(tag: str, other: str) -> bool:
    """Say whether two id tags are of one group of the same eMSP (OCPP-47)."""
    ours, theirs = with_tag(tag), with_tag(other)
    groups = {(row.country_code.upper(), row.party_id.upper(), row.group_id.upper()) for row in ours if row.group_id}
    return any((row.country_code.upper(), row.party_id.upper(), row.group_id.upper()) in groups for row in theirs)


def _of_types(uids: Sequence[str], token_types: Sequence[str]) -> list[Token]:
    same = Token.objects.extra(where=["UPPER(uid) = ANY(%s)"], params=[[uid.upper() for uid in uids]])
    return list(same.filter(type__in=token_types)[:20])


def id_tag(owner: Address, token_type: str, uid: str) -> str:
    """Return what an OCPP 1.6 charge point calls a token: its uid, or if that is too long a substitute (TOK-18).

    A token that is stored keeps its substitute; another one gets the first of its own that nobody else has (M-7).

    :raises ServerError: if others have all that it could get, which does not come about by chance.
    """
    if 0 < len(uid) <= LONGEST_ID_TAG:
        return uid
    found = [_substitute(owner, token_type, uid, number) for number in range(_SUBSTITUTES)]
    taken = {}
    rows = Token.objects.extra(where=["UPPER(id_tag) = ANY(%s)"], params=[found])
    for row in rows.only("id_tag", "country_code", "party_id", "type", "uid"):
        its_own = (Address(row.country_code, row.party_id).key, row.type, row.uid.upper())
        if its_own == (owner.key, token_type, uid.upper()):
            return str(row.id_tag)
        taken[row.id_tag.upper()] = its_own
    free = next((each for each in found if each not in taken), None)
    if free is None:
        raise status.ServerError(f"all substitutes of Token {uid} are other Tokens'")
    return free


def parent_id_tag(owner: Address, group_id: str) -> str:
    """Return what an OCPP 1.6 charge point calls a group: its id, or if that is too long a substitute (M-7).

    It is the same for all tokens of the group, whatever their type; charge points compare it and never send it, so
    nothing is looked up: groups of two eMSPs with one short name are one group to a charge point, too.
    """
    return group_id if len(group_id) <= LONGEST_ID_TAG else _substitute(owner, "GROUP", group_id)


def _substitute(owner: Address, kind: str, name: str, number: int = 0) -> str:
    text = "|".join((*owner.key, kind, name.upper(), *([str(number)] if number else [])))
    return "Z" + base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[: LONGEST_ID_TAG - 1]


def _identity(owner: Address, token_uid: str) -> dict[str, str]:
    return {"country_code": owner.country_code, "party_id": owner.party_id, "uid": token_uid}


def _values(members: dict[str, msgspec.Raw]) -> dict[str, Any]:
    found = {name: msgspec.json.decode(members[name]) for name in _COLUMNS if name in members}
    return {name: value for name, value in found.items() if value is not None}


class TokensReceiver(OcpiView):
    """`{country_code}/{party_id}/{token_uid}?type=`. Nothing is ever deleted (TOK-12)."""

    module = ModuleID.tokens
    interface = InterfaceRole.RECEIVER
    owners = (Role.EMSP,)
    unknown = status.UnknownTokenObject

    def get(self, request: Request, token_uid: str) -> HttpResponse:
        return envelope.response(read(self.owner, token_uid, self.type(request) or RFID))

    def put(self, request: Request, token_uid: str) -> HttpResponse:
        created = keep(self.owner, token_uid, self.body(), asked_type=self.type(request))
        return envelope.response(http_status=201 if created else 200)

    def patch(self, request: Request, token_uid: str) -> HttpResponse:
        patch(self.owner, token_uid, self.body(), token_type=self.type(request) or RFID)
        return envelope.response()

    def type(self, request: Request) -> str | None:
        """Return the query's type.

        :raises InvalidParameters: if it is no TokenType.
        """
        given = request.query_params.get("type")
        if given and given not in set(TokenType):
            raise status.InvalidParameters("type", f"must be one of {', '.join(TokenType)}")
        return given or None
