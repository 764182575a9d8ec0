"""End charging: send STOP_SESSION for one of our drivers' Sessions and wait for the CommandResult."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from emsp.management.sending import SendingCommand, carried_out, session_of
from emsp.modules import commands_operations
from ocpi.headers import Address


class Command(SendingCommand):
    help = "Send STOP_SESSION to the CPO of a Session and wait for its CommandResult."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--session", required=True, help="Session id")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        session = session_of(options["session"])
        cpo = Address(session.country_code, session.party_id)
        sent = commands_operations.stop_session(to=cpo, session_id=session.object_id)
        return carried_out(sent, session=session.object_id)
