"""What the fast lane needs of the world: the asynchronous client within its limits, the database on a few threads.

Of a platform that does not answer, at most OCPI_FORWARDS_PER_PLATFORM requests wait; the next is answered 4003 at once,
so that one that hangs takes neither memory nor time from the others (REL-24).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from hub import doors
from hub.fast_threads import Threads
from ocpi import client, client_async, health, ours, status, wire_async
from ocpi.snapshot import KnownPlatform

log = logging.getLogger(__name__)

Given = ParamSpec("Given")
Result = TypeVar("Result")

# How often it is looked whether the health of a platform has to be written down; `health` itself writes less often.
_NOTE_SECONDS = 1.0


class InFlight:
    """How many requests wait for whom. Used from one event loop."""

    def __init__(self) -> None:
        self.total = 0
        self._by_platform: dict[int, int] = {}

    def enter(self, platform: KnownPlatform) -> None:
        """Count one more.

        :raises ReceiverUnreachable: if too many wait already, for this platform or in all.
        """
        known = ours.known_settings()
        waiting = self._by_platform.get(platform.id, 0)
        if waiting >= known.OCPI_FORWARDS_PER_PLATFORM:
            raise status.ReceiverUnreachable(f"{platform.name} has not answered {waiting} requests yet")
        if self.total >= known.OCPI_FORWARDS:
            raise status.ReceiverUnreachable("The hub waits for too many answers")
        self._by_platform[platform.id] = waiting + 1
        self.total += 1

    def leave(self, platform: KnownPlatform) -> None:
        """Count one less."""
        self.total -= 1
        left = self._by_platform[platform.id] - 1
        if left:
            self._by_platform[platform.id] = left
        else:
            del self._by_platform[platform.id]


class EventLoopDoors(doors.Doors):
    """The doors of one event loop."""

    def __init__(self, threads: Threads) -> None:
        self.in_flight = InFlight()
        self._threads = threads
        self.pool = wire_async.Pool()
        self._background: set[asyncio.Task[Any]] = set()
        self._well_at: dict[int, float] = {}
        self._heard_at: dict[int, float] = {}
        self._rested_at: dict[int, float] = {}

    async def send(
        self, platform: KnownPlatform, method: str, url: str, *, body: bytes | None, headers: dict[str, str],
        timeout: float,
    ) -> client.Answer:  # fmt: skip
        self.in_flight.enter(platform)
        try:
            return await client_async.send(
                self.pool, platform.target(), method, url, body=body, headers=headers, timeout=timeout,
                max_body=doors.most_octets(method),
            )  # fmt: skip
        finally:
            self.in_flight.leave(platform)

    async def run(self, work: Callable[Given, Result], *args: Given.args, **named: Given.kwargs) -> Result:
        return await self._threads.run_with_care(work, *args, **named)

    async def failed(self, platform_id: int, error: str, *, retry_after: float | None = None) -> None:
        self._well_at.pop(platform_id, None)
        await self.run(health.failed, platform_id, error, retry_after=retry_after)

    async def rests(self, platform_id: int, seconds: float) -> None:
        now = time.monotonic()
        if now - self._rested_at.get(platform_id, -_NOTE_SECONDS) >= _NOTE_SECONDS:
            self._rested_at[platform_id] = now
            await self.run(health.rest, platform_id, seconds)

    async def refused(self, platform_id: int, reason: str) -> None:
        await self.run(health.pause, platform_id, reason)

    def succeeded(self, platform_id: int, elapsed: float, now: float | None = None) -> None:
        now = time.monotonic() if now is None else now
        if now - self._well_at.get(platform_id, -_NOTE_SECONDS) >= _NOTE_SECONDS:
            self._well_at[platform_id] = now
            self.behind(self.run(health.succeeded, platform_id, elapsed))

    def heard_from(self, platform: KnownPlatform, now: float | None = None) -> None:
        """Note a valid request from a platform; `now` on `time.monotonic`, from whoever has looked."""
        now = time.monotonic() if now is None else now
        if now - self._heard_at.get(platform.id, -_NOTE_SECONDS) >= _NOTE_SECONDS or platform.connection == "OFFLINE":
            self._heard_at[platform.id] = now
            self.behind(self.run(health.heard_from, platform.id))

    async def settled(self) -> None:
        """Wait for what was left to be done behind the answers."""
        while self._background:
            await asyncio.wait(self._background)

    async def close(self) -> None:
        """Close what waits for its next request."""
        await self.pool.close()

    def behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something be done by and by; `settled` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("the health of a platform could not be noted: %s", error)
