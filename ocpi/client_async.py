"""The asynchronous twin of `client.send`: one door out of an event loop, with the same checks, limits and errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from django.conf import settings

from ocpi import address_guard, client, defects, egress, hosts, message_defects, wire, wire_async
from ocpi.answers import AddressDenied, Answer, ForeignHost, Garbage, NoAnswer, Sent, Unreachable, Unsendable
from ocpi.client import Target

_MOST_REDIRECTS = 2


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

    def sent() -> Sent:
        return Sent(method, url, shown, body, started_at, time.perf_counter() - clock)

    allowed = settings.OCPI_ALLOWED_NETWORKS
    try:
        place = address_guard.check_url(url, allowed_networks=allowed, tls_required=settings.OCPI_TLS_REQUIRED)
        if not client._is_approved(target, place):
            hosts.note(target.platform_id, f"{place.host}:{place.port}", f"{method} {url}")
            raise ForeignHost(f"{place.authority} is not an approved host of {target.name}", sent())
        request = client._request(target, method, place, body, headers, shown)
        context = client._context(target, place)
    except address_guard.AddressDenied as error:
        raise AddressDenied(str(error), sent()) from error
    except (ValueError, OSError) as error:  # characters that HTTP has no place for, certificates that are none
        raise Unsendable(str(error), sent()) from error
    try:
        status, answered, octets = await pool.exchange(
            place,
            request,
            deadline=deadline,
            connect_timeout=settings.OCPI_CONNECT_TIMEOUT,
            max_body=max_body,
            allowed_networks=tuple(allowed),
            context=context,
            fresh=fresh,
            proxy=egress.proxy(settings.OCPI_EGRESS_PROXY),
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
