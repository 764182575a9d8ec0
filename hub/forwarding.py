"""Direct: pass one request on while the caller waits, and bring the answer back (HUB-12…27, section 2.7).

Bodies pass byte for byte. What the hub changes: the Authorization header, X-Request-ID, and the URLs that only make
sense on one side (hub/callbacks.py). A request is never stored and never repeated (HUB-70); the version of an object
that its receiver took is kept for GET All (hub/direct_versions.py).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote, urljoin

from hub import callback_results, callbacks, direct_versions, known_objects, loops, passing
from hub.doors import Doors, ThisThread
from hub.models import Callback
from hub.routing import Asked, Direct
from ocpi import (
    client,
    client_async,
    exchanges,
    live_secrets,
    ours,
    outbox_policy,
    outbox_request,
    status,
    token_doubt,
)
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Ids, Routing, new_id, read_routing
from ocpi.links import next_reference
from ocpi.snapshot import KnownPlatform

log = logging.getLogger(__name__)

PASSED_BACK = ("x-total-count", "x-limit", "retry-after", "allow")
_UNRESERVED = re.compile(r"[A-Za-z0-9_~-]+")
_TOO_MANY = status.TooManyRequests.http_status
_ACCEPTED = "ACCEPTED"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Passed:
    """The receiver's answer, as the requester gets it."""

    http_status: int
    body: bytes
    headers: dict[str, str]


