"""What the commands that send something to a CPO have in common: find what is named, send, wait, print."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from emsp.models import Command as SentCommand
from emsp.models import Reservation, Session, Token
from emsp.modules import commands_sending
from ocpi import status
from ocpi.headers import Address
from ocpi.v2_2_1.types import parse_datetime

COMMAND_LINE = "the command line"


def party(text: str) -> Address:
    """Read NL*TNM.

    :raises CommandError: if it is no such text.
    """
    country_code, star, party_id = text.partition("*")
    if not star or len(country_code) != 2 or not 0 < len(party_id) <= 3:
        raise CommandError(f"{text!r} is no party: write it as NL*TNM")
    return Address(country_code, party_id)


def moment(text: str) -> datetime:
    """Read a DateTime.

    :raises CommandError: if it is none.
    """
    try:
        return parse_datetime(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no DateTime such as 2026-01-31T08:30:00Z") from error


def token_of(uid: str) -> Token:
    """Return one of our Tokens.

    :raises CommandError: if there is none.
    """
    token = Token.objects.filter(object_id__iexact=uid).first()
    if token is None:
        raise CommandError(f"There is no Token {uid}")
    return token


def session_of(session_id: str) -> Session:
    """Return the newest Session with an id.

    :raises CommandError: if there is none.
    """
    session = Session.objects.filter(object_id__iexact=session_id).order_by("-id").first()
    if session is None:
        raise CommandError(f"There is no Session {session_id}")
    return session


def outcome(command: SentCommand) -> dict[str, Any]:
    """Return what became of a command, as the commands print it."""
    return {
        "command": command.command,
        "response": command.response or None,
        "result": command.result or ("TIMEOUT" if command.state == "EXPIRED" else None),
    }


class SendingCommand(BaseCommand, ABC):
    """Sends one thing, waits for what comes of it and prints that; fails unless it was carried out."""

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_more_arguments(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    @abstractmethod
    def add_more_arguments(self, parser: CommandParser) -> None:
        """Add what the command needs to know."""

    @abstractmethod
    def run(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Do it; return what is printed, and a sentence if it was not carried out."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found, failure = self.run(options)
        except status.OcpiError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self.stdout.write(", ".join(f"{name}: {value or '–'}" for name, value in found.items()))
        if failure:
            raise CommandError(failure)


def carried_out(command: SentCommand, **more: Any) -> tuple[dict[str, Any], str]:
    """Wait for the result of a command; return what is printed, and why it was not carried out."""
    sent = commands_sending.wait(command)
    found = {**outcome(sent), **more}
    if found["result"] == "ACCEPTED":
        return found, ""
    return found, f"{sent.command} was not carried out: {sent.message or found['result'] or sent.response}"


def reservation(command: SentCommand) -> dict[str, Any]:
    """Return what became of the reservation that a command is about."""
    row = Reservation.objects.get(pk=command.reservation_id or 0)
    return {"reservation": row.reservation_id, "state": row.state}
