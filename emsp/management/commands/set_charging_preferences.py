"""Send the charging preferences of a driver to the CPO of the Session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from emsp.management.sending import COMMAND_LINE, SendingCommand, moment, session_of
from emsp.modules import charging_preferences
from ocpi.v2_2_1.sessions import ProfileType
from ocpi.v2_2_1.types import format_datetime


class Command(SendingCommand):
    help = "Send ChargingPreferences to the CPO of an ongoing Session."

    def add_more_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--session", required=True, help="Session id")
        parser.add_argument("--profile-type", required=True, choices=[each.value for each in ProfileType])
        parser.add_argument("--departure", default="", help="when the driver leaves, a DateTime")
        parser.add_argument("--energy", type=float, help="kWh that are needed")
        parser.add_argument("--discharge", action="store_true", help="the car may be discharged")

    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        departure = options["departure"]
        sent = charging_preferences.send(
            session=session_of(options["session"]),
            preferences={
                "profile_type": options["profile_type"],
                "departure_time": format_datetime(moment(departure)) if departure else None,
                "energy_need": options["energy"],
                "discharge_allowed": True if options["discharge"] else None,
            },
            asked_by=COMMAND_LINE,
        )
        found = {"session": sent.session.object_id, "response": sent.response or None}
        failure = "" if sent.response == "ACCEPTED" else f"They were not accepted: {sent.message or sent.response}"
        return found, failure
