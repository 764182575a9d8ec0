"""Requests of the bare HTTP client to a hostile server."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ocpi import address_guard, wire
from ocpi.http_answer import Response
from tests.unit.hostile_server import HostileServer, Peer, Script

LOOPBACK = ["127.0.0.0/8", "::1/128"]
LIMIT = 0.4
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def ask(
    server: HostileServer,
    *,
    request: bytes = REQUEST,
    max_body: int = 10_000,
    host: str = "127.0.0.1",
    **options: object,
) -> Response:
    url = address_guard.Url("https" if server.tls else "http", host, server.port, "/")
    return wire.exchange(
        url,
        request,
        deadline=time.monotonic() + LIMIT,
        connect_timeout=LIMIT,
        max_body=max_body,
        allowed_networks=LOOPBACK,
        **options,  # type: ignore[arg-type]
    )


def once(*pieces: bytes) -> Script:
    """Return a script that answers with the pieces and closes."""

    def script(peer: Peer) -> None:
        peer.request()
        for piece in pieces:
            peer.send(piece)
            time.sleep(0.005)

    return script


def never_read(peer: Peer) -> None:
    peer.hang()


@contextmanager
def nobody_accepts(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Give a port where a connection is neither made nor refused: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
