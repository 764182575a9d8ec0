"""Ask a CPO something while we wait: one request, and what its answer says; for commands, profiles and preferences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings

from emsp import recipients
from emsp.models import EVSE, Session
from ocpi import client, clock, defects, documents, exchanges, status
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Address, Routing, new_id
from ocpi.snapshot import KnownPlatform

# What counts when an answer names no timeout, and the most that counts (CMD-09).
_TIMEOUT_SECONDS = 60
_MOST_SECONDS = 24 * 3600
# Something that is still SENT after this belongs to a process that is gone.
LOST = timedelta(minutes=5)
NEVER_READ = "The answer was never read"


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is about to go out."""

    platform: KnownPlatform
    module: str
    method: str
    url: str
    routing: Routing
    correlation_id: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What an answer says: whether a result is to come, and until when."""

    event: str  # accepted, refused, failed: as in the state tables
    response: str = ""
    message: str = ""
    timeout: int = 0  # seconds, as announced
    deadline_at: datetime | None = None


def platform_to(address: Address, module: str, interface: str) -> KnownPlatform:
    """Return the platform through which a CPO is asked.

    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    platform = recipients.platform_for(address, module, interface)
    if platform is None:
        raise status.ReceiverUnreachable(f"No connected platform leads to {address}")
    return platform


def send(question: Question) -> client.Answer:
    """Send a request and return its answer. No transaction may be open.

    :raises ClientError: if there is none.
    """
    platform, routing = question.platform, question.routing
    headers = {REQUEST_ID: new_id(), CORRELATION_ID: question.correlation_id, **routing.as_headers()}
    result: client.Answer | client.ClientError
    try:
        result = client.send(
            platform.target(),
            question.method,
            question.url,
            body=question.body,
            headers=headers,
            # Longer than a hub waits for the CPO, so that its 4002 reaches us (HUB-69).
            timeout=float(settings.OCPI_FORWARD_TIMEOUT) + 5,
        )
    except client.ClientError as error:
        result = error
    exchanges.record_out(result, platform_id=platform.id, module=question.module, routing=routing)
    if isinstance(result, client.ClientError):
        raise result
    return result


def ask(question: Question) -> Heard:
    """Send a request that is answered with a `result` and a `timeout`, and say what came of it."""
    try:
        answer = send(question)
        with defects.reading(question.platform.id, f"{question.method} {question.url}"):
            return heard(answer)
    except client.ClientError as error:
        return Heard("failed", message=f"{type(error).__name__}: {error}")


def heard(answer: client.Answer) -> Heard:
    """Read a CommandResponse or a ChargingProfileResponse."""
    response = _response(answer)
    result = response.get("result")
    message = texts(response.get("message"))
    if not isinstance(result, str) or (result == "ACCEPTED" and not answer.ok):
        return Heard("failed", message=failure(answer, message))
    if result != "ACCEPTED":
        return Heard("refused", response=result[:20], message=message or answer.status_message or "")
    timeout = response.get("timeout")
    announced = timeout if isinstance(timeout, int) and timeout > 0 else _TIMEOUT_SECONDS
    seconds = min(announced, _MOST_SECONDS)
    return Heard("accepted", result, message, seconds, clock.now() + timedelta(seconds=seconds))


def failure(answer: client.Answer, message: str = "") -> str:
    """Say for people what an answer says instead of what was asked for."""
    said = answer.status_message or message or answer.excerpt
    return f"HTTP {answer.http_status}, {answer.status_code}: {said}"


def unwrapped(body: bytes) -> bytes:
    """Return a result without the envelope in which some send it (PIT-28).

    :raises InvalidParameters: if it is no JSON object.
    """
    members = documents.members(body)
    if "data" not in members or "result" in members:
        return body
    defects.noted(["PIT-28 result in an envelope"])
    return bytes(members["data"])


def texts(message: object) -> str:
    """Return the texts of a list of DisplayText, for people."""
    if not isinstance(message, list):
        return ""
    return "; ".join(str(each.get("text", "")) for each in message if isinstance(each, dict))


def driver_party(session: Session) -> Address:
    """Return our party whose driver charges in a Session."""
    token = documents.get(session.document, "cdr_token")
    return Address(token["country_code"], token["party_id"])


def evse_at(cpo: Address, location_id: str, evse_uid: str) -> EVSE | None:
    """Return an EVSE as its CPO told it, or nothing if it is not known here."""
    rows = EVSE.objects.filter(
        location__country_code__iexact=cpo.country_code,
        location__party_id__iexact=cpo.party_id,
        location__object_id__iexact=location_id,
        uid__iexact=evse_uid,
        deleted_at=None,
    )
    return rows.first()


def capable(evse: EVSE, capability: str) -> bool:
    """Say whether an EVSE has a capability (LOC-69)."""
    return capability in (documents.get(evse.document, "capabilities") or [])


def refuse_incapable(cpo: Address, location_id: str, evse_uid: str, capability: str) -> None:
    """Refuse what an EVSE that is known here cannot do (LOC-69); one that is not known is left to its CPO.

    :raises InvalidParameters: if it lacks the capability.
    """
    evse = evse_at(cpo, location_id, evse_uid) if evse_uid else None
    if evse is not None and not capable(evse, capability):
        raise status.InvalidParameters("evse_uid", f"{evse.uid} is not {capability}")


def _response(answer: client.Answer) -> Mapping[str, Any]:
    """Return the data of an answer, empty if it is no object."""
    try:
        text = answer.object_text() or b"null"
        found = msgspec.json.decode(text)
    except (client.Garbage, msgspec.DecodeError):
        return {}
    if answer.data_text() not in (None, text):
        defects.noted(["QRK-06 data in a list"])
    return found if isinstance(found, dict) else {}
