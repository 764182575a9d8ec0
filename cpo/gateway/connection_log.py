"""Keep when each charge point was connected, and how that ended: in batches, beside the connections (OCPP-107).

Like the log of frames it is for people: it never holds up a connection, and while PostgreSQL is away the oldest notes
are dropped. What a node that died has left open is closed by the CPO side (`connection_history`).
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any

from cpo.gateway.store import Store

_HELD = 50_000
_BATCH = 2_000

_OPENED = """
    INSERT INTO cpo_chargepointconnection (charge_point_id, epoch, node, address, protocol, since)
    SELECT n.charge_point_id, n.epoch, %s, n.address, n.protocol, n.since
    FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::timestamptz[])
        AS n (charge_point_id, epoch, address, protocol, since)
    JOIN cpo_chargepoint AS c ON c.id = n.charge_point_id
    ON CONFLICT DO NOTHING
"""
_CLOSED = """
    UPDATE cpo_chargepointconnection AS c SET until = n.until, close_code = n.code, reason = n.reason
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::int[], %s::text[])
        AS n (charge_point_id, epoch, until, code, reason)
    WHERE c.charge_point_id = n.charge_point_id AND c.epoch = n.epoch
"""
_CLOCKS = """
    UPDATE cpo_chargepoint AS c SET clock_offset = n.ahead, clock_at = clock_timestamp()
    FROM unnest(%s::bigint[], %s::float8[]) AS n (id, ahead) WHERE c.id = n.id
"""


class ConnectionLog:
    """The notes of one node that are not written yet."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._node = node
        self._opened: deque[tuple[int, int, str, str, datetime]] = deque(maxlen=_HELD)
        self._closed: deque[tuple[int, int, datetime, int, str]] = deque(maxlen=_HELD)

    def opened(self, charge_point: int, epoch: int, *, address: str, protocol: str) -> None:
        self._opened.append((charge_point, epoch, address[:64], protocol, datetime.now(UTC)))

    def closed(self, charge_point: int, epoch: int, *, code: int | None, reason: str | None) -> None:
        """Note an end; without a code nobody said goodbye."""
        text = (reason or "").replace("\x00", "")[:123]
        self._closed.append((charge_point, epoch, datetime.now(UTC), code or 1006, text))

    async def write(self) -> None:
        """Write what has been noted; what cannot be written now stays.

        :raises psycopg.Error: if the database is away.
        """
        await self._write(_OPENED, self._opened, (self._node,))
        await self._write(_CLOSED, self._closed, ())

    async def write_clocks(self, clocks: dict[int, float]) -> None:
        """Write how far clocks are off, in seconds."""
        if clocks:
            await self._store.execute(_CLOCKS, (list(clocks), list(clocks.values())))

    async def _write(self, statement: str, notes: deque[Any], more: tuple[Any, ...]) -> None:
        while notes:
            batch = [notes[place] for place in range(min(len(notes), _BATCH))]
            columns = tuple(list(column) for column in zip(*batch, strict=True))
            await self._store.execute(statement, more + columns)
            for _ in batch:
                if notes:
                    notes.popleft()
