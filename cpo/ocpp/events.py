"""What can happen at a charge point, and what can be asked of it, in the words of neither OCPP version. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cpo.charging_schedules import Schedule
from cpo.gateway.moments import Moment

# ------------------------------------------------------------ what happens


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    vendor: str
    model: str
    serial: str = ""
    box_serial: str = ""
    firmware: str = ""
    iccid: str = ""
    imsi: str = ""
    meter_type: str = ""
    meter_serial: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorStatus:
    connector: int  # 0: the charge point as a whole
    status: str
    error_code: str
    moment: Moment
    evse: int | None = None  # 2.0.1 only; `connector` is then one of the EVSE, or 0 for all of them
    info: str = ""
    vendor_id: str = ""
    vendor_error_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorStates:
    """Several states at once, as a NotifyEvent tells them (OCPP-62)."""

    states: tuple[ConnectorStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeAsked:
    id_token: str
    token_type: str = ""  # 1.6 has none
    certificate: bool = False  # it comes with a contract certificate, or with hashes of one


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStarted:
    connector: int
    id_token: str
    meter_start_wh: Decimal
    moment: Moment
    reservation_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSample:
    """One value; `value` is in Wh, W, A, V, % … and None if it is no number or signed, `raw` is always as it came."""

    moment: Moment
    value: Decimal | None
    raw: str
    measurand: str = "Energy.Active.Import.Register"
    unit: str = "Wh"
    phase: str = ""
    context: str = "Sample.Periodic"
    location: str = "Outlet"
    signed: bool = False
    flag: str = ""  # why the value is not used, if so
    signature: Mapping[str, Any] | None = None  # the signedMeterValue of 2.0.1 as it came (OCPP-70)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterValues:
    connector: int  # 0: the main meter, never billed
    samples: tuple[MeterSample, ...]
    transaction_id: int | None = None
    evse: int | None = None  # 2.0.1: of an EVSE, whichever connector


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEvent:
    """One event of a transaction of 2.0.1, in whatever order it comes (OCPP-49, OCPP-50)."""

    transaction_id: str
    kind: str  # Started, Updated or Ended
    seq_no: int
    moment: Moment
    trigger: str = ""
    offline: bool = False
    evse: int | None = None
    connector: int | None = None
    charging_state: str = ""
    stopped_reason: str = ""
    remote_start_id: int | None = None
    reservation_id: int | None = None
    id_token: str = ""
    token_type: str = ""
    samples: tuple[MeterSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStopped:
    transaction_id: int
    meter_stop_wh: Decimal
    moment: Moment
    reason: str = "Local"
    id_token: str = ""
    samples: tuple[MeterSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationEnded:
    """A reservation that the charge point says is over: `Expired` or `Removed`."""

    reservation_id: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTransferred:
    vendor_id: str
    message_id: str = ""
    data: Any = None  # as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadStatus:
    """Where a firmware update, a diagnostics or a log upload has got to."""

    subject: str  # the action that said so
    status: str
    request_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    kind: str
    moment: Moment
    info: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A message that is kept and means nothing to us yet."""

    action: str
    payload: Mapping[str, Any]


Event = (
    Booted
    | Heartbeat
    | ConnectorStatus
    | ConnectorStates
    | AuthorizeAsked
    | TransactionStarted
    | TransactionStopped
    | TransactionEvent
    | ReservationEnded
    | MeterValues
    | DataTransferred
    | UploadStatus
    | SecurityEvent
    | Other
)

# ------------------------------------------------------------ what can be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStart:
    id_token: str
    connector: int | None = None  # in OCPP 2.0.1 the EVSE, here and below
    charging_profile: Mapping[str, Any] | None = None
    # Of OCPP 2.0.1: what the token is, its group, and our number by which its transaction is known (OCPP-54).
    token_type: str = ""
    group: str = ""
    remote_start_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStop:
    transaction_id: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlock:
    connector: int
    plug: int = 1  # of the EVSE, in OCPP 2.0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    reservation_id: int
    id_token: str
    expires_at: datetime
    connector: int = 0  # 0: any
    parent_id_token: str = ""
    token_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReservation:
    reservation_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetProfile:
    connector: int
    profile_id: int
    purpose: str
    stack_level: int
    schedule: Schedule
    transaction_id: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearProfile:
    profile_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskSchedule:
    connector: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConfiguration:
    keys: tuple[str, ...]  # as OCPP 1.6 calls them


Request = (
    RemoteStart
    | RemoteStop
    | Unlock
    | Reserve
    | CancelReservation
    | ReadConfiguration
    | SetProfile
    | ClearProfile
    | AskSchedule
)
