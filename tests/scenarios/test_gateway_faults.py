"""Faults of a gateway's own, nodes that go or move, and a database that hangs: what charge points see of it."""

import asyncio
import json
import logging.config
import resource
import uuid
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import psycopg
import pytest
import redis
from websockets.exceptions import ConnectionClosed

from cpo.gateway import __main__ as program
from cpo.gateway import actions, frames, registry, schemas
from cpo.gateway.connection import Connection, NotSent
from cpo.gateway.inbox_writer import InboxWriter
from tests.cutting_proxy import CuttingProxy
from tests.gateway_support import PASSWORD, STATUS, Node, Point, World, eventually, refusal, start, stop
from tests.gateway_support import world_fixture as world_fixture

METER = {
    "connectorId": 1,
    "transactionId": 1,
    "meterValue": [{"timestamp": start()["timestamp"], "sampledValue": [{"value": "1"}]}],
}


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the secret inside")


@pytest.mark.req("OCPP-27", "OCPP-44")
@pytest.mark.parametrize(
    ("action", "payload", "normal"),
    [("StatusNotification", STATUS, False), ("StopTransaction", stop(1), True), ("MeterValues", METER, True)],
)
def test_an_error_of_ours_ends_no_connection_and_costs_no_message(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str, payload: dict[str, Any], normal: bool
) -> None:
    world.add("CP1", PASSWORD)
    handler = actions.V16[action]

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            monkeypatch.setitem(actions.V16, action, replace(handler, answer=broken))
            answer = await point.ask([2, "m1", action, payload])
            assert answer == ([3, "m1", {}] if normal else [4, "m1", "InternalError", "internal error", {}])
            monkeypatch.setitem(actions.V16, action, handler)
            assert await point.ask([2, "m1", action, payload]) == [3, "m1", {}]

    world.run(scenario, decide=None)

    # Parked for an operator, and taken as usual when it comes again.
    rows = world.inbox()
    assert [(row["state"], row["action"], json.loads(row["payload"])) for row in rows] == [
        ("FAILED", action, payload),
        (rows[1]["state"], action, payload),
    ]
    assert rows[1]["state"] != "FAILED"
    assert rows[0]["error"] == "RuntimeError: the secret inside"


@pytest.mark.req("OCPP-27")
def test_a_frame_that_breaks_our_reading_is_answered_and_the_connection_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            with monkeypatch.context() as patched:
                patched.setattr(frames, "_elements", broken)
                for _ in range(2):
                    assert (await point.ask([2, "m1", "Heartbeat", {}]))[:3] == [4, "-1", "InternalError"]
            assert "currentTime" in await point.call("Heartbeat", {})
            await eventually(lambda: bool(world.rows("SELECT FROM cpo_stationevent")))

    world.run(scenario, decide=None)

    # No parked message tells of it, so an event is its alarm: once, however often it happens.
    [event] = world.rows("SELECT kind, critical, seen_at FROM cpo_stationevent")
    assert event == {"kind": "GatewayError", "critical": True, "seen_at": None}


@pytest.mark.req("OCPP-27", "OCPP-39")
@pytest.mark.parametrize("broken_at", ["key", "answer"])
def test_a_start_that_fails_by_our_fault_is_kept_and_has_its_real_id(
    world: World, monkeypatch: pytest.MonkeyPatch, broken_at: str
) -> None:
    world.add("CP1", PASSWORD)
    answers: list[Any] = []
    payload = start()

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            with monkeypatch.context() as patched:
                if broken_at == "key":
                    patched.setattr(actions, "start_key", broken)
                else:
                    patched.setitem(
                        actions.V16, "StartTransaction", replace(actions.V16["StartTransaction"], answer=broken)
                    )
                answers.append(await point.ask([2, "m1", "StartTransaction", payload]))

    world.run(scenario, decide=None, decision_seconds=0.2)

    [row] = world.inbox("StartTransaction")
    assert row["transaction_id"] > 0
    told = {"idTagInfo": {"status": "Invalid"}, "transactionId": row["transaction_id"]}
    assert answers == [[3, "m1", told]]
    # Failed before it was kept, it is parked; failed after, it is applied as any other.
    assert row["state"] == ("FAILED" if broken_at == "key" else "NEW")
    assert json.loads(row["payload"]) == payload


