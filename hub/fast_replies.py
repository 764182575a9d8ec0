"""What the fast lane answers, and the exchange that is kept of it."""

from __future__ import annotations

import time

from hub import forwarding
from hub.fast_message import Message, Reply
from ocpi import envelope, exchanges, status
from ocpi.exchange_columns import Entry
from ocpi.headers import Ids, Routing


def reply_of(passed: forwarding.Passed) -> Reply:
    """Return what a requester gets of a receiver's answer."""
    headers = {name: value for name, value in passed.headers.items() if value}
    return Reply(passed.http_status, {"Content-Type": "application/json", **headers}, passed.body)


def refusal(error: Exception) -> Reply:
    """Return what a requester gets of an error."""
    response = envelope.error(error, unexpected=status.HubError)
    return Reply(response.status_code, dict(response.items()), response.content, envelope.for_operator(error))


def finish(
    message: Message, reply: Reply, ids: Ids, routing: Routing, back: dict[str, str], platform_id: int, elapsed: float
) -> None:
    """Put ids and addresses into a reply, and keep it with its request."""
    reply.headers.update(ids.as_headers())
    for name, value in back.items():
        reply.headers.setdefault(name, value)
    _record(message, reply, ids, routing, platform_id, elapsed)


def _record(message: Message, reply: Reply, ids: Ids, routing: Routing, platform_id: int, elapsed: float) -> None:
    exchanges.record(
        Entry(
            "IN",
            time.time() - elapsed,
            message.method,
            f"{message.path}?{message.query}" if message.query else message.path,
            platform_id,
            message.place.module,
            ids.request_id,
            ids.correlation_id,
            routing,
            reply.http_status,
            elapsed,
            reply.for_operator,
            message.headers,
            message.body,
            reply.headers,
            reply.body,
        )
    )
