"""When a delivery is tried again and when it is given up: the table of the architecture (section 8), pure."""

from __future__ import annotations

from datetime import timedelta

from ocpi import delivery_states

STATE, CDR, RESULT = "STATE", "CDR", "RESULT"

# Seconds after the first, second … failure; the last one repeats (REL-31, REL-33, REL-34).
DELAYS = {
    STATE: (1.0, 2.0, 5.0, 10.0, 20.0),
    CDR: (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0),
    RESULT: (1.0, 2.0, 5.0, 10.0, 20.0),
}
CDR_LIFETIME = timedelta(days=7)
PARKED = timedelta(hours=1)
REFUSALS_UNTIL_PARKED = 5
JITTER = 0.2
LONGEST_RETRY_AFTER = 3600.0
# A row that waits for less than this holds back what follows it under the same order key; who waits longer
# (a CDR after its third try, a parked object) would keep a Location from the map for hours.
HOLDS_BACK_SECONDS = 28.0

# Consecutive failures until a platform is OFFLINE (REL-38), and the pauses before and after that.
FAILURES_UNTIL_OFFLINE = 3
_PAUSES = (0.5, 1.0)
_FIRST_PROBE, _LAST_PROBE = 10.0, 300.0


def delay(kind: str, attempts: int, chance: float, retry_after: float | None = None) -> float:
    """Return the seconds until the next try after so many tries (at least one); `chance` is random in 0 … 1."""
    delays = DELAYS[kind]
    seconds = delays[min(attempts, len(delays)) - 1] * (1 - JITTER + 2 * JITTER * chance)
    return max(seconds, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


def ending(kind: str, *, age: float, wait: float, time_to_live: float, left: float | None) -> str | None:
    """Return the state a failed delivery ends in if its next try would come too late, else nothing.

    `age` is in seconds since the last change (STATE) or the start (CDR); `left` until the deadline of a result.
    """
    if kind == STATE:
        return delivery_states.MARKED if age + wait > time_to_live else None
    if kind == CDR:
        return delivery_states.DEAD if age + wait > CDR_LIFETIME.total_seconds() else None
    return delivery_states.DROPPED if left is not None and wait > left else None


def pause(failures: int) -> float:
    """Return the seconds a platform is left alone after so many failures in a row; from the third on it is probed."""
    if failures < FAILURES_UNTIL_OFFLINE:
        return _PAUSES[failures - 1]
    return float(min(_FIRST_PROBE * 2 ** min(failures - FAILURES_UNTIL_OFFLINE, 8), _LAST_PROBE))


def parks(refusals: int) -> bool:
    """Say whether an object that was refused so many times in a row now waits (REL-27)."""
    return refusals > 0 and refusals % REFUSALS_UNTIL_PARKED == 0
