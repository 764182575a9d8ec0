"""Wait for what the CPO side decides about a kept message: the answer to Authorize and StartTransaction.

The decision is written into the inbox row; a note says so. A look once a second covers lost notes.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Any

from cpo.gateway.store import UNREACHABLE, Store

logger = logging.getLogger(__name__)

_REMEMBERED = 2_000


class Decisions:
    """Everyone on this node who waits for a decision."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[int, set[asyncio.Future[str]]] = {}  # a repeat may wait for the same row
        self._early: OrderedDict[int, None] = OrderedDict()  # notes that came before anyone waited
        self._due: set[int] = set()
        self._wake = asyncio.Event()

    def hear(self, note: str) -> None:
        """Take a note that a row has its answer."""
        row = int(note)
        if row in self._waiting:
            self._look(row)
            return
        self._early[row] = None
        if len(self._early) > _REMEMBERED:
            self._early.popitem(last=False)

    def _look(self, row: int) -> None:
        self._due.add(row)
        self._wake.set()

    async def wait(self, row: int, seconds: float) -> str | None:
        """Return the answer written into the row, or None if the time runs out."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(row, set()).add(future)
        if row in self._early:
            del self._early[row]
            self._look(row)
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return None
        finally:
            self._waiting[row].discard(future)
            if not self._waiting[row]:
                del self._waiting[row]

    async def give_up(self, row: int, answer: str) -> str:
        """Answer in the CPO side's stead; if it was quicker after all, its answer counts. Return the one that does."""
        rows = await self._store.fetch(
            """UPDATE cpo_inboxmessage SET answer = COALESCE(answer, %s), gave_up = (answer IS NULL)
               WHERE id = %s RETURNING answer""",
            (answer, row),
        )
        return str(rows[0][0]) if rows else answer

    async def run(self) -> None:
        """Fetch answers as they are told, and look once a second at all that are waited for."""
        while True:
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the note, and this loop
                # would outlive its node.
                async with asyncio.timeout(1):
                    await self._wake.wait()
            except TimeoutError:
                self._due.update(self._waiting)
            self._wake.clear()
            if not self._due:
                continue
            due, self._due = list(self._due), set()
            try:
                rows: list[tuple[Any, ...]] = await self._store.fetch(
                    "SELECT id, answer FROM cpo_inboxmessage WHERE id = ANY(%s) AND answer IS NOT NULL", (due,)
                )
            except UNREACHABLE as error:
                logger.warning("ocpp decisions unreachable: %s", str(error).strip()[:200])
                continue
            for row, answer in rows:
                for future in self._waiting.get(row, ()):
                    if not future.done():
                        future.set_result(answer)
