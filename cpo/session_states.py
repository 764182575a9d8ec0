"""SessionStatus: what may follow what (OCPI 2.2.1, Sessions; table M-4). Pure."""

from __future__ import annotations

from ocpi import transitions
from ocpi.v2_2_1.sessions import SessionStatus

TRANSITIONS: transitions.Table = {
    SessionStatus.RESERVATION: {"begin": SessionStatus.ACTIVE, "end": SessionStatus.COMPLETED},
    SessionStatus.PENDING: {"begin": SessionStatus.ACTIVE, "expire": SessionStatus.INVALID},
    SessionStatus.ACTIVE: {"end": SessionStatus.COMPLETED, "discard": SessionStatus.INVALID},
    SessionStatus.COMPLETED: {},  # after COMPLETED nothing changes any more (SES-13)
    SessionStatus.INVALID: {},
}
transitions.check_table(TRANSITIONS)
STATES = tuple(TRANSITIONS)


def next_status(status: str, event: str) -> str:
    """Return the status that follows.

    :raises IllegalTransition: if the event has no place in the status.
    """
    return str(transitions.next_state(TRANSITIONS, status, event))
