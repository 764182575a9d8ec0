"""A gateway that loses connections, nodes, its database or its life: nothing answered is lost or doubled."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import redis
from websockets.exceptions import ConnectionClosed

from cpo.gateway import registry
from cpo.gateway.server import Gateway
from tests.gateway_support import (
    BOOT,
    PASSWORD,
    STATUS,
    Node,
    World,
    eventually,
    free_port,
    listens,
    refusal,
    start,
    stop,
)
from tests.gateway_support import (
    world_fixture as world_fixture,
)


@pytest.mark.req("OCPP-09", "OCPP-100", "SEC-61")
@pytest.mark.parametrize("nodes", [1, 2])
def test_the_newest_connection_wins_on_whichever_node(world: World, nodes: int) -> None:
    world.add("CP1", PASSWORD)

    async def scenario() -> None:
        async with world.node() as node, world.node() as other:
            second = other if nodes == 2 else node
            async with node.connect("CP1", PASSWORD) as old:
                await old.call("Heartbeat", {})
                async with second.connect("CP1", PASSWORD) as new:
                    with pytest.raises(ConnectionClosed):
                        await old.receive(2)
                    assert old.socket.close_code == 1000
                    assert await new.call("StatusNotification", STATUS) == {}
                    [record] = world.rows("SELECT online, node, epoch FROM cpo_chargepoint")
                    assert record == {"online": True, "node": second.gateway.config.node, "epoch": 2}

    world.run_bare(scenario, decide=None)

    assert [row["epoch"] for row in world.inbox()] == [2]


@pytest.mark.req("OCPP-09")
def test_a_frame_of_an_older_connection_is_not_kept_even_if_nobody_told_its_node(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as old:
            await old.call("Heartbeat", {})
            world.execute("UPDATE cpo_chargepoint SET epoch = epoch + 1")
            await old.send([2, "late", "StatusNotification", STATUS])
            with pytest.raises(ConnectionClosed):
                await old.receive()

    world.run(scenario, decide=None)

    assert world.inbox() == []


@pytest.mark.req("OCPP-09")
def test_an_open_charge_point_that_still_answers_keeps_its_identity(world: World) -> None:
    world.add("OPEN")

    async def scenario() -> None:
        async with world.node() as node, world.node() as other, node.connect("OPEN") as old:
            await old.call("Heartbeat", {})
            for newcomer in (node, other):
                assert (await refusal(newcomer, "OPEN")).response.status_code == 409
            assert "currentTime" in await old.call("Heartbeat", {})

    world.run_bare(scenario, decide=None)


@pytest.mark.req("OCPP-09", "SEC-61")
def test_the_fourth_takeover_in_five_minutes_is_the_last(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        opened = [node.connect("CP1", PASSWORD) for _ in range(5)]
        for connecting in opened:
            await (await connecting.__aenter__()).call("Heartbeat", {})
        assert (await refusal(node, "CP1", PASSWORD)).response.status_code == 429
        for connecting in opened:
            await connecting.__aexit__(None, None, None)

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-11")
def test_a_silent_charge_point_is_pinged_and_a_dead_one_is_cut(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            [connection] = node.gateway.connections.values()
            asked_at = connection.heard_at
            await eventually(lambda: connection.heard_at > asked_at)  # its pongs count
            assert await point.call("StatusNotification", STATUS) == {}
            point.socket.transport.pause_reading()
            await eventually(lambda: not node.gateway.connections)
            point.socket.transport.abort()

    world.run(scenario, decide=None, ping_seconds=0.5, ping_timeout_seconds=0.5)


@pytest.mark.req("OCPP-33")
def test_a_charge_point_nothing_is_known_of_is_asked_to_boot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("CP1", PASSWORD, boot_data=None)
    monkeypatch.setattr("cpo.gateway.server._INTRODUCE_SECONDS", 0.2)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            _, message_id, action, payload = await point.receive()
            assert (action, payload) == ("TriggerMessage", {"requestedMessage": "BootNotification"})
            await point.send([3, message_id, {"status": "Accepted"}])
            await point.call("BootNotification", BOOT)
            await asyncio.sleep(0.2)

    world.run(scenario, decide=None)

    assert world.rows("SELECT boot_data FROM cpo_chargepoint") == [{"boot_data": BOOT}]


@pytest.mark.req("OCPP-102")
def test_a_draining_node_finishes_what_is_open_and_says_1012(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.send([2, "open", "Authorize", {"idTag": "TAG1"}])
            await asyncio.sleep(0.1)
            draining = asyncio.create_task(node.gateway.drain())
            await asyncio.sleep(0.1)
            assert (await refusal(node, "CP1", PASSWORD)).response.status_code == 503
            assert (await point.receive())[:2] == [3, "open"]
            with pytest.raises(ConnectionClosed):
                await point.receive()
            assert point.socket.close_code == 1012
            await draining

    world.run(scenario, decide=None, decision_seconds=0.6)

    assert world.rows("SELECT online FROM cpo_chargepoint") == [{"online": False}]


@pytest.mark.req("OCPP-103")
def test_without_the_database_only_heartbeats_are_answered_and_then_1013(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("StatusNotification", STATUS)

            async def gone(*_: Any, **__: Any) -> Any:
                raise psycopg.OperationalError("gone")

            node.gateway.inbox._connect = gone  # type: ignore[method-assign]
            node.gateway.inbox._write = gone  # type: ignore[method-assign]
            assert "currentTime" in await point.call("Heartbeat", {})
            await point.send([2, "stop", "StopTransaction", stop(1)])
            with pytest.raises(ConnectionClosed):
                await point.receive()
            assert point.socket.close_code == 1013

    world.run(scenario, decide=None, store_seconds=1)

    assert [row["action"] for row in world.inbox()] == ["StatusNotification"]


@pytest.mark.req("OCPP-103", "OCPP-98")
def test_a_database_that_drops_every_connection_costs_no_message(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("StatusNotification", STATUS)
            world.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert await point.call("StatusNotification", STATUS | {"status": "Charging"}) == {}
            operation = world.ask(point_id, "ClearCache", {})
            _, message_id, *_ = await point.receive()
            await point.send([3, message_id, {"status": "Accepted"}])
            assert (await world.ended(operation))["state"] == "ANSWERED"
            await eventually(node.gateway.is_ready)

    world.run(scenario, decide=None)

    assert len(world.inbox("StatusNotification")) == 2


@pytest.mark.req("OCPP-28", "OCPP-21")
def test_a_flood_of_calls_is_slowed_down_and_answered_in_order(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            began_at = asyncio.get_running_loop().time()
            for number in range(300):
                await point.send([2, f"m{number}", "StatusNotification", STATUS])
            assert [(await point.receive())[1] for _ in range(300)] == [f"m{number}" for number in range(300)]
            assert asyncio.get_running_loop().time() - began_at > 0.9

    world.run(scenario, decide=None, frames_per_second=200, frames_burst=100)

    assert [row["message_id"] for row in world.inbox()] == [f"m{number}" for number in range(300)]


@pytest.mark.req("OCPP-103")
def test_losing_redis_costs_no_connection_and_no_answer(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            assert await point.call("StatusNotification", STATUS) == {}

    async def whole() -> None:
        gateway = Gateway(replace(world.config, redis_url="redis://127.0.0.1:1/0", node="no-redis"))
        port = await gateway.start()
        await scenario(Node(port, gateway))
        assert not gateway.is_ready()
        await gateway.stop()

    world.run_bare(whole, decide=None)


@pytest.mark.req("REL-60")
def test_a_node_looks_after_its_part_of_the_registry_more_often_than_every_ten_seconds() -> None:
    assert 0 < registry._BEAT_SECONDS < 10
    assert registry.NODE_SECONDS > 2 * registry._BEAT_SECONDS  # else a living node would pass for a dead one


@pytest.mark.req("REL-60")
def test_a_registry_that_comes_back_empty_is_written_again_by_the_nodes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis began anew while nobody could reach it, and somebody has written our node's own key again."""
    monkeypatch.setattr(registry, "_BEAT_SECONDS", 0.1)
    world.add("CP1", PASSWORD)
    server = redis.Redis.from_url(world.config.redis_url)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD):
            await eventually(lambda: b"CP1" in server.hkeys(registry.CONNECTIONS))
            held, own = node.gateway.registry, registry.NODE.format(node.gateway.config.node)
            held.reachable = False  # as after an error
            server.delete(registry.CONNECTIONS)
            server.set(own, "1")
            await eventually(lambda: b"CP1" in server.hkeys(registry.CONNECTIONS))
            assert held.reachable

    world.run(scenario)


