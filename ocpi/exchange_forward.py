"""Both legs of a request that a hub passed on as usual, as one entry of the log: most of two lines is the same.

What is the same for every request between two platforms is kept once, in `Legs`, finished for COPY; the lines of a
forward add the ids, the times and the bodies. `entries` gives the two exchanges written out, for whoever has to look
at each text: they must come to the same lines.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache

from ocpi import exchange_objects
from ocpi.exchange_columns import Entry, new_id, object_path, party_text
from ocpi.exchange_text import BODY_LIMIT, body_text, escaped, header_lines, text
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Routing
from ocpi.same_head import Said

_ODD = b"\\\n\r\t\0"  # what a field of COPY cannot have as it is


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
    incoming: str = field(init=False)
    outgoing: str = field(init=False)
    parties: str = field(init=False)
    parties_in: str = field(init=False)
    sent_lines: str = field(init=False)
    replied_lines: str = field(init=False)

    def __post_init__(self) -> None:
        method, module = self.method[:7], self.module[:50]
        self.incoming = f"\tIN\t{self.caller_id}\t{method}\t"
        self.outgoing = f"\tOUT\t{self.receiver_id}\t{method}\t"
        self.parties, self.parties_in = _parties(self.routing), _parties(self.routing_in)
        self.module = module
        self.sent_lines = _pattern(self.sent)
        self.replied_lines = _pattern(self.replied)

    @property
    def routing_in(self) -> Routing:
        """Return the addresses in the caller's request."""
        return self.came_with or self.routing


def _parties(routing: Routing) -> str:
    return f"\t{escaped(party_text(routing.sender))}\t{escaped(party_text(routing.to))}\t"


def _pattern(headers: dict[str, str]) -> str:
    """Return header lines as a field of COPY, with places for both ids behind them."""
    lines = header_lines(headers, lambda value: value).replace("%", "%%")
    return escaped(f"{lines}\n{REQUEST_ID}: %s\n{CORRELATION_ID}: %s")


@dataclass(slots=True)
class Forwarded:
    """One request that was passed on, and its answer; the bodies are cut as those of an `Entry`."""

    legs: Legs
    at: float  # seconds since 1970, when it came
    elapsed: float  # seconds, until it was answered
    sent_at: float  # seconds since 1970, when it was sent
    sent_elapsed: float  # seconds, until its answer was there
    # These are printable ASCII without a backslash, as a URL or a `Said` has them: COPY takes them as they are.
    target: str  # the caller's path and query
    url: str  # ours
    request_id: str
    correlation_id: str
    sent_id: str
    asked: Said
    request_body: bytes | None
    http_status: int
    status_code: int
    answered: Said | dict[str, str]
    response_body: bytes | None

    def lines(self, texts: list[str]) -> str:
        """Return both lines of COPY as if no live token were in them; note the texts that have to be looked through."""
        legs, correlation_id = self.legs, self.correlation_id
        plain_body, body = _body(self.request_body)
        plain_answer, answer = _body(self.response_body)
        texts += (self.target, self.url, plain_body, plain_answer, *self.asked.head.looked_at)
        if isinstance(self.answered, Said):
            texts += self.answered.head.looked_at
            answered = self.answered.head.shown(self.answered.values)
        else:
            texts += self.answered.values()
            answered = escaped(header_lines(self.answered, str))
        asked = self.asked.head.shown(self.asked.values)
        replied = legs.replied_lines % (self.request_id, correlation_id)
        sent = legs.sent_lines % (self.sent_id, correlation_id)
        status = f"{self.http_status}\t{self.status_code}\t"
        about, named = self._about(self.target)
        sent_about, sent_named = (about, named) if legs.is_same_below else self._about(self.url)
        return (
            f"{new_id(self.sent_at)}\t{_moment(self.sent_at)}{legs.outgoing}{self.url}{sent_about}"
            f"{self.sent_id}\t{correlation_id}{legs.parties}{status}{self.sent_elapsed * 1000:.3f}\t\t"
            f"{sent}\t{body}\t{answered}\t{answer}{sent_named}\n"
            f"{new_id(self.at)}\t{_moment(self.at)}{legs.incoming}{self.target}{about}"
            f"{self.request_id}\t{correlation_id}{legs.parties_in}{status}{self.elapsed * 1000:.3f}\t\t"
            f"{asked}\t{body}\t{replied}\t{answer}{named}\n"
        )

    def _about(self, url: str) -> tuple[str, str]:
        """Return module and path, and owner and id, of what a URL is about, as fields of COPY."""
        legs = self.legs
        below = object_path(legs.module, url)
        if legs.method != "POST":
            return _by_path(legs.module, legs.method, below)
        owner, object_id = exchange_objects.about(
            legs.module, "POST", url, below, self.request_body, self.response_body or b""
        )
        return _fields(legs.module, below, owner, object_id)

    def entries(self) -> tuple[Entry, Entry]:
        """Return both legs as exchanges of their own."""
        legs = self.legs
        sent_ids = {REQUEST_ID: self.sent_id, CORRELATION_ID: self.correlation_id}
        ids = {REQUEST_ID: self.request_id, CORRELATION_ID: self.correlation_id}
        answered = self.answered
        return (
            Entry(
                "OUT", self.sent_at, legs.method, self.url, legs.receiver_id, legs.module, self.sent_id,
                self.correlation_id, legs.routing, self.http_status, self.sent_elapsed, "", legs.sent | sent_ids,
                self.request_body,
                answered.pairs() if isinstance(answered, Said) else answered, self.response_body,
            ),
            Entry(
                "IN", self.at, legs.method, self.target, legs.caller_id, legs.module, self.request_id,
                self.correlation_id, legs.routing_in, self.http_status, self.elapsed, "",
                self.asked.pairs(), self.request_body, legs.replied | ids, self.response_body,
            ),
        )  # fmt: skip


@lru_cache(maxsize=4096)
def _by_path(module: str, method: str, below: str) -> tuple[str, str]:
    return _fields(module, below, *exchange_objects.about(module, method, "", below, None, b""))


def _fields(module: str, below: str, owner: str, object_id: str) -> tuple[str, str]:
    return f"\t{module}\t{escaped(below[:300])}\t", f"\t{escaped(text(owner))}\t{escaped(text(object_id))}"


def _body(octets: bytes | None) -> tuple[str, str]:
    """Return a body as text, and as a field of COPY."""
    if not octets:
        return "", ""
    if len(octets) <= BODY_LIMIT and octets.isascii() and len(octets.translate(None, _ODD)) == len(octets):
        found = octets.decode("ascii")
        return found, found
    found = body_text(octets, secret=False)
    return found, escaped(found)


def _moment(at: float) -> str:
    seconds = int(at)
    return f"{_second(seconds)}.{min(round((at - seconds) * 1_000_000), 999_999):06}+00"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
