"""Commit the messages of charge points in groups, before they are answered (OCPP-98).

Up to a hundred messages share one transaction: about ten times as many per second as one by one. Two writers take
turns, so that the next group is gathered while one is committed. A charge point has one message under way at a time,
so its order holds whichever writer takes it.

Repeats are found here, in the database, so they are found after a restart and on another node too: the same message id
with the same payload (OCPP-26), and the same StartTransaction by its content (OCPP-38). The join on the epoch keeps out
whatever an older connection still says after a newer one has come.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from cpo.gateway import ending
from cpo.gateway.config import Config

logger = logging.getLogger(__name__)

GROUP = 100
WRITERS = 2
REPEAT_SECONDS = 600


class StoreUnavailable(Exception):
    """PostgreSQL did not come back in time."""


class Superseded(Exception):
    """A newer connection of the charge point has come; this one's messages no longer count."""


@dataclass(slots=True)
class Message:
    """A CALL on its way into the inbox."""

    charge_point: int
    epoch: int
    received_at: datetime
    protocol: str
    action: str
    message_id: str
    payload: str
    payload_hash: str
    answer: str | None
    state: str = "NEW"
    error: str = ""
    start_key: str | None = None
    start_key_since: str | None = None  # a suspect clock: any start since then with this key is the same (OCPP-38)
    repeats: bool = True  # whether the same message id is looked for


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it is in the inbox, now or already before."""

    id: int
    answer: str | None
    transaction_id: int | None
    repeated: bool


@dataclass(slots=True)
class _Waiting:
    message: Message
    deadline: float
    kept: asyncio.Future[Kept] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


_REPEATS = """
    SELECT m.place, i.id, i.answer, i.transaction_id
    FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
        AS m (place, charge_point_id, message_id, action, payload_hash, received_at)
    CROSS JOIN LATERAL (
        SELECT id, answer, transaction_id FROM cpo_inboxmessage AS i
        WHERE i.charge_point_id = m.charge_point_id AND i.message_id = m.message_id AND i.action = m.action
            AND i.payload_hash = m.payload_hash AND i.received_at > m.received_at - make_interval(secs => %s)
        ORDER BY id LIMIT 1) AS i
"""
_STARTS = """
    SELECT m.place, i.id, i.answer, i.transaction_id
    FROM unnest(%s::int[], %s::text[], %s::text[]) AS m (place, first_key, last_key)
    CROSS JOIN LATERAL (
        SELECT id, answer, transaction_id FROM cpo_inboxmessage AS i
        WHERE i.start_key IS NOT NULL AND i.start_key BETWEEN m.first_key AND m.last_key
        ORDER BY id LIMIT 1) AS i
"""
_STARTS_EXACT = """
    SELECT m.place, i.id, i.answer, i.transaction_id
    FROM unnest(%s::int[], %s::text[]) AS m (place, start_key)
    JOIN cpo_inboxmessage AS i ON i.start_key = m.start_key AND i.start_key IS NOT NULL
"""
_INSERT = """
    INSERT INTO cpo_inboxmessage (charge_point_id, epoch, received_at, protocol, action, message_id, payload,
        payload_hash, answer, state, error, start_key, transaction_id, attempts, gave_up)
    SELECT m.charge_point_id, m.epoch, m.received_at, m.protocol, m.action, m.message_id, m.payload,
        m.payload_hash, m.answer, m.state, m.error, m.start_key,
        CASE WHEN m.start_key IS NOT NULL THEN nextval('ocpp_transaction_id')::int END, 0, false
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY
        AS m (charge_point_id, epoch, received_at, protocol, action, message_id, payload, payload_hash, answer, state,
            error, start_key, place)
    JOIN cpo_chargepoint AS c ON c.id = m.charge_point_id AND c.epoch = m.epoch
    ORDER BY m.place
    ON CONFLICT DO NOTHING
    RETURNING charge_point_id, epoch, id, answer, transaction_id
