"""The asynchronous twin of `wire`: the same rules for one event loop, where a request that waits costs no thread.

Checked addresses, one deadline from connect to last byte, connections kept alive; no proxies from the environment, no
cookies, no compression. The exceptions are those of `wire`, the answers are read by the same `AnswerReader`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
import ssl
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

from ocpi import address_guard
from ocpi.address_guard import SocketAddress, Url
from ocpi.connection import tls_context
from ocpi.egress import Proxy, ProxyRefused, Tunnel
from ocpi.http_answer import AnswerReader, NotHttp, Response
from ocpi.wire import Lost, NotAnAnswer, NotConnected, Stale

_IDLE_CONNECTIONS = 8  # per host and port
_IDLE_SECONDS = 30.0
_LOOKUP_SECONDS = 2.0
_ROUND_SECONDS = 0.05  # how late a time limit may be
_ROUNDS = 100  # of the event loop, that closing may take
_LOOKUPS = 32  # names that are looked up at once

_TUNNEL_OCTETS = 4096
_TCP_INFO = struct.Struct("=B127xQ")  # of Linux: the state first, the count of octets that came last
_ESTABLISHED = 1
_Key = tuple[str, str, int, tuple[str, ...], ssl.SSLContext | None, Proxy | None]


class _Connection(asyncio.Protocol):
    """One socket, used for one request at a time."""

    def __init__(self, sock: socket.socket, alive: set[_Connection]) -> None:
        self._alive = alive
        self._socket = sock
        self._came = 0
        self.reader = AnswerReader()
        self.reused = False
        self.closed = False
        self.idle_since = 0.0
        self.deadline = 0.0
        self._waiter: asyncio.Future[None] | None = None
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

    async def ask(self, request: bytes, deadline: float, max_body: int, waiting: set[_Connection]) -> Response:
        """Send a request and return its answer.

        :raises Lost: as `wire.exchange`.
        :raises NotAnAnswer: as `wire.exchange`.
        """
        loop = asyncio.get_running_loop()
        reader = self.reader
        reader.expect(max_body)
        self._waiter = waiter = loop.create_future()
        self.deadline = deadline
        waiting.add(self)
        self._transport.write(request)
        try:
            await waiter
        except ConnectionError as error:
            if self.reused and not reader.started:
                raise Stale(str(error), nothing_sent=False) from error
            raise Lost(str(error)) from error
        finally:
            waiting.discard(self)
            self._waiter = None
        if self._transport.get_write_buffer_size():  # an answer to half a request
            reader.keep_alive = False
        return reader.response

    # ---- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._is_guarded = transport.get_extra_info("sslcontext") is not None
        state = _state(self._socket)
        self._counted = state[1] if state else None  # octets that a proxy sent before
        self._alive.add(self)

    def data_received(self, data: bytes) -> None:
        self._came += len(data)
        waiter = self._waiter
        if waiter is None or waiter.done():  # nothing that we asked for
            self.close()
            return
        try:
            self.reader.feed(data)
        except NotHttp as problem:
            waiter.set_exception(NotAnAnswer(str(problem), self.reader.beginning))
            return
        if self.reader.complete:
            waiter.set_result(None)

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._alive.discard(self)
        self._ended(error)

    def _ended(self, error: Exception | None) -> None:
        self.closed = True
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        # A body that ends with the connection is whole only if nobody cut that in between. The event loop does not tell
        # whether TLS was ended or cut, so over TLS such a body counts as cut.
        if error is None and not self._is_guarded and self.reader.end():
            waiter.set_result(None)
        else:
            reason = str(error) if error else "the connection was closed before the answer was complete"
            waiter.set_exception(ConnectionError(reason))

    def too_late(self) -> None:
        """Stop waiting: the time limit is over."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Lost("the time limit is over"))


class Pool:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self._idle: dict[_Key, deque[_Connection]] = {}
        self._swept_at = time.monotonic()
        self._waiting: set[_Connection] = set()
        self._alive: set[_Connection] = set()
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
        connection = None if fresh else self._take(key)
        if connection is None:
            until = min(deadline, time.monotonic() + connect_timeout)
            connection = await self._connect(url, until, allowed_networks, context, proxy)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_ROUND_SECONDS, self._look_round)
        keep = False
        try:
            response = await connection.ask(request, deadline, max_body, self._waiting)
            keep = connection.reader.keep_alive and not connection.closed
        finally:
            if keep:
                self._give(key, connection)
            else:
                connection.close()
        return response

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

    def _take(self, key: _Key) -> _Connection | None:
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if connection.idle_since > time.monotonic() - _IDLE_SECONDS and connection.is_usable():
                connection.reused = True
                return connection
            connection.close()
        return None

    def _give(self, key: _Key, connection: _Connection) -> None:
        now = connection.idle_since = time.monotonic()
        connection.reader.forget()
        idle = self._idle.setdefault(key, deque())
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
    ) -> _Connection:
        addresses = await self._resolve(url, deadline, allowed)
        problem = "no address"
        for number, address in enumerate(addresses):
            now = time.monotonic()
            until = now + (deadline - now) / (len(addresses) - number)
            try:
                if proxy is not None and not address_guard.is_allowed(address, allowed):
                    at = await asyncio.get_running_loop().run_in_executor(self._lookups, proxy.address)
                    sock = await _dial(at, until)
                    await _tunnel(sock, Tunnel(proxy, address), deadline)
                else:
                    sock = await _dial(address, until)
                return await _begin(sock, url, deadline, context, self._alive)
            except (OSError, ValueError, ProxyRefused) as error:  # ValueError: a name that TLS cannot check
                problem = str(error) or type(error).__name__
        raise NotConnected(f"{url.host} port {url.port}: {problem}")

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
            if _is_address(url.host):
                return look_up()
            async with asyncio.timeout(max(deadline - time.monotonic(), 0.001)):  # also if all threads look up others
                return await asyncio.get_running_loop().run_in_executor(self._lookups, look_up)
        except (address_guard.Unresolved, TimeoutError) as error:
            raise NotConnected(str(error) or "no answer from the name server in time") from error


def _state(sock: socket.socket) -> tuple[int, int] | None:
    """Return the state of a TCP connection and how many octets came over it, where the system tells (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        octets = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return None
    return _TCP_INFO.unpack(octets) if len(octets) == _TCP_INFO.size else None


@lru_cache(maxsize=1024)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _dial(address: SocketAddress, until: float) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(max(until - time.monotonic(), 0.001)):
            # The only place where the outside world is dialled: by the address just checked, never by name.
            await asyncio.get_running_loop().sock_connect(sock, where)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnel(sock: socket.socket, tunnel: Tunnel, deadline: float) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(max(deadline - time.monotonic(), 0.001)):
            await loop.sock_sendall(sock, tunnel.request)
            while not tunnel.is_open:
                tunnel.feed(await loop.sock_recv(sock, _TUNNEL_OCTETS))
    except BaseException:
        sock.close()
        raise


async def _begin(
    sock: socket.socket, url: Url, deadline: float, context: ssl.SSLContext | None, alive: set[_Connection]
) -> _Connection:
    """Shake hands if need be; the certificate is checked for the name, though we are connected to an address."""
    name = url.host if context is not None else None
    try:
        async with asyncio.timeout(max(deadline - time.monotonic(), 0.001)):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(sock, alive), sock=sock, ssl=context, server_hostname=name
            )
    except BaseException:
        sock.close()
        raise
    return connection
