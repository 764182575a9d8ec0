"""Receivers of a figure: one process with a port for each platform, which records what arrived and when.

`python -m tests.figures.receivers --count 20 --seed 7` prints its ports, the last one for control. A figure starts it
with `Receivers`, tells it how to behave, and reads what came; what the sender believes does not count. Moments are
`time.monotonic()`, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import uvloop

from tests.load.harness import Lab, Process

_TIME = b'"timestamp":"2026-01-01T00:00:00Z"'
_DONE = b'{"status_code":1000,"status_message":"Success",' + _TIME + b"}"
_BUSY = b'{"status_code":3000,"status_message":"busy",' + _TIME + b"}"
_HUNDRED = 100


def _answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_OK, _UNAVAILABLE = _answer(b"200 OK", _DONE), _answer(b"503 Service Unavailable", _BUSY)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a receiver took in: one request."""

    at: float
    receiver: int
    method: str
    path: str  # behind the endpoint of the receiver
    body: dict[str, Any]


class Receivers:
    """The process of the receivers, as a figure uses it."""

    def __init__(self, lab: Lab, count: int, *, seed: int) -> None:
        command = [sys.executable, "-m", "tests.figures.receivers", "--count", str(count), "--seed", str(seed)]
        self.process: Process = lab.start("receivers", command)
        limit = time.monotonic() + 60
        while not (text := self.process.log.read_text()).endswith("\n"):
            if time.monotonic() > limit or self.process.popen.poll() is not None:
                raise RuntimeError(f"the receivers do not start:\n{text}")
            time.sleep(0.02)
        *self.ports, self._control = json.loads(text)

    def tell(self, **command: Any) -> Any:
        """Give one command and return its answer."""
        with socket.create_connection(("127.0.0.1", self._control), timeout=60) as sock, sock.makefile("rw") as file:
            file.write(json.dumps(command) + "\n")
            file.flush()
            return json.loads(file.readline())

    def fail(self, *, unavailable: int, lost: int) -> None:
        """Of each hundred requests of a receiver, answer so many with 503, and lose so many answers after the work."""
        self.tell(do="fail", unavailable=unavailable, lost=lost)

    def down(self, receiver: int) -> None:
        """Have one refuse connections; those it has are closed."""
        self.tell(do="down", receiver=receiver)

    def up(self, receiver: int) -> None:
        """Have it back."""
        self.tell(do="up", receiver=receiver)

    def never_answer(self, receivers: Iterable[int]) -> None:
        """Let these take every request in and never answer; an empty list ends that."""
        self.tell(do="silent", receivers=list(receivers))

    def arrivals(self) -> list[Arrival]:
        """Return everything that was taken in so far."""
        return [
            Arrival(at, receiver, method, path, json.loads(body) if body else {})
            for at, receiver, method, path, body in self.tell(do="arrivals")
        ]

    def counts(self) -> dict[str, int]:
        """Return how many requests were taken in, answered with 503, not answered after the work, or held."""
        found: dict[str, int] = self.tell(do="counts")
        return found

    def forget(self) -> None:
        """Forget what arrived so far."""
        self.tell(do="forget")


# ---------------------------------------------------------------- in the process of the receivers


class _World:
    """What all receivers of the process share."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.unavailable = self.lost = 0
        self.silent: set[int] = set()
        self.arrivals: list[tuple[float, int, str, str, str]] = []
        self.counts: Counter[str] = Counter()
        self.receivers: list[_Receiver] = []

    def do(self, command: dict[str, Any]) -> Any:
        match command["do"]:
            case "fail":
                self.unavailable, self.lost = command["unavailable"], command["lost"]
            case "silent":
                self.silent = set(command["receivers"])
            case "arrivals":
                return self.arrivals
            case "counts":
                return dict(self.counts)
            case "forget":
                self.arrivals, self.counts = [], Counter()
            case "down":
                self.receivers[command["receiver"]].down()
            case "up":
                return asyncio.ensure_future(self.receivers[command["receiver"]].listen())
        return True

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = self.do(json.loads(await reader.readline()))
        if isinstance(found, asyncio.Future):
            found = await found is None
        writer.write(json.dumps(found).encode() + b"\n")
        await writer.drain()
        writer.close()


class _Receiver:
    """One platform at one port."""

    def __init__(self, world: _World, number: int) -> None:
        self.world, self.number, self.port = world, number, 0
        self.open: set[_Connection] = set()
        self._drawn: list[str] = []
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=512)
            self.port = self._server.sockets[0].getsockname()[1]

    def down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.open):
            connection.transport.abort()

    def draw(self) -> str:
        """Return what happens to the next request: of each hundred a fixed number fails, at drawn places."""
        if not self._drawn:
            self._drawn = ["busy"] * self.world.unavailable + ["lost"] * self.world.lost
            self._drawn += ["ok"] * (_HUNDRED - len(self._drawn))
            self.world.random.shuffle(self._drawn)
        return self._drawn.pop()


class _Connection(asyncio.Protocol):
    """One connection to a receiver."""

    transport: asyncio.Transport

    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._receiver.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end]
            place = head.lower().find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            method, target = head.split(b"\r\n", 1)[0].decode().split(" ")[:2]
            self._take(method, target, body)

    def _take(self, method: str, target: str, body: bytes) -> None:
        world, number = self._receiver.world, self._receiver.number
        if number in world.silent:
            world.counts["held"] += 1
            return
        if method == "GET":  # a probe
            self.transport.write(_OK)
            return
        drawn = self._receiver.draw()
        world.counts[drawn] += 1
        if drawn == "busy":
            self.transport.write(_UNAVAILABLE)
            return
        path = target.partition("/receiver/")[2]
        world.arrivals.append((time.monotonic(), number, method, path, body.decode()))
        if drawn == "lost":
            self.transport.abort()
        else:
            self.transport.write(_OK)


async def serve(count: int, seed: int) -> None:
    """Listen, print where, and go on for ever."""
    world = _World(seed)
    world.receivers = [_Receiver(world, number) for number in range(count)]
    for receiver in world.receivers:
        await receiver.listen()
    control = await asyncio.start_server(world.control, "127.0.0.1", 0)
    ports = [receiver.port for receiver in world.receivers] + [control.sockets[0].getsockname()[1]]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="platforms that record what arrives")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    uvloop.run(serve(asked.count, asked.seed))


if __name__ == "__main__":
    main()
