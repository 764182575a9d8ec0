"""Start charging for a driver: send START_SESSION, wait for the CommandResult and the Session."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from emsp.models import Command as SentCommand
from emsp.models import Session, Token
from emsp.modules import commands_operations
from ocpi import status
from ocpi.headers import Address

_SESSION_SECONDS = 5.0  # the Session is the proof, and comes a moment after the result (CMD-23)


def party(text: str) -> Address:
    """Read NL*TNM.

    :raises CommandError: if it is no such text.
    """
    country_code, star, party_id = text.partition("*")
    if not star or len(country_code) != 2 or not 0 < len(party_id) <= 3:
        raise CommandError(f"{text!r} is no party: write it as NL*TNM")
    return Address(country_code, party_id)


def outcome(command: SentCommand, session: str | None) -> dict[str, Any]:
    """Return what became of a command, as the commands print it."""
    return {
        "command": command.command,
        "response": command.response or None,
        "result": command.result or ("TIMEOUT" if command.state == "EXPIRED" else None),
        "session": session,
    }


class Command(BaseCommand):
    help = "Send START_SESSION to a CPO, directly or through a hub, and wait for its CommandResult."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, help="the CPO, as NL*CPO")
        parser.add_argument("--location", required=True, help="Location id")
        parser.add_argument("--evse", default="", help="EVSE uid")
        parser.add_argument("--connector", default="", help="Connector id; needs --evse")
        parser.add_argument("--token", required=True, help="uid of one of our Tokens")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        token = Token.objects.filter(object_id__iexact=options["token"]).first()
        if token is None:
            raise CommandError(f"There is no Token {options['token']}")
        try:
            sent = commands_operations.start_session(
                to=party(options["to"]),
                token=token,
                location_id=options["location"],
                evse_uid=options["evse"],
                connector_id=options["connector"],
            )
        except status.OcpiError as error:
            raise CommandError(error.message) from error
        sent = commands_operations.wait(sent)
        session = self._session(sent) if sent.result == "ACCEPTED" else None
        found = outcome(sent, session)
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self.stdout.write(f"{found['response']}, then {found['result']}; session {session or 'none yet'}")
        if found["result"] != "ACCEPTED":
            raise CommandError(f"START_SESSION was not carried out: {sent.message or found['result'] or sent.response}")

    def _session(self, sent: SentCommand) -> str | None:
        """Return the id of the Session that carries the command's authorization reference."""
        limit = time.monotonic() + _SESSION_SECONDS
        while time.monotonic() < limit:
            # One that came after the command, and says so with the command's reference (CMD-30).
            recent = Session.objects.filter(
                created_at__gte=sent.created_at, document__contains=sent.authorization_reference
            )
            found = recent.order_by("-id").values_list("object_id", flat=True).first()
            if found:
                return found
            time.sleep(0.1)
        return None
