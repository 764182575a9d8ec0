"""Sessions, Receiver interface: charging of our drivers while it happens (OCPI 2.2.1, Sessions)."""

from __future__ import annotations

import msgspec
from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from emsp.models import Session
from emsp.modules import sessions_ending as ending
from ocpi import defects, documents, envelope, keeping, ours, session_periods, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.headers import Address
from ocpi.v2_2_1 import sessions as schema
from ocpi.views import OcpiView


def keep(owner: Address, session_id: str, body: bytes, *, platform_id: int, receiver: Address | None = None) -> bool:
    """Create or replace a Session, charging periods included (SES-28); say whether it is new.

    :raises InvalidParameters: if the body breaks its table, names another id or another eMSP, or is older.
    """
    kept = defects.taken(schema.check_leniently(body, "Session"))
    members = documents.members(kept)
    keeping.check_identity(members, _identity(owner, session_id))
    refuse_foreign_token(members, receiver)
    with transaction.atomic():
        stored = keeping.find(Session, owner=owner, object_id=session_id, lock=True)
        updated = keeping.last_updated(members)
        if stored is None:
            kept = ending.with_end_of_cdr(owner, session_id, kept)
        else:
            keeping.refuse_older(updated, stored.last_updated)
        kept = ending.with_last_word(stored, kept)
        return keeping.put(
            Session,
            owner=owner,
            object_id=session_id,
            document=kept.decode(),
            updated=updated,
            columns={"platform_id": platform_id, **_columns(kept)},
        ).created


def change(owner: Address, session_id: str, body: bytes, *, receiver: Address | None = None) -> None:
    """Change the members a PATCH names; its charging periods are added to those that are there (SES-29).

    :raises InvalidParameters: without `last_updated`, if it is older, or if the merged object breaks its table.
    :raises UnknownObject: if the Session is not known.
    """
    kept = defects.taken(schema.check_leniently(body, "Session", partial=True))
    identity = _identity(owner, session_id)
    keeping.check_identity(documents.members(kept), identity)
    keeping.last_updated(documents.members(kept))
    patch = keeping.without_identity(kept, identity)
    with transaction.atomic():
        session = keeping.find(Session, owner=owner, object_id=session_id, lock=True)
        if session is None:
            raise status.UnknownObject
        merged, updated = keeping.patch(
            session,
            session_periods.added(session.document, patch).encode(),
            check=lambda text: schema.check_leniently(text, "Session"),
        )
        refuse_foreign_token(documents.members(merged), receiver)
        merged = ending.with_last_word(session, merged.encode()).decode()
        Session.objects.filter(pk=session.pk).update(document=merged, last_updated=updated, **_columns(merged.encode()))


def read(owner: Address, session_id: str) -> str:
    """Return a Session as it is stored.

    :raises UnknownObject: if it is not there.
    """
    session = keeping.find(Session, owner=owner, object_id=session_id)
    if session is None:
        raise status.UnknownObject
    return session.document


def refuse_foreign_token(members: dict[str, msgspec.Raw], receiver: Address | None) -> None:
    """Refuse a Session or CDR of a driver who is not the addressed party's; if pulled, not one of ours (SEC-37).

    :raises InvalidParameters: naming the party.
    """
    token = documents.members(bytes(members["cdr_token"]))
    party = Address(*(str(msgspec.json.decode(token[name])) for name in ("country_code", "party_id")))
    if party.key not in {address.key for address in ([receiver] if receiver else ours.addresses(Role.EMSP))}:
        raise status.InvalidParameters("cdr_token.party_id", f"{party} is not {receiver or 'a party of this platform'}")


def _identity(owner: Address, session_id: str) -> dict[str, str]:
    return {"id": session_id, "country_code": owner.country_code, "party_id": owner.party_id}


def _columns(document: bytes) -> dict[str, object]:
    members = documents.members(document)
    token = documents.members(bytes(members["cdr_token"]))
    return {
        "status": msgspec.json.decode(members["status"]),
        "token_uid": msgspec.json.decode(token["uid"]),
        "start_date_time": keeping.moment(members["start_date_time"]),
    }


class SessionsReceiver(OcpiView):
    """`{country_code}/{party_id}/{session_id}`."""

    module = ModuleID.sessions
    interface = InterfaceRole.RECEIVER
    owners = (Role.CPO,)

    def get(self, request: Request, session_id: str) -> HttpResponse:
        return envelope.response(read(self.owner, session_id))

    def put(self, request: Request, session_id: str) -> HttpResponse:
        created = keep(self.owner, session_id, self.body(), platform_id=self.caller.platform.id, receiver=self.receiver)
        return envelope.response(http_status=201 if created else 200)

    def patch(self, request: Request, session_id: str) -> HttpResponse:
        change(self.owner, session_id, self.body(), receiver=self.receiver)
        return envelope.response()
