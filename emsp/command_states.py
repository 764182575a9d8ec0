"""A command as its Sender sees it: SENT, then the CommandResponse, then the CommandResult or none in time."""

from __future__ import annotations

from typing import Final

from ocpi import transitions

TABLE: Final[transitions.Table] = {
    "SENT": {"accepted": "ACCEPTED", "refused": "REFUSED", "failed": "FAILED", "result": "DONE", "reported": "DONE"},
    "ACCEPTED": {"result": "DONE", "reported": "DONE", "expired": "EXPIRED"},
    # The result may come before the response did, and counts for more.
    "DONE": {"result": "DONE", "reported": "DONE", "accepted": "DONE", "refused": "DONE", "failed": "DONE"},
    # After its timeout, and after a refusal, nothing is expected at its response_url any more (CMD-08, CMD-14, CMD-21);
    # that of a RESERVE_NOW lives until its reservation ends, and is where the CPO reports (CMD-20).
    "EXPIRED": {"reported": "DONE"},
    "REFUSED": {},
    # No answer came: the command may have arrived all the same.
    "FAILED": {"result": "DONE", "reported": "DONE"},
}
STATES: Final = tuple(TABLE)
transitions.check_table(TABLE)


def next_state(state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(TABLE, state, event)


def takes(state: str, event: str) -> bool:
    """Say whether an event has a place in a state."""
    return event in TABLE[state]