"""


class InboxWriter:
    """The one way into the inbox on this node."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._writers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._writers = [asyncio.create_task(self._write_for_ever()) for _ in range(WRITERS)]

    async def stop(self) -> None:
        await ending.cancel(self._writers, 1)

    @property
    def queued(self) -> int:
        """How many messages wait to be committed."""
        return len(self._queue)

    async def keep(self, message: Message) -> Kept:
        """Return once the message is committed.

        :raises StoreUnavailable: if PostgreSQL stays away too long.
        :raises Superseded: if the connection is no longer the charge point's newest.
        """
        waiting = _Waiting(message, asyncio.get_running_loop().time() + self._config.store_seconds)
        self._queue.append(waiting)
        self._filled.set()
        return await waiting.kept

    async def _write_for_ever(self) -> None:
        connection: psycopg.AsyncConnection[Any] | None = None
        try:
            while True:
                group = await self._gather()
                while group:
                    try:
                        if connection is None or connection.closed:
                            connection = await self._connect()
                        await self._write_in_time(connection, group)
                        group = []
                    except (psycopg.OperationalError, TimeoutError) as error:
                        logger.warning("ocpp inbox unreachable: %s", str(error).strip()[:200] or "no answer")
                        if isinstance(error, TimeoutError):
                            connection = None
                        group = self._give_up(group)
                        await asyncio.sleep(0.5 if group else 0)
                    except Exception:
                        # One bad row must not take the others with it: each alone, and the bad one fails.
                        logger.exception("ocpp inbox group failed")
                        for waiting in group:
                            await self._write_alone(waiting)
                        group = []
        finally:
            if connection is not None:
                await connection.close()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._config.conninfo, autocommit=True, connect_timeout=3)

    async def _write_alone(self, waiting: _Waiting) -> None:
        try:
            async with await self._connect() as connection:
                await self._write(connection, [waiting])
        except Exception as error:
            logger.exception("ocpp inbox message failed: %s", waiting.message.action)
            if not waiting.kept.done():
                waiting.kept.set_exception(error)

    async def _gather(self) -> list[_Waiting]:
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        return [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]

    def _give_up(self, group: list[_Waiting]) -> list[_Waiting]:
        """End what has waited too long, in this group and in the whole queue: nobody else would in time."""
        now = asyncio.get_running_loop().time()
        for waiting in (*group, *self._queue):
            if waiting.deadline <= now and not waiting.kept.done():
                waiting.kept.set_exception(StoreUnavailable())
        self._queue = deque(waiting for waiting in self._queue if not waiting.kept.done())
        return [waiting for waiting in group if not waiting.kept.done()]

    async def _write_in_time(self, connection: psycopg.AsyncConnection[Any], group: list[_Waiting]) -> None:
        """Write a group; a database that takes everything and answers nothing is as good as gone.

        :raises TimeoutError: if it does not answer; its connection must not be used any more.
        """
        work = asyncio.create_task(self._write(connection, group))
        try:
            await asyncio.wait({work}, timeout=self._config.store_seconds / 2)
            if not work.done():
                raise TimeoutError
            work.result()
        finally:
            if not work.done():
                # Not awaited: to cancel a query takes as long as the database does not answer.
                work.cancel()
                work.add_done_callback(lambda ended: _abandon(connection, ended))

    async def _write(self, connection: psycopg.AsyncConnection[Any], group: list[_Waiting]) -> None:
        async with connection.transaction():
            found = await _find_repeats(connection, [waiting.message for waiting in group])
            fresh = [place for place in range(len(group)) if place not in found]
            if fresh:
                await _insert(connection, group, fresh, found)
        for place, waiting in enumerate(group):
            if waiting.kept.done():
                continue
            if place in found:
                waiting.kept.set_result(found[place])
            else:
                waiting.kept.set_exception(Superseded())


def _abandon(connection: psycopg.AsyncConnection[Any], work: "asyncio.Task[None]") -> None:
    if not work.cancelled() and (error := work.exception()) is not None:
        logger.info("ocpp inbox write given up: %s", error)
    connection.pgconn.finish()


async def _find_repeats(connection: psycopg.AsyncConnection[Any], messages: list[Message]) -> dict[int, Kept]:
    found: dict[int, Kept] = {}
    exact = [(place, m.start_key) for place, m in enumerate(messages) if m.start_key and not m.start_key_since]
    since = [(place, m.start_key_since, m.start_key) for place, m in enumerate(messages) if m.start_key_since]
    same_id = [
        (place, m.charge_point, m.message_id, m.action, m.payload_hash, m.received_at)
        for place, m in enumerate(messages)
        if m.repeats and not m.start_key
    ]
    for query, rows, more in (
        (_STARTS_EXACT, exact, ()),
        (_STARTS, since, ()),
        (_REPEATS, same_id, (REPEAT_SECONDS,)),
    ):
        if rows:
            columns = tuple(list(column) for column in zip(*rows, strict=True))
            for place, row, answer, transaction_id in await (
                await connection.execute(query, columns + more)
            ).fetchall():
                found[place] = Kept(row, answer, transaction_id, repeated=True)
    return found


async def _insert(
    connection: psycopg.AsyncConnection[Any], group: list[_Waiting], fresh: list[int], found: dict[int, Kept]
) -> None:
    messages = [group[place].message for place in fresh]
    columns = [
        [getattr(message, name) for message in messages]
        for name in (
            "charge_point",
            "epoch",
            "received_at",
            "protocol",
            "action",
            "message_id",
            "payload",
            "payload_hash",
            "answer",
            "state",
            "error",
            "start_key",
        )
    ]
    rows = await (await connection.execute(_INSERT, columns)).fetchall()
    # One connection has one message under way, so charge point and epoch name it.
    inserted = {(row[0], row[1]): row[2:] for row in rows}
    for place, message in zip(fresh, messages, strict=True):
        row = inserted.get((message.charge_point, message.epoch))
        if row is not None:
            found[place] = Kept(row[0], row[1], row[2], repeated=False)
    lost = [place for place in fresh if place not in found and group[place].message.start_key]
    if lost:
        # The same start was committed elsewhere in this very moment.
        values = (lost, [group[place].message.start_key for place in lost])
        for place, row, answer, transaction_id in await (await connection.execute(_STARTS_EXACT, values)).fetchall():
            found[place] = Kept(row, answer, transaction_id, repeated=True)
