"""Charge points at a real gateway with a real database: handshake, messages, repeats, takeovers, operations."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import urllib3
from ocpp.routing import on
from ocpp.v16 import ChargePoint as PackagePoint
from ocpp.v16 import call, call_result, enums
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request
from websockets.typing import Subprotocol

from cpo.gateway import moments, passwords
from cpo.gateway.handshake import Refused
from cpo.gateway.server import Gateway
from cpo.simulator.charge_point import Behavior, SimulatedChargePoint
from cpo.simulator.energy import Car
from tests.gateway_support import Node, Payload, World, eventually, free_port, open_world

PASSWORD = "0123456789abcdef0123456789abcdef01234567"
BOOT = {"chargePointVendor": "Simulated", "chargePointModel": "One"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    with open_world() as opened:
        yield opened


def start(**changes: Any) -> Payload:
    return {
        "connectorId": 1,
        "idTag": "TAG1",
        "meterStart": 1000,
        "timestamp": moments.write(datetime.now(UTC) - timedelta(seconds=5)),
    } | changes


def stop(transaction_id: int, **changes: Any) -> Payload:
    return {"transactionId": transaction_id, "meterStop": 4500, "timestamp": moments.write(datetime.now(UTC))} | changes


async def refusal(node: Node, identity: str, password: str | bytes | None = None, **options: Any) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as refused:
        async with node.connect(identity, password, **options):
            pass
    return refused.value


# ---------------------------------------------------------------- the way things go well


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


@pytest.mark.req("OCPP-79", "OCPP-22", "OCPP-23")
def test_the_ocpp_package_answers_a_remote_start_and_a_remote_stop(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    class Point(PackagePoint):
        @on("RemoteStartTransaction")
        def starts(self, id_tag: str, **more: Any) -> Any:
            return call_result.RemoteStartTransaction(status=enums.RemoteStartStopStatus.accepted)

        @on("RemoteStopTransaction")
        def stops(self, transaction_id: int) -> Any:
            return call_result.RemoteStopTransaction(status=enums.RemoteStartStopStatus.rejected)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            listening = asyncio.create_task(Point("CP1", point.socket).start())
            began = await world.ended(
                world.ask(point_id, "RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 1})
            )
            assert (began["state"], json.loads(began["answer"])) == ("ANSWERED", {"status": "Accepted"})
            ended = await world.ended(world.ask(point_id, "RemoteStopTransaction", {"transactionId": 1}))
            assert (ended["state"], json.loads(ended["answer"])) == ("ANSWERED", {"status": "Rejected"})
            listening.cancel()

    world.run(scenario)


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
        await eventually(lambda: all(p.transactions and p.transactions[0].stopped_at for p in points), seconds=20)
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


# ---------------------------------------------------------------- who may connect


@pytest.mark.req("OCPP-01", "OCPP-02", "OCPP-03", "OCPP-05", "SEC-60")
def test_wrong_passwords_and_unknown_identities_get_the_same_401(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        wrong = await refusal(node, "CP1", "wrong")
        unknown = await refusal(node, "NOBODY", "wrong")
        none = await refusal(node, "CP1")
        other = await refusal(node, "CP1", PASSWORD, user="CP2")
        for refused in (wrong, unknown, none, other):
            assert refused.response.status_code == 401
            assert refused.response.body == wrong.response.body
        assert (await refusal(node, "CP%201", PASSWORD)).response.status_code == 400
        assert (await refusal(node, "C" * 49, PASSWORD)).response.status_code == 400
        bad = await refusal(node, "CP1", PASSWORD, subprotocols=[Subprotocol("ocpp1.5")])
        assert bad.response.status_code == 400
        assert b"ocpp1.6" in (bad.response.body or b"")
        assert (await refusal(node, "CP1", PASSWORD, subprotocols=None)).response.status_code == 400
        many = [Subprotocol("ocpp2.0"), Subprotocol("ocpp1.6")]
        async with node.connect("cp1", PASSWORD, subprotocols=many) as point:
            assert point.socket.subprotocol == "ocpp1.6"

    world.run(scenario, decide=None)

    [listed] = world.rows("SELECT * FROM cpo_unknownchargepoint")
    assert (listed["identity"], listed["count"], listed["address"]) == ("NOBODY", 1, "127.0.0.1")


@pytest.mark.req("OCPP-05")
@pytest.mark.parametrize("shown", [PASSWORD, PASSWORD.upper(), bytes.fromhex(PASSWORD)], ids=["hex", "HEX", "bytes"])
def test_a_key_may_be_shown_as_hex_text_or_as_bytes(world: World, shown: str | bytes) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", shown) as point:
            assert "currentTime" in await point.call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-05")
def test_a_password_a_person_thought_of_is_compared_too(world: World) -> None:
    world.add("CP1", password_digest=passwords.digest_typed("open sesame"), security_profile=1)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", "open sesame") as point:
            assert "currentTime" in await point.call("Heartbeat", {})
        assert (await refusal(node, "CP1", "open barley")).response.status_code == 401

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-08")
def test_five_wrong_passwords_close_the_door_for_that_pair_only(world: World) -> None:
    world.add("CP1", PASSWORD)
    world.add("CP2", PASSWORD)

    async def scenario(node: Node) -> None:
        codes = [(await refusal(node, "CP1", "wrong")).response.status_code for _ in range(6)]
        assert codes == [401, 401, 401, 401, 401, 429]
        assert (await refusal(node, "CP1", PASSWORD)).response.status_code == 429
        async with node.connect("CP2", PASSWORD) as point:
            await point.call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-04")
def test_a_connection_below_the_profile_is_refused_and_one_above_is_let_in(world: World) -> None:
    world.add("OPEN")
    world.add("TLS", PASSWORD, security_profile=2)

    async def scenario(node: Node) -> None:
        async with node.connect("OPEN") as point:
            await point.call("Heartbeat", {})
        async with node.connect("OPEN", "whatever") as point:
            await point.call("Heartbeat", {})
        assert (await refusal(node, "TLS", PASSWORD)).response.status_code == 401

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-07")
@pytest.mark.parametrize(("proxies", "in_"), [({"127.0.0.1"}, True), (set(), False)], ids=["our proxy", "a stranger"])
def test_a_scheme_named_in_a_header_counts_only_from_our_proxy(world: World, proxies: set[str], in_: bool) -> None:
    world.add("TLS", security_profile=0)
    world.add("TLS2", PASSWORD, security_profile=2)

    async def scenario(node: Node) -> None:
        door = node.gateway._door
        token = base64.b64encode(f"TLS2:{PASSWORD}".encode()).decode()
        headers = Headers(
            {"X-Forwarded-Proto": "https", "Authorization": f"Basic {token}", "Sec-WebSocket-Protocol": "ocpp1.6"}
        )
        try:
            await door.admit(Request("/ocpp/TLS2", headers), "127.0.0.1")
            admitted = True
        except Refused:
            admitted = False
        assert admitted is in_

    world.run(scenario, decide=None, trusted_proxies=frozenset(proxies))


@pytest.mark.req("OCPP-03", "OCPP-31", "OCPP-32")
@pytest.mark.parametrize(("mode", "status", "interval"), [("pending", "Pending", 60), ("accept", "Accepted", 300)])
def test_an_unknown_charge_point_is_taken_in_if_the_setting_says_so(
    world: World, mode: str, status: str, interval: int
) -> None:
    async def scenario(node: Node) -> None:
        async with node.connect("NEW1") as point:
            answer = await point.call("BootNotification", BOOT)
            assert (answer["status"], answer["interval"]) == (status, interval)
            assert await point.call("StatusNotification", STATUS) == {}

    world.run(scenario, decide=None, unknown=mode)

    assert world.rows("SELECT boot_status, party_id FROM cpo_chargepoint") == [
        {"boot_status": status, "party_id": "TNM"}
    ]
    assert len(world.rows("SELECT 1 FROM cpo_unknownchargepoint")) == 1


@pytest.mark.req("OCPP-32", "OCPP-105")
def test_a_rejected_charge_point_may_only_boot_and_a_change_counts_at_once(world: World) -> None:
    point_id = world.add("CP1", PASSWORD, boot_status="Rejected")

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            assert (await point.call("BootNotification", BOOT))["status"] == "Rejected"
            assert (await point.ask([2, "a", "StatusNotification", STATUS]))[:3] == [4, "a", "SecurityError"]
            world.execute("UPDATE cpo_chargepoint SET boot_status = 'Accepted' WHERE id = %s", point_id)
            await asyncio.sleep(0.3)
            assert (await point.call("BootNotification", BOOT))["status"] == "Accepted"
            assert await point.call("StatusNotification", STATUS) == {}

    world.run(scenario, decide=None)

    assert [row["action"] for row in world.inbox()] == ["BootNotification", "BootNotification", "StatusNotification"]


@pytest.mark.req("OCPP-12")
def test_health_and_ready_answer_on_the_same_port(world: World) -> None:
    async def scenario(node: Node) -> None:
        def status(path: str) -> int:
            with urllib3.PoolManager() as pool:
                return pool.request("GET", node.http + path, retries=False).status

        assert await asyncio.to_thread(status, "/health") == 200
        assert await asyncio.to_thread(status, "/ready") == 200
        node.gateway.draining = True
        assert await asyncio.to_thread(status, "/ready") == 503
        assert await asyncio.to_thread(status, "/health") == 200

    world.run(scenario, decide=None)


# ---------------------------------------------------------------- frames


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


# ---------------------------------------------------------------- repeats


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

    world.run(scenario, decide=None, decision_seconds=1.5)


# ---------------------------------------------------------------- takeovers and losses


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


@pytest.mark.req("OCPP-23", "OCPP-79", "OCPP-101")
def test_operations_end_in_exactly_one_way(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:

            async def asked(timeout_s: float = 30) -> tuple[Any, str]:
                operation = world.ask(point_id, "ClearCache", {}, timeout_s=timeout_s)
                return operation, (await point.receive())[1]

            operation, message_id = await asked()
            await point.send([4, message_id, "NotSupported", "no cache", {}])
            ended = await world.ended(operation)
            assert (ended["state"], ended["error"]) == ("CALLERROR", "NotSupported: no cache")

            operation, message_id = await asked()
            await point.send([3, message_id, {"status": "Perhaps"}])
            ended = await world.ended(operation)
            assert (ended["state"], ended["answer"]) == ("INVALID_ANSWER", '{"status": "Perhaps"}')

            operation, _ = await asked(timeout_s=0.2)
            assert (await world.ended(operation))["state"] == "TIMEOUT"

            operation, _ = await asked()
            waiting = world.ask(point_id, "ClearCache", {}, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        lost = await world.ended(operation, 1.5)
        assert lost["state"] == "CONNECTION_LOST"
        assert (await world.ended(waiting))["state"] == "EXPIRED"

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-80")
def test_an_operation_for_a_charge_point_that_is_offline_ends_or_waits(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)
    lost = world.ask(point_id, "Reset", {"type": "Soft"}, created_at=datetime.now(UTC) - timedelta(seconds=6))
    later = world.ask(point_id, "ClearCache", {}, deliver_later=True)

    async def scenario(node: Node) -> None:
        ended = await world.ended(lost)
        assert (ended["state"], ended["error"]) == ("CONNECTION_LOST", "OFFLINE")
        async with node.connect("CP1", PASSWORD) as point:
            _, message_id, action, _ = await point.receive()
            assert action == "ClearCache"
            await point.send([3, message_id, {"status": "Accepted"}])
            assert (await world.ended(later))["state"] == "ANSWERED"

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-101", "OCPP-22")
def test_operations_reach_the_node_that_holds_the_socket_one_after_the_other(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario() -> None:
        async with world.node(), world.node() as holder, holder.connect("CP1", PASSWORD) as point:
            operations = [world.ask(point_id, "ClearCache", {}) for _ in range(3)]
            for _ in operations:
                _, message_id, *_ = await point.receive()
                with pytest.raises(TimeoutError):
                    await point.receive(0.1)
                await point.send([3, message_id, {"status": "Accepted"}])
            assert {(await world.ended(operation))["state"] for operation in operations} == {"ANSWERED"}

    world.run_bare(scenario, decide=None)


@pytest.mark.req("OCPP-11")
def test_a_silent_charge_point_is_pinged_and_a_dead_one_is_cut(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            [connection] = node.gateway.connections.values()
            await asyncio.sleep(3.5)
            assert connection.heard_at > asyncio.get_running_loop().time() - 2.5  # its pongs count
            assert await point.call("StatusNotification", STATUS) == {}
            point.socket.transport.pause_reading()
            await eventually(lambda: not node.gateway.connections)

    world.run(scenario, decide=None, ping_seconds=1, ping_timeout_seconds=1)


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
        world.start_process(port)
        await listens(port)
        [row] = world.inbox("StartTransaction")
        world.execute(
            "UPDATE cpo_inboxmessage SET answer = %s WHERE id = %s", '{"idTagInfo":{"status":"Accepted"}}', row["id"]
        )
        async with node.connect("CP1", PASSWORD) as point:
            answer = await point.call("StartTransaction", asked, "start-again")
            assert answer == {"idTagInfo": {"status": "Accepted"}, "transactionId": row["transaction_id"]}
        world.execute("UPDATE cpo_gatewaynode SET seen_at = seen_at - interval '1 minute'")
        assert (await world.ended(sent))["state"] == "CONNECTION_LOST"

    world.run_bare(scenario, decide=None)

    assert len(world.inbox("StartTransaction")) == 1


async def listens(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise AssertionError("the gateway does not listen")
