"""Rules of pricing that no vector pins, and the shape of what comes out."""

import ast
import json
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ocpi import tariff_pricing
from ocpi.tariff_pricing import NotPriceable, Policy, Price, choose, compiled, loads, price, totals
from tests.unit.tariff_builders import ENERGY, START, cdr, component, element, period, priced, tariff
from tests.unit.tariff_cases import tariffs_of, vector


@pytest.mark.req("PRI-01")
def test_numbers_are_read_exactly_and_floats_are_refused() -> None:
    read = loads('{"a": 0.1, "b": 12345678901234567890, "c": 0.30000000000000004}')

    assert read == {"a": Decimal("0.1"), "b": 12345678901234567890, "c": Decimal("0.30000000000000004")}
    with pytest.raises(NotPriceable, match="must be a number read as Decimal, not float"):
        priced(
            cdr({"start_date_time": START, "dimensions": [{"type": "ENERGY", "volume": 0.1}]}), tariff(element(ENERGY))
        )


@pytest.mark.req("PRI-01")
@pytest.mark.parametrize("volume", ["1E999999", "NaN", "Infinity", "-1E40"])
def test_absurd_numbers_are_refused(volume: str) -> None:
    with pytest.raises(NotPriceable, match=r"invalid_input: charging_periods\[0\]"):
        priced(cdr(period(ENERGY=volume)), tariff(element(ENERGY)))


@pytest.mark.req("PRI-01")
def test_thirds_do_not_lose_a_digit_on_the_way() -> None:
    steps = component("TIME", "0.0003", step_size=1200)

    result = priced(cdr(period(TIME="0.2"), end="2025-03-03T10:12:00Z"), tariff(element(steps)))

    assert result.exact.excl_vat == Decimal("0.0001")


@pytest.mark.req("PRI-02")
def test_unknown_members_and_long_volumes_do_not_stop_pricing() -> None:
    document = cdr(period(ENERGY="5.123456789", FURNACE=3), x_own={"a": None}, tariffs="none")

    result = priced(document, tariff(element(ENERGY | {"step_size": 0, "x": 1}), x_more=[1]))

    assert result.exact.excl_vat == Decimal("1.5370370367")
    assert result.total_energy == Decimal("5.1235")


@pytest.mark.req("PRI-03")
def test_the_zone_may_come_from_the_location_or_its_country() -> None:
    night = tariff(element(component("ENERGY", "1"), start_time="11:00", end_time="12:00"))
    document = cdr(period(ENERGY=1))

    from_location = priced(document | {"cdr_location": {"time_zone": "Europe/Amsterdam"}}, night, timezone=None)
    from_country = priced(document | {"cdr_location": {"country": "NLD"}}, night, timezone=None)

    assert from_location.total_cost.excl_vat == 1
    assert from_location.findings == ["periods_without_tariff_id"]
    assert from_country.total_cost.excl_vat == 1
    assert from_country.findings == ["periods_without_tariff_id", "time_zone_assumed"]
    with pytest.raises(NotPriceable, match="time_zone_unknown"):
        priced(document | {"cdr_location": {"country": "USA"}}, night, timezone=None)
    with pytest.raises(NotPriceable, match="time_zone_unknown"):
        priced(document | {"cdr_location": {"country": "NLD"}}, night, timezone="Europe/Nowhere")


@pytest.mark.req("PRI-06")
def test_volumes_of_one_dimension_are_added_and_others_are_taken_last() -> None:
    bands = tariff(element(component("ENERGY", "1"), min_power=20), element(component("ENERGY", "2")))
    document = cdr(period())
    document["charging_periods"][0]["dimensions"] = [
        {"type": "ENERGY", "volume": 1},
        {"type": "MAX_POWER", "volume": 50},
        {"type": "ENERGY", "volume": 2},
        {"type": "MAX_POWER", "volume": 10},
        {"type": "STATE_OF_CHARGE", "volume": 99},
    ]

    result = priced(document, bands)

    assert result.total_cost.excl_vat == 6


