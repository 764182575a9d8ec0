"""The fast lane: a Direct request is passed on in the event loop, without a thread that waits and without Django.

The same functions decide as in hub/views.py: authentication, routing headers, JSON reader, `hub.routing.decide`,
`hub.forwarding.pass_on`, for broadcasts `hub.fanout.receive`. GET All, and whoever shows no valid token, is left to
Django.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import Error

from hub import fast_broadcast, fast_callbacks, forwarding
from hub.fast_doors import EventLoopDoors
from hub.fast_message import CALLBACKS, Headers, Message, Reply, limit_of
from hub.fast_replies import finish, refusal, reply_of
from hub.fast_threads import Threads
from hub.fast_ways import ShortWays
from hub.open_lookups import Lookups
from hub.routing import Asked, Broadcast, Direct, NeedsLookup, check_content, decide
from ocpi import (
    authentication,
    defects,
    door,
    json_text,
    message_defects,
    ours,
    secrets,
    snapshot,
    status,
)
from ocpi.headers import (
    FROM_COUNTRY_CODE,
    FROM_PARTY_ID,
    TO_COUNTRY_CODE,
    TO_PARTY_ID,
    Address,
    Ids,
    Routing,
    read_ids,
    read_routing,
    read_sender,
)
from ocpi.snapshot import Snapshot
from ocpi.views import check_encoding

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_MOST_CALLERS = 10_000
_MOST_WAYS = 10_000
_WAY_SECONDS = 1.0


class Lane:
    """Passes requests on, in one event loop."""

    def __init__(self, doors: EventLoopDoors, pages: Threads) -> None:
        """Use `doors` for Direct requests, and threads that are shared with `pages` for what takes longer."""
        self.doors, self.pages = doors, pages
        self.registry: Snapshot | None = None  # that what is remembered was found in
        self._callers: dict[str, authentication.Caller] = {}
        self._ways: dict[tuple[object, ...], Way] = {}
        self.lookups = Lookups(doors)
        self.short_ways = ShortWays(self)

    async def answer(self, message: Message) -> Reply | None:
        """Answer a request, or return nothing if it is for Django."""
        started = time.perf_counter()
        get = message.headers.get
        try:
            registry = snapshot.at_hand()
            if registry is None:
                registry = await self.doors.run(snapshot.current)
            caller = self._known(get("Authorization"), registry) or await self._recognized(message.headers, registry)
        except Error:  # the database is away: Django says so, in an envelope
            return None
        if caller is None:
            return None
        if message.place.interface == CALLBACKS:
            if message.method not in fast_callbacks.METHODS:
                return None
            return await fast_callbacks.answer(message, caller, registry, self.doors, started)
        hub = ours.addresses()[0]
        way = self._way(message, caller, registry, hub)
        if way is None:
            return None
        ids, place = read_ids(get), message.place
        self.doors.heard_from(caller.platform)
        try:
            route = _accepted(message, caller, ids, way)
            asked = Asked(place.module, place.interface, message.method, place.tail, way.routing, caller.platform)
            if isinstance(route, NeedsLookup):
                route = await self.lookups.resolve(asked, route, registry, query=message.query, body=message.content)
            if isinstance(route, Broadcast):
                reply = await fast_broadcast.answer(
                    message, asked, route, registry=registry, hub=hub, correlation_id=ids.correlation_id,
                    threads=self.pages,
                )  # fmt: skip
            else:
                check_content(asked, route, registry, message.content)
                passed = await forwarding.pass_on(
                    asked, route, query=message.query, body=message.content, ids=ids, doors=self.doors
                )
                reply = reply_of(passed)
        except Exception as error:  # the one exception handler; what we did not expect is 4000 at a hub
            reply = refusal(error)
        finish(message, reply, ids, way.routing, way.back, caller.platform.id, time.perf_counter() - started)
        return reply

    def known(self, authorization: str | None) -> authentication.Caller | None:
        """Return who shows this, if that was found out already; ask only while `registry` is the one at hand."""
        return self._callers.get(authorization or "")

    def way(self, message: Message, caller: authentication.Caller) -> Way | None:
        """Return where a message goes, as for `answer`; ask only while `registry` is the one at hand."""
        return self._way(message, caller, self.registry, ours.addresses()[0]) if self.registry else None

    def _known(self, authorization: str | None, registry: Snapshot) -> authentication.Caller | None:
        """Return who shows this, if that was found out since the registry last changed."""
        if registry is not self.registry:
            self.registry = registry
            self._callers.clear()
            self._ways.clear()
        return self._callers.get(authorization or "")

    def _way(self, message: Message, caller: authentication.Caller, registry: Snapshot, hub: Address) -> Way | None:
        """Return where a message goes, from memory if one like it went the same way a moment ago.

        What `decide` looks at is in the key, or in the registry; agreements begin and end with time, so a way is
        remembered for a second. Of what names no receiver that is all: whom it goes to is decided for each.
        """
        get, place, now = message.headers.get, message.place, time.monotonic()
        owner = place.tail[:2] if place.interface == "RECEIVER" else ()
        key = (
            caller.platform.id, place.module, place.interface, message.method, len(place.tail), owner,
            get(TO_COUNTRY_CODE), get(TO_PARTY_ID), get(FROM_COUNTRY_CODE), get(FROM_PARTY_ID),
        )  # fmt: skip
        found = self._ways.get(key)
        if found is not None and found.until > now:
            return found
        way = _found_way(message, caller, registry, hub)
        if way is not None and way.problem is None:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            way.until = now + _WAY_SECONDS
            self._ways[key] = way
        return way

    async def _recognized(self, headers: Headers, registry: Snapshot) -> authentication.Caller | None:
        """Find out who is calling; on a thread, since a token that replaces another may have to be written down."""
        try:
            caller = await self.doors.run(authentication.authenticate, headers.get, registry)
        except status.AuthenticationFailed:
            return None
        if caller.platform.client_certificates:  # Django looks at what its front server says (SEC-65)
            return None
        header = headers.get("Authorization") or ""
        lasting = registry.tokens[secrets.digest(caller.token)].expires_at is None
        as_usual = (caller.token in secrets.readings(header, raw_allowed=False)) == caller.platform.base64_token
        if lasting and as_usual and caller.platform.id not in registry.overlapping and registry is self.registry:
            if len(self._callers) >= _MOST_CALLERS:
                self._callers.clear()
            self._callers[header] = caller
        return caller


@dataclass(slots=True)
class Way:
    """Where a message goes, or why it goes nowhere; and the routing headers of the hub's own answer."""

    routing: Routing
    back: dict[str, str]
    is_readable: bool = True
    route: Direct | Broadcast | NeedsLookup | None = None
    problem: Exception | None = None
    until: float = 0.0