@pytest.mark.req("REL-60", "OCPP-100")
def test_an_emptied_registry_is_written_again_and_nothing_goes_to_another_charge_point(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_BEAT_SECONDS", 0.1)
    points = {identity: world.add(identity, PASSWORD) for identity in ("CP1", "CP2")}
    server = redis.Redis.from_url(world.config.redis_url)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as first, node.connect("CP2", PASSWORD) as second:
            await eventually(lambda: set(server.hkeys(registry.CONNECTIONS)) >= {b"CP1", b"CP2"})
            server.delete(registry.CONNECTIONS, *server.keys(registry.NODE.format("*")))  # all that a flush takes here
            for identity, point in (("CP2", second), ("CP1", first)):
                operation = world.ask(points[identity], "ClearCache", {})
                _, message_id, *_ = await point.receive()
                await point.send([3, message_id, {"status": "Accepted"}])
                assert (await world.ended(operation))["state"] == "ANSWERED"
            await eventually(lambda: set(server.hkeys(registry.CONNECTIONS)) >= {b"CP1", b"CP2"})
            assert json.loads(server.hget(registry.CONNECTIONS, "CP1"))["epoch"] == 1  # type: ignore[arg-type]

    world.run(scenario)


@pytest.mark.req("OCPP-98", "OCPP-126")
def test_killing_the_gateway_between_commit_and_answer_loses_and_doubles_nothing(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)
    asked = start()

    async def scenario() -> None:
        port = free_port()
        node = Node(port)
        process = world.start_process(port)
        await listens(port)
        async with node.connect("CP1", PASSWORD) as point:
            # Nobody decides: the start is committed and waits for its answer.
            await point.send([2, "start", "StartTransaction", asked])
            await eventually(lambda: bool(world.inbox("StartTransaction")))
            sent = world.ask(point_id, "ClearCache", {})
            await point.receive()
            process.kill()
            process.wait()
        world.execute("UPDATE cpo_gatewaynode SET seen_at = seen_at - interval '1 minute'")
        world.start_process(port)
        await listens(port)
        [row] = world.inbox("StartTransaction")
        world.execute(
            "UPDATE cpo_inboxmessage SET answer = %s WHERE id = %s", '{"idTagInfo":{"status":"Accepted"}}', row["id"]
        )
        async with node.connect("CP1", PASSWORD) as point:
            answer = await point.call("StartTransaction", asked, "start-again")
            assert answer == {"idTagInfo": {"status": "Accepted"}, "transactionId": row["transaction_id"]}
        assert (await world.ended(sent))["state"] == "CONNECTION_LOST"

    world.run_bare(scenario, decide=None)

    assert len(world.inbox("StartTransaction")) == 1
