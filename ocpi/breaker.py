"""The breaker of a platform in a word: whether calls go out to it, and if not, when it is tried next (REL-38)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

CLOSED = "closed"  # calls go out
FAILING = "failing"  # some failed; it is left alone for a moment after each
OPEN = "open"  # nothing goes out; it is probed at `until`
PROBING = "probing"  # nothing goes out but the probe that is due or under way
PAUSED = "paused"  # it refuses our token
SUSPENDED = "suspended"  # by an operator
UNUSED = "unused"  # not registered
STATES = (CLOSED, FAILING, OPEN, PROBING, PAUSED, SUSPENDED, UNUSED)


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether calls go out, and until when not."""

    state: str
    until: datetime | None = None


def of(
    *, state: str, connection: str, paused_reason: str, failures: int, backoff_until: datetime | None, now: datetime
) -> Breaker:
    """Return the breaker of a platform from its columns."""
    waits = backoff_until if backoff_until is not None and backoff_until > now else None
    if state != "REGISTERED" or connection == "PLANNED":
        return Breaker(UNUSED)
    if connection == "SUSPENDED":
        return Breaker(SUSPENDED)
    if paused_reason:
        return Breaker(PAUSED)
    if connection == "OFFLINE":
        return Breaker(OPEN, waits) if waits else Breaker(PROBING)
    return Breaker(FAILING if failures else CLOSED, waits)


def of_row(row: Any, now: datetime) -> Breaker:
    """Return the breaker of a row of `Platform`."""
    return of(state=row.state, connection=row.connection, paused_reason=row.paused_reason, failures=row.failures,
              backoff_until=row.backoff_until, now=now)  # fmt: skip
