"""The one door out: send a request to a platform, within a time limit, past the address guard, and return its answer.

A platform's token leaves only for the hosts that were approved for it. Nothing here retries a request that may have
taken effect: an ambiguous outcome is `NoAnswer`, and the caller knows what a repeat would mean.
"""

import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urljoin

import msgspec
from django.conf import settings

from ocpi import address_guard, attempts, defects, egress, links, message_defects, wire
from ocpi.answers import (
    AddressDenied,
    Answer,
    ClientError,
    Envelope,
    ForeignHost,
    Garbage,
    NoAnswer,
    Refused,
    Sent,
    Unreachable,
    Unsendable,
    WalkStopped,
)
from ocpi.attempts import Attempt, Target
from ocpi.links import join

__all__ = [
    "AddressDenied", "Answer", "ClientError", "Envelope", "ForeignHost", "Garbage", "NoAnswer", "Refused", "Sent",
    "Target", "Unreachable", "Unsendable", "WalkStopped", "following", "join", "note_defects", "page", "send", "walk",
]  # fmt: skip

PAGE_BYTES = 16 << 20
_MOST_OBJECTS = 10_000  # in one page
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def send(
    target: Target,
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] = _NO_HEADERS,
    timeout: float,
    max_body: int = 1 << 20,
) -> Answer:
    """Send one request and return the answer, whatever it says; a GET follows two redirects on its host.

    :raises ClientError: if there is no answer; the subclass tells whether the request may have taken effect.
    """
    deadline = time.monotonic() + timeout
    answer = _send_once(target, method, url, body, headers, deadline, max_body)
    for _ in range(attempts.MOST_REDIRECTS if method == "GET" else 0):
        next_url = attempts.redirected(target, answer)
        if next_url is None:
            break
        repeated = attempts.again(headers, answer.sent)
        answer = _send_once(target, method, next_url, body, repeated, deadline, max_body)
    note_defects(target, answer)
    return answer


def _send_once(
    target: Target,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    deadline: float,
    max_body: int,
    *,
    fresh: bool = False,
) -> Answer:
    attempt = Attempt(target, method, url, body, headers)
    try:
        response = wire.exchange(
            attempt.place,
            attempt.request,
            deadline=deadline,
            connect_timeout=settings.OCPI_CONNECT_TIMEOUT,
            max_body=max_body,
            allowed_networks=attempt.networks,
            context=attempt.context,
            fresh=fresh,
            proxy=egress.proxy(settings.OCPI_EGRESS_PROXY),
        )
    except (address_guard.AddressDenied, wire.NotConnected, wire.Lost, wire.NotAnAnswer) as error:
        if isinstance(error, wire.Stale) and (method == "GET" or error.nothing_sent):
            repeated = attempts.again(headers, attempt.sent())
            return _send_once(target, method, url, body, repeated, deadline, max_body, fresh=True)
        raise attempt.failed(error) from error
    return attempt.answered(response)


def note_defects(target: Target, answer: Answer) -> None:
    """Note what is odd in an answer of a platform."""
    for kind in message_defects.of_answer(answer):
        sent = answer.sent
        defects.note(target.platform_id, kind, f"{sent.method} {address_guard.split(sent.url).path_and_query}")


def page(
    target: Target, url: str, *, headers: Mapping[str, str] = _NO_HEADERS, timeout: float
) -> tuple[Answer, list[msgspec.Raw]]:
    """Fetch one page of a list; its objects are JSON, not yet read strictly: one bad one must not stop the others.

    :raises Refused: if it is answered with a failure.
    """
    answer = send(target, "GET", url, headers=headers, timeout=timeout, max_body=PAGE_BYTES)
    answer.read_loosely()
    if not answer.ok:
        raise Refused(f"HTTP {answer.http_status}, status_code {answer.status_code}", answer)
    return answer, _objects(answer)


def walk(
    target: Target,
    url: str,
    *,
    headers: Mapping[str, str] = _NO_HEADERS,
    timeout: float = 60.0,
    max_pages: int = 10_000,
    total: float = 1800.0,
) -> Iterator[tuple[Answer, list[msgspec.Raw]]]:
    """Yield the pages of a list, each with its objects, following `Link` as given.

    Only a walk that ends without an error has seen the whole list.

    :raises Refused: if a page is answered with a failure.
    :raises WalkStopped: on a repeated link, too many pages, or after `total` seconds.
    :raises ForeignHost: if a link leads to a host other than the list's.
    """
    until = time.monotonic() + total
    seen: set[str] = set()
    next_url: str | None = url
    while next_url is not None:
        seen.add(next_url)
        left = min(timeout, until - time.monotonic())
        answer, objects = page(target, next_url, headers=headers, timeout=left)
        headers = attempts.again(headers, answer.sent)
        yield answer, objects
        next_url = following(target, answer, url, len(objects))
        if next_url is None:
            return
        if next_url in seen:
            raise WalkStopped(f"Link: {next_url} was given before", answer.sent)
        if len(seen) >= max_pages:
            raise WalkStopped(f"the list has more than {max_pages} pages", answer.sent)
        if time.monotonic() >= until:
            raise WalkStopped(f"the list took longer than {total:.0f} s", answer.sent)


def _objects(answer: Answer) -> list[msgspec.Raw]:
    text = answer.data_text()
    if text is None:
        return []
    if text[:1] == b"{":  # one object where a list is due
        return [msgspec.Raw(text)]
    objects: list[msgspec.Raw] = answer.data(list[msgspec.Raw])
    if len(objects) > _MOST_OBJECTS:
        raise Garbage(f"data: has more than {_MOST_OBJECTS} objects", answer.sent, answer.body)
    return objects


def following(target: Target, answer: Answer, first_url: str, count: int) -> str | None:
    """Return the URL of the next page, or nothing if this is the last.

    :raises ForeignHost: if it leads elsewhere; the host is noted for an operator (SEC-21).
    """
    reference = links.next_reference(answer.headers.get("link", ""))
    if reference is None:
        return links.next_by_offset(answer.sent.url, answer.headers, count)
    try:
        there = urljoin(answer.sent.url, reference)
        place = address_guard.split(there)
        if place.host == address_guard.split(first_url).host:
            return there
        attempts.note_host(target, place, f"Link: {there}")
    except (address_guard.AddressDenied, ValueError):
        pass
    raise ForeignHost(f"Link: {reference[:200]} is not at the list's host", answer.sent)
