"""Commands, Receiver interface: an eMSP asks us to start or stop a session (OCPI 2.2.1, Commands)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from cpo.modules import commands_operations as operations
from cpo.modules.commands_plans import Asked
from ocpi import envelope, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.v2_2_1.commands import CommandType
from ocpi.views import OcpiView


class CommandsReceiver(OcpiView):
    """`{command}` (CMD-01)."""

    module = ModuleID.commands
    interface = InterfaceRole.RECEIVER
    askers = (Role.EMSP,)

    def post(self, request: Request, command: str) -> HttpResponse:
        if command not in set(CommandType):
            raise status.UnknownObject(f"There is no command {command}")  # CMD-05
        asked = Asked(
            command=CommandType(command),
            body=self.body(),
            platform=self.caller.platform,
            sender=self.sender_party(Role.EMSP),
            receiver=self.receiver,
            correlation_id=self.ids.correlation_id,
        )
        return envelope.response(operations.accept(asked))
