"""What processes tell each other through PostgreSQL: one LISTEN connection per node, and short notes out.

A note is only a wake-up: everything it points to is in a table, and `caught_up` runs after each gap in listening.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

logger = logging.getLogger(__name__)

Hear = Callable[[str], None]


class Bus:
    """The ear of one node."""

    def __init__(
        self, conninfo: str, hears: Mapping[str, Hear], caught_up: Callable[[], Awaitable[None]], *, name: str
    ) -> None:
        # Under its name others see that it lives (`Store.is_listening`).
        self._conninfo = make_conninfo(conninfo, application_name=name)
        self._hears = hears
        self._caught_up = caught_up
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Listen for ever; connect again after a loss."""
        while True:
            try:
                await self._listen()
            except psycopg.Error as error:  # a standby does not let anybody listen, and says so as no other
                logger.warning("ocpp bus lost: %s", str(error).strip()[:200])
            finally:
                self.listening.clear()
            await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, connect_timeout=5)
        async with connection:
            for channel in self._hears:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self.listening.set()
            await self._caught_up()
            async for note in connection.notifies():
                self._hears[note.channel](note.payload)
