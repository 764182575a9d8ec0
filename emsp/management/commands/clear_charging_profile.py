"""Clear the charging profile of a Session, and wait for the ClearProfileResult."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from emsp.management.profiles import carried_out
from emsp.management.sending import COMMAND_LINE, SendingCommand, session_of
from emsp.modules import chargingprofiles_operations


class Command(SendingCommand):
    help = "Have the CPO of an ongoing Session forget the charging profile that was set."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--session", required=True, help="Session id")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        session = session_of(options["session"])
        return carried_out(chargingprofiles_operations.clear_profile(session=session, asked_by=COMMAND_LINE))
