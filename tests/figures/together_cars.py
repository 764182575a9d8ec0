"""Cars that charge at all charge points, with cards of both eMSPs, one after the other."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

from websockets.exceptions import ConnectionClosed

from cpo.simulator.charge_point import Behavior, CallFailed, SimulatedChargePoint
from cpo.simulator.energy import Metered

_LOST = (PermissionError, CallFailed, ConnectionError, ConnectionClosed, TimeoutError)


class Cars:
    """Simulated charge points in a thread of their own; `points` maps an identity to its gateway and password."""

    def __init__(self, points: Mapping[str, tuple[str, str]], cards: Sequence[str], chance: random.Random) -> None:
        self._cards, self._chance = cards, chance
        # Less than any of the Connectors gives: what is beyond belief waits for an operator (OCPP-45).
        behavior = Behavior(connectors=2, power_w=3000, seconds_per_minute=0.4, session_minutes=20, answer_seconds=10)
        self._points = [
            SimulatedChargePoint(url, identity, password=password, behavior=behavior)
            for identity, (url, password) in points.items()
        ]
        self._coming = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),), daemon=True)
        self._ended = asyncio.Event()

    def __enter__(self) -> Cars:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(20)
        if not self._thread.is_alive():
            self._loop.close()

    def finish(self, *, seconds: float) -> None:
        """Let no further car come and wait until those that charge have left."""
        self._coming = False
        self._loop.call_soon_threadsafe(lambda: None)
        asyncio.run_coroutine_threadsafe(self._all_left(), self._loop).result(seconds)

    def transactions(self) -> list[tuple[str, Metered]]:
        """Return the accepted transactions that have ended, each with the identity of its charge point."""
        return [
            (point.identity, each)
            for point in self._points
            for each in point.transactions
            if each.accepted and each.stopped_at
        ]

    def finished(self) -> int:
        return len(self.transactions())

    async def _live(self) -> None:
        running = [asyncio.create_task(self._connected(point)) for point in self._points]
        charging = [asyncio.create_task(self._cars_come(point, number)) for point in self._points for number in (1, 2)]
        await self._ended.wait()
        for task in charging:
            task.cancel()
        for point in self._points:
            await point.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *charging, return_exceptions=True)

    async def _connected(self, point: SimulatedChargePoint) -> None:
        while not self._ended.is_set():  # one that was closed runs no more, and does not wait either
            try:
                await point.run()
            except Exception:  # refused while the gateway had no database, for instance: as a real one, again
                await asyncio.sleep(1)

    async def _cars_come(self, point: SimulatedChargePoint, connector: int) -> None:
        await point.booted.wait()
        await asyncio.sleep(self._chance.uniform(0, 3))
        while self._coming:
            try:
                metered = await point.start_local(self._chance.choice(self._cards), connector)
                charging = point.connectors[connector].charging
                if metered.accepted and charging is not None:
                    await asyncio.wait({charging})
            except _LOST:
                await asyncio.sleep(0.5)
            await asyncio.sleep(self._chance.uniform(0.2, 2))

    async def _all_left(self) -> None:
        while any(each.open is not None for point in self._points for each in point.connectors.values()):
            await asyncio.sleep(0.1)
