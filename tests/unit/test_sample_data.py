"""Samples and example documents obey the field tables, tell the same story twice, and their sums are right."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from ocpi import sample_data
from tests.unit import field_tables

EXAMPLES = Path(__file__).resolve().parents[1] / "documents" / "2.2.1"

Sample = Callable[[], Iterator[dict[str, Any]]]
SAMPLES: dict[str, tuple[str, Sample]] = {
    "locations": ("Location", lambda: sample_data.locations(300, evses=3, connectors=2)),
    "tariffs": ("Tariff", lambda: iter(sample_data.tariffs("NL", "TNM"))),
    "tokens": ("Token", lambda: sample_data.tokens(300)),
    "sessions": ("Session", lambda: sample_data.sessions(300)),
    "cdrs": ("CDR", lambda: sample_data.cdrs(300)),
}


def read(name: str) -> Any:
    return json.loads((EXAMPLES / f"{name}.json").read_text(), parse_float=Decimal, parse_int=Decimal)


def sent(document: dict[str, Any]) -> Any:
    """Return a sample as a receiver reads it."""
    return json.loads(sample_data.dumps(document), parse_float=Decimal, parse_int=Decimal)


@pytest.fixture(scope="module")
def tables() -> Any:
    return field_tables.load()


@pytest.mark.req("TRN-110", "LOC-51", "TYP-03", "TYP-06")
@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_obeys_the_field_tables(tables: Any, name: str) -> None:
    kind, draw = SAMPLES[name]

    found = [
        fault
        for document in draw()
        for fault in field_tables.faults(
            tables, kind, sent(document), {}, document["id" if "id" in document else "uid"]
        )
    ]

    assert not found


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_passes_our_own_checking(name: str) -> None:
    kind, draw = SAMPLES[name]
    check = import_module(f"ocpi.v2_2_1.{name}").check

    for document in draw():
        check(sample_data.dumps(document).encode(), kind)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_same_seed_draws_the_same_samples(name: str) -> None:
    draw = SAMPLES[name][1]

    assert [sample_data.dumps(document) for document in draw()] == [sample_data.dumps(document) for document in draw()]


def test_a_sample_depends_on_its_index_not_on_how_many_are_drawn() -> None:
    assert list(sample_data.locations(10))[7:] == list(sample_data.locations(3, start=7))
    assert list(sample_data.tokens(10))[7:] == list(sample_data.tokens(3, start=7))
    assert list(sample_data.cdrs(10))[7:] == list(sample_data.cdrs(3, start=7))


def test_another_seed_draws_other_samples() -> None:
    assert list(sample_data.locations(5)) != list(sample_data.locations(5, seed=2))
    assert list(sample_data.tokens(5)) != list(sample_data.tokens(5, seed=2))
    assert list(sample_data.cdrs(5)) != list(sample_data.cdrs(5, seed=2))


@pytest.mark.req("LOC-45", "TOK-14", "CDR-27")
def test_ids_are_unique() -> None:
    places = list(sample_data.locations(2000))
    evse_uids = [evse["uid"].lower() for location in places for evse in location["evses"]]
    evse_ids = [evse["evse_id"] for location in places for evse in location["evses"]]

    for ids in (
        [location["id"] for location in places],
        evse_uids,
        evse_ids,
        [token["uid"].lower() for token in sample_data.tokens(20_000)],
        [session["id"] for session in sample_data.sessions(500)],
        [cdr["id"] for cdr in sample_data.cdrs(500)],
    ):
        assert len(ids) == len(set(ids))


@pytest.mark.req("LOC-12")
def test_no_part_of_a_location_is_newer_than_its_parent() -> None:
    for location in chain(sample_data.locations(500, evses=4, connectors=2), [read("location")]):
        for evse in location["evses"]:
            assert location["last_updated"] >= evse["last_updated"]
            assert all(evse["last_updated"] >= connector["last_updated"] for connector in evse["connectors"])


@pytest.mark.req("LOC-36", "LOC-38", "LOC-54", "LOC-55", "LOC-58")
def test_locations_obey_the_rules_between_fields() -> None:
    drawn = list(sample_data.locations(800))

    for location in [*drawn, read("location")]:
        assert location["publish"] != ("publish_allowed_to" in location)
        for entry in location.get("publish_allowed_to", ()):
            assert "group_id" in entry or {"visual_number", "issuer"} <= entry.keys()
        hours = location["opening_times"]
        assert hours["twentyfourseven"] != ("regular_hours" in hours)
        assert all(period["period_begin"] < period["period_end"] for period in hours.get("regular_hours", ()))
        if sources := location.get("energy_mix", {}).get("energy_sources"):
            assert sum(source["percentage"] for source in sources) == 100
    assert {location["publish"] for location in drawn} == {True, False}


@pytest.mark.req("LOC-59", "LOC-60")
def test_power_voltage_and_current_of_a_connector_belong_together() -> None:
    phases = {"AC_1_PHASE": 1, "AC_3_PHASE": 3, "DC": 1}
    seen = set()

    for location in sample_data.locations(500, connectors=2):
        for connector in chain.from_iterable(evse["connectors"] for evse in location["evses"]):
            seen.add(connector["max_electric_power"])
            most = connector["max_voltage"] * connector["max_amperage"] * phases[connector["power_type"]]
            assert connector["max_electric_power"] <= most
            assert len(connector["tariff_ids"]) == 1
            assert connector["tariff_ids"][0].startswith("DC") == (connector["power_type"] == "DC")

    assert seen == {7_360, 11_040, 22_080, 50_000, 150_000, 300_000}


def test_a_large_location_has_the_size_the_benchmarks_expect() -> None:
    sizes = [
        len(sample_data.dumps(location).encode()) for location in sample_data.locations(100, evses=10, connectors=2)
    ]

    assert 9_000 <= sum(sizes) / len(sizes) <= 11_000


@pytest.mark.req("TAR-14", "TAR-23", "TAR-44")
def test_sample_tariffs_are_the_ones_connectors_refer_to() -> None:
    drawn = {tariff["id"]: tariff for tariff in sample_data.tariffs("NL", "TNM")}

    assert tuple(drawn) == sample_data.TARIFF_IDS
    assert drawn["AC-FREE"]["elements"] == [
        {"price_components": [{"type": "FLAT", "price": Decimal("0.00"), "vat": Decimal(21), "step_size": 1}]}
    ]


@pytest.mark.parametrize(
    ("plain", "digit"),
    [
        # Published vectors of the check digit; the first is a well-known contract id.
        ("NLTNM000122045", "U"),
        ("NN123ABCDEFGHI", "T"),
        ("FRXYZ123456789", "2"),
        ("ITA1B2C3E4F5G6", "4"),
        ("ESZU8WOX834H1D", "R"),
        ("PT73902837ABCZ", "Z"),
        ("DE83DUIEN83QGZ", "D"),
        ("DE83DUIEN83ZGQ", "M"),
        ("DE8AA001234567", "0"),
    ],
)
def test_the_check_digit_of_a_contract_id_is_right(plain: str, digit: str) -> None:
    assert sample_data.contract_id(plain[:2], plain[2:5], plain[5:])[-1] == digit


@pytest.mark.parametrize("parts", [("N", "TNM", "000122045"), ("NL", "TNM", "00122045"), ("NL", "T|M", "000122045")])
def test_a_contract_id_of_wrong_parts_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="no EMA-ID"):
        sample_data.contract_id(*parts)


@pytest.mark.req("TOK-16", "TOK-17")
def test_app_tokens_are_never_whitelisted_and_cards_are_in_all_ways() -> None:
    drawn = list(sample_data.tokens(1000))

    assert {token["whitelist"] for token in drawn if token["type"] == "APP_USER"} == {"NEVER"}
    cards = [token for token in drawn if token["type"] == "RFID"]
    assert {token["whitelist"] for token in cards} == {"ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"}
    assert {len(token["uid"]) for token in cards} == {8, 14}
    assert all(len(token.get("group_id", "")) <= 20 for token in drawn)
    assert 0.9 < sum(token["valid"] for token in drawn) / len(drawn) < 1


def volume(document: Mapping[str, Any], dimension: str) -> Decimal:
    dimensions = chain.from_iterable(period["dimensions"] for period in document["charging_periods"])
    return sum((Decimal(entry["volume"]) for entry in dimensions if entry["type"] == dimension), Decimal(0))


@pytest.mark.req("CDR-42", "CDR-44")
def test_the_totals_of_a_cdr_add_up() -> None:
    limited = 0
    for cdr in [*sample_data.cdrs(1000), read("cdr")]:
        tariff = cdr["tariffs"][0]
        parts = [cdr[name] for name in cdr if re.fullmatch("total_.+_cost", name)]
        for tax in ("excl_vat", "incl_vat"):
            total = sum((part[tax] for part in parts), Decimal(0))
            low = tariff.get("min_price", {}).get(tax, total)
            high = tariff.get("max_price", {}).get(tax, total)
            limited += total > high
            assert abs(min(max(total, low), high) - cdr["total_cost"][tax]) <= Decimal("0.0005")
        assert cdr["total_energy"] == volume(cdr, "ENERGY")
        assert cdr.get("total_parking_time", 0) == volume(cdr, "PARKING_TIME")
        assert cdr["total_time"] == volume(cdr, "TIME") + volume(cdr, "PARKING_TIME")
    assert limited, "no CDR reached its max_price"


@pytest.mark.req("CDR-33", "CDR-34", "CDR-37", "CDR-40")
def test_the_periods_of_a_cdr_are_cut_at_price_changes_and_name_their_tariff() -> None:
    night = 0
    for cdr in sample_data.cdrs(1000):
        starts = [period["start_date_time"] for period in cdr["charging_periods"]]
        assert starts == sorted(set(starts))
        assert starts[0] == cdr["start_date_time"]
        assert {period["tariff_id"] for period in cdr["charging_periods"]} == {cdr["tariffs"][0]["id"]}
        assert not volume(cdr, "POWER") + volume(cdr, "CURRENT") + volume(cdr, "STATE_OF_CHARGE")
        energy_periods = sum(
            entry["type"] == "ENERGY" for period in cdr["charging_periods"] for entry in period["dimensions"]
        )
        night += energy_periods > 1
    assert night, "no CDR crossed a price change"


def test_a_night_cdr_is_priced_by_hand() -> None:
    cdr = next(cdr for cdr in sample_data.cdrs(1000) if cdr["id"] == "CDR-000020")

    assert [period["start_date_time"][11:16] for period in cdr["charging_periods"]] == ["18:56", "20:00", "22:26"]
    # Stuttgart in June: 22:00 on the clock is 20:00 UTC. 4.837 kWh at 0.48 and 11.134 kWh at 0.32, 21 % VAT.
    assert cdr["total_cost"] == {"excl_vat": Decimal("5.8846"), "incl_vat": Decimal("7.1204")}


def test_richer_tariffs_need_the_engine() -> None:
    tariff = read("tariff")

    with pytest.raises(ValueError, match="needs price="):
        next(sample_data.cdrs(1, tariffs=[tariff]))
    priced = next(sample_data.cdrs(1, tariffs=[tariff], price=lambda *_: {"total_cost": {"excl_vat": Decimal(7)}}))
    assert priced["total_cost"] == {"excl_vat": 7}


def test_the_tariff_engine_agrees_with_every_total() -> None:
    engine = import_module("ocpi.tariff_pricing")
    zones = {location["id"]: location["time_zone"] for location in [*sample_data.locations(64), read("location")]}

    for cdr in [*map(sent, sample_data.cdrs(300)), read("cdr")]:
        zone = zones[cdr["cdr_location"]["id"]]
        totals = engine.totals(engine.price(cdr, cdr["tariffs"], timezone=zone))
        computed = {name: value for name, value in totals.items() if name.startswith("total_") and value is not None}
        claimed = {name: value for name, value in cdr.items() if name.startswith("total_")}
        assert sent(computed) == claimed


@pytest.mark.req("SES-12", "SES-21")
def test_a_session_and_the_cdr_of_its_number_tell_the_same() -> None:
    drawn = zip(sample_data.sessions(200), sample_data.cdrs(200), strict=True)

    for session, cdr in drawn:
        assert session["id"] == cdr["session_id"]
        assert session["cdr_token"] == cdr["cdr_token"]
        assert session["evse_uid"] == cdr["cdr_location"]["evse_uid"]
        if session["status"] == "COMPLETED":
            assert session["kwh"] == cdr["total_energy"]
            assert session["end_date_time"] == cdr["end_date_time"]
            assert session["total_cost"] == cdr["total_cost"]


def test_roles_and_client_info_obey_the_field_tables(tables: Any) -> None:
    (role,) = sample_data.credentials_roles([("NL", "TNM", "CPO")])
    info = sample_data.client_info("DE", "EMS", "EMSP", status="OFFLINE")

    assert not list(field_tables.faults(tables, "CredentialsRole", sent(role), {}, "role"))
    assert not list(field_tables.faults(tables, "ClientInfo", sent(info), {}, "info"))
    assert (info["role"], info["status"]) == ("EMSP", "OFFLINE")
