"""Table M-10: what a Session's ChargingPeriods tell beyond a CDR's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cpo import session_dimensions
from cpo.metering import Reading

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def reading(minutes: float, **values: str) -> Reading:
    names = ("register", "power", "current", "export", "charge")
    return Reading(at(minutes), **{"register": None} | {name: number(values.get(name)) for name in names})


@pytest.mark.req("OCPP-95", "OCPP-128")
@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([], {}),
        ([reading(0, register="0"), reading(10, register="5000")], {}),  # ENERGY is there already
        ([reading(0, power="11000"), reading(10, power="7000")], {"POWER": "9"}),
        ([reading(0, current="16"), reading(10, current="10"), reading(20, current="10")], {"CURRENT": "12"}),
        ([reading(0, charge="20"), reading(10, charge="35.5")], {"STATE_OF_CHARGE": "35.5"}),
        (
            [reading(0, register="1000", export="100"), reading(30, register="3000", export="600")],
            {"ENERGY_EXPORT": "0.5", "ENERGY_IMPORT": "2"},
        ),
        ([reading(-5, power="1"), reading(90, power="1")], {}),  # of another time
    ],
)
def test_a_period_has_what_was_measured_in_it(readings: list[Reading], expected: dict[str, str]) -> None:
    energy = {"type": "ENERGY", "volume": Decimal(1)}
    period: dict[str, Any] = {"start_date_time": "2026-03-02T09:00:00Z", "dimensions": [energy], "tariff_id": "T"}

    [found] = session_dimensions.add([period], readings, at(60))

    first, *more = found["dimensions"]
    assert first == energy
    assert {each["type"]: each["volume"] for each in more} == {
        kind: Decimal(volume) for kind, volume in expected.items()
    }
    assert period["dimensions"] == [energy]


def test_each_period_has_its_own() -> None:
    periods = [
        {"start_date_time": "2026-03-02T09:00:00Z", "dimensions": [], "tariff_id": "T"},
        {"start_date_time": "2026-03-02T09:30:00Z", "dimensions": [], "tariff_id": "T"},
    ]

    found = session_dimensions.add(periods, [reading(10, charge="20"), reading(50, charge="80")], at(60))

    assert [each["dimensions"][0]["volume"] for each in found] == [20, 80]
