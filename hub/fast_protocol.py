"""One connection from a client of the hub: uvicorn's protocol, with a short way for what the fast lane answers.

ASGI costs a Direct request more than all its rules: a scope, an event, two messages and a second look at every header.
So requests to a hub's endpoints are given to the lane as they are parsed, and their answers are written in one piece;
everything else, and what the lane leaves to Django, goes through `hub.asgi:application` as in any ASGI server. Here,
too, headers and bodies have to come in time and within limits (SEC-45).
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from hub import no_http
from hub.asgi import Application
from hub.fast_again import SameRequests
from hub.fast_cycle import Passing, without_offer
from hub.fast_lane import METHODS, Lane
from hub.fast_message import Headers, Message, Reply, place_of
from hub.fast_pass import Passage
from hub.fast_timers import Timed
from ocpi import json_text, status

log = logging.getLogger(__name__)

HEAD_LIMIT = 64 * 1024  # octets of request line and headers together; each line has a limit of its own
HEAD_SECONDS = 10.0  # from the first octet of a request, or the connection, to the end of its headers
BODY_SECONDS = 30.0
MOST_HEADERS, LONGEST_HEADER = 100, 8 << 10
_NO_HTTP = "Invalid HTTP request received."  # as uvicorn says it
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Protocol(Timed):
    """One connection."""

    _head_octets = 0
    _in_head = True
    _is_odd = False  # a header is longer than it may be
    _received = 0
    _refused = False  # what came last is no HTTP, and nothing behind it is read
    _offered = False  # another protocol, with the request whose headers were read last
    _between = True  # the parser stands between two messages
    _messages = 0  # that began in what came last
    _admission: status.TooManyRequests | Literal[True] | None = None
    _default_of: object = None
    _default = b""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._same = SameRequests()

    # ---- the parser's and the loop's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        between = self._between
        if between and self._same.known is not None and self._goes_the_short_way(data):
            return
        self._messages = 0
        self._read(data)
        self._admission = None
        cycle: Any = self.cycle
        if between and self._between and self._messages == 1 and isinstance(cycle, Passing) and cycle.keep_alive:
            self._same.learn(data)
        if isinstance(cycle, Passing) and not self._in_head:
            # Most bodies come with their headers, so that no timer is needed.
            if not cycle.is_whole and self._timer is None:
                self._expect(BODY_SECONDS)
        elif self._in_head:
            self._head_octets += len(data)
            if self._head_octets > HEAD_LIMIT:
                self.send_400_response("The headers are too long.")
            elif self._timer is None:
                self._expect(HEAD_SECONDS)

    def _read(self, data: bytes) -> None:
        """Have the parser look at what came."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.logger.warning(_NO_HTTP)
            self.send_400_response(_NO_HTTP)

    def _stay(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 with a client that offers another protocol (RFC 9110, 7.8).

        Java's client offers HTTP/2 with each request. The parser leaves off behind such headers, so another one starts
        with those that are left when the offer is taken out.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._offered = False
        if method == b"CONNECT":
            self.send_400_response(_NO_HTTP)
            return
        start = b"%s %s HTTP/%s" % (method, self.url, version.encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._read(b"\r\n".join([start, *without_offer(self.headers), b"", rest]))

    def _goes_the_short_way(self, data: bytes) -> bool:
        """Send a request on without the parser, if it is one like the one before it."""
        cycle: Any = self.cycle
        if self.pipeline or not (cycle is None or cycle.response_complete) or self.transport.is_closing():
            return False
        found = self._same.again(data)
        if found is None:
            return False
        try:
            begun = self._lane().short_ways.begin(*found, self)
        except Exception:
            log.exception("the short way failed")
            return False
        if not isinstance(begun, Passage):
            self._admission = begun or None
            return False
        self._quiet_since = None
        self.cycle = begun  # type: ignore[assignment]
        self.tasks.add(begun)  # type: ignore[arg-type]
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in an envelope (TRN-035), behind the answers to what came before it."""
        self._refused, self._in_head = True, False  # the rest is not waited for
        self._forget_timer()
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self._refuse(msg)
            return
        cycle.keep_alive = False
        is_whole = cycle.is_whole if isinstance(cycle, Passing) else not getattr(cycle, "more_body", False)
        if is_whole:
            return  # it is answered, and then the connection is closed
        if isinstance(cycle, Passing) and not cycle.is_first:
            cycle.is_bad = True  # others are answered before it
        elif getattr(cycle, "response_started", False):
            self.transport.close()
        else:
            self._refuse(msg)

    def _refuse(self, message: str) -> None:
        self.transport.write(no_http.refusal(HTTPStatus.BAD_REQUEST, message, usual=self._default_lines()))
        self.transport.close()

    def on_message_begin(self) -> None:
        self._between = False
        self._messages += 1
        self._in_head, self._head_octets, self._is_odd = True, 0, False
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # behind a chunked body: none of them says who asks, or for whom (RFC 9110, 6.5.1)
            return
        name = name.lower()
        self.headers.append((name, value))
        if len(value) > LONGEST_HEADER:
            self._is_odd = True
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            self._offered = True
            return
        self._in_head = False
        self._forget_timer()
        headers = self.headers
        if self._is_odd or len(headers) > MOST_HEADERS:
            self._in_asgi()
            return
        url = httptools.parse_url(self.url)
        path, method = url.path.decode("latin-1"), self.parser.get_method().decode("ascii")
        place = place_of(path) if method in METHODS else None
        if place is None or not isinstance(self.app, Application) or not self.app.passes_on:
            self._in_asgi()
            return
        keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        cycle = Passing(method, path, (url.query or b"").decode("latin-1"), place, headers, keep_alive)
        cycle.admission, self._admission = self._admission, None
        before, self.cycle = self.cycle, cycle  # type: ignore[assignment]
        self._received = 0
        if before is None or before.response_complete:
            cycle.is_first = True
        else:  # the client sends ahead
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]
        if self.expect_100_continue:
            self.transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        cycle: Any = self.cycle
        if not isinstance(cycle, Passing):
            super().on_body(body)
            return
        if cycle.too_long or cycle.response_complete:
            return
        self._received += len(body)
        cycle.body.append(body)
        if self._received > cycle.limit:  # it is refused for its length; the rest is read by nobody
            cycle.too_long, cycle.keep_alive = True, False
            self._whole(cycle)

    def on_message_complete(self) -> None:
        if self._offered:  # so far there are only headers
            return
        self._between = True
        cycle: Any = self.cycle
        if not isinstance(cycle, Passing):
            super().on_message_complete()
        elif not cycle.too_long:
            self._whole(cycle)

    # ---- the short way

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if not isinstance(cycle, Passing):
            super()._start_asgi_task(cycle, app)
            return
        cycle.is_first = True
        if cycle.is_bad:
            self._refuse(_NO_HTTP)
        elif cycle.is_whole:
            self._begin(cycle)

    def _whole(self, cycle: Passing) -> None:
        self._forget_timer()
        cycle.is_whole = True
        if cycle.is_first:
            self._begin(cycle)

    def _begin(self, cycle: Passing) -> None:
        task = self.loop.create_task(self._pass(cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _pass(self, cycle: Passing) -> None:
        body = json_text.without_mark(cycle.body[0] if len(cycle.body) == 1 else b"".join(cycle.body))
        message = Message(cycle.method, cycle.path, cycle.query, Headers(cycle.headers), cycle.place, body)
        message.admission = cycle.admission
        try:
            reply = await self._lane().answer(message)
        except Exception:
            log.exception("the fast lane failed")
            self.transport.close()
            return
        if reply is None:
            self._leave_to_django(cycle, body)
        else:
            self._write(cycle, reply)

    def _lane(self) -> Lane:
        application: Any = self.app
        found: Lane = application.lane()
        return found

    def pass_back(self, passage: Passage, http_status: int, headers: bytes, body: bytes) -> None:
        """Write the answer of a request that went the short way."""
        self.tasks.discard(passage)
        passage.response_complete = True
        if passage.disconnected:
            return
        end = (
            b"Content-Length: %d\r\n\r\n" if passage.keep_alive else b"Connection: close\r\nContent-Length: %d\r\n\r\n"
        )
        start = STATUS_LINE[http_status]
        self.transport.write(b"".join((start, self._default_lines(), headers, end % len(body), body)))
        if not passage.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def reply(self, passage: Passage, reply: Reply) -> None:
        """Write what the lane answers to a request that went the short way."""
        self.tasks.discard(passage)
        self._write(passage, reply)

    def give_up(self) -> None:
        """Close the connection: nobody knows what to answer."""
        self.transport.close()

    def _default_lines(self) -> bytes:
        """Return the headers of every answer; they change with every second."""
        headers = self.server_state.default_headers
        if headers is not self._default_of:
            self._default_of = headers
            self._default = b"".join([b"%s: %s\r\n" % each for each in headers])
        return self._default

    def _write(self, cycle: Passing | Passage, reply: Reply) -> None:
        cycle.response_complete = True
        if cycle.disconnected:
            return
        lines = [f"{name}: {value}\r\n" for name, value in reply.headers.items()]
        if not cycle.keep_alive:
            lines.append("Connection: close\r\n")
        lines.append(f"Content-Length: {len(reply.body)}\r\n\r\n")
        head = "".join(lines)
        if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
            log.error("an answer had a line break in a header")
            self.transport.close()
            return
        self.transport.write(
            b"".join((STATUS_LINE[reply.http_status], self._default_lines(), head.encode("latin-1"), reply.body))
        )
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    # ---- ASGI

    def _in_asgi(self) -> None:
        """Go on as uvicorn does."""
        self._make_scope(self.headers)
        super().on_headers_complete()

    def _make_scope(self, headers: Any) -> None:
        scope: Any = {
            "type": "http", "asgi": {"version": self.asgi_version, "spec_version": "2.3"}, "http_version": "1.1",
            "server": self.server, "client": self.client, "scheme": self.scheme, "root_path": self.root_path,
            "headers": headers, "state": {},
        }  # fmt: skip
        self.scope = scope

    def _leave_to_django(self, passing: Passing, body: bytes) -> None:
        """Give a request whose body was read to Django, through the application."""
        if passing.disconnected:
            return
        self._make_scope(passing.headers)
        scope: Any = self.scope
        scope["method"], scope["path"] = passing.method, passing.path
        scope["raw_path"], scope["query_string"] = passing.path.encode("latin-1"), passing.query.encode("latin-1")
        scope["state"] = {"django": True}
        cycle = RequestResponseCycle(
            scope=scope, transport=self.transport, flow=self.flow, logger=self.logger,
            access_logger=self.access_logger, access_log=False, default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(), expect_100_continue=False, keep_alive=passing.keep_alive,
            on_response=self.on_response_complete,
        )  # fmt: skip
        cycle.body, cycle.more_body = bytearray(body), False
        cycle.message_event.set()
        current: Any = self.cycle
        if current is passing:
            self.cycle = cycle
        passing.response_complete = True
        super()._start_asgi_task(cycle, self.app)
