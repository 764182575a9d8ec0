"""A bare pass-through in Python: uvloop and httptools on both sides, a token and a route looked up in a map, no rules.

`python -m tests.load.baselines.pass_through --port P --upstream U --authorization TEXT --receiver DE*EMS`: what a
forward costs in this language before there is any hub in it. Bodies pass whole; whatever goes wrong closes the
connection.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import httptools
import uvloop


class Upstream(asyncio.Protocol):
    """A kept connection to the receiver."""

    def __init__(self, free: list[Upstream]) -> None:
        self._free = free
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self.client: Caller | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser's call: a hub has to see the headers, too."""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        client, body, self.client, self._body = self.client, self._body, None, b""
        self._free.append(self)
        if client is not None:
            client.answer(self._parser.get_status_code(), body)


class Caller(asyncio.Protocol):
    """A connection of a client."""

    def __init__(self, asked: argparse.Namespace, free: list[Upstream]) -> None:
        self._asked, self._free = asked, free
        self._tokens = {asked.authorization.encode(): "somebody"}
        self._routes = {tuple(asked.receiver.encode().split(b"*")): asked.upstream}
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        headers = self._headers
        to = (headers.get(b"ocpi-to-country-code", b""), headers.get(b"ocpi-to-party-id", b""))
        port = self._routes.get(to)
        if headers.get(b"authorization") not in self._tokens or port is None:
            self.answer(401, b"")
            return
        sent = [b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token b3RoZXI=" % (
            self._parser.get_method(), self._url)]  # fmt: skip
        sent += [b"%s: %s" % each for each in headers.items() if each[0] not in (b"host", b"authorization")]
        request = b"\r\n".join(sent) + b"\r\n\r\n" + self._body
        if self._free:
            self._send(self._free.pop(), request)
        else:
            asyncio.get_running_loop().create_task(self._connect(port, request))

    async def _connect(self, port: int, request: bytes) -> None:
        make = asyncio.get_running_loop().create_connection(lambda: Upstream(self._free), "127.0.0.1", port)
        self._send((await make)[1], request)

    def _send(self, upstream: Upstream, request: bytes) -> None:
        upstream.client = self
        upstream.transport.write(request)

    def answer(self, status: int, body: bytes) -> None:
        """Write an answer."""
        head = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self.transport.write(head + body)


async def serve(asked: argparse.Namespace) -> None:
    """Listen, and go on for ever."""
    free: list[Upstream] = []
    await asyncio.get_running_loop().create_server(lambda: Caller(asked, free), "127.0.0.1", asked.port, backlog=512)
    await asyncio.Event().wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="a bare pass-through")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--authorization", required=True)
    parser.add_argument("--receiver", required=True)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
