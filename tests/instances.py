"""Real instances of this project for scenarios: own processes, own database, real HTTP.

with run_instance("hub", parties=["NL*HUB:HUB"], worker=True) as hub:
    token_a = hub.manage("invite_platform", "--name", "Elbe", "--any-role")["token_a"]
    requests.get(hub.versions_url, …)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests import command_server, template

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance."""

    url: str
    environment: Mapping[str, str]
    log: IO[str]

    @property
    def versions_url(self) -> str:
        return f"{self.url}/ocpi/versions"

    def manage(self, *words: str) -> Any:
        """Run a command and return its one JSON line."""
        return json.loads(command_server.run([*words, "--json"], self.environment).strip().splitlines()[-1])

    def query(self, statement: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query in its database."""
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as connection:
            return connection.execute(statement.encode(), list(parameters)).fetchall()

    def logged(self) -> str:
        """Return what its processes have printed."""
        self.log.seek(0)
        return self.log.read()


@contextmanager
def run_instance(
    *sides: str,
    parties: Iterable[str],
    worker: bool = False,
    gateway: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Instance]:
    """Run an instance until the block ends; `worker` adds worker and beat, `gateway` the OCPP gateway."""
    number = next(_numbers)
    name = f"scenario_{os.getpid()}_{number}"
    database_url = template.copy(name)
    port = free_port()
    redis = urlsplit(os.environ["REDIS_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": urlunsplit(redis._replace(path=f"/{_queues(number)}")),
        "OCPI_SIDES": ",".join(sides),
        "OCPI_PARTIES": ",".join(parties),
        "OCPI_BASE_URL": f"http://127.0.0.1:{port}",
        "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8",
        "OCPI_SNAPSHOT_LISTEN": "true",
        "PORT": str(port),
        "OCPP_GATEWAY_PORT": str(free_port()),
        "OCPP_DRAIN_SECONDS": "0.5",
        **(settings or {}),
    }
    parts = ["web", *(["worker", "beat"] if worker else []), *(["gateway"] if gateway else [])]
    words = ["run", "--no-migrate", *(word for part in parts for word in ("--only", part))]
    with tempfile.NamedTemporaryFile("r") as log:
        process = command_server.Lasting(words, environment, log=Path(log.name))
        try:
            found = Instance(environment["OCPI_BASE_URL"], environment, log)
            _wait_for(found, process)
            yield found
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            template.drop(name)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _queues(number: int) -> int:
    """Return a Redis database for the queues of one instance alone, whichever worker of a test run it belongs to."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = max(1, 15 // workers)
    return 1 + (worker * share + number % share) % 15


def _wait_for(instance: Instance, process: command_server.Lasting) -> None:
    limit = time.monotonic() + _START_SECONDS
    while time.monotonic() < limit:
        assert process.poll() is None, f"the instance ended:\n{instance.logged()}"
        try:
            urllib.request.urlopen(instance.versions_url, timeout=2)  # noqa: S310 our own URL
        except urllib.error.HTTPError:  # 401: it is there
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the instance did not start:\n{instance.logged()}")
