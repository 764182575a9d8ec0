"""Charging schedules as charge points take them (table M-9), and the limit that follows from preferences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpo import charging_preferences, charging_schedules
from cpo.charging_preferences import Needs
from cpo.charging_schedules import NotPossible, Schedule
from ocpi.v2_2_1.sessions import ProfileType

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
THREE = {"power_type": "AC_3_PHASE", "max_voltage": 230, "max_amperage": 32, "max_electric_power": 22000}
ONE = {"power_type": "AC_1_PHASE", "max_voltage": 230, "max_amperage": 16}
FAST = {"power_type": "DC", "max_voltage": 920, "max_amperage": 400, "max_electric_power": 150000}


def schedule(*periods: tuple[int, str], unit: str = "W", **more: Any) -> Schedule:
    return Schedule(unit, tuple((start, Decimal(limit)) for start, limit in periods), **more)


def fit(found: Schedule, connector: Any = THREE, *, units: Any = (), most: int | None = None) -> Schedule:
    return charging_schedules.fitted(found, charging_schedules.electrics_of(connector), units=units, most=most)


def shown(found: Schedule) -> tuple[str, list[tuple[int, str]]]:
    return found.unit, [(start, str(limit)) for start, limit in found.periods]


@pytest.mark.req("OCPP-92", "CHP-29", "CHP-30")
@pytest.mark.parametrize(("connector", "given", "units", "expected"), [
    (THREE, schedule((0, "11000")), (), ("W", [(0, "11000")])),
    (THREE, schedule((0, "11000")), ("A", "W"), ("W", [(0, "11000")])),
    (THREE, schedule((0, "11000")), ("A",), ("A", [(0, "15.9")])),  # / 690, rounded down
    (THREE, schedule((0, "16"), unit="A"), ("W",), ("W", [(0, "11040")])),
    (ONE, schedule((0, "2300")), ("A",), ("A", [(0, "10")])),
    (ONE, schedule((0, "10.5"), unit="A"), ("W",), ("W", [(0, "2415")])),
    (FAST, schedule((0, "50000")), ("W",), ("W", [(0, "50000")])),
    (THREE, schedule((0, "7400.59")), (), ("W", [(0, "7400.5")])),
])  # fmt: skip
def test_units_are_converted_by_voltage_and_phases(
    connector: Any, given: Schedule, units: Any, expected: tuple[str, list[tuple[int, str]]]
) -> None:
    assert shown(fit(given, connector, units=units)) == expected


@pytest.mark.req("OCPP-92")
def test_direct_current_is_never_converted_to_ampere() -> None:
    with pytest.raises(NotPossible):
        fit(schedule((0, "50000")), FAST, units=("A",))


@pytest.mark.req("OCPP-92", "CHP-28")
@pytest.mark.parametrize(("most", "expected"), [
    (4, [(0, "10"), (60, "11"), (120, "5"), (180, "9")]),
    (3, [(0, "10"), (120, "5"), (180, "9")]),  # 10 and 11 differ least
    (2, [(0, "10"), (120, "5")]),
    (1, [(0, "5")]),
])  # fmt: skip
def test_too_many_periods_are_merged_by_their_minimum(most: int, expected: list[tuple[int, str]]) -> None:
    assert shown(fit(schedule((0, "10"), (60, "11"), (120, "5"), (180, "9")), most=most))[1] == expected


@pytest.mark.req("OCPP-92")
def test_no_periods_at_all_are_not_possible() -> None:
    with pytest.raises(NotPossible):
        fit(schedule((0, "10")), most=0)


@pytest.mark.req("OCPP-92")
@pytest.mark.parametrize(("unit", "maximum"), [("W", "22000"), ("A", "32")])
def test_a_first_period_that_is_not_at_0_gets_the_maximum_in_front(unit: str, maximum: str) -> None:
    assert shown(fit(schedule((600, "10"), unit=unit)))[1] == [(0, maximum), (600, "10")]


@pytest.mark.req("OCPP-92")
def test_start_duration_and_least_rate_stay() -> None:
    found = fit(schedule((0, "16"), unit="A", start=NOW, duration=60, least=Decimal("6.5")), units=("W",))

    assert (found.start, found.duration, str(found.least)) == (NOW, 60, "4485")


PERIODS = st.lists(st.tuples(st.integers(1, 3600), st.decimals(0, 50_000, places=1)), min_size=1, max_size=30)


@pytest.mark.req("CHP-28", "OCPP-92")
@given(PERIODS, st.integers(1, 10), st.sampled_from([("A",), ("W",), ()]), st.integers(0, 200_000))
def test_whatever_is_changed_a_limit_only_gets_lower(
    steps: list[tuple[int, Decimal]], most: int, units: tuple[str, ...], at: int
) -> None:
    starts, second = [], 0
    for length, limit in steps:
        starts.append((second, limit))
        second += length
    found = fit(Schedule("W", tuple(starts)), units=units, most=most)

    def limit_at(periods: Any) -> Decimal:
        limit: Decimal = [limit for start, limit in periods if start <= at][-1]
        return limit

    factor = 690 if found.unit == "A" else 1
    assert len(found.periods) <= most
    assert limit_at(found.periods) * factor <= limit_at(starts)
    assert [start for start, _ in found.periods] == sorted({start for start, _ in found.periods})


# ---------------------------------------------------------------- preferences


def needs(kind: ProfileType = ProfileType.GREEN, *, hours: float | None = 5, energy: str | None = "40") -> Needs:
    departure = None if hours is None else NOW + timedelta(hours=hours)
    return Needs(kind, departure, None if energy is None else Decimal(energy))


@pytest.mark.req("SES-38")
@pytest.mark.parametrize(("wanted", "connector", "limit"), [
    (needs(), THREE, "8800.0"),  # 40 kWh / 5 h, a tenth to spare
    (needs(ProfileType.CHEAP), THREE, "8800.0"),
    (needs(energy="33.333"), THREE, "7333.3"),
    (needs(energy="1"), THREE, "4140.0"),  # 6 A on three phases: with less no car charges
    (needs(energy="1"), ONE, "1380.0"),
    (needs(energy="1"), FAST, "2000.0"),
    (needs(energy="109"), THREE, "22000.0"),  # all there is
])  # fmt: skip
def test_the_energy_is_spread_until_departure(wanted: Needs, connector: Any, limit: str) -> None:
    found = charging_preferences.limit(wanted, charging_schedules.electrics_of(connector), NOW)

    assert found is not None
    assert (found.unit, found.start, found.duration) == ("W", NOW, 18000)
    assert [(start, str(power)) for start, power in found.periods] == [(0, limit)]


@pytest.mark.req("SES-38")
@pytest.mark.parametrize("wanted", [
    needs(ProfileType.FAST), needs(ProfileType.REGULAR), needs(hours=None), needs(energy=None),
])  # fmt: skip
def test_without_need_and_departure_or_in_a_hurry_there_is_no_limit(wanted: Needs) -> None:
    assert charging_preferences.limit(wanted, charging_schedules.electrics_of(THREE), NOW) is None


@pytest.mark.req("SES-38", "SES-39")
@pytest.mark.parametrize(("wanted", "answer"), [
    (needs(), "ACCEPTED"),
    (needs(ProfileType.CHEAP), "PROFILE_TYPE_NOT_SUPPORTED"),
    (needs(hours=None), "DEPARTURE_REQUIRED"),
    (needs(hours=None, energy=None), "DEPARTURE_REQUIRED"),
    (needs(energy=None), "ENERGY_NEED_REQUIRED"),
    (needs(hours=0), "NOT_POSSIBLE"),
    (needs(energy="110"), "ACCEPTED"),
    (needs(energy="110.1"), "NOT_POSSIBLE"),  # 22 kW for five hours
    (needs(ProfileType.FAST, hours=None, energy=None), "ACCEPTED"),
    (needs(ProfileType.FAST, hours=-1, energy=None), "NOT_POSSIBLE"),
])  # fmt: skip
def test_what_is_answered_to_preferences(wanted: Needs, answer: str) -> None:
    supported = [ProfileType.REGULAR, ProfileType.GREEN, ProfileType.FAST]

    assert charging_preferences.decide(wanted, supported, charging_schedules.electrics_of(THREE), NOW) == answer
