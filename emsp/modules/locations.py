"""Locations, Receiver interface: what CPOs tell us about their charge points (OCPI 2.2.1, Locations).

A Location and each of its EVSEs have a row and a document of their own, Connectors live inside their EVSE's document.
A child's time stamp is passed up to its parents and never goes backwards there (LOC-10, LOC-11).
"""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from emsp.modules import locations_operations as operations
from ocpi import envelope
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.views import MAX_LOCATION_BODY, OcpiView


class LocationsReceiver(OcpiView):
    """`{country_code}/{party_id}/{location_id}[/{evse_uid}[/{connector_id}]]`."""

    module = ModuleID.locations
    interface = InterfaceRole.RECEIVER
    max_body = MAX_LOCATION_BODY
    owners: ClassVar[tuple[str, ...]] = ("CPO", "NAP", "OTHER")

    def get(self, request: Request, country_code: str, party_id: str, **path: str) -> HttpResponse:
        owner = self.owner(country_code, party_id, *self.owners)
        return envelope.response(operations.read(owner, tuple(path.values())))

    def put(self, request: Request, country_code: str, party_id: str, **path: str) -> HttpResponse:
        owner = self.owner(country_code, party_id, *self.owners)
        created = operations.put(owner, tuple(path.values()), self.body(), platform_id=self.caller.platform.id)
        return envelope.response(http_status=201 if created else 200)

    def patch(self, request: Request, country_code: str, party_id: str, **path: str) -> HttpResponse:
        owner = self.owner(country_code, party_id, *self.owners)
        operations.patch(owner, tuple(path.values()), self.body())
        return envelope.response()
