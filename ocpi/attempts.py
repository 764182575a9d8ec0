"""What both doors out share: a request to a platform, checked and written out, and what its outcome means. No I/O.

A platform's token leaves only for the hosts that were approved for it. What is the same for every request to one host
of a platform is found once (`Way`).
"""

from __future__ import annotations

import re
import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urljoin

from ocpi import address_guard, connection, hosts, json_text, ours, secrets, wire
from ocpi.address_guard import Url
from ocpi.answers import (
    AddressDenied,
    Answer,
    ClientError,
    ForeignHost,
    Garbage,
    NoAnswer,
    Sent,
    Unreachable,
    Unsendable,
)
from ocpi.headers import (
    CORRELATION_ID,
    FROM_COUNTRY_CODE,
    FROM_PARTY_ID,
    REQUEST_ID,
    TO_COUNTRY_CODE,
    TO_PARTY_ID,
)
from ocpi.http_answer import Response

MOST_REDIRECTS = 2
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_LONGEST_URL = 2048
# As in `address_guard`: printable, and nothing that is legal in no path or query.
_REST = re.compile(r"/[!$-;=?-\[\]-~]*")
_USUAL = frozenset((REQUEST_ID, CORRELATION_ID, TO_COUNTRY_CODE, TO_PARTY_ID, FROM_COUNTRY_CODE, FROM_PARTY_ID))
# What HTTP needs to frame the message is ours to say, as is the token.
_OURS = frozenset(
    ("authorization", "host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect")
)
# A caller's spelling of a header that we set too must not make two of it.
_SPELLED = {"accept": "Accept", "content-type": "Content-Type"}


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


class Limits(NamedTuple):
    """Where we may call at all, from the settings."""

    networks: tuple[str, ...]
    tls_required: bool


@dataclass(frozen=True, slots=True)
class Way:
    """What is the same for every request to one host of a platform."""

    place: Url
    approved: bool
    context: ssl.SSLContext | None
    head: str  # the lines of headers that are always alike, the token among them
    shown: dict[str, str]  # the same as a log shows them


