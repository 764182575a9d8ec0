"""Versions and version details: where everything else is found (OCPI 2.2.1, Version information endpoint)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from ocpi import authentication, documents, endpoints, envelope
from ocpi.views import OcpiView


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
        ]
        return envelope.response(documents.encode({"version": endpoints.VERSION, "endpoints": listed}))


def _version(number: str) -> dict[str, str]:
    return {"version": number, "url": f"{settings.OCPI_BASE_URL}/ocpi/{number}"}
