"""One migrated database of a run, of which the test databases of all workers and those of all instances are copies.

Whoever needs it first makes it, in a process of its own; others wait for that one. It goes with the servers of the run,
or, on servers that were there before, with the process that started the run.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
_NAME = "OCPI_TESTS_TEMPLATE"
_LOCK = 8_221_000  # of sessions in the maintenance database
_SECONDS = 600  # a dozen on a quiet machine
_begun: list[subprocess.Popen[bytes]] = []


def choose() -> None:
    """Name the template of this run, unless a process above us has."""
    if _NAME not in os.environ:
        os.environ[_NAME] = f"tables_{os.getpid()}"
        atexit.register(_drop, os.environ[_NAME], os.getpid())


def begin() -> None:
    """Let it be made while the workers still import and collect."""
    _begun.append(subprocess.Popen([sys.executable, "-m", "tests.template"], cwd=ROOT, stdin=subprocess.DEVNULL))


@lru_cache(maxsize=1)
def name() -> str:
    """Return the name of an empty database with all tables."""
    choose()
    found = os.environ[_NAME]
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [found]).fetchone():
            making = f"{found}_making"
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(making)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(making)))
            _migrate(making)
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(found))
            )
    return found


def copy(fresh: str) -> str:
    """Make a database with all tables, and return its address."""
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(fresh), sql.Identifier(name()))
        )
    return url_of(fresh)


def url_of(database: str) -> str:
    """Return the address of another database on the server of this run."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}"))


def drop(database: str) -> None:
    """Take a database away, whoever uses it; a server that has gone is no error."""
    with suppress(psycopg.Error), psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def _drop(database: str, pid: int) -> None:
    if os.getpid() != pid:  # a fork of ours ends
        return
    for process in _begun:
        process.kill()
        process.wait()
    drop(database)


def _migrate(database: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"],
        env={**os.environ, "DATABASE_URL": url_of(database)}, cwd=ROOT, capture_output=True, text=True,
        timeout=_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    name()
