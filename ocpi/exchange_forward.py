"""Both legs of a request that a hub passed on as usual, as one entry of the log: most of two lines is the same.

What is the same for every request between two platforms is kept once, in `Legs`, finished for COPY; the lines of a
forward add the ids, the times and the bodies. They are made for many forwards at a time, out of octets that are there
already: nothing is decoded, the numbers of all of them are written in one go, and so are the pieces. `entries` gives
the two exchanges written out, for whoever has to look at each text: they must come to the same lines.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from ocpi import exchange_objects
from ocpi.exchange_columns import Entry, id_of, object_path, party_text
from ocpi.exchange_text import BODY_LIMIT, body_text, escaped, header_lines, text
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Routing
from ocpi.same_head import Said

_ODD = (b"\\", b"\r", b"\t", b"\0")  # what a field of COPY cannot have as it is, besides line feeds
_MICROSECONDS = 6  # digits of a time behind its seconds
_ID, _CORRELATION = "\1", "\2"  # places in header lines, where no header has them


@dataclass(slots=True)
class Legs:
    """What is the same for each request that goes one way."""

    caller_id: int
    receiver_id: int
    method: str
    module: str
    routing: Routing
    sent: dict[str, str]  # headers of ours to the receiver but for the ids, as a log shows them
    replied: dict[str, str]  # headers of ours to the caller but for the ids
    # Whether both URLs name the same object: the receiver's, too, has the module's name in front of it.
    is_same_below: bool = False
    came_with: Routing | None = None  # what the caller said, if that is less than `routing` (Open Routing)
    incoming: bytes = field(init=False)
    outgoing: bytes = field(init=False)
    sent_lines: tuple[bytes, bytes] = field(init=False)  # what stands before and between the ids
    replied_lines: tuple[bytes, bytes] = field(init=False)
    _parties: tuple[str, str] = field(init=False)
    _outcomes: dict[tuple[int, int], tuple[bytes, bytes]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        method, self.module = self.method[:7], self.module[:50]
        self.incoming = f"+00\tIN\t{self.caller_id}\t{method}\t".encode()
        self.outgoing = f"+00\tOUT\t{self.receiver_id}\t{method}\t".encode()
        self._parties = _parties(self.routing), _parties(self.routing_in)
        self.sent_lines = _before_ids(self.sent)
        self.replied_lines = _before_ids(self.replied)

    @property
    def routing_in(self) -> Routing:
        """Return the addresses in the caller's request."""
        return self.came_with or self.routing

    def outcomes(self, http_status: int, status_code: int) -> tuple[bytes, bytes]:
        """Return the parties and how a request ended, as fields of COPY, of the leg out and of that in."""
        found = self._outcomes.get((http_status, status_code))
        if found is None:
            out, incoming = [f"{parties}{http_status}\t{status_code}\t".encode() for parties in self._parties]
            found = self._outcomes[http_status, status_code] = out, incoming
        return found


def _parties(routing: Routing) -> str:
    return f"\t{escaped(party_text(routing.sender))}\t{escaped(party_text(routing.to))}\t"


def _before_ids(headers: dict[str, str]) -> tuple[bytes, bytes]:
    """Return what stands in a line before and between the ids, a separator of fields in front."""
    lines = header_lines(headers, lambda value: value)
    between = escaped(f"{lines}\n{REQUEST_ID}: {_ID}\n{CORRELATION_ID}: ").encode().split(_ID.encode())
    return b"\t" + between[0], between[1]


@dataclass(slots=True, eq=False)
class Forwarded:
    """One request that was passed on, and its answer; the bodies are cut as those of an `Entry`."""

    legs: Legs
    at: float  # seconds since 1970, when it came
    elapsed: float  # seconds, until it was answered
    sent_at: float  # seconds since 1970, when it was sent
    sent_elapsed: float  # seconds, until its answer was there
    # These are printable ASCII without a backslash, as a URL or a `Said` has them: COPY takes them as they are.
    target: bytes  # the caller's path and query
    url: bytes  # ours
    request_id: bytes
    correlation_id: bytes
    sent_id: bytes
    asked: Said
    request_body: bytes | None
    http_status: int
    status_code: int
    answered: Said | dict[str, str]
    response_body: bytes | None

    def about(self, url: bytes) -> tuple[bytes, bytes]:
        """Return module and path, and owner and id, of what a URL is about, as fields of COPY."""
        legs = self.legs
        if legs.method != "POST":
            return _by_url(legs.module, legs.method, url)
        shown = url.decode()
        below = object_path(legs.module, shown)
        owner, object_id = exchange_objects.about(
            legs.module, "POST", shown, below, self.request_body, self.response_body or b""
        )
        return _fields(legs.module, below, owner, object_id)

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
    """Return everything of these in which a live token may stand, joined by line feeds."""
    found = [each.target for each in forwards]
    found += [each.url for each in forwards]
    found += [each.request_id for each in forwards]
    found += [each.correlation_id for each in forwards]
    found += [each.request_body or b"" for each in forwards]
    found += [each.response_body or b"" for each in forwards]
    heads = set()
    for each in forwards:
        heads.add(each.asked.head)
        if isinstance(each.answered, Said):
            heads.add(each.answered.head)
        else:
            found += [value.encode() for value in each.answered.values()]
    for head in heads:
        found += head.looked_at
    return b"\n".join(found)


