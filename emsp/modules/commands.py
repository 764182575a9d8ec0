"""Commands, Sender interface: where CPOs post the result of a command (OCPI 2.2.1, Commands)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from emsp.modules import commands_results as results
from ocpi import envelope, status
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.views import ANYBODY, OcpiView


class CommandResultSender(OcpiView):
    """`{command}/{key}`: the response_url of one command."""

    module = ModuleID.commands
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # the URL of a command is for the platform that was asked

    def post(self, request: Request, command: str, key: str) -> HttpResponse:
        results.take_result(command, key, self.body(), platform_id=self.caller.platform.id)
        return envelope.response()


class CommandsSender(OcpiView):
    """The published endpoint itself: listed because partners look for it, called by nobody (PIT-63)."""

    module = ModuleID.commands
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # the URL of a command is for the platform that was asked

    def post(self, request: Request) -> HttpResponse:
        raise status.UnknownObject("Results go to the response_url of their command")
