"""Send a command: keep it, ask the CPO while we wait, keep the CommandResponse; and give up when its time is over."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from emsp import command_states
from emsp.models import Command, Reservation, Token
from emsp.modules import asking, reservations
from ocpi import client, clock, documents
from ocpi.headers import Address, Routing, new_id
from ocpi.v2_2_1 import commands as schema

PATH = "emsp/2.2.1/commands"
_POLL_SECONDS = 0.05
_BODIES = {
    "CANCEL_RESERVATION": "CancelReservation",
    "RESERVE_NOW": "ReserveNow",
    "START_SESSION": "StartSession",
    "STOP_SESSION": "StopSession",
    "UNLOCK_CONNECTOR": "UnlockConnector",
}


@dataclass(frozen=True, slots=True)
class Order:
    """A command to be sent; members of its body that are empty are left out."""

    command: str
    body: Mapping[str, Any]
    to: Address
    sender: Address
    token: Token | None = None
    reservation: Reservation | None = None
    session_id: str = ""
    authorization_reference: str = ""
    asked_by: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def text(self) -> str:
        """Return the body as it is sent, with the response_url that only this command has (CMD-19)."""
        response_url = f"{settings.OCPI_BASE_URL}/ocpi/{PATH}/{self.command}/{self.key}"
        given = {name: value for name, value in self.body.items() if value}
        return documents.text({"response_url": response_url, **given})


def check(order: Order) -> None:
    """Refuse a command that would break its table.

    :raises InvalidParameters: naming the field.
    """
    schema.check(order.text.encode(), _BODIES[order.command])


def send(order: Order) -> Command:
    """Send a command and return it with its CommandResponse.

    :raises InvalidParameters: if it would break its table.
    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    platform = asking.platform_to(order.to, "commands", "RECEIVER")
    check(order)
    row = Command.objects.create(
        key=order.key,
        command=order.command,
        state="SENT",
        platform_id=platform.id,
        country_code=order.to.country_code,
        party_id=order.to.party_id,
        request=order.text,
        token=order.token,
        reservation=order.reservation,
        session_id=order.session_id,
        asked_by=order.asked_by,
        authorization_reference=order.authorization_reference,
        correlation_id=new_id(),
    )
    heard = asking.ask(
        asking.Question(
            platform,
            "commands",
            "POST",
            client.join(platform.endpoints["commands", "RECEIVER"], order.command),
            Routing(to=order.to, sender=order.sender),
            row.correlation_id,
            row.request.encode(),
        )
    )
    return _settle(row.pk, heard)


def wait(command: Command, seconds: float | None = None) -> Command:
    """Wait until a command has its result or its time is over."""
    limit = command.deadline_at or clock.now()
    if seconds is not None:
        limit = min(limit, clock.now() + timedelta(seconds=seconds))
    while command.state == "ACCEPTED" and clock.now() < limit:
        time.sleep(_POLL_SECONDS)
        command.refresh_from_db()
    if command.state == "ACCEPTED":
        expire(clock.now())
        command.refresh_from_db()
    return command


def expire(now: datetime) -> int:
    """Give up on commands whose announced timeout is over (CMD-08), or whose answer nobody waits for; say how many."""
    late = Command.objects.filter(state="ACCEPTED", deadline_at__lte=now)
    lost = Command.objects.filter(state="SENT", created_at__lt=now - asking.LOST)
    return late.update(state=command_states.next_state("ACCEPTED", "expired")) + lost.update(
        state=command_states.next_state("SENT", "failed"), message=asking.NEVER_READ
    )


def move(row: Command, event: str, **values: object) -> None:
    """Move a locked command to its next state."""
    row.state = command_states.next_state(row.state, event)
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=["state", *values])


def _settle(pk: int, heard: asking.Heard) -> Command:
    """Store the answer to a command; its result may have come before, and keeps what it said."""
    with transaction.atomic():
        row = Command.objects.select_for_update().get(pk=pk)
        values: dict[str, object] = {"answered_at": clock.now(), "message": row.message or heard.message}
        if heard.response:
            values["response"] = heard.response
        if heard.deadline_at:
            values["deadline_at"] = heard.deadline_at
        move(row, heard.event, **values)
        reservations.answered(row)
    return row
