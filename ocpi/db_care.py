"""The database connection of a thread between requests: what Django's request signals do, and one round trip less.

Django asks the server whether it is there (`SELECT 1`) before the first statement of each request, if
CONN_HEALTH_CHECKS is on. A server that ended has closed its connections, which the kernel knows without asking
anybody: only a connection on which something has come unasked is tried by a statement.
"""

from __future__ import annotations

import select
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

# What is Django's own way to use a connection, and no part of how it is opened; its limits are for short statements.
_DJANGOS = frozenset({"options", "client_encoding", "cursor_factory", "context", "prepare_threshold", "pool"})


def care_for_connection() -> None:
    """Close a connection of this thread that is broken or old; call it before each piece of work."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
        raw = connection.connection
        if raw is not None and not raw.closed and not connection.in_atomic_block and _is_quiet(raw.fileno()):
            connection.health_check_done = True  # type: ignore[attr-defined]


def leave_connection() -> None:
    """Close a connection of this thread that a piece of work has left broken; call it after each."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()


def own_parameters(**more: Any) -> dict[str, Any]:
    """Return what a connection beside Django's is opened with: address, TLS and all else that DATABASE_URL says.

    :param more: what this connection has otherwise.
    """
    said = connections[DEFAULT_DB_ALIAS].get_connection_params()
    return {**{name: each for name, each in said.items() if name not in _DJANGOS}, **more}


def _is_quiet(descriptor: int) -> bool:
    """Say whether nothing is to be read: no last words of a server that ends, and no end of the connection."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLPRI)
    return not poll.poll(0)
