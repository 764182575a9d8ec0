"""What a real gateway asks charge points for: each operation is sent once and ends in one way."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ocpp.routing import on
from ocpp.v16 import ChargePoint as PackagePoint
from ocpp.v16 import call_result, enums

from cpo.gateway import frames, operations
from cpo.gateway_models import ChargePoint, Operation
from tests.gateway_support import (
    PASSWORD,
    Node,
    World,
    free_port,
    listens,
    open_world,
)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    with open_world() as opened:
        yield opened


@pytest.mark.req("OCPP-79", "OCPP-22", "OCPP-23")
def test_the_ocpp_package_answers_a_remote_start_and_a_remote_stop(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    class Point(PackagePoint):  # type: ignore[misc]  # the package has no types
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
        await node.gateway.runner.sweep()
        assert (await world.ended(waiting))["state"] == "EXPIRED"

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-115")
def test_what_was_answered_was_on_the_wire_also_if_the_note_of_that_is_late_or_lost(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)
    world.execute(
        "CREATE FUNCTION lose_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE 'the note is lost' USING ERRCODE = 'query_canceled'; END $$"
    )
    world.execute(
        "CREATE TRIGGER lose_note BEFORE UPDATE OF on_wire_at ON cpo_operation FOR EACH ROW "
        "WHEN (NEW.state = 'SENT' AND NEW.on_wire_at IS NOT NULL) EXECUTE FUNCTION lose_note()"
    )

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            operation = world.ask(point_id, "ClearCache", {})
            message_id = (await point.receive())[1]
            await asyncio.sleep(0.3)
            await point.send([3, message_id, {"status": "Accepted"}])
            ended = await world.ended(operation)
            assert ended["state"] == "ANSWERED"
            assert ended["sent_at"] <= ended["on_wire_at"] <= ended["ended_at"] - timedelta(seconds=0.2)

    try:
        world.run(scenario, decide=None)
    finally:
        world.execute("DROP FUNCTION lose_note CASCADE")


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


@pytest.mark.req("OCPP-79", "OCPP-81", "OCPP-82")
def test_any_process_asks_and_waits_for_the_end(world: World) -> None:
    charge_point = ChargePoint.objects.get(id=world.add("CP1", PASSWORD))
    port = free_port()
    world.start_process(port)
    asyncio.run(listens(port))
    playing = threading.Thread(target=asyncio.run, args=(_accept_everything(Node(port)),))
    playing.start()

    asked = operations.ask(charge_point, "Reset", {"type": "Soft"}, asked_by="test", timeout=10, idempotency_key="once")
    again = operations.ask(charge_point, "Reset", {"type": "Hard"}, asked_by="test", timeout=10, idempotency_key="once")
    began_at = time.monotonic()
    ended = operations.wait(asked.id, 10)
    playing.join(10)

    assert again.id == asked.id
    assert (ended.state, json.loads(ended.answer or "")) == ("ANSWERED", {"status": "Accepted"})
    assert time.monotonic() - began_at < 5


async def _accept_everything(node: Node) -> None:
    async with node.connect("CP1", PASSWORD) as point:
        _, message_id, *_ = await point.receive()
        await point.send([3, message_id, {"status": "Accepted"}])
        await asyncio.sleep(0.2)


@pytest.mark.req("OCPP-22", "OCPP-82")
def test_what_cannot_be_asked_is_refused_before_it_is_queued(world: World) -> None:
    charge_point = ChargePoint.objects.get(id=world.add("CP1", PASSWORD))

    with pytest.raises(frames.PayloadError, match="type"):
        operations.ask(charge_point, "Reset", {"type": "Gentle"}, asked_by="test")
    with pytest.raises(operations.UnknownAction):
        operations.ask(charge_point, "GetVariables", {}, asked_by="test")
    for _ in range(operations.QUEUE):
        operations.ask(charge_point, "ClearCache", {}, asked_by="test")
    with pytest.raises(operations.QueueFull):
        operations.ask(charge_point, "ClearCache", {}, asked_by="test")

    waiting = Operation.objects.filter(charge_point=charge_point)
    assert waiting.count() == operations.QUEUE
    first = waiting.first()
    assert first is not None
    assert operations.cancel(first.id)
    assert not operations.cancel(first.id)
    assert operations.wait(first.id, 0).state == "CANCELLED"
