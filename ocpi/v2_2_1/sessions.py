"""OCPI 2.2.1, chapter Sessions."""

from enum import StrEnum

from ocpi.v2_2_1.cdrs import AuthMethod, CdrToken, ChargingPeriod
from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.types import (
    ID36,
    CiString36,
    CountryCode,
    Currency,
    DateTime,
    Number,
    Object,
    PartyID,
    Price,
    String255,
    broken,
)
from ocpi.v2_2_1.types import ProfileType as ProfileType


class SessionStatus(StrEnum):
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    INVALID = "INVALID"
    PENDING = "PENDING"
    RESERVATION = "RESERVATION"


class ChargingPreferencesResponse(StrEnum):
    ACCEPTED = "ACCEPTED"
    DEPARTURE_REQUIRED = "DEPARTURE_REQUIRED"
    ENERGY_NEED_REQUIRED = "ENERGY_NEED_REQUIRED"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    PROFILE_TYPE_NOT_SUPPORTED = "PROFILE_TYPE_NOT_SUPPORTED"


class ChargingPreferences(Object, kw_only=True):
    profile_type: ProfileType
    departure_time: DateTime | None = None
    energy_need: Number | None = None
    discharge_allowed: bool | None = None

    def __post_init__(self) -> None:
        if self.energy_need is not None and self.energy_need < 0:
            raise broken("energy_need", "must not be below 0")


class Session(Object, kw_only=True):
    country_code: CountryCode
    party_id: PartyID
    id: ID36
    start_date_time: DateTime
    end_date_time: DateTime | None = None
    kwh: Number
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: CiString36 | None = None
    location_id: CiString36
    evse_uid: CiString36
    connector_id: CiString36
    meter_id: String255 | None = None
    currency: Currency
    charging_periods: list[ChargingPeriod] | None = None
    total_cost: Price | None = None
    status: SessionStatus
    last_updated: DateTime


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(Session, ChargingPreferences)
check = _checker.check
check_leniently = _checker.check_leniently
read = _checker.read
write = _checker.write
