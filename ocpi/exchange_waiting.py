"""Exchanges of this process that wait to be written, and how many may.

A hub makes the lines of what it passed on as soon as some dozens of requests are over, while all of them are still in
the processor's cache: a tenth of a second later that costs twice as much. Whatever would have to be looked at more
closely, or read for, waits for the writer as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from ocpi import exchange_rows
from ocpi.exchange_columns import BODY_LIMIT, Entry
from ocpi.exchange_forward import Forwarded
from ocpi.exchange_rows import Lines

MOST_WAITING = 10_000  # that are not yet lines
MOST_BYTES = 64 << 20  # of lines and bodies that wait
_TOGETHER = 128  # forwards whose lines are made at once: half a millisecond of work
_MOST_AT_HAND = 512 << 10  # octets of their bodies: longer ones would keep all requests waiting
_AT_ONCE = 5_000  # exchanges

Waits = Entry | Forwarded | Lines


class Waiting:
    """What waits; no method waits itself or raises, and any thread may call any."""

    def __init__(self) -> None:
        self._passed: deque[Forwarded] = deque()  # the newest forwards
        self._all: deque[Waits] = deque()
        self._octets = self._octets_passed = 0

    def add(self, entry: Entry | Forwarded) -> int:
        """Keep one exchange; return how many of the oldest had to go for it."""
        body, answer, octets = entry.request_body, entry.response_body, 0
        if body is not None:
            if len(body) > BODY_LIMIT or type(body) is not bytes:
                entry.request_body = body = bytes(body[: BODY_LIMIT + 1])
            octets = len(body)
        if answer is not None:
            if len(answer) > BODY_LIMIT or type(answer) is not bytes:
                entry.response_body = answer = bytes(answer[: BODY_LIMIT + 1])
            octets += len(answer)
        self._octets += octets
        if isinstance(entry, Entry):
            self._all.append(entry)
        else:
            self._passed.append(entry)
            self._octets_passed += octets
            if len(self._passed) >= _TOGETHER:
                self._finish()
        return self._drop() if self._octets > MOST_BYTES or len(self._all) > MOST_WAITING else 0

    def take(self) -> list[Waits]:
        """Return the oldest of what waits, as much as is written at once."""
        self._octets_passed = 0
        self._all.extend(_drained(self._passed))
        batch: list[Waits] = []
        room = _AT_ONCE
        with suppress(IndexError):  # the last is taken, by others perhaps; what was taken before that is in the batch
            while room > 0:
                each = self._all.popleft()
                batch.append(each)
                room -= each.exchanges
        self._octets -= _octets(batch)
        if not self._all:
            self._octets = 0  # unsynchronised additions may have drifted
        return batch

    def put_back(self, batch: Sequence[Waits]) -> None:
        """Let a batch wait again, before all others."""
        self._octets += _octets(batch)
        self._all.extendleft(reversed(batch))

    def forget(self) -> None:
        """Begin anew."""
        self._octets = self._octets_passed = 0
        self._passed.clear()
        self._all.clear()

    def _finish(self) -> None:
        forwards, octets = _drained(self._passed), self._octets_passed
        self._octets_passed = 0
        lines = None
        if octets <= _MOST_AT_HAND:
            with suppress(Exception):  # the writer says what is wrong
                lines = exchange_rows.finished(forwards)
        if lines is None:
            self._all.extend(forwards)
            return
        self._octets += lines.octets - octets
        self._all.append(lines)

    def _drop(self) -> int:
        number = 0
        with suppress(IndexError):  # the writer was faster
            while self._octets > MOST_BYTES or len(self._all) > MOST_WAITING:
                dropped = self._all.popleft()
                self._octets -= dropped.octets
                number += dropped.exchanges
        return number


def _drained(forwards: deque[Forwarded]) -> list[Forwarded]:
    """Return what is in a deque to which others may add, and from which they may take, meanwhile."""
    found: list[Forwarded] = []
    with suppress(IndexError):
        found.extend(forwards.popleft() for _ in range(len(forwards)))
    return found


def _octets(batch: Sequence[Waits]) -> int:
    return sum([each.octets for each in batch])
