"""The credentials handshake of a Platform: INVITED → REGISTERED → UNREGISTERED."""

from ocpi import transitions

INVITED = "INVITED"
REGISTERED = "REGISTERED"
UNREGISTERED = "UNREGISTERED"

TABLE: transitions.Table = {
    INVITED: {"invited": INVITED, "registered": REGISTERED, "unregistered": UNREGISTERED},
    # A PUT on credentials (a new token, other roles, another version) leaves a platform registered.
    REGISTERED: {"registered": REGISTERED, "unregistered": UNREGISTERED},
    UNREGISTERED: {"invited": INVITED},
}
transitions.check_table(TABLE)
STATES: tuple[str, ...] = tuple(TABLE)


def next_state(state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(TABLE, state, event)
