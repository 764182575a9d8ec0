"""The one door out: send a request to a platform, within a time limit, past the address guard, and return its answer.

A platform's token leaves only for the hosts that were approved for it. Nothing here retries a request that may have
taken effect: an ambiguous outcome is `NoAnswer`, and the caller knows what a repeat would mean.
"""

import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urljoin

import msgspec
from django.conf import settings

from ocpi import address_guard, connection, defects, egress, hosts, links, message_defects, secrets, wire
from ocpi.address_guard import Url
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
from ocpi.links import join

__all__ = [
    "AddressDenied", "Answer", "ClientError", "Envelope", "ForeignHost", "Garbage", "NoAnswer", "Refused", "Sent",
    "Target", "Unreachable", "Unsendable", "WalkStopped", "following", "join", "page", "send", "walk",
]  # fmt: skip

PAGE_BYTES = 16 << 20
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTS = 2
_MOST_OBJECTS = 10_000  # in one page
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# What HTTP needs to frame the message is ours to say, as is the token.
_OURS = frozenset(
    ("authorization", "host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect")
)


@dataclass(frozen=True, slots=True)
class Target:
    """Everything the client needs to know of a platform."""

    platform_id: int
    name: str
    token: str = field(repr=False)
    base64_token: bool
    hosts: frozenset[str]  # approved: "host" for any port of it or "host:port", lower case
    authorities_pem: str = field(default="", repr=False)  # its own certificate authorities, else the system's
    certificate_file: str = ""  # our certificate and key, if it asks for one


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
    for _ in range(_MOST_REDIRECTS if method == "GET" else 0):
        next_url = _redirected(target, answer)
        if next_url is None:
            break
        answer = _send_once(target, method, next_url, body, _again(headers, answer.sent), deadline, max_body)
    for kind in message_defects.of_answer(answer):
        defects.note(target.platform_id, kind, f"{method} {address_guard.split(answer.sent.url).path_and_query}")
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
    started_at, clock = time.time(), time.perf_counter()
    shown: dict[str, str] = {}

    def sent() -> Sent:
        return Sent(method, url, shown, body, started_at, time.perf_counter() - clock)

    allowed = settings.OCPI_ALLOWED_NETWORKS
    try:
        place = address_guard.check_url(url, allowed_networks=allowed, tls_required=settings.OCPI_TLS_REQUIRED)
        if not _is_approved(target, place):
            hosts.note(target.platform_id, f"{place.host}:{place.port}", f"{method} {url}")
            raise ForeignHost(f"{place.authority} is not an approved host of {target.name}", sent())
        request = _request(target, method, place, body, headers, shown)
        context = _context(target, place)
    except address_guard.AddressDenied as error:
        raise AddressDenied(str(error), sent()) from error
    except (ValueError, OSError) as error:  # characters that HTTP has no place for, certificates that are none
        raise Unsendable(str(error), sent()) from error
    try:
        status, answered, octets = wire.exchange(
            place,
            request,
            deadline=deadline,
            connect_timeout=settings.OCPI_CONNECT_TIMEOUT,
            max_body=max_body,
            allowed_networks=allowed,
            context=context,
            fresh=fresh,
            proxy=egress.proxy(settings.OCPI_EGRESS_PROXY),
        )
    except address_guard.AddressDenied as error:
        raise AddressDenied(str(error), sent()) from error
    except wire.NotConnected as error:
        raise Unreachable(str(error), sent()) from error
    except wire.Stale as error:
        if method == "GET" or error.nothing_sent:
            return _send_once(target, method, url, body, _again(headers, sent()), deadline, max_body, fresh=True)
        raise NoAnswer(str(error), sent()) from error
    except wire.Lost as error:
        raise NoAnswer(str(error), sent()) from error
    except wire.NotAnAnswer as error:
        raise Garbage(str(error), sent(), error.beginning) from error
    log = sent()
    return Answer(status, answered, octets, log.elapsed, log)


def _request(
    target: Target, method: str, place: Url, body: bytes | None, headers: Mapping[str, str], shown: dict[str, str]
) -> bytes:
    """Return the request as it goes over the wire, and note its headers, the token masked, in `shown`."""
    if method not in _METHODS:
        raise ValueError(f"OCPI has no method {method!r}")
    shown["Host"] = place.authority
    if target.token:
        shown["Authorization"] = "Token " + secrets.mask(target.token)
    shown["Accept"] = "application/json"
    if body is not None:
        shown["Content-Type"] = "application/json"
    given = set()
    for name, value in headers.items():
        lower = name.lower()
        given.add(lower)
        if lower not in _OURS:
            shown[_SPELLED.get(lower, name)] = value
    if "x-request-id" not in given:
        shown["X-Request-ID"] = str(uuid.uuid4())
    if "x-correlation-id" not in given:
        shown["X-Correlation-ID"] = str(uuid.uuid4())
    lines = [f"{method} {place.path_and_query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in shown.items()]
    if target.token:
        lines[2] = "Authorization: " + secrets.authorization(target.token, base64_token=target.base64_token)
    lines.append("Accept-Encoding: identity")
    if body is not None or method not in ("GET", "DELETE"):
        lines.append(f"Content-Length: {len(body or b'')}")
    head = "\r\n".join(lines)
    # One break between two lines and none anywhere else: no header can smuggle in another.
    breaks = len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise ValueError("a header has a line break or NUL in it")
    return head.encode("latin-1") + b"\r\n\r\n" + (body or b"")


# A caller's spelling of a header that we set too must not make two of it.
_SPELLED = {"accept": "Accept", "content-type": "Content-Type"}


def _context(target: Target, place: Url) -> ssl.SSLContext | None:
    if place.scheme == "https" and (target.authorities_pem or target.certificate_file):
        return connection.tls_context(target.authorities_pem, target.certificate_file)
    return None


def _is_approved(target: Target, place: Url) -> bool:
    return place.host in target.hosts or f"{place.host}:{place.port}" in target.hosts


def _again(headers: Mapping[str, str], before: Sent) -> dict[str, str]:
    """Return the headers of a repeat: a new request id, the same correlation id."""
    kept = {name: value for name, value in headers.items() if name.lower() != "x-request-id"}
    if "X-Correlation-ID" in before.headers:
        kept.setdefault("X-Correlation-ID", before.headers["X-Correlation-ID"])
    return kept


def _redirected(target: Target, answer: Answer) -> str | None:
    """Return where a redirect leads, if a token may follow it there."""
    location = answer.headers.get("location")
    if answer.http_status not in _REDIRECTS or not location:
        return None
    try:
        here = address_guard.split(answer.sent.url)
        there = urljoin(answer.sent.url, location)
        place = address_guard.split(there)
    except (address_guard.AddressDenied, ValueError):
        return None
    same_host = place.host == here.host and place.scheme in (here.scheme, "https")
    return there if same_host and _is_approved(target, place) else None


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
        headers = _again(headers, answer.sent)
        yield answer, objects
        next_url = following(answer, url, len(objects))
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


def following(answer: Answer, first_url: str, count: int) -> str | None:
    """Return the URL of the next page, or nothing if this is the last.

    :raises ForeignHost: if it leads elsewhere.
    """
    reference = links.next_reference(answer.headers.get("link", ""))
    if reference is None:
        return links.next_by_offset(answer.sent.url, answer.headers, count)
    try:
        there = urljoin(answer.sent.url, reference)
        if address_guard.split(there).host == address_guard.split(first_url).host:
            return there
    except (address_guard.AddressDenied, ValueError):
        pass
    raise ForeignHost(f"Link: {reference[:200]} is not at the list's host", answer.sent)
