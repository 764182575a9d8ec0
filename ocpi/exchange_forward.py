"""Both legs of a request that a hub passed on as usual, as one entry of the log: most of two lines is the same.

What is the same for every request between two platforms is kept once, in `Legs`, as a template that is finished for
COPY; the lines of a forward add the ids, the times and the bodies, all of them octets that are there already. `entries`
gives the two exchanges written out, for whoever has to look at each text: they must come to the same lines.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ocpi import exchange_objects
from ocpi.exchange_columns import Entry, id_of, object_path, party_text
from ocpi.exchange_text import BODY_LIMIT, body_text, escaped, header_lines, text
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Routing
from ocpi.same_head import Said

_ODD = (b"\\", b"\r", b"\t", b"\0")  # what a field of COPY cannot have as it is, besides line feeds
_PLACE = "\1"  # of what each request adds to a text that is the same for all: no header has it


@dataclass(slots=True, eq=False)
class Legs:
    """What is the same for each request that goes one way."""

    caller_id: int
    receiver_id: int
    method: str
    module: str
    routing: Routing
    # These are printable ASCII without a backslash, as a URL has them: COPY takes them as they are.
    above: bytes  # the caller's path up to the module, and with it
    base: bytes  # the receiver's URL, in the place of that
    sent: dict[str, str]  # headers of ours to the receiver but for the ids, as a log shows them
    replied: dict[str, str]  # headers of ours to the caller but for the ids
    # Whether both URLs name the same object: the receiver's, too, has the module's name in front of it.
    is_same_below: bool = False
    came_with: Routing | None = None  # what the caller said, if that is less than `routing` (Open Routing)
    _templates: dict[tuple[int, int], bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.method, self.module = self.method[:7], self.module[:50]

    @property
    def routing_in(self) -> Routing:
        """Return the addresses in the caller's request."""
        return self.came_with or self.routing

    def template(self, http_status: int, status_code: int) -> bytes:
        """Return both lines of a request that ended so, with places for what is its own; see `lines`."""
        found = self._templates.get((http_status, status_code))
        if found is None:
            found = self._templates[http_status, status_code] = self._template(f"{http_status}\t{status_code}")
        return found

    def _template(self, ended: str) -> bytes:
        sent, received = _parties(self.routing), _parties(self.routing_in)
        return b"".join(
            (
                b"%d%b.%06d",
                _constant(f"+00\tOUT\t{self.receiver_id}\t{self.method}\t{self.base.decode()}"),
                b"%b%b%b\t%b",
                _constant(f"{sent}{ended}\t"),
                b"%de-3\t\t",
                _headers(self.sent),
                b"\t%b\t%b\t%b%b%d%b.%06d",
                _constant(f"+00\tIN\t{self.caller_id}\t{self.method}\t{self.above.decode()}"),
                b"%b%b%b\t%b",
                _constant(f"{received}{ended}\t"),
                b"%de-3\t\t%b\t%b\t",
                _headers(self.replied),
                b"\t%b%b",
            )
        )


def _parties(routing: Routing) -> str:
    return f"\t{escaped(party_text(routing.sender))}\t{escaped(party_text(routing.to))}\t"


def _headers(headers: dict[str, str]) -> bytes:
    """Return header lines as a field of COPY, with places for both ids at the end."""
    ids = {REQUEST_ID: _PLACE, CORRELATION_ID: _PLACE}
    return _constant(escaped(header_lines(headers | ids, lambda value: value)))


def _constant(text: str) -> bytes:
    """Return a text as a part of a template."""
    return text.encode().replace(b"%", b"%%").replace(_PLACE.encode(), b"%b")


@dataclass(slots=True, eq=False)
class Forwarded:
    """One request that was passed on, and its answer; the bodies are cut as those of an `Entry`."""

    legs: Legs
    at: float  # seconds since 1970, when it came
    elapsed: float  # seconds, until it was answered
    sent_at: float  # seconds since 1970, when it was sent
    sent_elapsed: float  # seconds, until its answer was there
    # These are printable ASCII without a backslash, as a URL or a `Said` has them: COPY takes them as they are.
    below: bytes  # what both URLs have behind the module: path and query
    request_id: bytes
    correlation_id: bytes
    sent_id: bytes
    asked: Said
    request_body: bytes | None
    http_status: int
    status_code: int
    answered: Said | dict[str, str]
    response_body: bytes | None

    @property
    def exchanges(self) -> int:
        """Both legs."""
        return 2

    @property
    def octets(self) -> int:
        """How long its bodies are."""
        return len(self.request_body or b"") + len(self.response_body or b"")

    @property
    def target(self) -> bytes:
        """The caller's path and query."""
        return self.legs.above + self.below

    @property
    def url(self) -> bytes:
        """Ours, to the receiver."""
        return self.legs.base + self.below

    def entries(self) -> tuple[Entry, Entry]:
        """Return both legs as exchanges of their own."""
        legs, correlation_id = self.legs, self.correlation_id.decode()
        request_id, sent_id = self.request_id.decode(), self.sent_id.decode()
        sent_ids = {REQUEST_ID: sent_id, CORRELATION_ID: correlation_id}
        ids = {REQUEST_ID: request_id, CORRELATION_ID: correlation_id}
        answered = self.answered
        return (
            Entry(
                "OUT", self.sent_at, legs.method, self.url.decode(), legs.receiver_id, legs.module, sent_id,
                correlation_id, legs.routing, self.http_status, self.sent_elapsed, "", legs.sent | sent_ids,
                self.request_body,
                answered.pairs() if isinstance(answered, Said) else answered, self.response_body,
            ),
            Entry(
                "IN", self.at, legs.method, self.target.decode(), legs.caller_id, legs.module, request_id,
                correlation_id, legs.routing_in, self.http_status, self.elapsed, "",
                self.asked.pairs(), self.request_body, legs.replied | ids, self.response_body,
            ),
        )  # fmt: skip


