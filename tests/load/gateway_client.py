"""Charge points for load, thousands in one process: `python -m tests.load.gateway_client --port … --count …`.

Opens and boots them, prints one JSON line about that, then obeys JSON lines on standard input and prints one for each:
{"do": "load", "action": "StatusNotification", "seconds": 5}        as fast as answers come, one CALL per connection
{"do": "load", "action": "MeterValues", "seconds": 5, "rate": 500}  at this rate; lateness counts
{"do": "load", "action": "Flip", "seconds": 5, "rate": 500}         StatusNotification, each a change; tells each one
{"do": "frames", "seconds": 5}                                      answers CALLs, and says when each came
{"do": "idle", "seconds": 5}                                        a Heartbeat of each within a minute
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import resource
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import uvloop

_HEARTBEAT_SECONDS = 60.0
_ACCEPTED = '{"status":"Accepted"}'
_STATUSES = ("Preparing", "Charging", "SuspendedEV", "Finishing", "Available")
_MEASURANDS = (
    "Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage", "Temperature", "SoC",
    "Power.Offered", "Current.Offered", "Power.Factor",
)  # fmt: skip


def payload(action: str, number: int) -> str:
    """Return what a charge point says."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    if action == "StatusNotification":
        status = _STATUSES[number % len(_STATUSES)]
        return f'{{"connectorId":1,"errorCode":"NoError","status":"{status}","timestamp":"{now}"}}'
    if action == "Flip":
        status = ("Charging", "Available")[number % 2]
        return f'{{"connectorId":1,"errorCode":"NoError","status":"{status}","timestamp":"{now}"}}'
    if action == "MeterValues":
        values = ",".join(f'{{"value":"{number % 9000 + 1}.5","measurand":"{name}"}}' for name in _MEASURANDS)
        return f'{{"connectorId":1,"meterValue":[{{"timestamp":"{now}","sampledValue":[{values}]}}]}}'
    if action == "BootNotification":
        return '{"chargePointVendor":"Bench","chargePointModel":"One"}'
    return "{}"


_ANSWERS = {"GetConfiguration": '{"configurationKey":[]}', "GetLocalListVersion": '{"listVersion":0}'}


def answer(wire: Wire, frame: list[Any]) -> None:
    """Answer what is asked, as every charge point does."""
    wire.send(f'[3,"{frame[1]}",{_ANSWERS.get(frame[2], _ACCEPTED)}]')


class Wire(asyncio.Protocol):
    """One connection, with no more of WebSocket than a charge point needs."""

    __slots__ = (
        "_buffer", "_head", "closed", "flips", "number", "on_call", "opened", "place", "sent_at", "transport",
        "waiting", "when_answered",
    )  # fmt: skip

    def __init__(self, head: bytes, opened: asyncio.Future[None]) -> None:
        self._head = head
        self._buffer = b""
        self.opened = opened
        self.closed = False
        self.waiting = False
        self.sent_at = 0.0
        self.number = 0
        self.place = 0  # of this one among all
        self.flips: list[tuple[int, float, str]] | None = None
        self.when_answered: Callable[[Wire], None] | None = None
        self.on_call: Callable[[Wire, list[Any]], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.opened.done():
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._buffer = rest
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(head.split(b"\r\n", 1)[0].decode()))
                self.transport.abort()
                return
            self.opened.set_result(None)
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            if len(buffer) < 4:
                return None
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 0x0F, buffer[start : start + size]

    def _take(self, opcode: int, data: bytes) -> None:
        if opcode == 9:
            self._write(0x8A, data)
        elif opcode == 8:
            self.transport.close()
        elif opcode == 1 and data[1:2] == b"2":
            (self.on_call or answer)(self, json.loads(data))
        elif opcode == 1:
            self.waiting = False
            if self.when_answered is not None:
                self.when_answered(self)

    def _write(self, first: int, data: bytes) -> None:
        # A mask of zeros leaves the payload as it is.
        if len(data) < 126:
            self.transport.write(bytes((first, 0x80 | len(data), 0, 0, 0, 0)) + data)
        else:
            self.transport.write(bytes((first, 0xFE)) + len(data).to_bytes(2, "big") + b"\0\0\0\0" + data)

    def send(self, text: str) -> None:
        self._write(0x81, text.encode())

    def call(self, action: str, due: float | None = None) -> None:
        self.number += 1
        if action == "Flip" and self.flips is not None:
            self.flips.append((self.place, time.time(), ("CHARGING", "AVAILABLE")[self.number % 2]))
        self.waiting = True
        self.sent_at = time.perf_counter() if due is None else due
        name = "StatusNotification" if action == "Flip" else action
        self.send(f'[2,"{self.number}-{id(self):x}","{name}",{payload(action, self.number)}]')

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed"))


