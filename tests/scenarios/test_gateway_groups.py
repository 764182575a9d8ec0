"""Messages of many charge points share commits, whatever their texts; many that wait share one ear."""

import asyncio
import socket
import threading
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cpo.gateway import frames, operation_ear
from cpo.gateway.batches import MOST
from cpo.gateway.frame_log import FrameLog
from cpo.gateway.inbox_writer import GROUP, InboxWriter, Kept, Message
from cpo.gateway.store import Connected, Store
from tests.gateway_support import Node, World
from tests.gateway_support import world_fixture as world_fixture

LIMIT = Path("/proc/sys/net/core/somaxconn")
HARD = ['say "no"', "a\\b", "NULL", "", "{1,2}", "tab\tline\nreturn\r", "\\N", "\\.", "Füße €", "'; --", "\\\\x\\n"]


def message(point: int, payload: str) -> Message:
    return Message(
        charge_point=point,
        epoch=0,
        received_at=datetime.now(UTC),
        protocol="1.6",
        action="StatusNotification",
        message_id=uuid.uuid4().hex,
        payload=payload,
        payload_hash=uuid.uuid4().hex,
        answer=payload,
    )


def add_points(world: World, count: int) -> list[int]:
    rows = world.rows(
        """INSERT INTO cpo_chargepoint (identity, country_code, party_id, protocols)
           SELECT 'CP' || number, 'NL', 'TNM', '[]' FROM generate_series(1, %s) AS number RETURNING id""",
        count,
    )
    return [row["id"] for row in rows]


def keep_all(world: World, messages: list[Message]) -> list[Kept]:
    async def scenario() -> list[Kept]:
        writer = InboxWriter(world.config)
        writer.start()
        try:
            async with asyncio.timeout(60):
                return await asyncio.gather(*(writer.keep(each) for each in messages))
        finally:
            await writer.stop()

    return asyncio.run(scenario())


@pytest.mark.req("OCPP-111", "OCPP-98")
def test_messages_that_come_together_are_committed_together(world: World) -> None:
    count = 2 * GROUP + 50
    points = add_points(world, count)
    kept = keep_all(world, [message(point, "{}") for point in points])
    [found] = world.rows("SELECT count(*) AS rows, count(DISTINCT xmin::text) AS commits FROM cpo_inboxmessage")
    assert found["rows"] == len({each.id for each in kept}) == count
    assert found["commits"] <= 4


@pytest.mark.req("OCPP-110")
def test_charge_points_that_connect_together_share_commits(world: World) -> None:
    points = add_points(world, MOST + 50)

    async def scenario() -> list[Connected]:
        store = Store(world.config)
        await store.open()
        try:
            async with asyncio.timeout(60):
                return await asyncio.gather(
                    *(store.connected(point, protocol="1.6", address="127.0.0.1") for point in points)
                )
        finally:
            await store.close()

    assert {found.epoch for found in asyncio.run(scenario())} == {1}
    [found] = world.rows("SELECT count(*) AS rows, count(DISTINCT xmin::text) AS commits FROM cpo_chargepoint")
    assert found["rows"] == len(points)
    assert found["commits"] <= 3


@pytest.mark.skipif(
    not LIMIT.exists() or int(LIMIT.read_text()) < 500, reason="the kernel keeps fewer connections waiting"
)
@pytest.mark.req("OCPP-110")
def test_connections_that_come_while_the_node_is_busy_are_not_lost(world: World) -> None:
    async def scenario(node: Node) -> None:
        port = int(node.url.rpartition(":")[2].partition("/")[0])
        running = len(asyncio.all_tasks())
        with ExitStack() as opened:
            # Without an await: the node looks at none of them. The kernel leaves the one too many unanswered.
            for _ in range(150):  # asyncio alone would hold 100
                opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        async with asyncio.timeout(60):  # the node sees them off, or what is open at the end is a warning
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 ")
            writer.close()
            await writer.wait_closed()
            while len(asyncio.all_tasks()) > running:
                await asyncio.sleep(0.01)

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-98")
def test_any_text_is_kept_as_it_came(world: World) -> None:
    points = [world.add(f"CP{number}") for number in range(len(HARD))]
    kept = keep_all(world, [message(point, text) for point, text in zip(points, HARD, strict=True)])
    assert [each.answer for each in kept] == HARD
    rows = {row["id"]: row["payload"] for row in world.inbox()}
    assert [rows[each.id] for each in kept] == HARD


@pytest.mark.req("OCPP-29")
def test_any_text_is_logged_as_it_was_on_the_wire(world: World) -> None:
    point = world.add("CP1")

    async def scenario() -> None:
        log = FrameLog(world.config)
        for text in [*HARD, "nothing \x00 there"]:
            log.add(datetime.now(UTC), point, 1, outgoing=True, action="A\\", message_id="\t1", text=text)
        await log.flush()

    asyncio.run(scenario())
    rows = world.rows("SELECT text, action, message_id, outgoing, node FROM cpo_framelog ORDER BY id")
    assert [row.pop("text") for row in rows] == [*HARD, "nothing  there"]
    known = {"action": "A\\", "message_id": "\t1", "outgoing": True, "node": world.config.node}
    assert all(row == known for row in rows)


@pytest.mark.req("OCPP-26")
def test_an_answer_that_is_written_already_goes_out_as_it_is() -> None:
    assert frames.call_result_of('a"b', "{}") == frames.call_result('a"b', {}) == r'[3,"a\"b",{}]'


@pytest.mark.req("OCPP-115")
def test_all_who_wait_for_operations_share_one_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_ear, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(operation_ear, "_LOOK_SECONDS", 0.05)
    ear = operation_ear.Ear()
    ours, other = uuid.uuid4(), uuid.uuid4()
    ready, heard = threading.Barrier(5, timeout=30), []

    def wait() -> None:
        with ear.waiting(ours) as told:
            ready.wait()
            heard.append(told.wait(30))

    threads = [threading.Thread(target=wait) for _ in range(4)]
    with ear.waiting(other) as untold:
        for thread in threads:
            thread.start()
        ready.wait()
        listening = world.rows(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND starts_with(query, 'LISTEN ocpp_op')"
        )
        world.execute("SELECT pg_notify('ocpp_operation_done', %s)", str(ours))
        for thread in threads:
            thread.join(40)
        assert heard == [True] * 4
        assert not untold.is_set()
    assert len(listening) == 1
