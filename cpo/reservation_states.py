"""How a reservation lives (OCPP-88): asked for, in force at the charge point, over. Pure."""

from __future__ import annotations

from ocpi import transitions

WAITING = "WAITING"  # the charge point has not answered yet
ACCEPTED = "ACCEPTED"
REFUSED = "REFUSED"
USED = "USED"  # charging has begun
EXPIRED = "EXPIRED"
CANCELLED = "CANCELLED"

TRANSITIONS: transitions.Table = {
    WAITING: {"accept": ACCEPTED, "refuse": REFUSED, "cancel": CANCELLED},
    # Replaced by another RESERVE_NOW it stays in force; a refused replacement changes nothing (CMD-37).
    ACCEPTED: {"accept": ACCEPTED, "use": USED, "expire": EXPIRED, "cancel": CANCELLED},
    REFUSED: {},
    USED: {},
    EXPIRED: {},
    CANCELLED: {},
}
transitions.check_table(TRANSITIONS)
STATES = tuple(TRANSITIONS)
OPEN = (WAITING, ACCEPTED)

# Who ended it. Nobody pays for a reservation that was ended by our side.
EMSP, DRIVER, TIME, OPERATOR, CHARGE_POINT = "eMSP", "driver", "time", "operator", "charge point"
ENDERS = (EMSP, DRIVER, TIME, OPERATOR, CHARGE_POINT)
OURS = frozenset({OPERATOR, CHARGE_POINT})
# Statuses of a connector that end the reservation of it.
ENDING_STATUSES = frozenset({"Faulted", "Unavailable"})


def next_state(state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(TRANSITIONS, state, event)


def takes(state: str, event: str) -> bool:
    """Say whether an event has a place in a state."""
    return event in TRANSITIONS[state]
