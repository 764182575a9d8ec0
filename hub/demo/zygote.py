"""Processes of the demo, forked from one warmed-up parent: Django is loaded once, not ten times.

A fork becomes an instance by reading the settings again under that instance's environment. Every instance has the same
apps (docs/adr/0005), so the loaded registry of models stays true; only addresses, sides and secrets differ.
"""

from __future__ import annotations

import atexit
import importlib
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import django
from asgiref.local import Local
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.urls import clear_url_caches

from hub.processes import die_with_parent

_fork = multiprocessing.get_context("fork")


def warm_up(environment: Mapping[str, str]) -> None:
    """Load everything an instance will need, once. Opens no connection and starts no thread."""
    os.environ.update(environment)
    django.setup()
    for module in ("hub.urls", "hub.celery", "celery.apps.worker", "celery.beat", "gunicorn.app.base"):
        importlib.import_module(module)


class Process:
    """A forked child that does one thing and ends with its parent, however that one ends."""

    def __init__(self, name: str, environment: Mapping[str, str], work: Callable[[], Any], log: str = "") -> None:
        self.name = name
        self.result: Connection
        self.result, answering = _fork.Pipe(duplex=False)
        asked = die_with_parent(signal.SIGKILL)
        self._process = _fork.Process(
            target=_live, args=(asked, name, dict(environment), work, answering, log), name=name, daemon=False
        )
        self._process.start()
        answering.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def running(self) -> bool:
        return self._process.is_alive()

    def value(self, seconds: float) -> Any:
        """Return what the work returned.

        :raises RuntimeError: with the child's own words if it failed, or if it takes too long.
        """
        try:
            if not self.result.poll(seconds):
                raise RuntimeError(f"{self.name} took longer than {seconds:.0f} s")
            good, value = self.result.recv()
        except EOFError as error:
            raise RuntimeError(f"{self.name} ended without a word") from error
        if not good:
            raise RuntimeError(f"{self.name}: {value}")
        return value

    def stop(self, seconds: float = 8.0) -> None:
        """Ask it to end; force it after the limit."""
        for ask, limit in ((self._process.terminate, seconds), (self._process.kill, 5.0)):
            if not self.running():
                return
            ask()
            # Not join(): it waits on a pipe that a child closes when it becomes another program, and then for ever.
            end = time.monotonic() + limit
            while self.running() and time.monotonic() < end:
                time.sleep(0.02)


def stop_all(processes: list[Process]) -> None:
    """Ask all to end at the same time, then wait."""
    threads = [threading.Thread(target=process.stop) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _live(
    ask_kernel: Callable[[], None],
    name: str,
    environment: dict[str, str],
    work: Callable[[], Any],
    answering: Connection,
    log: str,
) -> None:
    ask_kernel()
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if log:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
    try:
        become(environment)
        value = work()
    except SystemExit as ended:  # a server that was told to stop, or a process it forked
        _leave(ended.code if isinstance(ended.code, int) else 0)
    except BaseException as error:  # the edge of the process: whatever it is, the parent must hear of it
        traceback.print_exc()
        answering.send((False, f"{type(error).__name__}: {error}"))
        _leave(1)
    answering.send((True, value))
    _leave(0)


def _leave(code: int) -> NoReturn:
    """End the process here: what lies above in the stack belongs to the parent."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def become(environment: Mapping[str, str]) -> None:
    """Make this process the instance that an environment describes."""
    os.environ.update(environment)
    fresh = importlib.reload(importlib.import_module("hub.settings"))
    # In place: some apps have added defaults of their own to the settings that are there.
    for name in filter(str.isupper, dir(fresh)):
        setattr(settings, name, getattr(fresh, name))
    # What was read from the settings of before: addresses of databases, URLs, the broker.
    vars(connections).pop("settings", None)
    vars(connections)["_settings"] = None
    vars(connections)["_connections"] = Local(connections.thread_critical)
    importlib.reload(importlib.import_module("hub.urls"))
    clear_url_caches()
    celery = importlib.import_module("hub.celery").app
    celery.config_from_object("django.conf:settings", namespace="CELERY", force=True)


def command(name: str, *arguments: str) -> Callable[[], Any]:
    """Return the work of one management command that prints JSON; its value is the text it printed."""

    def work() -> str:
        output = io.StringIO()
        call_command(name, *arguments, stdout=output)
        return output.getvalue()

    return work
