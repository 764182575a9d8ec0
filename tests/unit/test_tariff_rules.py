"""One small case per tariff rule, each beside the neighbouring case that the rule tells apart (Tariffs, 8.2 to 8.4).

The session begins on Monday 2025-03-03 at 10:00 UTC. Amounts are without VAT if not said otherwise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ocpi.tariff_pricing import NotPriceable, Price, choose
from tests.unit.tariff_builders import START, cdr, component, element, period, priced, tariff

LATER = "2025-03-03T10:30:00Z"


def at(hour: int, minute: int = 0, *, day: int = 3, **volumes: Any) -> dict[str, Any]:
    """A CDR of one hour with one period that begins then."""
    start = f"2025-03-{day:02d}T{hour:02d}:{minute:02d}:00Z"
    end = f"2025-03-{day + (hour == 23):02d}T{(hour + 1) % 24:02d}:{minute:02d}:00Z"
    return cdr(period(start, **(volumes or {"ENERGY": 1})), end=end, start_date_time=start)


def kwh(price: str, **restrictions: Any) -> dict[str, Any]:
    return element(component("ENERGY", price), **restrictions)


def switched(**restrictions: Any) -> dict[str, Any]:
    """2 per kWh while these restrictions match, else 1."""
    return tariff(kwh("2", **restrictions), kwh("1"))


HALVES = cdr(period(ENERGY=4), period(LATER, ENERGY=4))
TOGETHER = cdr(period(ENERGY=1, TIME=1, PARKING_TIME=1))
RESERVED = cdr(
    period("2025-03-03T09:00:00Z", RESERVATION_TIME=1), period(START, ENERGY=1), start_date_time="2025-03-03T09:00:00Z"
)
RESERVING = element(component("FLAT", "2"), component("TIME", "5"), reservation="RESERVATION")

# Which element prices what ------------------------------------------------------------------------------------------

FOLLOWS = pytest.mark.req("TAR-24", "PIT-73")
_WHICH = [
    pytest.param(HALVES, tariff(kwh("2", max_kwh=4), kwh("1")), "12", marks=pytest.mark.req("TAR-10")),
    pytest.param(HALVES, tariff(kwh("1"), kwh("2", max_kwh=4)), "8", marks=pytest.mark.req("TAR-10")),
    pytest.param(
        TOGETHER,
        tariff(
            element(component("ENERGY", "9"), component("TIME", "9"), min_kwh=99),
            kwh("1"),
            element(component("ENERGY", "5"), component("TIME", "3")),
        ),
        "4",
        marks=pytest.mark.req("TAR-11"),
        id="energy from the second element, time from the third",
    ),
    pytest.param(TOGETHER, tariff(kwh("1"), kwh("7")), "1", marks=pytest.mark.req("TAR-11"), id="one, not both"),
    pytest.param(TOGETHER, tariff(kwh("1")), "1", marks=pytest.mark.req("TAR-12"), id="time and parking cost nothing"),
    pytest.param(TOGETHER, tariff(kwh("1", min_kwh=99)), "0", marks=pytest.mark.req("TAR-12"), id="nothing matches"),
    pytest.param(HALVES, tariff(kwh("2", min_kwh=4), kwh("1")), "12", marks=pytest.mark.req("TAR-13"), id="default"),
    pytest.param(TOGETHER, tariff(element(component("FLAT", "0.00"))), "0", marks=pytest.mark.req("TAR-14"), id="free"),
    # A restriction that is reached prices what follows, not what came before (PIT-73).
    pytest.param(HALVES, switched(min_kwh=4), "12", marks=FOLLOWS, id="on in the middle"),
    pytest.param(HALVES, switched(max_kwh=4), "12", marks=FOLLOWS, id="off in the middle"),
    pytest.param(HALVES, switched(min_kwh=9), "8", marks=pytest.mark.req("TAR-24"), id="never reached"),
    pytest.param(
        HALVES, switched(min_kwh=4, day_of_week=["MONDAY"]), "12", marks=pytest.mark.req("TAR-24"), id="both hold"
    ),
    pytest.param(
        HALVES, switched(min_kwh=4, day_of_week=["SUNDAY"]), "8", marks=pytest.mark.req("TAR-24"), id="one fails"
    ),
]


@pytest.mark.parametrize(("document", "bill", "total"), _WHICH)
def test_the_element_that_prices(document: dict[str, Any], bill: dict[str, Any], total: str) -> None:
    assert priced(document, bill).total_cost.excl_vat == Decimal(total)


@pytest.mark.req("TAR-14")
def test_free_of_charge_is_a_cost_of_zero_and_no_missing_cost() -> None:
    free = priced(TOGETHER, tariff(element(component("FLAT", "0.00"))))

    assert free.total_cost == free.total_fixed_cost == Price(Decimal(0), Decimal(0))
    assert [line.dimension for line in free.lines] == ["FLAT"]


# Units, VAT, FLAT, limits -------------------------------------------------------------------------------------------


@pytest.mark.req("TAR-15", "CDR-39")
@pytest.mark.parametrize(
    ("kind", "volumes", "total"),
    [
        ("ENERGY", {"ENERGY": "0.5"}, "2"),  # 4 per kWh
        ("TIME", {"TIME": "0.5"}, "2"),  # 4 per hour
        ("PARKING_TIME", {"PARKING_TIME": "0.25"}, "1"),
        ("FLAT", {"ENERGY": "7", "TIME": "0.5"}, "4"),  # once
    ],
)
def test_prices_are_per_kwh_per_hour_or_once(kind: str, volumes: dict[str, Any], total: str) -> None:
    bill = tariff(element(component(kind, "4", step_size=0)))

    assert priced(cdr(period(**volumes), period(LATER)), bill).total_cost.excl_vat == Decimal(total)


@pytest.mark.req("TAR-15")
def test_prices_are_without_vat() -> None:
    assert priced(at(10), tariff(element(component("ENERGY", "1", vat=25)))).total_cost == Price(
        Decimal(1), Decimal("1.25")
    )


@pytest.mark.req("TAR-16", "PIT-42")
@pytest.mark.parametrize(("vat", "shown"), [({}, None), ({"vat": Decimal("0.0")}, "0"), ({"vat": 20}, "20")])
def test_no_vat_and_a_vat_of_zero_are_two_statements(vat: dict[str, Any], shown: str | None) -> None:
    result = priced(at(10), tariff(element(component("ENERGY", "1", **vat))))

    assert [line["vat"] for line in result.as_json()["lines"]] == [shown]
    assert result.total_cost.incl_vat == (Decimal("1.2") if shown == "20" else 1)


@pytest.mark.req("TAR-17")
def test_of_several_flats_the_first_that_matches_is_charged_once() -> None:
    restricted = element(component("FLAT", "3"), min_kwh=4)

    first = priced(HALVES, tariff(restricted, element(component("FLAT", "1"))))
    only_later = priced(HALVES, tariff(restricted))
    never = priced(HALVES, tariff(element(component("FLAT", "3"), min_kwh=9)))

    assert first.total_cost.excl_vat == 1  # the second half would match the other, but one was charged
    assert [(line.period.index, line.excl) for line in only_later.lines] == [(1, Decimal(3))]
    assert never.lines == []


@pytest.mark.req("TAR-17")
def test_the_flat_of_a_reservation_is_another_one() -> None:
    bill = tariff(RESERVING, element(component("FLAT", "1")))

    assert priced(RESERVED, bill).total_cost.excl_vat == 8  # 2 + 5 for the reservation, 1 for the session
    assert priced(HALVES, bill).total_cost.excl_vat == 1


@pytest.mark.req("TAR-18")
@pytest.mark.parametrize(
    ("kind", "volume", "step_size", "billed"),
    [
        ("ENERGY", "1.0001", 1, "1.001"),  # 1000.1 Wh
        ("ENERGY", "1.001", 500, "1.5"),
        ("ENERGY", "1.5", 500, "1.5"),
        ("TIME", "0.25", 600, "0.3333"),  # 15 minutes in blocks of ten
        ("TIME", "0.3333", 600, "0.3333"),
        ("PARKING_TIME", "0.01", 60, "0.0167"),  # 36 s
        ("FLAT", None, 500, "1"),
    ],
)
def test_steps_are_watt_hours_and_seconds_rounded_up(
    kind: str, volume: str | None, step_size: int, billed: str
) -> None:
    volumes = {"ENERGY": 1} if volume is None else {kind: volume}

    (line,) = priced(cdr(period(**volumes)), tariff(element(component(kind, "1", step_size)))).lines

    assert line.excl.quantize(Decimal("0.0001")) == Decimal(billed)


@pytest.mark.req("TAR-19", "PIT-77")
@pytest.mark.parametrize(
    ("step_size", "energy_cost"), [(0, "1.0004"), (1, "1.001"), (1_000_000, "1000"), (2_147_483_647, "2147483.647")]
)
def test_a_step_of_zero_rounds_nothing_and_a_huge_one_is_one_step(step_size: int, energy_cost: str) -> None:
    result = priced(at(10, ENERGY="1.0004"), tariff(element(component("ENERGY", "1", step_size))))

    assert result.total_cost.excl_vat == Decimal(energy_cost)


@pytest.mark.req("TAR-21")
@pytest.mark.parametrize(
    ("limits", "excl", "incl"),
    [
        ({}, "2", "2.4"),
        ({"min_price": {"excl_vat": 3, "incl_vat": Decimal("2.1")}}, "3", "2.4"),
        ({"min_price": {"excl_vat": 1, "incl_vat": 3}}, "2", "3"),
        ({"max_price": {"excl_vat": 1, "incl_vat": 3}}, "1", "2.4"),
        ({"max_price": {"excl_vat": 9, "incl_vat": 2}}, "2", "2"),
    ],
)
def test_minimum_and_maximum_bound_both_totals_each_for_itself(limits: dict[str, Any], excl: str, incl: str) -> None:
    bill = tariff(element(component("ENERGY", "2", vat=20)), **limits)

    assert priced(at(10), bill).total_cost == Price(Decimal(excl), Decimal(incl))


@pytest.mark.req("TAR-22")
@pytest.mark.parametrize(
    ("limits", "excl", "incl"),
    [
        ({"min_price": {"excl_vat": 3}}, "3", "3.6"),
        ({"max_price": {"excl_vat": 1}}, "1", "1.2"),
        ({"max_price": {"excl_vat": 2}}, "2", "2.4"),  # not reached
    ],
)
def test_a_bound_without_vat_scales_the_other_total(limits: dict[str, Any], excl: str, incl: str) -> None:
    bill = tariff(element(component("ENERGY", "2", vat=20)), **limits)

    assert priced(at(10), bill).total_cost == Price(Decimal(excl), Decimal(incl))


# Which Tariff -------------------------------------------------------------------------------------------------------


def of_type(kind: str | None, **members: Any) -> dict[str, Any]:
    return tariff(kwh("1"), id=kind or "NONE", **({"type": kind} if kind else {}), **members)


@pytest.mark.req("TAR-39")
@pytest.mark.parametrize(
    ("preference", "offered", "chosen"),
    [
        (None, ("PROFILE_FAST", "REGULAR"), "REGULAR"),
        (None, (None, "REGULAR"), "REGULAR"),
        ("REGULAR", ("PROFILE_FAST", "REGULAR"), "REGULAR"),
        ("FAST", ("REGULAR", "PROFILE_FAST"), "PROFILE_FAST"),
        ("CHEAP", ("REGULAR", "PROFILE_CHEAP"), "PROFILE_CHEAP"),
        ("GREEN", ("REGULAR", "PROFILE_GREEN"), "PROFILE_GREEN"),
        ("GREEN", ("PROFILE_FAST", None), "NONE"),
        (None, ("AD_HOC_PAYMENT", None), "NONE"),
        ("AD_HOC_PAYMENT", (None, "AD_HOC_PAYMENT"), "AD_HOC_PAYMENT"),
    ],
)
def test_the_type_of_a_tariff_follows_the_drivers_choice(
    preference: str | None, offered: tuple[str | None, ...], chosen: str
) -> None:
    taken = choose([of_type(kind) for kind in offered], at=datetime(2025, 3, 3, tzinfo=UTC), preference=preference)

    assert taken["id"] == chosen


@pytest.mark.req("TAR-40")
@pytest.mark.parametrize(("moment", "chosen"), [("09:59:59", "OLD"), ("10:00:00", "NEW")])
def test_a_successor_is_announced_before_it_is_valid(moment: str, chosen: str) -> None:
    old, new = tariff(kwh("1"), id="OLD", end_date_time=START), tariff(kwh("2"), id="NEW", start_date_time=START)

    assert choose([new, old], at=datetime.fromisoformat(f"2025-03-03T{moment}Z"))["id"] == chosen


@pytest.mark.req("TAR-40")
def test_before_its_validity_a_tariff_prices_nothing() -> None:
    with pytest.raises(NotPriceable, match="no_valid_tariff"):
        priced(at(10), tariff(kwh("1"), start_date_time="2025-03-03T10:00:01Z"))


@pytest.mark.req("TAR-42", "TAR-41")
def test_a_session_that_began_in_time_keeps_its_tariff_to_the_end() -> None:
    old = tariff(kwh("1"), id="OLD", end_date_time="2025-03-03T10:10:00Z")
    new = tariff(kwh("9"), id="NEW", start_date_time="2025-03-03T10:10:00Z")

    began_before, began_after = priced(HALVES, old, new), priced(at(10, 10), old, new)

    assert began_before.total_cost.excl_vat == 8
    assert began_after.total_cost.excl_vat == 9
