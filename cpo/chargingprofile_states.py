"""How requests for charging profiles and profiles at charge points live, and what their ends mean (M-9). Pure."""

from __future__ import annotations

from ocpi import transitions
from ocpi.v2_2_1.chargingprofiles import ChargingProfileResultType as Result

# ------------------------------------------------------------ a request of a partner

REFUSED = "REFUSED"  # the ChargingProfileResponse was not ACCEPTED: no result follows (CHP-16)
IN_PROGRESS = "IN_PROGRESS"
DONE = "DONE"

REQUESTS: transitions.Table = {
    REFUSED: {},
    IN_PROGRESS: {"end": DONE},
    DONE: {},
}
transitions.check_table(REQUESTS)

# ------------------------------------------------------------ a profile at a charge point

ASKED = "ASKED"  # the charge point is being asked to take it
INSTALLED = "INSTALLED"
CLEARING = "CLEARING"  # it is being asked to remove it
DOUBTFUL = "DOUBTFUL"  # nobody knows whether it was taken: it is being asked to remove it
REJECTED = "REJECTED"
REPLACED = "REPLACED"  # by another one of the same purpose and stack level
REMOVED = "REMOVED"

PROFILES: transitions.Table = {
    ASKED: {"accepted": INSTALLED, "refused": REJECTED, "lost": DOUBTFUL, "over": REMOVED},
    INSTALLED: {"clear": CLEARING, "replaced": REPLACED, "over": REMOVED},
    CLEARING: {"cleared": REMOVED, "unknown": REMOVED, "kept": INSTALLED, "replaced": REPLACED, "over": REMOVED},
    DOUBTFUL: {"cleared": REMOVED, "unknown": REJECTED, "kept": DOUBTFUL, "replaced": REPLACED, "over": REMOVED},
    REJECTED: {},
    REPLACED: {},
    REMOVED: {},
}
transitions.check_table(PROFILES)
IN_FORCE = (INSTALLED, CLEARING)
UNDER_WAY = (ASKED, CLEARING, DOUBTFUL)
MAY_BE_THERE = (ASKED, INSTALLED, CLEARING, DOUBTFUL)

# Endings after which a charge point may have done what it was asked all the same.
_UNCLEAR = frozenset({"TIMEOUT", "CONNECTION_LOST", "INVALID_ANSWER"})


def next_state(state: str, event: str) -> str:
    """Return the state of a profile that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(PROFILES, state, event)


def event_of(state: str, operation_state: str, status: str, *, sent: bool = True) -> str:
    """Return what the end of an operation means to the profile it was about; `sent`: it reached the wire."""
    if state == ASKED:
        if operation_state == "ANSWERED" and status == "Accepted":
            return "accepted"
        return "lost" if sent and operation_state in _UNCLEAR else "refused"
    if operation_state == "ANSWERED" and status in ("Accepted", "Unknown"):
        return "cleared" if status == "Accepted" else "unknown"
    return "kept"


def result_of(method: str, operation_state: str, status: str, *, profile: bool = False) -> Result:
    """Return the result that an ended operation means (M-9); `profile`: the answer has a schedule.

    There is no TIMEOUT: whatever is no answer is REJECTED (CHP-20).
    """
    if operation_state != "ANSWERED":
        return Result.REJECTED
    if method == "DELETE" and status == "Unknown":
        return Result.UNKNOWN
    if status != "Accepted":
        return Result.REJECTED
    if method == "GET" and not profile:
        return Result.UNKNOWN
    return Result.ACCEPTED
