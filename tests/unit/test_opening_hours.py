"""Whether a Location is open: regular hours in its own time zone, exceptions in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from emsp import opening_hours
from tests.fixtures import Document

AMSTERDAM = "Europe/Amsterdam"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def regular(weekday: int, begin: str, end: str) -> dict[str, Any]:
    return {
        "twentyfourseven": False,
        "regular_hours": [{"weekday": weekday, "period_begin": begin, "period_end": end}],
    }


@pytest.mark.req("LOC-55")
@pytest.mark.parametrize(
    ("moment", "open"),
    [
        # A Monday in summer: 06:30 in Amsterdam is 04:30 in UTC; in winter it is 05:30.
        ("2025-07-07T04:29:59", False),
        ("2025-07-07T04:30:00", True),
        ("2025-01-06T05:29:59", False),
        ("2025-01-06T05:30:00", True),
        ("2025-07-07T21:29:59", True),
        ("2025-07-07T21:30:00", False),
        ("2025-07-08T10:00:00", False),  # a Tuesday
        ("2025-07-06T23:00:00", False),  # Monday already in Amsterdam, but 01:00
    ],
)
def test_regular_hours_are_local_time(moment: str, open: bool) -> None:
    assert opening_hours.open_at(regular(1, "06:30", "23:30"), AMSTERDAM, at(moment)) is open


@pytest.mark.req("LOC-55")
def test_seven_is_sunday() -> None:
    hours = regular(7, "00:00", "23:59")

    assert opening_hours.open_at(hours, "UTC", at("2025-07-06T12:00:00")) is True
    assert opening_hours.open_at(hours, "UTC", at("2025-07-07T12:00:00")) is False


@pytest.mark.req("LOC-56")
@pytest.mark.parametrize("end", ["23:59", "24:00", "00:00"])
def test_a_period_to_midnight_lasts_until_midnight(end: str) -> None:
    hours = regular(6, "20:00", end)

    assert opening_hours.open_at(hours, "UTC", at("2025-07-05T23:59:59")) is True
    assert opening_hours.open_at(hours, "UTC", at("2025-07-06T00:00:00")) is False
    assert opening_hours.open_at(hours, "UTC", at("2025-07-05T19:59:59")) is False


@pytest.mark.req("LOC-56")
def test_hours_over_midnight_are_two_periods() -> None:
    hours = regular(6, "20:00", "23:59")
    hours["regular_hours"].append({"weekday": 7, "period_begin": "00:00", "period_end": "01:30"})

    found = [opening_hours.open_at(hours, "UTC", at(f"2025-07-0{day}")) for day in ("5T23:59:59", "6T00:00:00")]

    assert found == [True, True]
    assert opening_hours.open_at(hours, "UTC", at("2025-07-06T01:30:00")) is False


@pytest.mark.req("LOC-54")
def test_around_the_clock_regular_hours_do_not_count() -> None:
    hours = {**regular(1, "06:30", "06:31"), "twentyfourseven": True}

    assert opening_hours.open_at(hours, AMSTERDAM, at("2025-07-08T01:00:00")) is True


@pytest.mark.req("LOC-57")
@pytest.mark.parametrize("around_the_clock", [True, False])
def test_exceptional_closings_override_everything(around_the_clock: bool) -> None:
    period = {"period_begin": "2025-07-07T10:00:00Z", "period_end": "2025-07-07T12:00:00Z"}
    hours = {
        **regular(1, "06:30", "23:30"), "twentyfourseven": around_the_clock,
        "exceptional_openings": [period], "exceptional_closings": [period],
    }  # fmt: skip

    found = [opening_hours.open_at(hours, "UTC", at(f"2025-07-07T{hour}:00")) for hour in ("09:59", "10:00", "12:00")]

    assert found == [True, False, True]


@pytest.mark.req("LOC-57")
def test_exceptional_openings_add_to_the_regular_hours() -> None:
    hours = regular(1, "06:30", "20:00")
    # 22:00 in UTC is midnight in Amsterdam: exceptions are UTC, regular hours are not.
    hours["exceptional_openings"] = [{"period_begin": "2025-07-07T22:00:00Z", "period_end": "2025-07-07T23:00:00Z"}]

    moments = ("2025-07-07T17:59:59", "2025-07-07T18:00:00", "2025-07-07T22:00:00", "2025-07-07T23:00:00")
    assert [opening_hours.open_at(hours, AMSTERDAM, at(moment)) for moment in moments] == [True, False, True, False]


def test_the_example_is_open_when_it_says_so(document: Document) -> None:
    hours = document("location")["opening_times"]
    cases = {
        "2025-12-05T22:30:00": True,  # a Friday, 23:30 in Amsterdam: the exception begins
        "2025-12-06T01:00:00": False,
        "2025-12-12T22:30:00": False,  # a Friday without one
        "2025-12-24T23:00:00": False,
        "2025-12-24T22:00:00": True,
        "2025-12-07T00:29:00": True,  # Sunday, 01:29 in Amsterdam
        "2025-12-07T00:30:00": False,
    }

    assert {text: opening_hours.open_at(hours, AMSTERDAM, at(text)) for text in cases} == cases


@pytest.mark.parametrize(
    ("hours", "zone"), [(None, AMSTERDAM), ({}, AMSTERDAM), (regular(1, "06:30", "20:00"), "Nowhere/X")]
)
def test_nobody_knows_what_is_not_said(hours: Any, zone: str) -> None:
    assert opening_hours.open_at(hours, zone, at("2025-07-07T12:00:00")) is None


@pytest.mark.req("LOC-53")
@pytest.mark.parametrize(
    ("when_closed", "at_noon", "at_night"),
    [(None, True, True), (True, True, True), (False, True, False), ("absent", True, True)],
)
def test_charging_goes_on_when_closed_unless_it_says_otherwise(when_closed: Any, at_noon: bool, at_night: bool) -> None:
    location = {"time_zone": "UTC", "opening_times": regular(1, "06:30", "20:00"), "charging_when_closed": when_closed}
    if when_closed == "absent":
        del location["charging_when_closed"]

    found = [opening_hours.may_charge_at(location, at(f"2025-07-07T{hour}:00:00")) for hour in ("12", "23")]

    assert found == [at_noon, at_night]
