"""How an operation, a CALL of ours to a charge point, lives and ends (OCPP-79)."""

from enum import StrEnum


class OperationState(StrEnum):
    QUEUED = "QUEUED"
    SENT = "SENT"
    ANSWERED = "ANSWERED"
    CALLERROR = "CALLERROR"
    TIMEOUT = "TIMEOUT"
    CONNECTION_LOST = "CONNECTION_LOST"
    INVALID_ANSWER = "INVALID_ANSWER"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


OPEN = frozenset({OperationState.QUEUED, OperationState.SENT})
ENDED = frozenset(OperationState) - OPEN
