"""The way out through a proxy that the settings name (SEC-27); bytes only, no socket, so that any client can use it.

The proxy is asked for a tunnel to the address that was checked, never to a name: what a name leads to is decided by us,
and TLS inside of the tunnel is checked for the name as without one.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from ocpi.address_guard import SocketAddress, Unresolved, look_up

_LONGEST_ANSWER = 8 * 1024
_PORT = 3128
_SHAPE = "must look like http://proxy.example:3128"


class ProxyRefused(Exception):
    """The proxy opened no tunnel."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is, and what it wants to see."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    def address(self, timeout: float) -> SocketAddress:
        """Return its address, within so many seconds. The operator has named it, so it is not guarded.

        :raises ProxyRefused: if it has none, or the name server is too slow.
        """
        try:
            return look_up(self.host, self.port, timeout)[0]
        except Unresolved as error:
            raise ProxyRefused(f"the egress proxy was not found: {error}") from error


@lru_cache(maxsize=4)
def proxy(url: str) -> Proxy | None:
    """Return the proxy of a URL like http://user:password@proxy.example:3128, or nothing for an empty one.

    :raises ValueError: if it is no such URL; it is not shown, for it may hold a password.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or _PORT
    except ValueError:  # which shows what it could not read
        raise ValueError(_SHAPE) from None
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(_SHAPE)
    shown = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        shown = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Proxy(parts.hostname, port, shown)


class Tunnel:
    """One CONNECT and its answer."""

    def __init__(self, through: Proxy, to: SocketAddress) -> None:
        host, port = to[1][0], to[1][1]
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if through.authorization:
            lines.append(f"Proxy-Authorization: {through.authorization}")
        self.request = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
        self.is_open = False
        self._received = b""

    def feed(self, octets: bytes) -> None:
        """Take what the proxy sent; nothing means that it closed.

        :raises ProxyRefused: if it opens no tunnel.
        """
        self._received += octets
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            if not octets or len(self._received) > _LONGEST_ANSWER:
                raise ProxyRefused("the egress proxy gave no answer")
            return
        words = head.partition(b"\r\n")[0].split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].startswith(b"2") or rest:
            said = words[1][:3].decode("latin-1") if len(words) > 1 else "no HTTP"
            raise ProxyRefused(f"the egress proxy opened no tunnel: {said}")
        self.is_open = True
