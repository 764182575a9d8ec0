"""One thread per process that writes what the process gathers in memory: in batches, outside of any request.

It starts with the first thing to write and stops at exit. A fork begins with nothing to write and starts its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Sized
from typing import Generic, TypeVar

from django.db import connection

from ocpi import database_trouble

log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0

Batch = TypeVar("Batch", bound=Sized)


class BackgroundWriter(Generic[Batch]):
    """Writes every few `seconds`, and pauses after a failure: what could not reach the database is put back.

    `take` empties what waits, at most one batch of it; `refused` is given a batch that the database did not want.
    """

    def __init__(
        self,
        what: str,
        *,
        seconds: float,
        pause: float,
        take: Callable[[], Batch],
        write: Callable[[Batch], None],
        put_back: Callable[[Batch], None],
        refused: Callable[[Batch], None] = lambda _batch: None,
    ) -> None:
        self.what, self.seconds, self.pause = what, seconds, pause
        self.take, self.write, self.put_back, self.refused = take, write, put_back, refused
        self._thread: threading.Thread | None = None
        self._new_locks()
        os.register_at_fork(after_in_child=self._new_locks)

    @property
    def is_running(self) -> bool:
        """Say whether this process has its thread."""
        return self._has_thread  # a fork begins without

    def start(self) -> None:
        """Start this process's thread, once."""
        with self._starting:
            if self.is_running:
                return
            self._has_thread = True
            self._ending.clear()
            self._thread = threading.Thread(target=self.run, name=f"writer of {self.what}", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """End this process's thread and write what it left; `start` starts another one."""
        thread, self._thread = self._thread, None
        if thread is None or not self.is_running:
            return
        self._has_thread = False
        self._ending.set()
        thread.join(_STOP_SECONDS)
        try:
            self.flush()
        except Exception as error:  # the end of a process is no place to fail
            log.warning("the last %s were lost: %s", self.what, error)

    def flush(self) -> int:
        """Write what waits, now and in this thread; return how many. For tests and the end of a process."""
        written = 0
        with self._writing:
            while batch := self.take():
                self.write(batch)
                written += len(batch)
        return written

    def run(self) -> None:
        """Write until told to stop: the work of the thread."""
        while not self._ending.wait(self.seconds):
            if not self._write_some():
                connection.close()
                self._ending.wait(self.pause)
        connection.close()

    def end(self) -> None:
        """Tell `run` to come to its end."""
        self._ending.set()

    def _write_some(self) -> bool:
        with self._writing:
            batch = self.take()
            if not batch:
                return True
            try:
                self.write(batch)
                return True
            except Exception as error:
                if database_trouble.passes(error):
                    log.warning("%d %s wait, the database is away: %s", len(batch), self.what, error)
                    self.put_back(batch)
                else:
                    log.exception("of %d %s not all can be stored", len(batch), self.what)
                    self.refused(batch)
        return False

    def _new_locks(self) -> None:
        """Let nothing wait for a thread that a fork has left behind."""
        self._starting, self._writing, self._ending = threading.Lock(), threading.Lock(), threading.Event()
        self._thread, self._has_thread = None, False
