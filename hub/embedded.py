"""The embedded default: a real PostgreSQL and a real Valkey from wheels, when no addresses are set.

Every process that uses a data folder's servers holds a shared lock on its `users.lock`; a keeper process
(`embedded_keeper.py`) owns the servers and stops them when the last lock is gone. So a command beside `make run` finds
the running servers, and a killed process leaves nothing behind.
"""

import atexit
import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

import django
import psycopg
from django.core.management import call_command
from django.db import connection as database
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from hub import environment
from hub.embedded_programs import CannotStart

__all__ = [
    "CannotStart",
    "Servers",
    "create_database",
    "ensure",
    "kept_secrets",
    "migrate",
    "provide",
    "release",
    "stop",
]

_PROJECT = Path(__file__).resolve().parent.parent
_START_LIMIT = 90.0  # seconds
_in_use: dict[Path, IO[str]] = {}
_keepers: dict[Path, subprocess.Popen[str]] = {}  # those this process started


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers listen, passwords included."""

    database_url: str
    redis_url: str


def ensure(
    data: Path, *, durable: bool, die_with_parent: bool = True, remove: bool = False, connections: int = 300
) -> Servers:
    """Return the servers of a data folder, started if nobody did; they live as long as a process that called this.

    Not durable means faster and not safe against a loss of power. `remove` deletes the folder at the end.

    :raises CannotStart: if there are no programs, or they do not start.
    """
    data = data.resolve()
    try:
        data.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        with (data / "start.lock").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if data not in _in_use:
                users = (data / "users.lock").open("a")  # closed by release(), or by the end of the process
                fcntl.flock(users, fcntl.LOCK_SH)
                # A command that becomes another program (exec) goes on using the servers.
                os.set_inheritable(users.fileno(), True)
                _in_use[data] = users
                atexit.register(_stop_at_exit, data, os.getpid())
            options = ["--durable"] * durable + ["--forever"] * (not die_with_parent) + ["--remove"] * remove
            try:
                return _running(data) or _start(data, [*options, f"--connections={connections}"])
            except BaseException:
                release(data)
                raise
    except PermissionError as failure:
        raise CannotStart(f"{failure.filename or data} belongs to another user: set EMBEDDED_DATA") from failure


def release(data: Path) -> None:
    """Say that this process does not need the servers any more."""
    users = _in_use.pop(data.resolve(), None)
    if users is not None:
        users.close()


def stop(data: Path, *, seconds: float = 20) -> None:
    """Say that this process does not need the servers any more, and wait while they stop, unless somebody else does."""
    data = data.resolve()
    release(data)
    limit = time.monotonic() + seconds
    while _held(data / "keeper.lock") and time.monotonic() < limit:
        # The keeper removes servers.json before it stops them, and holds users.lock until they are down.
        if (data / "servers.json").exists() and _held(data / "users.lock"):
            return
        time.sleep(0.05)
    if data in _keepers:
        _keepers.pop(data).wait(timeout=30)


def _stop_at_exit(data: Path, owner: int) -> None:
    """Wait for the servers at the end of the process that asked for them, not of one forked from it."""
    if os.getpid() == owner:
        stop(data)


def _held(lock: Path) -> bool:
    """Say whether any process holds a lock."""
    try:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # the folder was removed with the servers
        return False
    return False


def create_database(servers: Servers, name: str, template: str | None = None) -> str:
    """Return the address of a database, created (as a copy of another) if it is not there."""
    address = urlsplit(servers.database_url)
    with psycopg.connect(urlunsplit(address._replace(path="/postgres")), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not known:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template or "template1")))
    return urlunsplit(address._replace(path=f"/{name}"))


def drop_database(servers: Servers, name: str) -> None:
    """Remove a database, whoever is still connected to it."""
    address = urlsplit(servers.database_url)
    with psycopg.connect(urlunsplit(address._replace(path="/postgres")), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def provide(data: Path, *, durable: bool = True) -> bool:
    """Fill DATABASE_URL, REDIS_URL and the secrets of an embedded database in; say whether the database is ours."""
    ours = not os.environ.get("DATABASE_URL")
    if ours or not os.environ.get("REDIS_URL"):
        servers = ensure(data, durable=durable)
        os.environ["REDIS_URL"] = os.environ.get("REDIS_URL") or servers.redis_url
        os.environ["DATABASE_URL"] = os.environ.get("DATABASE_URL") or servers.database_url
    if ours:
        for name, value in kept_secrets(data).items():
            os.environ[name] = os.environ.get(name) or value
    return ours


def migrate(data: Path) -> None:
    """Bring the tables of an embedded database up to date, so that the first command just works."""
    django.setup()
    with (data.resolve() / "migrate.lock").open("a") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        executor = MigrationExecutor(database)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)


def kept_secrets(data: Path) -> dict[str, str]:
    """Return SECRET_KEY and FIELD_KEYS of a data folder, made once and readable for its owner only."""
    file = data / "secrets.json"
    if not file.exists():
        fresh = data / f"secrets.json.{os.getpid()}"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
            json.dump(environment.new_secrets(), output)
        try:
            os.link(fresh, file)  # fails if another process was first: then its secrets count
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    kept: dict[str, str] = json.loads(file.read_text())
    return kept


def _running(data: Path) -> Servers | None:
    """Return the servers a keeper is running, or nothing."""
    limit = time.monotonic() + _START_LIMIT
    while _held(data / "keeper.lock"):
        try:
            return Servers(**json.loads((data / "servers.json").read_text()))
        except FileNotFoundError:
            if time.monotonic() > limit:  # a keeper is starting or stopping, and its starter is gone
                raise CannotStart(f"the servers of {data} neither start nor stop") from None
            time.sleep(0.02)
    return None


def _start(data: Path, options: list[str]) -> Servers:
    (data / "servers.json").unlink(missing_ok=True)
    if data in _keepers:
        _keepers.pop(data).wait(timeout=30)
    with (data / "keeper.log").open("a") as log:
        keeper = subprocess.Popen(  # noqa: S603 our own script
            [sys.executable, "-m", "hub.embedded_keeper", data, *options],
            cwd=_PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    _keepers[data] = keeper
    assert keeper.stdout is not None  # noqa: S101 for the type checker
    with keeper.stdout as output:
        report = json.loads(output.readline() or "{}")
    if "error" in report:
        keeper.wait(timeout=30)
        raise CannotStart(report["error"])
    if not report.get("ready"):
        raise CannotStart(f"the keeper of the embedded servers failed: see {data / 'keeper.log'}")
    servers = Servers(**json.loads((data / "servers.json").read_text()))
    create_database(servers, "ocpi")
    return servers
