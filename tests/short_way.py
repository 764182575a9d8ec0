"""The hub's web server on a socket, in the test's own event loop and transaction, and a client that sends octets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from uvicorn.server import ServerState

from hub import asgi, web
from hub.fast_lane import Lane
from hub.fast_protocol import Protocol
from ocpi.models import Exchange
from tests.people import Person

PREFERENCES = "/ocpi/hub/2.2.1/sender/sessions/S1/charging_preferences"  # passed on and not kept
BODY = b'{"profile_type":"FAST","energy_need":12.5}'
_SECONDS = 30


@dataclass(slots=True)
class Answer:
    """What came back."""

    http_status: int
    headers: dict[str, str]
    body: bytes

    @property
    def codes(self) -> tuple[int, int]:
        return self.http_status, json.loads(self.body)["status_code"]


def request(
    sender: Person, *, method: str = "PUT", path: str = PREFERENCES, body: bytes = BODY, to: str = "DE*EMS",
    ids: tuple[str, str] = ("r", "c"), **more: str,
) -> bytes:  # fmt: skip
    """Return one request as it goes over the wire; `more` with underscores for dashes, "" to leave one out."""
    country_code, party_id = to.split("*")
    headers = {
        "Host": "hub.example", "Authorization": sender.authorization, "Content-Type": "application/json",
        "X-Request-ID": ids[0], "X-Correlation-ID": ids[1], "OCPI-to-country-code": country_code,
        "OCPI-to-party-id": party_id, "OCPI-from-country-code": sender.address.country_code,
        "OCPI-from-party-id": sender.address.party_id, "Content-Length": str(len(body)),
    } | {name.replace("_", "-"): value for name, value in more.items()}  # fmt: skip
    lines = [f"{method} {path} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items() if value]]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, octets: bytes) -> None:
        self._writer.write(octets)

    async def answer(self) -> Answer:
        async with asyncio.timeout(_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            lines = [line.partition(": ") for line in head[1:] if line]
            headers = {name.lower(): value for name, _, value in lines}
            assert len(headers) == len(lines), f"a header came twice: {lines}"
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(head[0].split()[1]), headers, body)

    async def ask(self, octets: bytes) -> Answer:
        self.send(octets)
        return await self.answer()

    async def is_closed(self) -> bool:
        async with asyncio.timeout(_SECONDS):
            return not await self._reader.read(1)

    def close(self) -> None:
        self._writer.close()

    async def end(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Served:
    """A running web server, and how many of its requests went the long way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.application = asgi.Application()
        self.state = ServerState()
        self.long = 0
        self._port = 0
        self._clients: list[Client] = []
        usual = Lane.answer

        async def counted(lane: Lane, message: Any) -> Any:
            self.long += 1
            return await usual(lane, message)

        monkeypatch.setattr(Lane, "answer", counted)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        config = web.configuration("127.0.0.1", 0)
        config.load()
        config.loaded_app = self.application
        self.state.default_headers = [(b"date", b"today")]
        server = await asyncio.get_running_loop().create_server(
            lambda: Protocol(config=config, server_state=self.state, app_state={}), "127.0.0.1", 0
        )
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for client in self._clients:
                await client.end()
            for connection in list(self.state.connections):
                connection.transport.abort()
            await self.application.close()

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self._port))
        self._clients.append(client)
        return client

    async def warm(self, octets: bytes) -> tuple[Client, Answer]:
        """Return a connection over which a request went the long way, then the short one."""
        client = await self.client()
        await client.ask(octets)
        await self.application.settled()
        before = self.long
        answer = await client.ask(octets)
        assert self.long == before, "the second request went the long way"
        return client, answer

    async def quiet(self) -> None:
        """Wait until the client of the event loop looks after nobody's time limit."""
        async with asyncio.timeout(_SECONDS):
            while self.application.lane().doors.pool._timer is not None:
                await asyncio.sleep(0.01)


@pytest.fixture(name="served")
def served_fixture(monkeypatch: pytest.MonkeyPatch) -> Served:
    """A server that `run` starts."""
    return Served(monkeypatch)


def run(served: Served, work: Callable[[], Awaitable[Any]]) -> Any:
    """Run something while the server runs."""

    async def around() -> Any:
        async with served.running():
            return await work()

    return async_to_sync(around)()


async def here(work: Callable[..., Any], *args: Any) -> Any:
    """Do something with the database, in the test's transaction."""
    return await sync_to_async(work, thread_sensitive=True)(*args)


def after_warming(
    served: Served, octets: bytes, then: bytes, between: Callable[[], Any] = lambda: None
) -> tuple[Answer, int]:
    """Return the answer to a request over a warm connection, and how many went the long way from then on."""

    async def work() -> tuple[Answer, int]:
        client, warmed = await served.warm(octets)
        assert warmed.codes == (200, 1000)
        await here(between)
        before = served.long
        answer = await client.ask(then)
        return answer, served.long - before

    found: tuple[Answer, int] = run(served, work)
    return found


def logged_alike(direction: str) -> tuple[Exchange, Exchange]:
    """Return the log's two exchanges of a direction, the earlier one first, having seen that they say the same."""
    one, two = Exchange.objects.filter(direction=direction).order_by("at")
    for column in ("method", "platform_id", "module", "object_path", "correlation_id", "from_party", "to_party",
                   "http_status", "status_code", "error", "request_body", "owner", "object_id", "url"):  # fmt: skip
        assert getattr(two, column) == getattr(one, column), column
    return one, two
