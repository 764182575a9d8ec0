"""What charge points cost while they only rest, and what stands between an operation and a socket on another node.

Neither is timed: memory is weighed, and the work that would take the time is counted.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from cpo.gateway import operation_runner, passwords
from cpo.gateway.connection import Connection
from cpo.gateway.operation_runner import OperationRunner
from cpo.gateway.store import Store
from tests.fixtures import Side
from tests.gateway_support import BOOT, PASSWORD, Node, Point, World, free_port, listens, open_world
from tests.operation_api import caller

_KIB_PER_CONNECTION = 40  # 400 MiB for ten thousand
_WARM, _RESTING = 40, 300
_INSERT = 'INSERT INTO "cpo_operation"'
_ASKING_STATEMENTS = 8


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    with open_world() as opened:
        yield opened


def _add_points(world: World, count: int) -> None:
    world.execute(
        """INSERT INTO cpo_chargepoint (identity, country_code, party_id, protocols, security_profile,
               password_digest, boot_data)
           SELECT 'CP' || number, 'NL', 'TNM', '["ocpp1.6"]', 1, %s, '{}' FROM generate_series(1, %s) AS number""",
        passwords.digest(PASSWORD, world.config.secret_key),
        count,
    )


async def _connect(stack: AsyncExitStack, node: Node, numbers: range, *, boot: bool) -> list[Point]:
    """Connect charge points that say nothing of their own accord."""
    found = []
    for number in numbers:
        point = await stack.enter_async_context(node.connect(f"CP{number}", PASSWORD, ping_interval=None))
        if boot:
            await point.call("BootNotification", BOOT)
            await point.call("Heartbeat", {})
        found.append(point)
    return found


def _kib(pid: int) -> int:
    """Return the memory that a process has to itself."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.M))


@pytest.mark.req("OCPP-109")
@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/smaps_rollup").exists(), reason="needs the memory figures of Linux")
def test_a_connection_at_rest_takes_forty_kibibytes_at_most(world: World) -> None:
    _add_points(world, _WARM + _RESTING)
    port = free_port()
    process = world.start_process(port)

    async def scenario() -> None:
        await listens(port)
        async with AsyncExitStack() as stack:
            # The first ones bring in what all others share: schemas, connections to the database, caches.
            await _connect(stack, Node(port), range(1, _WARM + 1), boot=True)
            before = _kib(process.pid)
            await _connect(stack, Node(port), range(_WARM + 1, _WARM + _RESTING + 1), boot=True)
            each = (_kib(process.pid) - before) / _RESTING
            assert 0 < each <= _KIB_PER_CONNECTION, f"{each:.1f} KiB per connection"

    world.run_bare(scenario, decide=None)


def _timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)


@pytest.mark.req("OCPP-109")
def test_a_connection_at_rest_has_no_timer_and_one_task_and_asks_the_database_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = 5, 105
    _add_points(world, many)
    statements: list[str] = []
    run = Store._run

    async def counted(store: Store, query: str, *values: Any) -> Any:
        statements.append(query)
        return await run(store, query, *values)

    async def scenario(node: Node) -> None:
        async with AsyncExitStack() as stack:
            points = await _connect(stack, node, range(1, few + 1), boot=False)
            await asyncio.sleep(0.1)
            timers, tasks = _timers(), len(asyncio.all_tasks())
            points += await _connect(stack, node, range(few + 1, many + 1), boot=False)
            await asyncio.sleep(0.1)
            # One that waits for its next frame; what comes and goes by itself has a few more or less.
            assert _timers() - timers < (many - few) / 2
            assert len(asyncio.all_tasks()) - tasks < (many - few) * 1.5

            kept = len(world.inbox())
            monkeypatch.setattr(Store, "_run", counted)
            for point in points:
                await point.call("Heartbeat", {})
            beats = len(statements)
            tasks = len(asyncio.all_tasks())
            await node.gateway._keep_alive()
            assert len(asyncio.all_tasks()) == tasks  # nobody who has been heard is pinged
            statements.clear()
            await node.gateway._refresh()
            assert (len(world.inbox()), beats < few, len(statements) < few) == (kept, True, True), statements

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-112")
def test_an_operation_goes_to_the_socket_on_another_node_by_one_note_and_one_claim(
    side: Side, settings: Settings, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for it by himself: told by the database, the node that has the socket claims it and sends it."""
    side("cpo", parties=["NL*TNM:CPO"])
    settings.ROOT_URLCONF = "cpo.operation_urls"
    world.add("CP-1", PASSWORD)
    api = caller()
    steps: list[str] = []
    run, send = Store._run, Connection._send

    async def never(runner: OperationRunner) -> None:
        """Find nothing that no note has told of."""

    async def counted(store: Store, query: str, *values: Any) -> Any:
        steps.append(query)
        return await run(store, query, *values)

    async def sent(connection: Connection, text: str, **more: Any) -> None:
        steps.append("frame")
        await send(connection, text, **more)

    def ask() -> tuple[int, list[str]]:
        try:
            with CaptureQueriesContext(connection) as captured:
                answer = api.post("charge-points/CP-1/operations", {"action": "ClearCache"})
            return answer.status, [query["sql"] for query in captured]
        finally:
            connection.close()

    async def scenario() -> None:
        async with world.node(), world.node() as holder, holder.connect("CP-1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            await asyncio.sleep(0.1)
            monkeypatch.setattr(Store, "_run", counted)
            monkeypatch.setattr(Connection, "_send", sent)
            asking = asyncio.create_task(asyncio.to_thread(ask))
            _, message_id, action, _ = await point.receive()
            assert action == "ClearCache"
            before = [step for step in steps[: steps.index("frame")] if step != operation_runner._WAITING]
            assert [step for step in before if "cpo_operation" in step] == [operation_runner._CLAIM]
            status, asked = await asking
            assert status == 202
            await point.send([3, message_id, {"status": "Accepted"}])

            written = next(
                place for place, query in enumerate(asked) if query.startswith('INSERT INTO "cpo_operation"')
            )
            committed = asked.index("COMMIT", written)
            assert sum(query == "COMMIT" for query in asked[: committed + 1]) == 1
            assert committed <= _ASKING_STATEMENTS, asked

    monkeypatch.setattr(OperationRunner, "sweep", never)
    world.run_bare(scenario, decide=None)
