"""The asynchronous twin of `wire`: the same rules for one event loop, where a request that waits costs no thread.

Checked addresses, one deadline from connect to last byte, connections kept alive; no proxies from the environment, no
cookies, no compression. The exceptions are those of `wire`, the answers are read by the same `AnswerReader`.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ocpi import address_guard, dial_async
from ocpi.address_guard import SocketAddress, Url
from ocpi.connection import tls_context
from ocpi.egress import Proxy, ProxyRefused, Tunnel
from ocpi.http_answer import AnswerReader, NotHttp, Response
from ocpi.same_answer import SameAnswers
from ocpi.wire import Lost, NotAnAnswer, NotConnected, Stale

_IDLE_CONNECTIONS = 8  # per host and port
_IDLE_SECONDS = 30.0
_LOOKUP_SECONDS = 2.0
_ROUND_SECONDS = 0.05  # how late a time limit may be
_ROUNDS = 100  # of the event loop, that closing may take
_LOOKUPS = 32  # names that are looked up at once

_TCP_INFO = struct.Struct("=B127xQ")  # of Linux: the state first, the count of octets that came last
_ESTABLISHED = 1
_IS_LINUX = sys.platform.startswith("linux")
Key = tuple[str, str, int, tuple[str, ...], ssl.SSLContext | None, Proxy | None]
Outcome = Response | Lost | NotAnAnswer
Done = Callable[[Outcome], None]


class Connection(asyncio.Protocol):
    """One socket, used for one request at a time."""

    def __init__(self, sock: socket.socket, alive: set[Connection], waiting: set[Connection]) -> None:
        self._alive, self._waiting = alive, waiting
        self._socket = sock
        self._came = 0
        self.reader = AnswerReader()
        self.reused = False
        self.closed = False
        self.idle_since = 0.0
        self.deadline = 0.0
        self._done: Done | None = None
        self.keep_alive = False
        self._is_reading = False  # else the reader still has the answer before
        self._max_body = 0
        self._heads = SameAnswers()
        self._poller = select.poll()
        self._poller.register(sock.fileno(), select.POLLIN)

    def is_usable(self) -> bool:
        """Tell whether a kept connection is usable: anything readable is its end, or nothing we asked for."""
        if self.closed:
            return False
        if self._counted is not None and not self._is_guarded:
            # Asking this way keeps the GIL: who lets go of it may wait for other threads until it comes back.
            return _state(self._socket) == (_ESTABLISHED, self._counted + self._came)
        return not self._poller.poll(0)

    def close(self) -> None:
        """Close at once, whatever is on its way."""
        self.closed = True
        self.reader.forget()
        self._transport.abort()

    def ask(self, request: bytes, deadline: float, max_body: int, done: Done) -> None:
        """Send a request; `done` is called once, with its answer or with `Lost` or `NotAnAnswer`.

        An answer whose head came before has it as `said`, and no headers written out.
        """
        self._is_reading, self._max_body = False, max_body
        self._done, self.deadline = done, deadline
        self._waiting.add(self)
        self._transport.write(request)

    def forget(self) -> None:
        """Let go of what was read: a connection that waits must not hold a body."""
        if self._is_reading:  # else the reader was not asked
            self.reader.forget()

    def interrupt(self) -> None:
        """Wait no longer."""
        self._done = None
        self._waiting.discard(self)
        self.close()

    def _settle(self, outcome: Outcome) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._waiting.discard(self)
        self.keep_alive = (
            isinstance(outcome, Response)
            and (outcome.said is not None or self.reader.keep_alive)
            and not self.closed
            and not self._transport.get_write_buffer_size()  # else it is an answer to half a request
        )
        done(outcome)

    # ---- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._is_guarded = transport.get_extra_info("sslcontext") is not None
        state = _state(self._socket)
        self._counted = state[1] if state else None  # octets that a proxy sent before
        self._alive.add(self)

    def data_received(self, data: bytes) -> None:
        self._came += len(data)
        if self._done is None:  # nothing that we asked for
            self.close()
            return
        is_first, reader = not self._is_reading, self.reader
        if is_first:
            if self._heads.known is not None and (answer := self._heads.again(data, self._max_body)) is not None:
                self._settle(answer)
                return
            self._read()
        try:
            reader.feed(data)
        except NotHttp as problem:
            self._settle(NotAnAnswer(str(problem), reader.beginning))
            return
        if reader.complete:
            if is_first and reader.keep_alive:
                self._heads.learn(data)
            self._settle(reader.response)

    def _read(self) -> None:
        self._is_reading = True
        self.reader.expect(self._max_body)

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._alive.discard(self)
        self._ended(error)

    def _ended(self, error: Exception | None) -> None:
        self.closed = True
        if self._done is None:
            return
        if not self._is_reading:
            self._read()
        # A body that ends with the connection is whole only if nobody cut that in between. The event loop does not tell
        # whether TLS was ended or cut, so over TLS such a body counts as cut.
        if error is None and not self._is_guarded and self.reader.end():
            self._settle(self.reader.response)
            return
        reason = str(error) if error else "the connection was closed before the answer was complete"
        stale = self.reused and not self.reader.started
        self._settle(Stale(reason, nothing_sent=False) if stale else Lost(reason))

    def too_late(self) -> None:
        """Stop waiting: the time limit is over."""
        self._settle(Lost("the time limit is over"))


class Pool:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self._idle: dict[Key, deque[Connection]] = {}
        self._swept_at = time.monotonic()
        self._waiting: set[Connection] = set()
        self._alive: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="look up")

    async def exchange(
        self,
        url: Url,
        request: bytes,
        *,
        deadline: float,
        connect_timeout: float,
        max_body: int,
        allowed_networks: tuple[str, ...],
        context: ssl.SSLContext | None = None,
        fresh: bool = False,
        proxy: Proxy | None = None,
    ) -> Response:
        """Send one request, head and body in one piece, and return its answer.

        `deadline` is on `time.monotonic`; `fresh` asks for a new connection; a `proxy` is used to reach public
        addresses.

        :raises AddressDenied: if the guard refuses the address.
        :raises NotConnected: if nothing was sent.
        :raises Lost: if it was sent, and no complete answer came; `Stale` if that was a kept connection's fault.
        :raises NotAnAnswer: if what came is not HTTP or is too big.
        """
        if url.scheme == "https" and context is None:
            context = tls_context()
        key = (url.scheme, url.host, url.port, allowed_networks, context, proxy)
        connection = None if fresh else self._take(key, time.monotonic())
        if connection is None:
            until = min(deadline, time.monotonic() + connect_timeout)
            connection = await self._connect(url, until, allowed_networks, context, proxy)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_ROUND_SECONDS, self._look_round)
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            self.settled(key, connection, outcome, time.monotonic())
            if answered.done():
                return
            if isinstance(outcome, Response):
                answered.set_result(outcome.written_out())
            else:
                answered.set_exception(outcome)

        connection.ask(request, deadline, max_body, done)
        try:
            return await answered
        except asyncio.CancelledError:
            connection.interrupt()
            raise

    def at_hand(self, key: Key, now: float) -> Connection | None:
        """Return a kept connection that is usable, if there is one: for `ask`, and `settled` when that is done.

        `now` is on `time.monotonic`.
        """
        connection = self._take(key, now)
        if connection is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_ROUND_SECONDS, self._look_round)
        return connection

    def settled(self, key: Key, connection: Connection, outcome: Outcome, now: float) -> None:
        """Keep a connection for the next request, or close it; `now` is on `time.monotonic`."""
        if connection.keep_alive and not connection.closed and isinstance(outcome, Response):
            self._give(key, connection, now)
        else:
            connection.close()

    async def close(self) -> None:
        """Close every connection."""
        for connection in list(self._alive):
            connection.close()
        self._idle.clear()
        for _ in range(_ROUNDS):  # the event loop closes sockets in its own time
            if self._alive:
                await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()
        self._lookups.shutdown(wait=False)

    def _look_round(self) -> None:
        """End the waits whose time is over. One round for all costs less than a timer for each."""
        now = time.monotonic()
        for connection in [each for each in self._waiting if each.deadline <= now]:
            connection.too_late()
        again = asyncio.get_running_loop().call_later(_ROUND_SECONDS, self._look_round) if self._waiting else None
        self._timer = again

    def _take(self, key: Key, now: float) -> Connection | None:
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if connection.idle_since > now - _IDLE_SECONDS and connection.is_usable():
                connection.reused = True
                return connection
            connection.close()
        return None

    def _give(self, key: Key, connection: Connection, now: float) -> None:
        connection.idle_since = now
        connection.forget()
        idle = self._idle.get(key)
        if idle is None:
            idle = self._idle[key] = deque()
        idle.append(connection)
        if len(idle) > _IDLE_CONNECTIONS:
            idle.popleft().close()
        if now - self._swept_at > _IDLE_SECONDS:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        for key in list(self._idle):
            idle = self._idle[key]
            while idle and (idle[0].closed or now - idle[0].idle_since > _IDLE_SECONDS):
                idle.popleft().close()
            if not idle:
                del self._idle[key]

    async def _connect(
        self,
        url: Url,
        deadline: float,
        allowed: tuple[str, ...],
        context: ssl.SSLContext | None,
        proxy: Proxy | None,
    ) -> Connection:
        addresses = await self._resolve(url, deadline, allowed)
        problem = "no address"
        for number, address in enumerate(addresses):
            now = time.monotonic()
            until = now + (deadline - now) / (len(addresses) - number)
            try:
                if proxy is not None and not address_guard.is_allowed(address, allowed):
                    sock = await dial_async.dial(await self._address_of(proxy, until), until)
                    await dial_async.tunnel(sock, Tunnel(proxy, address), deadline)
                else:
                    sock = await dial_async.dial(address, until)
                return await _begin(sock, url, deadline, context, self._made)
            except (OSError, ValueError, ProxyRefused) as error:  # ValueError: a name that TLS cannot check
                problem = str(error) or type(error).__name__
        raise NotConnected(f"{url.host} port {url.port}: {problem}")

    async def _address_of(self, proxy: Proxy, until: float) -> SocketAddress:
        left = max(until - time.monotonic(), 0.001)
        async with asyncio.timeout(left):  # also if all threads look up others
            return await asyncio.get_running_loop().run_in_executor(self._lookups, proxy.address, left)

    def _made(self, sock: socket.socket) -> Connection:
        return Connection(sock, self._alive, self._waiting)

    async def _resolve(self, url: Url, deadline: float, allowed: tuple[str, ...]) -> list[SocketAddress]:
        look_up: Callable[[], list[SocketAddress]] = partial(
            address_guard.resolve,
            url.host,
            url.port,
            allowed_networks=allowed,
            timeout=min(_LOOKUP_SECONDS, deadline - time.monotonic()),
            only_allowed=url.scheme == "http",
        )
        try:
            if dial_async.is_address(url.host):
                return look_up()
            async with asyncio.timeout(max(deadline - time.monotonic(), 0.001)):  # also if all threads look up others
                return await asyncio.get_running_loop().run_in_executor(self._lookups, look_up)
        except (address_guard.Unresolved, TimeoutError) as error:
            raise NotConnected(str(error) or "no answer from the name server in time") from error


def _state(sock: socket.socket) -> tuple[int, int] | None:
    """Return the state of a TCP connection and how many octets came over it, where the system tells (Linux)."""
    if not _IS_LINUX:
        return None
    try:
        octets = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return None
    return _TCP_INFO.unpack(octets) if len(octets) == _TCP_INFO.size else None


async def _begin(
    sock: socket.socket,
    url: Url,
    deadline: float,
    context: ssl.SSLContext | None,
    made: Callable[[socket.socket], Connection],
) -> Connection:
    """Shake hands if need be; the certificate is checked for the name, though we are connected to an address."""
    name = url.host if context is not None else None
    try:
        async with asyncio.timeout(max(deadline - time.monotonic(), 0.001)):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: made(sock), sock=sock, ssl=context, server_hostname=name
            )
    except BaseException:
        sock.close()
        raise
    return connection
