"""Django's PostgreSQL backend, but that nobody storms a server that takes no connections.

A server that comes back from a crash forks a process for each connection only to refuse it. Some hundreds of these per
second, one for each request that comes in meanwhile, keep it from recovering. So after an attempt that failed a process
makes the next one a moment later, and until then whoever wants a connection is told what that attempt was told.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base

SECONDS = 0.1  # without an attempt, after one that failed

# When and how the last attempt to reach a database failed (monotonic), by host, port and name.
_failed: dict[tuple[Any, ...], tuple[float, str]] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    """One connection of a thread."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a new connection.

        :raises psycopg.OperationalError: if there is none to be had, or there was none a moment ago.
        """
        where = tuple(self.settings_dict[name] for name in ("HOST", "PORT", "NAME"))
        failed_at, words = _failed.get(where, (0.0, ""))
        if words and time.monotonic() - failed_at < SECONDS:
            raise psycopg.OperationalError(words)
        try:
            found = super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            _failed[where] = time.monotonic(), str(error) or "no connection"
            raise
        _failed.pop(where, None)
        return found


def forget() -> None:
    """Forget what failed: of another test."""
    _failed.clear()
