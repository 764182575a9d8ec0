"""Hear what becomes of operations: one LISTEN connection per process, however many requests wait (OCPP-115).

A note is only a wake-up: whoever waits looks at the row, and looks again by itself after a while. The connection opens
with the first that waits and closes a few seconds after the last.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

import psycopg

from ocpi import db_care

log = logging.getLogger(__name__)

CHANNELS = ("ocpp_operation_done", "ocpp_operation_sent")
_LINGER_SECONDS = 3.0
_LOOK_SECONDS = 0.5


class Ear:
    """The ear of one process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, set[threading.Event]] = defaultdict(set)
        self._hearing = threading.Event()
        self._running = False

    @contextmanager
    def waiting(self, operation: UUID) -> Iterator[threading.Event]:
        """Give an event that is set whenever something has become of an operation."""
        told, key = threading.Event(), str(operation)
        with self._guard:
            self._waiting[key].add(told)
            if not self._running:
                self._running = True
                threading.Thread(
                    target=self._run, args=(db_care.own_parameters(),), name="operation-ear", daemon=True
                ).start()
        try:
            self._hearing.wait(1)
            yield told
        finally:
            with self._guard:
                self._waiting[key].discard(told)
                if not self._waiting[key]:
                    del self._waiting[key]

    def _run(self, settings: dict[str, Any]) -> None:
        try:
            with psycopg.connect(autocommit=True, **settings) as listening:
                for channel in CHANNELS:
                    listening.execute(f"LISTEN {channel}")
                self._hearing.set()
                self._listen(listening)
        except Exception:  # an edge of a thread
            log.warning("nobody hears of operations, they are looked at each second", exc_info=True)
            with self._guard:
                self._stop()

    def _listen(self, listening: psycopg.Connection[Any]) -> None:
        needed = time.monotonic()
        while True:
            for note in listening.notifies(timeout=_LOOK_SECONDS):
                for told in list(self._waiting.get(note.payload, ())):
                    told.set()
            with self._guard:
                if self._waiting:
                    needed = time.monotonic()
                elif time.monotonic() > needed + _LINGER_SECONDS:
                    self._stop()
                    return

    def _stop(self) -> None:
        # Under the guard: whoever comes now starts another.
        self._running = False
        self._hearing.clear()


_ear = Ear()


def waiting(operation: UUID) -> AbstractContextManager[threading.Event]:
    """Give an event that is set whenever something has become of an operation: `with waiting(id) as told`."""
    return _ear.waiting(operation)


def _forget() -> None:
    """Begin anew in a forked process: threads and connections stay behind."""
    global _ear
    _ear = Ear()


os.register_at_fork(after_in_child=_forget)
