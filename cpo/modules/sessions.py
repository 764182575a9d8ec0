"""Sessions, Sender interface: the Sessions of the caller's drivers, and their preferences (OCPI 2.2.1, Sessions)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from cpo.modules import preferences_operations as preferences
from cpo.modules import sessions_operations as operations
from ocpi import authentication, envelope, outbox_pulled, pagination
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.headers import Address
from ocpi.v2_2_1 import sessions as schema
from ocpi.views import ANYBODY, OcpiView


def emsps(view: OcpiView) -> list[Address]:
    """Return whose drivers' objects the caller may see: the From party, else all eMSPs of its platform."""
    sender = view.routing.sender
    if sender is not None:  # the same address may be a CPO on another platform than its eMSP (PIT-85)
        return [sender] if authentication.acts_for(view.caller.platform, sender, Role.EMSP) else []
    parties = view.caller.platform.parties
    found = {party.address.key: party.address for party in parties if party.active and party.role == "EMSP"}
    return list(found.values())


class SessionsList(OcpiView):
    """The Sessions since a moment, page by page (SES-01); there is no GET of a single one (SES-07)."""

    module = ModuleID.sessions
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # each finds what is of its drivers

    def get(self, request: Request) -> HttpResponse:
        page = pagination.read(request.query_params, date_from_required=True)
        found = operations.fetch(self.receiver, emsps(self), page, self.reader)
        return outbox_pulled.answer(page, found, url=self.url(), reader=self.reader, source=operations.SOURCE)


class ChargingPreferencesSender(OcpiView):
    """`{session_id}/charging_preferences`: what the driver needs, and when (SES-03)."""

    module = ModuleID.sessions
    interface = InterfaceRole.SENDER
    askers = (Role.EMSP,)

    def put(self, request: Request, session_id: str) -> HttpResponse:
        body = self.body()
        asked = preferences.Asked(
            session_id=session_id,
            sender=self.sender_party(Role.EMSP),
            receiver=self.receiver,
            wanted=schema.check(body, "ChargingPreferences"),
            body=body,
        )
        return envelope.response(f'"{preferences.accept(asked)}"')  # a bare string (PIT-29)
