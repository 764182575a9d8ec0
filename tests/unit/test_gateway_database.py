"""A node whose database is away, or answers and takes nothing: how soon it tries again, and that nothing is dropped."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool.base import AttemptWithBackoff

from cpo.gateway import inbox_writer
from cpo.gateway.bus import Bus
from cpo.gateway.inbox_writer import InboxWriter, Kept, Message
from cpo.gateway.operation_runner import OperationRunner
from cpo.gateway.operation_states import OperationState
from cpo.gateway.store import Store

CONFIG: Any = SimpleNamespace(conninfo="host=127.0.0.1 port=1", store_seconds=60.0)


@pytest.mark.req("REL-05")
def test_however_long_the_database_was_away_its_pool_looks_for_it_within_five_seconds() -> None:
    attempt = AttemptWithBackoff(timeout=Store(CONFIG)._pool.reconnect_timeout)
    pauses, now = [], 0.0
    while not attempt.time_to_give_up(now):  # whoever wants a connection after that begins a new attempt
        attempt.update_delay(now)
        pauses.append(attempt.delay)
        now += attempt.delay

    assert sum(pauses) <= 5


@pytest.mark.req("REL-05")
def test_a_node_that_a_standby_does_not_let_listen_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    async def scenario() -> None:
        bus = Bus("", {}, lambda: asyncio.sleep(0), name="node")
        heard = asyncio.Event()

        async def listen() -> None:
            tries.append(1)
            if len(tries) == 1:
                raise ReadOnlySqlTransaction("cannot execute LISTEN during recovery")
            heard.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(bus, "_listen", listen)
        running = asyncio.create_task(bus.run())
        async with asyncio.timeout(60):
            await asyncio.wait({running, asyncio.create_task(heard.wait())}, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done()
        running.cancel()

    asyncio.run(scenario())


@pytest.mark.req("REL-05", "OCPP-115")
def test_what_a_charge_point_answered_is_noted_once_the_database_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []

    class Standby:
        async def execute(self, _query: str, values: Any) -> int:
            written.append(values)
            if len(written) == 1:
                raise ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction")
            return 1

    runner = object.__new__(OperationRunner)
    monkeypatch.setattr(runner, "_wired", {}, raising=False)
    monkeypatch.setattr(runner, "_store", Standby(), raising=False)

    asyncio.run(runner._settle(uuid.uuid4(), (OperationState.ANSWERED, "{}", "")))

    assert len(written) == 2


@pytest.mark.req("OCPP-98", "REL-05")
def test_what_a_standby_does_not_take_is_kept_by_the_server_that_took_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Any] = []

    class Connection:
        closed = False

        async def close(self) -> None:
            self.closed = True

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *_error: object) -> None:
            await self.close()

    async def connect(_writer: InboxWriter) -> Any:
        opened.append(Connection())
        return opened[-1]

    async def keep(connection: Any, _messages: list[Message], found: dict[int, Kept]) -> None:
        if connection in opened[:2]:
            raise ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")
        found[0] = Kept(7, None, None, repeated=False)

    async def scenario() -> Kept:
        writer = InboxWriter(CONFIG)
        writer.start()
        try:
            async with asyncio.timeout(60):
                return await writer.keep(
                    Message(
                        charge_point=1, epoch=1, received_at=datetime.now(UTC), protocol="1.6", action="MeterValues",
                        message_id="1", payload="{}", payload_hash="", answer="{}",
                    )
                )  # fmt: skip
        finally:
            await writer.stop()

    monkeypatch.setattr(InboxWriter, "_connect", connect)
    monkeypatch.setattr(inbox_writer, "_keep", keep)

    assert asyncio.run(scenario()).id == 7
    assert [connection.closed for connection in opened[:2]] == [True, True]
