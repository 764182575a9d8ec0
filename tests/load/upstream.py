"""Platforms that answer everything at once: one process, as many ports as there are platforms.

`python -m tests.load.upstream --ports 100` prints its ports as JSON. Every request is answered with a small envelope;
`GET /arrivals` gives when each came (monotonic, seconds) and at how many ports, and forgets them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import uvloop

_BODY = b'{"status_code":1000,"status_message":"Success","timestamp":"2026-01-01T00:00:00Z"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(_BODY)
_IDS = (b"\r\nx-request-id:", b"\r\nx-correlation-id:")


class Arrivals:
    """When requests came, and at which port."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self.count = 0
        self.times: list[float] = []
        self.ports: set[int] = set()

    def text(self) -> bytes:
        """Return what came since the last time, as JSON."""
        found = {"count": self.count, "ports": len(self.ports), "times": self.times}
        return json.dumps(found).encode()


class Platform(asyncio.Protocol):
    """One connection."""

    def __init__(self, arrivals: Arrivals, port: int, delay: float) -> None:
        self.arrivals, self.port, self.delay = arrivals, port, delay
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            head = buffer[:end].lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(buffer) < end + 4 + length:
                break
            buffer = buffer[end + 4 + length :]
            self._answer(head)
        self._buffer = buffer

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"get /arrivals"):
            body = self.arrivals.text()
            self.arrivals.forget()
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        self.arrivals.count += 1
        if len(self.arrivals.times) < 100_000:
            self.arrivals.times.append(time.monotonic())
        self.arrivals.ports.add(self.port)
        answer = _answer(head)
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._write, answer)
        else:
            self._write(answer)

    def _write(self, octets: bytes) -> None:
        self.transport.write(octets)  # type: ignore[attr-defined]


def _answer(head: bytes) -> bytes:
    """Return the answer to a request: its ids come back, as the specification wants it."""
    found = [_HEAD]
    for name in _IDS:
        place = head.find(name)
        if place >= 0:
            end = head.find(b"\r\n", place + 2)
            found += [head[place + 2 : end if end > 0 else len(head)], b"\r\n"]
    return b"".join([*found, b"\r\n", _BODY])


async def serve(ports: int, delay: float) -> None:
    """Listen, print where, and go on for ever."""
    loop = asyncio.get_running_loop()
    arrivals = Arrivals()
    servers = [
        await loop.create_server(lambda number=number: Platform(arrivals, number, delay), "127.0.0.1", 0, backlog=512)  # type: ignore[misc]
        for number in range(ports)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="platforms that answer everything at once")
    parser.add_argument("--ports", type=int, default=1)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    asked = parser.parse_args()
    uvloop.run(serve(asked.ports, asked.delay))


if __name__ == "__main__":
    main()
