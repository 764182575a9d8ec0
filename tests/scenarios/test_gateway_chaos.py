"""A gateway that is killed again and again under load: sessions and energy are exactly those of the charge points."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.gateway.inbox_writer import InboxWriter, Message
from cpo.simulator.charge_point import Behavior, CallFailed, SimulatedChargePoint
from tests.gateway_support import PASSWORD, Node, World, free_port, listens
from tests.gateway_support import world_fixture as world_fixture

POINTS = 8
KILLS = 3
SESSIONS = 2


async def charge(point: SimulatedChargePoint, sessions: int) -> None:
    """Charge one car after the other, however often the line breaks."""
    while len(point.transactions) < sessions:
        try:
            metered = await point.start_local("TAG1")
        except (PermissionError, CallFailed, ConnectionError, TimeoutError):
            continue
        assert metered.accepted
        charging = point.connectors[1].charging
        if charging is not None:
            await charging


@pytest.mark.req("OCPP-98", "OCPP-38", "OCPP-126")
def test_killing_the_gateway_under_load_loses_and_doubles_no_session_and_no_energy(world: World) -> None:
    names = [f"SIM-{number}" for number in range(POINTS)]
    for name in names:
        world.add(name, PASSWORD)
    behavior = Behavior(
        seconds_per_minute=0.05,
        session_minutes=30,
        reconnect_seconds=0.2,
        answer_seconds=20,
        clock_behind=timedelta(hours=48),
    )
    points: list[SimulatedChargePoint] = []

    async def scenario() -> None:
        port = free_port()
        node = Node(port)
        process = world.start_process(port)
        await listens(port)
        points.extend(SimulatedChargePoint(node.url, name, password=PASSWORD, behavior=behavior) for name in names)
        running = [asyncio.create_task(point.run()) for point in points]
        charging = [asyncio.create_task(charge(point, SESSIONS)) for point in points]
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.3, 1.0))
            process.kill()
            process.wait()
            process = world.start_process(port)
            await listens(port)
        await asyncio.gather(*charging)
        for point in points:
            await point.close()
        await asyncio.gather(*running)

    world.run_bare(scenario)

    metered = {one.transaction_id: one for point in points for one in point.transactions}
    starts = {row["transaction_id"]: json.loads(row["payload"]) for row in world.inbox("StartTransaction")}
    stops: dict[int, dict[str, Any]] = {}
    for row in world.inbox("StopTransaction"):
        # A stop whose answer was cut off comes twice, with the same content.
        payload = json.loads(row["payload"])
        assert stops.setdefault(payload["transactionId"], payload) == payload
    assert len(metered) == POINTS * SESSIONS == len(world.inbox("StartTransaction"))
    assert metered.keys() == starts.keys() == stops.keys()
    assert {number: stops[int(number)]["meterStop"] - starts[number]["meterStart"] for number in metered} == {
        number: one.energy_wh for number, one in metered.items()
    }
    assert sum(one.energy_wh for one in metered.values()) > 0


@pytest.mark.req("OCPP-38", "OCPP-37")
def test_the_same_start_kept_by_two_nodes_at_once_is_one_start(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)
    writers = [InboxWriter(world.config) for _ in range(2)]

    def message(number: int, writer: int) -> Message:
        return Message(
            charge_point=point_id,
            epoch=0,
            received_at=datetime.now(UTC),
            protocol="1.6",
            action="StartTransaction",
            message_id=f"{number}/{writer}",
            payload="{}",
            payload_hash=str(number),
            answer=None,
            start_key=f"start {number}",
        )

    async def scenario() -> None:
        for writer in writers:
            writer.start()
        for number in range(30):
            first, second = await asyncio.gather(
                *(writer.keep(message(number, place)) for place, writer in enumerate(writers))
            )
            assert (first.id, first.transaction_id) == (second.id, second.transaction_id)
            assert first.repeated is not second.repeated
        for writer in writers:
            await writer.stop()

    world.run_bare(scenario, decide=None)

    assert len(world.inbox()) == 30
