"""Locations, Sender interface: our Locations as a list, and one Location, EVSE or Connector (OCPI 2.2.1, Locations)."""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpResponse
from rest_framework.request import Request

from cpo.modules import locations_operations as operations
from ocpi import envelope, outbox_pulled, pagination
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.v2_2_1 import short_address
from ocpi.views import ANYBODY, OcpiView


class LocationsList(OcpiView):
    """All our Locations, page by page (LOC-01)."""

    module = ModuleID.locations
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # what is published is for all who are connected

    def get(self, request: Request) -> HttpResponse:
        page = pagination.read(request.query_params)
        found = operations.fetch(self.receiver, page, self.reader)
        longest = self.caller.platform.longest_address
        if longest < short_address.LONGEST:
            found = replace(found, documents=[short_address.cut(each, longest) for each in found.documents])
        return outbox_pulled.answer(page, found, url=self.url(), reader=self.reader, source=operations.LOCATION)


class LocationsSender(OcpiView):
    """One Location, EVSE or Connector (LOC-02)."""

    module = ModuleID.locations
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # what is published is for all who are connected

    def get(self, request: Request, location_id: str, evse_uid: str = "", connector_id: str = "") -> HttpResponse:
        found = operations.read(self.receiver, location_id, evse_uid, connector_id)
        return envelope.response(short_address.cut(found, self.caller.platform.longest_address))
