"""A simulated charge point that is closed goes offline for good, whatever it was doing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from cpo.simulator.charge_point import Behavior, SimulatedChargePoint
from tests.commands_support import whole_minute
from tests.cpo_support import stamp

_SECONDS = 10  # says only that something hangs
ANSWERS: dict[str, dict[str, Any]] = {
    "BootNotification": {"status": "Accepted", "interval": 300, "currentTime": "2026-03-02T09:00:00Z"},
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
}


class CentralSystem:
    """Answers everything as a charge point hopes, and says when it has answered a status."""

    def __init__(self) -> None:
        self.statuses: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, socket: ServerConnection) -> None:
        async for text in socket:
            kind, message_id, *call = json.loads(text)
            if kind != 2:
                continue
            action, payload = call
            await socket.send(json.dumps([3, message_id, ANSWERS.get(action, {})]))
            if action == "StatusNotification" and payload["connectorId"]:
                self.statuses.put_nowait(payload["status"])

    async def shown(self, status: str) -> None:
        async with asyncio.timeout(_SECONDS):
            while await self.statuses.get() != status:
                pass


def point_at(server: Server, **behavior: Any) -> SimulatedChargePoint:
    port = server.sockets[0].getsockname()[1]
    return SimulatedChargePoint(f"ws://127.0.0.1:{port}/ocpp", "CP1", behavior=Behavior(**behavior))


def test_a_charge_point_that_is_closed_while_it_connects_ends() -> None:
    async def scenario() -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def hold(connection: ServerConnection, request: Request) -> Response | None:
            asked.set()
            await answer.wait()
            return None

        async def stay(connection: ServerConnection) -> None:
            await connection.wait_closed()

        async with serve(stay, "127.0.0.1", 0, process_request=hold, subprotocols=["ocpp1.6"]) as server:  # type: ignore[list-item]
            point = point_at(server)
            running = asyncio.create_task(point.run())
            await asked.wait()
            await point.close()
            answer.set()

            await asyncio.wait_for(running, _SECONDS)

            assert not point.link.online.is_set()

    asyncio.run(scenario())


@pytest.mark.parametrize("status", ["Charging", "Finishing", "Reserved"])
def test_a_charge_point_that_is_closed_has_nothing_left_to_do(status: str) -> None:
    async def scenario() -> None:
        central, before = CentralSystem(), asyncio.all_tasks()
        async with serve(central.serve, "127.0.0.1", 0, subprotocols=["ocpp1.6"]) as server:  # type: ignore[list-item]
            point = point_at(server)
            running = asyncio.create_task(point.run())
            await asyncio.wait_for(point.booted.wait(), _SECONDS)
            await bring_to(point, status)
            await central.shown(status)

            await point.close()
            await asyncio.wait_for(running, _SECONDS)

        assert point.connectors[1].status == status
        assert asyncio.all_tasks() == before

    asyncio.run(scenario())


async def bring_to(point: SimulatedChargePoint, status: str) -> None:
    if status == "Reserved":
        ends = {"expiryDate": stamp(whole_minute()), "reservationId": 1}
        assert point.reservations.reserve({"connectorId": 1, "idTag": "T", **ends}) == "Accepted"
        return
    await point.start_local("T")
    if status == "Finishing":
        point.connectors[1].stopping = "Local"
