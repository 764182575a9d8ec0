"""What this process has read of whose ids are, good until somebody says that it changed; for requests in an event loop.

Every change of the table is announced by its triggers (`hub/known_objects.py` hears of it). While nothing can be heard,
nothing is remembered. That an id is nobody's is believed for a second at most: a Token may be pushed any moment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ocpi import snapshot

MOST = 50_000  # ids; then the oldest goes
NOBODYS_SECONDS = 1.0
_ALWAYS = float("inf")

Question = tuple[str, str]  # a kind, and an id in capitals


@dataclass(frozen=True, slots=True)
class Known:
    """An id, the party whose it is, and the other party it is between, if there is one; addresses as "NL*TNM"."""

    kind: str
    key: str
    owner: str
    counterpart: str = ""


Found = tuple[Known, ...]
_found: dict[Question, tuple[float, Found]] = {}
_generation = 0
_changing = threading.Lock()


def get(question: Question) -> Found | None:
    """Return what the table says of an id, if that is remembered. Waits for nothing."""
    remembered = _found.get(question)
    if remembered is None or not snapshot.hears():
        return None
    until, found = remembered
    return found if until == _ALWAYS or time.monotonic() < until else None


def begin() -> int:
    """Return what `keep` has to be told: when the table began to be read."""
    return _generation


def keep(begun: int, answers: Mapping[Question, Found]) -> None:
    """Remember what was read, unless something changed meanwhile: it may be older than that."""
    until = time.monotonic() + NOBODYS_SECONDS
    with _changing:
        if begun != _generation or not snapshot.hears():
            return
        for question, found in answers.items():
            _found.pop(question, None)
            while len(_found) >= MOST:
                del _found[next(iter(_found))]
            _found[question] = (_ALWAYS if found else until), found


def drop(questions: Iterable[Question]) -> None:
    """Forget what changed."""
    global _generation
    with _changing:
        _generation += 1
        for question in questions:
            _found.pop(question, None)


def forget() -> None:
    """Forget everything: changes may have been missed."""
    global _generation
    with _changing:
        _generation += 1
        _found.clear()


def _new_lock() -> None:
    global _changing
    _changing = threading.Lock()
    _found.clear()


os.register_at_fork(after_in_child=_new_lock)
