"""Commands we send: ask, keep the CommandResponse, take the CommandResult, and know what became of it."""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from emsp import command_states, recipients
from emsp.models import Command, Session, Token
from emsp.modules import tokens_operations
from ocpi import client, documents, exchanges, keeping, status
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Address, Routing, new_id
from ocpi.v2_2_1 import commands as schema

log = logging.getLogger(__name__)

PATH = "emsp/2.2.1/commands"
CANCELED_RESERVATION = "CANCELED_RESERVATION"
# What counts when a CommandResponse names no timeout, and the most that counts (CMD-09).
_TIMEOUT_SECONDS = 60
_MOST_SECONDS = 24 * 3600
# A command that is still SENT after this belongs to a process that is gone.
_LOST = timedelta(minutes=5)
_POLL_SECONDS = 0.05
_BODIES = {"START_SESSION": "StartSession", "STOP_SESSION": "StopSession"}


@dataclass(frozen=True, slots=True)
class _Order:
    """A command to be sent."""

    command: str
    body: Mapping[str, Any]
    to: Address
    sender: Address
    token: Token | None = None
    session_id: str = ""
    authorization_reference: str = ""


def start_session(
    *, to: Address, token: Token, location_id: str, evse_uid: str = "", connector_id: str = ""
) -> Command:
    """Ask a CPO to start charging for one of our drivers.

    :raises InvalidParameters: if the Token may not charge (CMD-24: it is authorized before the command), or if the
        command would break its table.
    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    owner = Address(token.country_code, token.party_id)
    if not tokens_operations.is_ours(owner):
        raise status.InvalidParameters("token", f"{token.uid} is not of one of our parties")
    if not token.valid:
        raise status.InvalidParameters("token", f"{token.uid} is blocked")
    reference = str(uuid.uuid4())
    body = {
        "token": documents.raw(token.document),
        "location_id": location_id,
        "evse_uid": evse_uid,
        "connector_id": connector_id,
        "authorization_reference": reference,
    }
    return _send(_Order("START_SESSION", body, to, owner, token=token, authorization_reference=reference))


def stop_session(*, to: Address, session_id: str) -> Command:
    """Ask a CPO to end a Session of one of our drivers.

    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    session = keeping.find(Session, owner=to, object_id=session_id)
    token = documents.get(session.document, "cdr_token") if session is not None else None
    sender = Address(token["country_code"], token["party_id"]) if token else recipients.our_party()
    return _send(_Order("STOP_SESSION", {"session_id": session_id}, to, sender, session_id=session_id))


def take_result(command: str, key: str, body: bytes, *, platform_id: int) -> None:
    """Take the CommandResult that was posted to a response_url of ours, by the platform we had asked.

    :raises UnknownObject: if the URL is not, or no longer, one of ours (CMD-21).
    :raises InvalidParameters: if the body is no CommandResult.
    """
    with transaction.atomic():
        rows = Command.objects.select_for_update().filter(key=key, command__iexact=command, platform_id=platform_id)
        row = rows.first()
        if row is None or not command_states.takes(row.state, "result"):
            raise status.UnknownObject("There is nothing at this URL")
        members = documents.members(body)
        if "data" in members and "result" not in members:  # some wrap it in an envelope (PIT-28)
            body = bytes(members["data"])
        checked, _ = schema.check_leniently(body, "CommandResult")
        result = str(documents.get(checked, "result"))
        if row.state == "DONE" and result != CANCELED_RESERVATION:
            log.warning("%s %s has its result %s already; %s came too", row.command, row.pk, row.result, result)
            return
        _move(row, "result", result=result, result_at=timezone.now(), message=_text(documents.get(checked, "message")))


def wait(command: Command, seconds: float | None = None) -> Command:
    """Wait until a command has its result or its time is over."""
    limit = command.deadline_at or timezone.now()
    if seconds is not None:
        limit = min(limit, timezone.now() + timedelta(seconds=seconds))
    while command.state == "ACCEPTED" and timezone.now() < limit:
        time.sleep(_POLL_SECONDS)
        command.refresh_from_db()
    if command.state == "ACCEPTED":
        expire(timezone.now())
        command.refresh_from_db()
    return command


