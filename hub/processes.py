"""Child processes that go with their parent, however that one ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

# Loaded here, not in the child: between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """Return a `preexec_fn` that asks the kernel for a signal when the thread that started the child ends.

    The request must come after a change of account, which clears it; Popen calls a `preexec_fn` last. Start such
    children from a thread that lives as long as the process.
    """
    parent = os.getpid()

    def ask() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return ask
