"""Direct: pass one request on while the caller waits, and bring the answer back (HUB-12…27, section 2.7).

Bodies pass byte for byte. What the hub changes: the Authorization header, X-Request-ID, and the URLs that only make
sense on one side (hub/callbacks.py). A request is never stored and never repeated (HUB-70); the version of an object
that its receiver took is kept for GET All (hub/direct_versions.py).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from django.conf import settings

from hub import callbacks, direct_versions
from hub.models import Callback
from hub.routing import Asked, Direct
from ocpi import client, exchanges, health, status
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Ids, Routing, new_id, read_routing
from ocpi.links import next_reference
from ocpi.snapshot import KnownPlatform

log = logging.getLogger(__name__)

PASSED_BACK = ("x-total-count", "x-limit")
_ACCEPTED = "ACCEPTED"


@dataclass(frozen=True, slots=True)
class Passed:
    """The receiver's answer, as the requester gets it."""

    http_status: int
    body: bytes
    headers: dict[str, str]


def forward(asked: Asked, route: Direct, *, query: str, body: bytes, ids: Ids) -> Passed:
    """Send a request to its receiver and return the answer.

    :raises ReceiverUnreachable: if no connection comes about, or the receiver refuses the hub's token (4003).
    :raises ReceiverTimeout: if there is no answer in time (4002).
    :raises HubError: if the answer is no OCPI envelope (4000).
    """
    platform = route.place.platform
    replaced = callbacks.replace_response_url(
        body,
        query,
        module=asked.module,
        owner_id=asked.caller.id,
        caller_id=platform.id,
        correlation_id=ids.correlation_id,
    )
    url = _url(platform.endpoints[(asked.module, asked.interface)], asked.tail, replaced.query)
    answer = _send(platform, asked.method, url, replaced.body, asked.module, route.routing, ids)
    if replaced.callback is not None:
        _settle(replaced.callback, answer)
    if answer.ok:
        direct_versions.accepted(asked, route, query=query, body=body)
    headers = _headers(answer, asked, platform.id, ids, route.routing)
    return Passed(answer.http_status, answer.body, headers)


def bring_back(
    callback: Callback, *, owner: KnownPlatform, method: str, body: bytes, routing: Routing, ids: Ids
) -> Passed:
    """Send what arrived at a hub URL to the URL it stands for, with the owner platform's token (HUB-73).

    :raises OcpiError: as `forward`.
    """
    answer = _send(owner, method, callback.url, body, callback.module, routing, ids)
    callbacks.used(callback)
    back = _routing(answer, Routing(to=routing.sender, sender=routing.to))
    headers = back.as_headers() | {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    if callback.kind == Callback.Kind.LINK:
        place = _Place(answer.sent.url, callback.module, callback.owner_id, callback.caller_id, ids.correlation_id)
        headers["Link"] = _link(answer, place)
    return Passed(answer.http_status, answer.body, headers)


def _send(
    platform: KnownPlatform, method: str, url: str, body: bytes, module: str, routing: Routing, ids: Ids
) -> client.Answer:
    headers = {REQUEST_ID: new_id(), CORRELATION_ID: ids.correlation_id, **routing.as_headers()}
    try:
        answer = client.send(
            platform.target(),
            method,
            url,
            body=body or None,
            headers=headers,
            timeout=settings.OCPI_AUTHORIZE_TIMEOUT
            if url.partition("?")[0].endswith("/authorize")
            else settings.OCPI_FORWARD_TIMEOUT,
            max_body=16 << 20,
        )
    except client.ClientError as error:
        exchanges.record_out(error, platform_id=platform.id, module=module, routing=routing)
        raise _as_hub_error(error, platform) from error
    exchanges.record_out(answer, platform_id=platform.id, module=module, routing=routing)
    if answer.http_status in (401, 403):
        # Never passed on: the requester would think that its own token is bad.
        log.error("platform %s refuses our token (HTTP %s)", platform.id, answer.http_status)
        raise status.ReceiverUnreachable(f"{platform.name} does not accept the hub's credentials")
    if answer.status_code is None or 300 <= answer.http_status < 400:  # nobody follows a redirect (TRN-023)
        health.failed(platform.id, f"HTTP {answer.http_status} without an envelope")
        raise status.HubError(f"{platform.name} gave no OCPI answer (HTTP {answer.http_status})")
    health.succeeded(platform.id, answer.elapsed)
    return answer


def _as_hub_error(error: client.ClientError, platform: KnownPlatform) -> status.OcpiError:
    health.failed(platform.id, type(error).__name__)
    match error:
        case client.NoAnswer():
            return status.ReceiverTimeout(f"{platform.name} did not answer in time")
        case client.Garbage():
            return status.HubError(f"{platform.name} gave no OCPI answer")
        case client.ForeignHost() | client.AddressDenied():
            return status.HubError(f"{platform.name} may not be called at this address")
        case _:
            return status.ReceiverUnreachable(f"{platform.name} cannot be reached")


def _url(endpoint: str, tail: tuple[str, ...], query: str) -> str:
    base, _, own_query = endpoint.partition("?")
    path = "/".join([base.rstrip("/"), *(quote(part, safe="") for part in tail)]) if tail else base
    joined = "&".join(part for part in (own_query, query) if part)
    return f"{path}?{joined}" if joined else path


def _headers(answer: client.Answer, asked: Asked, target_id: int, ids: Ids, routing: Routing) -> dict[str, str]:
    headers = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    headers |= _routing(answer, Routing(to=routing.sender, sender=routing.to)).as_headers()
    # The URL belongs to the platform that answered; the platform that asked may use the hub's in its place.
    place = _Place(answer.sent.url, asked.module, target_id, asked.caller.id, ids.correlation_id)
    headers["Link"] = _link(answer, place)
    headers["Location"] = _replaced(Callback.Kind.LOCATION, answer.headers.get("location"), place)
    return {name: value for name, value in headers.items() if value}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URL was found, and between whom."""

    called: str
    module: str
    owner_id: int
    caller_id: int
    correlation_id: str


def _link(answer: client.Answer, place: _Place) -> str:
    ours = _replaced(Callback.Kind.LINK, next_reference(answer.headers.get("link", "")), place)
    return f'<{ours}>; rel="next"' if ours else ""


def _replaced(kind: Callback.Kind, reference: str | None, place: _Place) -> str:
    """Return the hub's URL for one in an answer. One that is none is left out: the answer itself is good (CDR-07)."""
    if not reference:
        return ""
    try:
        return callbacks.replace_url(
            kind,
            urljoin(place.called, reference),
            module=place.module,
            owner_id=place.owner_id,
            caller_id=place.caller_id,
            correlation_id=place.correlation_id,
        )
    except (status.InvalidParameters, ValueError):
        log.warning("platform %s answers with a %s that is no URL", place.owner_id, kind)
        return ""


def _routing(answer: client.Answer, expected: Routing) -> Routing:
    """Return the receiver's own routing headers, or what they should have been (HUB-13)."""
    try:
        given = read_routing(lambda name: answer.headers.get(name.lower()))
    except status.InvalidParameters:
        return expected
    return given if given.to and given.sender else expected


def _settle(callback: Callback, answer: client.Answer) -> None:
    """Keep the callback for as long as the receiver says it may take, or drop it if nothing will come."""
    try:
        result = answer.data(dict) if answer.ok else None
    except client.Garbage:
        result = None
    if isinstance(result, dict) and result.get("result") == _ACCEPTED:
        timeout = result.get("timeout")
        callbacks.extend(callback, int(timeout) if isinstance(timeout, int) else 0)
    else:
        callbacks.drop(callback)
