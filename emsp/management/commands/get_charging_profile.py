"""Ask which charging profile is active in a Session, and wait for the ActiveChargingProfileResult."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from emsp.management.profiles import carried_out, profile_of
from emsp.management.sending import COMMAND_LINE, SendingCommand, session_of
from emsp.modules import chargingprofiles_operations


class Command(SendingCommand):
    help = "Ask the CPO of an ongoing Session which charging profile is active."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--session", required=True, help="Session id")
        parser.add_argument("--duration", type=int, default=3600, help="seconds from now that are asked about")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        sent = chargingprofiles_operations.get_active_profile(
            session=session_of(options["session"]), duration=options["duration"], asked_by=COMMAND_LINE
        )
        found, failure = carried_out(sent)
        return {**found, "profile": profile_of(sent)}, failure
