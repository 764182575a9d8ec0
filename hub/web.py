"""The web server of a hub: `python -m hub.web`. uvicorn with our limits, and an end that answers whoever waits.

SIGTERM: nothing new is taken, requests in flight have 8 s to be answered by their receivers, then they are answered
4002; what was recorded is written, and the process ends with 0 (REL-56).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

HEAD_LIMIT = 64 * 1024  # octets of request line and headers together; each line has a limit of its own
HEAD_SECONDS = 10.0  # from the first octet of a request, or the connection, to the end of its headers
GRACE_SECONDS = 8


class Protocol(HttpToolsProtocol):
    """One connection from a client: its headers have to come in time and within limits."""

    _head_octets = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_octets += len(data)
            if self._head_octets > HEAD_LIMIT:
                self.send_400_response("The headers are too long.")
            elif self._head_timer is None:
                self._await_head()

    def on_message_begin(self) -> None:
        self._in_head, self._head_octets = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._forget_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head_octets = 0

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(uvicorn.Server):
    """Ends with 0 when it is asked to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGINT):
                stack.callback(signal.signal, number, signal.signal(number, self.handle_exit))
            yield


def configuration(host: str, port: int, *, processes: int = 1, **options: Any) -> uvicorn.Config:
    """Return how uvicorn serves `hub.asgi`."""
    return uvicorn.Config(
        "hub.asgi:application",
        host=host,
        port=port,
        workers=processes,
        loop="uvloop",
        http="hub.web:Protocol",
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=2048,
        **options,
    )


def main() -> None:
    """Serve until told to stop."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    from django.conf import settings

    serve(configuration(settings.HOST, settings.PORT, processes=settings.WEB_PROCESSES))


def serve(config: uvicorn.Config) -> None:
    """Serve until told to stop, in this process or in several below it."""
    server = Server(config)
    if config.workers > 1:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    else:
        server.run()


if __name__ == "__main__":
    main()
