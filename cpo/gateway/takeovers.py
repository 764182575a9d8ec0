"""The newest connection of a charge point wins, whichever node it is on (OCPP-09); an open one must be gone first."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from cpo.gateway.connection import Connection
from cpo.gateway.store import Store

_PROBE_SECONDS = 5


class Takeovers:
    """What nodes tell each other about who holds a charge point."""

    def __init__(
        self,
        store: Store,
        holds: Callable[[int], Connection | None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._store = store
        self._holds = holds
        self._spawn = spawn
        self._pongs: dict[str, asyncio.Event] = {}

    def hear_connection(self, note: str) -> None:
        charge_point, epoch, _node = note.split(" ")
        connection = self._holds(int(charge_point))
        if connection is not None and connection.epoch < int(epoch):
            connection.supersede()

    def hear_ping(self, note: str) -> None:
        charge_point, question = note.split(" ")
        connection = self._holds(int(charge_point))
        if connection is not None and not connection.superseded:
            self._spawn(self._answer_ping(connection, question))

    async def _answer_ping(self, connection: Connection, question: str) -> None:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                asked_at = asyncio.get_running_loop().time()
                await connection.ping()
        except TimeoutError:
            return
        if connection.heard_at >= asked_at:
            await self._store.tell("ocpp_pong", question)

    def hear_pong(self, note: str) -> None:
        if note in self._pongs:
            self._pongs[note].set()

    async def older_answers(self, charge_point: int) -> bool:
        """Ask the older socket, on whichever node, whether anyone is still there (OCPP-09, profile 0)."""
        question = secrets.token_hex(8)
        self._pongs[question] = asyncio.Event()
        try:
            await self._store.tell("ocpp_ping", f"{charge_point} {question}")
            async with asyncio.timeout(_PROBE_SECONDS + 0.5):
                await self._pongs[question].wait()
        except TimeoutError:
            return False
        finally:
            del self._pongs[question]
        return True
