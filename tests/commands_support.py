"""An eMSP that sends commands to our CPO, and a CPO that is stepped: carried out, answered, settled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from cpo import command_states
from cpo.models import Command, Operation
from cpo.modules import commands_operations as commands
from ocpi.outbox_engine import drain_now
from tests.answers import OcpiAnswer
from tests.cpo_support import answer_operation, stamp, tariff
from tests.fixtures import Document
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/commands"
RESULTS = "/results"
TAG, RESERVATION = "04C7A1E2B95D80", "RES-20250912-0042"
SESSIONS, CDRS = "/ocpi/2.2.1/receiver/sessions", "/ocpi/2.2.1/receiver/cdrs"


def whole_minute() -> datetime:
    """Return a moment to travel to: round, and one to which the database's own time has not come."""
    return timezone.now().astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=5)


def reserved_tariff(*, expires: bool = True) -> dict[str, Any]:
    """The tariff of all tests; a reservation costs 1.00 and 6.00 per hour, an expired one 4.00 instead of the 1.00."""
    found = tariff()
    kinds = [("RESERVATION", [("FLAT", 1.00), ("TIME", 6.00)])]
    if expires:
        kinds.append(("RESERVATION_EXPIRES", [("FLAT", 4.00)]))
    found["elements"] += [
        {
            "price_components": [{"type": name, "price": price, "vat": 20, "step_size": 1} for name, price in prices],
            "restrictions": {"reservation": kind},
        }
        for kind, prices in kinds
    ]
    return found


@dataclass
class Commander:
    """An eMSP, its listener, and what it sends; each command with a response_url of its own."""

    emsp: Person
    listener: Listener
    document: Document
    sent: int = field(default=0)

    def send(self, command: str, **changes: Any) -> OcpiAnswer:
        """Send a command; members may be changed, None takes one away."""
        self.sent += 1
        body = self.document(command.lower(), **{"response_url": f"{self.emsp.url}{RESULTS}/{self.sent}", **changes})
        return self.emsp.post(f"{PATH}/{command}", body)

    def reserve(self, minutes: float = 60, **changes: Any) -> OcpiAnswer:
        expiry = stamp(timezone.now() + timedelta(minutes=minutes))
        return self.send("RESERVE_NOW", **{"expiry_date": expiry, **changes})

    def reserved(self, minutes: float = 60, **changes: Any) -> Operation:
        """Make a reservation that the charge point accepts."""
        assert self.reserve(minutes, **changes).data["result"] == "ACCEPTED"
        operation = self.answer()
        self.drain()
        return operation

    def ask(self) -> Operation:
        """Have the waiting command carried out; return what the charge point gets."""
        commands.carry_out(Command.objects.get(state=command_states.WAITING).pk)
        return Operation.objects.get(state="QUEUED")

    def answer(self, status: str = "Accepted", **ending: Any) -> Operation:
        """Carry the waiting command out and let the charge point answer it."""
        self.ask()
        return self.settle(status, **ending)

    def settle(self, status: str = "Accepted", **ending: Any) -> Operation:
        """Let the charge point answer what it was asked."""
        operation = answer_operation(status, **ending)
        commands.settle(operation.pk)
        return operation

    def results(self, number: int | None = None) -> list[str]:
        """Return the results that have arrived, at all response_urls or at one."""
        self.drain()
        path = RESULTS if number is None else f"{RESULTS}/{number}"
        found = self.listener.received("POST", RESULTS)
        assert all(set(request.json) == {"result"} for request in found)
        return [request.json["result"] for request in found if number is None or request.path == path]

    def endpoints(self) -> list[tuple[str, str]]:
        """Return module and role of what the eMSP has published."""
        assert self.emsp.platform is not None
        return list(self.emsp.platform.endpoints.values_list("identifier", "role"))

    def sessions(self) -> list[Any]:
        """Return the Sessions as they were pushed."""
        self.drain()
        return [request.json for request in self.listener.received(path=SESSIONS)]

    def cdrs(self) -> list[Any]:
        self.drain()
        return [request.json for request in self.listener.received("POST", CDRS)]

    def drain(self) -> None:
        while drain_now():
            pass


def payload(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(operation.payload)
    return found
