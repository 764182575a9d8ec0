"""The web server of a hub and of an eMSP: `python -m hub.web`. uvicorn with our limits, and an end that answers whoever
waits.

SIGTERM: nothing new is taken, requests in flight have some seconds to be answered by their receivers, then they
are answered 4002; what was recorded is written, and the process ends with 0 (REL-56).
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from hub import one_cpu
from hub.processes import follow

# While the log is written, Python's threads take turns at this pace: a request is not to wait 5 ms for each turn.
# Shorter ones than this cost more than they spare anybody.
_TURN_SECONDS = 0.002
# So many objects may be made before the youngest are looked through for garbage: a request in flight is none.
_COLLECTED_EVERY = 20_000


class Server(uvicorn.Server):
    """Ends with 0 when it is asked to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        _settle_down()
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGINT):
                stack.callback(signal.signal, number, signal.signal(number, self.handle_exit))
            yield


def _settle_down() -> None:
    """Have what was loaded left alone by the garbage collector, and the threads together on one CPU.

    A collection would stop every request to look at what stays anyway.
    """
    from django.conf import settings

    if settings.ON_ONE_CPU:
        one_cpu.stay()
    sys.setswitchinterval(_TURN_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_EVERY, 20, 100)


class Configuration(uvicorn.Config):
    """What uvicorn serves, also in processes of its own."""

    def load(self) -> None:
        """Load the application; one of several processes goes with the one that started it, which holds the port."""
        parent = multiprocessing.parent_process()
        if self.workers > 1 and parent is not None and parent.pid is not None:
            follow(parent.pid)
            _settle_down()
        super().load()


class Processes(Multiprocess):
    """Several processes behind one port, which the one that started them holds as well."""

    def terminate_all(self) -> None:
        """Have all of them end, and refuse connections from now on: nobody would take them."""
        for listening in self.sockets:
            listening.close()
        super().terminate_all()


def configuration(host: str, port: int, *, processes: int = 1, grace: int = 8, **options: Any) -> uvicorn.Config:
    """Return how uvicorn serves `hub.asgi`."""
    return Configuration(
        "hub.asgi:application",
        host=host,
        port=port,
        workers=processes,
        loop="uvloop",
        http="hub.fast_protocol:Protocol",
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=grace,
        backlog=2048,
        **options,
    )


def main() -> None:
    """Serve until told to stop."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    from django.conf import settings

    grace = settings.WEB_GRACE_SECONDS
    serve(configuration(settings.HOST, settings.PORT, processes=settings.WEB_PROCESSES, grace=grace))


def serve(config: uvicorn.Config) -> None:
    """Serve until told to stop, in this process or in several below it."""
    server = Server(config)
    if config.workers > 1:
        Processes(config, sockets=[config.bind_socket()]).run()
    else:
        server.run()


if __name__ == "__main__":
    main()
