"""How far charge points' clocks are off, as their messages tell (OCPP-106, OCPP-108).

A message that was kept through an outage is late, never early: so the largest difference between its timestamp and the
moment it came, over an hour or so, is the clock's; whatever is smaller was waiting. A message takes some time to come,
so a clock that is right seems a fraction of a second behind.

Messages of transactions are kept through outages of any length. One that is more than an hour late says nothing of the
clock, unless no outage is as old: a clock that begins in 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cpo.gateway import moments

WINDOW_SECONDS = 3600.0
_OUTAGE_SECONDS, _OLDEST_OUTAGE_SECONDS = 3600.0, 366 * 86400.0
_OF_TRANSACTIONS = ("transactionId", "meterStart", "transactionInfo", "meterValue")
_MOST = 10 * 366 * 86400.0  # seconds; 1970 is further away, and says no more than that


@dataclass(slots=True)
class _Seen:
    since: float
    ahead: float  # the most in this window
    before: float | None = None  # the most in the window before
    told: float | None = None


class Clocks:
    """The clocks of the charge points of one node."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def note(self, charge_point: int, payload: Any, now: datetime) -> None:
        """Take in the timestamp of a message that has just come, if it has any."""
        text = stamp(payload)
        if text is None:
            return
        at = moments.parse(text)
        if at is None:
            return
        seconds = now.timestamp()
        ahead = max(-_MOST, min(_MOST, at.timestamp() - seconds))
        late = -_OLDEST_OUTAGE_SECONDS < ahead < -_OUTAGE_SECONDS
        if late and any(name in payload for name in _OF_TRANSACTIONS):
            return
        seen = self._seen.get(charge_point)
        if seen is None:
            self._seen[charge_point] = _Seen(seconds, ahead)
        elif seconds - seen.since > WINDOW_SECONDS:
            seen.since, seen.before, seen.ahead = seconds, seen.ahead, ahead
        elif ahead > seen.ahead:
            seen.ahead = ahead

    def forget(self, charge_point: int) -> None:
        self._seen.pop(charge_point, None)

    def ahead(self, charge_point: int) -> float | None:
        """Return how many seconds a clock is before ours; None if it has not said."""
        seen = self._seen.get(charge_point)
        return None if seen is None else _ahead(seen)

    def changed(self, least: float = 1.0) -> dict[int, float]:
        """Return the clocks that have moved by a second or more since they were returned last."""
        found = {}
        for charge_point, seen in self._seen.items():
            ahead = _ahead(seen)
            if seen.told is None or abs(seen.told - ahead) >= least:
                seen.told = found[charge_point] = ahead
        return found


def stamp(payload: Any) -> str | None:
    """Return the moment a message says it is of, whatever its action; what was kept while offline says nothing."""
    if not isinstance(payload, dict) or payload.get("offline") is True:
        return None
    found = payload.get("timestamp") or payload.get("generatedAt")
    if found is None:
        values = payload.get("meterValue")
        last = values[-1] if isinstance(values, list) and values else None
        found = last.get("timestamp") if isinstance(last, dict) else None
    return found if isinstance(found, str) else None


def _ahead(seen: _Seen) -> float:
    # A window that has just begun may hold only messages that waited; a clock that was set back shows a window later.
    return seen.ahead if seen.before is None else max(seen.ahead, seen.before)