@pytest.mark.req("PRI-06")
@pytest.mark.parametrize("kind", ["TIME", "PARKING_TIME", "RESERVATION_TIME"])
def test_negative_time_is_refused(kind: str) -> None:
    with pytest.raises(NotPriceable, match="must not be negative") as caught:
        priced(cdr(period(**{kind: "-0.1"})), tariff(element(ENERGY)))

    assert caught.value.code == "invalid_input"


@pytest.mark.req("PRI-07")
def test_a_period_without_length_is_legal() -> None:
    result = priced(cdr(period(ENERGY=1), period(START, ENERGY=2)), tariff(element(ENERGY)))

    assert result.total_cost.excl_vat == Decimal("0.9")


@pytest.mark.req("PRI-08")
def test_the_package_imports_no_framework_and_reads_no_clock() -> None:
    folder = Path(tariff_pricing.__file__).parent
    allowed = {"ocpi", "msgspec", "decimal", "datetime", "zoneinfo", "collections", "typing", "dataclasses", "copy"}
    allowed |= {"difflib", "functools", "itertools", "bisect", "threading", "re"}

    for file in folder.glob("*.py"):
        tree = ast.parse(file.read_text())
        names = [each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)]
        names += [alias.name for each in ast.walk(tree) if isinstance(each, ast.Import) for alias in each.names]
        assert {name.split(".")[0] for name in names} <= allowed, file.name
        assert all(name.startswith("ocpi.tariff_pricing") for name in names if name.startswith("ocpi")), file.name
        called = {each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute)}
        assert not called & {"now", "today", "utcnow"}, file.name


@pytest.mark.req("PRI-12")
@pytest.mark.parametrize(
    ("preference", "types", "chosen"),
    [
        (None, ["AD_HOC_PAYMENT", None, "REGULAR"], "REGULAR"),
        ("GREEN", ["REGULAR", "PROFILE_GREEN"], "PROFILE_GREEN"),
        ("PROFILE_FAST", ["REGULAR", "PROFILE_FAST"], "PROFILE_FAST"),
        ("CHEAP", [None, "REGULAR"], "REGULAR"),
        ("CHEAP", ["PROFILE_GREEN", None], None),
        ("AD_HOC_PAYMENT", ["REGULAR", "AD_HOC_PAYMENT"], "AD_HOC_PAYMENT"),
    ],
)
def test_our_tariff_follows_the_charging_preference(preference: str | None, types: list[Any], chosen: Any) -> None:
    offered = [tariff(element(ENERGY), **({"type": kind} if kind else {})) for kind in types]

    taken = choose(offered, at=datetime(2025, 3, 3, tzinfo=UTC), preference=preference)

    assert taken.get("type") == chosen


@pytest.mark.req("PRI-12")
def test_an_ad_hoc_or_expired_tariff_never_serves_a_roaming_token() -> None:
    at = datetime(2025, 3, 3, tzinfo=UTC)
    over = tariff(element(ENERGY), type="REGULAR", end_date_time="2025-03-03T00:00:00Z")

    with pytest.raises(NotPriceable) as caught:
        choose([tariff(element(ENERGY), type="AD_HOC_PAYMENT"), over], at=at)

    assert caught.value.code == "no_valid_tariff"
    with pytest.raises(NotPriceable, match="no_tariff"):
        choose([], at=at)


@pytest.mark.req("PRI-11")
def test_a_named_tariff_that_was_not_valid_is_used_and_reported() -> None:
    over = tariff(element(ENERGY), end_date_time="2025-03-03T10:00:00Z")

    result = priced(cdr(period(ENERGY=1) | {"tariff_id": "t1"}), over)

    assert result.findings == ["tariff_not_valid_at_start"]


