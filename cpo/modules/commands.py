"""Commands, Receiver interface: an eMSP asks us to start or stop a session (OCPI 2.2.1, Commands)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from cpo.modules import commands_operations as operations
from cpo.modules.commands_plans import Asked
from ocpi import authentication, envelope, status
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.v2_2_1.commands import CommandType
from ocpi.views import OcpiView


class CommandsReceiver(OcpiView):
    """`{command}` (CMD-01)."""

    module = ModuleID.commands
    interface = InterfaceRole.RECEIVER

    def post(self, request: Request, command: str) -> HttpResponse:
        if command not in set(CommandType):
            raise status.UnknownObject(f"There is no command {command}")  # CMD-05
        sender = self.sender_party("EMSP")
        if not authentication.acts_for(self.caller.platform, sender, "EMSP"):
            raise status.InvalidParameters("OCPI-from-party-id", f"{sender} is not an eMSP")
        asked = Asked(
            command=CommandType(command),
            body=self.body(),
            platform=self.caller.platform,
            sender=sender,
            receiver=self.receiver,
            correlation_id=self.ids.correlation_id,
        )
        return envelope.response(operations.accept(asked))
