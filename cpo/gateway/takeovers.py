"""The newest connection of a charge point wins, whichever node it is on (OCPP-09); an open one must be gone first."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from cpo.gateway.connection import Connection
from cpo.gateway.store import Record, Store

_PROBE_SECONDS = 5


class Takeovers:
    """What nodes tell each other about who holds a charge point."""

    def __init__(
        self,
        node: str,
        store: Store,
        holds: Callable[[int], Connection | None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._node = node
        self._store = store
        self._holds = holds
        self._spawn = spawn
        self._asked: dict[str, asyncio.Future[bool]] = {}

    def hear_connection(self, note: str) -> None:
        charge_point, epoch, _node = note.split(" ")
        connection = self._holds(int(charge_point))
        if connection is not None and connection.epoch < int(epoch):
            connection.supersede()

    def hear_ping(self, note: str) -> None:
        charge_point, question, holder = note.split(" ")
        connection = self._holds(int(charge_point))
        if connection is not None and not connection.superseded:
            self._spawn(self._answer_ping(connection, question))
        elif holder == self._node:
            # Nobody else can have it: no need to wait for the silence.
            self._spawn(self._store.tell("ocpp_pong", f"{question} gone"))

    async def _answer_ping(self, connection: Connection, question: str) -> None:
        asked_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await connection.ping()
        except TimeoutError:
            return
        there = connection.heard_at >= asked_at
        await self._store.tell("ocpp_pong", f"{question} {'there' if there else 'gone'}")

    def hear_pong(self, note: str) -> None:
        question, answer = note.split(" ")
        asked = self._asked.get(question)
        if asked is not None and not asked.done():
            asked.set_result(answer == "there")

    async def is_held(self, record: Record) -> bool:
        """Return whether another node that lives may hold it; what a dead one has left is no older connection."""
        return record.node != self._node and await self._store.is_listening(record.node)

    async def older_answers(self, record: Record) -> bool:
        """Ask the older socket, on whichever node, whether anyone is still there (OCPP-09, profile 0)."""
        question = secrets.token_hex(8)
        asked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[question] = asked
        try:
            await self._store.tell("ocpp_ping", f"{record.id} {question} {record.node}")
            return await asyncio.wait_for(asked, _PROBE_SECONDS + 0.5)
        except TimeoutError:
            return False
        finally:
            del self._asked[question]
