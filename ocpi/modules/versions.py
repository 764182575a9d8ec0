"""Versions and version details: where everything else is found (OCPI 2.2.1, Version information endpoint)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from ocpi import authentication, documents, endpoints, envelope, registration_states
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.snapshot import KnownPlatform
from ocpi.views import OcpiView

_TOLD_BY_HUBS = (ModuleID.hubclientinfo, InterfaceRole.RECEIVER)


class VersionsView(OcpiView):
    functional = False
    purposes = authentication.CONFIGURATION

    def get(self, request: Request) -> HttpResponse:
        return envelope.response(documents.encode([_version(endpoints.VERSION)]))


class VersionDetailsView(OcpiView):
    functional = False
    purposes = authentication.CONFIGURATION

    def get(self, request: Request) -> HttpResponse:
        listed = [
            {"identifier": entry.module.value, "role": entry.role.value, "url": entry.url}
            for entry in endpoints.served()
            if _concerns(self.caller.platform, entry)
        ]
        return envelope.response(documents.encode({"version": endpoints.VERSION, "endpoints": listed}))


def _concerns(platform: KnownPlatform, entry: endpoints.Serve) -> bool:
    """Say whether an interface is for this platform (VER-22): a hub is told of clients only by other hubs.

    Whoever is invited without a word of who it is may be one.
    """
    if "hub" not in settings.OCPI_SIDES or (entry.module, entry.role) != _TOLD_BY_HUBS:
        return True
    roles = {party.role for party in platform.parties if not party.through_hub}
    return "HUB" in roles or (not roles and platform.state == registration_states.INVITED)


def _version(number: str) -> dict[str, str]:
    return {"version": number, "url": f"{settings.OCPI_BASE_URL}/ocpi/{number}"}