def _found_way(message: Message, caller: authentication.Caller, registry: Snapshot, hub: Address) -> Way | None:
    """Return where a message goes; nothing if that is a list for Django."""
    try:
        routing = read_routing(message.headers.get)
    except status.InvalidParameters as error:
        routing = Routing(sender=read_sender(message.headers.get))  # so that the refusal says whom it is for (HUB-09)
        return Way(routing, routing.answered_by(hub).as_headers(), is_readable=False, problem=error)
    back = routing.answered_by(hub).as_headers()
    place = message.place
    asked = Asked(place.module, place.interface, message.method, place.tail, routing, caller.platform)
    try:
        route = decide(asked, registry, hub)
    except Exception as error:
        return Way(routing, back, problem=error)
    return Way(routing, back, route=route) if isinstance(route, Direct | Broadcast | NeedsLookup) else None


def _accepted(message: Message, caller: authentication.Caller, ids: Ids, way: Way) -> Direct | Broadcast | NeedsLookup:
    """Note what is odd and refuse what is wrong: addresses that cannot be read, then the body, then the receiver.

    :raises TooManyRequests: if the caller has made too many.
    :raises OcpiError: as `json_text.read`, `views.check_encoding`, `read_routing` and `decide`.
    """
    get, method = message.headers.get, message.method
    if message.admission is None:
        door.limit(caller)
    elif message.admission is not True:
        raise message.admission
    # A POST may come without a body: the LocationReferences of an authorize are optional (TOK-02).
    has_body = way.is_readable and (method in ("PUT", "PATCH") or (method == "POST" and message.body != b""))
    declared = get("Content-Type") == "application/json" and get("Content-Encoding") is None
    if way.route is not None and declared and not (caller.deviations or ids.missing or "//" in message.path):
        if has_body:
            json_text.read(message.body, limit=limit_of(message.place))
        return way.route
    with defects.reading(caller.platform.id, f"{method} {message.path}"):
        defects.noted(caller.deviations)
        defects.noted(message_defects.of_request(get, ids, message.path, functional=True))
        try:
            if has_body:
                check_encoding(get)
                json_text.read(message.body, limit=limit_of(message.place))
            if way.route is None:
                raise way.problem or AssertionError("what goes nowhere has a reason")
        except status.InvalidParameters as error:
            defects.noted([message_defects.of_refusal(error)])
            raise
    return way.route
