"""What is the same for every request that goes one way through the hub, found once and finished for the wire.

A way is made by the rules of `fast_lane` and is good for as long as those remember it: until the registry changes, for
a second at most. A request that goes it adds its ids, the end of its path and its body.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub import callbacks, direct_versions, doors, known_objects, loops, open_routing, ownership, roles
from hub.fast_again import Again
from hub.fast_message import Headers, Message, Place, limit_of, place_of
from hub.fast_pass import Asker, Passage
from hub.open_routing import Choice
from hub.routing import Asked, Direct, NeedsLookup
from ocpi import (
    address_guard,
    attempts,
    authentication,
    door,
    egress,
    json_text,
    ours,
    secrets,
    snapshot,
    status,
    wire_async,
)
from ocpi.attempts import Target
from ocpi.connection import tls_context
from ocpi.exchange_forward import Legs
from ocpi.headers import Address, Routing
from ocpi.snapshot import KnownPlatform

if TYPE_CHECKING:
    from hub.fast_lane import Lane

_TYPE = {"Content-Type": "application/json"}
_WITH_BODY = ("PUT", "PATCH")
_MOST_WAYS = 20_000
_LONGEST_URL = 2048
_LONGEST_ADDRESS = 6  # "NL*TNM"
_UNKNOWN = (0.0, None)
_IS_PUSHED = b"/receiver/"
_LEFT_SECONDS = 1.0  # for so long requests of a kind that is for others are left to them
_CREDENTIALS = "/credentials"  # what has these in it is masked in the log
_CREDENTIALS_OCTETS = _CREDENTIALS.encode()


@dataclass(slots=True)
class ShortWay:
    """From one platform to an interface of another, for one pair of addresses."""

    caller: authentication.Caller
    route: Direct
    receiver: KnownPlatform
    target: Target
    place: Place  # of requests that go it; their tails differ
    key: wire_async.Key
    has_json: bool  # its requests have bodies that are looked at
    names_owner: bool  # in their path, and so may their bodies
    names_driver: bool  # in their bodies: Sessions and CDRs tell of one
    limit: int  # octets of a body
    most_octets: int  # of an answer
    base: bytes  # the receiver's URL, without what follows the module
    start: bytes  # of the first line to the receiver
    head: bytes  # from behind the first line's URL to the value of X-Request-ID
    addresses: bytes  # from behind the value of X-Correlation-ID to that of Content-Length, or to the end
    back: bytes  # headers of the receiver's answer as we give it
    refused: dict[str, str]  # routing headers of an answer of our own
    expected: tuple[bytes, ...]  # of the receiver's answer, if it has any; in the order of ADDRESSES
    guard: str  # what the loop guard knows its requests by, besides their ids and tails
    shown: dict[str, str]  # headers to the receiver but for ids and addresses, as a log shows them
    legs: Legs
    is_learnt_from: bool  # what is accepted tells the hub something

    def asked(self, tail: str) -> Asked:
        """Return a request that goes this way; `tail` as in its path, with its slash."""
        place, parts = self.place, tuple(tail.split("/")[1:])
        return Asked(place.module, place.interface, self.legs.method, parts, self.route.routing, self.caller.platform)


class ShortWays:
    """The ways of one event loop."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._ways: dict[tuple[object, ...], tuple[float, ShortWay | None]] = {}
        self._registry: snapshot.Snapshot | None = None

    def begin(self, again: Again, body: bytes, asker: Asker) -> Passage | status.TooManyRequests | bool:
        """Send a request on. Else: False, it was not looked at; True, it was counted for its platform; or it may not
        come now, which was counted, too.
        """
        registry = snapshot.at_hand()
        if registry is None or registry is not self._lane.registry:
            return False
        if registry is not self._registry:
            self._ways.clear()
            self._registry = registry
        now = time.monotonic()
        ids_and_addresses = again.head.ids_and_addresses(again.values)
        way = self._way(again, body, ids_and_addresses[2:], now)
        if way is None or not _is_sound(again, body, way):
            return False
        try:
            door.limit(way.caller)
        except status.TooManyRequests as refused:
            return refused
        self._lane.doors.heard_from(way.caller.platform, now)
        passage = Passage(self._lane, way, again, body, asker, now)
        return passage if passage.send() else True

    def _way(self, again: Again, body: bytes, addresses: tuple[bytes, ...], now: float) -> ShortWay | None:
        """Return the way of a request, if no rule has to be asked anew for this one."""
        method, _, above, tail, _ = again.first
        parts = tail.count(b"/")
        # The owner of an object that is pushed; nobody else has anything in this place (sender, receiver).
        owner = b"/".join(tail.split(b"/", 3)[1:3]) if parts > 1 and _IS_PUSHED in above else b""
        choice = None
        if not again.head.names_receiver:
            choice = self._choice(again, body, addresses)
            if choice is None:
                return None
        key = (again.head.authorization, method, above, parts, owner, not body, choice, addresses)
        until, way = self._ways.get(key, _UNKNOWN)
        if until < now:
            until, way = self._found(again, body, choice)
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            self._ways[key] = until, way
        return way

    def _choice(self, again: Again, body: bytes, sender: tuple[bytes, ...]) -> Choice | None:
        """Return whom a request without To headers concerns, if nothing has to be read for that."""
        caller = self._lane.known(again.head.authorization)
        if caller is None:
            return None
        routing = Routing(sender=Address(*[part.decode() for part in sender]))
        tail = tuple(again.tail.split("/")[1:])
        asked = Asked(again.module, again.interface.upper(), again.method, tail, routing, caller.platform)
        try:
            found = open_routing.choose(asked, query=again.query, body=body, find=known_objects.at_hand)
        except known_objects.NotAtHand:
            return None
        # A body may name anybody; what cannot be an address is not worth being remembered.
        return None if found.is_named and len(str(found.addresses[0])) > _LONGEST_ADDRESS else found

    def _found(self, again: Again, body: bytes, choice: Choice | None) -> tuple[float, ShortWay | None]:
        """Return until when a way is good, and which it is; `choice` if it names no receiver."""
        caller = self._lane.known(again.head.authorization)
        place = place_of(again.path)
        if caller is None or caller.deviations or place is None:
            return 0.0, None
        lines = [(name.lower().encode(), text.encode("latin-1")) for name, text in again.pairs().items()]
        message = Message(again.method, again.path, again.query, Headers(lines), place, body)
        way = self._lane.way(message, caller)
        left = time.monotonic() + _LEFT_SECONDS, None
        if way is None:
            return left
        asked = Asked(place.module, place.interface, again.method, place.tail, way.routing, caller.platform)
        route: object = way.route
        if isinstance(way.route, NeedsLookup) and choice is not None and self._registry is not None:
            try:
                route = open_routing.place(asked, way.route, self._registry, choice)
            except status.OcpiError:
                return left
        if not isinstance(route, Direct):
            return left
        return way.until, short_way(route, way.back, caller, asked, above=again.first[2], has_body=bool(body))


