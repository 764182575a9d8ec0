"""A node tells what it has counted, and keeps when its charge points were connected (OCPP-106, OCPP-107)."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cpo.gateway import moments
from tests.gateway_support import BOOT, PASSWORD, STATUS, Node, World, open_world


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    with open_world() as opened:
        yield opened


@pytest.mark.req("OCPP-106", "OCPP-107")
def test_a_connection_is_counted_and_kept_with_its_end(world: World) -> None:
    point = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as cp:
            await cp.call("BootNotification", BOOT)
            ahead = moments.write(datetime.now(UTC) + timedelta(seconds=100))
            await cp.call("StatusNotification", STATUS | {"timestamp": ahead}, "same")
            await cp.call("StatusNotification", STATUS | {"timestamp": ahead}, "same")
            await cp.ask([2, "x", "StatusNotification", {"connectorId": 1}])
            operation = world.ask(point, "ClearCache", {})
            [_, asked, *_] = await cp.receive()
            await cp.send([3, asked, {"status": "Accepted"}])
            await world.ended(operation)
            text = await asyncio.to_thread(_read, f"{node.http}/metrics")
            await node.gateway.connection_log.write()
            await node.gateway.connection_log.write_clocks(node.gateway.watch.clocks.changed())
            await cp.socket.close(1001, "going to sleep")
        while node.gateway.connections:
            await asyncio.sleep(0.02)
        await node.gateway.connection_log.write()

        for line in (
            'ocpp_connections{profile="1",protocol="1.6",tenant="NL*TNM"} 1.0',
            'ocpp_frames_total{action="StatusNotification",direction="in",result="ok"} 2.0',
            'ocpp_frames_total{action="StatusNotification",direction="in",result="ProtocolError"} 1.0',
            'ocpp_frames_total{action="ClearCache",direction="out",result="ANSWERED"} 1.0',
            'ocpp_duplicates_suppressed_total{action="StatusNotification"} 1.0',
            'ocpp_operation_seconds_count{action="ClearCache"} 1.0',
        ):
            assert line in text.splitlines()

    world.run(scenario)

    [row] = world.rows("SELECT * FROM cpo_chargepointconnection")
    assert (row["charge_point_id"], row["protocol"], row["address"]) == (point, "1.6", "127.0.0.1")
    assert (row["close_code"], row["reason"]) == (1001, "going to sleep")
    assert row["since"] <= row["until"]
    [clock] = world.rows("SELECT clock_offset FROM cpo_chargepoint")
    assert 80 < clock["clock_offset"] <= 100


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 (ours)
        assert answer.headers["Content-Type"].startswith("text/plain")
        text: str = answer.read().decode()
        return text
