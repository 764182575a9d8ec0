"""Answers of long queries, kept for a time that grows with what they cost: looking never takes more than a small share.

A count of ten rows is always fresh; one that takes a second is read every twenty.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

SHARE = 20  # an answer is kept for so many times as long as it took
_FREE_SECONDS = 0.05  # what takes less is read each time

Answer = TypeVar("Answer")
_kept: dict[str, tuple[float, object]] = {}
_lock = threading.Lock()


def read(name: str, ask: Callable[[], Answer]) -> Answer:
    """Return the answer of `ask`, or the one it gave not long ago."""
    until, found = _kept.get(name, (-1.0, None))
    if time.monotonic() < until:
        return cast(Answer, found)
    with _lock:  # one asks, the others have its answer
        until, found = _kept.get(name, (-1.0, None))
        if time.monotonic() < until:
            return cast(Answer, found)
        started = time.monotonic()
        answer = ask()
        took = time.monotonic() - started
        if took > _FREE_SECONDS:
            _kept[name] = (time.monotonic() + SHARE * took, answer)
        else:
            _kept.pop(name, None)
        return answer


def forget() -> None:
    """Have everything read anew."""
    _kept.clear()
