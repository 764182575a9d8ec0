"""Which limit holds when: profiles stacked as OCPP 1.6 stacks them, and the ActiveChargingProfile of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cpo import active_profiles, charging_schedules
from cpo.active_profiles import CHARGE_POINT_MAX, TX, TX_DEFAULT, Layer
from cpo.charging_schedules import Schedule
from cpo.simulator.limits import Profiles
from ocpi.v2_2_1 import chargingprofiles as schema

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ELECTRICS = charging_schedules.electrics_of(
    {"power_type": "AC_3_PHASE", "max_voltage": 230, "max_amperage": 32, "max_electric_power": 22000}
)


def layer(
    *periods: tuple[int, int], purpose: str = TX, level: int = 0, connector: int = 1, unit: str = "W",
    begins: int | None = None, duration: int | None = None,
) -> Layer:  # fmt: skip
    start = None if begins is None else NOW + timedelta(seconds=begins)
    limits = tuple((second, Decimal(limit)) for second, limit in periods)
    return Layer(purpose, level, connector, Schedule(unit, limits, start, duration), NOW)


def steps(layers: list[Layer], unit: str = "W", at: datetime = NOW) -> list[tuple[int, float]]:
    found = active_profiles.timeline(layers, ELECTRICS, unit, at)
    return [(int((moment - NOW).total_seconds()), float(limit)) for moment, limit in found]


CASES: list[tuple[list[Layer], list[tuple[int, float]]]] = [
    ([], [(0, 22000)]),
    ([layer((0, 11000))], [(0, 11000)]),
    ([layer((0, 50000))], [(0, 22000)]),
    ([layer((0, 11000), (60, 5000))], [(0, 11000), (60, 5000)]),
    ([layer((0, 11000), duration=60)], [(0, 11000), (60, 22000)]),
    ([layer((0, 11000), begins=60)], [(0, 22000), (60, 11000)]),
    ([layer((0, 11000)), layer((0, 15000), level=1, duration=60)], [(0, 15000), (60, 11000)]),
    ([layer((0, 5000), purpose=TX_DEFAULT)], [(0, 5000)]),
    ([layer((0, 5000), purpose=TX_DEFAULT), layer((0, 9000), duration=60)], [(0, 9000), (60, 5000)]),
    ([layer((0, 5000), purpose=TX_DEFAULT, connector=0), layer((0, 7000), purpose=TX_DEFAULT)], [(0, 7000)]),
    ([layer((0, 8000), purpose=CHARGE_POINT_MAX, connector=0), layer((0, 11000), (60, 5000))], [(0, 8000), (60, 5000)]),
    ([layer((0, 10), unit="A")], [(0, 6900)]),
]


@pytest.mark.req("CHP-24", "CHP-28", "OCPP-89")
@pytest.mark.parametrize(("layers", "expected"), CASES)
def test_what_holds_when(layers: list[Layer], expected: list[tuple[int, float]]) -> None:
    assert steps(layers) == expected


@pytest.mark.req("OCPP-89")
@pytest.mark.parametrize(("layers", "expected"), CASES)
def test_the_simulated_charge_point_comes_to_the_same(layers: list[Layer], expected: list[tuple[int, float]]) -> None:
    profiles = Profiles(230, 3, 22000)
    for number, each in enumerate(layers, start=1):
        start = each.schedule.start
        chosen: dict[str, Any] = {"chargingRateUnit": each.schedule.unit, "chargingSchedulePeriod": [
            {"startPeriod": second, "limit": float(limit)} for second, limit in each.schedule.periods
        ]}  # fmt: skip
        if each.schedule.duration is not None:
            chosen["duration"] = each.schedule.duration
        if start is not None:
            # It reads written times by their distance to the real clock.
            written = datetime.now(UTC) + (start - NOW)
            chosen["startSchedule"] = written.isoformat()
        payload = {"connectorId": each.connector, "csChargingProfiles": {
            "chargingProfileId": number, "stackLevel": each.stack_level, "chargingProfilePurpose": each.purpose,
            "chargingProfileKind": "Absolute" if start else "Relative", "chargingSchedule": chosen,
        }}  # fmt: skip
        assert profiles.set(payload, NOW, {1: (7, NOW)}) == "Accepted"

    moments = [(NOW + timedelta(seconds=second + 1), limit) for second, limit in expected]

    assert [profiles.available(1, moment) for moment, _ in moments] == [limit for _, limit in moments]


@pytest.mark.req("CHP-29")
def test_the_unit_is_the_senders() -> None:
    assert steps([layer((0, 11000))], unit="A") == [(0, 15.9)]
    assert steps([], unit="A") == [(0, 32)]


@pytest.mark.req("CHP-23", "CHP-34")
def test_a_window_begins_now_and_is_relative_to_its_own_start() -> None:
    found = active_profiles.timeline([layer((0, 11000), (900, 5000), (3600, 7000))], ELECTRICS, "W", NOW)
    text = active_profiles.text_of(found, "W")

    window = json.loads(active_profiles.window(text, NOW + timedelta(seconds=600), 1800))

    assert window == {
        "start_date_time": "2026-03-02T09:10:00Z",
        "charging_profile": {
            "start_date_time": "2026-03-02T09:10:00Z",
            "duration": 1800,
            "charging_rate_unit": "W",
            "charging_profile_period": [{"start_period": 0, "limit": 11000}, {"start_period": 300, "limit": 5000}],
        },
    }


@pytest.mark.req("CHP-18", "CHP-30", "CHP-33", "CHP-34")
@pytest.mark.parametrize(("answer", "expected"), [
    ({"chargingSchedule": {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 60, "limit": 9.99}]}},
     ("W", [(0, 22000), (60, 9.9)])),
    ({"chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [
        {"startPeriod": 60, "limit": 8}, {"startPeriod": 0, "limit": 16}, {"startPeriod": 60, "limit": 7}]}},
     ("A", [(0, 16), (60, 7)])),
    ({"chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [
        {"startPeriod": -5, "limit": 8}, {"startPeriod": 10, "limit": 16}]}}, ("A", [(0, 8), (10, 16)])),
    ({"scheduleStart": "nonsense", "chargingSchedule": {"chargingRateUnit": "W", "minChargingRate": 0.09,
      "chargingSchedulePeriod": [{"startPeriod": 0, "limit": -1}]}}, ("W", [(0, 0)])),
])  # fmt: skip
def test_what_a_charge_point_calculates_is_put_in_order(answer: Any, expected: Any) -> None:
    text = active_profiles.from_composite(answer, ELECTRICS, NOW)

    assert text is not None
    schema.check(text.encode(), "ActiveChargingProfile", strict=True)
    active = json.loads(text)
    profile = active["charging_profile"]
    assert active["start_date_time"] == profile["start_date_time"] == "2026-03-02T09:00:00Z"
    periods = [(each["start_period"], each["limit"]) for each in profile["charging_profile_period"]]
    assert (profile["charging_rate_unit"], periods) == expected


@pytest.mark.req("CHP-17")
@pytest.mark.parametrize("answer", [
    {}, {"chargingSchedule": None}, {"chargingSchedule": {"chargingRateUnit": "W", "chargingSchedulePeriod": []}},
])  # fmt: skip
def test_without_a_schedule_there_is_no_profile(answer: Any) -> None:
    assert active_profiles.from_composite(answer, ELECTRICS, NOW) is None