def texts(forwards: Sequence[Forwarded]) -> bytes:
    """Return everything of these in which a live token may stand, each text once, joined by line feeds."""
    found: set[bytes] = set()
    ways, heads = set(), set()
    add = found.add
    for each in forwards:
        add(each.below)
        add(each.request_id)
        add(each.correlation_id)
        add(each.request_body or b"")
        add(each.response_body or b"")
        ways.add(each.legs)
        heads.add(each.asked.head)
        if isinstance(each.answered, Said):
            heads.add(each.answered.head)
        else:
            found.update([value.encode() for value in each.answered.values()])
    for legs in ways:
        found.update((legs.above, legs.base))
    for head in heads:
        found.update(head.looked_at)
    return b"\n".join(found)


def lines(forwards: Sequence[Forwarded]) -> list[bytes]:
    """Return both lines of COPY of each, as if no live token were in them."""
    are_plain, seconds, found = _are_plain(forwards), _Seconds(), list[bytes]()
    for each in forwards:
        legs, below, answered, asked = each.legs, each.below, each.answered, each.asked
        request_id, correlation_id, sent_id = each.request_id, each.correlation_id, each.sent_id
        about, named = sent_about, sent_named = _about(each, legs.above + below)
        if not legs.is_same_below:
            sent_about, sent_named = _about(each, legs.base + below)
        body, answer = each.request_body or b"", each.response_body or b""
        if not are_plain:
            body, answer = _body(body), _body(answer)
        at, micro = divmod(int(each.at * 1e6 + 0.5), 1_000_000)
        sent_at, sent_micro = divmod(int(each.sent_at * 1e6 + 0.5), 1_000_000)
        found.append(
            legs.template(each.http_status, each.status_code)
            % (
                id_of(sent_at * 1000 + sent_micro // 1000), seconds[sent_at], sent_micro, below, sent_about,
                sent_id, correlation_id, int(each.sent_elapsed * 1e6 + 0.5), sent_id, correlation_id, body,
                answered.head.shown % answered.values if isinstance(answered, Said) else _written_out(answered),
                answer, sent_named,
                id_of(at * 1000 + micro // 1000), seconds[at], micro, below, about,
                request_id, correlation_id, int(each.elapsed * 1e6 + 0.5), asked.head.shown % asked.values, body,
                request_id, correlation_id, answer, named,
            )
        )  # fmt: skip
    return found


def _about(forward: Forwarded, url: bytes) -> tuple[bytes, bytes]:
    """Return module and path, and owner and id, of what a URL is about, as fields of COPY."""
    legs = forward.legs
    if legs.method != "POST":
        return _by_url(legs.module, legs.method, url)
    shown = url.decode()
    below = object_path(legs.module, shown)
    owner, object_id = exchange_objects.about(
        legs.module, "POST", shown, below, forward.request_body, forward.response_body or b""
    )
    return _fields(legs.module, below, owner, object_id)


class _Seconds(dict[int, bytes]):
    """Seconds since 1970 as COPY takes them, behind an id: those of one batch, which are few."""

    def __missing__(self, second: int) -> bytes:
        found = self[second] = time.strftime("\t%Y-%m-%d %H:%M:%S", time.gmtime(second)).encode()
        return found


@lru_cache(maxsize=4096)
def _by_url(module: str, method: str, url: bytes) -> tuple[bytes, bytes]:
    below = object_path(module, url.decode())
    return _fields(module, below, *exchange_objects.about(module, method, "", below, None, b""))


def _fields(module: str, below: str, owner: str, object_id: str) -> tuple[bytes, bytes]:
    named = f"\t{escaped(text(owner))}\t{escaped(text(object_id))}\n"
    return f"\t{module}\t{escaped(below[:300])}\t".encode(), named.encode()


def _written_out(headers: dict[str, str]) -> bytes:
    return escaped(header_lines(headers, str)).encode()


def _are_plain(forwards: Sequence[Forwarded]) -> bool:
    """Say whether all bodies can be stored as they are."""
    bodies = {each.request_body or b"" for each in forwards}
    bodies.update([each.response_body or b"" for each in forwards])
    octets = b"\n".join(bodies)
    return (
        octets.isascii()
        and octets.count(b"\n") == len(bodies) - 1
        and not any(odd in octets for odd in _ODD)
        and max(map(len, bodies)) <= BODY_LIMIT
    )


def _body(octets: bytes) -> bytes:
    """Return a body as a field of COPY."""
    return escaped(body_text(octets, secret=False)).encode()
