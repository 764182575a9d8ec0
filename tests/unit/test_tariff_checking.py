"""Checking, crediting and linting, beyond what the vectors pin."""

from decimal import Decimal
from typing import Any

import pytest

from ocpi.tariff_pricing import NotPriceable, Policy, Price, check, credit, credit_differences, lint
from ocpi.tariff_pricing.result import COSTS
from tests.unit.tariff_builders import ENERGY, cdr, component, element, period, priced, tariff
from tests.unit.tariff_cases import tariffs_of, vector


def amounts(excl: str, incl: str | None = None) -> dict[str, Decimal]:
    return {"excl_vat": Decimal(excl)} | ({} if incl is None else {"incl_vat": Decimal(incl)})


def claim(total: str, **members: Any) -> dict[str, Any]:
    return cdr(period(ENERGY=10), total_cost=amounts(total), total_energy=10, total_time=1, **members)


def small_sub_totals(currency: str) -> dict[str, Any]:
    """Return a CDR as we publish it, with 0.00005 under each of the five sub-totals before they are rounded."""
    small = [component(kind, "0.00005") for kind in ("FLAT", "ENERGY", "TIME", "PARKING_TIME")]
    reserved = element(component("TIME", "0.00005"), reservation="RESERVATION")
    bill = tariff(reserved, element(*small), currency=currency)
    periods = (
        period(RESERVATION_TIME=1),
        period("2025-03-03T11:00:00Z", ENERGY=1, TIME=1),
        period("2025-03-03T12:00:00Z", PARKING_TIME=1),
    )
    named = [each | {"tariff_id": "T1"} for each in periods]
    document = cdr(*named, end="2025-03-03T13:00:00Z", currency=currency, tariffs=[bill])
    result = priced(document, bill, timezone=None)
    return document | {name: getattr(result, name)._asdict() for name in ("total_cost", *COSTS)}


@pytest.mark.req("PRI-90")
def test_a_difference_states_claim_computation_and_distance() -> None:
    result = check(claim("3.5"), [tariff(element(ENERGY))], timezone=None)

    assert result.verdict == "mismatch"
    assert result.as_json()["differences"] == {
        "total_cost.excl_vat": {"claimed": "3.5000", "computed": "3.0000", "difference": "0.5000"}
    }


@pytest.mark.req("PRI-91")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"currency": "SEK"}, "currency_mismatch"),
        ({"charging_periods": [period(ENERGY=10) | {"tariff_id": "T9"}]}, "unknown_tariff_id"),
        ({"charging_periods": [period(ENERGY=10, TIME=-1)]}, "invalid_input"),
        ({"start_date_time": None}, "invalid_input"),
        ({"total_cost": {"excl_vat": "3"}}, "invalid_input"),
    ],
)
def test_what_cannot_be_priced_is_unverifiable_and_never_a_mismatch(change: dict[str, Any], reason: str) -> None:
    result = check(claim("3") | change, [tariff(element(ENERGY))], timezone=None)

    assert (result.verdict, result.reason) == ("unverifiable", reason)


@pytest.mark.req("PRI-92")
@pytest.mark.parametrize(("total", "verdict"), [("3.01", "match"), ("3.0101", "mismatch"), ("2.99", "match")])
def test_one_minor_unit_is_tolerated_and_no_more(total: str, verdict: str) -> None:
    assert check(claim(total), [tariff(element(ENERGY))], timezone=None).verdict == verdict


@pytest.mark.req("PRI-92")
def test_half_a_minor_unit_is_tolerated_per_line() -> None:
    periods = [period(f"2025-03-03T10:{minute:02d}:00Z", ENERGY=1) for minute in range(10)]
    document = cdr(*periods, total_cost=amounts("3.05"), total_energy=10, total_time=1)

    assert check(document, [tariff(element(ENERGY))], timezone=None).verdict == "match"
    assert check(claim("3.05"), [tariff(element(ENERGY))], timezone=None).verdict == "mismatch"


@pytest.mark.req("PRI-88", "PRI-92")
def test_a_policy_sets_the_tolerance() -> None:
    strict = Policy(tolerance=Decimal(0))

    assert check(claim("3.0001"), [tariff(element(ENERGY))], timezone=None, policy=strict).verdict == "mismatch"


@pytest.mark.req("PRI-93")
@pytest.mark.parametrize("total_time", ["1", "0.5"])
def test_total_time_may_include_the_reservation_or_not(total_time: str) -> None:
    periods = (period(RESERVATION_TIME="0.5"), period("2025-03-03T10:30:00Z", ENERGY=10))
    document = cdr(*periods, total_cost=amounts("3"), total_energy=10, total_time=Decimal(total_time))

    assert check(document, [tariff(element(ENERGY))], timezone=None).verdict == "match"
    assert check(document | {"total_time": 2}, [tariff(element(ENERGY))], timezone=None).fields == ["total_time"]


