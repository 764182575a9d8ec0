"""CDRs, Sender interface: the CDRs of the caller's drivers (OCPI 2.2.1, CDRs)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from cpo.modules import cdrs_operations as operations
from cpo.modules.sessions import emsps
from ocpi import outbox_pulled, pagination
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.views import ANYBODY, OcpiView


class CDRsList(OcpiView):
    """All CDRs that concern the caller, page by page (CDR-01, CDR-15)."""

    module = ModuleID.cdrs
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # each finds what is of its drivers

    def get(self, request: Request) -> HttpResponse:
        page = pagination.read(request.query_params)
        found = operations.fetch(self.receiver, emsps(self), page, self.reader)
        return outbox_pulled.answer(page, found, url=self.url(), reader=self.reader, source=operations.SOURCE)