class Fleet:
    """All of them."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self.wires: list[Wire] = []
        self.failed: list[str] = []
        self._context: ssl.SSLContext | None = None
        if chosen.tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self.flips: list[tuple[int, float, str]] = []

    async def open(self) -> dict[str, Any]:
        """Connect and boot all, so many at once as a balancer lets through."""
        began = time.perf_counter()
        numbers = iter(range(self._chosen.count))
        await asyncio.gather(*(self._open_some(numbers) for _ in range(self._chosen.at_once)))
        return {
            "opened": len(self.wires), "failed": len(self.failed), "first_error": next(iter(self.failed), ""),
            "seconds": time.perf_counter() - began,
        }  # fmt: skip

    async def _open_some(self, numbers: Any) -> None:
        for number in numbers:
            try:
                wire = await self._open_one(number)
                booted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                wire.when_answered = lambda _, booted=booted: booted.done() or booted.set_result(None)  # type: ignore[misc]
                wire.call("BootNotification")
                async with asyncio.timeout(60):
                    await booted
                wire.when_answered = None
                wire.place, wire.flips = number, self.flips
                self.wires.append(wire)
            except (OSError, TimeoutError) as error:
                self.failed.append(f"{type(error).__name__}: {error}")

    async def _open_one(self, number: int) -> Wire:
        chosen = self._chosen
        identity = f"{chosen.prefix}{number:05}"
        token = base64.b64encode(f"{identity}:{chosen.password}".encode()).decode()
        head = (
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: c2l4dGVlbiBvY3RldHMhIQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: Basic {token}\r\n\r\n"
        ).encode()
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        _, wire = await loop.create_connection(
            lambda: Wire(head, opened), "127.0.0.1", chosen.port, ssl=self._context,
            local_addr=(f"127.0.{1 + number % 8}.{1 + number % 200}", 0),
        )  # fmt: skip
        async with asyncio.timeout(60):
            await opened
        return wire

    async def load(self, action: str, seconds: float, rate: float | None = None) -> dict[str, Any]:
        """Send for a while; return how many were answered and how long that took."""
        times: list[float] = []
        self.flips.clear()
        began = time.perf_counter()
        end = began + seconds
        free = deque(self.wires)

        def answered(wire: Wire) -> None:
            now = time.perf_counter()
            times.append(now - wire.sent_at)
            if rate is not None:
                free.append(wire)
            elif now < end:
                wire.call(action)

        for wire in self.wires:
            wire.when_answered = answered
        if rate is None:
            for wire in self.wires:
                wire.call(action)
            await asyncio.sleep(seconds)
            counted = len(times)
        else:
            await self._paced(action, rate, free, began, end)
            counted = len(times)
        taken = time.perf_counter() - began
        limit = time.perf_counter() + 30
        while any(wire.waiting for wire in self.wires) and time.perf_counter() < limit:
            await asyncio.sleep(0.01)
        for wire in self.wires:
            wire.when_answered = None
        flips = {"flips": self.flips} if action == "Flip" else {}
        return {
            "count": counted,
            "seconds": taken,
            **flips,
            "lost": sum(wire.closed for wire in self.wires),
            **_times(times),
        }

    async def _paced(self, action: str, rate: float, free: deque[Wire], began: float, end: float) -> None:
        sent = 0
        while (now := time.perf_counter()) < end:
            while free and began + sent / rate <= now:
                free.popleft().call(action, began + sent / rate)
                sent += 1
            await asyncio.sleep(0.001)

    async def frames(self, seconds: float) -> dict[str, Any]:
        """Accept what is asked; return when each CALL came, by its message id (seconds since 1970)."""
        came: dict[str, float] = {}

        def note(wire: Wire, frame: list[Any]) -> None:
            came[frame[1]] = time.time()
            answer(wire, frame)

        for wire in self.wires:
            wire.on_call = note
        await asyncio.sleep(seconds)
        return {"came": came}

    async def idle(self, seconds: float) -> dict[str, Any]:
        """Let each send a Heartbeat per minute."""
        began = time.perf_counter()
        sent = 0
        while (passed := time.perf_counter() - began) < seconds:
            while sent < passed / _HEARTBEAT_SECONDS * len(self.wires):
                self.wires[sent % len(self.wires)].call("Heartbeat")
                sent += 1
            await asyncio.sleep(0.02)
        return {"heartbeats": sent, "lost": sum(wire.closed for wire in self.wires)}


def _times(times: list[float]) -> dict[str, float]:
    found = sorted(times) or [0.0]
    return {
        name: found[min(int(len(found) * share), len(found) - 1)] * 1000
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


async def obey(chosen: argparse.Namespace) -> None:
    """Open, then do what is asked until there is nothing more."""
    fleet = Fleet(chosen)
    print(json.dumps(await fleet.open()), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        work = getattr(fleet, asked.pop("do"))
        print(json.dumps(await work(**asked)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--prefix", default="BENCH-")
    parser.add_argument("--password", default="")
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--tls", action="store_true")
    chosen = parser.parse_args()
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(obey(chosen))


if __name__ == "__main__":
    main()
