"""Keep every frame as it was on the wire, in batches, with secrets masked (OCPP-29).

The log is for people: it never holds up a frame, and while PostgreSQL is away the oldest
frames are dropped and counted.
"""

import asyncio
import logging
from collections import deque
from datetime import datetime
from typing import Any

import psycopg

from cpo.gateway.config import Config
from cpo.gateway.masking import mask

logger = logging.getLogger(__name__)

_HELD = 20_000
_BATCH = 1_000
_EVERY_SECONDS = 1.0
_COPY = "COPY cpo_framelog (at, charge_point_id, node, epoch, outgoing, action, message_id, text) FROM STDIN"


class FrameLog:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._node = _escaped(config.node)
        self._rows: deque[str] = deque(maxlen=_HELD)  # as COPY reads them
        self.dropped = 0

    def add(
        self, at: datetime, charge_point: int, epoch: int, *, outgoing: bool, action: str, message_id: str, text: str
    ) -> None:
        if not self._config.frame_log:
            return
        if len(self._rows) == _HELD:
            self.dropped += 1
        clean = _escaped(mask(text))
        message_id, action = _escaped(message_id[:64]), _escaped(action[:64])
        self._rows.append(
            f"{at.isoformat()}\t{charge_point}\t{self._node}\t{epoch}\t{'t' if outgoing else 'f'}\t{action}\t"
            f"{message_id}\t{clean}\n"
        )

    async def run(self) -> None:
        """Write batch after batch; a lost connection costs the batch that was under way."""
        while True:
            await asyncio.sleep(0.05 if len(self._rows) >= _BATCH else _EVERY_SECONDS)
            if not self._rows:
                continue
            try:
                async with await self._connect() as connection:
                    while True:
                        await self.write(connection)
                        await asyncio.sleep(0.05 if len(self._rows) >= _BATCH else _EVERY_SECONDS)
            except psycopg.Error as error:
                logger.warning("ocpp frame log not written: %s", str(error).strip()[:200])

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._config.conninfo, autocommit=True, connect_timeout=3)

    async def flush(self) -> None:
        """Write what is left, once."""
        if self._rows:
            async with await self._connect() as connection:
                await self.write(connection)

    async def write(self, connection: psycopg.AsyncConnection[Any]) -> None:
        while self._rows:
            batch = [self._rows.popleft() for _ in range(min(_BATCH, len(self._rows)))]
            async with (
                connection.cursor() as cursor,
                cursor.copy(_COPY) as copy,
            ):
                await copy.write("".join(batch).encode(errors="replace"))


def _escaped(text: str) -> str:
    """Write a text as COPY reads it; without the character that PostgreSQL's texts cannot hold."""
    text = text.replace("\x00", "").replace("\\", "\\\\")
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
