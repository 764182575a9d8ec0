"""A child process and the CPU time of it and everything below it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Process:
    """A child with everything below it."""

    name: str
    popen: subprocess.Popen[str]
    log: Path
    port: int = 0

    def cpu(self) -> float:
        """Return the CPU seconds it has used, children included."""
        return cpu_of(self.popen.pid)

    def stop(self) -> None:
        """End it and everything below it."""
        below = descendants(self.popen.pid)
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(timeout=10)
        for pid in below[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> tuple[int, str, float] | None:
    """Return parent, name and CPU seconds of a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return int(fields[1]), name, (int(fields[11]) + int(fields[12])) / _TICK


def processes() -> dict[int, tuple[int, str, float]]:
    """Return parent, name and CPU seconds of every process."""
    found = {int(entry): _stat(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    return {pid: stat for pid, stat in found.items() if stat is not None}


def descendants(pid: int, known: Mapping[int, tuple[int, str, float]] | None = None) -> list[int]:
    """Return a process and all below it."""
    known = processes() if known is None else known
    found = [pid]
    for one in found:
        found.extend(child for child, (parent, _, _) in known.items() if parent == one)
    return found


def cpu_of(pid: int, *, named: str | None = None) -> float:
    """Return the CPU seconds of a process and all below it."""
    known = processes()
    return sum(known[one][2] for one in descendants(pid, known) if one in known and named in (None, known[one][1]))
