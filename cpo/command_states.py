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
# What a charge point answers, by command; any other word is no answer to it.
_ANSWERS: dict[str, dict[str, CommandResultType]] = {
    "START_SESSION": {"Accepted": CommandResultType.ACCEPTED, "Rejected": CommandResultType.REJECTED},
    "STOP_SESSION": {"Accepted": CommandResultType.ACCEPTED, "Rejected": CommandResultType.REJECTED},
    "RESERVE_NOW": {
        "Accepted": CommandResultType.ACCEPTED,
        "Rejected": CommandResultType.REJECTED,
        "Occupied": CommandResultType.EVSE_OCCUPIED,
        "Faulted": CommandResultType.EVSE_INOPERATIVE,
        "Unavailable": CommandResultType.EVSE_INOPERATIVE,
    },
    "CANCEL_RESERVATION": {
        "Accepted": CommandResultType.ACCEPTED,
        "Rejected": CommandResultType.UNKNOWN_RESERVATION,
    },
    "UNLOCK_CONNECTOR": {
        "Accepted": CommandResultType.ACCEPTED,
        "Unlocked": CommandResultType.ACCEPTED,
        "UnlockFailed": CommandResultType.FAILED,
        "NotSupported": CommandResultType.NOT_SUPPORTED,
        "OngoingAuthorizedTransaction": CommandResultType.EVSE_OCCUPIED,
        "UnknownConnector": CommandResultType.REJECTED,
    },
}
_AT_AN_EVSE = frozenset({"START_SESSION", "RESERVE_NOW"})  # a refusal is explained by what goes on there


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
        return CommandResultType.NOT_SUPPORTED if is_unsupported(error) else CommandResultType.FAILED
    if operation_state != "ANSWERED":
        return _ENDINGS.get(operation_state, CommandResultType.FAILED)
    if status == "Rejected" and command in _AT_AN_EVSE and occupied:
        return CommandResultType.EVSE_OCCUPIED
    if status == "Rejected" and command in _AT_AN_EVSE and connector_status in _INOPERATIVE:
        return CommandResultType.EVSE_INOPERATIVE
    return _ANSWERS.get(command, {}).get(status, CommandResultType.FAILED)


def is_unsupported(error: str) -> bool:
    """Say whether a CALLERROR means that the charge point cannot do this at all."""
    return error.partition(":")[0].strip() in _UNSUPPORTED
