"""Give a reservation up: send CANCEL_RESERVATION and wait for the CommandResult."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from emsp.management.sending import SendingCommand, carried_out, party, reservation
from emsp.modules import commands_operations


class Command(SendingCommand):
    help = "Send CANCEL_RESERVATION to the CPO of a reservation and wait for its CommandResult."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, help="the CPO, as NL*CPO")
        parser.add_argument("--reservation", required=True, help="id of the reservation")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        sent = commands_operations.cancel_reservation(to=party(options["to"]), reservation_id=options["reservation"])
        found, failure = carried_out(sent)
        return {**found, **reservation(sent)}, failure