def _now(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to its end what never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        found: Result = done.value
        return found
    raise RuntimeError("it waits, and no event loop runs it")


def forward(asked: Asked, route: Direct, *, query: str, body: bytes, ids: Ids) -> Passed:
    """Send a request to its receiver and return the answer, on this thread.

    :raises OcpiError: as `pass_on`.
    """
    return _now(pass_on(asked, route, query=query, body=body, ids=ids, doors=ThisThread()))


async def pass_on(asked: Asked, route: Direct, *, query: str, body: bytes, ids: Ids, doors: Doors) -> Passed:
    """Send a request to its receiver and return the answer.

    :raises ReceiverUnreachable: if no connection comes about, or the receiver refuses the hub's token (4003).
    :raises ReceiverTimeout: if there is no answer in time (4002).
    :raises HubError: if the answer is no OCPI envelope, or this is being passed on already (4000, HUB-79).
    """
    platform = route.place.platform
    callback = None
    sent_query, sent_body = query, body
    if asked.module in callbacks.MODULES and callbacks.may_have_response_url(body, query):
        replaced = await doors.run(
            callbacks.replace_response_url, body, query, module=asked.module, asker=asked.caller,
            ends=callbacks.Ends(asked.caller.id, platform.id, route.routing.sender, route.routing.to),
            correlation_id=ids.correlation_id,
        )  # fmt: skip
        callback, sent_query, sent_body = replaced.callback, replaced.query, replaced.body
    url = _url(platform.endpoints[(asked.module, asked.interface)], asked.tail, sent_query)
    with loops.guard(asked, route.routing, ids):
        answer = await _send(platform, asked.method, url, sent_body, asked.module, route.routing, ids, doors)
    if callback is not None:
        await doors.run(_settle, callback, answer)
    return await _passed(answer, asked, route, query=query, body=body, ids=ids, doors=doors)


async def conclude(
    outcome: client.Answer | client.ClientError, asked: Asked, route: Direct, *, query: str, body: bytes, ids: Ids,
    doors: Doors,
) -> Passed:  # fmt: skip
    """Do what follows of a request that was sent, as `pass_on` does it, for whoever sent it otherwise.

    :raises OcpiError: as `pass_on`.
    """
    answer = await _judged(outcome, route.place.platform, asked.module, route.routing, doors)
    return await _passed(answer, asked, route, query=query, body=body, ids=ids, doors=doors)


async def _passed(
    answer: client.Answer, asked: Asked, route: Direct, *, query: str, body: bytes, ids: Ids, doors: Doors
) -> Passed:
    if answer.ok:
        known_objects.learn(asked, to=route.routing.to, query=query, body=body)
        # The caller's next push of the object must find this one kept, and a CDR must not be lost.
        if not (
            direct_versions.concerned(asked)
            and await doors.run(direct_versions.accepted, asked, route, query=query, body=body)
        ):
            passing.note(asked, route, body=body)
    headers = await _headers(answer, asked, route.place.platform.id, ids, route.routing, doors)
    return Passed(answer.http_status, answer.body, headers)


def bring_back(
    callback: Callback, *, owner: KnownPlatform, method: str, body: bytes, routing: Routing, ids: Ids
) -> Passed:
    """Send what arrived at a hub URL to the URL it stands for, on this thread.

    :raises OcpiError: as `pass_on`.
    """
    back = pass_back(callback, owner=owner, method=method, body=body, routing=routing, ids=ids, doors=ThisThread())
    return _now(back)


async def pass_back(
    callback: Callback, *, owner: KnownPlatform, method: str, body: bytes, routing: Routing, ids: Ids, doors: Doors
) -> Passed:
    """Send what arrived at a hub URL to the URL it stands for, with the owner platform's token (HUB-73).

    :raises OcpiError: as `pass_on`.
    """
    is_result = callback.kind == Callback.Kind.RESPONSE_URL
    earlier = await doors.run(callback_results.begin, callback, body) if is_result else None
    if earlier is not None:
        as_before = Routing(to=routing.sender, sender=routing.to).as_headers()
        return Passed(earlier.http_status, earlier.body.encode(), as_before)
    taken = None
    try:
        answer = await _send(owner, method, callback.url, body, callback.module, routing, ids, doors)
        taken = (answer.http_status, answer.body) if answer.ok else None
    finally:
        if is_result:
            await doors.run(callback_results.end, callback, body, taken)
    back = _routing(answer, Routing(to=routing.sender, sender=routing.to))
    headers = back.as_headers() | _passed_back(answer)
    if callback.kind == Callback.Kind.LINK:
        ends = callbacks.Ends(callback.owner_id, callback.caller_id, routing.to, routing.sender)
        place = _Place(answer.sent.url, callback.module, ends, ids.correlation_id)
        headers["Link"] = await _link(answer, place, doors)
    return Passed(answer.http_status, answer.body, headers)


async def _send(
    platform: KnownPlatform, method: str, url: str, body: bytes, module: str, routing: Routing, ids: Ids, doors: Doors
) -> client.Answer:
    headers = {REQUEST_ID: new_id(), CORRELATION_ID: ids.correlation_id, **routing.as_headers()}
    outcome: client.Answer | client.ClientError
    try:
        outcome = await doors.send(
            platform, method, url, body=body or None, headers=headers, timeout=timeout_for(url.partition("?")[0])
        )
    except client.ClientError as error:
        outcome = error
    return await _judged(outcome, platform, module, routing, doors)


def timeout_for(path: str) -> float:
    """Return how long an answer may take, in seconds: somebody stands at the charge point and waits (HUB-69)."""
    known = ours.known_settings()
    found: float = known.OCPI_AUTHORIZE_TIMEOUT if path.endswith("/authorize") else known.OCPI_FORWARD_TIMEOUT
    return found


async def _judged(
    outcome: client.Answer | client.ClientError, platform: KnownPlatform, module: str, routing: Routing, doors: Doors
) -> client.Answer:
    """Note what came of a request, for the log and for the health of its receiver, and return a proper answer."""
    exchanges.record_out(outcome, platform_id=platform.id, module=module, routing=routing)
    if isinstance(outcome, client.ClientError):
        if not isinstance(outcome, client_async.Interrupted):
            await doors.failed(platform.id, live_secrets.hide_at_hand(str(outcome)) or type(outcome).__name__)
        raise _as_hub_error(outcome, platform) from outcome
    answer = outcome
    if answer.http_status in token_doubt.REFUSALS:
        # Never passed on: the requester would think that its own token is bad.
        refuses_us = await _refuses_us(platform, doors)
        if refuses_us is False:
            raise status.HubError(f"{platform.name} refuses this request (HTTP {answer.http_status})")
        if refuses_us:
            await doors.refused(platform.id, f"it refuses our token: HTTP {answer.http_status}")
        raise status.ReceiverUnreachable(f"{platform.name} does not accept the hub's credentials")
    if answer.status_code is None or 300 <= answer.http_status < 400:  # nobody follows a redirect (TRN-023)
        await doors.failed(platform.id, f"HTTP {answer.http_status} without an envelope")
        raise status.HubError(f"{platform.name} gave no OCPI answer (HTTP {answer.http_status})")
    if answer.http_status >= 500:  # passed on as it is, and a failure of the platform all the same (REL-25)
        error = f"HTTP {answer.http_status}, status_code {answer.status_code}"
        await doors.failed(platform.id, error, retry_after=_asked_rest(answer))
    elif answer.http_status == _TOO_MANY:  # told to the requester as it is; what is kept for the platform waits, too
        await doors.rests(platform.id, _asked_rest(answer) or outbox_policy.pause(1))
    else:
        doors.succeeded(platform.id, answer.elapsed)
    return answer


async def _refuses_us(platform: KnownPlatform, doors: Doors) -> bool | None:
    """Ask a platform whether it refuses our token, or only what was sent through us (REL-25)."""
    if token_doubt.is_accepted(platform.id):
        return False
    url = await doors.run(token_doubt.versions_url, platform.id)
    refuses: bool | None = True
    other = replace(platform, base64_token=not platform.base64_token)  # raw in place of Base64, or the reverse (QRK-01)
    for known in (platform, other) if url else ():
        result: client.Answer | client.ClientError
        try:
            result = await doors.send(
                known, "GET", url, body=None, headers=token_doubt.new_headers(), timeout=token_doubt.SECONDS
            )
        except client.ClientError as error:
            result = error
        refuses = token_doubt.judge(platform.id, result)
        if known is other and refuses is False:
            await doors.run(token_doubt.use_form, platform.id, base64_token=other.base64_token)
            return None
        if not refuses or not await doors.run(token_doubt.detects_form, platform.id):
            break
    return refuses


def _asked_rest(answer: client.Answer) -> float | None:
    return outbox_request.retry_after(answer.headers.get("retry-after", ""))


def _as_hub_error(error: client.ClientError, platform: KnownPlatform) -> status.OcpiError:
    match error:
        case client.NoAnswer():
            return status.ReceiverTimeout(f"{platform.name} gave no answer: {error}")
        case client.Garbage():
            return status.HubError(f"{platform.name} gave no OCPI answer")
        case client.ForeignHost() | client.AddressDenied():
            return status.HubError(f"{platform.name} may not be called at this address")
        case _:
            return status.ReceiverUnreachable(f"{platform.name} cannot be reached")


def _url(endpoint: str, tail: tuple[str, ...], query: str) -> str:
    base, _, own_query = endpoint.partition("?")
    path = "/".join([base.rstrip("/"), *map(_segment, tail)]) if tail else base
    joined = "&".join(part for part in (own_query, query) if part)
    return f"{path}?{joined}" if joined else path


def _segment(part: str) -> str:
    return part if _UNRESERVED.fullmatch(part) else quote(part, safe="")


async def _headers(
    answer: client.Answer, asked: Asked, target_id: int, ids: Ids, routing: Routing, doors: Doors
) -> dict[str, str]:
    headers = _passed_back(answer)
    headers |= _routing(answer, Routing(to=routing.sender, sender=routing.to)).as_headers()
    if "link" in answer.headers or "location" in answer.headers:
        # The URL belongs to the platform that answered; the platform that asked may use the hub's in its place.
        ends = callbacks.Ends(target_id, asked.caller.id, routing.to, routing.sender)
        place = _Place(answer.sent.url, asked.module, ends, ids.correlation_id)
        headers["Link"] = await _link(answer, place, doors)
        headers["Location"] = await _replaced(Callback.Kind.LOCATION, answer.headers.get("location"), place, doors)
    return headers


def _passed_back(answer: client.Answer) -> dict[str, str]:
    found = answer.headers
    return {name: found[name] for name in PASSED_BACK if name in found and _is_plain(found[name])}


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URL was found, and between whom."""

    called: str
    module: str
    ends: callbacks.Ends
    correlation_id: str


async def _link(answer: client.Answer, place: _Place, doors: Doors) -> str:
    ours = await _replaced(Callback.Kind.LINK, next_reference(answer.headers.get("link", "")), place, doors)
    return f'<{ours}>; rel="next"' if ours else ""


async def _replaced(kind: Callback.Kind, reference: str | None, place: _Place, doors: Doors) -> str:
    """Return the hub's URL for one in an answer. One that is none is left out: the answer itself is good (CDR-07)."""
    if not reference:
        return ""
    try:
        return await doors.run(
            callbacks.replace_url,
            kind,
            urljoin(place.called, reference),
            module=place.module,
            ends=place.ends,
            correlation_id=place.correlation_id,
        )
    except (status.InvalidParameters, ValueError):
        log.warning("platform %s answers with a %s that is no URL", place.ends.owner_id, kind)
        return ""


def _routing(answer: client.Answer, expected: Routing) -> Routing:
    """Return the receiver's own routing headers, or what they should have been (HUB-13)."""
    if "ocpi-to-party-id" not in answer.headers or "ocpi-from-party-id" not in answer.headers:
        return expected
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
