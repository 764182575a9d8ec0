"""One charge point's connection: read frames, keep and answer its CALLs in order, match answers to our own CALLs.

Answers of the charge point are settled by the reader at once; its CALLs wait in line for one worker that exists only
while there is something to do. So an operation never waits for a CALL, nor the other way round (OCPP-21, OCPP-22).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from cpo.gateway import actions, frames
from cpo.gateway.answers import Answers, Services
from cpo.gateway.frames import Call, CallError, CallResult, Fault, FrameError
from cpo.gateway.inbox_writer import StoreUnavailable, Superseded
from cpo.gateway.store import Record

logger = logging.getLogger(__name__)

_IN_LINE = 64  # CALLs of one charge point that wait before its socket is no longer read


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the charge point answered an operation."""

    result: CallResult | CallError


class ConnectionLost(Exception):
    """The socket closed before the charge point answered."""


class NotSent(ConnectionLost):
    """The socket was closed already: not a byte of the CALL was written."""


class Connection:
    """A charge point on its socket."""

    def __init__(
        self, services: Services, socket: ServerConnection, record: Record, *, version: str, epoch: int, address: str
    ) -> None:
        self.services = services
        self.socket = socket
        self.record = record
        self.version = version
        self.epoch = epoch
        self.address = address
        self.since = datetime.now(UTC)
        self.superseded = False
        self.leaving = False  # its node drains: what is open ends, nothing new is asked
        self._ended = False
        self.booted = False
        self.triggered: set[str] = set()
        loop_time = asyncio.get_running_loop().time()
        self.heard_at = loop_time
        self.pinged_at = loop_time
        self.asking = asyncio.Lock()  # one open operation per charge point (OCPP-22)
        self._line: deque[Call | FrameError] = deque()
        self._room = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._open: dict[str, asyncio.Future[CallResult | CallError]] = {}
        self._answers = Answers(services, self)
        self._tokens = float(services.config.frames_burst)
        self._counted_at = loop_time

    @property
    def serial(self) -> str:
        """The serial number of the client certificate it was let in by, hexadecimal; empty without one."""
        admission = getattr(self.socket, "admission", None)
        return "" if admission is None else str(admission.serial)

    @property
    def is_open(self) -> bool:
        """Whether somebody may still be there."""
        return not self._ended and self.socket.state is State.OPEN

    @property
    def busy(self) -> bool:
        """Whether a CALL or an operation is open."""
        return bool(self._line or self._open or (self._worker is not None and not self._worker.done()))

    async def run(self) -> None:
        """Read until the socket closes."""
        try:
            while True:
                await self._pace()
                frame = await self.socket.recv()
                self.heard_at = asyncio.get_running_loop().time()
                if self.superseded:
                    break
                if isinstance(frame, bytes):
                    await self.socket.close(1003, "text frames only")
                    break
                await self._take(frame)
        except ConnectionClosed:
            pass
        finally:
            self._lose()

    def supersede(self) -> None:
        """Stop at once: a newer connection has come (OCPP-09), or an operator wants this one to end."""
        if not self.superseded:
            self.superseded = True
            self._end()
            self.services.spawn(self.socket.close(1000, "a newer connection has come, or an operator ended this one"))

    def _end(self) -> None:
        # Nothing more is taken in, and nobody waits for room.
        self._ended = True
        self._line.clear()
        self._room.set()

    def _lose(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
        self._end()
        for future in self._open.values():
            if not future.done():
                future.set_exception(ConnectionLost())

    async def _pace(self) -> None:
        # Whoever sends too fast is read more slowly; nothing is dropped (OCPP-28).
        config = self.services.config
        now = asyncio.get_running_loop().time()
        self._tokens = min(config.frames_burst, self._tokens + (now - self._counted_at) * config.frames_per_second)
        self._counted_at = now
        if self._tokens < 1:
            await asyncio.sleep((1 - self._tokens) / config.frames_per_second)
        self._tokens -= 1

    async def _take(self, text: str) -> None:
        try:
            frame = frames.parse(text, self.version, lenient=self.record.lenient)
        except FrameError as error:
            self._log(text, outgoing=False, action="", message_id=str(error.message_id))
            if error.answered:
                await self._queue(error)
            return
        except Exception:
            # Ours, whatever it is: the connection stays (OCPP-27).
            logger.exception("ocpp frame failed: %s", self.record.identity)
            await self._queue(FrameError(Fault.OURS, "internal error"))
            return
        self._log(
            text, outgoing=False, action=frame.action if isinstance(frame, Call) else "", message_id=frame.message_id
        )
        if isinstance(frame, Call):
            await self._queue(frame)
            return
        future = self._open.get(frame.message_id)
        if future is not None and not future.done():
            future.set_result(frame)
        else:
            logger.info("ocpp answer to nothing we asked: %s %s", self.record.identity, frame.message_id)

    async def _queue(self, item: Call | FrameError) -> None:
        while len(self._line) >= _IN_LINE:
            self._room.clear()
            await self._room.wait()
        if self._ended:
            return
        self._line.append(item)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._line:
            item = self._line.popleft()
            self._room.set()
            try:
                began = asyncio.get_running_loop().time()
                answer = await self._answers.answer(item)
                if answer is not None and not self.superseded:
                    await self._send(answer, action="", message_id=str(item.message_id))
                took = asyncio.get_running_loop().time() - began
                self.services.watch.answered(self.version, item, answer, took)
            except ConnectionClosed:
                return
            except Superseded:
                self.supersede()
                return
            except StoreUnavailable:
                # Unanswered on purpose: the charge point keeps the message and sends it again (OCPP-103).
                self._end()
                await self.socket.close(1013, "try again later")
                return

    async def ask(
        self,
        message_id: str,
        action: str,
        payload: Any,
        timeout: float,
        *,
        on_wire: Callable[[], None] | None = None,
    ) -> Outcome:
        """Send a CALL and wait for its answer; `on_wire` is called once it is written to the socket.

        :raises NotSent: if the socket had closed before anything was written.
        :raises ConnectionLost: if the socket closes first.
        :raises TimeoutError: if no answer comes in time.
        """
        if action == "CertificateSigned":
            await self._answered()
        if not self.is_open:
            raise NotSent
        future: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
        self._open[message_id] = future
        if action == "TriggerMessage":
            self.triggered.add(actions.triggered_by(payload))
        try:
            await self._send(frames.call(message_id, action, payload), action=action, message_id=message_id)
            if on_wire is not None:
                on_wire()
            return Outcome(await asyncio.wait_for(future, timeout))
        except ConnectionClosed as error:
            raise ConnectionLost from error
        finally:
            self._open.pop(message_id, None)
            if future.done() and not future.cancelled():
                future.exception()  # taken note of, also when the send failed first

    async def refuse(self, result: CallResult, fault: Fault, text: str) -> None:
        """Tell a charge point that its answer breaks the schema: OCPP 2.1 alone has a message for it (OCPP-14)."""
        if self.version == "2.1" and not self._ended:
            await self._queue(FrameError(fault, text, message_id=result.message_id, of_result=True))

    async def _answered(self) -> None:
        """Wait until its CALLs are answered: SignCertificate has its answer before what was signed comes (OCPP-90)."""
        loop = asyncio.get_running_loop()
        # No answer takes longer than a decision; who never stops calling cannot put us off for ever.
        deadline = loop.time() + self.services.config.decision_seconds + 3
        while self._calls_open and not self._ended and loop.time() < deadline:
            await asyncio.sleep(0.02)

    @property
    def _calls_open(self) -> bool:
        return bool(self._line) or (self._worker is not None and not self._worker.done())

    async def _send(self, text: str, *, action: str, message_id: str) -> None:
        self._log(text, outgoing=True, action=action, message_id=message_id)
        await self.socket.send(text)

    def _log(self, text: str, *, outgoing: bool, action: str, message_id: str) -> None:
        self.services.frame_log.add(
            datetime.now(UTC),
            self.record.id,
            self.epoch,
            outgoing=outgoing,
            action=action,
            message_id=message_id,
            text=text,
        )

    def keep_alive(self, now: float) -> None:
        """Ping a silent charge point; close on one that stays silent. Any frame counts as life (OCPP-11)."""
        config = self.services.config
        interval = config.ping_seconds if self.record.ping_seconds is None else self.record.ping_seconds
        if interval <= 0:
            return
        own = self.record.ping_timeout_seconds
        timeout = config.ping_timeout_seconds if own is None else own
        # Moments are compared, not the time between them: of fractions, that may be a little too short.
        if timeout > 0 and now >= self.heard_at + (interval + timeout):
            self.services.spawn(self._hang_up())
        elif now >= max(self.heard_at, self.pinged_at) + interval:
            self.pinged_at = now
            self.services.spawn(self.ping())

    async def leave(self, seconds: float, code: int, reason: str) -> None:
        """Close once nothing is open any more, or when the time is up (OCPP-102)."""
        self.leaving = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.busy and loop.time() < deadline:
            await asyncio.sleep(0.05)
        await self.socket.close(code, reason)

    async def _hang_up(self) -> None:
        # Nobody is there to say goodbye to: cut instead of waiting for a close frame.
        self.socket.transport.abort()

    async def ping(self) -> None:
        """Send a ping; its pong counts as life, whenever it comes."""
        try:
            await (await self.socket.ping())
        except ConnectionClosed:
            return
        self.heard_at = asyncio.get_running_loop().time()
