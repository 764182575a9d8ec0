"""OCPP connector states → OCPI EVSE Status: tables M-1, M-2 and M-3 of the gateway requirements. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Status(StrEnum):
    """OCPI 2.2.1, mod_locations, Status enum."""

    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    REMOVED = "REMOVED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a tenant may choose."""

    preparing_for: timedelta = timedelta(minutes=5)  # how long a plugged car without transaction leaves it AVAILABLE
    preparing: Status = Status.AVAILABLE  # or CHARGING
    preparing_later: Status = Status.BLOCKED
    finishing: Status = Status.CHARGING  # or BLOCKED
    offline_grace: timedelta = timedelta(minutes=5)


DEFAULT = Policy()

# M-1; Preparing and Finishing follow the policy.
_M1 = {
    "Available": Status.AVAILABLE,
    "Charging": Status.CHARGING,
    "SuspendedEV": Status.CHARGING,
    "SuspendedEVSE": Status.CHARGING,
    "Reserved": Status.RESERVED,
    "Unavailable": Status.INOPERATIVE,
    "Faulted": Status.OUTOFORDER,
}
_WHOLE = {"Unavailable": Status.INOPERATIVE, "Faulted": Status.OUTOFORDER}  # said of connector 0
# Several connectors on one EVSE: the first of these that any of them has.
_OF_SEVERAL = (
    Status.CHARGING,
    Status.RESERVED,
    Status.BLOCKED,
    Status.AVAILABLE,
    Status.INOPERATIVE,
    Status.OUTOFORDER,
)


def _preparing(since_preparing: timedelta | None, policy: Policy) -> Status:
    if policy.preparing is Status.CHARGING:
        return Status.CHARGING
    if since_preparing is None or since_preparing < policy.preparing_for:
        return policy.preparing
    return policy.preparing_later


def status_16(
    connector_status: str,
    *,
    open_transaction: bool,
    since_preparing: timedelta | None = None,
    charge_point_status: str = "",
    policy: Policy = DEFAULT,
) -> Status:
    """Return the Status of a 1.6 connector (M-1); `charge_point_status` is what connector 0 reports."""
    if not open_transaction and charge_point_status in _WHOLE:
        return _WHOLE[charge_point_status]
    if connector_status == "Preparing":
        return _preparing(since_preparing, policy)
    if connector_status == "Finishing":
        return policy.finishing
    if connector_status == "Faulted" and open_transaction:
        return Status.CHARGING
    return _M1.get(connector_status, Status.UNKNOWN)


def status_201(
    connector_status: str,
    *,
    charging_state: str = "",
    open_transaction: bool = False,
    token_accepted: bool = False,
    ended_since_occupied: bool = False,
    since_preparing: timedelta | None = None,
    policy: Policy = DEFAULT,
) -> Status:
    """Return the Status of a 2.0.1 or 2.1 connector (M-2)."""
    if connector_status in {"Unavailable", "Faulted"}:
        return Status.CHARGING if open_transaction else _M1[connector_status]
    if connector_status == "Reserved":
        return Status.RESERVED
    if open_transaction and charging_state == "Idle":
        return Status.AVAILABLE
    if connector_status == "Available":
        return Status.CHARGING if open_transaction else Status.AVAILABLE
    if connector_status != "Occupied":
        return Status.UNKNOWN
    if open_transaction and (charging_state != "EVConnected" or token_accepted):
        return Status.CHARGING
    if not open_transaction and ended_since_occupied:
        return policy.finishing
    return _preparing(since_preparing, policy)


def of_several(statuses: Iterable[Status]) -> Status:
    """Return the Status of an EVSE with several connectors."""
    present = set(statuses)
    return next((status for status in _OF_SEVERAL if status in present), Status.UNKNOWN)


def precedence(
    status: Status | None,
    *,
    open_transaction: bool,
    decommissioned: bool = False,
    planned: bool = False,
    blocked: bool = False,
    offline_for: timedelta | None = None,
    sibling_in_use: bool = False,
    policy: Policy = DEFAULT,
) -> Status:
    """Return what goes before the connector's own Status, or that one (M-3); None: it has never said any."""
    if decommissioned:
        return Status.REMOVED
    if planned:
        return Status.PLANNED
    if blocked:
        return Status.CHARGING if open_transaction else Status.INOPERATIVE
    if status is None or (offline_for is not None and offline_for > policy.offline_grace):
        return Status.UNKNOWN
    if sibling_in_use:
        return Status.INOPERATIVE
    return status


def status_of_connector(
    connector_status: str,
    *,
    open_transaction: bool,
    since_preparing: timedelta | None = None,
    charge_point_status: str = "",
    policy: Policy = DEFAULT,
) -> Status | None:
    """Return what a connector of 1.6 says of its EVSE; an empty `connector_status` is none ever, and says nothing."""
    if not connector_status and charge_point_status not in _WHOLE:
        return None
    return status_16(
        connector_status,
        open_transaction=open_transaction,
        since_preparing=since_preparing,
        charge_point_status=charge_point_status,
        policy=policy,
    )


@dataclass(frozen=True, slots=True)
class Plug:
    """What is known of one connector of an EVSE of 2.0.1."""

    status: str
    charging_state: str = ""
    open_transaction: bool = False
    token_accepted: bool = False
    ended_since_occupied: bool = False
    since_occupied: timedelta | None = None


def status_of_evse(plugs: Iterable[Plug], *, charge_point_status: str = "", policy: Policy = DEFAULT) -> Status | None:
    """Return what the connectors of an EVSE of 2.0.1 say together; without any, nothing."""
    known = list(plugs)
    if charge_point_status in _WHOLE and not any(plug.open_transaction for plug in known):
        return _WHOLE[charge_point_status]
    if not known:
        return None
    return of_several(
        status_201(
            plug.status,
            charging_state=plug.charging_state,
            open_transaction=plug.open_transaction,
            token_accepted=plug.token_accepted,
            ended_since_occupied=plug.ended_since_occupied,
            since_preparing=plug.since_occupied,
            policy=policy,
        )
        for plug in known
    )
