"""The sender of a process with its threads and locks; and one step in the foreground."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import connection

from ocpi import lanes, outbox_care, outbox_probe, outbox_rows, outbox_wake
from ocpi.lanes import BorrowedLocks, WorkerLocks
from ocpi.outbox_sender import THREADS_PER_QUOTA, Sender

log = logging.getLogger(__name__)

STOP_SECONDS = 12.0  # for calls in flight at the end (REL-56)
_IDLE_SECONDS = 0.5
_SWEEP_SECONDS = 1.25  # a little longer than the pause of the sweep that Celery brings
_PROBE_SECONDS = 1.0  # between two looks for whose probe is due


def drain_now(platform_id: int | None = None) -> int:
    """Send all that is due, here and now, without Celery; return how many tries were made."""
    locks = BorrowedLocks()
    sender = Sender(locks, lambda run: run(), threads=1)
    while True:
        before = sender.counts.tries
        sender.wake(outbox_rows.waiting(platform_id))
        while True:
            sender.step(0.0)
            if not sender.busy:
                break
        if sender.counts.tries == before:
            return before


class Engine:
    """The sender of this process with its threads and locks."""

    def __init__(self) -> None:
        threads = settings.OCPI_SEND_THREADS
        self.locks = WorkerLocks()
        self.pool = ThreadPoolExecutor(threads * THREADS_PER_QUOTA, thread_name_prefix="send")
        self.sender = Sender(self.locks, self.pool.submit, threads=threads)
        self._swept_at = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="outbox", daemon=True)
        self._prober = threading.Thread(target=self._probe, name="outbox-probe", daemon=True)

    def start(self) -> None:
        """Begin to send, and to look for what is due each second (REL-08)."""
        self.locks.start()
        self._thread.start()
        self._prober.start()
        outbox_wake.wake_at_home(self.sender.wake)

    def sweep(self) -> None:
        """Find what nobody was woken for, and what time alone brings about."""
        self._swept_at = time.monotonic()
        lanes.end_silent()
        self.sender.wake(outbox_care.sweep())

    def sweep_soon(self) -> None:
        """Have the next sweep now: what a killed worker left waits for the one that takes its place (REL-03)."""
        self._swept_at = float("-inf")
        self.sender.wake(())

    def stop(self) -> None:
        """Finish the calls in flight, write down what came of them, free the lanes (REL-56)."""
        outbox_wake.wake_at_home(None)
        self._stopped.set()
        self.sender.stop()
        self._thread.join(STOP_SECONDS)
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.locks.stop()

    def _loop(self) -> None:
        while not self._stopped.is_set() or self.sender.busy:
            try:
                # Without Redis no task arrives; rows are found all the same (REL-04).
                if time.monotonic() - self._swept_at > _SWEEP_SECONDS and not self._stopped.is_set():
                    self.sweep()
                self.sender.step(_IDLE_SECONDS)
            except Exception:
                log.exception("the outbox stumbles and goes on")
                connection.close()
                time.sleep(_IDLE_SECONDS)
        connection.close()

    def _probe(self) -> None:
        """Ask who is OFFLINE when it is due, also while Celery brings nothing; a thread of its own, since it waits."""
        while not self._stopped.wait(_PROBE_SECONDS):
            try:
                outbox_probe.probe()
            except Exception:
                log.exception("a probe stumbles, the next one goes on")
                connection.close()
        connection.close()


_engine: Engine | None = None
_engine_guard = threading.Lock()


def engine() -> Engine:
    """Return the engine of this process; it starts when it is first needed."""
    global _engine
    with _engine_guard:
        if _engine is None:
            _engine = Engine()
            _engine.start()
        return _engine


def stop_soon() -> None:
    """Have the engine of this process begin nothing new, before it is stopped; waits for nobody (REL-56)."""
    running = _engine  # without the guard, which a signal handler would wait for in vain
    if running:
        running.sender.stop()


def stop() -> None:
    """Stop the engine of this process, if there is one."""
    global _engine
    with _engine_guard:
        running, _engine = _engine, None
    if running:
        running.stop()
