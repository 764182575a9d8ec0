"""Splitting metered time, beyond what the vectors pin: what a receiver prices is what we published."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from ocpi import tariff_pricing
from ocpi.tariff_pricing import NotPriceable, Segment, split
from tests.unit.tariff_builders import ENERGY, component, element, priced, tariff
from tests.unit.tariff_cases import assert_vector

START = datetime(2025, 3, 3, 10, tzinfo=UTC)


def segment(begin: int, end: int, state: str = "CHARGING", energy: str = "0", **members: Any) -> Segment:
    at, until = START + timedelta(minutes=begin), START + timedelta(minutes=end)
    return Segment(at, until, state, Decimal(energy), **members)


def volumes(periods: list[dict[str, Any]], kind: str) -> list[Decimal]:
    return [each["volume"] for one in periods for each in one["dimensions"] if each["type"] == kind]


def as_cdr(periods: list[dict[str, Any]], end: int) -> dict[str, Any]:
    until = (START + timedelta(minutes=end)).strftime("%Y-%m-%dT%H:%M:%SZ")
    members = {"start_date_time": periods[0]["start_date_time"], "end_date_time": until, "currency": "EUR"}
    return members | {"charging_periods": periods}


@pytest.mark.req("PRI-40", "PRI-41")
def test_periods_of_a_document_are_never_cut() -> None:
    assert_vector("A17")


@pytest.mark.req("PRI-48")
def test_a_register_that_goes_down_gives_no_energy() -> None:
    periods = split(
        [segment(0, 10, energy="-3"), segment(10, 20, energy="2")], [tariff(element(ENERGY))], timezone=None
    )

    assert volumes(periods, "ENERGY") == [2]
    assert periods.findings == ["meter_rollback"]


@pytest.mark.req("PRI-48")
def test_time_without_samples_stays_in_the_state_it_began_in() -> None:
    periods = split([segment(0, 10, energy="1"), segment(40, 60, "PARKING")], [tariff(element(ENERGY))], timezone=None)

    assert volumes(periods, "TIME") == [Decimal("0.6667")]
    assert periods[1]["start_date_time"] == "2025-03-03T10:40:00Z"
    assert periods.findings == ["metering_gap"]


@pytest.mark.req("PRI-44")
def test_register_values_with_many_decimals_add_up_to_the_metered_energy() -> None:
    bill = tariff(element(ENERGY, max_duration=600), element(ENERGY | {"price": Decimal(1)}))
    segments = [segment(minute, minute + 1, energy="0.333333") for minute in range(30)]

    periods = split(segments, [bill], timezone=None)

    assert sum(volumes(periods, "ENERGY")) == Decimal("10.0000")
    assert len(periods) == 2


@pytest.mark.req("PRI-45")
def test_several_energy_boundaries_in_one_segment() -> None:
    bands = [element(component("ENERGY", str(price)), max_kwh=limit) for price, limit in ((3, 1), (2, 5))]
    bill = tariff(*bands, element(component("ENERGY", "1")))

    periods = split([segment(0, 60, energy="10")], [bill], timezone=None)

    assert volumes(periods, "ENERGY") == [1, 4, 5]
    assert [one["start_date_time"][11:16] for one in periods] == ["10:00", "10:06", "10:30"]


@pytest.mark.req("PRI-46", "PRI-37")
def test_joining_never_moves_time_into_another_band() -> None:
    bill = tariff(
        element(component("ENERGY", "9"), max_kwh=1, min_power=10),
        element(component("ENERGY", "1")),
    )
    segments = [segment(0, 10, energy="1", max_power=Decimal(8)), segment(10, 20, energy="2", max_power=Decimal(12))]

    periods = split(segments, [bill], timezone=None)

    assert volumes(periods, "ENERGY") == [1, 2]
    assert priced(as_cdr(periods, 20), bill).total_cost.excl_vat == 3


@pytest.mark.req("PRI-37", "PRI-102")
def test_the_peak_decides_when_a_segment_has_a_range() -> None:
    bill = tariff(element(component("ENERGY", "9"), min_power=10), element(component("ENERGY", "1")))
    ranged = segment(0, 10, energy="1", min_power=Decimal(2), max_power=Decimal(12))
    segments = [ranged, segment(10, 20, energy="1", min_power=Decimal(11))]

    periods = split(segments, [bill], timezone=None)

    assert [volumes(periods, kind) for kind in ("MIN_POWER", "MAX_POWER")] == [[2], [12]]
    assert priced(as_cdr(periods, 20), bill).total_cost.excl_vat == 18


@pytest.mark.req("PRI-46", "PRI-50")
def test_a_flat_that_becomes_active_makes_a_cut_and_no_other_does() -> None:
    late = tariff(
        element(component("FLAT", "5"), min_duration=1800, max_duration=3600),
        element(component("FLAT", "6"), min_duration=3600),
        element(ENERGY),
    )

    periods = split([segment(0, 120, energy="4")], [late], timezone=None)

    assert [one["start_date_time"][11:16] for one in periods] == ["10:00", "10:30"]
    assert priced(as_cdr(periods, 120), late).as_json()["total_fixed_cost"]["excl_vat"] == "5.0000"


@pytest.mark.req("PRI-47")
@pytest.mark.parametrize("name", ["Europe/Amsterdam", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"])
def test_no_published_period_spans_a_price_change(name: str) -> None:
    quarters = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(0, 1440, 95)] + ["00:00"]
    windows = [
        element(component("ENERGY", f"0.{20 + place}"), component("TIME", "1"), start_time=begin, end_time=end)
        for place, (begin, end) in enumerate(pairwise(quarters))
    ]
    bill = tariff(element(component("ENERGY", "3"), min_kwh=7, max_kwh=9), *windows)
    segments = [segment(minute, minute + 7, energy="0.1237") for minute in range(0, 2100, 7)]

    periods = split(segments, [bill], timezone=name)
    result = priced(as_cdr(periods, 2100), bill, timezone=name)

    assert result.findings == []
    assert result.total_energy == Decimal("37.1100")


@pytest.mark.req("PRI-102", "PRI-104")
def test_published_volumes_are_plain_numbers_and_every_period_has_time() -> None:
    periods = split(
        [segment(0, 600, energy="100"), segment(600, 1200, "PARKING")], [tariff(element(ENERGY))], timezone=None
    )

    assert tariff_pricing.dumps(periods) == (
        '[{"start_date_time":"2025-03-03T10:00:00Z","dimensions":[{"type":"ENERGY","volume":100},'
        '{"type":"TIME","volume":10}],"tariff_id":"T1"},'
        '{"start_date_time":"2025-03-03T20:00:00Z","dimensions":[{"type":"PARKING_TIME","volume":10}],"tariff_id":"T1"}]'
    )


@pytest.mark.req("PRI-56", "PRI-102", "PRI-108")
def test_a_reservation_without_session_has_reserved_time_only() -> None:
    bill = tariff(
        element(component("TIME", "2"), reservation="RESERVATION"),
        element(component("FLAT", "4"), reservation="RESERVATION_EXPIRES"),
    )

    periods = split([segment(0, 30, "RESERVED")], [bill], timezone=None)
    result = priced(as_cdr(periods, 30), bill)

    assert periods[0]["dimensions"] == [{"type": "RESERVATION_TIME", "volume": Decimal("0.5")}]
    assert (result.total_cost.excl_vat, result.total_energy, result.total_time) == (Decimal(5), Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        ([segment(0, 10, tariff_id="T9")], "unknown_tariff_id"),
        ([segment(0, 10), segment(5, 15)], "invalid_input"),
        ([segment(10, 0)], "invalid_input"),
        ([Segment(START.replace(tzinfo=None), START, "CHARGING")], "invalid_input"),
        ([Segment(START, START, "CHARGING", 0.5)], "invalid_input"),  # type: ignore[arg-type]
        ([segment(0, 10, "SLEEPING")], "invalid_input"),
    ],
)
@pytest.mark.req("PRI-43")
def test_segments_that_make_no_session_are_refused(segments: list[Segment], code: str) -> None:
    with pytest.raises(NotPriceable) as caught:
        split(segments, [tariff(element(ENERGY))], timezone=None)

    assert caught.value.code == code


@pytest.mark.req("PRI-43")
def test_local_prices_need_a_zone() -> None:
    with pytest.raises(NotPriceable, match="time_zone_unknown"):
        split([segment(0, 10)], [tariff(element(ENERGY, start_time="08:00"))], timezone=None)
    with pytest.raises(NotPriceable, match="no_tariff"):
        split([segment(0, 10)], [], timezone=None)


@pytest.mark.req("PRI-132")
def test_a_day_of_quarter_hour_prices_is_split_quickly() -> None:
    times = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(0, 1440, 15)] + ["00:00"]
    windows = [
        element(component("ENERGY", f"0.{100 + place}"), start_time=begin, end_time=end)
        for place, (begin, end) in enumerate(pairwise(times))
    ]
    segments = [segment(minute, minute + 1, energy="0.05") for minute in range(1440)]

    began = time.process_time()
    periods = split(segments, [tariff(*windows)], timezone="Europe/Amsterdam")
    spent = time.process_time() - began

    assert len(periods) == 96
    assert spent < 0.3
