"""What every benchmark needs: real servers, seeded databases, processes whose CPU time is read, and a load generator.

Everything that is started here ends with the run, however that ends: children ask the kernel for a SIGKILL when their
parent is gone, and the embedded servers stop with their last user.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub import embedded, environment
from hub.processes import die_with_parent
from tests.load.client import write_requests
from tests.load.lines import Line, Measured
from tests.load.process import Process, cpu_of, descendants

PROJECT = Path(__file__).resolve().parents[2]
CONNECTIONS = 16


def say(text: str) -> None:
    """Write a line about the progress."""
    print(f"  … {text}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Options:
    """How long and how large."""

    seconds: float = 8.0  # of load per side of a comparison
    scale: float = 0.1  # of the rows
    rounds: int = 4  # the sides take turns


class Lab:
    """The place of one run: a folder, embedded servers, and every process that was started."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        self.secrets = environment.new_secrets()
        self._started: list[Process] = []
        self._numbers = iter(range(1_000_000))
        self._migrated: str | None = None
        say("starting PostgreSQL and Valkey, commits durable")
        self.servers = embedded.ensure(folder, durable=True, remove=True)

    def close(self) -> None:
        """End everything."""
        for process in reversed(self._started):
            process.stop()
        self._started.clear()
        embedded.stop(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------ databases

    def database(self, name: str) -> str:
        """Return the address of a fresh database with the product's tables."""
        if self._migrated is None:
            say("making the tables")
            self._migrated = embedded.create_database(self.servers, "bench_template")
            self.run([sys.executable, "manage.py", "migrate", "-v", "0"], {"DATABASE_URL": self._migrated})
        return embedded.create_database(self.servers, name, "bench_template")

    def baseline_database(self, name: str) -> str:
        """Return the address of a fresh database with the tables of the baselines."""
        address = embedded.create_database(self.servers, name)
        settings = {"DJANGO_SETTINGS_MODULE": "tests.load.baselines.settings", "DATABASE_URL": address}
        self.run([sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v", "0"], settings)
        return address

    def seed(self, database_url: str, platforms: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Register platforms in a database; return their ids by name."""
        found = self.run(
            [sys.executable, "-m", "tests.load.seed"], {"DATABASE_URL": database_url}, given=json.dumps(platforms)
        )
        ids: dict[str, int] = json.loads(found)
        return ids

    # ------------------------------------------------ processes

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of an instance."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(PROJECT),
            "REDIS_URL": self.servers.redis_url,
            **self.secrets,
            "OCPI_SIDES": "hub",
            "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8",
            "OCPI_RATE_PER_PLATFORM": "off",
            "OCPI_STARTS_PER_TOKEN": "0",
            "OCPI_COMMANDS_PER_EVSE": "0",
            "OCPI_RATE_STRANGERS": "0",
            "LOG_LEVEL": "WARNING",
            **more,
        }

    def run(self, command: Sequence[str], env: Mapping[str, str], *, given: str = "") -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            command, cwd=PROJECT, env=self.environment(env), input=given, capture_output=True, text=True, check=False,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return done.stdout

    def start(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        given: int = subprocess.DEVNULL,
    ) -> Process:
        """Start a process and wait until its port, if it has one, answers HTTP."""
        log = self.folder / f"{next(self._numbers):03}-{name}.log"
        with log.open("w") as output:
            popen = subprocess.Popen(
                command, cwd=PROJECT, env=self.environment(env or {}), stdin=given, stdout=output,
                stderr=subprocess.STDOUT, text=True, start_new_session=True, preexec_fn=die_with_parent(signal.SIGKILL),
            )  # fmt: skip
        process = Process(name, popen, log, port)
        self._started.append(process)
        if port:
            self._wait_for(process)
        return process

    def stop(self, *processes: Process) -> None:
        """End processes before the run does."""
        for process in processes:
            process.stop()
            self._started.remove(process)

    def _wait_for(self, process: Process, seconds: float = 40) -> None:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if process.popen.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", process.port), timeout=5) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                if sock.recv(1):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{process.name} does not answer:\n{process.log.read_text()[-3000:]}")

    def instance(self, name: str, database_url: str, env: Mapping[str, str] | None = None) -> Process:
        """Start the web server of an instance as `manage.py run` does."""
        port = free_port()
        mine = {"DATABASE_URL": database_url, "PORT": str(port), **(env or {})}
        command = [sys.executable, "manage.py", "run", "--only", "web", "--no-migrate"]
        return self.start(name, command, mine, port=port)

    def bare(self, name: str, database_url: str = "", env: Mapping[str, str] | None = None) -> Process:
        """Start the baselines' Django application behind the server and flags of an instance without ASGI."""
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "tests.load.baselines.wsgi:application"]
        command += ["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "16", "--workers", "1"]
        command += ["--keep-alive", "75", "--log-level", "warning", "--no-control-socket"]
        settings = {"DJANGO_SETTINGS_MODULE": "tests.load.baselines.settings", "DATABASE_URL": database_url}
        return self.start(name, command, {**settings, **(env or {})}, port=port)

    def upstream(self, ports: int = 1, *, delay: float = 0.0) -> tuple[Process, list[int]]:
        """Start platforms that answer everything at once, or after a while."""
        command = [sys.executable, "-m", "tests.load.upstream", "--ports", str(ports), "--delay", str(delay)]
        process = self.start("upstream", command)
        limit = time.monotonic() + 20
        while not (text := process.log.read_text()).endswith("\n"):
            if time.monotonic() > limit:
                raise RuntimeError(f"the upstream does not start:\n{text}")
            time.sleep(0.02)
        process.port = json.loads(text)[0]
        return process, json.loads(text)

    # ------------------------------------------------ load

    def requests(self, requests: Iterable[bytes]) -> Path:
        """Keep requests for the generator."""
        return write_requests(self.folder / f"{next(self._numbers):03}.requests", requests)

    def load(
        self,
        server: Process,
        requests: Path,
        seconds: float,
        *,
        connections: int = CONNECTIONS,
        rate: float | None = None,
        warm: float = 0.0,
    ) -> dict[str, Any]:
        """Run the generator against a server and return what it prints, with the CPU time that was used meanwhile.

        `warm` is for so many seconds more, over the same connections, before answers count.
        """
        command = [sys.executable, "-m", "tests.load.client", str(requests), "--port", str(server.port)]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
        command += ["--rate", str(rate)] if rate else []
        command += ["--warm", str(warm)] if warm else []
        before, database = server.cpu(), cpu_of(os.getpid(), named="postgres")
        found: dict[str, Any] = json.loads(self.run(command, {}))
        time.sleep(0.15)  # what is written behind the answers belongs to them
        return {
            **found,
            "cpu": server.cpu() - before,
            "database_cpu": cpu_of(os.getpid(), named="postgres") - database,
        }

    def compare(
        self, sides: Mapping[str, tuple[Process, Path]], *, connections: int = CONNECTIONS, warm: float = 1.0
    ) -> dict[str, Measured]:
        """Let sides take turns, so that what else the machine does hits all of them alike."""
        found = {name: Measured() for name in sides}
        for server, requests in sides.values():
            self.load(server, requests, warm, connections=connections)
        for turn in range(self.options.rounds):
            for name, (server, requests) in sides.items():
                self._take_turn(turn, name, found[name], server, requests, connections)
        _say_errors(found)
        return found

    def compare_anew(
        self, sides: Mapping[str, Callable[[], Process]], requests: Path, *, connections: int = CONNECTIONS
    ) -> dict[str, Measured]:
        """Let sides take twice as many turns, started anew for each, and each of them as often the first as the last.

        One process is not like the next: where its objects come to lie makes 3 % of what a request costs. Whatever is
        smaller than that is told from it only by the mean of several processes.
        """
        found = {name: Measured() for name in sides}
        for turn in range(2 * self.options.rounds):
            order = list(sides)[:: 1 if turn % 2 else -1]
            started = {name: sides[name]() for name in order}
            for server in started.values():
                self.load(server, requests, 1.0, connections=connections)
            for name, server in started.items():
                self._take_turn(turn, name, found[name], server, requests, connections)
            self.stop(*started.values())
        _say_errors(found)
        return found

    def _take_turn(
        self, turn: int, name: str, side: Measured, server: Process, requests: Path, connections: int
    ) -> None:
        one = self.load(server, requests, self.options.seconds / self.options.rounds, connections=connections)
        each = one["cpu"] / max(one["count"], 1) * 1e6
        say(f"turn {turn + 1}: {name}: {one['count'] / one['seconds']:,.0f}/s, {each:,.0f} µs CPU each")
        _add(side, one)


def _say_errors(sides: Mapping[str, Measured]) -> None:
    for name, side in sides.items():
        if side.errors:
            say(f"{name}: {side.errors} of {side.count} failed: {side.first_error[:400]}")


def _add(side: Measured, one: Mapping[str, Any]) -> None:
    side.count += one["count"]
    side.seconds += one["seconds"]
    side.cpu += one["cpu"]
    side.database_cpu += one["database_cpu"]
    side.errors += one["errors"]
    side.octets += one["octets"]
    side.first_error = side.first_error or one["first_error"]
    side.p50.append(one["p50"])
    side.p95.append(one["p95"])


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


Bench = Callable[[Lab], Iterable[Line]]


def trouble(sides: Mapping[str, Measured]) -> str:
    """Return a note about sides that failed requests: their numbers mean nothing then."""
    return "; ".join(
        f"{name}: {side.errors} of {side.count} requests failed" for name, side in sides.items() if side.errors
    )


def http(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a finished HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def log_of(process: Process, last: int = 3000) -> str:
    """Return the end of a process's output."""
    return process.log.read_text()[-last:]


__all__ = [
    "CONNECTIONS", "Bench", "Lab", "Line", "Measured", "Options", "Process", "cpu_of", "descendants", "free_port",
    "http", "log_of", "say", "trouble",
]  # fmt: skip