def lines(forwards: Sequence[Forwarded]) -> list[bytes]:
    """Return both lines of COPY of each, in pieces, as if no live token were in them."""
    are_plain = _are_plain(forwards)
    numbers, out, seconds = iter(_numbers(forwards)), list[bytes](), _Seconds()
    for each, number, at, elapsed, sent_number, sent_at, sent_elapsed in zip(forwards, *[numbers] * 6, strict=True):
        legs, request_id, correlation_id, sent_id = each.legs, each.request_id, each.correlation_id, each.sent_id
        sent_before, sent_between = legs.sent_lines
        replied_before, replied_between = legs.replied_lines
        about, named = each.about(each.target)
        sent_about, sent_named = (about, named) if legs.is_same_below else each.about(each.url)
        (sent_outcome, outcome), answered = legs.outcomes(each.http_status, each.status_code), each.answered
        asked, answer = each.request_body or b"", each.response_body or b""
        if not are_plain:
            asked, answer = _body(asked), _body(answer)
        out += (
            sent_number, seconds[sent_at[:-_MICROSECONDS]], sent_at[-_MICROSECONDS:], legs.outgoing, each.url,
            sent_about, sent_id, b"\t", correlation_id, sent_outcome, sent_elapsed,
            b"e-3\t", sent_before, sent_id, sent_between, correlation_id, b"\t", asked,
        )  # fmt: skip
        if isinstance(answered, Said):
            out += answered.head.shown(answered.values)
        else:
            out.append(_written_out(answered))
        out += (
            b"\t", answer, sent_named, number, seconds[at[:-_MICROSECONDS]], at[-_MICROSECONDS:], legs.incoming,
            each.target, about, request_id, b"\t", correlation_id, outcome, elapsed, b"e-3\t",
        )  # fmt: skip
        out += each.asked.head.shown(each.asked.values)
        out += (
            b"\t", asked, replied_before, request_id, replied_between, correlation_id, b"\t", answer, named,
        )  # fmt: skip
    return out


class _Seconds(dict[bytes, bytes]):
    """Seconds since 1970 as COPY takes them, behind an id: those of one batch, which are few."""

    def __missing__(self, seconds: bytes) -> bytes:
        found = self[seconds] = time.strftime("\t%Y-%m-%d %H:%M:%S.", time.gmtime(int(seconds))).encode()
        return found


def _numbers(forwards: Sequence[Forwarded]) -> list[bytes]:
    """Return of each forward its two ids, times and durations, in microseconds: written in one go."""
    found: list[int] = []
    for each in forwards:
        at, sent_at = int(each.at * 1e6 + 0.5), int(each.sent_at * 1e6 + 0.5)
        found += (
            id_of(at // 1000), at, int(each.elapsed * 1e6 + 0.5),
            id_of(sent_at // 1000), sent_at, int(each.sent_elapsed * 1e6 + 0.5),
        )  # fmt: skip
    return msgspec.json.encode(found)[1:-1].split(b",")


@lru_cache(maxsize=4096)
def _by_url(module: str, method: str, url: bytes) -> tuple[bytes, bytes]:
    below = object_path(module, url.decode())
    return _fields(module, below, *exchange_objects.about(module, method, "", below, None, b""))


def _fields(module: str, below: str, owner: str, object_id: str) -> tuple[bytes, bytes]:
    named = f"\t{escaped(text(owner))}\t{escaped(text(object_id))}\n"
    return f"\t{module}\t{escaped(below[:300])}\t".encode(), named.encode()


def _written_out(headers: dict[str, str]) -> bytes:
    return b"\t" + escaped(header_lines(headers, str)).encode()


def _are_plain(forwards: Sequence[Forwarded]) -> bool:
    """Say whether all bodies can be stored as they are."""
    bodies = [each.request_body or b"" for each in forwards]
    bodies += [each.response_body or b"" for each in forwards]
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
