"""What a node reads and writes about charge points and nodes, in SQL; inbox and operations have their own files."""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, TypeVar

import psycopg
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import AsyncConnectionPool

from cpo.gateway import nodes
from cpo.gateway.batches import Batch
from cpo.gateway.config import Config

logger = logging.getLogger(__name__)

UNKNOWN_KEPT = 10_000

_RECORD = """
    id, identity, password_digest, next_password_digest, security_profile, refuses_tls, protocols,
    no_subprotocol_is_16, strictness, boot_status,
    boot_data IS NOT NULL AS booted, heartbeat_seconds, ping_seconds, ping_timeout_seconds, frame_bytes,
    compression, switched_off, online, node,
    country_code || '*' || party_id AS tenant
"""


# Many rows at once are always locked in one order: two nodes never wait for each other.
_LOCKED = "locked AS MATERIALIZED (SELECT id FROM cpo_chargepoint WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE)"
_CONNECTED = f"""
    WITH {_LOCKED}, newest AS (
        UPDATE cpo_chargepoint AS c SET epoch = epoch + 1, online = true, node = %s, protocol = m.protocol,
            address = m.address, connected_at = clock_timestamp(), last_seen_at = clock_timestamp()
        FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS m (id, protocol, address) JOIN locked USING (id)
        WHERE c.id = m.id RETURNING c.id, c.epoch)
    SELECT id, epoch,
        EXISTS (SELECT FROM cpo_operation AS o WHERE o.charge_point_id = newest.id AND o.state = 'QUEUED'),
        pg_notify('ocpp_connection', format('%%s %%s %%s', id, epoch, %s::text)) FROM newest
"""  # noqa: S608 (constants)
_DISCONNECTED = f"""
    WITH {_LOCKED}, gone AS (
        UPDATE cpo_chargepoint AS c SET online = false, last_seen_at = clock_timestamp()
        FROM unnest(%s::bigint[], %s::bigint[]) AS m (id, epoch) JOIN locked USING (id)
        WHERE c.id = m.id AND c.epoch = m.epoch AND c.online RETURNING c.id, c.epoch)
    SELECT pg_notify('ocpp_connection', format('%%s %%s ', id, epoch)) FROM gone
"""  # noqa: S608 (constants)
_BOOTED = f"""
    WITH {_LOCKED}
    UPDATE cpo_chargepoint AS c SET boot_data = m.boot_data::jsonb, booted_at = m.at
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS m (id, boot_data, at) JOIN locked USING (id)
    WHERE c.id = m.id
"""  # noqa: S608 (constants)
_POOL = 4
# What a database that is away says, a pool without a connection included; and one that takes no writes, a standby say.
UNREACHABLE = (psycopg.OperationalError, ReadOnlySqlTransaction)
R = TypeVar("R")
Cursor = psycopg.AsyncCursor[tuple[Any, ...]]


async def _count(cursor: Cursor) -> int:
    return cursor.rowcount


async def _all(cursor: Cursor) -> list[tuple[Any, ...]]:
    return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that is its charge point's newest, and whether operations wait for it."""

    epoch: int
    asked: bool


@dataclass(slots=True)
class Record:
    """A charge point as the node needs it."""

    id: int
    identity: str
    password_digest: str
    next_password_digest: str
    security_profile: int
    refuses_tls: bool
    protocols: list[str]
    no_subprotocol_is_16: bool
    strictness: str
    boot_status: str
    booted: bool
    heartbeat_seconds: int | None
    ping_seconds: int | None
    ping_timeout_seconds: int | None
    frame_bytes: int | None
    compression: bool
    switched_off: list[str]  # actions
    online: bool
    node: str
    tenant: str = ""

    @property
    def lenient(self) -> bool:
        return self.strictness != "strict"


