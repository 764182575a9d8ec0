"""Credentials: register, update, unregister, over HTTP (OCPI 2.2.1, Credentials)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from ocpi import authentication, defects, envelope, status
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.modules import registration
from ocpi.views import OcpiView

_REGISTERED = "GET, PUT, DELETE"
_NOT_REGISTERED = "POST"


class CredentialsView(OcpiView):
    module = ModuleID.credentials
    interface = InterfaceRole.SENDER
    functional = False
    purposes = authentication.CURRENT | {"A", "TOMBSTONE"}

    def get(self, request: Request) -> HttpResponse:
        if not self._registered:
            raise status.AuthenticationFailed
        # Only this request knows the token: we keep its digest (CRED-58).
        return envelope.response(registration.our_credentials(self.caller.token))

    def post(self, request: Request) -> HttpResponse:
        if self._registered:
            defects.noted(["QRK-34 POST although registered"])
            raise status.MethodNotAllowed("This platform is registered", headers={"Allow": _REGISTERED})
        if self.caller.purpose != "A":
            raise status.AuthenticationFailed
        return envelope.response(
            registration.register(
                platform_id=self.caller.platform.id,
                token_a=self.caller.token,
                body=self.body(),
                correlation_id=self.ids.correlation_id,
            )
        )

    def put(self, request: Request) -> HttpResponse:
        self._check_registered()
        return envelope.response(
            registration.update(
                platform_id=self.caller.platform.id,
                token=self.caller.token,
                body=self.body(),
                correlation_id=self.ids.correlation_id,
            )
        )

    def delete(self, request: Request) -> HttpResponse:
        self._check_registered()
        registration.unregister(platform_id=self.caller.platform.id)
        return envelope.response()

    @property
    def _registered(self) -> bool:
        return self.caller.purpose in authentication.CURRENT

    def _check_registered(self) -> None:
        if not self._registered:
            raise status.MethodNotAllowed("This platform is not registered", headers={"Allow": _NOT_REGISTERED})