@pytest.mark.req("PRI-10")
def test_the_documents_own_tariffs_serve_when_none_is_given() -> None:
    assert priced(cdr(period(ENERGY=1), tariffs=[tariff(element(ENERGY))])).total_cost.excl_vat == Decimal("0.3")


@pytest.mark.req("PRI-13", "PRI-130")
def test_a_changed_tariff_is_priced_anew_though_its_key_is_the_same() -> None:
    before = tariff(element(ENERGY))
    after = tariff(element(ENERGY | {"price": Decimal("0.5")}))

    amounts = [priced(cdr(period(ENERGY=1)), each).total_cost.excl_vat for each in (before, after, before)]
    before["elements"][0]["price_components"][0] = component("ENERGY", "9")

    assert amounts == [Decimal("0.3"), Decimal("0.5"), Decimal("0.3")]
    assert priced(cdr(period(ENERGY=1)), before).total_cost.excl_vat == 9


@pytest.mark.req("PRI-08", "PRI-120")
@pytest.mark.parametrize("written", [(2, Decimal("2.0")), (Decimal("2.0"), 2), (Decimal("2.50"), Decimal("2.5"))])
def test_lines_do_not_depend_on_which_copy_of_the_tariff_was_priced_first(written: tuple[Any, ...]) -> None:
    name = f"T-{uuid4()}"
    shown = []

    for volume in written:
        result = priced(cdr(period(ENERGY=1)), tariff(element(ENERGY, max_kwh=volume), id=name))
        shown.append(json.dumps(result.as_json()["lines"][0]["why"]["restrictions"]["max_kwh"]))

    assert shown == (["2", "2"] if 2 in written else ['"2.5"', '"2.5"'])


@pytest.mark.req("PRI-120")
@pytest.mark.parametrize(
    "start",
    ["2025-03-03T10:00:00Z", "2025-03-03T10:00:00", "2025-W10-1T10:00:00Z", "2025-03-03 11:00:00+01:00"],
)
def test_a_line_says_when_as_ocpi_writes_it_however_it_came(start: str) -> None:
    result = priced(cdr(period(start, ENERGY=1)), tariff(element(ENERGY)))

    assert result.as_json()["lines"][0]["why"]["at"] == START


@pytest.mark.req("PRI-130")
def test_a_tariff_is_compiled_once_for_all_cdrs_that_hold_a_copy_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_times: list[str] = []
    compiling = compiled.Tariff.__init__

    def counted(self: compiled.Tariff, raw: Any) -> None:
        compiled_times.append(raw["id"])
        compiling(self, raw)

    monkeypatch.setattr(compiled.Tariff, "__init__", counted)
    name = f"T-{uuid4()}"

    for volume in range(1, 4):
        copied = tariff(element(ENERGY), id=name)
        result = priced(cdr(period(ENERGY=volume), tariffs=[copied]))
        assert result.total_cost.excl_vat == volume * Decimal("0.3")

    assert compiled_times == [name]


@pytest.mark.req("PRI-21")
@pytest.mark.parametrize("restrictions", [None, {}, {"day_of_week": []}, {"min_kwh": None}])
def test_empty_restrictions_always_match(restrictions: Any) -> None:
    plain = {"price_components": [ENERGY], "restrictions": restrictions}

    assert priced(cdr(period(ENERGY=1)), tariff(plain), timezone=None).total_cost.excl_vat == Decimal("0.3")


@pytest.mark.req("PRI-39")
def test_power_is_zero_while_only_parked_and_unknown_without_energy() -> None:
    low = tariff(
        element(component("PARKING_TIME", "2"), component("TIME", "4"), max_power=5),
        element(component("PARKING_TIME", "9"), component("TIME", "9")),
    )

    parked = priced(cdr(period(PARKING_TIME=1)), low)
    unknown = priced(cdr(period(TIME=1)), low)

    assert parked.total_cost.excl_vat == 2
    assert unknown.total_cost.excl_vat == 9
    assert "restriction_unevaluable" in unknown.findings


