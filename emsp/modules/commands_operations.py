"""Commands we send: ask, keep the CommandResponse, take the CommandResult, and know what became of it."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from emsp import command_states, recipients
from emsp.models import Command, Token
from ocpi import client, documents, exchanges, status
from ocpi.headers import CORRELATION_ID, Address, Routing, new_id
from ocpi.v2_2_1 import commands as schema

PATH = "emsp/2.2.1/commands"
CANCELED_RESERVATION = "CANCELED_RESERVATION"
_POLL_SECONDS = 0.05


def start_session(
    *, to: Address, token: Token, location_id: str, evse_uid: str = "", connector_id: str = ""
) -> Command:
    """Ask a CPO to start charging for one of our drivers.

    :raises InvalidParameters: if the Token may not charge (CMD-24: it is authorized before the command).
    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
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
    return _send("START_SESSION", body, to=to, token=token, authorization_reference=reference)


def stop_session(*, to: Address, session_id: str) -> Command:
    """Ask a CPO to end a Session of one of our drivers.

    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    return _send("STOP_SESSION", {"session_id": session_id}, to=to, session_id=session_id)


def take_result(command: str, key: str, body: bytes) -> None:
    """Take the CommandResult that was posted to a response_url of ours.

    :raises UnknownObject: if the URL is not, or no longer, one of ours (CMD-21).
    :raises InvalidParameters: if the body is no CommandResult.
    """
    row = Command.objects.filter(key=key, command__iexact=command).first()
    if row is None:
        raise status.UnknownObject("There is nothing at this URL")
    members = documents.members(body)
    if "data" in members and "result" not in members:  # some wrap it in an envelope (PIT-28)
        body = bytes(members["data"])
    checked, _ = schema.check_leniently(body, "CommandResult")
    result = str(documents.get(checked, "result"))
    if row.state == "DONE" and result != CANCELED_RESERVATION:
        return  # said already; the first result counts
    _move(row, "result", result=result, result_at=timezone.now(), message=_message(checked))


def wait(command: Command, seconds: float | None = None) -> Command:
    """Wait until a command has its result or its time is over."""
    if command.state != "ACCEPTED":
        return command
    limit = command.deadline_at or timezone.now()
    if seconds is not None:
        limit = min(limit, timezone.now() + timedelta(seconds=seconds))
    while timezone.now() < limit:
        command.refresh_from_db()
        if command.state != "ACCEPTED":
            return command
        time.sleep(_POLL_SECONDS)
    close_old_connections()
    expire(timezone.now())
    command.refresh_from_db()
    return command


def expire(now: object) -> int:
    """Give up on commands whose announced timeout is over (CMD-08); return how many."""
    return Command.objects.filter(state="ACCEPTED", deadline_at__lt=now).update(
        state=command_states.TABLE["ACCEPTED"]["expired"]
    )


def _send(
    command: str,
    body: Mapping[str, object],
    *,
    to: Address,
    token: Token | None = None,
    session_id: str = "",
    authorization_reference: str = "",
) -> Command:
    platform = recipients.platform_for(to, "commands", "RECEIVER")
    if platform is None:
        raise status.ReceiverUnreachable(f"No connected platform leads to {to}")
    key = secrets.token_urlsafe(24)
    response_url = f"{settings.OCPI_BASE_URL}/ocpi/{PATH}/{command}/{key}"
    text = documents.text({"response_url": response_url, **{name: value for name, value in body.items() if value}})
    row = Command.objects.create(
        key=key,
        command=command,
        state="SENT",
        platform_id=platform.id,
        country_code=to.country_code,
        party_id=to.party_id,
        request=text,
        token=token,
        session_id=session_id,
        authorization_reference=authorization_reference,
        correlation_id=new_id(),
    )
    sender = Address(token.country_code, token.party_id) if token else recipients.our_party()
    routing = Routing(to=to, sender=sender)
    url = client.join(platform.endpoints["commands", "RECEIVER"], command)
    headers = {CORRELATION_ID: row.correlation_id, **routing.as_headers()}
    try:
        answer = client.send(
            platform.target(), "POST", url, body=text.encode(), headers=headers, timeout=_answer_limit()
        )
    except client.ClientError as error:
        exchanges.record_out(error, platform_id=platform.id, module="commands", routing=routing)
        _move(row, "failed", answered_at=timezone.now(), message=f"{type(error).__name__}: {error}")
        return row
    exchanges.record_out(answer, platform_id=platform.id, module="commands", routing=routing)
    _take_response(row, answer)
    return row


def _take_response(row: Command, answer: client.Answer) -> None:
    response = answer.data(dict) if answer.status_code is not None else None
    result = response.get("result") if isinstance(response, dict) else None
    now = timezone.now()
    if answer.ok and result == "ACCEPTED" and isinstance(response, dict):
        timeout = response.get("timeout")
        seconds = timeout if isinstance(timeout, int) else 0
        _move(row, "accepted", response=result, answered_at=now, deadline_at=now + timedelta(seconds=seconds))
    elif answer.ok and isinstance(result, str):
        _move(row, "refused", response=result[:20], answered_at=now)
    else:
        message = f"HTTP {answer.http_status}, {answer.status_code}: {answer.status_message or ''}"
        _move(row, "failed", response=str(result or "")[:20], answered_at=now, message=message)


def _move(row: Command, event: str, **values: object) -> None:
    """Move a command to its next state; a result may have come in between, and counts for more."""
    for _ in range(3):
        state = command_states.next_state(row.state, event)
        if Command.objects.filter(pk=row.pk, state=row.state).update(state=state, **values):
            break
        row.refresh_from_db()
    row.refresh_from_db()


def _message(result: bytes) -> str:
    texts = documents.get(result, "message")
    return "; ".join(str(each.get("text", "")) for each in texts) if isinstance(texts, list) else ""


def _answer_limit() -> float:
    # Longer than a hub waits for the CPO, so that its 4002 reaches us (HUB-69).
    return float(settings.OCPI_FORWARD_TIMEOUT) + 5