def _is_sound(again: Again, body: bytes, way: ShortWay) -> bool:
    """Say whether nothing in a request needs more than to be passed on; what is wrong is said elsewhere."""
    _, target, _, tail, query = again.first
    if len(body) > way.limit or callbacks.may_have_response_url(body, query.decode() if query else ""):
        return False
    if _CREDENTIALS_OCTETS in target or len(way.base) + len(tail) + len(query) >= _LONGEST_URL:
        return False
    if not way.has_json:  # what comes with a GET or DELETE is not passed on
        return not body
    if not again.head.is_json:
        return False
    tree, place = json_text.plain(body), way.place
    named = tuple(again.tail.split("/")[1:]) if way.names_owner else ()
    if tree is not None:
        return not ownership.is_another(tree, named) and _tells_of_own(tree, way)
    try:
        json_text.read(body, limit=way.limit)
        found = ownership.read(place.module, place.interface, body)
        if found is not None:
            ownership.owner_in(way.caller.platform, place.module, named, found)
    except (status.NotJson, status.InvalidParameters):
        return False
    return found is None or _tells_of_own(found, way)


def _tells_of_own(found: ownership.Named | dict[str, Any], way: ShortWay) -> bool:
    """Say whether it tells of nobody's driver, or of one of the receiver's; of others, rules are asked elsewhere."""
    holder = ownership.holder_in(found) if way.names_driver else None
    return holder is None or holder.key == way.route.place.party.address.key