@pytest.mark.req("PRI-25")
def test_the_session_clock_does_not_count_the_reservation() -> None:
    bands = tariff(element(component("ENERGY", "1"), max_duration=3600), element(component("ENERGY", "9")))
    reserved = period(RESERVATION_TIME=1)

    result = priced(cdr(reserved, period("2025-03-03T11:30:00Z", ENERGY=1), end="2025-03-03T12:00:00Z"), bands)
    later = cdr(reserved, period("2025-03-03T11:00:00Z", TIME=1), period("2025-03-03T12:00:00Z", ENERGY=1))

    assert result.total_cost.excl_vat == 1
    assert priced(later | {"end_date_time": "2025-03-03T13:00:00Z"}, bands).total_cost.excl_vat == 9


@pytest.mark.req("PRI-65")
def test_a_period_with_two_time_dimensions_counts_by_its_volumes() -> None:
    volumes = {"TIME": "0.9998", "PARKING_TIME": "0.0002"}

    result = priced(cdr(period(**volumes)), tariff(element(component("TIME", "3600"))))

    assert result.billed["time_s"] == "3599"


@pytest.mark.req("PRI-67")
def test_a_net_negative_total_is_not_rounded_though_energy_was_taken_too() -> None:
    document = cdr(period(ENERGY=2), period("2025-03-03T10:30:00Z", ENERGY="-3.5"))

    assert priced(document, tariff(element(component("ENERGY", "1", step_size=1000)))).total_cost.excl_vat == Decimal(
        "-1.5"
    )


@pytest.mark.req("PRI-56")
def test_the_flag_of_our_own_sessions_decides_about_expiry() -> None:
    case = vector("A52a")

    used = price(case["cdr"], tariffs_of(case), timezone="UTC", expired=False)

    assert used.total_cost.excl_vat == Decimal("3.5")


@pytest.mark.req("PRI-75", "PRI-121")
@pytest.mark.parametrize("name", ["S14", "S27", "A28", "A41", "A45", "A64", "S11"])
def test_lines_and_limits_add_up_to_the_total_exactly(name: str) -> None:
    case = vector(name)

    result = price(case["cdr"], tariffs_of(case), timezone=case["timezone"])

    with localcontext(prec=60):
        excl = sum(line.excl for line in result.lines) + sum(each.excl for each in result.limits)
        incl = sum(line.incl for line in result.lines) + sum(each.incl for each in result.limits)
    assert (excl, incl) == result.exact


@pytest.mark.req("PRI-82")
def test_a_limit_without_vat_has_no_incl_bound_if_the_tariff_has_several_rates() -> None:
    rates = element(component("ENERGY", "1", vat=21), component("TIME", "1", vat=9))

    result = priced(cdr(period(PARKING_TIME=1)), tariff(rates, min_price={"excl_vat": 2}))

    assert result.total_cost == Price(Decimal(2), Decimal(0))
    assert [(each.limit, each.excl) for each in result.limits] == [("min_price", Decimal(2))]


@pytest.mark.req("PRI-82")
def test_a_limit_without_vat_follows_the_mix_of_the_session_else_the_only_rate_of_charging() -> None:
    mixed = tariff(
        element(component("ENERGY", "1", vat=21), component("TIME", "1", vat=9)), min_price={"excl_vat": Decimal(20)}
    )
    reserving = element(component("TIME", "1", vat=9), reservation="RESERVATION")
    single = tariff(reserving, element(component("ENERGY", "1", vat=21)), min_price={"excl_vat": Decimal(20)})

    consumed = priced(cdr(period(ENERGY=1, TIME=1)), mixed)
    idle = priced(cdr(period(PARKING_TIME=1)), single)

    assert consumed.total_cost == Price(Decimal(20), Decimal(23))
    assert idle.total_cost == Price(Decimal(20), Decimal("24.2"))


