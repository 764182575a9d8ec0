"""Charge points at a real gateway with a real database: handshake, messages, repeats, takeovers, operations."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from ocpp.v16 import ChargePoint as PackagePoint
from ocpp.v16 import call
from websockets.exceptions import ConnectionClosed

from cpo.simulator.charge_point import Behavior, SimulatedChargePoint
from cpo.simulator.energy import Car
from tests.gateway_support import (
    BOOT,
    PASSWORD,
    STATUS,
    Node,
    World,
    eventually,
    start,
)
from tests.gateway_support import (
    world_fixture as world_fixture,
)


@pytest.mark.req("OCPP-21", "OCPP-31", "OCPP-37", "OCPP-39", "OCPP-98", "OCPP-125")
def test_a_session_of_the_ocpp_package_is_answered_and_kept_in_order(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            cp = PackagePoint("CP1", point.socket)
            listening = asyncio.create_task(cp.start())
            boot = await cp.call(call.BootNotification(charge_point_vendor="Simulated", charge_point_model="One"))
            assert (boot.status, boot.interval) == ("Accepted", 300)
            assert abs(datetime.fromisoformat(boot.current_time) - datetime.now(UTC)) < timedelta(seconds=5)
            await cp.call(call.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
            assert (await cp.call(call.Authorize(id_tag="TAG1"))).id_tag_info == {"status": "Accepted"}
            started = await cp.call(
                call.StartTransaction(connector_id=1, id_tag="TAG1", meter_start=0, timestamp=start()["timestamp"])
            )
            assert started.id_tag_info == {"status": "Accepted"}
            assert 0 < started.transaction_id < 2**31
            await cp.call(
                call.MeterValues(
                    connector_id=1,
                    transaction_id=started.transaction_id,
                    meter_value=[{"timestamp": start()["timestamp"], "sampledValue": [{"value": "12"}]}],
                )
            )
            await cp.call(
                call.StopTransaction(
                    transaction_id=started.transaction_id, meter_stop=20, timestamp=start()["timestamp"], reason="Local"
                )
            )
            assert (await cp.call(call.DataTransfer(vendor_id="com.example"))).status == "UnknownVendorId"
            listening.cancel()

    world.run(scenario)

    assert [row["action"] for row in world.inbox()] == [
        "BootNotification",
        "StatusNotification",
        "Authorize",
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
        "DataTransfer",
    ]


@pytest.mark.req("OCPP-98", "OCPP-79")
def test_simulated_charge_points_meter_what_the_inbox_says(world: World) -> None:
    names = ["DEMO-0001", "DEMO-0002"]
    ids = [world.add(name, PASSWORD) for name in names]
    behavior = Behavior(seconds_per_minute=0.02, session_minutes=20)

    async def scenario(node: Node) -> None:
        points = [SimulatedChargePoint(node.url, name, password=PASSWORD, behavior=behavior) for name in names]
        running = [asyncio.create_task(point.run()) for point in points]
        for point in points:
            await asyncio.wait_for(point.booted.wait(), 10)
        await points[0].plug_in(1, Car(state_of_charge=0.3))
        await points[0].start_local("TAG1")
        asked = world.ask(ids[1], "RemoteStartTransaction", {"idTag": "TAG2", "connectorId": 1})
        assert json.loads((await world.ended(asked))["answer"]) == {"status": "Accepted"}
        await eventually(lambda: all(p.transactions and p.transactions[0].stopped_at for p in points))
        await asyncio.sleep(0.2)
        for point in points:
            [metered] = point.transactions
            [stopped] = [
                json.loads(row["payload"])
                for row in world.inbox("StopTransaction")
                if json.loads(row["payload"])["transactionId"] == metered.transaction_id
            ]
            assert stopped["meterStop"] - metered.meter_start_wh == metered.energy_wh > 1000
            await point.close()
        await asyncio.gather(*running)

    world.run(scenario)


@pytest.mark.req("OCPP-98")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
def test_the_simulation_command_charges_and_reports_what_the_inbox_has(world: World, protocol: str) -> None:
    for number in (1, 2):
        world.add(f"SIM-000{number}", PASSWORD, protocols=json.dumps([f"ocpp{protocol}"]))

    def told(action: str, kind: str) -> int:
        if protocol == "1.6":
            return len(world.inbox(action))
        events = [json.loads(row["payload"]) for row in world.inbox("TransactionEvent")]
        return sum(event["eventType"] == kind for event in events)

    async def scenario(node: Node) -> None:
        command = f"manage.py simulate_charge_points --url {node.url} --count 2 --prefix SIM --password {PASSWORD}"
        options = f"--charge --protocol {protocol} --seconds-per-minute 0.02 --session-minutes 10 --seconds 3 --json"
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command.split(), *options.split(), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        report = json.loads(out.splitlines()[-1])
        assert process.returncode == 0
        assert (report["charge_points"], report["booted"]) == (2, 2)
        # Of each charge point one may have been on its way when it was told to stop.
        starts, stops = told("StartTransaction", "Started"), told("StopTransaction", "Ended")
        assert 2 <= report["sessions"] <= starts + 2
        assert starts <= report["sessions"] + 2
        assert report["finished"] <= stops + 2
        assert stops <= starts
        assert report["energy_wh"] > 0

    world.run(scenario)


@pytest.mark.req("OCPP-13", "OCPP-14", "OCPP-16", "OCPP-25")
def test_broken_frames_are_answered_and_the_connection_stays(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            assert (await point.ask("no json"))[:3] == [4, "-1", "FormationViolation"]
            assert (await point.ask([2, 7, "Heartbeat", {}]))[:3] == [4, 7, "ProtocolError"]
            assert (await point.ask([2, "x", "Nonsense", {}]))[:3] == [4, "x", "NotImplemented"]
            assert (await point.ask([2, "y", "Reset", {"type": "Soft"}]))[:3] == [4, "y", "NotSupported"]
            assert (await point.ask([2, "z", "Authorize", {}]))[:3] == [4, "z", "ProtocolError"]
            await point.send([3, "nobody asked", {}])
            await point.send([4, None])
            assert "currentTime" in await point.call("Heartbeat", {})

    world.run(scenario, decide=None)

    assert world.inbox() == []


@pytest.mark.req("OCPP-10")
@pytest.mark.parametrize(("frame", "code"), [(b"[]", 1003), ("[" + " " * 131_072, 1009)], ids=["binary", "too big"])
def test_binary_and_huge_frames_close_the_connection(world: World, frame: str | bytes, code: int) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.socket.send(frame)
            with pytest.raises(ConnectionClosed):
                await point.receive()
            assert point.socket.close_code == code

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-44", "OCPP-17")
def test_a_stop_that_breaks_the_schema_is_answered_normally_and_parked(world: World) -> None:
    world.add("CP1", PASSWORD, strictness="strict")

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            assert await point.call("StopTransaction", {"transactionId": "seven"}) == {}
            assert await point.call("MeterValues", {"connectorId": 1}) == {}
            assert (await point.ask([2, "s", "StatusNotification", STATUS | {"extra": 1}]))[2] == "FormationViolation"

    world.run(scenario, decide=None)

    assert [(row["action"], row["state"]) for row in world.inbox()] == [
        ("StopTransaction", "FAILED"),
        ("MeterValues", "FAILED"),
    ]


@pytest.mark.req("OCPP-17", "OCPP-19")
def test_lenient_lets_odd_information_pass_unchanged_and_records_it_once(world: World) -> None:
    world.add("CP1", PASSWORD)
    odd = '{"connectorId":1,"errorCode":"Strange","status":"Available","info":"%s","x":{"b":1,"a":0.10}}' % ("i" * 60)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            for message_id in ("one", "two"):
                assert (await point.ask(f'[2,"{message_id}","StatusNotification",{odd}]'))[0] == 3
            assert (await point.ask([2, "t", "StatusNotification", STATUS | {"status": "Odd"}]))[0] == 4
            await asyncio.sleep(0.2)

    world.run(scenario, decide=None)

    assert [row["payload"] for row in world.inbox()] == [odd, odd]
    assert len(world.rows("SELECT * FROM cpo_chargepointdeviation")) == 1


@pytest.mark.req("OCPP-29", "SEC-50")
def test_frames_of_both_directions_are_logged_without_secrets(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {}, "beat")
            secret = {"key": "AuthorizationKey", "value": "5ec2e7"}
            operation = world.ask(point_id, "ChangeConfiguration", secret)
            [_, message_id, _, payload] = await point.receive()
            assert payload == secret
            await point.send([3, message_id, {"status": "Accepted"}])
            await world.ended(operation)

    world.run(scenario, decide=None)

    logged = world.rows("SELECT outgoing, action, message_id, text FROM cpo_framelog ORDER BY id")
    assert [(row["outgoing"], row["action"]) for row in logged] == [
        (False, "Heartbeat"),
        (True, ""),
        (True, "ChangeConfiguration"),
        (False, ""),
    ]
    assert "5ec2e7" not in "".join(row["text"] for row in logged)
    assert logged[0]["text"] == '[2, "beat", "Heartbeat", {}]'


@pytest.mark.req("OCPP-26")
def test_a_repeated_message_id_gets_the_stored_answer_and_is_kept_once(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            first = await point.call("Authorize", {"idTag": "TAG1"}, "same")
            assert await point.call("Authorize", {"idTag": "TAG1"}, "same") == first
            assert (await point.call("Authorize", {"idTag": "BLOCKED"}, "same"))["idTagInfo"]["status"] == "Blocked"
            boots = [await point.call("BootNotification", BOOT, "boot") for _ in range(2)]
            assert boots[0]["currentTime"] < boots[1]["currentTime"]

    world.run(scenario)

    assert [row["action"] for row in world.inbox()] == [
        "Authorize",
        "Authorize",
        "BootNotification",
        "BootNotification",
    ]
    # The two messages that bore one id are recorded; those that were the same message are not.
    deviations = world.rows("SELECT action, kind FROM cpo_chargepointdeviation")
    assert deviations == [{"action": "Authorize", "kind": "message id used again for another message"}]


@pytest.mark.req("OCPP-38", "OCPP-37", "OCPP-126")
def test_a_repeated_start_gets_the_same_transaction_id_on_any_node_and_after_a_restart(world: World) -> None:
    world.add("CP1", PASSWORD)
    asked = start()
    given: list[int] = []

    async def once(message_id: str) -> None:
        async with world.node() as node, node.connect("CP1", PASSWORD) as point:
            given.append((await point.call("StartTransaction", asked, message_id))["transactionId"])
            given.append((await point.call("StartTransaction", asked, message_id + "again"))["transactionId"])

    async def scenario() -> None:
        await once("a")
        await once("b")
        async with world.node() as node, node.connect("CP1", PASSWORD) as point:
            other = await point.call("StartTransaction", asked | {"meterStart": 1001})
            assert other["transactionId"] not in given

    world.run_bare(scenario)

    assert len(set(given)) == 1
    assert len(world.inbox("StartTransaction")) == 2


@pytest.mark.req("OCPP-38", "OCPP-18", "OCPP-126")
def test_starts_of_a_clock_in_1970_are_the_same_for_ten_minutes_only(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            first = await point.call("StartTransaction", start(timestamp="1970-01-01T00:00:05Z"))
            again = await point.call("StartTransaction", start(timestamp="1970-01-01T00:03:00Z"))
            assert again["transactionId"] == first["transactionId"]
            world.execute(
                "UPDATE cpo_inboxmessage SET start_key = split_part(start_key, ':', 1) || ':' || "
                "lpad((split_part(start_key, ':', 2)::bigint - 700)::text, 12, '0')"
            )
            later = await point.call("StartTransaction", start(timestamp="1970-01-01T00:00:05Z"))
            assert later["transactionId"] != first["transactionId"]

    world.run(scenario)


@pytest.mark.req("OCPP-39", "OCPP-73")
def test_without_a_decision_in_time_a_start_still_gets_its_real_id(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            assert await point.call("Authorize", {"idTag": "TAG1"}) == {"idTagInfo": {"status": "Invalid"}}
            answer = await point.call("StartTransaction", start())
            assert answer["idTagInfo"] == {"status": "Invalid"}
            assert answer["transactionId"] > 0

    world.run(scenario, decide=None, decision_seconds=0.2)

    assert [row["gave_up"] for row in world.inbox()] == [True, True]
    assert json.loads(world.inbox()[1]["answer"])["transactionId"] == world.inbox()[1]["transaction_id"]


@pytest.mark.req("OCPP-39")
def test_a_refused_start_gets_a_real_id_too(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            answer = await point.call("StartTransaction", start(idTag="BLOCKED"))
            assert answer["idTagInfo"] == {"status": "Blocked"}
            assert answer["transactionId"] > 0

    world.run(scenario)


@pytest.mark.req("OCPP-21", "OCPP-22")
def test_a_slow_decision_holds_up_neither_operations_nor_other_charge_points(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)
    world.add("CP2", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as slow, node.connect("CP2", PASSWORD) as other:
            await slow.send([2, "first", "Authorize", {"idTag": "TAG1"}])
            await slow.send([2, "second", "Heartbeat", {}])
            assert "currentTime" in await other.call("Heartbeat", {})
            operation = world.ask(point_id, "ClearCache", {})
            kind, message_id, *_ = await slow.receive()
            assert kind == 2
            await slow.send([3, message_id, {"status": "Accepted"}])
            assert (await world.ended(operation))["state"] == "ANSWERED"
            assert [(await slow.receive())[1] for _ in range(2)] == ["first", "second"]

    world.run(scenario, decide=None, decision_seconds=1)
