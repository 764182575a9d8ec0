"""The thread that writes what a process gathers: started once, stopped at exit, one for each fork."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable

import pytest
from django.db import OperationalError
from psycopg.errors import ReadOnlySqlTransaction

from ocpi.background_writer import BackgroundWriter
from tests.troubles import raised_by


class Gathered:
    """What waits, what was written, and a writer of it that looks every millisecond."""

    def __init__(self, *, seconds: float = 0.001) -> None:
        self.waiting: list[str] = []
        self.written: list[str] = []
        self.refused: list[str] = []
        self.fails: Exception | None = None
        self.tried = threading.Event()
        self.writer = BackgroundWriter(
            "things", seconds=seconds, pause=0.001, take=self._take, write=self._write, put_back=self._put_back,
            refused=self.refused.extend,
        )  # fmt: skip

    def _take(self) -> list[str]:
        found, self.waiting[:] = list(self.waiting), []
        return found

    def _write(self, batch: list[str]) -> None:
        failure, self.fails = self.fails, None
        self.tried.set()
        if failure is not None:
            raise failure
        self.written += batch

    def _put_back(self, batch: list[str]) -> None:
        self.waiting[:0] = batch


def test_what_could_not_reach_the_database_is_written_later_and_what_it_refused_is_handed_over() -> None:
    away, standby, refused = Gathered(), Gathered(), Gathered()
    away.fails, refused.fails = OperationalError("away"), ValueError("odd")
    standby.fails = raised_by(ReadOnlySqlTransaction)

    for each in (away, standby, refused):
        each.waiting += ["a", "b"]
        each.writer.start()
        assert each.tried.wait(10)
        each.writer.stop()

    assert (away.written, away.refused) == (standby.written, standby.refused) == (["a", "b"], [])
    assert (refused.written, refused.refused) == ([], ["a", "b"])


def test_it_is_started_once_and_stopping_writes_the_rest() -> None:
    found = Gathered(seconds=3600)
    before = threading.active_count()
    found.writer.start()
    found.writer.start()
    started = threading.active_count() - before
    found.waiting += ["a"]

    found.writer.stop()
    found.writer.stop()

    assert (started, threading.active_count()) == (1, before)
    assert found.written == ["a"]
    assert not found.writer.is_running


def test_an_end_that_fails_is_no_failure_of_the_process() -> None:
    found = Gathered(seconds=3600)
    found.writer.start()
    found.waiting += ["a"]
    found.fails = OperationalError("away")

    found.writer.stop()

    assert found.written == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_waits_for_no_lock_of_its_parent_and_starts_its_own_thread() -> None:
    found = Gathered(seconds=3600)
    found.writer.start()

    def child() -> None:
        running = [found.writer.is_running]
        found.writer.stop()  # the parent's thread is not here: there is nothing to wait for
        found.waiting += ["a"]
        found.writer.start()
        running.append(found.writer.is_running)
        found.writer.stop()
        assert running == [False, True]
        assert found.written == ["a"]

    with found.writer._writing, found.writer._starting:
        status = in_a_fork(child)
    found.writer.stop()

    assert status == 0
    assert found.written == []


def in_a_fork(work: Callable[[], None]) -> int:
    """Do something in a child process and return its exit status; one that hangs is ended by an alarm."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
