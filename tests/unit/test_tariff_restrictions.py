"""What restrictions and reservations switch on and off, each beside the neighbouring case (Tariffs, 8.3).

The session begins on Monday 2025-03-03 at 10:00 UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ocpi.tariff_pricing import Price
from tests.unit.tariff_builders import cdr, component, element, period, priced, tariff
from tests.unit.test_tariff_rules import HALVES, LATER, RESERVED, RESERVING, at, kwh, switched

EXPIRED = cdr(period(RESERVATION_TIME=1))
EXPIRING = element(component("FLAT", "4"), component("TIME", "8"), reservation="RESERVATION_EXPIRES")
EXPIRY_FEE = element(component("FLAT", "4"), reservation="RESERVATION_EXPIRES")
NIGHT, EVENING = {"start_time": "22:00", "end_time": "06:00"}, {"start_time": "20:00", "end_time": "00:00"}
THREE_DAYS = {"start_date": "2025-03-03", "end_date": "2025-03-06", "start_time": "10:00", "end_time": "11:00"}

AMSTERDAM, NEW_YORK = "Europe/Amsterdam", "America/New_York"
WINDOW, NIGHTS, DATES = pytest.mark.req("TAR-25"), pytest.mark.req("TAR-27"), pytest.mark.req("TAR-28")
WEEKDAYS, CLOCKS, DAILY = pytest.mark.req("TAR-33"), pytest.mark.req("TAR-38"), pytest.mark.req("TAR-26", "PIT-72")
_WINDOWS = [
    # 10:00 UTC is 11:00 in Amsterdam in winter.
    pytest.param(10, 0, 3, {"start_time": "11:00"}, AMSTERDAM, True, marks=WINDOW, id="from, incl."),
    pytest.param(9, 59, 3, {"start_time": "11:00"}, AMSTERDAM, False, marks=WINDOW, id="before"),
    pytest.param(10, 0, 3, {"end_time": "11:00"}, AMSTERDAM, False, marks=WINDOW, id="until, excl."),
    pytest.param(9, 59, 3, {"end_time": "11:00"}, AMSTERDAM, True, marks=WINDOW, id="just before"),
    pytest.param(21, 0, 3, NIGHT, AMSTERDAM, True, marks=WINDOW, id="evening of a night"),
    pytest.param(4, 59, 3, NIGHT, AMSTERDAM, True, marks=WINDOW, id="morning of a night"),
    pytest.param(5, 0, 3, NIGHT, AMSTERDAM, False, marks=WINDOW, id="end of a night"),
    pytest.param(22, 59, 3, EVENING, AMSTERDAM, True, marks=WINDOW, id="00:00 ends the day"),
    pytest.param(23, 0, 3, EVENING, AMSTERDAM, False, marks=WINDOW, id="and not the next"),
    # On every day of the date range, and open to the end or the beginning of the day (PIT-72).
    pytest.param(12, 0, 4, THREE_DAYS, "UTC", False, marks=DAILY, id="no interval over days"),
    pytest.param(10, 0, 4, THREE_DAYS, "UTC", True, marks=DAILY, id="each day"),
    pytest.param(0, 0, 3, {"end_time": "09:00"}, "UTC", True, marks=DAILY, id="from 0"),
    pytest.param(23, 59, 3, {"start_time": "09:00"}, "UTC", True, marks=DAILY, id="until 24"),
    # Friday night ends with Friday: the morning is Saturday's.
    pytest.param(23, 0, 7, {**NIGHT, "day_of_week": ["FRIDAY"]}, "UTC", True, marks=NIGHTS, id="Fri"),
    pytest.param(1, 0, 8, {**NIGHT, "day_of_week": ["FRIDAY"]}, "UTC", False, marks=NIGHTS, id="Sat"),
    pytest.param(1, 0, 7, {**NIGHT, "day_of_week": ["FRIDAY"]}, "UTC", True, marks=NIGHTS, id="Friday's own morning"),
    pytest.param(23, 0, 2, {"start_date": "2025-03-03"}, AMSTERDAM, True, marks=DATES, id="local"),
    pytest.param(22, 59, 2, {"start_date": "2025-03-03"}, AMSTERDAM, False, marks=DATES, id="eve"),
    pytest.param(22, 59, 3, {"end_date": "2025-03-04"}, AMSTERDAM, True, marks=DATES, id="last day"),
    pytest.param(23, 0, 3, {"end_date": "2025-03-04"}, AMSTERDAM, False, marks=DATES, id="end day"),
    pytest.param(10, 0, 3, {"day_of_week": []}, "UTC", True, marks=WEEKDAYS, id="every day"),
    pytest.param(10, 0, 3, {"day_of_week": ["MONDAY", "SUNDAY"]}, "UTC", True, marks=WEEKDAYS, id="Mon"),
    pytest.param(10, 0, 3, {"day_of_week": ["TUESDAY"]}, "UTC", False, marks=WEEKDAYS, id="not Tue"),
    # Clocks in New York went forward on Sunday 2025-03-09 at 02:00: 07:30 UTC is 03:30 there, 06:30 UTC is 01:30.
    pytest.param(7, 30, 9, {"start_time": "03:00"}, NEW_YORK, True, marks=CLOCKS, id="summer time"),
    pytest.param(6, 30, 9, {"start_time": "02:00"}, NEW_YORK, False, marks=CLOCKS, id="winter time"),
    pytest.param(7, 30, 8, {"start_time": "03:00"}, NEW_YORK, False, marks=CLOCKS, id="day before"),
]


@pytest.mark.parametrize(("hour", "minute", "day", "restrictions", "zone", "matches"), _WINDOWS)
def test_windows_days_and_dates(
    hour: int, minute: int, day: int, restrictions: dict[str, Any], zone: str, matches: bool
) -> None:
    result = priced(at(hour, minute, day=day), switched(**restrictions), timezone=zone)

    assert result.total_cost.excl_vat == (2 if matches else 1)


_BANDS = [
    pytest.param({"min_kwh": 4}, HALVES, "12", marks=pytest.mark.req("TAR-29"), id="min_kwh is inclusive"),
    pytest.param({"min_kwh": Decimal("4.001")}, HALVES, "8", marks=pytest.mark.req("TAR-29"), id="min_kwh not reached"),
    pytest.param({"max_kwh": 4}, HALVES, "12", marks=pytest.mark.req("TAR-29"), id="max_kwh is exclusive"),
    pytest.param({"max_kwh": Decimal("4.001")}, HALVES, "16", marks=pytest.mark.req("TAR-29"), id="max_kwh not left"),
    pytest.param({"min_duration": 1800}, HALVES, "12", marks=pytest.mark.req("TAR-31"), id="min_duration is inclusive"),
    pytest.param({"min_duration": 1801}, HALVES, "8", marks=pytest.mark.req("TAR-31"), id="min_duration not reached"),
    pytest.param({"max_duration": 1800}, HALVES, "12", marks=pytest.mark.req("TAR-31"), id="max_duration is exclusive"),
    pytest.param({"max_duration": 1801}, HALVES, "16", marks=pytest.mark.req("TAR-31"), id="max_duration not left"),
]


@pytest.mark.parametrize(("restrictions", "document", "total"), _BANDS)
def test_bands_of_energy_and_time(restrictions: dict[str, Any], document: dict[str, Any], total: str) -> None:
    assert priced(document, switched(**restrictions)).total_cost.excl_vat == Decimal(total)


@pytest.mark.req("TAR-30")
@pytest.mark.parametrize(
    ("restrictions", "value", "matches"),
    [
        ({"min_current": 16}, "16", True),
        ({"min_current": 16}, "15.9", False),
        ({"max_current": 16}, "15.9", True),
        ({"max_current": 16}, "16", False),
        ({"min_power": 16}, "16", True),
        ({"min_power": 16}, "15.9", False),
        ({"max_power": 16}, "15.9", True),
        ({"max_power": 16}, "16", False),
    ],
)
def test_bands_of_current_and_power(restrictions: dict[str, Any], value: str, matches: bool) -> None:
    kind = "CURRENT" if "current" in next(iter(restrictions)) else "POWER"
    document = cdr(period(ENERGY=1, **{f"MAX_{kind}": value}))

    assert priced(document, switched(**restrictions)).total_cost.excl_vat == (2 if matches else 1)


@pytest.mark.req("TAR-30")
def test_power_is_that_of_the_moment_and_not_the_highest_of_the_session() -> None:
    document = cdr(period(ENERGY=1, MAX_POWER=50), period(LATER, ENERGY=1, MAX_POWER=10))

    assert priced(document, switched(min_power=20)).total_cost.excl_vat == 3


@pytest.mark.req("TAR-32", "PIT-72")
def test_duration_counts_the_whole_session_for_parking_too() -> None:
    bill = tariff(element(component("PARKING_TIME", "6"), min_duration=1800))
    parked_at_once = cdr(period(PARKING_TIME="0.5"))
    parked_later = cdr(period(TIME="0.5"), period(LATER, PARKING_TIME="0.5"))

    charged_later = cdr(period(PARKING_TIME="0.5"), period(LATER, TIME="0.5"))
    charging = tariff(element(component("TIME", "6"), min_duration=1800))

    assert priced(parked_at_once, bill).total_cost.excl_vat == 0
    assert priced(parked_later, bill).total_cost.excl_vat == 3
    assert priced(charged_later, charging).total_cost.excl_vat == 3


# Reservations -------------------------------------------------------------------------------------------------------


@pytest.mark.req("TAR-34")
def test_a_reservation_and_an_expired_one_have_their_own_elements() -> None:
    bill = tariff(RESERVING, EXPIRING, kwh("1"))

    assert priced(RESERVED, bill).total_reservation_cost == Price(Decimal(7), Decimal(7))
    assert priced(EXPIRED, bill).total_reservation_cost == Price(Decimal(12), Decimal(12))


@pytest.mark.req("TAR-35")
def test_only_flat_and_time_price_a_reservation() -> None:
    dead = element(component("ENERGY", "9"), component("PARKING_TIME", "9"), reservation="RESERVATION")
    document = cdr(period(RESERVATION_TIME=1, ENERGY=1, PARKING_TIME=1))

    assert priced(document, tariff(dead)).lines == []
    assert priced(document, tariff(RESERVING)).total_cost.excl_vat == 7


@pytest.mark.req("TAR-36")
@pytest.mark.parametrize(
    ("elements", "total"),
    [((RESERVING, EXPIRING), "12"), ((RESERVING, EXPIRY_FEE), "9"), ((RESERVING,), "7"), ((EXPIRY_FEE,), "4")],
)
def test_who_prices_the_time_of_an_expired_reservation(elements: tuple[Any, ...], total: str) -> None:
    assert priced(EXPIRED, tariff(*elements)).total_cost.excl_vat == Decimal(total)


@pytest.mark.req("TAR-37")
def test_reservation_and_session_never_take_each_others_elements() -> None:
    plain = element(component("TIME", "1"), component("FLAT", "1"))

    assert priced(EXPIRED, tariff(plain)).total_cost.excl_vat == 0
    assert priced(RESERVED, tariff(element(component("TIME", "1")))).total_cost.excl_vat == 0
    assert priced(cdr(period(TIME=1)), tariff(RESERVING)).total_cost.excl_vat == 0
