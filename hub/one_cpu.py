"""A process whose threads compute one at a time stays on one CPU at a time (docs/adr/0036).

Python lets one thread of a process compute, whatever the number of CPUs. Spread over several of them, the threads wake
another CPU with each turn they take and find its caches cold: a Location received then costs a third more. So all of
them are kept on one CPU; the others are for databases, workers and other web processes. Once a second it is looked
whether somebody else wants that CPU, and whether another one has more room.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# Shares of a CPU. Who hardly computes stays where it is; who moves gains more than a move and a rough clock cost.
_ACTIVE, _GAIN = 0.05, 0.2
_STAT = "/proc/stat"
_TASKS = "/proc/self/task"
_IDLE = (3, 4)  # fields of a CPU's line: idle, and waiting for a disk
_FIELDS = 8  # of them that count; what virtual machines take is in the others, too


def stay() -> bool:
    """Keep this process on one CPU at a time from now on; say whether there was a choice and the system lets us."""
    allowed = _allowed()
    if len(allowed) < 2:
        return False
    # Many start at once and know nothing of each other.
    home = random.choice(sorted(allowed))  # noqa: S311 - no secret
    if not _move(home):
        return False
    threading.Thread(target=_follow, args=(home, allowed), name="one CPU", daemon=True).start()
    return True


def better(home: int, mine: float, busy: Mapping[int, float]) -> int | None:
    """Return the CPU where there is clearly more room than at home, if there is one.

    `mine` is how much this process computed, `busy` how much each CPU did: shares of the time, from 0 to 1.
    """
    others = busy[home] - mine
    if mine < _ACTIVE or len(busy) < 2:
        return None
    freest = min((each for each in busy if each != home), key=lambda each: busy[each])
    return freest if busy[freest] + _GAIN < others else None


def _follow(home: int, allowed: Collection[int]) -> None:
    """Look after this process for as long as it lives."""
    before = _computed(), _times(allowed), time.monotonic()
    while True:
        time.sleep(_LOOK_SECONDS)
        now = _computed(), _times(allowed), time.monotonic()
        mine = (now[0] - before[0]) / max(now[2] - before[2], 0.001)
        goal = better(home, mine, _busy(before[1], now[1]))
        # Two that share a CPU both see that another one is free: only one of them is to go, most of the time.
        if goal is not None and random.random() < 0.5:  # noqa: S311
            home = goal
        if not _move(home):  # those that were started while the others were moved, too
            return
        before = now


def _move(home: int) -> bool:
    """Have every thread of this process run there; say whether the system lets us."""
    try:
        for name in os.listdir(_TASKS):
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(int(name), {home})
    except OSError as error:
        log.warning("this process cannot be kept on one CPU: %s", error)
        return False
    return True


def _allowed() -> set[int]:
    """Return the CPUs this process may use, as far as they can be watched."""
    try:
        allowed = os.sched_getaffinity(0)
        return allowed & set(_times(allowed))
    except (AttributeError, OSError):  # no Linux
        return set()


def _computed() -> float:
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)


def _times(allowed: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return of each CPU how long it did something, and how long there was, in ticks."""
    found = {}
    with open(_STAT, encoding="ascii") as file:
        for line in file:
            name, *fields = line.split()
            if not name.startswith("cpu"):
                break
            if name[3:].isdigit() and int(name[3:]) in allowed:
                ticks = [int(field) for field in fields[:_FIELDS]]
                found[int(name[3:])] = sum(ticks) - sum(ticks[index] for index in _IDLE), sum(ticks)
    return found


def _busy(before: Mapping[int, tuple[int, int]], now: Mapping[int, tuple[int, int]]) -> dict[int, float]:
    return {cpu: (now[cpu][0] - before[cpu][0]) / max(now[cpu][1] - before[cpu][1], 1) for cpu in now if cpu in before}