class Store:
    """The node's own small pool; nothing waits longer than a few seconds for it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
            config.conninfo,
            min_size=1,
            max_size=_POOL,
            timeout=3,
            # The pool doubles its pause with each attempt that fails. So it gives up soon: whoever wants a connection
            # next begins anew, and a database that was away for minutes is found within a second or two (REL-05).
            reconnect_timeout=1,
            open=False,
            kwargs={"autocommit": True, "connect_timeout": 5},
        )
        self._finds: Batch[str, Record | None] = Batch(self._find_all, str.lower)
        self._connects: Batch[tuple[int, str, str], Connected | None] = Batch(self._connect_all, itemgetter(0))
        self._disconnects: Batch[tuple[int, int], None] = Batch(self._disconnect_all, itemgetter(0))
        self._boots: Batch[tuple[int, str, datetime], None] = Batch(self._boot_all, itemgetter(0))

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close(timeout=0.2)

    async def _run(self, query: str, values: tuple[Any, ...], read: Callable[[Cursor], Awaitable[R]]) -> R:
        """Run one statement. Connections that broke unnoticed are tried past: cheaper than to ask each before its use.

        What is run here may be run twice: it may have been committed when the line broke.
        """
        for turn in range(_POOL + 1):
            async with self._pool.connection() as connection:
                try:
                    return await read(await connection.execute(query, values))
                except psycopg.OperationalError:
                    if not connection.closed or turn == _POOL:
                        raise
                except ReadOnlySqlTransaction:
                    await connection.close()  # the next one may find the server that took its place
                    raise
        raise AssertionError("the last turn returns or raises")

    async def execute(self, query: str, values: tuple[Any, ...] = ()) -> int:
        """Run one statement; return how many rows it touched."""
        return await self._run(query, values, _count)

    async def fetch(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return await self._run(query, values, _all)

    async def tell(self, channel: str, text: str) -> None:
        await self.execute("SELECT pg_notify(%s, %s)", (channel, text))

    async def find(self, identity: str) -> Record | None:
        """Return the charge point of an identity; letter case does not matter (OCPP-01)."""
        return await self._finds.add(identity)

    async def _find_all(self, identities: list[str]) -> list[Record | None]:
        query = f"SELECT {_RECORD} FROM cpo_chargepoint WHERE lower(identity) = ANY(%s)"  # noqa: S608 (constant)
        rows = await self.fetch(query, ([identity.lower() for identity in identities],))
        found = {record.identity.lower(): record for record in (Record(*row) for row in rows)}
        return [found.get(identity.lower()) for identity in identities]

    async def records(self, ids: list[int]) -> list[Record]:
        rows = await self.fetch(f"SELECT {_RECORD} FROM cpo_chargepoint WHERE id = ANY(%s)", (ids,))  # noqa: S608
        return [Record(*row) for row in rows]

    async def take_in(self, identity: str, party: tuple[str, str], boot_status: str, protocols: list[str]) -> None:
        """Create the record of a charge point nobody has added (OCPP-03)."""
        await self.execute(
            """INSERT INTO cpo_chargepoint (identity, country_code, party_id, security_profile, protocols, boot_status)
               VALUES (%s, %s, %s, 0, %s, %s) ON CONFLICT DO NOTHING""",
            (identity, *party, json.dumps(protocols), boot_status),
        )

    async def note_unknown(self, identity: str, address: str, path: str, protocols: str) -> None:
        """List an attempt of a charge point we do not know; the oldest make room (OCPP-03)."""
        rows = await self.fetch(
            """INSERT INTO cpo_unknownchargepoint AS known (identity, address, path, protocols, count)
               VALUES (%s, %s, %s, %s, 1)
               ON CONFLICT (identity) DO UPDATE SET address = EXCLUDED.address, path = EXCLUDED.path,
                   protocols = EXCLUDED.protocols, last_seen_at = now(), count = known.count + 1
               RETURNING count""",
            (identity, address[:64], path[:255], protocols[:255]),
        )
        if rows and rows[0][0] == 1:
            await self.execute(
                """DELETE FROM cpo_unknownchargepoint WHERE id IN
                   (SELECT id FROM cpo_unknownchargepoint ORDER BY last_seen_at DESC, id DESC OFFSET %s)""",
                (UNKNOWN_KEPT,),
            )

    async def note_event(
        self, kind: str, *, identity: str, charge_point: int | None, info: str, critical: bool = True
    ) -> None:
        """Write down a security event that was seen at the door (OCPP-08, OCPP-09)."""
        await self.execute(
            """INSERT INTO cpo_stationevent (charge_point_id, identity, source, kind, critical, info, at)
               VALUES (%s, %s, 'GATEWAY', %s, %s, %s, clock_timestamp())""",
            (charge_point, identity, kind, critical, info[:255]),
        )

    async def use_next_password(self, charge_point: int, digest: str) -> None:
        """Make the password a charge point has come with the only one (OCPP-05)."""
        await self.execute(
            """UPDATE cpo_chargepoint SET password_digest = next_password_digest, next_password_digest = ''
               WHERE id = %s AND next_password_digest = %s""",
            (charge_point, digest),
        )

    async def connected(self, charge_point: int, *, protocol: str, address: str) -> Connected:
        """Make a connection the newest one of its charge point and tell the other nodes (OCPP-09)."""
        found = await self._connects.add((charge_point, protocol, address[:64]))
        if found is None:
            raise LookupError(charge_point)
        return found

    async def _connect_all(self, newcomers: list[tuple[int, str, str]]) -> list[Connected | None]:
        ids, protocols, addresses = (list(column) for column in zip(*newcomers, strict=True))
        rows = await self.fetch(_CONNECTED, (ids, self._config.node, ids, protocols, addresses, self._config.node))
        found = {row[0]: Connected(row[1], row[2]) for row in rows}
        return [found.get(charge_point) for charge_point in ids]

    async def disconnected(self, charge_point: int, epoch: int) -> None:
        """Note that a connection is gone, unless a newer one has taken its place."""
        await self._disconnects.add((charge_point, epoch))

    async def _disconnect_all(self, gone: list[tuple[int, int]]) -> list[None]:
        ids, epochs = (list(column) for column in zip(*gone, strict=True))
        await self.execute(_DISCONNECTED, (ids, ids, epochs))
        return [None] * len(gone)

    async def seen(self, charge_points: Iterable[int], at: datetime) -> None:
        # A node that was taken for dead and lives after all makes its charge points online again.
        await self.execute(
            "UPDATE cpo_chargepoint SET last_seen_at = %s, online = true WHERE id = ANY(%s) AND node = %s",
            (at, list(charge_points), self._config.node),
        )

    async def booted(self, charge_point: int, boot_data: str, at: datetime) -> None:
        await self._boots.add((charge_point, boot_data.replace("\\u0000", ""), at))

    async def _boot_all(self, boots: list[tuple[int, str, datetime]]) -> list[None]:
        ids, data, moments = (list(column) for column in zip(*boots, strict=True))
        await self.execute(_BOOTED, (ids, ids, data, moments))
        return [None] * len(boots)

    async def deviates(self, charge_point: int, action: str, kind: str) -> None:
        await self.execute(
            """INSERT INTO cpo_chargepointdeviation (charge_point_id, action, kind) VALUES (%s, %s, %s)
               ON CONFLICT DO NOTHING""",
            (charge_point, action[:64], kind[:128]),
        )

    async def is_listening(self, node: str) -> bool:
        """Return whether a node's ear is open; it closes with its process, seconds before the node counts as dead."""
        rows = await self.fetch(
            """SELECT count(*) FILTER (WHERE application_name = %s), count(*) FILTER (WHERE application_name = %s)
               FROM pg_stat_activity WHERE datname = current_database()""",
            (node, self._config.node),
        )
        [(theirs, ours)] = rows
        # Where names do not come through, as behind some poolers, ours is missing too: then nobody is called dead.
        return bool(theirs) or not ours

    async def beat(self) -> list[str]:
        """Say that this node lives, and bury those that have been silent; return these (OCPP-100)."""
        await self.execute(
            """INSERT INTO cpo_gatewaynode (name) VALUES (%s)
               ON CONFLICT (name) DO UPDATE SET seen_at = clock_timestamp()""",
            (self._config.node,),
        )
        dead = [str(row[0]) for row in await self.fetch(nodes.SILENT, (nodes.SILENT_SECONDS,))]
        for name in dead:
            logger.warning("ocpp node is dead: %s", name)
            await self.bury(name)
        return dead

    async def bury(self, node: str) -> None:
        """Close what a node has left behind; a sent operation nobody waits for any more is a lost one (OCPP-79)."""
        for statement in nodes.BURIAL:
            await self.execute(statement, (node,))
