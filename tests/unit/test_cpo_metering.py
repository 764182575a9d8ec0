"""From readings and phases to segments: what counts, what is cut where, and what is not plausible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpo import metering
from cpo.metering import CHARGING, PARKING, Reading

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RATED = Decimal(22_000)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def reading(minutes: float, wh: int, power: int | None = None) -> Reading:
    return Reading(at(minutes), Decimal(wh), None if power is None else Decimal(power))


@pytest.mark.req("OCPP-67")
def test_the_outer_readings_decide_the_energy() -> None:
    course = metering.course(START, Decimal(1000), [reading(30, 5000)], stop=at(60), meter_stop=Decimal(9000))

    assert course.energy == 8


@pytest.mark.req("OCPP-68")
def test_outliers_are_left_out_and_named() -> None:
    readings = [reading(10, 900_000), reading(20, 500), reading(30, 5000), reading(40, 9200)]

    course = metering.course(START, Decimal(1000), readings, stop=at(60), meter_stop=Decimal(9000), rated_power=RATED)

    assert [each.register for each in course.readings] == [5000]
    assert course.flags == ("register_jumped", "register_fell", "reading_above_stop")


def test_readings_outside_of_the_transaction_do_not_count() -> None:
    readings = [reading(-5, 900), reading(90, 9000)]

    course = metering.course(START, Decimal(1000), readings, stop=at(60), meter_stop=Decimal(9000))

    assert course.readings == ()


def test_a_running_transaction_ends_with_its_last_reading() -> None:
    course = metering.course(START, Decimal(1000), [reading(10, 2000), reading(20, 3500)])

    assert (course.end, course.energy) == (at(20), Decimal("2.5"))


@pytest.mark.req("OCPP-95", "OCPP-128")
@pytest.mark.parametrize(
    ("powers", "end", "phases"),
    [
        ([(0, 11_000), (10, 49), (14, 0), (16, 50)], 60, [(10, PARKING), (16, CHARGING)]),
        ([(0, 11_000), (10, 49), (14, 50), (20, 0)], 24, []),
        ([(0, 11_000), (20, 0)], 25, [(20, PARKING)]),
        ([(30, 0), (0, 11_000), (20, 50), (31, None)], 60, [(30, PARKING)]),
        ([(0, 0), (5, 7000), (10, 0), (70, 0)], 60, [(0, PARKING), (5, CHARGING), (10, PARKING)]),
        ([], 60, []),
    ],
)
def test_who_draws_next_to_nothing_for_five_minutes_parks(
    powers: list[tuple[float, int | None]], end: float, phases: list[tuple[float, str]]
) -> None:
    readings = [reading(minute, 1000, power) for minute, power in powers]

    assert metering.parking_by_power(readings, at(end)) == [(at(minute), phase) for minute, phase in phases]


@pytest.mark.req("PIT-74")
def test_a_change_of_phase_cuts_and_shares_the_energy_by_time() -> None:
    course = metering.course(START, Decimal(0), [], stop=at(60), meter_stop=Decimal(6000))

    found = metering.segments(course, [(at(20), PARKING), (at(50), CHARGING)])

    assert [each.state for each in found] == [CHARGING, PARKING, CHARGING]
    assert [int(each.energy) for each in found] == [2, 3, 1]
    assert [each.start for each in found] == [at(0), at(20), at(50)]


@pytest.mark.req("PIT-74")
def test_only_a_car_that_asks_for_nothing_parks() -> None:
    assert metering.PHASE_OF["SuspendedEV"] == PARKING
    assert metering.PHASE_OF["SuspendedEVSE"] == CHARGING


def test_power_of_the_readings_bounds_their_segments() -> None:
    readings = [reading(10, 1000, 8000), reading(20, 3000, 12_000)]
    course = metering.course(START, Decimal(0), readings, stop=at(30), meter_stop=Decimal(4000))

    found = metering.segments(course, [])

    assert [f"{each.min_power} {each.max_power}" for each in found] == ["8 8", "8 12", "12 12"]


@pytest.mark.req("OCPP-45", "OCPP-69")
@pytest.mark.parametrize(
    ("minutes", "wh", "faults"),
    [(60, 23_000, ()), (60, 25_000, ("too_much_energy",)), (60, 2_300_000, ("unit_suspect",)),
     # 22 kW for an hour and a minute of slack, and a tenth; twenty times as much is another unit
     (60, 24_603, ()), (60, 24_604, ("too_much_energy",)), (60, 492_066, ("too_much_energy",)),
     (60, 492_067, ("unit_suspect",)),
     (60, -1, ("meter_backwards",)), (-1, 0, ("stop_before_start",)), (60, 0, ())],
)  # fmt: skip
def test_what_is_not_plausible_about_a_stop(minutes: float, wh: int, faults: tuple[str, ...]) -> None:
    assert metering.faults_of_stop(START, Decimal(1000), at(minutes), Decimal(1000 + wh), RATED) == faults


@settings(deadline=None)
@given(
    registers=st.lists(st.integers(0, 20_000), max_size=12),
    changes=st.lists(st.tuples(st.integers(-10, 130), st.sampled_from([CHARGING, PARKING])), max_size=6),
    stop=st.integers(0, 20_000),
)
def test_segments_have_no_holes_and_all_of_the_energy(
    registers: list[int], changes: list[tuple[int, str]], stop: int
) -> None:
    readings = [reading(10 * number, wh) for number, wh in enumerate(registers)]
    course = metering.course(START, Decimal(0), readings, stop=at(120), meter_stop=Decimal(stop), rated_power=RATED)

    found = metering.segments(course, [(at(minutes), phase) for minutes, phase in changes])

    assert (found[0].start, found[-1].end) == (START, at(120))
    assert all(before.end == after.start for before, after in pairwise(found))
    assert round(sum((each.energy for each in found), Decimal(0)), 9) == round(course.energy, 9)


@pytest.mark.req("SES-42")
def test_a_change_of_tariff_cuts_and_names_the_tariff_from_then_on() -> None:
    course = metering.course(START, Decimal(0), [reading(30, 3000)], stop=at(60), meter_stop=Decimal(9000))

    found = metering.segments(course, [(at(45), PARKING)], [(at(20), "G"), (at(45), "R")])

    assert [(each.start, each.tariff_id, each.state, each.energy) for each in found] == [
        (START, None, CHARGING, Decimal(2)),
        (at(20), "G", CHARGING, Decimal(1)),
        (at(30), "G", CHARGING, Decimal(3)),
        (at(45), "R", PARKING, Decimal(3)),
    ]


@pytest.mark.req("OCPP-68")
def test_a_meter_that_begins_anew_starts_a_new_segment() -> None:
    readings = [reading(10, 3000), reading(20, 5000), reading(30, 0), reading(40, 1000)]

    course = metering.course(START, Decimal(1000), readings, stop=at(60), meter_stop=Decimal(3000), rated_power=RATED)

    assert course.flags == ("meter_reset",)
    assert [each.register for each in course.readings] == [3000, 5000, 5000, 6000]
    assert course.energy == 7  # 4 before and 3 after


@pytest.mark.req("OCPP-68")
@pytest.mark.parametrize(("wh", "flags"), [(4960, ()), (4959, ("register_fell",))])
def test_a_meter_may_waver_by_a_hundredth(wh: int, flags: tuple[str, ...]) -> None:
    readings = [reading(20, 5000), reading(30, wh), reading(40, 6000)]

    course = metering.course(START, Decimal(1000), readings, stop=at(60), meter_stop=Decimal(9000))

    assert course.flags == flags
    assert course.energy == 8


@pytest.mark.req("OCPP-67")
@pytest.mark.parametrize(
    ("given", "registers"),
    [
        ([Reading(at(0), Decimal(5)), Reading(at(1), None, interval=Decimal(9))], [5, None]),
        ([Reading(at(10), None, interval=Decimal(100)), Reading(at(20), None, interval=Decimal(50))], [100, 150]),
        ([Reading(at(0), None, Decimal(6000)), Reading(at(30), None, Decimal(6000))], [0, 3000]),
        ([Reading(at(0), None, None, Decimal(16))], [None]),
    ],
)
def test_where_there_is_no_register_intervals_count_then_power(given: list[Reading], registers: list[int]) -> None:
    assert [each.register for each in metering.with_registers(reversed(given))] == registers
