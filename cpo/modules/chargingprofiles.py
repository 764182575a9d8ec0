"""Charging profiles, Receiver interface: set, asked for and cleared for a session (OCPI 2.2.1, ChargingProfiles)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from cpo.modules import chargingprofiles_operations as operations
from cpo.modules import chargingprofiles_plans as plans
from cpo.modules.chargingprofiles_plans import Asked, Method
from ocpi import envelope, response_urls, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.v2_2_1 import chargingprofiles as schema
from ocpi.views import OcpiView


class ChargingProfilesReceiver(OcpiView):
    """`{session_id}` (CHP-01 … CHP-03)."""

    module = ModuleID.chargingprofiles
    interface = InterfaceRole.RECEIVER
    askers = (Role.EMSP, Role.SCSP)

    def put(self, request: Request, session_id: str) -> HttpResponse:
        body = self.body()
        found: schema.SetChargingProfile = schema.check(body, "SetChargingProfile")
        asked = self._asked(Method.PUT, session_id, found.response_url, body=body, profile=found.charging_profile)
        return envelope.response(operations.accept(asked))

    def get(self, request: Request, session_id: str) -> HttpResponse:
        query, url = self._query()
        asked = self._asked(Method.GET, session_id, url, duration=plans.seconds(query.get("duration")))
        return envelope.response(operations.accept(asked))

    def delete(self, request: Request, session_id: str) -> HttpResponse:
        _, url = self._query()
        return envelope.response(operations.accept(self._asked(Method.DELETE, session_id, url)))

    def _query(self) -> tuple[dict[str, str], str]:
        query, url = response_urls.from_query(self.request._request.META.get("QUERY_STRING", ""))
        if not url:
            raise status.InvalidParameters("response_url", "is required")
        return query, url

    def _asked(
        self,
        method: Method,
        session_id: str,
        response_url: str,
        *,
        body: bytes = b"",
        profile: schema.ChargingProfile | None = None,
        duration: int = 0,
    ) -> Asked:
        return Asked(
            method=method,
            session_id=session_id,
            response_url=response_url,
            platform=self.caller.platform,
            sender=self.sender_party(*self.askers),
            receiver=self.receiver,
            correlation_id=self.ids.correlation_id,
            body=body,
            profile=profile,
            duration=duration,
        )
