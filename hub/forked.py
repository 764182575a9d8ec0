"""A child forked from a parent that has loaded everything: it works after milliseconds, not after a second of loading.

What it needs of its parent: no thread runs there, no database connection is open, nothing has been read that the
child's environment would change. The child ends with its parent, however that one ends.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from hub.processes import die_with_parent, keep_memory_together, name_process

log = logging.getLogger(__name__)

_ASKED = (signal.SIGTERM, signal.SIGINT)


class Forked:
    """A forked process, with what a supervisor needs of a `subprocess.Popen`."""

    def __init__(
        self, name: str, main: Callable[[], object], arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.returncode: int | None = None
        asked = die_with_parent(signal.SIGKILL)
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()  # what is loaded stays shared: no collection writes into it
        # A signal between the fork and the child's own handlers would run the parent's in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)
        self.pid = os.fork()
        if self.pid == 0:
            _live(name, main, arguments, environment, asked, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def poll(self) -> int | None:
        """Return how it ended, negative for a signal, or nothing while it lives."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Return how it ended, once it has."""
        while (code := self.poll()) is None:
            time.sleep(0.01)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def _live(
    name: str, main: Callable[[], object], arguments: Sequence[str], environment: Mapping[str, str],
    ask_kernel: Callable[[], None], mask: set[int | signal.Signals],
) -> NoReturn:  # fmt: skip
    code = 1
    try:
        atexit._clear()  # what the parent does at its end is the parent's
        ask_kernel()
        os.setsid()
        keep_memory_together()
        name_process(name)
        for number in _ASKED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.environ.update(environment)
        sys.argv = list(arguments)
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # the edge of the process: what lies above in the stack belongs to the parent
        log.critical("%s ends", name, exc_info=True)
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
