"""CDRs, Receiver interface: take a CDR once and for good, then price it again (OCPI 2.2.1, CDRs)."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from rest_framework.request import Request

from emsp import wake
from emsp.models import CDR
from emsp.modules import sessions_ending
from emsp.modules.sessions import refuse_foreign_token
from ocpi import audit, audit_rows, authentication, cdr_reviews, defects, documents, envelope, keeping, status, tallies
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1 import cdrs as schema
from ocpi.views import ANYBODY, OcpiView

PATH = "emsp/2.2.1/cdrs"


@dataclass(frozen=True, slots=True)
class Posted:
    """A CDR that is stored, now or already before."""

    url: str
    created: bool


def post(
    body: bytes, *, platform: KnownPlatform, sender: Address | None = None, receiver: Address | None = None
) -> Posted:
    """Store a CDR exactly once. The same one again gives the same answer (CDR-10, REL-45).

    :raises InvalidParameters: if it breaks its table, is of another CPO or another eMSP, or if another CDR with this
        id is stored: that one stays as it is.
    """
    kept = defects.taken(schema.check_leniently(body, "CDR"))
    members = documents.members(kept)
    owner = Address(*(str(msgspec.json.decode(members[name])) for name in ("country_code", "party_id")))
    behind = authentication.behind(platform, sender)
    if not authentication.acts_for(platform, owner, "CPO") or (behind and behind.key != owner.key):
        raise status.InvalidParameters("party_id", f"{owner} is not a CPO of the calling platform")
    refuse_foreign_token(members, receiver)
    object_id, digest = str(msgspec.json.decode(members["id"])), canonical_digest(kept)
    stored = keeping.find(CDR, owner=owner, object_id=object_id)
    if stored is None:
        try:
            with transaction.atomic():
                added = _store(owner, object_id, kept.decode(), members, digest, platform.id)
                sessions_ending.close(added)
                cdr_reviews.enter(added.document)
                told = {"sha256": digest, **audit_rows.details("cdr.in", added)}
                audit.record("cdr.in", actor=platform.name, about=str(added), details=told)
                transaction.on_commit(lambda: wake.check(added.pk))
            return Posted(_url(added), created=True)
        except IntegrityError:  # somebody posted it between our look and our insert
            stored = keeping.find(CDR, owner=owner, object_id=object_id)
            if stored is None:
                raise
    if stored.digest != digest and (others := differing(stored.document.encode(), kept)):
        cdr_reviews.enter(kept.decode())  # notes that it came otherwise
        defects.noted(["QRK-32 another CDR under the same id"])
        raise status.InvalidParameters("id", f"CDR {object_id} exists already with other content: {', '.join(others)}")
    tallies.add(tallies.DUPLICATES_AVOIDED)
    return Posted(_url(stored), created=False)


def read(key: str, *, platform: KnownPlatform, sender: Address | None) -> str:
    """Return a CDR to the platform that posted it; behind a hub, to nobody but its owner (CDR-04, CDR-08, SEC-37).

    :raises UnknownObject: for everybody else, as for one that does not exist.
    """
    cdr = CDR.objects.filter(key=key, platform_id=platform.id).first()
    behind = authentication.behind(platform, sender)
    if cdr is None or (behind and behind.key != Address(cdr.country_code, cdr.party_id).key):
        raise status.UnknownObject()
    return cdr.document


def canonical_digest(document: bytes) -> str:
    """Return a digest that ignores spaces, the order of members, and how a number is written, but not its value."""
    return hashlib.sha256(json.dumps(_parsed(document), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differing(one: bytes, other: bytes) -> list[str]:
    """Return the members in which two CDRs are not the same.

    When it was written out is not what it says, and what is null or empty is not there (QRK-18, TRN-108, TRN-109).
    """
    first, second = (_without_nothing(_parsed(each)) | {"last_updated": ""} for each in (one, other))
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nothing(each) for name, each in value.items() if each is not None and each != []}
    return [_without_nothing(each) for each in value] if isinstance(value, list) else value


def _parsed(document: bytes) -> Any:
    return json.loads(document, parse_float=_number, parse_int=_number)


def _number(text: str) -> str:
    return f"number {Decimal(text).normalize():f}"  # 10.0 is 10, and never the text "10"


def _store(
    owner: Address, object_id: str, document: str, members: dict[str, msgspec.Raw], digest: str, platform_id: int
) -> CDR:
    token = documents.members(bytes(members["cdr_token"]))
    session_id = documents.get(document, "session_id")
    return CDR.objects.create(
        platform_id=platform_id,
        key=secrets.token_urlsafe(24),
        digest=digest,
        country_code=owner.country_code,
        party_id=owner.party_id,
        object_id=object_id,
        last_updated=keeping.last_updated(members),
        document=document,
        session_id=session_id or "",
        credit_reference_id=documents.get(document, "credit_reference_id") or "",
        token_uid=msgspec.json.decode(token["uid"]),
        start_date_time=keeping.moment(members["start_date_time"]),
    )


def _url(cdr: CDR) -> str:
    return f"{settings.OCPI_BASE_URL}/ocpi/{PATH}/{cdr.key}"


class CDRsReceiver(OcpiView):
    """The endpoint itself takes CDRs."""

    module = ModuleID.cdrs
    interface = InterfaceRole.RECEIVER
    askers = (Role.CPO, Role.HUB)

    def post(self, request: Request) -> HttpResponse:
        posted = post(self.body(), platform=self.caller.platform, sender=self.routing.sender, receiver=self.receiver)
        return envelope.response(http_status=201 if posted.created else 200, headers={"Location": posted.url})


class CDRReceiver(OcpiView):
    """The URL that the answer to a POST named."""

    module = ModuleID.cdrs
    interface = InterfaceRole.RECEIVER
    askers = ANYBODY  # it is for the one who posted it

    def get(self, request: Request, key: str) -> HttpResponse:
        return envelope.response(read(key, platform=self.caller.platform, sender=self.routing.sender))
