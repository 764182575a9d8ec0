"""What may differ by charge point: how long it may be silent, what its frames may be, which actions are taken."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import ConnectionClosed

from tests.gateway_support import PASSWORD, STATUS, Node, World, eventually
from tests.gateway_support import world_fixture as world_fixture


@pytest.mark.req("OCPP-11")
def test_how_long_silence_lasts_is_a_matter_of_each_charge_point(world: World) -> None:
    silences = {"OWN": (10, 70), "USUAL": (None, 120), "NEVER": (0, 1_000_000)}
    ids = {name: world.add(name, PASSWORD, ping_timeout_seconds=own) for name, (own, _) in silences.items()}

    async def scenario(node: Node) -> None:
        async with AsyncExitStack() as stack:
            points = [await stack.enter_async_context(node.connect(name, PASSWORD)) for name in silences]
            for point in points:
                await point.call("Heartbeat", {})
            held = {name: node.gateway.connections[ids[name]] for name in silences}
            for name, (_, seconds) in silences.items():
                held[name].keep_alive(held[name].heard_at + seconds - 1)
            for point in points:
                await point.call("Heartbeat", {})  # nobody was cut yet
            for name, (_, seconds) in silences.items():
                held[name].heard_at = 2**30 - 0.4  # 70 more than that, minus that, is less than 70
                held[name].keep_alive(held[name].heard_at + seconds)
            await eventually(lambda: list(node.gateway.connections) == [ids["NEVER"]])
            await points[-1].call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-10")
def test_frames_are_as_long_and_as_packed_as_the_record_says(world: World) -> None:
    world.add("PACKED", PASSWORD, compression=True, frame_bytes=2048)
    plain = world.add("PLAIN", PASSWORD)
    long = [2, "long", "DataTransfer", {"vendorId": "com.example", "data": "x" * 3000}]

    async def too_long(point: object) -> None:
        await point.send(long)  # type: ignore[attr-defined]
        with pytest.raises(ConnectionClosed) as closed:
            await point.receive()  # type: ignore[attr-defined]
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009

    async def scenario(node: Node) -> None:
        async with node.connect("PACKED", PASSWORD) as point:
            assert [each.name for each in point.socket.protocol.extensions] == ["permessage-deflate"]
            await point.call("StatusNotification", STATUS)
            await too_long(point)  # of what is unpacked: it was a few octets on its way
        async with node.connect("PACKED", PASSWORD, compression=None) as point:
            assert not point.socket.protocol.extensions
        async with node.connect("PLAIN", PASSWORD) as point:
            assert not point.socket.protocol.extensions
            assert (await point.ask(long))[:2] == [3, "long"]
            await asyncio.to_thread(world.execute, "UPDATE cpo_chargepoint SET frame_bytes = 2048 WHERE id = %s", plain)
            await eventually(lambda: node.gateway.connections[plain].record.frame_bytes == 2048)
            await too_long(point)

    world.run(scenario)


@pytest.mark.req("OCPP-16", "OCPP-44", "OCPP-105")
def test_an_action_that_is_switched_off_is_not_supported_until_it_is_on_again(world: World) -> None:
    off = ["StatusNotification", "MeterValues", "BootNotification"]
    cp = world.add("CP1", PASSWORD, switched_off=json.dumps(off))
    world.add("CP2", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point, node.connect("CP2", PASSWORD) as other:
            assert (await point.ask([2, "1", "StatusNotification", STATUS]))[:3] == [4, "1", "NotSupported"]
            assert (await point.ask([2, "2", "MadeUp", {}]))[:3] == [4, "2", "NotImplemented"]
            # What is billed is never refused, and without its boot a charge point would be nobody.
            assert await point.call("MeterValues", {"connectorId": 1, "meterValue": []}) == {}
            assert await other.call("StatusNotification", STATUS) == {}
            await asyncio.to_thread(world.execute, "UPDATE cpo_chargepoint SET switched_off = '[]' WHERE id = %s", cp)
            await eventually(lambda: node.gateway.connections[cp].record.switched_off == [])
            assert await point.call("StatusNotification", STATUS) == {}

    world.run(scenario, decide=None)
