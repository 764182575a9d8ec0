"""How a command lives: accepted, sent to the charge point, ended; and what its end means to the eMSP (M-6). Pure."""

from __future__ import annotations

from ocpi import transitions
from ocpi.v2_2_1.commands import CommandResultType

REFUSED = "REFUSED"  # the CommandResponse was not ACCEPTED: no result follows (CMD-14)
WAITING = "WAITING"
IN_PROGRESS = "IN_PROGRESS"
DONE = "DONE"

TRANSITIONS: transitions.Table = {
    REFUSED: {},
    WAITING: {"ask": IN_PROGRESS, "end": DONE},
    IN_PROGRESS: {"end": DONE},
    DONE: {},
}
transitions.check_table(TRANSITIONS)
STATES = tuple(TRANSITIONS)
OPEN = (WAITING, IN_PROGRESS)

_UNSUPPORTED = ("NotSupported", "NotImplemented")
# Operation states that are no answer of the charge point.
_ENDINGS = {
    "TIMEOUT": CommandResultType.TIMEOUT,
    "CONNECTION_LOST": CommandResultType.FAILED,
    "INVALID_ANSWER": CommandResultType.FAILED,
    "CANCELLED": CommandResultType.FAILED,
    "EXPIRED": CommandResultType.TIMEOUT,
}
_INOPERATIVE = frozenset({"Faulted", "Unavailable"})


def result_of(
    command: str,
    operation_state: str,
    *,
    status: str = "",
    error: str = "",
    occupied: bool = False,
    connector_status: str = "",
) -> CommandResultType:
    """Return the CommandResult that an ended operation means (M-6).

    `status` is what the charge point answered, `error` its CALLERROR; `occupied`: somebody else charges at the EVSE.
    """
    if operation_state == "CALLERROR":
        unsupported = error.partition(":")[0].strip() in _UNSUPPORTED
        return CommandResultType.NOT_SUPPORTED if unsupported else CommandResultType.FAILED
    if operation_state != "ANSWERED":
        return _ENDINGS.get(operation_state, CommandResultType.FAILED)
    if status == "Accepted":
        return CommandResultType.ACCEPTED
    if status != "Rejected":
        return CommandResultType.FAILED
    if command == "START_SESSION" and occupied:
        return CommandResultType.EVSE_OCCUPIED
    if command == "START_SESSION" and connector_status in _INOPERATIVE:
        return CommandResultType.EVSE_INOPERATIVE
    return CommandResultType.REJECTED
