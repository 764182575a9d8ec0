"""Both legs of a request that a hub passed on as usual, as one entry of the log: most of two lines is the same.

What is the same for every request between two platforms is kept once, in `Legs`, finished for COPY; the lines of a
forward add the ids, the times and the bodies. `entries` gives the two exchanges written out, for whoever has to look
at each text: they must come to the same lines.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from ocpi import exchange_objects
from ocpi.exchange_columns import Entry, new_id, object_path, party_text
from ocpi.exchange_text import body_text, escaped, header_lines, text
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Routing
from ocpi.same_head import Said


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
    incoming: str = field(init=False)
    outgoing: str = field(init=False)
    parties: str = field(init=False)
    sent_lines: str = field(init=False)
    replied_lines: str = field(init=False)

    def __post_init__(self) -> None:
        method, module = self.method[:7], self.module[:50]
        self.incoming = f"\tIN\t{self.caller_id}\t{method}\t"
        self.outgoing = f"\tOUT\t{self.receiver_id}\t{method}\t"
        self.parties = f"\t{escaped(party_text(self.routing.sender))}\t{escaped(party_text(self.routing.to))}\t"
        self.module = module
        self.sent_lines = _pattern(self.sent)
        self.replied_lines = _pattern(self.replied)


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
    target: str  # the caller's path and query; printable ASCII
    url: str  # ours; printable ASCII
    request_id: str
    correlation_id: str
    sent_id: str
    asked: Said
    request_body: bytes | None
    http_status: int
    status_code: int
    answered: Said | dict[str, str]
    response_body: bytes | None

    def counted(self) -> Iterator[tuple[str, int, float, float]]:
        """Yield direction, platform, beginning and duration of both legs."""
        yield "OUT", self.legs.receiver_id, self.sent_at, self.sent_elapsed
        yield "IN", self.legs.caller_id, self.at, self.elapsed

    def lines(self, texts: list[str]) -> str:
        """Return both lines of COPY as if no live token were in them; note the texts that have to be looked through."""
        legs, correlation_id = self.legs, escaped(self.correlation_id)
        body, answer = body_text(self.request_body, secret=False), body_text(self.response_body, secret=False)
        texts += (self.target, self.url, body, answer, *self.asked.head.looked_at)
        if isinstance(self.answered, Said):
            texts += self.answered.head.looked_at
            answered = self.answered.head.shown(self.answered.values)
        else:
            texts += self.answered.values()
            answered = escaped(header_lines(self.answered, str))
        body, answer = escaped(body), escaped(answer)
        asked = self.asked.head.shown(self.asked.values)
        replied = legs.replied_lines % (escaped(self.request_id), correlation_id)
        sent = legs.sent_lines % (self.sent_id, correlation_id)
        status = f"{self.http_status}\t{self.status_code}\t"
        return (
            f"{new_id(self.sent_at)}\t{_moment(self.sent_at)}{legs.outgoing}{escaped(self.url)}{self._about(self.url)}"
            f"{self.sent_id}\t{correlation_id}{legs.parties}{status}{round(self.sent_elapsed * 1000, 3)}\t\t"
            f"{sent}\t{body}\t{answered}\t{answer}{self._object(self.url)}\n"
            f"{new_id(self.at)}\t{_moment(self.at)}{legs.incoming}{escaped(self.target)}{self._about(self.target)}"
            f"{escaped(self.request_id)}\t{correlation_id}{legs.parties}{status}{round(self.elapsed * 1000, 3)}\t\t"
            f"{asked}\t{body}\t{replied}\t{answer}{self._object(self.target)}\n"
        )

    def _about(self, url: str) -> str:
        return f"\t{self.legs.module}\t{escaped(object_path(self.legs.module, url)[:300])}\t"

    def _object(self, url: str) -> str:
        below = object_path(self.legs.module, url)
        owner, object_id = exchange_objects.about(
            self.legs.module, self.legs.method, url, below, self.request_body, self.response_body or b""
        )
        return f"\t{escaped(text(owner))}\t{escaped(text(object_id))}"

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
                self.correlation_id, legs.routing, self.http_status, self.elapsed, "",
                self.asked.pairs(), self.request_body, legs.replied | ids, self.response_body,
            ),
        )  # fmt: skip


def _moment(at: float) -> str:
    seconds = int(at)
    return f"{_second(seconds)}.{min(round((at - seconds) * 1_000_000), 999_999):06}+00"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
