"""The load generator: a few keep-alive connections, each asking again as soon as it has its answer.

A process of its own: `python -m tests.load.client FILE --port N` reads requests and prints one JSON line. The file
holds finished requests, each behind its length; TIME in one becomes the moment at which it is sent. A connection takes
every n-th request, so that no two connections ever change one object. What is answered while it warms up is not
counted, and told by itself: it may have waited for its connection to be made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import uvloop

TIME = "0000-00-00T00:00:00.000Z"
_TIME = TIME.encode()


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    """Keep requests for a generator."""
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)))
            file.write(request)
    return path


def read_requests(path: Path) -> list[bytes]:
    """Return the requests of a file."""
    octets, place, found = path.read_bytes(), 0, []
    while place < len(octets):
        (length,) = struct.unpack_from("<I", octets, place)
        found.append(octets[place + 4 : place + 4 + length])
        place += 4 + length
    return found


class Connection(asyncio.Protocol):
    """One request after the other, until the time is over."""

    def __init__(
        self, requests: list[bytes], since: float, until: float, rate: float | None, ended: asyncio.Future[None]
    ) -> None:
        self.requests, self.since, self.until, self.ended = requests, since, until, ended
        self.pause = 1 / rate if rate else 0.0
        self.next_at = time.perf_counter()
        self.number = 0
        self.times: list[float] = []
        self.early: list[float] = []  # of answers before `since`
        self.late = 0  # answers after `until`
        self.errors = 0
        self.first_error = ""
        self.octets = 0
        self._buffer = bytearray()
        self._missing = -1
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        now = time.perf_counter()
        if now >= self.until:
            self.transport.close()
            return
        if self.pause:
            self.next_at += self.pause
            if self.next_at > now:
                asyncio.get_running_loop().call_later(self.next_at - now, self._send)
                return
        self._send()

    def _send(self) -> None:
        request = self.requests[self.number % len(self.requests)]
        self.number += 1
        if _TIME in request:
            moment = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
            request = request.replace(_TIME, moment.encode())
        self.asked_at = time.perf_counter()
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._missing < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            place = head.find(b"content-length:")
            self._chunked = b"\r\ntransfer-encoding: chunked" in head
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 5 * self._chunked
            self._missing = end + 4 + length
        if len(self._buffer) < self._missing or (self._chunked and not self._buffer.endswith(b"0\r\n\r\n")):
            return
        self._answered()
        self._buffer.clear()
        self._missing = -1
        self._ask()

    def _answered(self) -> None:
        now = time.perf_counter()
        (self.early if now < self.since else self.times).append(now - self.asked_at)
        self.late += now > self.until
        self.octets += len(self._buffer)
        good = self._buffer[9:10] == b"2" and (
            b'"status_code":1000' in self._buffer or b'"status_code": 1000' in self._buffer
        )
        if not good:
            self.errors += 1
            self.first_error = self.first_error or bytes(self._buffer[:1500]).decode("utf-8", "replace")

    def connection_lost(self, _error: Exception | None) -> None:
        if time.perf_counter() < self.until:
            self.errors += 1
            self.first_error = self.first_error or "the server closed the connection"
        if not self.ended.done():
            self.ended.set_result(None)


async def run(
    requests: list[bytes], port: int, connections: int, seconds: float, rate: float | None, warm: float = 0.0
) -> dict[str, object]:
    """Ask for some seconds, after `warm` more, and return what came of it."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    made: list[Connection] = []
    ended: list[asyncio.Future[None]] = []
    for number in range(connections):
        ended.append(loop.create_future())
        mine = requests[number % len(requests) :: connections]
        since = started + warm
        made.append(Connection(mine, since, since + seconds, rate and rate / connections, ended[-1]))
        await loop.create_connection(lambda found=made[-1]: found, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait_for(asyncio.gather(*ended), warm + seconds + 30)
    elapsed = time.perf_counter() - started - warm
    times = sorted(moment for connection in made for moment in connection.times)
    early = sorted(moment for connection in made for moment in connection.early)

    return {
        "count": len(times),
        "in_time": len(times) - sum(connection.late for connection in made),
        "seconds": elapsed,
        "errors": sum(connection.errors for connection in made),
        "first_error": next((connection.first_error for connection in made if connection.first_error), ""),
        "octets": sum(connection.octets for connection in made),
        "p50": _part(times, 0.5),
        "p95": _part(times, 0.95),
        "p99": _part(times, 0.99),
        "early_p99": _part(early, 0.99),
    }


def _part(times: list[float], share: float) -> float:
    """Return below what so many of the sorted times are, in milliseconds."""
    return round(times[min(len(times) - 1, int(len(times) * share))] * 1000, 3) if times else 0.0


def main() -> None:
    """Read the requests, ask, print one JSON line."""
    parser = argparse.ArgumentParser(description="a load generator")
    parser.add_argument("requests", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, help="requests per second in all; without it as many as possible")
    parser.add_argument("--warm", type=float, default=0.0, help="seconds before any answer counts")
    asked = parser.parse_args()
    requests = read_requests(asked.requests)
    found = run(requests, asked.port, asked.connections, asked.seconds, asked.rate, asked.warm)
    print(json.dumps(uvloop.run(found)))


if __name__ == "__main__":
    main()
