"""One small case per rule of CDRs and their cost, each beside the neighbouring case (CDRs, 7.4 to 7.6)."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ocpi import sample_data, status, tariff_pricing
from ocpi.tariff_pricing import Price, check, split
from ocpi.v2_2_1 import cdrs
from tests.fixtures import DOCUMENTS
from tests.unit.tariff_builders import cdr, component, element, period, priced, tariff
from tests.unit.test_tariff_splitting import START, segment, volumes

NOON, LATER, LAST = "2025-03-03T10:00:00Z", "2025-03-03T10:30:00Z", "2025-03-03T10:45:00Z"


def starts(periods: list[dict[str, Any]]) -> list[int]:
    """Return the minutes after which the periods begin."""
    begun = [str(each["start_date_time"]) for each in periods]
    return [
        next(n for n in range(600) if f"{START + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" == each) for each in begun
    ]


# Periods ------------------------------------------------------------------------------------------------------------


@pytest.mark.req("CDR-34")
def test_a_period_begins_when_another_price_does() -> None:
    dearer_at_five = tariff(element(component("ENERGY", "1"), start_time="17:00"), element(component("ENERGY", "0.5")))
    same_at_five = tariff(element(component("ENERGY", "1"), start_time="17:00"), element(component("ENERGY", "1")))
    hour = [segment(360, 480, energy="4")]  # 16:00 to 18:00

    cut, whole = (split(hour, [each], timezone="UTC") for each in (dearer_at_five, same_at_five))

    assert starts(cut) == [360, 420]
    assert volumes(cut, "ENERGY") == [2, 2]
    assert starts(whole)[0] == 360
    assert sum(volumes(whole, "ENERGY")) == 4


@pytest.mark.req("CDR-34")
def test_a_period_begins_when_the_current_crosses_a_bound_of_the_tariff() -> None:
    bands = tariff(element(component("TIME", "2"), min_current=32), element(component("TIME", "1")))
    metered = [
        segment(0, 10, energy="1", max_current=Decimal(33)),
        segment(10, 20, energy="1", max_current=Decimal(40)),
        segment(20, 30, energy="1", max_current=Decimal(31)),
    ]

    assert starts(split(metered, [bands], timezone=None)) == [0, 20]


@pytest.mark.req("CDR-35")
def test_the_moment_of_a_change_is_found_between_two_meter_values() -> None:
    bands = tariff(element(component("ENERGY", "1"), max_kwh=3), element(component("ENERGY", "2")))

    periods = split([segment(0, 60, energy="12")], [bands], timezone=None)

    assert starts(periods) == [0, 15]
    assert volumes(periods, "ENERGY") == [3, 9]


@pytest.mark.req("CDR-36")
def test_a_period_without_tariff_id_costs_nothing_beside_periods_with_one() -> None:
    bill = tariff(element(component("ENERGY", "1")))
    with_id, without = period(ENERGY=4) | {"tariff_id": "T1"}, period(LATER, ENERGY=4)

    assert priced(cdr(with_id, without), bill).total_cost.excl_vat == 4
    assert priced(cdr(with_id, without | {"tariff_id": "T1"}), bill).total_cost.excl_vat == 8


@pytest.mark.req("CDR-40")
def test_values_of_a_moment_do_not_change_what_a_cdr_costs() -> None:
    bill = tariff(element(component("ENERGY", "1"), component("TIME", "1")))
    momentary: dict[str, Any] = {
        "ENERGY_EXPORT": 9,
        "ENERGY_IMPORT": 9,
        "STATE_OF_CHARGE": 80,
        "CURRENT": 16,
        "POWER": 11,
    }

    assert priced(cdr(period(ENERGY=1, **momentary)), bill).total_cost.excl_vat == 1


@pytest.mark.req("PIT-76")
def test_all_dimensions_of_one_period_are_priced_and_added() -> None:
    bill = tariff(element(component("ENERGY", "1"), component("TIME", "2"), component("FLAT", "0.5")))

    assert priced(cdr(period(ENERGY=3, TIME=1)), bill).total_cost.excl_vat == Decimal("5.5")


# Which cost field ---------------------------------------------------------------------------------------------------


@pytest.mark.req("CDR-43", "CDR-42")
def test_each_part_of_the_cost_has_its_field() -> None:
    parking = element(component("PARKING_TIME", "4"), component("FLAT", "7"), min_duration=1800)
    reserving = element(component("FLAT", "2"), component("TIME", "3"), reservation="RESERVATION")
    charging = element(component("ENERGY", "1"), component("TIME", "10"), component("FLAT", "5"))
    document = cdr(
        period("2025-03-03T09:00:00Z", RESERVATION_TIME=1),
        period(NOON, ENERGY=6, TIME="0.5"),
        period(LATER, PARKING_TIME="0.5"),
        start_date_time="2025-03-03T09:00:00Z",
    )

    shown = priced(document, tariff(reserving, charging, parking))
    parked_only = priced(cdr(period(TIME="0.5"), period(LATER, PARKING_TIME="0.5")), tariff(parking))

    assert shown.total_energy_cost == Price(Decimal(6), Decimal(6))
    assert shown.total_time_cost == Price(Decimal(5), Decimal(5))
    assert shown.total_parking_cost == Price(Decimal(2), Decimal(2))
    assert shown.total_fixed_cost == Price(Decimal(5), Decimal(5))
    assert shown.total_reservation_cost == Price(Decimal(5), Decimal(5))
    assert shown.total_cost.excl_vat == 23
    assert [shown.total_energy, shown.total_time, shown.total_parking_time] == [6, 1, Decimal("0.5")]
    assert parked_only.total_parking_cost == Price(Decimal(9), Decimal(9))  # with the fixed part that is for parking
    assert parked_only.total_fixed_cost is None


@pytest.mark.req("CDR-44")
@pytest.mark.parametrize(
    ("time_cost", "members", "contradicts"),
    [
        ("1", {}, False),
        ("1.02", {}, True),
        ("0.5", {}, True),
        ("9", {"max_price": {"excl_vat": Decimal("2")}}, False),  # the total was capped
        ("0.5", {"min_price": {"excl_vat": Decimal("2")}}, False),  # the total was raised
    ],
)
def test_the_parts_add_up_to_the_total_unless_a_limit_applied(
    time_cost: str, members: dict[str, Any], contradicts: bool
) -> None:
    bill = tariff(element(component("ENERGY", "1"), component("TIME", "1")), **members)
    nothing = {"excl_vat": Decimal(0)}
    document = cdr(
        period(ENERGY=1, TIME=1),
        tariffs=[bill],
        total_cost={"excl_vat": Decimal(2)},
        total_energy=1,
        total_time=1,
        total_energy_cost={"excl_vat": Decimal(1)},
        total_time_cost={"excl_vat": Decimal(time_cost)},
        total_fixed_cost=nothing,
        total_parking_cost=nothing,
        total_reservation_cost=nothing,
    )

    found = check(document, [], timezone=None).findings

    assert ("sub_totals_do_not_add_up" in found) == contradicts


@pytest.mark.req("CDR-48")
def test_the_reimbursement_of_a_driver_at_home_does_not_change_the_amounts() -> None:
    bill = tariff(element(component("ENERGY", "0.3")))

    at_home = priced(cdr(period(ENERGY=10), home_charging_compensation=True), bill)

    assert at_home.total_cost == priced(cdr(period(ENERGY=10)), bill).total_cost == Price(Decimal(3), Decimal(3))


# step_size ----------------------------------------------------------------------------------------------------------

PARK = ("PARKING_TIME", "2", 600)
_STEPS = [
    # (components, dimensions of three periods, cost)
    pytest.param(
        [("ENERGY", "1", 1000)], [{"ENERGY": "1.2"}, {"ENERGY": "1.2"}], "3",
        marks=pytest.mark.req("CDR-55", "CDR-56"), id="energy once, on the total: 2.4 to 3",
    ),
    pytest.param(
        [("TIME", "6", 600)], [{"TIME": "0.1"}, {"TIME": "0.1"}], "2",
        marks=pytest.mark.req("CDR-55", "CDR-56"), id="time once: 12 minutes to 20",
    ),
    pytest.param(
        [("TIME", "6", 600), PARK], [{"TIME": "0.35"}, {"PARKING_TIME": "0.1"}], "2.4333",
        marks=pytest.mark.req("CDR-55", "CDR-58", "CDR-59"), id="21 minutes unrounded, parking 6 to 10",
    ),
    pytest.param(
        [("TIME", "6", 600)], [{"TIME": "0.35"}], "3",
        marks=pytest.mark.req("CDR-59"), id="without parking the time is rounded: 21 to 30",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("components", "dimensions", "cost"), _STEPS)
def test_a_step_is_applied_once_per_session(
    components: list[tuple[str, str, int]], dimensions: list[dict[str, str]], cost: str
) -> None:
    bill = tariff(element(*(component(*each) for each in components)))
    document = cdr(*(period(start, **each) for start, each in zip((NOON, LATER, LAST), dimensions, strict=False)))

    assert priced(document, bill).exact.excl_vat.quantize(Decimal("0.0001")) == Decimal(cost)


@pytest.mark.req("CDR-56", "CDR-57", "CDR-58")
def test_the_last_period_gives_the_step_and_the_price_of_the_surplus() -> None:
    bands = tariff(
        element(component("ENERGY", "1", step_size=1000), max_kwh=2), element(component("ENERGY", "10", step_size=500))
    )
    document = cdr(period(ENERGY="2.1"), period(LATER, ENERGY="0.2"))

    result = priced(document, bands)

    # 2.3 kWh go up to 2.5 by the second element's 500 Wh; the 0.2 more are at its price, none at the change.
    assert result.billed["energy_kwh"] == "2.5"
    assert result.total_cost.excl_vat == Decimal("2.1") + 4


@pytest.mark.req("CDR-57")
def test_a_last_period_without_volume_is_not_the_relevant_one() -> None:
    bands = tariff(
        element(component("ENERGY", "1", step_size=1000), max_kwh=2), element(component("ENERGY", "10", step_size=500))
    )

    assert priced(cdr(period(ENERGY="2.1"), period(LATER, ENERGY=0)), bands).total_cost.excl_vat == 3


@pytest.mark.req("CDR-58")
def test_a_change_of_tariff_rounds_nothing() -> None:
    first, second = (tariff(element(component("ENERGY", "1", step_size=1000)), id=name) for name in ("A", "B"))
    document = cdr(period(ENERGY="1.2") | {"tariff_id": "A"}, period(LATER, ENERGY="1.2") | {"tariff_id": "B"})

    assert priced(document, first, second).total_cost.excl_vat == 3  # 2.4 to 3 at the end; each for itself would be 4


@pytest.mark.req("CDR-60", "PIT-43")
def test_costs_are_decimals_and_rounded_only_at_the_end() -> None:
    bill = tariff(element(component("ENERGY", "0.1", step_size=0, vat=20), component("TIME", "0.2", step_size=0)))
    thirds = tariff(element(component("ENERGY", "0.333", step_size=0)))
    read = tariff_pricing.loads('{"volume": 1e-05, "price": 4.00, "sum": 0.30000000000000004}')

    assert priced(cdr(period(ENERGY=1, TIME=1)), bill).exact == Price(Decimal("0.3"), Decimal("0.32"))
    each_rounded = priced(cdr(period(ENERGY="0.05"), period(LATER, ENERGY="0.05"), period(LAST, ENERGY="0.05")), thirds)
    assert each_rounded.exact.excl_vat == Decimal("0.04995")  # 0.05 in the end, three times 0.02 would be 0.06
    assert read == {"volume": Decimal("0.00001"), "price": Decimal("4.00"), "sum": Decimal("0.30000000000000004")}
    assert tariff_pricing.dumps(read) == '{"volume":0.00001,"price":4.00,"sum":0.30000000000000004}'


# What is refused ----------------------------------------------------------------------------------------------------


def document(**changes: Any) -> bytes:
    found = json.loads((DOCUMENTS / "cdr.json").read_text()) | changes
    return json.dumps({name: value for name, value in found.items() if value is not None}).encode()


def signed(**changes: Any) -> dict[str, Any]:
    value = {"nature": "Start", "plain_data": "x", "signed_data": "eA=="} | changes.pop("value", {})
    return {"encoding_method": "OCMF", "signed_values": [value], **changes}


def points(**changes: Any) -> list[dict[str, Any]]:
    (first, *others) = json.loads(document())["charging_periods"]
    return [first | changes, *others]


_RULES = [
    ("charging_periods", {"charging_periods": []}, pytest.mark.req("CDR-33")),
    ("charging_periods[0].dimensions", {"charging_periods": points(dimensions=[])}, pytest.mark.req("CDR-33")),
    ("charging_periods[0].start_date_time", {"charging_periods": points(start_date_time=1)}, pytest.mark.req("CDR-33")),
    ("charging_periods[0].tariff_id", {"charging_periods": points(tariff_id="GONE")}, pytest.mark.req("CDR-37")),
    ("currency", {"currency": "EURO"}, pytest.mark.req("CDR-45")),
    ("currency", {"currency": "E1R"}, pytest.mark.req("CDR-45")),
    ("home_charging_compensation", {"home_charging_compensation": "yes"}, pytest.mark.req("CDR-48")),
    ("signed_data.encoding_method", {"signed_data": signed(encoding_method=None)}, pytest.mark.req("CDR-51")),
    ("signed_data.signed_values", {"signed_data": signed(signed_values=[])}, pytest.mark.req("CDR-51")),
    ("signed_data.encoding_method_version", {"signed_data": signed(encoding_method_version="1")},
     pytest.mark.req("CDR-51")),
    ("signed_data.signed_values[0].plain_data", {"signed_data": signed(value={"plain_data": "x" * 5001})},
     pytest.mark.req("CDR-52")),
    ("signed_data.signed_values[0].signed_data", {"signed_data": signed(value={"signed_data": "x" * 5001})},
     pytest.mark.req("CDR-52")),
    ("signed_data.signed_values[0].nature", {"signed_data": signed(value={"nature": None})}, pytest.mark.req("CDR-52")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "changes"), [pytest.param(field, changes, marks=mark) for field, changes, mark in _RULES]
)
def test_a_cdr_that_breaks_a_rule_is_refused_by_its_field(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(status.InvalidParameters) as refused:
        cdrs.check_leniently(document(**changes), "CDR")

    assert refused.value.message.startswith(f"{field}: "), refused.value.message


_KEPT = [
    ({"signed_data": signed(value={"nature": "Start of Tuesday"})}, pytest.mark.req("CDR-52")),
    ({"signed_data": signed(value={"plain_data": " ä " + "x" * 4997})}, pytest.mark.req("CDR-52", "CDR-53")),
    ({"signed_data": signed(encoding_method="My own")}, pytest.mark.req("CDR-54")),
    ({"signed_data": signed(encoding_method="EDL40 E-Mobility Extension")}, pytest.mark.req("CDR-54")),
    ({"home_charging_compensation": True}, pytest.mark.req("CDR-48")),
    ({"invoice_reference_id": "INV-1", "remark": "Thank you"}, pytest.mark.req("CDR-49")),
    ({"session_id": None}, pytest.mark.req("CDR-28")),
    ({"charging_periods": points(tariff_id="tnm-flex")}, pytest.mark.req("CDR-37")),  # in any case
    ({"charging_periods": points(tariff_id=None)}, pytest.mark.req("CDR-36")),
]


@pytest.mark.parametrize("changes", [pytest.param(changes, marks=mark) for changes, mark in _KEPT])
def test_a_cdr_that_keeps_the_rules_is_taken_as_it_is(changes: dict[str, Any]) -> None:
    body = document(**changes)

    stored, _ = cdrs.check_leniently(body, "CDR")

    assert stored is body


@pytest.mark.req("CDR-46")
def test_a_reservation_without_a_session_names_no_evse_and_any_connector() -> None:
    location = json.loads(document())["cdr_location"]
    location |= {"evse_uid": "#NA", "evse_id": "#NA", "connector_id": "#NA", "connector_standard": "CHADEMO"}

    stored, _ = cdrs.check_leniently(document(cdr_location=location, session_id=None), "CDR")

    assert json.loads(stored)["cdr_location"] == location


@pytest.mark.req("PIT-33")
def test_our_own_cdrs_do_not_copy_the_faults_of_the_published_example() -> None:
    own = [json.loads(document()), *(json.loads(sample_data.dumps(each)) for each in sample_data.cdrs(20))]

    for each in own:
        coordinates = each["cdr_location"]["coordinates"]
        assert each["last_updated"] >= each["end_date_time"]
        # All of them are in Europe north of 45 degrees and west of 30: in each other's place they would not be.
        assert float(coordinates["latitude"]) > 45 > 30 > float(coordinates["longitude"])
