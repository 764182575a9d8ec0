"""A server that takes everything in and answers nothing: a frozen machine, a disk that hangs.

TCP says nothing of it, since the kernel of such a server acknowledges what it gets, and the limits of statements are
the server's own. So one thread per process looks each second at the connections that are handed to it. One that has
waited for some seconds may wait for a long query: then the server is asked for a new connection. Whatever it says, be
it that it has none to give, it lives. If it says nothing, on none of these connections either, all of them are ended:
whoever waits gets an OperationalError. From then on nobody but this thread asks, until the server answers.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
WAITED_SECONDS = 4.0  # for one answer, until the server is asked whether it is there
ASKED_SECONDS = 3.0  # until a server that does not say anything is given up


@dataclass(slots=True)
class _Watched:
    """A connection; its socket once more, since a number may be another's when we come to end it."""

    end: socket.socket
    waits_since: float | None = None  # monotonic; when it was first seen to wait


class Server:
    """One server as one process knows it."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        """Know a server that is there.

        :param ask: opens a new connection; raises psycopg's `ConnectionTimeout` if the server says nothing.
        """
        self._ask = ask
        self._watched: weakref.WeakKeyDictionary[Any, _Watched] = weakref.WeakKeyDictionary()
        self._guard = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._wake = threading.Event()
        self._suspected = self.is_silent = False
        _servers.add(self)

    def watch(self, connection: Any) -> None:
        """Look after a connection of psycopg for as long as there is one."""
        with self._guard:
            if connection not in self._watched:
                end = socket.socket(fileno=os.dup(connection.fileno()))
                weakref.finalize(connection, end.close)
                self._watched[connection] = _Watched(end)
            self._see_to_it()

    def suspect(self) -> None:
        """Note that it was asked for a connection and said nothing: it is asked once more, before anything is ended."""
        with self._guard:
            self._suspected = True
            self._wake.set()
            self._see_to_it()

    def look(self, now: float) -> None:
        """Ask the server whether it is there, if anything has waited for so long that it may not be."""
        with self._guard:
            known = list(self._watched.items())
        long = False
        for connection, each in known:
            if _status(connection) is not TransactionStatus.ACTIVE:
                each.waits_since = None
            elif each.waits_since is None:
                each.waits_since = now
            elif now - each.waits_since >= WAITED_SECONDS:
                long, each.waits_since = True, now  # a long query is suspected again after as long a time
        if long or self._suspected or self.is_silent:
            self._suspected = False
            self._find_out([connection for connection, _ in known if _status(connection) is TransactionStatus.ACTIVE])

    def _find_out(self, waiting: list[Any]) -> None:
        try:
            self._ask()
        except psycopg.errors.ConnectionTimeout:
            if not any(_status(connection) in _ANSWERED for connection in waiting):
                self._end_all()
                return
            log.warning("the database gives no connection in time, but answers")
        except psycopg.Error as error:
            log.info("the database gives no connection, and lives: %s", str(error).strip()[:200])
        if self.is_silent:
            log.warning("the database answers again")
        self.is_silent = False

    def _end_all(self) -> None:
        with self._guard:
            found, self._watched = list(self._watched.values()), weakref.WeakKeyDictionary()
            if not self.is_silent:
                log.error("the database takes everything in and answers nothing; %d connections are ended", len(found))
            self.is_silent = True
            for each in found:
                _end(each.end)

    def _see_to_it(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._keep_looking, name="database watch", daemon=True)
            self._watcher.start()

    def _keep_looking(self) -> None:
        while True:
            self._wake.wait(0 if self.is_silent else LOOK_SECONDS)
            self._wake.clear()
            try:
                self.look(time.monotonic())
            except Exception:
                log.exception("the database could not be looked at")
                time.sleep(LOOK_SECONDS)
            with self._guard:
                if not (self._watched or self._suspected or self.is_silent):
                    self._watcher = None
                    return

    def _forget(self) -> None:
        """Begin anew in a forked child: what its parent has is not the child's to end."""
        self._guard, self._wake, self._watcher = threading.Lock(), threading.Event(), None
        self._suspected = self.is_silent = False
        self._watched = weakref.WeakKeyDictionary()


_ANSWERED = frozenset({TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR})


def _status(connection: Any) -> TransactionStatus:
    """Return what a connection does; of one that is closed that is unknown."""
    return TransactionStatus(connection.pgconn.transaction_status)


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("a connection to the database had ended")


def _forget_all() -> None:
    for server in list(_servers):
        server._forget()


_servers: weakref.WeakSet[Server] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_all)
