"""Tokens, Sender interface: the list of our Tokens, and real-time authorization (OCPI 2.2.1, Tokens)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from emsp.modules import tokens_operations as operations
from ocpi import envelope, lists, ours, outbox_pulled, pagination, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.headers import Address
from ocpi.v2_2_1.tokens import TokenType
from ocpi.views import OcpiView

_TYPES = frozenset(TokenType)


class TokensList(OcpiView):
    """Our Tokens, page by page."""

    module = ModuleID.tokens
    interface = InterfaceRole.SENDER
    askers = (Role.CPO, Role.HUB)  # personal data (SEC-42)

    def get(self, request: Request) -> HttpResponse:
        page = pagination.read(request.query_params)
        listing = lists.Listing("emsp_token", scopes=("*".join(self.receiver.key),))
        found = lists.fetch(outbox_pulled.noted(listing, self.reader, operations.SOURCE), page)
        return outbox_pulled.answer(page, found, url=self.url(), reader=self.reader, source=operations.SOURCE)


class TokenAuthorize(OcpiView):
    """`{token_uid}/authorize?type=`: may this Token charge, here and now?"""

    module = ModuleID.tokens
    interface = InterfaceRole.SENDER
    askers = (Role.CPO,)

    def post(self, request: Request, token_uid: str) -> HttpResponse:
        token_type = request.query_params.get("type") or operations.RFID
        if token_type not in _TYPES:
            raise status.InvalidParameters("type", f"must be one of {', '.join(TokenType)}")
        asked = operations.Asked(
            uid=token_uid,
            type=token_type,
            receiver=self.routing.to,
            askers=self._askers(),
            body=self.body() if request._request.body else b"",
            platform_id=self.caller.platform.id,
        )
        return envelope.response(operations.authorize(asked))

    def answering_party(self) -> Address | None:
        """Without To headers the Token itself says whose it is, if we have several parties (TOK-38)."""
        if self.routing.to is None and len(ours.addresses(Role.EMSP)) > 1:
            return None
        return super().answering_party()

    def _askers(self) -> tuple[Address, ...]:
        """Return whose Locations the question may be about."""
        if self.routing.sender is not None:
            return (self.routing.sender,)
        return tuple(party.address for party in self.caller.platform.parties if party.active and party.role == "CPO")
