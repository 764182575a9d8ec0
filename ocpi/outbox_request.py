"""One delivery as a request, and what its answer means (architecture, section 8, Answers).

The database is asked only when our token is refused: whether that is what is refused (`token_doubt`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

import msgspec
from django.conf import settings
from msgspec import Raw

from ocpi import client, documents, exchanges, live_secrets, stored, token_doubt
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Address, Routing, new_id
from ocpi.outbox_policy import CDR, RESULT
from ocpi.outbox_rows import Ended, Outcome, Row
from ocpi.stored import Stored
from ocpi.v2_2_1 import short_address

_UNKNOWN = frozenset((2003, 2004))  # the receiver does not have the object
_STRANGER_TRIES = 5  # of an object whose owner is not known there
_BEHIND_A_HUB = frozenset((4002, 4003))  # the hub is well; who is behind it is not there
_OVERLOADED = frozenset((408, 425, 429))
_EXCERPT = 2000
_OUR_LOCATION = "cpo.Location"  # what a hub sends on stays as it came (HUB-21)


@dataclass(frozen=True, slots=True)
class Receiver:
    """What is needed of a platform to send to it."""

    target: client.Target
    endpoints: Mapping[tuple[str, str], str]
    longest_address: int = short_address.LONGEST
    # What keeps requests from a party behind this platform, "" if nothing does (HCI-20).
    away: Callable[[Address], str] = lambda _party: ""
    # Whether it is being told of a party right now, or has just been.
    is_new_there: Callable[[Address], bool] = lambda _party: False


def deliver(row: Row, document: Stored | None, receiver: Receiver) -> Outcome:
    """Send one delivery: a PATCH of what changed, or the whole object; never raises for what a platform does."""
    outcome = _deliver(row, document, receiver)
    if outcome.ended is not Ended.PAUSED:
        return outcome
    if row.source and stored.is_of_others(row.source):
        is_refused = token_doubt.is_refused(receiver.target)
        if is_refused is None:
            return replace(outcome, ended=Ended.LATER)
        if not is_refused:
            return replace(outcome, ended=Ended.REFUSED)
        return replace(outcome, ended=Ended.LATER) if token_doubt.is_settling(row.platform_id) else outcome
    return outcome if token_doubt.pauses(receiver.target) else replace(outcome, ended=Ended.LATER)


def _deliver(row: Row, document: Stored | None, receiver: Receiver) -> Outcome:
    if row.kind != RESULT and not row.deleted and document is None:
        return Outcome(row, Ended.DROPPED, error="the object is no longer stored")
    if row.left is not None and row.left <= 0:
        return Outcome(row, Ended.DROPPED, error="the announced timeout has passed")
    held_back = _held_back(row, receiver)
    if held_back is not None:
        return held_back
    try:
        url = _url(row, receiver)
    except (LookupError, ValueError) as error:
        return Outcome(row, Ended.REFUSED, error=str(error))
    if row.kind == RESULT:
        return _try(row, "POST", url, row.body.encode(), receiver)
    if row.deleted or document is None or document.deleted:
        return _try(row, "DELETE", url, None, receiver)
    if row.kind == CDR:
        outcome = _try(row, "POST", url, document.text.encode(), receiver)
        is_there = outcome.ended is Ended.REFUSED and _has_same(outcome, document, receiver)
        return replace(outcome, ended=Ended.DELIVERED, error="it was there already") if is_there else outcome
    if row.source == _OUR_LOCATION:
        document = replace(document, text=short_address.cut(document.text, receiver.longest_address))
    patch = _patch(row, document)
    if patch is not None:
        outcome = _try(row, "PATCH", url, patch, receiver)
        if not _is_unknown(outcome) and not _is_missing(outcome, url, receiver):
            return outcome
    # REL-32: who does not know the object gets all of it.
    outcome = _try(row, "PUT", url, document.text.encode(), receiver)
    if _is_unknown(outcome) and len(row.path.split("/")) > 3:
        return replace(outcome, ended=Ended.PARENT)
    # Nobody can lack what a PUT brings. It is the owner that is not known there yet, whose ClientInfo may be on its
    # way: a party is told to the others and begins to broadcast in the same second.
    if outcome.ended is Ended.REFUSED and row.attempts < _STRANGER_TRIES and _is_stranger(row, outcome, receiver):
        return replace(outcome, ended=Ended.LATER)
    return outcome


def _is_stranger(row: Row, outcome: Outcome, receiver: Receiver) -> bool:
    """Say whether an object was refused as its owner is not known there yet; of a Tariff only the 404 says so."""
    if outcome.status_code in _UNKNOWN:
        return True
    owner = _address(*row.path.split("/")[:2]) if row.path.count("/") > 1 else None
    return outcome.http_status == HTTPStatus.NOT_FOUND and owner is not None and receiver.is_new_there(owner)


def _held_back(row: Row, receiver: Receiver) -> Outcome | None:
    """Return what becomes of a delivery to somebody behind a hub who is not connected there: nothing is sent (HCI-20).

    While it is OFFLINE or PLANNED, of a state only the mark stays (HCI-17); once it is SUSPENDED, states are dropped.
    A CDR is money and waits in all cases, as long as CDRs do: then it is DEAD, with an alarm, for an operator to settle
    by other means (HCI-19, REL-33).
    """
    party = _address(row.to_country_code, row.to_party_id)
    status = receiver.away(party) if party else ""
    if not status:
        return None
    error = f"{party} is {status} behind {receiver.target.name}"
    if row.kind == CDR:
        return Outcome(row, Ended.AWAY, error=f"waits, {error}")
    return Outcome(row, Ended.DROPPED if status == "SUSPENDED" else Ended.AWAY, error=error)


def _url(row: Row, receiver: Receiver) -> str:
    if row.kind == RESULT:
        return row.url
    interface = stored.interface_of(row.source)
    endpoint = receiver.endpoints.get((row.module, interface))
    if not endpoint:
        raise LookupError(f"the platform has no {row.module} {interface} endpoint")
    return client.join(endpoint, *_segments(row.path), query=dict(parse_qsl(row.query)) if row.query else None)


@lru_cache(maxsize=4096)
def _segments(path: str) -> tuple[str, ...]:
    return tuple(unquote(segment) for segment in path.split("/")) if path else ()


def _patch(row: Row, document: Stored) -> bytes | None:
    """Return the body of a PATCH, or nothing if the whole object is due.

    Whole after a failed try, since nobody knows what the receiver has (REL-16, REL-32); whole if it waited longer
    than a push may (TRN-119); whole if a member is gone.
    """
    if not row.fields or row.attempts or row.ambiguous or row.age > settings.OCPI_PUSH_TTL:
        return None
    members = documents.members(document.text)
    changed: dict[str, Raw] = {name: members[name] for name in row.fields if name in members}
    if len(changed) < len(row.fields) or "last_updated" not in members:
        return None
    changed["last_updated"] = members["last_updated"]
    return documents.text(changed).encode()


def _try(row: Row, method: str, url: str, body: bytes | None, receiver: Receiver) -> Outcome:
    routing = Routing(
        to=_address(row.to_country_code, row.to_party_id), sender=_address(row.from_country_code, row.from_party_id)
    )
    headers = {**routing.as_headers(), REQUEST_ID: new_id(), CORRELATION_ID: row.correlation_id}
    result: client.Answer | client.ClientError
    try:
        result = client.send(
            receiver.target, method, url, body=body, headers=headers, timeout=settings.OCPI_REQUEST_TIMEOUT
        )
    except client.ClientError as error:
        result = error
    exchanges.record_out(result, platform_id=row.platform_id, module=row.module, routing=routing)
    outcome = _failure(row, result) if isinstance(result, client.ClientError) else _read(row, method, result)
    # What the other side says may repeat what it was shown (SEC-50).
    return replace(outcome, error=live_secrets.hide(outcome.error)) if outcome.error else outcome


def _failure(row: Row, error: client.ClientError) -> Outcome:
    text = str(error)[:_EXCERPT]
    match error:
        case client.ForeignHost() | client.AddressDenied() | client.Unsendable():
            return Outcome(row, Ended.REFUSED, error=text)
        case client.Unreachable():
            return Outcome(row, Ended.FAILED, error=text)
        case client.Garbage():
            return Outcome(row, Ended.FAILED, error=f"{text}: {error.excerpt}"[:_EXCERPT], ambiguous=True)
        case _:
            return Outcome(row, Ended.FAILED, error=text, ambiguous=True)


def _read(row: Row, method: str, answer: client.Answer) -> Outcome:
    http_status, status_code = answer.http_status, answer.status_code
    ok = answer.ok
    outcome = Outcome(
        row,
        Ended.DELIVERED if ok else Ended.FAILED,
        http_status=http_status,
        status_code=status_code,
        error="" if ok else _words(answer),
        elapsed=answer.elapsed,
        location=answer.headers.get("location", ""),
    )
    if ok:
        return outcome
    if http_status in token_doubt.REFUSALS:
        return replace(outcome, ended=Ended.PAUSED)
    if http_status in _OVERLOADED:
        return replace(outcome, retry_after=retry_after(answer.headers.get("retry-after", "")))
    if http_status >= 500:
        waits = retry_after(answer.headers.get("retry-after", ""))
        return replace(outcome, ambiguous=True, retry_after=waits)
    if 300 <= http_status < 400:
        return replace(outcome, ended=Ended.REFUSED, error=f"redirect to {outcome.location}"[:_EXCERPT])
    if method == "DELETE" and _is_unknown(outcome):
        return replace(outcome, ended=Ended.DELIVERED, error="")
    if http_status >= 400:
        return replace(outcome, ended=Ended.REFUSED)
    if status_code is None or not 1000 <= status_code < 5000:
        return replace(outcome, error=f"no OCPI envelope: {outcome.error}"[:_EXCERPT], ambiguous=True)
    if status_code in _BEHIND_A_HUB:
        return replace(outcome, ended=Ended.LATER, ambiguous=status_code == 4002)
    if 3000 <= status_code < 4000 or status_code == 4000:
        return replace(outcome, ambiguous=True)
    return replace(outcome, ended=Ended.REFUSED)


def _has_same(refused: Outcome, document: Stored, receiver: Receiver) -> bool:
    """Look whether a refused CDR is there already with the same content, if the refusal says where (REL-33)."""
    if not refused.location or 300 <= (refused.http_status or 0) < 400:
        return False
    headers = {REQUEST_ID: new_id(), CORRELATION_ID: refused.row.correlation_id}
    try:
        answer = client.send(
            receiver.target, "GET", refused.location, headers=headers, timeout=settings.OCPI_REQUEST_TIMEOUT
        )
    except client.ClientError as error:
        exchanges.record_out(error, platform_id=refused.row.platform_id, module=refused.row.module)
        return False
    exchanges.record_out(answer, platform_id=refused.row.platform_id, module=refused.row.module)
    if not answer.ok or answer.envelope is None:
        return False
    held = bytes(answer.envelope.data)
    return bool(held) and msgspec.json.decode(held) == msgspec.json.decode(document.text)


def _is_missing(refused: Outcome, url: str, receiver: Receiver) -> bool:
    """Look whether the object of a refused PATCH is there at all (TRN-086); if it is not, all of it is due (TRN-087).

    After no answer, or a failure that may pass, nothing is asked: the next try sends the whole object anyway (REL-16).
    """
    if refused.ended is not Ended.REFUSED:
        return False
    return _is_unknown(_try(refused.row, "GET", url, None, receiver))


def _is_unknown(outcome: Outcome) -> bool:
    return outcome.http_status == 404 or (outcome.ended is not Ended.DELIVERED and outcome.status_code in _UNKNOWN)


def _words(answer: client.Answer) -> str:
    message = answer.status_message or answer.excerpt
    return f"HTTP {answer.http_status}, status_code {answer.status_code}: {message}"[:_EXCERPT]


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header, which may also be a date; None if it is neither."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # a year or an hour of twenty digits is no date
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - datetime.now(UTC)).total_seconds(), 0.0)


def _address(country_code: str, party_id: str) -> Address | None:
    return Address(country_code, party_id) if country_code else None
