"""The simulated charge point's line: one WebSocket, one CALL open at a time, connected again after every loss."""

import asyncio
import base64
import json
import logging
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

logger = logging.getLogger(__name__)

Payload = dict[str, Any]

_FOR_NOW = frozenset({409, 429})
_LOST = (ConnectionError, ConnectionClosed, TimeoutError)


class CallFailed(Exception):
    """The central system answered with a CALLERROR."""


class NotDone(Exception):
    """The answer to a CALL of the central system is a CALLERROR."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Link:
    """The line to the central system; `on_call` answers its CALLs, `on_connect` runs on each new connection."""

    def __init__(
        self,
        url: str,
        identity: str,
        password: str | None,
        *,
        subprotocol: str = "ocpp1.6",
        on_connect: Callable[[], Awaitable[None]],
        on_call: Callable[[str, Payload], Payload],
        answer_seconds: float,
        reconnect_seconds: float,
    ) -> None:
        self.url = f"{url.rstrip('/')}/{identity}"
        self.identity = identity
        self.online = asyncio.Event()
        self._subprotocol = subprotocol
        self._on_connect = on_connect
        self._on_call = on_call
        self._answer_seconds = answer_seconds
        self._reconnect_seconds = reconnect_seconds
        self._headers: dict[str, str] = {}
        if password is not None:
            shown = base64.b64encode(f"{identity}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {shown}"
        self._socket: ClientConnection | None = None
        self._answers: dict[str, asyncio.Future[Payload]] = {}
        self._sending = asyncio.Lock()
        self._closing = False

    async def run(self) -> None:
        """Stay connected until closed.

        :raises InvalidStatus: if the central system refuses us (400, 401).
        """
        while not self._closing:
            try:
                async with connect(
                    self.url,
                    subprotocols=[Subprotocol(self._subprotocol)],
                    additional_headers=self._headers,
                    compression=None,
                    ping_interval=None,
                    open_timeout=30,
                    close_timeout=1,
                    proxy=None,
                ) as socket:
                    await self._live(socket)
            except InvalidStatus as refused:
                if refused.response.status_code < 500 and refused.response.status_code not in _FOR_NOW:
                    raise
                logger.info("%s is refused for now: %s", self.identity, refused.response.status_code)
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
                logger.info("%s lost its connection: %s", self.identity, error)
            if not self._closing:
                await asyncio.sleep(self._reconnect_seconds * random.uniform(0.5, 1.5))  # noqa: S311 (not a secret)

    async def _live(self, socket: ClientConnection) -> None:
        if self._closing:  # closed while this connection was being made
            return
        self._socket = socket
        self.online.set()
        beginning = asyncio.ensure_future(self._on_connect())
        try:
            async for text in socket:
                await self._take(str(text))
        finally:
            beginning.cancel()
            self.online.clear()
            self._socket = None
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(ConnectionError("the connection is gone"))
            await asyncio.gather(beginning, return_exceptions=True)

    async def close(self) -> None:
        """Go offline for good."""
        self._closing = True
        if self._socket is not None:
            await self._socket.close()

    def cut(self) -> None:
        """Lose the connection as a broken line would; `run` connects again."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL and return the answer.

        :raises CallFailed: if it is a CALLERROR.
        :raises ConnectionError: if the connection is gone before the answer.
        """
        async with self._sending:
            await self.online.wait()
            message_id = str(uuid.uuid4())
            future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
            self._answers[message_id] = future
            try:
                await self._send([2, message_id, action, payload])
                # Not wait_for(): in Python 3.11 it may swallow a cancellation that comes with the answer.
                async with asyncio.timeout(self._answer_seconds):
                    return await future
            finally:
                self._answers.pop(message_id, None)
                if future.done() and not future.cancelled():
                    future.exception()

    async def call_until_answered(self, action: str, payload: Payload) -> Payload:
        """Send a transaction message until it is answered, with the same content, whatever happens to the line."""
        while True:
            try:
                return await self.call(action, payload)
            except _LOST as error:
                logger.info("%s repeats %s: %s", self.identity, action, error)
                await asyncio.sleep(0.05)

    async def _send(self, frame: list[Any]) -> None:
        if self._socket is None:
            raise ConnectionError("not connected")
        await self._socket.send(json.dumps(frame, separators=(",", ":")))

    async def _take(self, text: str) -> None:
        kind, message_id, *rest = json.loads(text)
        if kind == 2:
            try:
                frame = [3, message_id, self._on_call(rest[0], rest[1])]
            except NotDone as refused:
                frame = [4, message_id, refused.code, str(refused), {}]
            await self._send(frame)
            return
        future = self._answers.get(message_id)
        if future is None or future.done():
            return
        if kind == 3:
            future.set_result(rest[0])
        else:
            future.set_exception(CallFailed(f"{rest[0]}: {rest[1]}"))
