"""Which node holds which charge point, in Redis: charge point → node, epoch, since, protocol, address (OCPP-100).

PostgreSQL holds the truth (the epoch); this is the quick look-up for everyone else. Losing it costs nothing:
connections stay, and the node writes its entries again. An entry counts only while its node's own key lives.
"""

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

CONNECTIONS = "ocpp:connections"
NODE = "ocpp:node:{}"
NODE_SECONDS = 30
_BEAT_SECONDS = 5
_AT_ONCE = 500  # changes of one round trip

# Only its own entry is taken out, never that of the connection that came after it.
_FORGET = """
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if kept and cjson.decode(kept).epoch == tonumber(ARGV[2]) then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Entry:
    identity: str
    node: str
    epoch: int
    since: str
    protocol: str
    address: str


class Registry:
    """This node's part of the registry."""

    def __init__(self, url: str, node: str, entries: Callable[[], Iterable[Entry]]) -> None:
        self._node = node
        self._entries = entries
        self._redis: Any = redis.asyncio.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._changes: dict[str, tuple[bool, Entry]] = {}  # the latest per charge point
        self._changed = asyncio.Event()
        self.reachable = False

    def add(self, entry: Entry) -> None:
        self._change(True, entry)

    def remove(self, entry: Entry) -> None:
        later = self._changes.get(entry.identity)
        if later is None or later[1].epoch <= entry.epoch:
            self._change(False, entry)

    def _change(self, there: bool, entry: Entry) -> None:
        self._changes[entry.identity] = (there, entry)
        self._changed.set()

    async def run(self) -> None:
        """Write changes as they come, and say every few seconds that this node lives."""
        loop = asyncio.get_running_loop()
        next_beat = 0.0
        while True:
            try:
                if loop.time() >= next_beat:
                    known = await self._redis.set(NODE.format(self._node), "1", ex=NODE_SECONDS, get=True)
                    # Away until now, or emptied meanwhile (REL-60).
                    if not self.reachable or not known:
                        await self._write_all()
                        self.reachable = True
                    next_beat = loop.time() + _BEAT_SECONDS
                await self._write_changes()
                async with asyncio.timeout(max(0.01, next_beat - loop.time())):
                    await self._changed.wait()
            except TimeoutError:
                continue
            except (RedisError, OSError) as error:
                if self.reachable:
                    logger.warning("ocpp registry unreachable: %s", str(error)[:200])
                self.reachable = False
                next_beat = 0.0
                await asyncio.sleep(1)

    async def _write_changes(self) -> None:
        self._changed.clear()
        while self._changes:
            written = dict(itertools.islice(self._changes.items(), _AT_ONCE))
            pipeline = self._redis.pipeline(transaction=False)
            for there, entry in written.values():
                self._put(pipeline, there, entry)
            await pipeline.execute()
            for identity, change in written.items():
                if self._changes.get(identity) == change:
                    del self._changes[identity]

    @staticmethod
    def _put(pipeline: Any, there: bool, entry: Entry) -> None:
        if there:
            pipeline.hset(CONNECTIONS, entry.identity, json.dumps(asdict(entry)))
        else:
            pipeline.eval(_FORGET, 1, CONNECTIONS, entry.identity, entry.epoch)

    async def _write(self, there: bool, entry: Entry) -> None:
        if there:
            await self._redis.hset(CONNECTIONS, entry.identity, json.dumps(asdict(entry)))
        else:
            await self._redis.eval(_FORGET, 1, CONNECTIONS, entry.identity, entry.epoch)

    async def _write_all(self) -> None:
        everything = {entry.identity: json.dumps(asdict(entry)) for entry in self._entries()}
        if everything:
            await self._redis.hset(CONNECTIONS, mapping=everything)

    async def bury(self, node: str) -> None:
        """Take out what a dead node has left; a newer entry of the same charge point stays."""
        try:
            left: dict[bytes, bytes] = await self._redis.hgetall(CONNECTIONS)
            for text in left.values():
                entry = Entry(**json.loads(text))
                if entry.node == node:
                    await self._write(False, entry)
            await self._redis.delete(NODE.format(node))
        except (RedisError, OSError) as error:
            logger.warning("ocpp registry not cleaned: %s", str(error)[:200])

    async def close(self) -> None:
        """Take this node out."""
        try:
            for entry in self._entries():
                await self._write(False, entry)
            await self._redis.delete(NODE.format(self._node))
        except (RedisError, OSError) as error:
            logger.warning("ocpp registry not cleaned: %s", str(error)[:200])
        await self._redis.aclose()
