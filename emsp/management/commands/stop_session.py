"""End charging: send STOP_SESSION for one of our drivers' Sessions and wait for the CommandResult."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from emsp.management.commands.start_session import outcome
from emsp.models import Session
from emsp.modules import commands_operations
from ocpi import status
from ocpi.headers import Address


class Command(BaseCommand):
    help = "Send STOP_SESSION to the CPO of a Session and wait for its CommandResult."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--session", required=True, help="Session id")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        session = Session.objects.filter(object_id__iexact=options["session"]).order_by("-id").first()
        if session is None:
            raise CommandError(f"There is no Session {options['session']}")
        cpo = Address(session.country_code, session.party_id)
        try:
            sent = commands_operations.stop_session(to=cpo, session_id=session.object_id)
        except status.OcpiError as error:
            raise CommandError(error.message) from error
        sent = commands_operations.wait(sent)
        found = outcome(sent, session.object_id)
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self.stdout.write(f"{found['response']}, then {found['result']}")
        if found["result"] != "ACCEPTED":
            raise CommandError(f"STOP_SESSION was not carried out: {sent.message or found['result'] or sent.response}")
