"""Charging profiles: Sender towards CPOs, Receiver towards SCSPs (OCPI 2.2.1, ChargingProfiles)."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from emsp.modules import chargingprofiles_operations as operations
from emsp.modules import chargingprofiles_results as results
from emsp.modules.chargingprofiles_operations import Asked
from emsp.modules.chargingprofiles_sending import Kind
from ocpi import defects, documents, envelope, response_urls, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.v2_2_1 import chargingprofiles as schema
from ocpi.views import ANYBODY, OcpiView


class ProfileResultSender(OcpiView):
    """`results/{result_type}/{key}`: the response_url of one request (CHP-04)."""

    module = ModuleID.chargingprofiles
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # the URL of a request is for the platform that was asked

    def post(self, request: Request, result_type: str, key: str) -> HttpResponse:
        results.take_result(result_type, key, self.body(), platform_id=self.caller.platform.id)
        return envelope.response()


class ActiveProfilesSender(OcpiView):
    """`{session_id}`: the CPO tells which profile is active (CHP-05)."""

    module = ModuleID.chargingprofiles
    interface = InterfaceRole.SENDER
    owners = (Role.CPO,)

    def put(self, request: Request, session_id: str) -> HttpResponse:
        cpo = self.owned_by(self.sender_party(Role.CPO))
        results.take_active_profile(cpo, session_id, self.body(), correlation_id=self.ids.correlation_id)
        return envelope.response()


class ChargingProfilesReceiver(OcpiView):
    """`{session_id}`: an SCSP asks us, and we ask the CPO (CHP-26)."""

    module = ModuleID.chargingprofiles
    interface = InterfaceRole.RECEIVER
    askers = ANYBODY  # who has no agreement is answered REJECTED (CHP-13)
    role: ClassVar[Role | None] = Role.EMSP

    def put(self, request: Request, session_id: str) -> HttpResponse:
        body = defects.taken(schema.check_leniently(self.body(), "SetChargingProfile"))
        profile = bytes(documents.members(body)["charging_profile"]).decode()
        return self._relay(Kind.SET, session_id, str(documents.get(body, "response_url")), profile=profile)

    def get(self, request: Request, session_id: str) -> HttpResponse:
        query, url = self._query()
        return self._relay(Kind.GET, session_id, url, duration=_seconds(query.get("duration", "")))

    def delete(self, request: Request, session_id: str) -> HttpResponse:
        _, url = self._query()
        return self._relay(Kind.CLEAR, session_id, url)

    def _query(self) -> tuple[dict[str, str], str]:
        query, url = response_urls.from_query(self.request._request.META.get("QUERY_STRING", ""))
        if not url:
            raise status.InvalidParameters("response_url", "is required")  # CHP-09
        return query, url

    def _relay(
        self, kind: Kind, session_id: str, response_url: str, *, profile: str = "", duration: int | None = None
    ) -> HttpResponse:
        asked = Asked(
            kind=kind,
            session_id=session_id,
            response_url=response_url,
            platform=self.caller.platform,
            sender=self.sender_party(Role.SCSP),
            receiver=self.receiver,
            correlation_id=self.ids.correlation_id,
            profile=profile,
            duration=duration,
        )
        return envelope.response(operations.relay(asked))


def _seconds(text: str) -> int:
    """Return the duration of a query.

    :raises InvalidParameters: if it is absent or no number of seconds (CHP-09).
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) == 0:
        raise status.InvalidParameters("duration", "is required: a number of seconds above 0")
    return int(text)