@pytest.mark.req("PRI-88")
def test_a_policy_rounds_the_total_and_is_part_of_the_explanation() -> None:
    document, bill = cdr(period(ENERGY="1.05")), tariff(element(ENERGY))

    result = price(document, [bill], timezone="UTC", policy=Policy("down", 2))

    assert result.total_cost == Price(Decimal("0.31"), Decimal("0.38"))
    assert result.as_json()["policy"] == {"rounding": "down", "total_decimals": 2, "tolerance": None}


@pytest.mark.req("PRI-103", "PRI-104")
def test_totals_for_a_cdr_are_plain_numbers_and_leave_out_what_has_no_line() -> None:
    members = totals(priced(cdr(period(ENERGY=100)), tariff(element(ENERGY))))

    assert json.loads(tariff_pricing.dumps(members)) == {
        "total_cost": {"excl_vat": 30, "incl_vat": 36.3},
        "total_energy": 100,
        "total_energy_cost": {"excl_vat": 30, "incl_vat": 36.3},
        "total_time": 1,
    }
    assert "E" not in tariff_pricing.dumps([members["total_energy"], members["total_cost"]["excl_vat"]])


@pytest.mark.req("PRI-120")
def test_a_line_shows_what_matched_and_where_the_surplus_came_from() -> None:
    bands = element(component("ENERGY", "1", step_size=500), min_kwh=2, start_time="14:00", end_time="15:00")
    document = cdr(period(ENERGY=3), period("2025-03-03T10:30:00Z", ENERGY="1.2"))

    (line,) = priced(document, tariff(bands), timezone="Asia/Dubai").as_json()["lines"]

    assert line["period"] == 1
    assert (line["measured"], line["billed"]) == ("1.2000", "1.5000")
    assert line["step"] == {"total": "1.2", "step_size": 500, "rounded": "1.5"}
    assert line["why"]["restrictions"] == {"min_kwh": 2, "start_time": "14:00", "end_time": "15:00"}
    assert (line["why"]["energy_kwh"], line["why"]["session_s"]) == ("3", "1800")


@pytest.mark.req("PRI-02")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"currency": None}, "currency"),
        ({"start_date_time": "yesterday"}, "start_date_time"),
        ({"end_date_time": None}, "end_date_time"),
        ({"end_date_time": "2025-03-03T09:00:00Z"}, "end_date_time"),
        ({"charging_periods": {}}, "charging_periods"),
        ({"charging_periods": [7]}, "charging_periods[0]"),
        ({"charging_periods": [{"start_date_time": START}]}, "charging_periods[0].dimensions"),
        ({"charging_periods": [{"start_date_time": START, "dimensions": [{"volume": 1}]}]}, "charging_periods[0]"),
    ],
)
def test_a_document_that_cannot_be_priced_names_the_member(change: dict[str, Any], field: str) -> None:
    with pytest.raises(NotPriceable) as caught:
        priced(cdr(period(ENERGY=1)) | change, tariff(element(ENERGY)))

    assert caught.value.code == "invalid_input"
    assert caught.value.message.startswith(field)


@pytest.mark.req("PRI-02")
@pytest.mark.parametrize(
    ("restrictions", "field"),
    [
        ({"start_time": "25:00"}, "start_time"),
        ({"start_date": "2025-13-01"}, "start_date"),
        ({"day_of_week": ["FUNDAY"]}, "day_of_week"),
        ({"min_duration": -1}, "min_duration"),
        ({"min_kwh": "10"}, "min_kwh"),
        ({"reservation": "MAYBE"}, "reservation"),
    ],
)
def test_a_tariff_that_cannot_be_used_names_the_member(restrictions: dict[str, Any], field: str) -> None:
    with pytest.raises(NotPriceable, match=rf"tariff.elements\[0\].restrictions.{field}"):
        priced(cdr(period(ENERGY=1)), tariff(element(ENERGY, **restrictions)))