class Attempt:
    """One request: checked, written out, and on its way since it was made."""

    __slots__ = ("body", "clock", "context", "method", "networks", "place", "request", "shown", "started_at", "url")

    def __init__(self, target: Target, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Check and write out a request.

        :raises ClientError: if it may not be sent, or cannot.
        """
        self.started_at, self.clock = time.time(), time.perf_counter()
        self.method, self.url, self.body = method, url, body
        self.shown: dict[str, str] = {}
        limits = limits_now()
        self.networks = limits.networks
        try:
            self.place, way = reach(target, url, limits)
            if not way.approved:
                note_host(target, self.place, f"{method} {url}")
                raise ForeignHost(f"{self.place.authority} is not an approved host of {target.name}", self.sent())
            self.request = _written(target, method, self.place, way, body, headers, self.shown)
            self.context = way.context
        except address_guard.AddressDenied as error:
            raise AddressDenied(str(error), self.sent()) from error
        except (ValueError, OSError) as error:  # characters that HTTP has no place for, certificates that are none
            raise Unsendable(str(error), self.sent()) from error

    @classmethod
    def begun(
        cls, method: str, url: str, body: bytes | None, shown: dict[str, str], started_at: float, clock: float
    ) -> Attempt:
        """Return a request that was written out and sent by somebody else, since `clock` on `time.perf_counter`."""
        found = cls.__new__(cls)
        found.method, found.url, found.body, found.shown = method, url, body, shown
        found.started_at, found.clock = started_at, clock
        return found

    def sent(self) -> Sent:
        """Return what was sent, until now."""
        elapsed = time.perf_counter() - self.clock
        return Sent(self.method, self.url, self.shown, self.body, self.started_at, elapsed)

    def answered(self, response: Response) -> Answer:
        """Return the answer to it."""
        sent = self.sent()
        return Answer(response.status, response.headers, json_text.without_mark(response.body), sent.elapsed, sent)

    def failed(self, error: Exception) -> ClientError:
        """Return what an exception of the wire means."""
        return failure(error, self.sent())


def failure(error: Exception, sent: Sent) -> ClientError:
    """Return what an exception of the wire means for what was sent."""
    match error:
        case address_guard.AddressDenied():
            return AddressDenied(str(error), sent)
        case wire.NotConnected():
            return Unreachable(str(error), sent)
        case wire.NotAnAnswer():
            return Garbage(str(error), sent, error.beginning)
    return NoAnswer(str(error), sent)


def limits_now() -> Limits:
    """Return where we may call at all."""
    known = ours.known_settings()
    return _limits(tuple(known.OCPI_ALLOWED_NETWORKS), known.OCPI_TLS_REQUIRED)


@lru_cache(maxsize=4)
def _limits(networks: tuple[str, ...], tls_required: bool) -> Limits:
    return Limits(networks, tls_required)


def reach(target: Target, url: str, limits: Limits) -> tuple[Url, Way]:
    """Return the parts of a URL and how its host is reached.

    :raises AddressDenied: as `address_guard.check_url`.
    :raises ValueError: if the certificates of the platform are none.
    :raises OSError: if there is no file with our certificate for it.
    """
    written_at = connection.changed_at(target.certificate_file)  # a renewed one is read again
    end = url.find("/", 8)  # behind https://
    start, rest = url[:end], url[end:]
    if end < 0 or "?" in start or len(url) > _LONGEST_URL or _REST.fullmatch(rest) is None:
        networks, tls = limits
        place = address_guard.check_url(url, allowed_networks=networks, tls_required=tls)
        return place, _way_to(target, place._replace(path_and_query="/"), written_at)
    way = _way_of(target, f"{start}/", limits, written_at)
    return way.place._replace(path_and_query=rest), way


@lru_cache(maxsize=4096)
def _way_of(target: Target, start: str, limits: Limits, written_at: int) -> Way:
    networks, tls = limits
    return _way_to(target, address_guard.check_url(start, allowed_networks=networks, tls_required=tls), written_at)


@lru_cache(maxsize=4096)
def _way_to(target: Target, place: Url, _written_at: int) -> Way:
    shown = {"Host": place.authority}
    if target.token:
        shown["Authorization"] = "Token " + secrets.mask(target.token)
    shown["Accept"] = "application/json"
    lines = dict(shown)
    if target.token:
        lines["Authorization"] = secrets.authorization(target.token, base64_token=target.base64_token)
    lines["Accept-Encoding"] = "identity"
    head = "".join(f"\r\n{name}: {value}" for name, value in lines.items())
    approved = _is_approved(target, place)
    return Way(place, approved, _context(target, place) if approved else None, head, shown)


def _written(
    target: Target,
    method: str,
    place: Url,
    way: Way,
    body: bytes | None,
    headers: Mapping[str, str],
    shown: dict[str, str],
) -> bytes:
    """Return the request as it goes over the wire, and note its headers, the token masked, in `shown`."""
    if method not in _METHODS:
        raise ValueError(f"OCPI has no method {method!r}")
    if not _USUAL.issuperset(headers) or REQUEST_ID not in headers or CORRELATION_ID not in headers:
        return _unusual(target, method, place, body, headers, shown)
    shown.update(way.shown)
    if body is not None:
        shown["Content-Type"] = "application/json"
    shown.update(headers)
    ours = "".join([f"\r\n{name}: {value}" for name, value in headers.items()])
    if ours.count("\n") != len(headers) or ours.count("\r") != len(headers) or "\0" in ours:
        raise ValueError("a header has a line break or NUL in it")
    kind = "\r\nContent-Type: application/json" if body is not None else ""
    length = f"\r\nContent-Length: {len(body or b'')}" if body is not None or method not in ("GET", "DELETE") else ""
    head = f"{method} {place.path_and_query} HTTP/1.1{way.head}{kind}{ours}{length}\r\n\r\n".encode("latin-1")
    return head + body if body else head


def _unusual(
    target: Target, method: str, place: Url, body: bytes | None, headers: Mapping[str, str], shown: dict[str, str]
) -> bytes:
    """Return a request with headers of any kind, as `_written`."""
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
    for name in (REQUEST_ID, CORRELATION_ID):
        if name.lower() not in given:
            shown[name] = str(uuid.uuid4())
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


def _context(target: Target, place: Url) -> ssl.SSLContext | None:
    if place.scheme == "https" and (target.authorities_pem or target.certificate_file):
        return connection.tls_context(target.authorities_pem, target.certificate_file)
    return None


def _is_approved(target: Target, place: Url) -> bool:
    return place.host in target.hosts or f"{place.host}:{place.port}" in target.hosts


def note_host(target: Target, place: Url, named_in: str) -> None:
    """Note a host for an operator, unless it is approved for the platform (SEC-21)."""
    if not _is_approved(target, place):
        hosts.note(target.platform_id, f"{place.host}:{place.port}", named_in)


def again(headers: Mapping[str, str], before: Sent) -> dict[str, str]:
    """Return the headers of a repeat: a new request id, the same correlation id."""
    kept = {name: value for name, value in headers.items() if name.lower() != "x-request-id"}
    if CORRELATION_ID in before.headers:
        kept.setdefault(CORRELATION_ID, before.headers[CORRELATION_ID])
    return kept


def redirected(target: Target, answer: Answer) -> str | None:
    """Return where a redirect leads, if a token may follow it there; another host is noted for an operator."""
    location = answer.headers.get("location")
    if answer.http_status not in _REDIRECTS or not location:
        return None
    try:
        here = address_guard.split(answer.sent.url)
        there = urljoin(answer.sent.url, location)
        place = address_guard.split(there)
    except (address_guard.AddressDenied, ValueError):
        return None
    note_host(target, place, f"Location: {there}")
    same_host = place.host == here.host and place.scheme in (here.scheme, "https")
    return there if same_host and _is_approved(target, place) else None
