"""Table M-10: a Session's ChargingPeriods are never long, and add up to those it is priced from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpo import session_periods
from ocpi.v2_2_1.types import parse_datetime

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def period(minutes: float, **volumes: str) -> dict[str, Any]:
    dimensions = [{"type": kind, "volume": Decimal(volume)} for kind, volume in volumes.items()]
    return {"start_date_time": at(minutes).strftime("%Y-%m-%dT%H:%M:%SZ"), "dimensions": dimensions, "tariff_id": "T"}


def volumes(found: dict[str, Any]) -> dict[str, Decimal]:
    return {each["type"]: each["volume"] for each in found["dimensions"]}


@pytest.mark.req("OCPP-95", "OCPP-128")
def test_a_long_period_is_cut_where_the_meter_was_then() -> None:
    registers = [(at(0), Decimal(0)), (at(10), Decimal(6000)), (at(20), Decimal(8000)), (at(50), Decimal(8000))]
    whole = [period(0, ENERGY="8", TIME="0.6667", MAX_POWER="22"), period(40, PARKING_TIME="0.1667")]

    found = session_periods.cut(whole, registers, at(50), timedelta(minutes=15))

    assert [each["start_date_time"][11:16] for each in found] == ["09:00", "09:15", "09:30", "09:40"]
    assert [volumes(each) for each in found] == [
        {"ENERGY": 7, "TIME": Decimal("0.25"), "MAX_POWER": 22},
        {"ENERGY": 1, "TIME": Decimal("0.25"), "MAX_POWER": 22},
        {"TIME": Decimal("0.1667"), "MAX_POWER": 22},
        {"PARKING_TIME": Decimal("0.1667")},
    ]
    assert {each["tariff_id"] for each in found} == {"T"}


@pytest.mark.req("OCPP-95", "OCPP-128")
def test_a_period_begins_where_a_profile_changes() -> None:
    registers = [(at(0), Decimal(0)), (at(10), Decimal(6000)), (at(20), Decimal(8000)), (at(50), Decimal(8000))]
    whole = [period(0, ENERGY="8", TIME="0.6667"), period(40, PARKING_TIME="0.1667")]
    changes = [at(-1), at(10), at(15), at(40), at(50), at(60)]

    found = session_periods.cut(whole, registers, at(50), timedelta(minutes=15), changes)
    alone = session_periods.cut(whole, registers, at(50), timedelta(0), changes)

    assert [each["start_date_time"][11:16] for each in found] == ["09:00", "09:10", "09:15", "09:30", "09:40"]
    assert [each["start_date_time"][11:16] for each in alone] == ["09:00", "09:10", "09:15", "09:40"]
    assert [volumes(each).get("ENERGY") for each in alone] == [6, 1, 1, None]


@pytest.mark.req("OCPP-95")
@pytest.mark.parametrize("seconds", [0, 3600, 7200])
def test_what_is_not_too_long_stays_as_it_is(seconds: int) -> None:
    whole = [period(0, ENERGY="8", TIME="1")]

    assert session_periods.cut([], [], at(0), timedelta(seconds=seconds)) == []
    assert session_periods.cut(whole, [], at(60), timedelta(seconds=seconds)) == whole


@pytest.mark.req("OCPP-95")
@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=4),
    energies=st.lists(st.decimals("0.0001", "99", places=4), min_size=4, max_size=4),
    rises=st.lists(st.integers(0, 5000), max_size=12),
    longest=st.integers(7, 60),
)
def test_the_parts_have_no_holes_and_add_up_to_the_whole(
    lengths: list[int], energies: list[Decimal], rises: list[int], longest: int
) -> None:
    starts = [sum(lengths[:number]) for number in range(len(lengths) + 1)]
    hours = [Decimal(length) / 60 for length in lengths]
    whole = [
        period(start, ENERGY=str(energy), TIME=str(each.quantize(Decimal("0.0001"))))
        for start, energy, each in zip(starts[:-1], energies, hours, strict=False)
    ]
    registers = [(at(number * starts[-1] / 12), Decimal(sum(rises[:number]))) for number in range(len(rises) + 1)]

    found = session_periods.cut(whole, registers, at(starts[-1]), timedelta(minutes=longest))

    moments = [parse_datetime(each["start_date_time"]) for each in found]
    assert all(
        later - one <= timedelta(minutes=longest)
        for one, later in zip(moments, [*moments[1:], at(starts[-1])], strict=True)
    )
    assert moments == sorted(set(moments))
    assert {at(start) for start in starts[:-1]} <= set(moments)
    for kind in ("ENERGY", "TIME"):
        assert sum(volumes(each).get(kind, Decimal(0)) for each in found) == sum(volumes(each)[kind] for each in whole)
        assert all(volumes(each).get(kind, Decimal(0)) >= 0 for each in found)
