"""Child processes that go with their parent, however that one ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

# Loaded here, not in the child: between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_M_ARENA_MAX, _ARENAS = -8, 2


def die_with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """Return a `preexec_fn` that asks the kernel for a signal when the thread that started the child ends.

    The request must come after a change of account, which clears it; Popen calls a `preexec_fn` last. Start such
    children from a thread that lives as long as the process.
    """
    parent = os.getpid()
    return lambda: follow(parent, number)


def follow(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread of the parent that started it ends.

    :param parent: its process id; if it has ended already, so does this process.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def keep_memory_together() -> None:
    """Have this process's threads share two stretches of memory: each would keep some megabytes for nothing."""
    if _LIBC is not None and hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, _ARENAS)


def name_process(name: str) -> None:
    """Give this process a name of its own in lists of processes; at most fifteen letters of it show."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
