"""Commit the messages of charge points in groups, before they are answered (OCPP-98).

Up to a hundred messages share one transaction: about ten times as many per second as one by one. Two writers take
turns, so that the next group is gathered while one is committed. A charge point has one message under way at a time,
so its order holds whichever writer takes it.

Repeats are found here, in the database, so they are found after a restart and on another node too: the same message id
with the same payload (OCPP-26; with another one it is a new message, and said to be so), and the same StartTransaction
by its content (OCPP-38). The join on the epoch keeps out whatever an older connection still says after a newer one has
come.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

import psycopg
from psycopg.errors import ReadOnlySqlTransaction

from cpo.gateway import ending
from cpo.gateway.config import Config
from cpo.gateway.store import UNREACHABLE

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
    reused: bool = False  # its message id was another message's a short while ago


@dataclass(slots=True)
class _Waiting:
    message: Message
    deadline: float
    kept: asyncio.Future[Kept] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


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
# Looked for and written in one statement, one round trip: what is there already is not written again.
_KEEP = """
    WITH m AS MATERIALIZED (
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[]) WITH ORDINALITY
            AS m (charge_point_id, epoch, received_at, protocol, action, message_id, payload, payload_hash, answer,
                state, error, start_key, repeats, place)),
    seen AS MATERIALIZED (
        SELECT m.place, i.id, i.answer, i.transaction_id,
            i.action = m.action AND i.payload_hash = m.payload_hash AND m.repeats AND m.start_key IS NULL AS same,
            i.action <> m.action OR i.payload <> m.payload AS other
        FROM m CROSS JOIN LATERAL (
            SELECT id, action, payload, payload_hash, answer, transaction_id FROM cpo_inboxmessage AS i
            WHERE i.charge_point_id = m.charge_point_id AND i.message_id = m.message_id
                AND i.received_at > m.received_at - make_interval(secs => %s)
            OFFSET 0) AS i),
    before AS MATERIALIZED (
        SELECT DISTINCT ON (place) place, id, answer, transaction_id FROM seen WHERE same ORDER BY place, id),
    kept AS (
        INSERT INTO cpo_inboxmessage (charge_point_id, epoch, received_at, protocol, action, message_id, payload,
            payload_hash, answer, state, error, start_key, transaction_id, attempts, gave_up)
        SELECT m.charge_point_id, m.epoch, m.received_at, m.protocol, m.action, m.message_id, m.payload,
            m.payload_hash, m.answer, m.state, m.error, m.start_key,
            CASE WHEN m.start_key IS NOT NULL THEN nextval('ocpp_transaction_id')::int END, 0, false
        FROM m JOIN cpo_chargepoint AS c ON c.id = m.charge_point_id AND c.epoch = m.epoch
        WHERE NOT EXISTS (SELECT FROM before WHERE before.place = m.place)
        ORDER BY m.place
        ON CONFLICT DO NOTHING
        RETURNING charge_point_id, epoch, id, answer, transaction_id)
    SELECT place, id, answer, transaction_id, true, false FROM before
    UNION ALL
    SELECT m.place, kept.id, kept.answer, kept.transaction_id, false,
        EXISTS (SELECT FROM seen WHERE seen.place = m.place AND seen.other)
    FROM kept JOIN m USING (charge_point_id, epoch)
"""
_COLUMNS = attrgetter(
    "charge_point", "epoch", "received_at", "protocol", "action", "message_id", "payload", "payload_hash", "answer",
    "state", "error", "start_key", "repeats",
)  # fmt: skip


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
                    except (*UNREACHABLE, TimeoutError) as error:
                        logger.warning("ocpp inbox unreachable: %s", str(error).strip()[:200] or "no answer")
                        if isinstance(error, ReadOnlySqlTransaction) and connection is not None:
                            await connection.close()  # the next one may find the server that took its place
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
        messages = [waiting.message for waiting in group]
        found = await _find_starts(connection, messages)
        await _keep(connection, messages, found)
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


async def _find_starts(connection: psycopg.AsyncConnection[Any], messages: list[Message]) -> dict[int, Kept]:
    """Return the starts that are there already, by their place."""
    found: dict[int, Kept] = {}
    exact = [(place, m.start_key) for place, m in enumerate(messages) if m.start_key and not m.start_key_since]
    since = [(place, m.start_key_since, m.start_key) for place, m in enumerate(messages) if m.start_key_since]
    for query, rows in ((_STARTS_EXACT, exact), (_STARTS, since)):
        if rows:
            columns = [_array(column) for column in zip(*rows, strict=True)]
            for place, row, answer, transaction_id in await (await connection.execute(query, columns)).fetchall():
                found[place] = Kept(row, answer, transaction_id, repeated=True)
    return found


async def _keep(connection: psycopg.AsyncConnection[Any], messages: list[Message], found: dict[int, Kept]) -> None:
    """Commit what is not found, and add it there; what belongs to an older connection is missing then."""
    fresh = [place for place in range(len(messages)) if place not in found]
    if not fresh:
        return
    # One connection has one message under way, so charge point and epoch name it.
    columns = [_array(column) for column in zip(*(_COLUMNS(messages[place]) for place in fresh), strict=True)]
    rows = await (await connection.execute(_KEEP, (*columns, REPEAT_SECONDS))).fetchall()
    for place, row, answer, transaction_id, repeated, reused in rows:
        found[fresh[place - 1]] = Kept(row, answer, transaction_id, repeated, reused)
    lost = [place for place in fresh if place not in found and messages[place].start_key]
    if lost:
        # The same start was committed elsewhere in this very moment.
        values = (_array(lost), _array(messages[place].start_key for place in lost))
        for place, row, answer, transaction_id in await (await connection.execute(_STARTS_EXACT, values)).fetchall():
            found[place] = Kept(row, answer, transaction_id, repeated=True)


def _array(values: Iterable[object]) -> str:
    """Write an array as PostgreSQL reads it: psycopg's own way takes ten times as long, while nobody else is served."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: object) -> str:
    text = value if type(value) is str else str(value)
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