def short_way(
    route: Direct, back: dict[str, str], caller: authentication.Caller, asked: Asked, *, above: bytes, has_body: bool
) -> ShortWay | None:
    """Return a way that needs neither the database nor a second look, if this is one.

    `above` is the path of its requests up to the module, and with it.
    """
    receiver, routing = route.place.platform, route.routing
    url = receiver.endpoints[(asked.module, asked.interface)]
    if direct_versions.concerned(asked) or "?" in url or _CREDENTIALS in url or not (routing.to and routing.sender):
        return None
    base = url.rstrip("/") if asked.tail else url
    if not (base.isascii() and base.isprintable()) or "\\" in base:
        return None
    limits = attempts.limits_now()
    try:
        target = receiver.target()
        place, reached = attempts.reach(target, base, limits)
    except (address_guard.AddressDenied, secrets.Unsealable, ValueError, OSError):
        return None  # whoever tries to send says so
    if not reached.approved or (asked.tail and not url.partition("://")[2].partition("/")[2]):
        return None
    shown = {**reached.shown, **(_TYPE if has_body else {})}
    replied = _TYPE | Routing(to=routing.sender, sender=routing.to).as_headers()
    texts = (routing.sender.country_code, routing.sender.party_id, routing.to.country_code, routing.to.party_id)
    return ShortWay(
        caller=caller,
        route=route,
        receiver=receiver,
        target=target,
        place=(named := Place(asked.module, asked.interface, ())),
        key=_key(place, reached.context, limits.networks),
        has_json=asked.method in _WITH_BODY or (asked.method == "POST" and has_body),
        names_owner=asked.interface == "RECEIVER" and asked.module in roles.OWNERS,
        names_driver=asked.interface == "RECEIVER" and asked.module in ownership.OF_DRIVERS,
        limit=limit_of(named),
        most_octets=doors.most_octets(asked.method),
        base=base.encode(),
        start=f"{asked.method} {place.path_and_query}".encode("latin-1"),
        head=f" HTTP/1.1{reached.head}{_lines(_TYPE) if has_body else ''}\r\nX-Request-ID: ".encode("latin-1"),
        addresses=_lines(routing.as_headers()).encode("latin-1"),
        back=f"{_lines(replied)[2:]}\r\n".encode("latin-1"),
        refused=back,
        expected=tuple([text.encode("latin-1") for text in texts]),
        guard=loops.kind(asked.method, asked.module, asked.interface, routing),
        shown=shown,
        legs=Legs(
            caller.platform.id, receiver.id, asked.method, asked.module, routing, above, base.encode(),
            shown | routing.as_headers(), replied, is_same_below=_is_same_below(base, asked),
            came_with=None if asked.routing.to else asked.routing,
        ),
        is_learnt_from=asked.interface == "RECEIVER",
    )  # fmt: skip


def _is_same_below(base: str, asked: Asked) -> bool:
    """Say whether the log sees the same object in the receiver's URL as in ours; a result is told by its URL."""
    if asked.method == "POST" and asked.module in ("commands", "chargingprofiles"):
        return False
    return "/callbacks/" not in base and base.partition(f"/{asked.module}")[1:] == (f"/{asked.module}", "")


def _lines(headers: dict[str, str]) -> str:
    return "".join([f"\r\n{name}: {value}" for name, value in headers.items()])


def _key(place: address_guard.Url, context: Any, networks: tuple[str, ...]) -> wire_async.Key:
    if place.scheme == "https" and context is None:
        context = tls_context()
    return (
        place.scheme,
        place.host,
        place.port,
        networks,
        context,
        egress.proxy(ours.known_settings().OCPI_EGRESS_PROXY),
    )
