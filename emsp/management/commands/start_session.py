"""Start charging for a driver: send START_SESSION, wait for the CommandResult and the Session."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from emsp.management.sending import SendingCommand, carried_out, party, token_of
from emsp.models import Command as SentCommand
from emsp.modules import commands_operations, commands_results

_SESSION_SECONDS = 5.0  # the Session is the proof, and comes a moment after the result (CMD-23)


class Command(SendingCommand):
    help = "Send START_SESSION to a CPO, directly or through a hub, and wait for its CommandResult."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, help="the CPO, as NL*CPO")
        parser.add_argument("--location", required=True, help="Location id")
        parser.add_argument("--evse", default="", help="EVSE uid")
        parser.add_argument("--connector", default="", help="Connector id; needs --evse")
        parser.add_argument("--token", required=True, help="uid of one of our Tokens")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        sent = commands_operations.start_session(
            to=party(options["to"]),
            token=token_of(options["token"]),
            location_id=options["location"],
            evse_uid=options["evse"],
            connector_id=options["connector"],
        )
        found, failure = carried_out(sent)
        session = self._session(sent, wait=not failure)
        # The result may say TIMEOUT and the car charges all the same (QRK-30).
        return {**found, "session": session}, "" if session else failure

    def _session(self, sent: SentCommand, *, wait: bool) -> str | None:
        limit = time.monotonic() + (_SESSION_SECONDS if wait else 0)
        while (found := commands_results.session_of(sent)) is None and time.monotonic() < limit:
            time.sleep(0.1)
        return found.object_id if found else None
