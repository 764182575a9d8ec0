"""A gateway that is told to stop ends soon and cleanly, whatever is under way, hangs or is gone in that moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from cpo.gateway import ending
from cpo.gateway.decisions import Decisions
from cpo.gateway.server import Gateway
from cpo.gateway.store import Store
from tests.gateway_support import PASSWORD, STATUS, Node, World, eventually, free_port, listens, start
from tests.gateway_support import world_fixture as world_fixture

# More than all limits of a stop together; the gateway's watchdog would end it before, but with exit code 1.
LIMIT_SECONDS = 25


@pytest.mark.req("OCPP-102", "OCPP-98")
def test_a_gateway_under_load_ends_in_time_with_exit_code_0(world: World) -> None:
    names = [f"CP{number}" for number in range(5)]
    ids = [world.add(name, PASSWORD) for name in names]

    async def scenario() -> None:
        port = free_port()
        process = world.start_process(port, OCPP_DRAIN_SECONDS="1")
        await listens(port)
        node = Node(port)
        _, silent = await asyncio.open_connection("127.0.0.1", port)  # never asks for anything
        async with AsyncExitStack() as stack:
            points = [await stack.enter_async_context(node.connect(name, PASSWORD)) for name in names]
            await points[0].call("StatusNotification", STATUS)
            # Nobody decides: the start stays open. Nobody answers the operation. One charge point reads nothing.
            await points[1].send([2, "open", "StartTransaction", start()])
            operation = world.ask(ids[2], "ClearCache", {})
            assert (await points[2].receive())[2] == "ClearCache"
            points[3].socket.transport.pause_reading()
            chatter = asyncio.create_task(_chat(points[4].call))
            await eventually(lambda: bool(world.inbox("StartTransaction")), seconds=30)
            process.terminate()
            told_at = time.monotonic()
            assert await asyncio.to_thread(process.wait, LIMIT_SECONDS) == 0
            # A silent socket used to hold it up for the 20 seconds a handshake may take.
            assert time.monotonic() - told_at < 15
            chatter.cancel()
            await asyncio.gather(chatter, return_exceptions=True)
            points[3].socket.transport.resume_reading()
        silent.close()
        assert (await world.ended(operation))["state"] == "CONNECTION_LOST"

    world.run_bare(scenario, decide=None)

    assert world.rows("SELECT * FROM cpo_gatewaynode") == []
    assert world.rows("SELECT * FROM cpo_chargepoint WHERE online") == []


async def _chat(call: Callable[[str, dict[str, Any]], Awaitable[Any]]) -> None:
    while True:
        await call("StatusNotification", STATUS)


@pytest.mark.req("OCPP-98", "OCPP-103")
def test_a_gateway_stops_while_the_database_does_not_answer(world: World) -> None:
    world.add("CP1", PASSWORD)
    parts = dict(part.split("=", 1) for part in world.conninfo.split())
    frozen, served = asyncio.Event(), []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A database that answers until it is frozen, and then keeps its connections without a word.
        far_reader, far_writer = await asyncio.open_connection(parts["host"].strip("'"), int(parts["port"]))
        served.extend([writer, far_writer])

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if not frozen.is_set():
                    target.write(data)

        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer), return_exceptions=True)

    async def scenario() -> None:
        between = await asyncio.start_server(relay, "127.0.0.1", 0)
        port = between.sockets[0].getsockname()[1]
        conninfo = f"{world.conninfo} host=127.0.0.1 port={port}"
        gateway = Gateway(replace(world.config, conninfo=conninfo, frame_log=True))
        node = Node(await gateway.start(), gateway)
        await eventually(gateway.is_ready, seconds=30)
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("StatusNotification", STATUS)
            frozen.set()
            await point.send([2, "kept nowhere", "StatusNotification", STATUS])
            await asyncio.wait_for(gateway.stop(), LIMIT_SECONDS)
        assert gateway.connections == {}
        between.close()
        for writer in served:
            writer.transport.abort()

    world.run_bare(scenario, decide=None)


@pytest.mark.req("OCPP-98")
def test_a_cancellation_together_with_a_decision_ends_the_loop(world: World) -> None:
    async def ended_after(turns: int) -> bool:
        store = Store(world.config)
        await store.open()
        decisions = Decisions(store)
        loop = asyncio.create_task(decisions.run())
        waiting = asyncio.create_task(decisions.wait(1, 9))
        for _ in range(10):
            await asyncio.sleep(0)
        decisions.hear("1")
        for _ in range(turns):
            await asyncio.sleep(0)
        loop.cancel()
        done, _ = await asyncio.wait({loop}, timeout=5)
        await ending.cancel([loop, waiting], 5)
        await store.close()
        return bool(done)

    async def scenario() -> None:
        for turns in range(4):
            assert await ended_after(turns), turns

    world.run_bare(scenario, decide=None)


@pytest.mark.req("OCPP-98")
def test_a_task_that_loses_cancellations_is_cancelled_again() -> None:
    lost = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.append(True)
                if len(lost) == 3:
                    raise

    async def scenario() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await ending.cancel([task], 30)
        assert task.cancelled()
        assert len(lost) == 3

    asyncio.run(scenario())
