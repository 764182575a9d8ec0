"""The short way: a request like the one before is passed on without a task, a parser or anything made twice.

All rules are in force. What a way remembers was found by them (`fast_ways`); what a single request can break is looked
at here for each. Nothing is decided otherwise than in `fast_lane` and `forwarding`: before anything was sent, whatever
is not as usual is left to them; an answer that is not as usual is, too (`forwarding.conclude`).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from hub import fast_replies, forwarding, known_objects, loops, passing
from hub.fast_again import ADDRESSES, Again
from hub.fast_message import Headers, Message, Place, Reply
from ocpi import client, client_async, exchanges, json_text, status
from ocpi.answers import Answer
from ocpi.attempts import Attempt
from ocpi.exchange_forward import Forwarded
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Ids, new_id
from ocpi.http_answer import Response
from ocpi.same_head import Said
from ocpi.wire_async import Connection, Outcome

if TYPE_CHECKING:
    from hub.fast_lane import Lane
    from hub.fast_ways import ShortWay

log = logging.getLogger(__name__)

_NO_LENGTH = ("GET", "DELETE")
# What an answer is looked at more closely for.
_UNUSUAL = frozenset(("link", "location", *forwarding.PASSED_BACK))


class Asker(Protocol):
    """Who waits for the answer: a connection of the web server."""

    def pass_back(self, passage: Passage, http_status: int, headers: bytes, body: bytes) -> None:
        """Write an answer; the headers are those of OCPI, and content type."""

    def reply(self, passage: Passage, reply: Reply) -> None:
        """Write an answer made by the lane."""

    def give_up(self) -> None:
        """Close the connection: nobody knows what to answer."""


class Passage:
    """One request that goes a short way; in the place of uvicorn's cycle of request and response, too."""

    __slots__ = (
        "again", "asker", "at", "body", "clock", "connection", "correlation_id", "deadline", "disconnected", "guard",
        "keep_alive", "lane", "request_id", "response_complete", "sent_clock", "sent_id", "tail", "url", "way",
    )  # fmt: skip

    def __init__(self, lane: Lane, way: ShortWay, again: Again, asker: Asker) -> None:
        self.lane, self.way, self.again, self.asker = lane, way, again, asker
        self.at, self.clock = time.time(), time.perf_counter()
        self.keep_alive, self.response_complete, self.disconnected = True, False, False

    # ---- what uvicorn asks of a cycle

    @property
    def message_event(self) -> Passage:
        return self

    def set(self) -> None:
        """Nobody waits for an event."""

    def cancel(self, msg: str | None = None) -> None:
        """Wait no longer for the receiver: this process ends."""
        if not self.response_complete:
            self.connection.interrupt()
            self.lane.doors.behind(self._conclude(None))

    # ---- out

    def send(self) -> bool:
        """Send the request, if nothing is in its way."""
        way, again, doors = self.way, self.again, self.lane.doors
        said, slots = again.said, again.said.head.slots
        request_id, correlation_id = said.values[slots[b"x-request-id"]], said.values[slots[b"x-correlation-id"]]
        self.request_id, self.correlation_id = request_id.decode(), correlation_id.decode()
        self.tail = tuple(again.tail.split("/")[1:])
        self.guard = (self.correlation_id, *way.start_of_guard, *self.tail, *way.parties)
        try:
            doors.in_flight.enter(way.receiver)
            try:
                loops.enter(self.guard, self.request_id)
            except status.HubError:
                doors.in_flight.leave(way.receiver)
                return False
        except status.ReceiverUnreachable:
            return False
        connection = doors.pool.at_hand(way.key)
        if connection is None:
            self._leave()
            return False
        self.connection: Connection = connection
        self.sent_id = new_id()
        body = again.body
        target = again.tail + (f"?{again.query}" if again.query else "")
        self.url = way.base + target
        length = b"\r\nContent-Length: %d" % len(body) if body or again.method not in _NO_LENGTH else b""
        request = b"%b%b%b%b\r\nX-Correlation-ID: %b%b%b\r\n\r\n%b" % (
            way.start, target.encode(), way.head, self.sent_id.encode(), correlation_id, way.addresses, length, body,
        )  # fmt: skip
        self.sent_clock = time.perf_counter()
        self.deadline = time.monotonic() + forwarding.timeout_for(again.tail)
        connection.ask(request, self.deadline, forwarding.MOST_OCTETS, self._done)
        return True

    def _leave(self) -> None:
        self.lane.doors.in_flight.leave(self.way.receiver)
        loops.leave(self.guard, self.request_id)

    # ---- back

    def _done(self, outcome: Outcome) -> None:
        now = time.perf_counter()
        doors, way = self.lane.doors, self.way
        doors.pool.settled(way.key, self.connection, outcome)
        status_code = self._usual(outcome) if isinstance(outcome, Response) else None
        if status_code is None or not isinstance(outcome, Response):
            doors.behind(self._conclude(outcome))
            return
        self._leave()
        try:
            self._pass_back(outcome, status_code, now)
        except Exception:
            log.exception("the short way failed")
            self.asker.give_up()

    def _pass_back(self, outcome: Response, status_code: int, now: float) -> None:
        doors, way, again, tail = self.lane.doors, self.way, self.again, self.tail
        doors.succeeded(way.receiver.id, now - self.sent_clock)
        if way.is_learnt_from and status_code < 2000:
            asked = way.asked(tail)
            known_objects.learn(asked, to=way.route.routing.to, query=again.query, body=again.body)
            passing.note(asked, way.route, body=again.body)
        self.asker.pass_back(self, outcome.status, self._ids(), outcome.body)
        target = f"{again.path}?{again.query}" if again.query else again.path
        exchanges.record(
            Forwarded(
                way.legs, self.at, time.perf_counter() - self.clock, self.at + (self.sent_clock - self.clock),
                now - self.sent_clock, target.encode(), self.url.encode(), self.request_id.encode(),
                self.correlation_id.encode(), self.sent_id.encode(), again.said,
                again.body, outcome.status, status_code, outcome.said or outcome.headers, outcome.body,
            )
        )  # fmt: skip

    def _ids(self) -> bytes:
        return b"%bX-Request-ID: %b\r\nX-Correlation-ID: %b\r\n" % (
            self.way.back, self.request_id.encode(), self.correlation_id.encode(),
        )  # fmt: skip

    def _usual(self, response: Response) -> int | None:
        """Return the status code of an answer that is passed on and no more; nothing if it needs a second look."""
        if response.status not in (200, 201):
            return None
        said = response.said
        if said is not None:
            if not said.head.constant.keys().isdisjoint(_UNUSUAL) or not self._fits(said):
                return None
        elif not response.headers.keys().isdisjoint(_UNUSUAL) or not self._is_from_whom_it_should(response.headers):
            return None
        tree = json_text.plain(response.body)
        if tree is None or tree.get("timestamp") is None:
            return None
        found = tree.get("status_code")
        return found if type(found) is int and 1000 <= found <= 9999 else None

    def _fits(self, said: Said) -> bool:
        """Say whether an answer has our ids, and the addresses it should have or none."""
        get = said.get
        if get(b"x-request-id") != self.sent_id.encode() or get(b"x-correlation-id") != self.correlation_id.encode():
            return False
        if said.head.slots.keys().isdisjoint(ADDRESSES):
            return True
        return tuple([get(name) for name in ADDRESSES]) == self.way.expected

    def _is_from_whom_it_should(self, headers: dict[str, str]) -> bool:
        get = headers.get
        if get("x-request-id") != self.sent_id or get("x-correlation-id") != self.correlation_id:
            return False
        found = [get(name.decode()) for name in ADDRESSES]
        return found == [None] * 4 or found == [octets.decode("latin-1") for octets in self.way.expected]

    async def _conclude(self, outcome: Outcome | None) -> None:
        """Go on as `forwarding` does, with an answer or without one; None says that this process ends."""
        way, again, doors = self.way, self.again, self.lane.doors
        message, ids = self._message(), Ids(self.request_id, self.correlation_id)
        try:
            found = await self._found(outcome)
            passed = await forwarding.conclude(
                found, way.asked(self.tail), way.route, query=again.query, body=again.body, ids=ids, doors=doors
            )
            reply = fast_replies.reply_of(passed)
        except Exception as error:
            reply = fast_replies.refusal(error)
        finally:
            self._leave()
        elapsed = time.perf_counter() - self.clock
        fast_replies.finish(message, reply, ids, way.legs.routing_in, way.refused, way.caller.platform.id, elapsed)
        self.asker.reply(self, reply)

    async def _found(self, outcome: Outcome | None) -> Answer | client.ClientError:
        way, again = self.way, self.again
        headers = {REQUEST_ID: self.sent_id, CORRELATION_ID: self.correlation_id, **way.route.routing.as_headers()}
        attempt = Attempt.begun(
            again.method, self.url, again.body or None, way.shown | headers,
            self.at + (self.sent_clock - self.clock), self.sent_clock,
        )  # fmt: skip
        if outcome is None:
            return client_async.Interrupted("this process ends", attempt.sent())
        try:
            return await client_async.resume(
                self.lane.doors.pool, way.target, attempt, outcome,
                headers=headers, deadline=self.deadline, max_body=forwarding.MOST_OCTETS,
            )  # fmt: skip
        except client.ClientError as error:
            return error

    def _message(self) -> Message:
        again = self.again
        lines = [(name.lower().encode(), text.encode("latin-1")) for name, text in again.said.pairs().items()]
        place = Place(self.way.place.module, self.way.place.interface, self.tail)
        return Message(again.method, again.path, again.query, Headers(lines), place, again.body)
