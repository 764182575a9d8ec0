"""Habits of charge points: none is asked what it did not expect, and a burst after a remote start is taken whole."""

import asyncio
import json

import pytest

from tests.gateway_support import BOOT, PASSWORD, STATUS, Node, World, start
from tests.gateway_support import world_fixture as world_fixture


@pytest.mark.req("QRK-35")
def test_a_charge_point_that_connects_is_asked_nothing(world: World) -> None:
    """Some break when a GetConfiguration comes right after they connect."""
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        for _ in range(2):  # also when it comes back
            async with node.connect("CP1", PASSWORD) as cp:
                # Each frame that comes is the answer to what was just said: a question of ours would come between.
                assert (await cp.call("BootNotification", BOOT))["status"] == "Accepted"
                await cp.call("StatusNotification", STATUS)
                for _ in range(5):
                    assert "currentTime" in await cp.call("Heartbeat", {})
                with pytest.raises(TimeoutError):
                    await cp.receive(0.3)

    world.run(scenario)

    assert world.rows("SELECT action FROM cpo_operation") == []


@pytest.mark.req("QRK-35")
def test_a_burst_of_messages_after_a_remote_start_is_answered_and_kept_in_order(world: World) -> None:
    """Many send all they have at once, without waiting for the answers."""
    point_id = world.add("CP1", PASSWORD)
    burst = [
        ("StatusNotification", STATUS | {"status": "Preparing"}),
        ("StartTransaction", start()),
        ("StatusNotification", STATUS | {"status": "Charging"}),
        ("MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": start()["timestamp"], "sampledValue": [{"value": "12"}]}]}),
    ]  # fmt: skip

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as cp:
            await cp.call("BootNotification", BOOT)
            operation = world.ask(point_id, "RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 1})
            kind, message_id, action, _ = await cp.receive()
            assert (kind, action) == (2, "RemoteStartTransaction")
            await cp.send([3, message_id, {"status": "Accepted"}])
            for number, (action, payload) in enumerate(burst):
                await cp.send([2, f"burst-{number}", action, payload])
            answers = [await cp.receive() for _ in burst]
            assert {(kind, answered) for kind, answered, _ in answers} == {(3, f"burst-{n}") for n in range(4)}
            assert (await world.ended(operation))["state"] == "ANSWERED"

    world.run(scenario)

    assert [row["action"] for row in world.inbox()] == ["BootNotification", *(action for action, _ in burst)]


@pytest.mark.req("QRK-35")
def test_two_remote_starts_for_two_connectors_keep_their_connectors(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as cp:
            await cp.call("BootNotification", BOOT)
            asked = []
            for connector in (1, 2):
                world.ask(point_id, "RemoteStartTransaction", {"idTag": "TAG1", "connectorId": connector})
                _, message_id, _, payload = await cp.receive()
                asked.append(payload["connectorId"])
                await cp.send([3, message_id, {"status": "Accepted"}])
            assert asked == [1, 2]
            starts = await asyncio.gather(
                *(cp.send([2, f"s{each}", "StartTransaction", start(connectorId=each)]) for each in asked)
            )
            assert len(starts) == 2
            numbers = {(await cp.receive())[2]["transactionId"] for _ in asked}
            assert len(numbers) == 2

    world.run(scenario)

    assert [json.loads(row["payload"])["connectorId"] for row in world.inbox("StartTransaction")] == [1, 2]
