"""Where a figure runs: servers of its own that may be killed, or, inside a test run, a database and a Redis of its own.

A PostgreSQL of our own is killed outright and started again by its keeper. On the servers of a test run, which other
tests use as well, a crash is what its clients see of one: every session ends at once, and for a second none begins.
Redis is a process of the figure in both cases, so that it can be stopped, frozen and emptied.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from hub import embedded, environment
from hub.embedded_programs import valkey_program
from hub.processes import die_with_parent
from tests import template
from tests.load.harness import Lab, Options, free_port, say
from tests.load.process import processes

_REFUSES_SECONDS = (
    1.0  # a guest's database refuses sessions for so long; a recovery of our own takes as long as it takes
)


class Place(Lab):
    """A lab whose PostgreSQL and Redis can be made to fail."""

    guest = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Options())
        self.broker = Broker(folder)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return super().environment({"REDIS_URL": self.broker.url, **more})

    def crash_database(self) -> None:
        """Kill PostgreSQL with all its processes, without any farewell; its keeper starts it again."""
        keepers = self._keeper()
        postmasters = [
            pid for pid, (parent, name, _) in processes().items() if name == "postgres" and parent in keepers
        ]
        for pid in postmasters:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def checkpoint(self) -> None:
        """Have everything on disk that setting up wrote, as it is in a database that has been running for a while."""
        with psycopg.connect(self.servers.database_url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def wait_for_database(self, url: str, seconds: float = 60) -> float:
        """Wait until the database answers; return the seconds it took."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
                return time.monotonic() - started
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL did not come back within {seconds:.0f} s")

    def _keeper(self) -> set[int]:
        wanted = str(self.folder.resolve())
        found = set()
        for pid in processes():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"hub.embedded_keeper" in words and wanted.encode() in words:
                    found.add(pid)
        return found

    def close(self) -> None:
        self.broker.stop()
        super().close()


class Guest(Place):
    """A place on the servers of a test run."""

    guest = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = Options()
        self.secrets = environment.new_secrets()
        self.servers = embedded.Servers(os.environ["DATABASE_URL"], os.environ["REDIS_URL"])
        self._started = []
        self._numbers = iter(range(1_000_000))
        self._names: list[str] = []
        self.broker = Broker(folder)

    def database(self, name: str) -> str:
        fresh = f"{name}_{os.getpid()}_{time.monotonic_ns() % 1_000_000}"
        url = template.copy(fresh)
        self._names.append(fresh)
        return url

    def crash_database(self) -> None:
        def end_all() -> None:
            with self._administration() as connection:
                for name in self._names:
                    connection.execute(
                        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name))
                    )
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                    )
                time.sleep(_REFUSES_SECONDS)
                for name in self._names:
                    connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))

        threading.Thread(target=end_all, daemon=True).start()
        time.sleep(0.1)

    @contextmanager
    def _administration(self) -> Iterator[psycopg.Connection]:
        address = urlunsplit(urlsplit(self.servers.database_url)._replace(path="/postgres"))
        with psycopg.connect(address, autocommit=True) as connection:
            yield connection

    def close(self) -> None:
        self.broker.stop()
        for process in reversed(self._started):
            process.stop()
        self._started.clear()
        with self._administration() as connection:
            for name in self._names:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        shutil.rmtree(self.folder, ignore_errors=True)


class Broker:
    """A Valkey of the figure's own; it keeps nothing on disk, as the embedded one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, empty, at the same port as before."""
        words = [str(valkey_program()), "--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--dir", "/tmp"]  # noqa: S108
        self._process = subprocess.Popen(
            [*words, "--appendonly", "no"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            with contextlib.suppress(redis.RedisError):
                self._client().ping()
                return
            time.sleep(0.01)
        raise RuntimeError("Valkey does not answer")

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Have it take everything in and answer nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Empty it."""
        self._client().flushall()

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)


@contextmanager
def place(*, short: bool) -> Iterator[Place]:
    """Return a place until the block ends: short figures are guests of a test run, if there is one."""
    folder = Path(tempfile.mkdtemp(prefix="ocpi-figure-"))
    in_tests = short and "PYTEST_CURRENT_TEST" in os.environ
    found = Guest(folder) if in_tests else Place(folder)
    say("a database and a Redis for this figure are there")
    try:
        yield found
    finally:
        if kept := os.environ.get("FIGURE_LOGS"):
            shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=lambda _, names: set(names) - _logs(names))
        found.close()


def _logs(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.endswith(".log")}