@pytest.mark.req("PRI-93")
@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"credit": True}, "credit_fields_inconsistent"),
        ({"credit_reference_id": "C1"}, "credit_fields_inconsistent"),
        ({"tariffs": [tariff(element(ENERGY))], "total_energy_cost": amounts("4")}, "sub_totals_do_not_add_up"),
    ],
)
def test_a_cdr_that_contradicts_itself_is_found_out(change: dict[str, Any], finding: str) -> None:
    result = check(claim("3", id="C2") | change, [tariff(element(ENERGY))], timezone=None)

    assert result.verdict == "mismatch"
    assert finding in result.findings


@pytest.mark.req("PRI-86")
@pytest.mark.parametrize("currency", ["EUR", "KWD"])
@pytest.mark.parametrize("policy", [Policy(), Policy(tolerance=Decimal(0))])
def test_sub_totals_that_were_rounded_each_need_not_make_the_total(currency: str, policy: Policy) -> None:
    document = small_sub_totals(currency)
    apart = sum(document[name]["excl_vat"] for name in COSTS) - document["total_cost"]["excl_vat"]

    result = check(document, document["tariffs"], timezone=None, policy=policy)

    assert apart == Decimal("0.0001") * 2  # five times 0.00005 are published as 0.0001 each and 0.0003 in all
    assert (result.verdict, result.findings, result.differences) == ("match", [], {})


@pytest.mark.req("PRI-86", "CDR-44")
@pytest.mark.parametrize(("currency", "unit"), [("EUR", "0.01"), ("KWD", "0.001")])
@pytest.mark.parametrize("sign", [1, -1])
def test_sub_totals_further_off_than_the_tolerance_do_not_add_up(currency: str, unit: str, sign: int) -> None:
    document = small_sub_totals(currency)
    sub_totals = sum(document[name]["excl_vat"] for name in COSTS)

    found = [
        check(document | {"total_cost": {"excl_vat": sub_totals + sign * off}}, [], timezone=None).findings
        for off in (Decimal(unit), Decimal(unit) + Decimal("0.0001"))
    ]

    assert found == [[], ["sub_totals_do_not_add_up"]]


@pytest.mark.req("PRI-93")
def test_self_contradiction_is_told_even_if_nothing_can_be_priced() -> None:
    result = check(claim("3", tariffs=None) | {"total_energy": 12}, [], timezone=None)

    assert (result.verdict, result.reason, result.fields) == ("unverifiable", "no_tariff", ["total_energy"])


@pytest.mark.req("PRI-94")
def test_a_flat_under_another_sub_total_must_still_add_up() -> None:
    case = vector("V11")
    off = case["cdr"] | {"total_fixed_cost": amounts("6", "6"), "total_cost": amounts("16")}

    result = check(off, tariffs_of(case), timezone=None)

    assert "total_fixed_cost.excl_vat" in result.fields
    assert "flat_attribution_differs" not in result.findings


@pytest.mark.req("PRI-95")
def test_a_tariff_that_differs_from_the_one_we_hold_is_reported_with_our_total() -> None:
    theirs, held = tariff(element(ENERGY)), tariff(element(ENERGY | {"price": Decimal("0.2")}))
    same = tariff(element(ENERGY | {"price": Decimal("0.30")}), tariff_alt_text=[{"language": "en", "text": "x"}])

    differing = check(claim("3", tariffs=[theirs]), [held], timezone=None)
    agreeing = check(claim("3", tariffs=[theirs]), [same], timezone=None)

    assert differing.verdict == "match"
    assert "tariff_differs_from_published" in differing.findings
    assert differing.published == Price(Decimal(2), Decimal("2.42"))
    assert agreeing.published is None
    assert "tariff_differs_from_published" not in agreeing.findings


@pytest.mark.req("PRI-96")
def test_a_cdr_without_tariffs_is_checked_with_the_version_valid_at_the_start() -> None:
    old = tariff(element(ENERGY | {"price": Decimal(9)}), end_date_time="2025-03-01T00:00:00Z")
    now = tariff(element(ENERGY), start_date_time="2025-03-01T00:00:00Z")
    document = claim("3") | {"charging_periods": [period(ENERGY=10) | {"tariff_id": "T1"}]}

    assert check(document, [old, now], timezone=None).verdict == "match"
    assert check(document, [], timezone=None).reason == "no_tariff"


@pytest.mark.req("PRI-97")
@pytest.mark.parametrize(
    ("total", "name"),
    [("4.50", "power_by_trough"), ("4", "utc_instead_of_local"), ("3", None)],
)
def test_other_readings_explain_a_mismatch(total: str, name: str | None) -> None:
    bill = tariff(
        element(component("ENERGY", "0.1"), start_time="10:00", end_time="11:00", max_power=50),
        element(component("ENERGY", "0.45"), max_power=50),
        element(component("ENERGY", "0.4"), start_time="10:00", end_time="11:00"),
        element(component("ENERGY", "0.3")),
    )
    document = claim(total) | {"charging_periods": [period(ENERGY=10, MIN_POWER=10, MAX_POWER=60)]}

    result = check(document, [bill], timezone="Europe/Amsterdam")

    assert result.diagnosis == ([name] if name else [])


