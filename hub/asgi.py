"""The web server's entrance where no charge point's files come in: a hub passes Direct requests on in the event loop,
Django answers the rest, which at an eMSP is everything.

    uvicorn hub.asgi:application

How a request finds its way is in `fast_lane`; what Django answers, and how, in `fast_django`.
"""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from typing import IO

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django.setup()

from django.conf import settings  # noqa: E402 - needs the applications

from hub.fast_django import DjangoDoor, Receive, Scope, Send  # noqa: E402
from hub.fast_doors import EventLoopDoors  # noqa: E402
from hub.fast_lane import METHODS, Lane  # noqa: E402
from hub.fast_message import Headers, Message, Reply, limit_of, place_of  # noqa: E402
from hub.fast_threads import Threads  # noqa: E402
from ocpi import envelope, exchanges, json_text, status  # noqa: E402
from ocpi.headers import read_ids  # noqa: E402

_LANE_THREADS = 8  # for the database's part in Direct requests
_IN_MEMORY = 1 << 20  # octets of a body; a longer one goes to a file
_MOST_OCTETS = 64 << 20  # of a body that an operator uploads
_BODY_SECONDS = 30.0


_MOST_HEADERS = 100
_LONGEST_HEADER = 8 << 10
_TOO_LONG, _TOO_SLOW = 431, 408


class Gone(Exception):
    """The client closed the connection before its request was whole."""


class Application:
    """One ASGI application in one event loop."""

    def __init__(self) -> None:
        self._lane: Lane | None = None
        self.passes_on = "hub" in settings.OCPI_SIDES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what ASGI brings."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":  # there is none here
                await receive()
                await send({"type": "websocket.close", "code": 1000})

    def open(self) -> Lane:
        """Get ready in the running event loop."""
        self._threads = Threads(_LANE_THREADS, "fast lane")
        self._pages = Threads(settings.WEB_THREADS, "django")
        self._doors = EventLoopDoors(self._threads)
        self._django = DjangoDoor(self._pages)
        self._lane = Lane(self._doors, self._pages)
        return self._lane

    def lane(self) -> Lane:
        """Return the fast lane of the running event loop."""
        return self._lane or self.open()

    def waiting(self) -> int:
        """Return how many requests wait for their receivers."""
        return self._doors.in_flight.total if self._lane else 0

    async def settled(self) -> None:
        """Wait for what was left to be done behind the answers."""
        await self._doors.settled()

    async def close(self) -> None:
        """End what was begun."""
        if self._lane is None:
            return
        self._lane = None
        await self._doors.settled()
        await self._doors.close()
        await asyncio.to_thread(self._threads.close)
        await asyncio.to_thread(self._pages.close)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.open()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await asyncio.to_thread(exchanges.stop)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        lane = self.lane()
        if len(scope["headers"]) > _MOST_HEADERS or any(len(line) > _LONGEST_HEADER for _, line in scope["headers"]):
            await _send(_refusal(_TOO_LONG, "A header is too long, or there are too many", scope), send)
            return
        path = scope["raw_path"].decode("latin-1")
        left = scope.get("state", {}).get("django")  # the server has asked the lane already
        place = place_of(path) if self.passes_on and scope["method"] in METHODS and not left else None
        try:
            body, length = await _read(scope, receive, limit_of(place) if place else _MOST_OCTETS)
        except Gone:
            return
        except TimeoutError:
            await _send(_refusal(_TOO_SLOW, "The body did not come in time", scope), send)
            return
        with body:
            if place is not None:
                query = scope["query_string"].decode("latin-1")
                headers = Headers(scope["headers"])
                octets = json_text.without_mark(body.read())
                reply = await lane.answer(Message(scope["method"], path, query, headers, place, octets))
                if reply is not None:
                    await _send(reply, send)
                    return
                body.seek(0)
            await self._django.answer(scope, receive, send, body, length)


def _refusal(http_status: int, message: str, scope: Scope) -> Reply:
    """Return what is answered where no view is asked (TRN-035, TRN-058)."""
    ids = read_ids(Headers(scope["headers"]).get).as_headers()
    body = envelope.compose(status.GenericClientError.status_code, message)
    return Reply(http_status, {"Content-Type": "application/json", "Connection": "close", **ids}, body)


async def _send(reply: Reply, send: Send) -> None:
    lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    lines.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.http_status, "headers": lines})
    await send({"type": "http.response.body", "body": reply.body})


async def _read(scope: Scope, receive: Receive, limit: int) -> tuple[IO[bytes], int]:
    """Return the body and its length; of a body that is too long one octet more than may be.

    :raises Gone: if the client closes before it is whole.
    :raises TimeoutError: if it is too slow.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    octets = message.get("body", b"")
    if not message.get("more_body"):
        return io.BytesIO(octets[: limit + 1]), min(len(octets), limit + 1)
    body: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - goes with the request
    length = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                octets = octets[: limit + 1 - length]
                body.write(octets)
                length += len(octets)
                if length > limit or not message.get("more_body"):
                    break
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                octets = message.get("body", b"")
    except BaseException:
        body.close()
        raise
    body.seek(0)
    return body, length


application = Application()
