"""The fast lane: a Direct request is passed on in the event loop, without a thread that waits and without Django.

The same functions decide as in hub/views.py: authentication, routing headers, JSON reader, `hub.routing.decide`,
`hub.forwarding.pass_on`. Whatever is not a Direct request, and whoever shows no valid token, is left to Django.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from hub import forwarding
from hub.fast_doors import EventLoopDoors
from hub.fast_message import Headers, Message, Place, Reply
from hub.routing import Asked, Direct, decide
from ocpi import (
    authentication,
    defects,
    door,
    envelope,
    exchanges,
    json_text,
    message_defects,
    ours,
    secrets,
    snapshot,
    status,
)
from ocpi.exchange_columns import Entry
from ocpi.headers import Address, Ids, Routing, read_ids, read_routing
from ocpi.snapshot import Snapshot
from ocpi.views import MAX_BODY, MAX_LOCATION_BODY, check_encoding

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_MOST_CALLERS = 10_000


class Lane:
    """Passes requests on, in one event loop."""

    def __init__(self, doors: EventLoopDoors) -> None:
        self.doors = doors
        self._registry: Snapshot | None = None
        self._callers: dict[str, authentication.Caller] = {}

    async def answer(self, message: Message) -> Reply | None:
        """Answer a request, or return nothing if it is for Django."""
        started = time.perf_counter()
        get = message.headers.get
        registry = snapshot.at_hand()
        if registry is None:
            registry = await self.doors.run(snapshot.current)
        caller = self._known(get("Authorization"), registry) or await self._recognized(message.headers, registry)
        if caller is None:
            return None
        hub = ours.addresses()[0]
        way = _way(message, caller, registry, hub)
        if way is None:
            return None
        ids = read_ids(get)
        self.doors.heard_from(caller.platform)
        try:
            asked, route = _accepted(message, caller, ids, way)
            passed = await forwarding.pass_on(
                asked, route, query=message.query, body=message.body, ids=ids, doors=self.doors
            )
            reply = Reply(passed.http_status, {"Content-Type": "application/json", **passed.headers}, passed.body)
        except Exception as error:  # the one exception handler; what we did not expect is 4000 at a hub
            response = envelope.error(error, unexpected=status.HubError)
            reply = Reply(response.status_code, dict(response.items()), response.content)
        reply.headers.update(ids.as_headers())
        for name, value in way.routing.answered_by(hub).as_headers().items():
            reply.headers.setdefault(name, value)
        _record(message, reply, ids, way.routing, caller.platform.id, time.perf_counter() - started)
        return reply

    def _known(self, authorization: str | None, registry: Snapshot) -> authentication.Caller | None:
        """Return who shows this, if that was found out since the registry last changed."""
        if registry is not self._registry:
            self._registry = registry
            self._callers.clear()
        return self._callers.get(authorization or "")

    async def _recognized(self, headers: Headers, registry: Snapshot) -> authentication.Caller | None:
        """Find out who is calling; on a thread, since a token that replaces another may have to be written down."""
        try:
            caller = await self.doors.run(authentication.authenticate, headers.get, registry)
        except status.AuthenticationFailed:
            return None
        header = headers.get("Authorization") or ""
        lasting = registry.tokens[secrets.digest(caller.token)].expires_at is None
        as_usual = (caller.token in secrets.readings(header, raw_allowed=False)) == caller.platform.base64_token
        if lasting and as_usual and caller.platform.id not in registry.overlapping and registry is self._registry:
            if len(self._callers) >= _MOST_CALLERS:
                self._callers.clear()
            self._callers[header] = caller
        return caller


@dataclass(slots=True)
class _Way:
    """Where a message goes, or why it goes nowhere."""

    routing: Routing
    asked: Asked | None = None
    route: Direct | None = None
    problem: Exception | None = None


def _way(message: Message, caller: authentication.Caller, registry: Snapshot, hub: Address) -> _Way | None:
    """Return where a message goes; nothing if that is not one party, so that it is for Django."""
    try:
        routing = read_routing(message.headers.get)
    except status.InvalidParameters as error:
        return _Way(Routing(), problem=error)
    place = message.place
    asked = Asked(place.module, place.interface, message.method, place.tail, routing, caller.platform)
    try:
        route = decide(asked, registry, hub)
    except Exception as error:
        return _Way(routing, asked, problem=error)
    return _Way(routing, asked, route) if isinstance(route, Direct) else None


def _accepted(message: Message, caller: authentication.Caller, ids: Ids, way: _Way) -> tuple[Asked, Direct]:
    """Note what is odd and refuse what is wrong: addresses that cannot be read, then the body, then the receiver.

    :raises TooManyRequests: if the caller has made too many.
    :raises OcpiError: as `json_text.read`, `views.check_encoding`, `read_routing` and `decide`.
    """
    get, method = message.headers.get, message.method
    with defects.reading(caller.platform.id, f"{method} {message.path}"):
        defects.noted(caller.deviations)
        defects.noted(message_defects.of_request(get, ids, message.path, functional=True))
        try:
            door.limit(caller)
            # A POST may come without a body: the LocationReferences of an authorize are optional (TOK-02).
            if way.asked is not None and (method in ("PUT", "PATCH") or (method == "POST" and message.body)):
                check_encoding(get)
                json_text.read(message.body, limit=limit_of(message.place))
            if way.asked is None or way.route is None:
                raise way.problem or AssertionError("what goes nowhere has a reason")
        except status.InvalidParameters as error:
            defects.noted([message_defects.of_refusal(error)])
            raise
    return way.asked, way.route


def limit_of(place: Place) -> int:
    """Return how long a body may be, in octets (SEC-45)."""
    return MAX_LOCATION_BODY if place.module == "locations" else MAX_BODY


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
            "",
            message.headers,
            message.body,
            reply.headers,
            reply.body,
        )
    )
