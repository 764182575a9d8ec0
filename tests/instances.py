"""Real instances of this project for scenarios: own processes, own database, real HTTP.

with run_instance("hub", parties=["NL*HUB:HUB"], worker=True) as hub:
    token_a = hub.manage("invite_platform", "--name", "Elbe", "--any-role")["token_a"]
    requests.get(hub.versions_url, …)
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests import command_server

ROOT = Path(__file__).resolve().parent.parent
_MANAGE = [sys.executable, str(ROOT / "manage.py")]
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
    name = f"{_template()}_{number}"
    _execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_template())))
    port = free_port()
    redis = urlsplit(os.environ["REDIS_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": _database_url(name),
        "REDIS_URL": urlunsplit(redis._replace(path=f"/{1 + number % 15}")),  # queues of its own
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
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*_MANAGE, "run", "--no-migrate", *(word for part in parts for word in ("--only", part))],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            found = Instance(environment["OCPI_BASE_URL"], environment, log)
            _wait_for(found, process)
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _drop(name)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@lru_cache(maxsize=1)
def _template() -> str:
    """Return the name of an empty database with all tables, made once per test run."""
    name = f"scenario_{os.getpid()}"
    _execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    atexit.register(_drop, name)
    environment = {**os.environ, "DATABASE_URL": _database_url(name)}
    done = subprocess.run(
        [*_MANAGE, "migrate", "-v", "0"], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return name


def _wait_for(instance: Instance, process: subprocess.Popen[bytes]) -> None:
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


def _database_url(name: str) -> str:
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))


def _execute(statement: sql.Composed) -> None:
    with psycopg.connect(_database_url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


def _drop(name: str) -> None:
    with suppress(psycopg.Error):
        _execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
