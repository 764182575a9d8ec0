"""Have a place held for a driver: send RESERVE_NOW and wait for the CommandResult."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from emsp.management.sending import SendingCommand, carried_out, moment, party, reservation, token_of
from emsp.modules import commands_operations

_MINUTES = 30


class Command(SendingCommand):
    help = "Send RESERVE_NOW to a CPO, directly or through a hub, and wait for its CommandResult."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, help="the CPO, as NL*CPO")
        parser.add_argument("--location", required=True, help="Location id")
        parser.add_argument("--evse", default="", help="EVSE uid")
        parser.add_argument("--token", required=True, help="uid of one of our Tokens")
        parser.add_argument("--expiry", default="", help=f"until when; {_MINUTES} minutes from now if absent")
        parser.add_argument("--reservation", default="", help="id; a known one is replaced")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        expiry = moment(options["expiry"]) if options["expiry"] else timezone.now() + timedelta(minutes=_MINUTES)
        sent = commands_operations.reserve_now(
            to=party(options["to"]),
            token=token_of(options["token"]),
            location_id=options["location"],
            evse_uid=options["evse"],
            expiry_date=expiry,
            reservation_id=options["reservation"],
        )
        found, failure = carried_out(sent)
        return {**found, **reservation(sent)}, failure