@pytest.mark.req("OCPP-27", "OCPP-98", "OCPP-103")
@pytest.mark.parametrize(
    ("action", "payload"), [("StartTransaction", start()), ("StopTransaction", stop(1)), ("MeterValues", METER)]
)
def test_what_is_billed_and_cannot_even_be_parked_is_not_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str, payload: dict[str, Any]
) -> None:
    world.add("CP1", PASSWORD)

    async def refuses(*_: Any) -> None:
        # Such as a table whose rights were taken away: nothing that passes by itself.
        raise psycopg.errors.InsufficientPrivilege

    async def scenario(node: Node) -> None:
        with monkeypatch.context() as patched:
            async with node.connect("CP1", PASSWORD) as point:
                patched.setattr(InboxWriter, "_write", refuses)
                assert (await point.ask([2, "s", "StatusNotification", STATUS]))[:3] == [4, "s", "InternalError"]
                await point.send([2, "m1", action, payload])
                with pytest.raises(ConnectionClosed):
                    await point.receive()
                assert point.socket.close_code == 1013
        assert world.inbox() == []
        async with node.connect("CP1", PASSWORD) as point:
            assert (await point.ask([2, "m1", action, payload]))[:2] == [3, "m1"]
        await eventually(lambda: bool(world.rows("SELECT FROM cpo_stationevent WHERE kind = 'GatewayError'")))

    world.run(scenario)

    [row] = world.inbox()
    assert (row["action"], json.loads(row["payload"])) == (action, payload)


@pytest.mark.req("OCPP-101", "OCPP-126")
def test_an_operation_follows_a_charge_point_that_moves_before_it_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_id = world.add("CP1", PASSWORD)
    ask = Connection.ask
    moved: list[int] = []
    joined: list[Point] = []

    async def scenario() -> None:
        async with world.node() as first, world.node() as second:
            async with first.connect("CP1", PASSWORD) as old:
                await old.call("Heartbeat", {})
                newer = second.connect("CP1", PASSWORD)

                async def moves_first(connection: Connection, *arguments: Any, **named: Any) -> Any:
                    if not moved:
                        moved.append(connection.epoch)
                        joined.append(await newer.__aenter__())
                        await eventually(lambda: connection.superseded)
                    return await ask(connection, *arguments, **named)

                monkeypatch.setattr(Connection, "ask", moves_first)
                operation = world.ask(point_id, "ClearCache", {})
                with pytest.raises(ConnectionClosed):
                    await old.receive()
                await eventually(lambda: bool(second.gateway.connections))
                [connection] = second.gateway.connections.values()
                assert moved == [connection.epoch - 1]
            _, message_id, action, _ = await joined[0].receive()
            assert (message_id, action) == (str(operation), "ClearCache")
            await joined[0].send([3, message_id, {"status": "Accepted"}])
            ended = await world.ended(operation)
            assert (ended["state"], ended["node"]) == ("ANSWERED", second.gateway.config.node)
            await newer.__aexit__(None, None, None)

    world.run_bare(scenario, decide=None)

    sent = world.rows("SELECT node FROM cpo_framelog WHERE outgoing AND action = 'ClearCache'")
    assert len(sent) == 1


