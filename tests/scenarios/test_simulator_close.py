"""A simulated charge point that is closed goes offline for good, whatever it was doing."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from cpo.simulator.charge_point import Behavior, SimulatedChargePoint


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
            port = server.sockets[0].getsockname()[1]
            point = SimulatedChargePoint(f"ws://127.0.0.1:{port}/ocpp", "CP1", behavior=Behavior())
            running = asyncio.create_task(point.run())
            await asked.wait()
            await point.close()
            answer.set()

            await asyncio.wait_for(running, 10)

            assert not point.link.online.is_set()

    asyncio.run(scenario())
