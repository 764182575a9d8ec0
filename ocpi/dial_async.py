"""Opening a connection in an event loop: to an address that was checked, or through the proxy of the settings."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from functools import lru_cache

from ocpi.address_guard import SocketAddress
from ocpi.egress import Tunnel

_TUNNEL_OCTETS = 4096


@lru_cache(maxsize=1024)
def is_address(host: str) -> bool:
    """Say whether a host is written as an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def dial(address: SocketAddress, until: float) -> socket.socket:
    """Return a socket connected to an address, by a moment on `time.monotonic`.

    :raises OSError: if that does not come about; TimeoutError is one.
    """
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


async def tunnel(sock: socket.socket, through: Tunnel, deadline: float) -> None:
    """Open a tunnel through the proxy at the other end; else close the socket.

    :raises OSError: if the connection breaks or takes too long.
    :raises ProxyRefused: if the proxy does not want to.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(max(deadline - time.monotonic(), 0.001)):
            await loop.sock_sendall(sock, through.request)
            while not through.is_open:
                through.feed(await loop.sock_recv(sock, _TUNNEL_OCTETS))
    except BaseException:
        sock.close()
        raise
