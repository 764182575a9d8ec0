"""Locations, Receiver interface: what CPOs tell us about their charge points (OCPI 2.2.1, Locations).

A Location and each of its EVSEs have a row and a document of their own, Connectors live inside their EVSE's document.
A child's time stamp is passed up to its parents and never goes backwards there (LOC-10, LOC-11).
"""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from emsp.modules import locations_operations as operations
from ocpi import envelope, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.views import MAX_LOCATION_BODY, OcpiView


class LocationsReceiver(OcpiView):
    """`{country_code}/{party_id}/{location_id}[/{evse_uid}[/{connector_id}]]`."""

    module = ModuleID.locations
    interface = InterfaceRole.RECEIVER
    max_body = MAX_LOCATION_BODY
    owners = (Role.CPO, Role.NAP, Role.OTHER)
    unknown = status.UnknownLocationObject

    def get(self, request: Request, **path: str) -> HttpResponse:
        return envelope.response(operations.read(self.owner, tuple(path.values())))

    def put(self, request: Request, **path: str) -> HttpResponse:
        created = operations.put(self.owner, tuple(path.values()), self.body(), platform_id=self.caller.platform.id)
        return envelope.response(http_status=201 if created else 200)

    def patch(self, request: Request, **path: str) -> HttpResponse:
        operations.patch(self.owner, tuple(path.values()), self.body())
        return envelope.response()
