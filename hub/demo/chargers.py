"""The charge points of the demo, in a process of their own: they know a WebSocket address and a password, no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

_STATUSES = {"Available": "AVAILABLE", "Preparing": "AVAILABLE", "Charging": "CHARGING", "Finishing": "CHARGING"}


def work(url: str, points: list[dict[str, Any]], telling: Any, stopping: Any) -> Callable[[], None]:
    """Return the work of the charge points' process. Each: {"identity", "password", "evses", "power_w"}."""

    def charge() -> None:
        asyncio.run(_run(url, points, telling, stopping))

    return charge


def power_of(location: dict[str, Any]) -> float:
    """Return what a charge point of this Location gives, in W: a little less than its weakest Connector could."""
    connectors = [connector for evse in location["evses"] for connector in evse["connectors"]]
    return 0.9 * min(
        float(connector.get("max_electric_power") or connector["max_voltage"] * connector["max_amperage"])
        for connector in connectors
    )


async def _run(url: str, points: list[dict[str, Any]], telling: Any, stopping: Any) -> None:
    simulator = import_module("cpo.simulator.charge_point")
    running = []
    for number, point in enumerate(points):
        behavior = simulator.Behavior(
            connectors=len(point["evses"]),
            power_w=point["power_w"],
            seconds_per_minute=0.5,
            answer_seconds=10,
            model=f"Demo {number % 3 + 1}",
        )
        simulated = simulator.SimulatedChargePoint(
            url, point["identity"], password=point["password"], behavior=behavior, seed=number
        )
        _report_statuses(simulated, point["evses"], telling)
        running.append(simulated)
    tasks = [asyncio.create_task(each.run()) for each in running]
    await asyncio.wait([asyncio.create_task(each.booted.wait()) for each in running], timeout=20)
    telling.put({"event": "booted", "count": sum(each.booted.is_set() for each in running)})
    await asyncio.get_running_loop().run_in_executor(None, stopping.wait)
    for each in running:
        await each.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _report_statuses(simulated: Any, evses: list[str], telling: Any) -> None:
    """Note when each StatusNotification leaves the charge point: the beginning of the status latency."""
    call = simulated.link.call

    async def noted(action: str, payload: dict[str, Any]) -> Any:
        if action == "StatusNotification" and payload["connectorId"] > 0:
            status = _STATUSES.get(payload["status"], payload["status"].upper())
            evse = evses[payload["connectorId"] - 1]
            telling.put({"event": "status", "evse": evse, "status": status, "at": time.time()})
        return await call(action, payload)

    simulated.link.call = noted
