"""OCPI 2.2.1, chapter ChargingProfiles."""

from enum import StrEnum
from itertools import pairwise

from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.types import URL, DateTime, Int, Number, Object, broken, one_decimal


class ChargingProfileResponseType(StrEnum):
    ACCEPTED = "ACCEPTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TOO_OFTEN = "TOO_OFTEN"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class ChargingProfileResultType(StrEnum):
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class ChargingRateUnit(StrEnum):
    W = "W"
    A = "A"


class ChargingProfilePeriod(Object, kw_only=True):
    start_period: Int
    limit: Number

    def __post_init__(self) -> None:
        if self.limit < 0 or not one_decimal(self.limit):
            raise broken("limit", "must be a number with at most one decimal, not below 0")


class ChargingProfile(Object, kw_only=True):
    start_date_time: DateTime | None = None
    duration: Int | None = None
    charging_rate_unit: ChargingRateUnit
    min_charging_rate: Number | None = None
    charging_profile_period: list[ChargingProfilePeriod] | None = None

    def __post_init__(self) -> None:
        least = self.min_charging_rate
        if least is not None and (least < 0 or not one_decimal(least)):
            raise broken("min_charging_rate", "must be a number with at most one decimal, not below 0")
        if self.duration is not None and self.duration < 1:
            raise broken("duration", "must be at least 1")
        if not self.charging_profile_period:
            raise broken("charging_profile_period", "must have at least one element")
        if self.charging_profile_period[0].start_period != 0:
            raise broken("charging_profile_period[0].start_period", "must be 0")
        for index, (before, period) in enumerate(pairwise(self.charging_profile_period), start=1):
            if period.start_period <= before.start_period:
                raise broken(f"charging_profile_period[{index}].start_period", "must be later than the one before")


class ActiveChargingProfile(Object, kw_only=True):
    start_date_time: DateTime
    charging_profile: ChargingProfile


class SetChargingProfile(Object, kw_only=True):
    charging_profile: ChargingProfile
    response_url: URL


class ChargingProfileResponse(Object, kw_only=True):
    result: ChargingProfileResponseType
    timeout: Int


class ActiveChargingProfileResult(Object, kw_only=True):
    result: ChargingProfileResultType
    profile: ActiveChargingProfile | None = None


class ChargingProfileResult(Object, kw_only=True):
    result: ChargingProfileResultType


class ClearProfileResult(Object, kw_only=True):
    result: ChargingProfileResultType


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(
    ChargingProfilePeriod,
    ChargingProfile,
    ActiveChargingProfile,
    SetChargingProfile,
    ChargingProfileResponse,
    ActiveChargingProfileResult,
    ChargingProfileResult,
    ClearProfileResult,
)
check = _checker.check
check_leniently = _checker.check_leniently
read = _checker.read
write = _checker.write
