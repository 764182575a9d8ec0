"""HubClientInfo, Sender: everybody who is told of others reads here whom there is (HCI-01)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from hub import clientinfo
from ocpi import lists, outbox_pulled, pagination
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.outbox_pulled import Reader
from ocpi.views import OcpiView


class ClientInfoSender(OcpiView):
    """The list; it holds what the caller was told or is being told, and nothing else."""

    module = ModuleID.hubclientinfo
    interface = InterfaceRole.SENDER
    functional = False

    def get(self, request: Request) -> HttpResponse:
        clientinfo.publish_to(self.caller.platform.id)  # who has just registered finds everybody
        page = pagination.read(request.GET)
        reader = Reader(self.caller.platform.id, None)
        found = lists.fetch(outbox_pulled.noted(listing(self.caller.platform.id), reader, clientinfo.SOURCE), page)
        return outbox_pulled.answer(page, found, url=self.url(), reader=reader, source=clientinfo.SOURCE)


def listing(platform_id: int) -> lists.Listing:
    """Return what one platform sees."""
    return lists.Listing(table="hub_toldclientinfo", scopes=(str(platform_id),))
