"""OCPI 2.2.1, chapter Tariffs."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.locations import EnergyMix, TimeOfDay
from ocpi.v2_2_1.types import (
    ID36,
    URL,
    CountryCode,
    Currency,
    DateTime,
    DisplayText,
    Int,
    NotNegative,
    Number,
    Object,
    PartyID,
    Price,
    broken,
    formatted,
)


class TariffType(StrEnum):
    AD_HOC_PAYMENT = "AD_HOC_PAYMENT"
    PROFILE_CHEAP = "PROFILE_CHEAP"
    PROFILE_FAST = "PROFILE_FAST"
    PROFILE_GREEN = "PROFILE_GREEN"
    REGULAR = "REGULAR"


class TariffDimensionType(StrEnum):
    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


class DayOfWeek(StrEnum):
    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class ReservationRestrictionType(StrEnum):
    RESERVATION = "RESERVATION"
    RESERVATION_EXPIRES = "RESERVATION_EXPIRES"


Date = Annotated[
    str, formatted(10, "[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])", "a local date YYYY-MM-DD")
]


class PriceComponent(Object, kw_only=True):
    type: TariffDimensionType
    price: Number
    vat: Number | None = None
    step_size: NotNegative


class TariffRestrictions(Object, kw_only=True):
    start_time: TimeOfDay | None = None
    end_time: TimeOfDay | None = None
    start_date: Date | None = None
    end_date: Date | None = None
    min_kwh: Number | None = None
    max_kwh: Number | None = None
    min_current: Number | None = None
    max_current: Number | None = None
    min_power: Number | None = None
    max_power: Number | None = None
    min_duration: Int | None = None
    max_duration: Int | None = None
    day_of_week: list[DayOfWeek] | None = None
    reservation: ReservationRestrictionType | None = None

    def __post_init__(self) -> None:
        for field in ("start_date", "end_date"):
            day = getattr(self, field)
            if day and day != "#NA" and not _is_date(day):
                raise broken(field, "must be a day of the calendar")


class TariffElement(Object, kw_only=True):
    price_components: Annotated[list[PriceComponent], Meta(min_length=1)]
    restrictions: TariffRestrictions | None = None


class Tariff(Object, kw_only=True):
    country_code: CountryCode
    party_id: PartyID
    id: ID36
    currency: Currency
    type: TariffType | None = None
    tariff_alt_text: list[DisplayText] | None = None
    tariff_alt_url: URL | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: Annotated[list[TariffElement], Meta(min_length=1)]
    start_date_time: DateTime | None = None
    end_date_time: DateTime | None = None
    energy_mix: EnergyMix | None = None
    last_updated: DateTime

    def __post_init__(self) -> None:
        if self.min_price and self.max_price and _above(self.min_price, self.max_price):
            raise broken("min_price", "must not be greater than max_price")


def _above(least: Price, most: Price) -> bool:
    if least.excl_vat > most.excl_vat:
        return True
    return least.incl_vat is not None and most.incl_vat is not None and least.incl_vat > most.incl_vat


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(Tariff)
check = _checker.check
check_leniently = _checker.check_leniently
check_ours = _checker.check_ours
read = _checker.read
write = _checker.write
