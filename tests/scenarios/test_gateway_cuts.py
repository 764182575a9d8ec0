"""A bad line between charge point and gateway cuts, doubles and loses frames: the session stays what was metered."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cpo.simulator.charge_point import Behavior, CallFailed, SimulatedChargePoint
from tests.cutting_proxy import CUT_AFTER, CUT_BEFORE, DOUBLE, DROP, PASS, SWAP, CuttingProxy, Fate, Frame
from tests.gateway_support import PASSWORD, STATUS, Node, World, start
from tests.gateway_support import world_fixture as world_fixture


class Once:
    """Does something to a frame the first time its content passes."""

    def __init__(self, fate: Fate, chosen: Callable[[Frame], bool]) -> None:
        self._fate, self._chosen = fate, chosen
        self._contents: dict[str, str] = {}
        self.done: set[str] = set()

    def __call__(self, frame: Frame) -> Fate:
        parts = frame.parts
        if parts[0] == 2:
            self._contents[parts[1]] = json.dumps(parts[2:])
        content = self._contents.get(parts[1], "")
        if not self._chosen(frame) or content in self.done:
            return PASS
        self.done.add(content)
        return self._fate


def answers(frame: Frame) -> bool:
    return frame.direction == "down" and frame.is_answer


def calls(frame: Frame) -> bool:
    return frame.direction == "up" and not frame.is_answer


@pytest.mark.req("OCPP-125", "OCPP-126", "OCPP-98", "OCPP-26", "OCPP-38", "OCPP-42")
@pytest.mark.parametrize(
    ("fate", "chosen", "least"),
    [
        (CUT_BEFORE, answers, 8),
        (CUT_AFTER, calls, 8),
        (CUT_BEFORE, calls, 8),
        (DROP, answers, 8),
        (DOUBLE, calls, 8),
    ],
    ids=[
        "cut before each answer",
        "cut after each call",
        "cut before each call",
        "each answer lost",
        "each call twice",
    ],
)
def test_whatever_the_line_does_once_to_each_frame_the_session_is_what_was_metered(
    world: World, fate: Fate, chosen: Callable[[Frame], bool], least: int
) -> None:
    world.add("CP1", PASSWORD)
    behavior = Behavior(
        seconds_per_minute=0.02,
        session_minutes=4,
        reconnect_seconds=0.02,
        answer_seconds=0.6,
        clock_behind=timedelta(hours=48),
        heartbeat=False,
    )
    rule = Once(fate, chosen)
    points: list[SimulatedChargePoint] = []

    async def scenario(node: Node) -> None:
        async with CuttingProxy([node.url], rule) as proxy:
            point = SimulatedChargePoint(proxy.url, "CP1", password=PASSWORD, behavior=behavior)
            points.append(point)
            running = asyncio.create_task(point.run())
            while not any(each.stopped_at for each in point.transactions):
                try:
                    await point.start_local("TAG1")
                    charging = point.connectors[1].charging
                    if charging is not None:
                        await asyncio.wait({charging})
                except (PermissionError, CallFailed, ConnectionError, TimeoutError):
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            await point.close()
            await asyncio.wait({running}, timeout=5)

    world.run(scenario)

    [metered] = points[0].transactions
    [started] = world.inbox("StartTransaction")
    assert started["transaction_id"] == metered.transaction_id
    # A stop whose answer was lost comes again, with the same content; what is doubled on the way is kept once.
    stops = [json.loads(row["payload"]) for row in world.inbox("StopTransaction")]
    assert all(each == stops[0] for each in stops)
    assert stops[0]["meterStop"] - json.loads(started["payload"])["meterStart"] == metered.energy_wh > 0
    if fate is DOUBLE:
        kept = [row["message_id"] for row in world.inbox() if row["action"] != "BootNotification"]
        assert len(kept) == len(set(kept))
    moments = {json.loads(row["payload"])["meterValue"][0]["timestamp"] for row in world.inbox("MeterValues")}
    assert len(moments) == len(metered.samples)
    assert len(rule.done) >= least


@pytest.mark.req("OCPP-125", "OCPP-21", "OCPP-25")
def test_swapped_and_late_frames_are_answered_each_by_its_id(world: World) -> None:
    world.add("CP1", PASSWORD)

    def rule(frame: Frame) -> Fate:
        if frame.direction == "up" and frame.number == 1:
            return SWAP
        return Fate(delay=0.05) if frame.direction == "down" else PASS

    async def scenario(node: Node) -> None:
        async with CuttingProxy([node.url], rule) as proxy:
            behind = Node(0)
            behind.url = proxy.url
            async with behind.connect("CP1", PASSWORD) as point:
                await point.send([2, "first", "StatusNotification", STATUS])
                await point.send([2, "second", "Heartbeat", {}])
                found: dict[str, Any] = {}
                for _ in range(2):
                    kind, message_id, payload = await point.receive()
                    assert kind == 3
                    found[message_id] = payload
                assert found["first"] == {}
                assert list(found) == ["second", "first"]
                assert "currentTime" in found["second"]

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-126", "OCPP-39", "OCPP-17")
def test_a_start_with_a_tag_that_is_too_long_is_kept_whole_and_gets_its_number(world: World) -> None:
    world.add("CP1", PASSWORD)
    tag = "T" * 64

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            answer = await point.call("StartTransaction", start(idTag=tag))
            assert answer["transactionId"] > 0

    world.run(scenario)

    [row] = world.inbox("StartTransaction")
    assert json.loads(row["payload"])["idTag"] == tag
    assert world.rows("SELECT action FROM cpo_chargepointdeviation") == [{"action": "StartTransaction"}]