@pytest.mark.req("OCPP-101", "OCPP-126")
def test_an_operation_that_was_on_the_wire_is_never_sent_again(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario() -> None:
        async with world.node() as first, world.node() as second, first.connect("CP1", PASSWORD) as old:
            operation = world.ask(point_id, "ClearCache", {})
            assert (await old.receive())[1] == str(operation)
            async with second.connect("CP1", PASSWORD) as new:
                ended = await world.ended(operation)
                assert ended["state"] == "CONNECTION_LOST"
                following = world.ask(point_id, "ClearCache", {})
                _, message_id, *_ = await new.receive()
                assert message_id == str(following)
                await new.send([3, message_id, {"status": "Accepted"}])
                assert (await world.ended(following))["state"] == "ANSWERED"

    world.run_bare(scenario, decide=None)


@pytest.mark.req("OCPP-101")
def test_an_operation_follows_only_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def never(connection: Connection, *arguments: Any, **named: Any) -> Any:
        raise NotSent

    monkeypatch.setattr(Connection, "ask", never)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD):
            ended = await world.ended(world.ask(point_id, "ClearCache", {}))
            assert (ended["state"], ended["sent_at"] is None) == ("CONNECTION_LOST", False)
            assert "moved twice" in ended["error"]

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-100", "OCPP-101", "OCPP-09")
def test_behind_a_balancer_each_reconnect_may_reach_another_node(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario() -> None:
        async with world.node() as first, world.node() as second:
            names = [first.gateway.config.node, second.gateway.config.node]
            async with CuttingProxy([first.url, second.url]) as balancer:
                behind = Node(0)
                behind.url = balancer.url
                for turn in range(3):
                    async with behind.connect("CP1", PASSWORD) as point:
                        assert await point.call("StatusNotification", STATUS) == {}
                        [record] = world.rows("SELECT node, epoch FROM cpo_chargepoint")
                        assert record == {"node": names[turn % 2], "epoch": turn + 1}
                        operation = world.ask(point_id, "ClearCache", {})
                        _, message_id, *_ = await point.receive()
                        await point.send([3, message_id, {"status": "Accepted"}])
                        assert (await world.ended(operation))["node"] == names[turn % 2]

    world.run_bare(scenario, decide=None)

    assert [row["epoch"] for row in world.inbox()] == [1, 2, 3]


@pytest.mark.req("OCPP-100")
def test_what_a_dead_node_has_left_vanishes_and_is_no_takeover(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    point_id = world.add("CP1", PASSWORD)
    moved_id = world.add("CP2", PASSWORD)
    server = redis.Redis.from_url(world.config.redis_url)
    dead = f"dead-{uuid.uuid4().hex[:6]}"

    def entry(identity: str) -> str:
        fields = {"identity": identity, "node": dead, "epoch": 3, "since": "", "protocol": "1.6", "address": ""}
        return json.dumps(fields)

    async def scenario(node: Node) -> None:
        world.execute("UPDATE cpo_chargepoint SET online = true, node = %s, epoch = 3", dead)
        world.execute("INSERT INTO cpo_gatewaynode (name) VALUES (%s)", dead)
        for identity in ("CP1", "CP2"):
            server.hset(registry.CONNECTIONS, identity, entry(identity))
        # It has been killed this moment: whoever comes back is welcome, however often nodes die.
        for _ in range(6):
            async with node.connect("CP2", PASSWORD) as point:
                await point.call("Heartbeat", {})
            world.execute("UPDATE cpo_chargepoint SET online = true, node = %s WHERE id = %s", dead, moved_id)
        async with node.connect("CP2", PASSWORD) as point:
            await eventually(lambda: json.loads(server.hget(registry.CONNECTIONS, "CP2") or "{}").get("node") != dead)
            await node.gateway._beat()
            assert world.rows("SELECT online FROM cpo_chargepoint WHERE id = %s", point_id) == [{"online": True}]
            world.execute("UPDATE cpo_gatewaynode SET seen_at = seen_at - interval '21 seconds' WHERE name = %s", dead)
            await node.gateway._beat()
            assert world.rows("SELECT online FROM cpo_chargepoint ORDER BY id") == [{"online": False}, {"online": True}]
            assert server.hget(registry.CONNECTIONS, "CP1") is None
            kept = json.loads(server.hget(registry.CONNECTIONS, "CP2") or "")
            assert kept["node"] == node.gateway.config.node
            assert world.rows("SELECT name FROM cpo_gatewaynode") == [{"name": node.gateway.config.node}]
            assert 0 < server.ttl(registry.NODE.format(node.gateway.config.node)) <= 30
            await point.call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-102")
def test_a_draining_node_closes_its_sockets_one_by_one(world: World) -> None:
    names = [f"CP{number}" for number in range(5)]
    ids = {name: world.add(name, PASSWORD) for name in names}

    async def scenario(node: Node) -> None:
        loop = asyncio.get_running_loop()
        opened = [node.connect(name, PASSWORD) for name in names]
        points = [await connecting.__aenter__() for connecting in opened]
        operation = world.ask(ids["CP0"], "ClearCache", {}, timeout_s=20)
        message_id = (await points[0].receive())[1]
        began_at = loop.time()
        ends: dict[int, float] = {}

        async def closed(number: int) -> None:
            await points[number].socket.wait_closed()
            ends[number] = loop.time() - began_at

        waiting = [asyncio.create_task(closed(number)) for number in range(5)]
        draining = asyncio.create_task(node.gateway.drain())
        await asyncio.sleep(0.05)
        assert (await refusal(node, "CP1", PASSWORD)).response.status_code == 503
        # Whose turn has not come is served as ever.
        assert await points[4].call("StatusNotification", STATUS) == {}
        await eventually(lambda: len(ends) == 4)
        # The one with an open operation stays until that is answered; nothing new is asked of it.
        later = world.ask(ids["CP0"], "ClearCache", {}, deliver_later=True)
        await points[0].send([3, message_id, {"status": "Accepted"}])
        await asyncio.gather(*waiting, draining)
        assert (await world.ended(operation))["state"] == "ANSWERED"
        assert world.rows("SELECT state FROM cpo_operation WHERE id = %s", later) == [{"state": "QUEUED"}]
        assert {point.socket.close_code for point in points} == {1012}
        order = [ends[number] for number in (1, 2, 3, 4)]
        assert order == sorted(order)
        assert order[-1] - order[0] >= 0.5  # three pauses of a fifth of two seconds, less what the first close took
        for connecting in opened:
            await connecting.__aexit__(None, None, None)

    world.run(scenario, decide=None, drain_seconds=2, drain_calls_seconds=20)


@pytest.mark.req("OCPP-103")
def test_a_database_that_hangs_is_as_good_as_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("CP1", PASSWORD)
    world.add("CP2", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point, node.connect("CP2", PASSWORD) as other:
            await point.call("StatusNotification", STATUS)

            async def hangs(*_: Any) -> None:
                await asyncio.sleep(3600)

            with monkeypatch.context() as patched:
                patched.setattr(InboxWriter, "_write", hangs)
                began_at = asyncio.get_running_loop().time()
                await point.send([2, "stop", "StopTransaction", stop(1)])
                await other.send([2, "stop", "StopTransaction", stop(2)])
                for each in (point, other):
                    with pytest.raises(ConnectionClosed):
                        await each.receive(40)
                    assert each.socket.close_code == 1013
                assert asyncio.get_running_loop().time() - began_at >= 1.5
        async with node.connect("CP1", PASSWORD) as point:
            assert await point.call("StopTransaction", stop(1)) == {}

    world.run(scenario, decide=None, store_seconds=2)

    assert len(world.inbox("StopTransaction")) == 1


@pytest.mark.req("OCPP-105")
def test_a_record_is_read_again_in_time_even_if_no_note_of_the_change_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            monkeypatch.setattr(node.gateway, "_read_again", AsyncMock())
            world.execute("UPDATE cpo_chargepoint SET boot_status = 'Rejected'")
            await asyncio.sleep(0.2)
            assert await point.call("StatusNotification", STATUS) == {}
            monkeypatch.undo()
            await node.gateway._refresh()
            assert (await point.ask([2, "a", "StatusNotification", STATUS]))[:3] == [4, "a", "SecurityError"]
            world.execute("DELETE FROM cpo_inboxmessage")
            world.execute("DELETE FROM cpo_chargepoint WHERE id = %s", point_id)
            await node.gateway._refresh()
            with pytest.raises(ConnectionClosed):
                await point.receive()
            assert point.socket.close_code == 1008

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-105", "OCPP-05")
def test_a_changed_password_counts_for_the_next_handshake(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
        world.execute("UPDATE cpo_chargepoint SET password_digest = 'hmac$' || repeat('1', 64)")
        assert (await refusal(node, "CP1", PASSWORD)).response.status_code == 401

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-114")
def test_messages_need_no_thread_and_no_validator_is_compiled_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("StatusNotification", STATUS)
            loop = asyncio.get_running_loop()
            with monkeypatch.context() as patched:
                patched.setattr(type(loop), "run_in_executor", broken)
                patched.setattr(schemas, "_compile", broken)
                for number in range(20):
                    assert await point.call("StatusNotification", STATUS | {"info": str(number)}) == {}
                assert "currentTime" in await point.call("Heartbeat", {})

    schemas.check("1.6", "Heartbeat", answer=False)  # as the node asks for it
    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-114")
def test_a_node_runs_on_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    async def serve(_: Any) -> None:
        ran.append(type(asyncio.get_running_loop()).__module__)

    monkeypatch.setattr(program, "serve", serve)
    monkeypatch.setattr(logging.config, "dictConfig", lambda _: None)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        program.main(["--host", "127.0.0.1", "--port", "0"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert ran == ["uvloop"]
