"""Django's PostgreSQL backend, but that nobody storms a server that takes no connections, or waits for a frozen one.

A server that comes back from a crash forks a process for each connection only to refuse it. Some hundreds of these per
second, one for each request that comes in meanwhile, keep it from recovering. So after an attempt that failed a process
makes the next one a moment later: whoever wants a connection until then waits for that one, and is told how it ended.
A server that says nothing at all is asked by one thread alone (`silence`); everybody else is told so at once.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from ocpi.postgresql import silence

SECONDS = 0.1  # without an attempt, after one that failed
_SILENT = "the database takes everything in and answers nothing"


class _Reached:
    """What this process knows of one server: when an attempt to connect to it failed last (monotonic), and how."""

    def __init__(self, conn_params: dict[str, Any]) -> None:
        self.failed_at, self.words = 0.0, ""
        self.trying = threading.Lock()  # held by whoever makes the next attempt after one that failed
        asked = {name: each for name, each in conn_params.items() if name not in _DJANGOS}
        asked["connect_timeout"] = silence.ASKED_SECONDS
        self.silence = silence.Server(lambda: psycopg.connect(**asked).close())


_DJANGOS = frozenset({"cursor_factory", "context", "prepare_threshold", "pool"})
_reached: dict[tuple[Any, ...], _Reached] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    """One connection of a thread."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a new connection.

        :raises psycopg.OperationalError: if there is none to be had.
        """
        where = tuple(self.settings_dict[name] for name in ("HOST", "PORT", "NAME"))
        server = _reached.get(where) or _reached.setdefault(where, _Reached(conn_params))
        if not (server.words or server.silence.is_silent):
            return self._attempt(server, conn_params)
        asked = time.monotonic()
        time.sleep(max(0.0, server.failed_at + SECONDS - asked))
        if server.silence.is_silent:
            server.failed_at, server.words = time.monotonic(), _SILENT
            raise psycopg.OperationalError(_SILENT)
        with server.trying:
            if server.failed_at >= asked:  # another one has tried meanwhile
                raise psycopg.OperationalError(server.words)
            return self._attempt(server, conn_params)

    def _attempt(self, server: _Reached, conn_params: dict[str, Any]) -> Any:
        try:
            found = super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            server.failed_at, server.words = time.monotonic(), str(error) or "no connection"
            if isinstance(error, psycopg.errors.ConnectionTimeout):
                server.silence.suspect()
            raise
        server.words = ""
        server.silence.watch(found)
        return found
