"""Keep a few child processes running: start them, start again what died, stop all within a limit."""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.forked import Forked
from hub.processes import die_with_parent

logger = logging.getLogger(__name__)

_PATIENCE = 12.0  # seconds between the request to end and force
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a dead child is started again
_STEADY = 5.0  # seconds after which a child counts as started, so that its next pause is short
_LOOK = 0.1  # seconds between two looks at the children
# Who was killed did not fail: it is started again at once, unless it was killed while it was still starting.
_STARTED, _PAUSE_AFTER_KILL = 0.5, 0.0
# glibc gives threads stretches of memory of their own, eight for each core; after large answers in many threads each
# stretch would keep some megabytes for nothing.
_MEMORY = {"MALLOC_ARENA_MAX": "2"}


@dataclass(slots=True)
class Child:
    """One process that is meant to run for ever."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    main: Callable[[], object] | None = None  # what the command does, for a child that is forked
    folder: str | None = None  # where the command runs, if not where we do
    process: subprocess.Popen[bytes] | Forked | None = None
    started_at: float = 0.0
    pause: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches the supervisor only."""
        self.started_at = time.monotonic()
        if self.main is not None:
            arguments = self.command[2:]  # behind `python -m`
            self.process = Forked(f"ocpi-{self.name}", self.main, arguments, self.environment)
            return
        self.process = subprocess.Popen(  # noqa: S603 our own command
            self.command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
            env={**_MEMORY, **os.environ, **self.environment},
        )

    def running(self) -> bool:
        """Say whether it lives."""
        return self.process is not None and self.process.poll() is None

    def revive(self) -> None:
        """Start it again if it is dead and its pause, longer after each quick death, is over."""
        if self.running():
            return
        now = time.monotonic()
        if self.process is not None:
            lived = now - self.started_at
            if self.process.returncode == -signal.SIGKILL and lived > _STARTED:
                self.pause = _PAUSE_AFTER_KILL
            elif lived > _STEADY:
                self.pause = _SHORTEST_PAUSE
            else:
                self.pause = min(max(self.pause * 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            logger.error("%s ended with %s; again in %.1f s", self.name, self.process.returncode, self.pause)
            self.signal_all(signal.SIGKILL)  # children it may have left
            self.process, self.started_at = None, now
        if now - self.started_at >= self.pause:
            self.start()

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to everything in its session's process group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class Stopped(BaseException):
    """Somebody asked the supervisor to end."""


def supervise(children: Sequence[Child]) -> None:
    """Keep all children running until SIGTERM or SIGINT, then stop them; none is left behind."""

    def stop(number: int, frame: object) -> None:
        raise Stopped

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while True:
            for child in children:
                child.revive()
            time.sleep(_LOOK)
    except Stopped:
        logger.info("stopping")
    finally:
        for number in previous:  # a second Ctrl-C must not leave children behind
            signal.signal(number, signal.SIG_IGN)
        end(children)
        for number, handler in previous.items():
            signal.signal(number, handler)


def end(children: Sequence[Child], *, patience: float = _PATIENCE) -> None:
    """Ask all to end at once; use force when the patience is over."""
    for child in children:
        if child.running() and child.process is not None:
            child.process.terminate()
    limit = time.monotonic() + patience
    while any(child.running() for child in children) and time.monotonic() < limit:
        time.sleep(0.05)
    for child in children:
        child.signal_all(signal.SIGKILL)
        if child.process is not None:
            child.process.wait()
