"""OCPI 2.2.1, chapter Commands."""

from enum import StrEnum

from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.tokens import Token
from ocpi.v2_2_1.types import URL, CiString36, DateTime, DisplayText, Int, Object, broken


class CommandType(StrEnum):
    CANCEL_RESERVATION = "CANCEL_RESERVATION"
    RESERVE_NOW = "RESERVE_NOW"
    START_SESSION = "START_SESSION"
    STOP_SESSION = "STOP_SESSION"
    UNLOCK_CONNECTOR = "UNLOCK_CONNECTOR"


class CommandResponseType(StrEnum):
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    ACCEPTED = "ACCEPTED"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class CommandResultType(StrEnum):
    ACCEPTED = "ACCEPTED"
    CANCELED_RESERVATION = "CANCELED_RESERVATION"
    EVSE_OCCUPIED = "EVSE_OCCUPIED"
    EVSE_INOPERATIVE = "EVSE_INOPERATIVE"
    FAILED = "FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    UNKNOWN_RESERVATION = "UNKNOWN_RESERVATION"


class CommandResponse(Object, kw_only=True):
    result: CommandResponseType
    timeout: Int
    message: list[DisplayText] | None = None


class CommandResult(Object, kw_only=True):
    result: CommandResultType
    message: list[DisplayText] | None = None


class CancelReservation(Object, kw_only=True):
    response_url: URL
    reservation_id: CiString36


class ReserveNow(Object, kw_only=True):
    response_url: URL
    token: Token
    expiry_date: DateTime
    reservation_id: CiString36
    location_id: CiString36
    evse_uid: CiString36 | None = None
    authorization_reference: CiString36 | None = None


class StartSession(Object, kw_only=True):
    response_url: URL
    token: Token
    location_id: CiString36
    evse_uid: CiString36 | None = None
    connector_id: CiString36 | None = None
    authorization_reference: CiString36 | None = None

    def __post_init__(self) -> None:
        if self.connector_id and not self.evse_uid:
            raise broken("evse_uid", "is required when connector_id is given")


class StopSession(Object, kw_only=True):
    response_url: URL
    session_id: CiString36


class UnlockConnector(Object, kw_only=True):
    response_url: URL
    location_id: CiString36
    evse_uid: CiString36
    connector_id: CiString36


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(
    CommandResponse, CommandResult, CancelReservation, ReserveNow, StartSession, StopSession, UnlockConnector
)
check = _checker.check
check_leniently = _checker.check_leniently
read = _checker.read
write = _checker.write
