"""The three instances of the demo: their environment, and the processes each of them is made of."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from celery.beat import EmbeddedService
from gunicorn.app.base import BaseApplication

from hub import embedded
from hub.demo.zygote import Process, command

HOST = "127.0.0.1"
PORTS = {"hub": 8000, "cpo": 8001, "emsp": 8002}
GATEWAY_PORT = 8887
PARTIES = {"hub": "NL*HUB:HUB", "cpo": "NL*TNM:CPO", "emsp": "DE*EMS:EMSP"}
NAMES = {"hub": "Open Hub", "cpo": "Polder Charging", "emsp": "Rheinstrom Mobility"}


@dataclass(slots=True)
class Instance:
    """One running OCPI platform: its own database, port and processes."""

    side: str
    port: int
    environment: dict[str, str]
    log: str
    processes: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self, name: str, work: Callable[[], Any]) -> Process:
        """Start a process that belongs to this instance."""
        process = Process(f"{self.side} {name}", self.environment, work, log=self.log)
        self.processes.append(process)
        return process

    def run(self, name: str, *arguments: str, seconds: float = 60) -> str:
        """Run a management command as this instance and return what it printed.

        :raises RuntimeError: if it fails.
        """
        process = Process(f"{self.side} {name}", self.environment, command(name, *arguments), log=self.log)
        try:
            return str(process.value(seconds))
        finally:
            process.stop()


def create(
    servers: embedded.Servers, secrets_of: Mapping[str, str], folder: Path, template: str
) -> dict[str, Instance]:
    """Return the three instances, each with a database of its own, copied from a migrated one."""
    gateway_port = free_port(GATEWAY_PORT)
    found = {}
    for number, side in enumerate(PORTS, 1):
        port = free_port(PORTS[side])
        environment = {
            **secrets_of,
            "DATABASE_URL": embedded.create_database(servers, f"{template}_{side}", template),
            "REDIS_URL": _redis(servers.redis_url, number),
            "OCPI_SIDES": side,
            "OCPI_PARTIES": PARTIES[side],
            "OCPI_BUSINESS_NAME": NAMES[side],
            "OCPI_BASE_URL": f"http://{HOST}:{port}",
            "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8",
            "OCPI_RATE_PER_PLATFORM": "off",
            "OCPI_RATE_STRANGERS": "0",
            "OCPI_STARTS_PER_TOKEN": "0",  # a day of the demo takes minutes
            "OCPI_COMMANDS_PER_EVSE": "0",
            "OCPI_SESSION_PUSH_SECONDS": "1",
            "ALLOWED_HOSTS": f"{HOST},localhost",
            "LIVE_PUBLIC": "true",
            "PORT": str(port),
            "OCPP_GATEWAY_PORT": str(gateway_port),
            "OCPP_GATEWAY_URL": f"ws://{HOST}:{gateway_port}",
            "OCPP_DRAIN_SECONDS": "1",
            "LOG_LEVEL": "WARNING",
        }
        found[side] = Instance(side, port, environment, str(folder / f"{side}.log"))
    return found


def free_port(wanted: int) -> int:
    """Return the wanted port, or another if somebody uses it."""
    for port in (wanted, 0):
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((HOST, port))
            except OSError:
                continue
            return int(attempt.getsockname()[1])
    raise RuntimeError("no free port")


def web(side: str, port: int) -> Callable[[], None]:
    """Return the work of a web server, the one that the side has in production (docs/adr/0006, 0014)."""
    return threaded_web(port) if side == "cpo" else event_loop_web(port)


def event_loop_web(port: int) -> Callable[[], None]:
    """Return the work of a web server with an event loop before its threads."""

    def run() -> None:
        server = import_module("hub.web")
        server.serve(server.configuration(HOST, port))

    return run


def threaded_web(port: int) -> Callable[[], None]:
    """Return the work of a web server with a thread for each request."""

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            values = {
                "bind": f"{HOST}:{port}",
                "worker_class": "hub.web_threads.Worker",
                "workers": 1,
                "threads": 16,
                "keepalive": 75,
                "graceful_timeout": 5,
                "loglevel": "warning",
                "control_socket_disable": True,
                "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108 - only a folder to ask for
            }
            for name, value in values.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return import_module("hub.wsgi").application

    return Server().run  # type: ignore[no-any-return]


def worker() -> None:
    """Run the sender and the clock of an instance in one process."""
    app = import_module("hub.celery").app
    logging.getLogger("celery").setLevel(logging.WARNING)
    # In memory: the default scheduler would keep a file in the current folder, one for all instances.
    clock: Any = EmbeddedService(app, max_interval=1, thread=True, scheduler_cls="celery.beat:Scheduler")
    clock.start()
    app.worker_main(
        ["worker", "--pool", "threads", "--concurrency", "8", "--without-gossip", "--without-mingle",
         "--without-heartbeat", "--loglevel", "WARNING"]
    )  # fmt: skip


def _redis(url: str, number: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{number}"))
