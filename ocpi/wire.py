"""A small blocking HTTP/1.1 client: checked addresses, one deadline from connect to last byte, connections kept alive.

No redirects, no proxies from the environment (but `egress`, if the settings name one), no `.netrc`, no cookies, no
compression.
"""

import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence

from ocpi import address_guard
from ocpi.address_guard import SocketAddress, Url
from ocpi.connection import Connection, tls_context
from ocpi.egress import Proxy, ProxyRefused, Tunnel
from ocpi.http_answer import NotHttp, Response

_IDLE_CONNECTIONS = 8  # per host and port
_IDLE_SECONDS = 30.0
_LOOKUP_SECONDS = 2.0

PoolKey = tuple[str, str, int, tuple[str, ...], ssl.SSLContext | None, Proxy | None]


class NotConnected(Exception):
    """Nothing was sent: no address, no connection, no TLS, or the first byte was refused."""


class Lost(Exception):
    """The request left, and no complete answer came in time."""


class Stale(Lost):
    """A kept connection turned out closed before the first byte of an answer came."""

    def __init__(self, problem: str, *, nothing_sent: bool) -> None:
        super().__init__(problem)
        self.nothing_sent = nothing_sent


class NotAnAnswer(Exception):
    """What came is no HTTP answer within the limits; `beginning` shows the start of it."""

    def __init__(self, problem: str, beginning: bytes) -> None:
        super().__init__(problem)
        self.beginning = beginning


class Pool:
    """Connections that wait for their next request."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start empty: a forked process must not speak on its parent's connections."""
        self._lock = threading.Lock()
        self._idle: dict[PoolKey, deque[Connection]] = {}
        self._swept_at = time.monotonic()

    def take(self, key: PoolKey) -> Connection | None:
        """Return a usable connection, if there is one."""
        while True:
            with self._lock:
                idle = self._idle.get(key)
                if not idle:
                    return None
                connection = idle.pop()
            if connection.idle_since > time.monotonic() - _IDLE_SECONDS and connection.is_quiet():
                connection.reused = True
                return connection
            connection.close()

    def give(self, key: PoolKey, connection: Connection) -> None:
        """Keep a connection whose answer has been read to its end."""
        now = connection.idle_since = time.monotonic()
        connection.reader.forget()
        surplus: list[Connection] = []
        with self._lock:
            idle = self._idle.setdefault(key, deque())
            idle.append(connection)
            if len(idle) > _IDLE_CONNECTIONS:
                surplus.append(idle.popleft())
            if now - self._swept_at > _IDLE_SECONDS:
                surplus += self._sweep(now)
        for old in surplus:
            old.close()

    def _sweep(self, now: float) -> list[Connection]:
        self._swept_at = now
        old: list[Connection] = []
        for key in list(self._idle):
            idle = self._idle[key]
            while idle and now - idle[0].idle_since > _IDLE_SECONDS:
                old.append(idle.popleft())
            if not idle:
                del self._idle[key]
        return old

    def clear(self) -> None:
        """Close every waiting connection."""
        with self._lock:
            connections = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()


pool = Pool()
os.register_at_fork(after_in_child=pool.forget)


def exchange(
    url: Url,
    request: bytes,
    *,
    deadline: float,
    connect_timeout: float,
    max_body: int,
    allowed_networks: Sequence[str],
    context: ssl.SSLContext | None = None,
    fresh: bool = False,
    proxy: Proxy | None = None,
) -> Response:
    """Send one request, head and body in one piece, and return its answer.

    `deadline` is on `time.monotonic`; `fresh` asks for a new connection; a `proxy` is used to reach public addresses.

    :raises AddressDenied: if the guard refuses the address.
    :raises NotConnected: if nothing was sent.
    :raises Lost: if it was sent, and no complete answer came; `Stale` if that was a kept connection's fault.
    :raises NotAnAnswer: if what came is not HTTP or is too big.
    """
    allowed = tuple(allowed_networks)
    if url.scheme == "https" and context is None:
        context = tls_context()
    key = (url.scheme, url.host, url.port, allowed, context, proxy)
    connection = None if fresh else pool.take(key)
    if connection is None:
        until = min(deadline, time.monotonic() + connect_timeout)
        connection = _connect(url, until, allowed, context, proxy)
    keep = False
    try:
        response = _ask(connection, request, deadline, max_body)
        keep = connection.reader.keep_alive
    finally:
        if keep:
            pool.give(key, connection)
        else:
            connection.close()
    return response


def _ask(connection: Connection, request: bytes, deadline: float, max_body: int) -> Response:
    reader = connection.reader
    reader.expect(max_body)
    sent = 0
    try:
        sent = connection.send(request, deadline)
        # Whoever closes in the middle of our request may have answered before.
        while not reader.complete:
            octets = connection.receive(deadline)
            if octets:
                reader.feed(octets)
            elif not reader.end():
                raise ConnectionError("the connection was closed before the answer was complete")
    except NotHttp as problem:
        raise NotAnAnswer(str(problem), reader.beginning) from None
    except TimeoutError as error:
        raise Lost(str(error)) from error
    except OSError as error:
        if connection.reused and not reader.started:
            raise Stale(_words(error), nothing_sent=not sent) from error
        if not sent:
            raise NotConnected(_words(error)) from error
        raise Lost(_words(error)) from error
    if sent < len(request):
        reader.keep_alive = False
    return reader.response


def _connect(
    url: Url, deadline: float, allowed: tuple[str, ...], context: ssl.SSLContext | None, proxy: Proxy | None
) -> Connection:
    lookup = min(_LOOKUP_SECONDS, deadline - time.monotonic())
    try:
        addresses = address_guard.resolve(
            url.host, url.port, allowed_networks=allowed, timeout=lookup, only_allowed=url.scheme == "http"
        )
    except address_guard.Unresolved as error:
        raise NotConnected(str(error)) from error
    problem = "no address"
    for number, address in enumerate(addresses):
        now = time.monotonic()
        until = now + (deadline - now) / (len(addresses) - number)
        through = proxy if proxy and not address_guard.is_allowed(address, allowed) else None
        try:
            return _open(address, url, until, deadline, context, through)
        except (OSError, ValueError, ProxyRefused) as error:  # ValueError: a name that TLS cannot check
            problem = _words(error)
    raise NotConnected(f"{url.host} port {url.port}: {problem}")


def _open(
    address: SocketAddress,
    url: Url,
    until: float,
    deadline: float,
    context: ssl.SSLContext | None,
    proxy: Proxy | None,
) -> Connection:
    sock = _dial(proxy.address(until - time.monotonic()) if proxy else address, until)
    connection = Connection(sock)
    try:
        if proxy is not None:
            _tunnel(connection, Tunnel(proxy, address), deadline)
        if context is not None:
            connection.start_tls(context, url.host, deadline)
    except (OSError, ValueError, ProxyRefused):
        connection.close()
        raise
    return connection


def _dial(address: SocketAddress, until: float) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # The only place where the outside world is dialled: by the address just checked, never by name.
        sock.settimeout(max(until - time.monotonic(), 0.001))
        sock.connect(where)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _tunnel(connection: Connection, tunnel: Tunnel, deadline: float) -> None:
    connection.send(tunnel.request, deadline)
    while not tunnel.is_open:
        tunnel.feed(connection.receive(deadline))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
