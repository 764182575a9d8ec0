"""Strict in what we send: whatever was loaded or taken in, what leaves us keeps every rule to the letter."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cpo.models import Location
from emsp.models import Token
from emsp.modules import commands_operations as commands
from emsp.modules import tokens_operations as tokens
from ocpi import status, version_numbers
from ocpi.enums import ModuleID, VersionNumber
from ocpi.outbox_engine import drain_now
from tests.cpo_support import BASE, LOCATION, Point, add_location, add_point, add_tariff, tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.people import Person, at
from tests.platforms import Listener, Received
from tests.strict_out import faults
from tests.unit.test_load_locations import load

TAG = "04C7A1E2B95D80"
LEVELS = {
    "locations": ("Location", "EVSE", "Connector"), "sessions": ("Session",), "cdrs": ("CDR",), "tariffs": ("Tariff",),
    "tokens": ("Token",),
}  # fmt: skip


def odd(location: dict[str, Any]) -> dict[str, Any]:
    """A Location of ours as a careless export has it."""
    location.update(name=None, images=[], directions=None, suboperator=None, postal_code="#NA", country="nld")
    location["coordinates"] = {"latitude": 52.0891, "longitude": "5.110234123456"}
    location["last_updated"] = "2025-09-12T09:30:00.123456+02:00"
    evse = location["evses"][0]
    evse.update(floor_level=None, parking_restrictions=[], status_schedule=None)
    evse["last_updated"] = "2025-09-12T07:00:00"
    evse["connectors"][0].update(terms_and_conditions="", last_updated="2025-09-12T07:00:00.5Z")
    return location


def assert_strict(module: str, level: str, body: bytes, *, partial: bool = False) -> None:
    document = json.loads(body)
    schema: Any = version_numbers.schema(VersionNumber.V2_2_1, ModuleID(module))
    schema.check(body, level, partial=partial, strict=True)
    assert list(faults(document)) == []


def assert_pushed_strictly(requests: list[Received]) -> set[tuple[str, str]]:
    """Check the bodies of pushes; return which methods of which modules there were."""
    seen = set()
    for request in requests:
        module, *path = request.path.split("/receiver/")[1].strip("/").split("/")
        if module not in LEVELS:
            continue
        level = LEVELS[module][max(len(path) - 3, 0)]
        assert_strict(module, level, request.body, partial=request.method == "PATCH")
        seen.add((request.method, module))
    return seen


@pytest.fixture
def listening(cpo_side: None, partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.mark.req("TRN-108", "TRN-109", "TRN-110", "TYP-01", "TYP-02", "TYP-03", "TYP-07", "QRK-11", "QRK-13", "QRK-18")
@pytest.mark.django_db
def test_all_that_our_cpo_sends_is_strict(
    listening: Person, listener: Listener, document: Document, tmp_path: Path
) -> None:
    add_tariff(tariff())
    load(tmp_path, [odd(with_tariff(document("location")))])
    point = add_point(Location.objects.get(object_id=LOCATION))
    listening.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))

    number = point.start(TAG)["transactionId"]
    drain_now()
    point.status("Charging", at=BASE + timedelta(minutes=1))
    point.meter(number, 3333, at=BASE + timedelta(minutes=20))
    drain_now()
    point.stop(number, 11_111, at=BASE + timedelta(hours=1, seconds=7))
    drain_now()

    pushed = assert_pushed_strictly(listener.requests)
    assert {("PUT", "locations"), ("PATCH", "locations"), ("PUT", "sessions"), ("POST", "cdrs")} <= pushed
    for module in ("locations", "sessions", "cdrs", "tariffs"):
        query = {"date_from": "2020-01-01T00:00:00Z"}
        (listed,) = listening.get(f"cpo/2.2.1/{module}", query=query).data
        assert_strict(module, LEVELS[module][0], json.dumps(listed).encode())
    found = listening.get(f"cpo/2.2.1/locations/{LOCATION}").data
    assert found["coordinates"] == {"latitude": "52.08910", "longitude": "5.1102341"}
    assert not {"name", "images", "directions", "suboperator", "postal_code"} & set(found)


@pytest.mark.req("TRN-110", "TYP-03", "TRN-112")
@pytest.mark.django_db
def test_all_that_our_emsp_sends_is_strict(
    emsp_side: None, partner: Partner, listener: Listener, document: Document
) -> None:
    cpo = partner("NL*TNM:CPO", listener=listener)
    listener.reply("POST", "/ocpi/2.2.1/receiver/commands", data={"result": "ACCEPTED", "timeout": 30})
    body = document("token_rfid", visual_number=None, last_updated="2025-09-12T09:30:00.123456+02:00")
    body |= {"visual_number": None, "group_id": None, "language": "#NA"}

    kept = tokens.keep(json.dumps(body).encode())
    token = Token.objects.get(pk=kept.row_id)
    drain_now()
    start = commands.start_session(to=at("NL*TNM"), token=token, location_id="LOC1")
    commands.stop_session(to=at("NL*TNM"), session_id="S1")

    assert ("PUT", "tokens") in assert_pushed_strictly(listener.requests)
    (listed,) = cpo.get("emsp/2.2.1/tokens").data
    assert_strict("tokens", "Token", json.dumps(listed).encode())
    assert not {"visual_number", "group_id", "language"} & set(listed)
    assert listed["last_updated"] == "2025-09-12T07:30:00.123Z"
    sent = {request.path.rpartition("/")[2]: request.body for request in listener.received("POST")}
    schema: Any = version_numbers.schema(VersionNumber.V2_2_1, ModuleID.commands)
    for command, level in (("START_SESSION", "StartSession"), ("STOP_SESSION", "StopSession")):
        schema.check(sent[command], level, strict=True)
        assert list(faults(json.loads(sent[command]))) == []
    assert start.state == "ACCEPTED"
    answer = cpo.post(f"emsp/2.2.1/tokens/{token.uid}/authorize")
    assert list(faults(answer.data)) == []


@pytest.mark.req("TRN-111", "TRN-112")
@pytest.mark.django_db
def test_na_is_sent_only_where_a_text_is_required(
    cpo_side: None, emsp: Person, document: Document, tmp_path: Path
) -> None:
    body = document("location", address="#NA", name="#NA", postal_code="#NA", state="#NA")
    body["evses"][0].update(evse_id="#NA", physical_reference="#NA")

    load(tmp_path, [body])

    found = emsp.get(f"cpo/2.2.1/locations/{LOCATION}").data
    assert found["address"] == "#NA"
    assert not {"name", "postal_code", "state"} & set(found)
    assert not {"evse_id", "physical_reference"} & set(found["evses"][0])


# What others may send and we may not: what is in the file, and the member that is named.
NOT_OURS: list[tuple[str, dict[str, Any]]] = [
    ("standard", {"standard": "MCS"}),
    ("power_type", {"power_type": "AC_4_PHASE"}),
    ("id", {"id": "C" * 37}),
    ("max_voltage", {"max_voltage": "230"}),
]


@pytest.mark.req("QRK-12", "QRK-15", "QRK-17", "TYP-10", "PIT-44")
@pytest.mark.parametrize(("member", "changes"), NOT_OURS, ids=[row[0] for row in NOT_OURS])
@pytest.mark.django_db
def test_what_we_take_from_others_is_not_loaded_as_our_own(
    cpo_side: None, document: Document, tmp_path: Path, member: str, changes: dict[str, Any]
) -> None:
    good, bad = document("location", id="GOOD"), document("location", id="BAD")
    bad["evses"][0]["connectors"][0].update(changes)

    report = load(tmp_path, [bad, good])

    assert report["created"] == 1
    assert [(each["id"], each["field"]) for each in report["refused"]] == [("BAD", f"evses[0].connectors[0].{member}")]
    assert list(Location.objects.values_list("object_id", flat=True)) == ["GOOD"]


@pytest.mark.req("QRK-11")
@pytest.mark.django_db
def test_a_removed_evse_of_ours_keeps_its_connectors(cpo_side: None, document: Document) -> None:
    body = document("location")
    body["evses"][0].update(status="REMOVED", connectors=[])

    with pytest.raises(status.InvalidParameters, match="connectors"):
        add_location(body)


# ---------------------------------------------------------------- PIT-37, PIT-38: lengths and gaps


@pytest.mark.req("PIT-37")
@pytest.mark.django_db
def test_a_long_address_is_cut_for_those_who_ask_for_it(
    cpo_side: None, partner: Partner, listener: Listener, second_emsp: Person, document: Document
) -> None:
    strict = partner("DE*EMS:EMSP", listener=listener, longest_address=45)
    address = "Straße des " + "sehr langen Namens " * 6

    add_location(with_tariff(document("location", address=address.strip())))
    drain_now()

    def read(person: Person, path: str) -> str:
        data = person.get(path).data
        return str((data[0] if isinstance(data, list) else data)["address"])

    (pushed,) = listener.received("PUT", "/ocpi/2.2.1/receiver/locations")
    cut = address[:45].strip()
    for path in ("cpo/2.2.1/locations", f"cpo/2.2.1/locations/{LOCATION}"):
        assert read(strict, path) == cut
        assert read(second_emsp, path) == address.strip()
    assert pushed.json["address"] == cut
    assert 40 < len(cut) <= 45


@pytest.mark.req("PIT-37", "PIT-38", "TYP-10", "CDR-47")
@pytest.mark.django_db
def test_a_cdr_has_its_own_lengths_and_no_gaps(cpo_side: None, emsp: Person, document: Document) -> None:
    body = with_tariff(document("location", address="x" * 200, state="y" * 45))
    body["evses"][0].pop("evse_id")
    add_tariff(tariff())
    point: Point = add_point(add_location(body))
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))

    point.charge(TAG)

    (cdr,) = emsp.get("cpo/2.2.1/cdrs").data
    place = cdr["cdr_location"]
    assert (len(place["address"]), len(place["state"]), place["evse_id"]) == (45, 20, "#NA")
    assert len(emsp.get(f"cpo/2.2.1/locations/{LOCATION}").data["address"]) == 200
    assert_strict("cdrs", "CDR", json.dumps(cdr).encode())


# ---------------------------------------------------------------- our own rules about our own Locations

ACTIVE = {"start_date_time": "2025-01-01T00:00:00Z", "end_date_time": "2026-01-01T00:00:00Z"}
NEXT = {"start_date_time": "2026-01-01T00:00:00Z"}
# The Tariffs of one Connector → whether whoever loads it is warned.
TARIFFS: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("one type, always", {"type": "REGULAR"}, {"type": "REGULAR"}, True),
    ("two types", {"type": "REGULAR"}, {"type": "AD_HOC_PAYMENT"}, False),
    ("no type is every type", {}, {"type": "REGULAR"}, True),
    ("one after the other", {"type": "REGULAR", **ACTIVE}, {"type": "REGULAR", **NEXT}, False),
    ("a year in common", {"type": "REGULAR", **ACTIVE}, {"type": "REGULAR"}, True),
]


@pytest.mark.req("LOC-60")
@pytest.mark.parametrize(("one", "other", "warned"), [row[1:] for row in TARIFFS], ids=[row[0] for row in TARIFFS])
@pytest.mark.django_db
def test_tariffs_of_one_type_at_the_same_time_are_a_warning(
    cpo_side: None, document: Document, tmp_path: Path, one: dict[str, Any], other: dict[str, Any], warned: bool
) -> None:
    add_tariff(tariff(id="ONE", **one))
    add_tariff(tariff(id="OTHER", **other))
    body = document("location")
    for evse in body["evses"]:
        for connector in evse["connectors"]:
            connector["tariff_ids"] = ["one", "OTHER"]

    report = load(tmp_path, [body])

    assert report["created"] == 1
    assert [each["message"].startswith("LOC-60") for each in report.get("remarks", [])] == [True] * warned


# What is odd in a Location of ours → the warning; it is loaded all the same.
WARNINGS: list[tuple[pytest.MarkDecorator, Any, str]] = [
    (pytest.mark.req("LOC-58"), lambda d: d.update(energy_mix={
        "is_green_energy": True, "energy_sources": [{"source": "WIND", "percentage": 80}]}), "LOC-58"),
    (pytest.mark.req("LOC-47"), lambda d: d["evses"][0].update(evse_id="CHARGER-7"), "LOC-47"),
    (pytest.mark.req("LOC-59"), lambda d: d["evses"][0]["connectors"][0].update(max_electric_power=99_000), "LOC-59"),
    (pytest.mark.req("LOC-48", "PIT-39"), lambda d: d.update(country="NL"), "PIT-39"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "warning"), [pytest.param(*rest, marks=numbers, id=rest[1]) for numbers, *rest in WARNINGS]
)
@pytest.mark.django_db
def test_what_is_odd_in_our_locations_is_a_warning(
    cpo_side: None, document: Document, tmp_path: Path, change: Any, warning: str
) -> None:
    body = document("location")
    change(body)

    report = load(tmp_path, [body])
    clean = load(tmp_path, [document("location", id="CLEAN")])

    assert (report["created"], report["refused"]) == (1, [])
    assert [each["message"].startswith(warning) for each in report["remarks"]] == [True]
    assert "remarks" not in clean


@pytest.mark.req("LOC-66", "LOC-70", "LOC-29")
@pytest.mark.django_db
def test_charge_points_of_one_place_are_one_location_with_all_they_can(
    cpo_side: None, emsp: Person, document: Document, tmp_path: Path
) -> None:
    payment = ["CHIP_CARD_SUPPORT", "CONTACTLESS_CARD_SUPPORT", "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE",
               "PED_TERMINAL"]  # fmt: skip
    removal = [{"period_begin": "2030-01-01T00:00:00Z", "status": "REMOVED"}]
    body = document("location")
    body["evses"][0].update(capabilities=payment, status_schedule=removal)
    load(tmp_path, [body])
    location = Location.objects.get()

    add_point(location, "CP-1")
    add_point(location, "CP-2", evses=("TNM-UTR-0042-2",))

    (listed,) = emsp.get("cpo/2.2.1/locations").data
    assert len(listed["evses"]) == 2
    assert listed["evses"][0]["capabilities"] == payment
    assert listed["evses"][0]["status_schedule"] == removal
    assert listed["evses"][0]["status"] != "REMOVED"
