"""A message on its way to one platform: PENDING until it is DELIVERED, REFUSED, DEAD, DROPPED or only MARKED.

MARKED says that the platform still has to get the current object, but that nobody is trying now: it pulls when it is
back, or it gets a PUT of what is current then.
"""

from ocpi import transitions

PENDING = "PENDING"
MARKED = "MARKED"
DELIVERED = "DELIVERED"
REFUSED = "REFUSED"
DEAD = "DEAD"
DROPPED = "DROPPED"

_STARTED_AGAIN = {"changed": PENDING, "sent_again": PENDING}

TABLE: transitions.Table = {
    PENDING: {
        "delivered": DELIVERED,
        "refused": REFUSED,
        "expired": MARKED,
        "given_up": DEAD,
        "changed": PENDING,
        "sent_again": PENDING,
        "dropped": DROPPED,
    },
    # `delivered` from MARKED: the platform pulled the object, or a newer one, itself. A change leaves the mark: it has
    # no body that could be out of date.
    MARKED: {
        "delivered": DELIVERED,
        "changed": MARKED,
        "sent_again": PENDING,
        "given_up": DEAD,
        "dropped": DROPPED,
    },
    DELIVERED: _STARTED_AGAIN,
    REFUSED: {**_STARTED_AGAIN, "delivered": DELIVERED, "given_up": DEAD, "dropped": DROPPED},
    DEAD: {**_STARTED_AGAIN, "delivered": DELIVERED, "dropped": DROPPED},
    DROPPED: _STARTED_AGAIN,
}
transitions.check_table(TABLE)
STATES: tuple[str, ...] = tuple(TABLE)


def next_state(state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(TABLE, state, event)
