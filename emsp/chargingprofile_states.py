"""A request about a charging profile as its Sender sees it: SENT, then the answer, then the result or none in time."""

from __future__ import annotations

from typing import Final

from ocpi import transitions

TABLE: Final[transitions.Table] = {
    "SENT": {"accepted": "ACCEPTED", "refused": "REFUSED", "failed": "FAILED", "result": "DONE"},
    "ACCEPTED": {"result": "DONE", "expired": "EXPIRED"},
    # The result may come before the answer did, and counts for more.
    "DONE": {"result": "DONE", "accepted": "DONE", "refused": "DONE", "failed": "DONE"},
    # After its timeout, and after a refusal, nothing is expected at its response_url any more (CHP-16).
    "EXPIRED": {},
    "REFUSED": {},
    # No answer came: the request may have arrived all the same.
    "FAILED": {"result": "DONE"},
}
STATES: Final = tuple(TABLE)
OPEN: Final = ("SENT", "ACCEPTED")
transitions.check_table(TABLE)


def next_state(state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(TABLE, state, event)


def takes(state: str, event: str) -> bool:
    """Say whether an event has a place in a state."""
    return event in TABLE[state]
