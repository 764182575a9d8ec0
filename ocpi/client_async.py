"""The asynchronous twin of `client.send`: one door out of an event loop, with the same checks, limits and errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from ocpi import address_guard, attempts, client, egress, ours, wire, wire_async
from ocpi.answers import Answer, NoAnswer
from ocpi.attempts import Attempt, Target
from ocpi.http_answer import Response


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
    return await _to_its_end(pool, target, answer, headers, deadline, max_body)


async def resume(
    pool: wire_async.Pool,
    target: Target,
    attempt: Attempt,
    outcome: wire_async.Outcome,
    *,
    headers: Mapping[str, str],
    deadline: float,
    max_body: int = 1 << 20,
) -> Answer:
    """Go on as `send` does with what came of a request that was sent on a kept connection.

    :raises ClientError: as `send`.
    """
    if isinstance(outcome, Response):
        answer = attempt.answered(outcome.written_out())
    elif isinstance(outcome, wire.Stale) and attempt.method == "GET":
        repeated = attempts.again(headers, attempt.sent())
        answer = await _send_once(
            pool, target, "GET", attempt.url, attempt.body, repeated, deadline, max_body, fresh=True
        )
    else:
        raise attempt.failed(outcome) from outcome
    return await _to_its_end(pool, target, answer, headers, deadline, max_body)


async def _to_its_end(
    pool: wire_async.Pool, target: Target, answer: Answer, headers: Mapping[str, str], deadline: float, max_body: int
) -> Answer:
    """Follow redirects of a GET, and note what is odd in the answer."""
    method, body = answer.sent.method, answer.sent.body
    if method == "GET" and 300 <= answer.http_status < 400:
        for _ in range(attempts.MOST_REDIRECTS):
            next_url = attempts.redirected(target, answer)
            if next_url is None:
                break
            repeated = attempts.again(headers, answer.sent)
            answer = await _send_once(pool, target, method, next_url, body, repeated, deadline, max_body)
    client.note_defects(target, answer)
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
    attempt = Attempt(target, method, url, body, headers)
    known = ours.known_settings()
    try:
        response = await pool.exchange(
            attempt.place,
            attempt.request,
            deadline=deadline,
            connect_timeout=known.OCPI_CONNECT_TIMEOUT,
            max_body=max_body,
            allowed_networks=attempt.networks,
            context=attempt.context,
            fresh=fresh,
            proxy=egress.proxy(known.OCPI_EGRESS_PROXY),
        )
    except asyncio.CancelledError:
        raise Interrupted("this process ends", attempt.sent()) from None
    except (address_guard.AddressDenied, wire.NotConnected, wire.Lost, wire.NotAnAnswer) as error:
        if isinstance(error, wire.Stale) and method == "GET":
            repeated = attempts.again(headers, attempt.sent())
            return await _send_once(pool, target, method, url, body, repeated, deadline, max_body, fresh=True)
        raise attempt.failed(error) from error
    return attempt.answered(response)
