"""What a node reads and writes about charge points and nodes, in SQL; inbox and operations have their own files."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from cpo.gateway import nodes
from cpo.gateway.config import Config

logger = logging.getLogger(__name__)

UNKNOWN_KEPT = 10_000

_RECORD = """
    id, identity, password_digest, next_password_digest, security_profile, refuses_tls, protocols,
    no_subprotocol_is_16, strictness, boot_status,
    boot_data IS NOT NULL AS booted, heartbeat_seconds, ping_seconds, online, node,
    country_code || '*' || party_id AS tenant
"""


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
            max_size=4,
            timeout=3,
            open=False,
            kwargs={"autocommit": True, "connect_timeout": 5},
            check=AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close(timeout=0.2)

    async def execute(self, query: str, values: tuple[Any, ...] = ()) -> int:
        """Run one statement; return how many rows it touched."""
        async with self._pool.connection() as connection:
            return (await connection.execute(query, values)).rowcount

    async def fetch(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def tell(self, channel: str, text: str) -> None:
        await self.execute("SELECT pg_notify(%s, %s)", (channel, text))

    async def find(self, identity: str) -> Record | None:
        """Return the charge point of an identity; letter case does not matter (OCPP-01)."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Record)) as cursor:
            await cursor.execute(
                f"SELECT {_RECORD} FROM cpo_chargepoint WHERE lower(identity) = lower(%s)",  # noqa: S608 (constant)
                (identity,),
            )
            return await cursor.fetchone()

    async def records(self, ids: list[int]) -> list[Record]:
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Record)) as cursor:
            await cursor.execute(f"SELECT {_RECORD} FROM cpo_chargepoint WHERE id = ANY(%s)", (ids,))  # noqa: S608
            return await cursor.fetchall()

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

    async def connected(self, charge_point: int, *, protocol: str, address: str) -> int:
        """Make a connection the newest one of its charge point; return its epoch and tell the other nodes (OCPP-09)."""
        rows = await self.fetch(
            """WITH newest AS (
                   UPDATE cpo_chargepoint SET epoch = epoch + 1, online = true, node = %s, protocol = %s, address = %s,
                       connected_at = clock_timestamp(), last_seen_at = clock_timestamp()
                   WHERE id = %s RETURNING id, epoch)
               SELECT epoch, pg_notify('ocpp_connection', format('%%s %%s %%s', id, epoch, %s::text)) FROM newest""",
            (self._config.node, protocol, address[:64], charge_point, self._config.node),
        )
        if not rows:
            raise LookupError(charge_point)
        return int(rows[0][0])

    async def disconnected(self, charge_point: int, epoch: int) -> None:
        """Note that a connection is gone, unless a newer one has taken its place."""
        await self.execute(
            """WITH gone AS (UPDATE cpo_chargepoint SET online = false, last_seen_at = clock_timestamp()
                   WHERE id = %s AND epoch = %s AND online RETURNING id, epoch)
               SELECT pg_notify('ocpp_connection', format('%%s %%s ', id, epoch)) FROM gone""",
            (charge_point, epoch),
        )

    async def seen(self, charge_points: Iterable[int], at: datetime) -> None:
        # A node that was taken for dead and lives after all makes its charge points online again.
        await self.execute(
            "UPDATE cpo_chargepoint SET last_seen_at = %s, online = true WHERE id = ANY(%s) AND node = %s",
            (at, list(charge_points), self._config.node),
        )

    async def booted(self, charge_point: int, boot_data: str, at: datetime) -> None:
        await self.execute(
            "UPDATE cpo_chargepoint SET boot_data = %s::jsonb, booted_at = %s WHERE id = %s",
            (boot_data.replace("\\u0000", ""), at, charge_point),
        )

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