def expire(now: datetime) -> int:
    """Give up on commands whose announced timeout is over (CMD-08), or whose answer nobody waits for; say how many."""
    late = Command.objects.filter(state="ACCEPTED", deadline_at__lte=now)
    lost = Command.objects.filter(state="SENT", created_at__lt=now - _LOST)
    return late.update(state=command_states.next_state("ACCEPTED", "expired")) + lost.update(
        state=command_states.next_state("SENT", "failed"), message="The answer was never read"
    )


def _send(order: _Order) -> Command:
    platform = recipients.platform_for(order.to, "commands", "RECEIVER")
    if platform is None:
        raise status.ReceiverUnreachable(f"No connected platform leads to {order.to}")
    key = secrets.token_urlsafe(24)
    response_url = f"{settings.OCPI_BASE_URL}/ocpi/{PATH}/{order.command}/{key}"
    given = {name: value for name, value in order.body.items() if value}
    text = documents.text({"response_url": response_url, **given})
    schema.check(text.encode(), _BODIES[order.command])
    row = Command.objects.create(
        key=key,
        command=order.command,
        state="SENT",
        platform_id=platform.id,
        country_code=order.to.country_code,
        party_id=order.to.party_id,
        request=text,
        token=order.token,
        session_id=order.session_id,
        authorization_reference=order.authorization_reference,
        correlation_id=new_id(),
    )
    routing = Routing(to=order.to, sender=order.sender)
    url = client.join(platform.endpoints["commands", "RECEIVER"], order.command)
    headers = {REQUEST_ID: new_id(), CORRELATION_ID: row.correlation_id, **routing.as_headers()}
    # No transaction is open while we wait for the answer.
    try:
        answer = client.send(
            platform.target(), "POST", url, body=text.encode(), headers=headers, timeout=_answer_limit()
        )
    except client.ClientError as error:
        exchanges.record_out(error, platform_id=platform.id, module="commands", routing=routing)
        return _settle(row, "failed", message=f"{type(error).__name__}: {error}")
    exchanges.record_out(answer, platform_id=platform.id, module="commands", routing=routing)
    return _take_response(row, answer)


def _take_response(row: Command, answer: client.Answer) -> Command:
    response = _command_response(answer)
    result = response.get("result")
    message = _text(response.get("message"))
    if not isinstance(result, str) or (result == "ACCEPTED" and not answer.ok):
        said = answer.status_message or message or answer.excerpt
        return _settle(row, "failed", message=f"HTTP {answer.http_status}, {answer.status_code}: {said}")
    if result != "ACCEPTED":
        return _settle(row, "refused", response=result[:20], message=message or answer.status_message or "")
    timeout = response.get("timeout")
    seconds = timeout if isinstance(timeout, int) and timeout > 0 else _TIMEOUT_SECONDS
    deadline = timezone.now() + timedelta(seconds=min(seconds, _MOST_SECONDS))
    return _settle(row, "accepted", response=result, message=message, deadline_at=deadline)


def _command_response(answer: client.Answer) -> dict[str, Any]:
    """Return the CommandResponse of an answer, empty if it has none."""
    try:
        found = answer.data()
    except client.Garbage:
        return {}
    return found if isinstance(found, dict) else {}


def _settle(row: Command, event: str, *, message: str = "", **values: object) -> Command:
    """Store the answer to a command; its result may have come before, and keeps what it said."""
    with transaction.atomic():
        row = Command.objects.select_for_update().get(pk=row.pk)
        _move(row, event, answered_at=timezone.now(), message=row.message or message, **values)
    return row


def _move(row: Command, event: str, **values: object) -> None:
    """Move a locked command to its next state."""
    row.state = command_states.next_state(row.state, event)
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=["state", *values])


def _text(message: object) -> str:
    """Return the texts of a list of DisplayText, for people."""
    if not isinstance(message, list):
        return ""
    return "; ".join(str(each.get("text", "")) for each in message if isinstance(each, dict))


def _answer_limit() -> float:
    # Longer than a hub waits for the CPO, so that its 4002 reaches us (HUB-69).
    return float(settings.OCPI_FORWARD_TIMEOUT) + 5
