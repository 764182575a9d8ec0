"""The charge points of the demo, in a process of their own: they know a WebSocket address and a password, no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

_STATUSES = {"Available": "AVAILABLE", "Preparing": "AVAILABLE", "Charging": "CHARGING", "Finishing": "CHARGING"}


def work(url: str, points: list[dict[str, Any]], telling: Any, stopping: Any) -> Callable[[], None]:
    """Return the work of the charge points' process. Each: {"identity", "protocol", "password", "evses", "power_w"}."""

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
    simulator, stations = import_module("cpo.simulator.charge_point"), import_module("cpo.simulator.station")
    kinds = {"1.6": simulator.SimulatedChargePoint, "2.0.1": stations.SimulatedStation}
    running, epoch = [], simulator.Epoch()
    for number, point in enumerate(points):
        behavior = simulator.Behavior(
            connectors=len(point["evses"]),
            power_w=point["power_w"],
            seconds_per_minute=0.5,
            answer_seconds=10,
            epoch=epoch,
            model=f"Demo {number % 3 + 1}",
        )
        kind = kinds[point["protocol"]]
        simulated = kind(url, point["identity"], password=point["password"], behavior=behavior, seed=number)
        _report_statuses(simulated, point["evses"], telling)
        running.append(simulated)
    tasks = [asyncio.create_task(each.run()) for each in running]
    await asyncio.wait([asyncio.create_task(each.booted.wait()) for each in running], timeout=20)
    booted = [each for each in running if each.booted.is_set()]
    newer = sum(isinstance(each, kinds["2.0.1"]) for each in booted)
    telling.put({"event": "booted", "count": len(booted), "ocpp201": newer})
    await asyncio.get_running_loop().run_in_executor(None, stopping.wait)
    for each in running:
        await each.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _report_statuses(simulated: Any, evses: list[str], telling: Any) -> None:
    """Note when each message that changes a status leaves the charge point: the beginning of the status latency."""
    call = simulated.link.call

    async def noted(action: str, payload: dict[str, Any]) -> Any:
        found = _status_in(action, payload)
        if found is not None:
            number, status = found
            telling.put({"event": "status", "evse": evses[number - 1], "status": status, "at": time.time()})
        return await call(action, payload)

    simulated.link.call = noted


def _status_in(action: str, payload: dict[str, Any]) -> tuple[int, str] | None:
    """Return which connector has which Status by a message, of either OCPP version, if it says one."""
    if action == "TransactionEvent":
        return (payload["evse"]["id"], "CHARGING") if payload["eventType"] == "Started" else None
    if action != "StatusNotification":
        return None
    number = payload.get("connectorId", 0) if "status" in payload else payload["evseId"]
    said = payload.get("status") or payload["connectorStatus"]
    # An EVSE that is Occupied is what its transaction makes of it.
    return None if number == 0 or said == "Occupied" else (number, _STATUSES.get(said, said.upper()))