@pytest.mark.req("PRI-97")
@pytest.mark.parametrize(("total", "name"), [("0.69", "line_rounding_half_up"), ("0.66", "line_rounding_down")])
def test_rounded_lines_are_recognized(total: str, name: str) -> None:
    periods = [period(f"2025-03-03T10:{minute:02d}:00Z", ENERGY="0.0564") for minute in range(3)]
    document = cdr(*periods, total_cost=amounts(total), total_energy=Decimal("0.1692"), total_time=1)
    bill = tariff(element(component("ENERGY", "4", step_size=0)))

    result = check(document, [bill], timezone=None, policy=Policy(tolerance=Decimal("0.001")))

    assert name in result.diagnosis


@pytest.mark.req("PRI-106", "PRI-109")
def test_a_credit_is_refused_for_a_credit_and_for_a_long_id() -> None:
    original = claim("0", id="x" * 37, credit=False)

    credited = credit(original, last_updated="2025-03-05T00:00:00Z")

    assert credited["id"] == "x" * 37 + "-C"
    assert str(credited["total_cost"]["excl_vat"]) == "0"
    assert original["total_cost"] == amounts("0")
    with pytest.raises(NotPriceable, match="cannot be credited"):
        credit(credited, last_updated="")
    with pytest.raises(NotPriceable, match="at most 37"):
        credit(original | {"id": "x" * 38}, last_updated="")


@pytest.mark.req("PRI-106")
def test_a_received_credit_must_equal_the_cdr_it_names() -> None:
    original = claim("3", id="C1", session_id="S1")
    received = credit(original, last_updated="2025-03-05T00:00:00Z") | {"id": "ANY"}

    assert credit_differences(received, original) == []
    assert credit_differences(received | {"session_id": "S2"}, original) == ["session_id"]
    assert credit_differences(received | {"total_cost": amounts("3")}, original) == ["total_cost"]


FLAT = component("FLAT", "1")


@pytest.mark.parametrize(
    ("code", "bill"),
    [
        pytest.param(code, bill, id=code)
        for code, bill in {
            "unreachable_component": tariff(element(ENERGY), element(ENERGY, min_kwh=1)),
            "no_fallback: ENERGY": tariff(element(ENERGY, min_kwh=1)),
            "duplicate_component": tariff(element(ENERGY, ENERGY)),
            "impossible_restriction": tariff(element(ENERGY, min_kwh=2, max_kwh=2)),
            "start_time_equals_end_time": tariff(element(ENERGY, start_time="08:00", end_time="08:00")),
            "step_size_zero": tariff(element(component("TIME", "1", step_size=0))),
            "step_size_on_flat": tariff(element(component("FLAT", "1", step_size=2))),
            "time_step_overridden_by_parking": tariff(
                element(component("TIME", "1", step_size=60), component("PARKING_TIME", "1"))
            ),
            "dead_in_reservation": tariff(element(ENERGY, reservation="RESERVATION")),
            "expiry_time_without_reservation_time": tariff(
                element(component("TIME", "1"), reservation="RESERVATION_EXPIRES")
            ),
            "vat_out_of_range": tariff(element(ENERGY | {"vat": 121})),
            "vat_mixed_absent_and_present": tariff(element(ENERGY, FLAT)),
            "min_price_above_max_price": tariff(element(ENERGY), min_price=amounts("2"), max_price=amounts("1")),
            "limit_without_incl_vat": tariff(element(ENERGY), min_price=amounts("2")),
            "over_before_it_starts": tariff(
                element(ENERGY), start_date_time="2025-01-02T00:00:00Z", end_date_time="2025-01-01T00:00:00Z"
            ),
            "unknown_member: elements[0].restrictions.dayOfWeek (did you mean day_of_week?)": tariff(
                element(ENERGY, dayOfWeek=["MONDAY"])
            ),
            "unknown_member: elements[0].restriction (did you mean restrictions?)": tariff(
                element(ENERGY) | {"restriction": {}}
            ),
        }.items()
    ],
)
@pytest.mark.req(
    "PRI-110", "PRI-111", "PRI-112", "PRI-113", "PRI-114", "PRI-115", "PRI-116", "PRI-117", "PRI-118", "PRI-119"
)
def test_lint_finds_what_looks_wrong(code: str, bill: dict[str, Any]) -> None:
    assert any(found.startswith(code) for found in lint(bill))
    assert not any(found.startswith(code) for found in lint(tariff(element(ENERGY, FLAT | {"vat": 21}))))
