"""A reservation as the eMSP sees it: asked for, held, and over in one of several ways."""

from __future__ import annotations

from typing import Final

from ocpi import transitions

TABLE: Final[transitions.Table] = {
    # Also while nobody knows: a command that was not answered may have been carried out all the same.
    "REQUESTED": {
        "requested": "REQUESTED",
        "confirmed": "RESERVED",
        "refused": "REFUSED",
        "canceled": "CANCELED",
        "canceled_by_cpo": "CANCELED_BY_CPO",
        "over": "EXPIRED",
    },
    # Asked for once more it is replaced, if the CPO agrees; until then, and if not, it stands as it is (CMD-37).
    "RESERVED": {
        "requested": "RESERVED",
        "confirmed": "RESERVED",
        "refused": "RESERVED",
        "canceled": "CANCELED",
        "canceled_by_cpo": "CANCELED_BY_CPO",
        "over": "EXPIRED",
    },
    "REFUSED": {"requested": "REQUESTED"},
    "CANCELED": {"requested": "REQUESTED"},
    "CANCELED_BY_CPO": {"requested": "REQUESTED"},
    "EXPIRED": {"requested": "REQUESTED"},
}
STATES: Final = tuple(TABLE)
OPEN: Final = ("REQUESTED", "RESERVED")
transitions.check_table(TABLE)


def next_state(state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(TABLE, state, event)


def takes(state: str, event: str) -> bool:
    """Say whether an event has a place in a state."""
    return event in TABLE[state]
