"""The asynchronous twin of `client.send`: one door out of an event loop, with the same checks, limits and errors."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ocpi import address_guard, client, defects, egress, hosts, message_defects, ours, secrets, wire, wire_async
from ocpi.address_guard import Url
from ocpi.answers import AddressDenied, Answer, ForeignHost, Garbage, NoAnswer, Sent, Unreachable, Unsendable
from ocpi.client import Target
from ocpi.headers import (
    CORRELATION_ID,
    FROM_COUNTRY_CODE,
    FROM_PARTY_ID,
    REQUEST_ID,
    TO_COUNTRY_CODE,
    TO_PARTY_ID,
)

_MOST_REDIRECTS = 2
_LONGEST_URL = 2048
# As in `address_guard`: printable, and nothing that is legal in no path or query.
_REST = re.compile(r"/[!$-;=?-\[\]-~]*")
_USUAL = frozenset((REQUEST_ID, CORRELATION_ID, TO_COUNTRY_CODE, TO_PARTY_ID, FROM_COUNTRY_CODE, FROM_PARTY_ID))


class Interrupted(NoAnswer):
    """We stopped waiting: this process is told to end."""


async def send(
    pool: wire_async.Pool,
    target: Target,
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str],
    timeout: float,
    max_body: int = 1 << 20,
) -> Answer:
    """Send one request and return the answer, whatever it says; a GET follows two redirects on its host.

    :raises ClientError: if there is no answer; the subclass tells whether the request may have taken effect.
    """
    deadline = time.monotonic() + timeout
    answer = await _send_once(pool, target, method, url, body, headers, deadline, max_body)
    if method == "GET" and 300 <= answer.http_status < 400:
        for _ in range(_MOST_REDIRECTS):
            next_url = client._redirected(target, answer)
            if next_url is None:
                break
            again = client._again(headers, answer.sent)
            answer = await _send_once(pool, target, method, next_url, body, again, deadline, max_body)
    for kind in message_defects.of_answer(answer):
        defects.note(target.platform_id, kind, f"{method} {address_guard.split(answer.sent.url).path_and_query}")
    return answer


async def _send_once(
    pool: wire_async.Pool,
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
    known = ours.known_settings()

    def sent() -> Sent:
        return Sent(method, url, shown, body, started_at, time.perf_counter() - clock)

    try:
        limits = _limits(tuple(known.OCPI_ALLOWED_NETWORKS), known.OCPI_TLS_REQUIRED)
        place, way = _way(target, url, limits)
        if not way.approved:
            hosts.note(target.platform_id, f"{place.host}:{place.port}", f"{method} {url}")
            raise ForeignHost(f"{place.authority} is not an approved host of {target.name}", sent())
        request = _request(target, method, place, way, body, headers, shown)
    except address_guard.AddressDenied as error:
        raise AddressDenied(str(error), sent()) from error
    except (ValueError, OSError) as error:  # characters that HTTP has no place for, certificates that are none
        raise Unsendable(str(error), sent()) from error
    try:
        status, answered, octets = await pool.exchange(
            place,
            request,
            deadline=deadline,
            connect_timeout=known.OCPI_CONNECT_TIMEOUT,
            max_body=max_body,
            allowed_networks=limits.networks,
            context=way.context,
            fresh=fresh,
            proxy=egress.proxy(known.OCPI_EGRESS_PROXY),
        )
    except asyncio.CancelledError:
        raise Interrupted("this process ends", sent()) from None
    except address_guard.AddressDenied as error:
        raise AddressDenied(str(error), sent()) from error
    except wire.NotConnected as error:
        raise Unreachable(str(error), sent()) from error
    except wire.Stale as error:
        if method == "GET":
            again = client._again(headers, sent())
            return await _send_once(pool, target, method, url, body, again, deadline, max_body, fresh=True)
        raise NoAnswer(str(error), sent()) from error
    except wire.Lost as error:
        raise NoAnswer(str(error), sent()) from error
    except wire.NotAnAnswer as error:
        raise Garbage(str(error), sent(), error.beginning) from error
    log = sent()
    return Answer(status, answered, octets, log.elapsed, log)


class _Limits(NamedTuple):
    """Where we may call at all, from the settings."""

    networks: tuple[str, ...]
    tls_required: bool


@lru_cache(maxsize=4)
def _limits(networks: tuple[str, ...], tls_required: bool) -> _Limits:
    return _Limits(networks, tls_required)


@dataclass(frozen=True, slots=True)
class _Way:
    """What is the same for every request to one host of a platform."""

    place: Url
    approved: bool
    context: ssl.SSLContext | None
    head: str  # the lines of headers that are always alike, the token among them
    shown: dict[str, str]  # the same as a log shows them


def _way(target: Target, url: str, limits: _Limits) -> tuple[Url, _Way]:
    """Return the parts of a URL and how its host is reached.

    :raises AddressDenied: as `address_guard.check_url`.
    """
    end = url.find("/", 8)  # behind https://
    start, rest = url[:end], url[end:]
    if end < 0 or "?" in start or len(url) > _LONGEST_URL or _REST.fullmatch(rest) is None:
        networks, tls = limits
        place = address_guard.check_url(url, allowed_networks=networks, tls_required=tls)
        return place, _way_to(target, place._replace(path_and_query="/"), limits)
    way = _way_of(target, f"{start}/", limits)
    return way.place._replace(path_and_query=rest), way


@lru_cache(maxsize=4096)
def _way_of(target: Target, start: str, limits: _Limits) -> _Way:
    networks, tls = limits
    return _way_to(target, address_guard.check_url(start, allowed_networks=networks, tls_required=tls), limits)


@lru_cache(maxsize=4096)
def _way_to(target: Target, place: Url, limits: _Limits) -> _Way:
    shown = {"Host": place.authority}
    if target.token:
        shown["Authorization"] = "Token " + secrets.mask(target.token)
    shown["Accept"] = "application/json"
    lines = dict(shown)
    if target.token:
        lines["Authorization"] = secrets.authorization(target.token, base64_token=target.base64_token)
    lines["Accept-Encoding"] = "identity"
    head = "".join(f"\r\n{name}: {value}" for name, value in lines.items())
    return _Way(place, client._is_approved(target, place), client._context(target, place), head, shown)


def _request(
    target: Target,
    method: str,
    place: Url,
    way: _Way,
    body: bytes | None,
    headers: Mapping[str, str],
    shown: dict[str, str],
) -> bytes:
    """Return the request as it goes over the wire, and note its headers, the token masked, in `shown`."""
    if not _USUAL.issuperset(headers) or REQUEST_ID not in headers or CORRELATION_ID not in headers:
        return client._request(target, method, place, body, headers, shown)
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
