"""Set a charging profile for a Session: send it and wait for the ChargingProfileResult."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from emsp.management.profiles import carried_out
from emsp.management.sending import COMMAND_LINE, SendingCommand, session_of
from emsp.modules import chargingprofiles_operations
from ocpi import documents


class Command(SendingCommand):
    help = "Set a charging profile for an ongoing Session: an upper limit of its power or current."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--session", required=True, help="Session id")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--profile", help="a file with a ChargingProfile")
        what.add_argument("--limit", type=float, help="one limit for all the time, with at most one decimal")
        parser.add_argument("--unit", choices=["W", "A"], default="W", help="of --limit; A is per phase")
        parser.add_argument("--duration", type=int, help="seconds for which --limit holds")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        sent = chargingprofiles_operations.set_profile(
            session=session_of(options["session"]), profile=_profile(options), asked_by=COMMAND_LINE
        )
        return carried_out(sent)


def _profile(options: Mapping[str, Any]) -> str:
    if options["profile"]:
        try:
            return Path(options["profile"]).read_text()
        except OSError as error:
            raise CommandError(f"{options['profile']}: {error.strerror}") from error
    lasting = {"duration": options["duration"]} if options["duration"] else {}
    periods = [{"start_period": 0, "limit": options["limit"]}]
    return documents.text({**lasting, "charging_rate_unit": options["unit"], "charging_profile_period": periods})
