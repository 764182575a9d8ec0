"""The short way: a request like the one before is passed on without a task, a parser or anything made twice.

All rules are in force. What a way remembers was found by them (`fast_ways`); what a single request can break is looked
at here for each. Nothing is decided otherwise than in `fast_lane` and `forwarding`: before anything was sent, whatever
is not as usual is left to them; an answer that is not as usual is, too (`forwarding.conclude`).
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
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
from ocpi.same_head import Head, Said
from ocpi.wire_async import Connection, Outcome

if TYPE_CHECKING:
    from hub.fast_lane import Lane
    from hub.fast_ways import ShortWay

log = logging.getLogger(__name__)

_NO_LENGTH = (b"GET", b"DELETE")
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


class Passage(Forwarded):
    """One request that goes a short way; in the place of uvicorn's cycle of request and response, too.

    Once it is over, it is its own entry of the log.
    """

    __slots__ = (
        "again", "asker", "clock", "connection", "deadline", "disconnected", "guard", "keep_alive", "lane",
        "response_complete", "sent_clock", "way",
    )  # fmt: skip

    def __init__(self, lane: Lane, way: ShortWay, again: Again, body: bytes, asker: Asker, clock: float) -> None:
        """Begin with a request that came at `clock` (time.monotonic)."""
        self.lane, self.way, self.asker, self.legs = lane, way, asker, way.legs
        self.again = self.asked = again
        self.request_body = body
        self.at, self.clock = time.time(), clock
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
        way, again, doors, body = self.way, self.again, self.lane.doors, self.request_body or b""
        method, target, above, tail, _ = again.first
        self.request_id, self.correlation_id = request_id, correlation_id = again.head.ids_and_addresses(again.values)[
            :2
        ]
        self.guard = (correlation_id.decode(), tail.decode(), way.guard)
        try:
            doors.in_flight.enter(way.receiver)
        except status.ReceiverUnreachable:
            return False
        try:
            loops.enter(self.guard, request_id.decode())
        except status.HubError:
            doors.in_flight.leave(way.receiver)
            return False
        connection = doors.pool.at_hand(way.key, self.clock)
        if connection is None:
            self._leave()
            return False
        self.connection: Connection = connection
        self.sent_id = sent_id = new_id().encode()
        self.below = below = target[len(above) :]
        request = [way.start, below, way.head, sent_id, b"\r\nX-Correlation-ID: ", correlation_id, way.addresses]
        if body or method not in _NO_LENGTH:
            request.append(b"\r\nContent-Length: %d" % len(body))
        request += (b"\r\n\r\n", body)
        self.sent_clock = sent = time.monotonic()
        self.sent_at = self.at + (sent - self.clock)
        self.deadline = sent + forwarding.timeout_for(self.guard[1])
        connection.ask(b"".join(request), self.deadline, way.most_octets, self._done)
        return True

    def _leave(self) -> None:
        self.lane.doors.in_flight.leave(self.way.receiver)
        loops.leave(self.guard, self.request_id.decode())

    # ---- back

    def _done(self, outcome: Outcome) -> None:
        now = time.monotonic()
        doors, way = self.lane.doors, self.way
        doors.pool.settled(way.key, self.connection, outcome, now)
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
        way, body = self.way, outcome.body
        self.sent_elapsed = now - self.sent_clock
        self.lane.doors.succeeded(way.receiver.id, self.sent_elapsed, now)
        if way.is_learnt_from and status_code < 2000:
            asked, told = way.asked(self.guard[1]), self.request_body or b""
            known_objects.learn(asked, to=way.route.routing.to, query=self.again.query, body=told)
            passing.note(asked, way.route, body=told)
        self.asker.pass_back(self, outcome.status, self._ids(), body)
        self.elapsed = time.monotonic() - self.clock
        self.http_status, self.status_code = outcome.status, status_code
        self.answered, self.response_body = outcome.said or outcome.headers, body
        exchanges.record(self)
        del self.asker, self.connection  # the log keeps the rest for a moment

    def _ids(self) -> bytes:
        return b"%bX-Request-ID: %b\r\nX-Correlation-ID: %b\r\n" % (
            self.way.back, self.request_id, self.correlation_id,
        )  # fmt: skip

    def _usual(self, response: Response) -> int | None:
        """Return the status code of an answer that is passed on and no more; nothing if it needs a second look."""
        if response.status not in (200, 201):
            return None
        said = response.said
        if said is not None:
            if not (_is_usual(said.head) and self._fits(said)):
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
        head, values = said.head, said.values
        slots = head.slots
        request_id, correlation_id = slots.get(b"x-request-id"), slots.get(b"x-correlation-id")
        if request_id is None or correlation_id is None:
            return False
        if values[request_id] != self.sent_id or values[correlation_id] != self.correlation_id:
            return False
        return _has_no_addresses(head) or tuple([said.get(name) for name in ADDRESSES]) == self.way.expected

    def _is_from_whom_it_should(self, headers: dict[str, str]) -> bool:
        get = headers.get
        if get("x-request-id") != self.sent_id.decode() or get("x-correlation-id") != self.correlation_id.decode():
            return False
        found = [get(name.decode()) for name in ADDRESSES]
        return found == [None] * 4 or found == [octets.decode("latin-1") for octets in self.way.expected]

    async def _conclude(self, outcome: Outcome | None) -> None:
        """Go on as `forwarding` does, with an answer or without one; None says that this process ends."""
        way, again, doors, body = self.way, self.again, self.lane.doors, self.request_body or b""
        message, ids = self._message(body), Ids(self.request_id.decode(), self.correlation_id.decode())
        try:
            found = await self._found(outcome)
            passed = await forwarding.conclude(
                found, way.asked(again.tail), way.route, query=again.query, body=body, ids=ids, doors=doors
            )
            reply = fast_replies.reply_of(passed)
        except Exception as error:
            reply = fast_replies.refusal(error)
        finally:
            self._leave()
        elapsed = time.monotonic() - self.clock
        fast_replies.finish(message, reply, ids, way.legs.routing_in, way.refused, way.caller.platform.id, elapsed)
        self.asker.reply(self, reply)

    async def _found(self, outcome: Outcome | None) -> Answer | client.ClientError:
        way, again = self.way, self.again
        ids = {REQUEST_ID: self.sent_id.decode(), CORRELATION_ID: self.correlation_id.decode()}
        headers = {**ids, **way.route.routing.as_headers()}
        attempt = Attempt.begun(
            again.method, self.url.decode(), self.request_body or None, way.shown | headers,
            self.sent_at, time.perf_counter() - (time.monotonic() - self.sent_clock),
        )  # fmt: skip
        if outcome is None:
            return client_async.Interrupted("this process ends", attempt.sent())
        try:
            return await client_async.resume(
                self.lane.doors.pool, way.target, attempt, outcome,
                headers=headers, deadline=self.deadline, max_body=way.most_octets,
            )  # fmt: skip
        except client.ClientError as error:
            return error

    def _message(self, body: bytes) -> Message:
        again = self.again
        lines = [(name.lower().encode(), text.encode("latin-1")) for name, text in again.pairs().items()]
        place = Place(self.way.place.module, self.way.place.interface, tuple(again.tail.split("/")[1:]))
        return Message(again.method, again.path, again.query, Headers(lines), place, body)


@lru_cache(maxsize=2048)
def _is_usual(head: Head) -> bool:
    """Say whether an answer with this head needs no closer look for it."""
    return head.constant.keys().isdisjoint(_UNUSUAL)


@lru_cache(maxsize=2048)
def _has_no_addresses(head: Head) -> bool:
    return head.slots.keys().isdisjoint(ADDRESSES)
