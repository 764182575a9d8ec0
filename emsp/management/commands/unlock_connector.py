"""Have a Connector unlocked, as the help desk does it: send UNLOCK_CONNECTOR and wait for the CommandResult."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from emsp.management.sending import COMMAND_LINE, SendingCommand, carried_out, party
from emsp.modules import commands_operations


class Command(SendingCommand):
    help = "Send UNLOCK_CONNECTOR to a CPO and wait for its CommandResult. For operators, never for drivers (CMD-42)."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, help="the CPO, as NL*CPO")
        parser.add_argument("--location", required=True, help="Location id")
        parser.add_argument("--evse", required=True, help="EVSE uid")
        parser.add_argument("--connector", required=True, help="Connector id")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        sent = commands_operations.unlock_connector(
            to=party(options["to"]),
            location_id=options["location"],
            evse_uid=options["evse"],
            connector_id=options["connector"],
            asked_by=COMMAND_LINE,
        )
        return carried_out(sent)
