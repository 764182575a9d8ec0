"""A charge point of OCPP 2.0.1 at a real gateway: the package's client class, the boot states, SEND of 2.1."""

import asyncio
from typing import Any

import pytest
from ocpp.v201 import ChargePoint as PackagePoint
from ocpp.v201 import call
from websockets.typing import Subprotocol

from cpo.gateway.operation_states import OperationState
from tests.gateway_support import PASSWORD, Node, Point, World, eventually
from tests.gateway_support import world_fixture as world_fixture

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "Two", "vendorName": "Simulated"}}
STATUS = {
    "timestamp": "2026-05-01T11:00:00Z",
    "connectorStatus": "Available",
    "evseId": 1,
    "connectorId": 1,
}
REPORT = {"requestId": 1, "generatedAt": "2026-05-01T11:00:00Z", "seqNo": 0}
PROTOCOLS = '["ocpp2.0.1", "ocpp2.1"]'


def of(version: str) -> dict[str, Any]:
    return {"subprotocols": [Subprotocol(f"ocpp{version}")]}


async def refused(point: Point, action: str, payload: dict[str, Any]) -> str:
    """Return the code of the CALLERROR."""
    kind, _, code, *_ = await point.ask([2, f"id-{action}", action, payload])
    assert kind == 4
    return str(code)


@pytest.mark.req("OCPP-02", "OCPP-31", "OCPP-98", "OCPP-125")
def test_a_charge_point_of_the_ocpp_package_boots_and_tells_its_state(world: World) -> None:
    world.add("CP1", PASSWORD, protocols=PROTOCOLS)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, **of("2.0.1")) as point:
            assert point.socket.subprotocol == "ocpp2.0.1"
            cp = PackagePoint("CP1", point.socket)
            listening = asyncio.create_task(cp.start())
            boot = await cp.call(
                call.BootNotification(charging_station={"model": "Two", "vendorName": "Simulated"}, reason="PowerUp")
            )
            assert (boot.status, boot.interval) == ("Accepted", 300)
            assert (await cp.call(call.Heartbeat())).current_time
            await cp.call(
                call.StatusNotification(
                    timestamp=STATUS["timestamp"], connector_status="Available", evse_id=1, connector_id=1
                )
            )
            listening.cancel()

    world.run(scenario)

    assert [(row["protocol"], row["action"]) for row in world.inbox()] == [
        ("2.0.1", "BootNotification"),
        ("2.0.1", "StatusNotification"),
    ]


@pytest.mark.req("OCPP-32")
def test_while_pending_only_reports_and_what_we_asked_for_is_taken(world: World) -> None:
    charge_point = world.add("CP1", PASSWORD, protocols=PROTOCOLS, boot_status="Pending")

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, **of("2.0.1")) as point:
            assert (await point.call("BootNotification", BOOT))["status"] == "Pending"
            assert await refused(point, "StatusNotification", STATUS) == "SecurityError"
            assert await refused(point, "Heartbeat", {}) == "SecurityError"
            assert await refused(point, "SignCertificate", {"csr": "x"}) == "SecurityError"
            assert await point.call("NotifyReport", REPORT) == {}
            operation = world.ask(charge_point, "TriggerMessage", {"requestedMessage": "StatusNotification"})
            _, message_id, action, _ = await point.receive()
            await point.send([3, message_id, {"status": "Accepted"}])
            assert action == "TriggerMessage"
            assert (await world.ended(operation))["state"] == OperationState.ANSWERED
            assert await point.call("StatusNotification", STATUS) == {}
            assert await refused(point, "Heartbeat", {}) == "SecurityError"

    world.run(scenario)

    assert [row["action"] for row in world.inbox()] == ["BootNotification", "NotifyReport", "StatusNotification"]


@pytest.mark.req("OCPP-32")
def test_a_rejected_charge_point_may_only_boot(world: World) -> None:
    world.add("CP1", PASSWORD, protocols=PROTOCOLS, boot_status="Rejected")

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, **of("2.0.1")) as point:
            assert (await point.call("BootNotification", BOOT))["status"] == "Rejected"
            assert await refused(point, "NotifyReport", REPORT) == "SecurityError"

    world.run(scenario)


@pytest.mark.req("OCPP-33")
def test_a_charge_point_that_does_not_introduce_itself_is_asked_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cpo.gateway.server._INTRODUCE_SECONDS", 0.1)
    world.add("CP1", PASSWORD, protocols=PROTOCOLS, boot_data=None)
    world.add("CP2", PASSWORD, protocols=PROTOCOLS)

    async def scenario(node: Node) -> None:
        async with (
            node.connect("CP2", PASSWORD, **of("2.0.1")) as known,
            node.connect("CP1", PASSWORD, **of("2.0.1")) as point,
        ):
            _, _, action, payload = await point.receive()
            assert (action, payload) == ("TriggerMessage", {"requestedMessage": "BootNotification"})
            await known.call("Heartbeat", {})  # the next it hears is the answer: nothing was asked of it

    world.run(scenario)


@pytest.mark.req("OCPP-30")
def test_a_send_of_2_1_is_kept_and_has_no_answer(world: World) -> None:
    world.add("CP1", PASSWORD, protocols=PROTOCOLS)
    stream = {"id": 1, "pending": 0, "basetime": "2026-05-01T11:00:00Z", "data": [{"t": 0.0, "v": "1"}]}

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, **of("2.1")) as point:
            await point.send([6, "s1", "NotifyPeriodicEventStream", stream])
            await point.call("Heartbeat", {})
            await eventually(lambda: bool(world.inbox("NotifyPeriodicEventStream")))

    world.run(scenario)


@pytest.mark.req("OCPP-44")
def test_an_event_that_breaks_the_schema_is_kept_for_the_operator_and_answered(world: World) -> None:
    world.add("CP1", PASSWORD, protocols=PROTOCOLS)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, **of("2.0.1")) as point:
            assert await point.call("TransactionEvent", {"eventType": "Ended"}) == {}
            assert await point.call("MeterValues", {"evseId": "one"}) == {}

    world.run(scenario)

    assert [row["state"] for row in world.inbox()] == ["FAILED", "FAILED"]


@pytest.mark.req("OCPP-14", "OCPP-24", "OCPP-30")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_an_answer_that_is_none_has_a_word_in_2_1_alone(world: World, version: str) -> None:
    charge_point = world.add("CP1", PASSWORD, protocols=PROTOCOLS)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, **of(version)) as point:
            operation = world.ask(charge_point, "ClearCache", {})
            _, message_id, *_ = await point.receive()
            await point.send([3, message_id, {"status": "Perhaps"}])
            if version == "2.1":
                assert (await point.receive())[:3] == [5, message_id, "PropertyConstraintViolation"]
            ended = await world.ended(operation)
            assert ended["state"] == OperationState.INVALID_ANSWER
            await point.send([3, "lost"])
            if version == "2.1":
                assert (await point.receive())[:3] == [5, "lost", "RpcFrameworkError"]
                await point.send([5, "lost", "InternalError", "", {}])  # theirs, about an answer of ours: only noted
            assert (await point.call("Heartbeat", {}))["currentTime"]

    world.run(scenario)
