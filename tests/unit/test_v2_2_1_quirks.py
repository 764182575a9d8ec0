"""What partners do wrong is repaired, counted by kind, and stored without losing anything else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocpi import documents, status
from ocpi.v2_2_1 import cdrs, hubclientinfo, locations, sessions, tariffs, tokens

DOCUMENTS = Path(__file__).resolve().parents[1] / "documents" / "2.2.1"
MODULES = {"location": (locations, "Location"), "session": (sessions, "Session"), "cdr": (cdrs, "CDR"),
           "token_rfid": (tokens, "Token"), "tariff": (tariffs, "Tariff")}  # fmt: skip
Change = Callable[[dict[str, Any]], Any]


def read(name: str) -> dict[str, Any]:
    return json.loads((DOCUMENTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def evse(document: dict[str, Any]) -> dict[str, Any]:
    return document["evses"][0]  # type: ignore[no-any-return]


# requirement, document, what the partner does, the kind that is counted, what is stored
QUIRKS: list[tuple[str, str, Change, str, Change]] = [
    ("PIT-31", "session", lambda d: d.update(status="RESERVED"), "PIT-31 RESERVED",
     lambda d: d.update(status="RESERVATION")),
    ("PIT-34", "location", lambda d: d["coordinates"].update(latitude=52.089123, longitude=-5),
     "PIT-34 coordinates", lambda d: d["coordinates"].update(latitude="52.089123", longitude="-5.00000")),
    ("QRK-13", "location", lambda d: d["coordinates"].update(latitude="52.0891234567891", longitude="5.1"),
     "PIT-34 coordinates", lambda d: d["coordinates"].update(latitude="52.0891235", longitude="5.10000")),
    ("PIT-39", "location", lambda d: d.update(country="NL"), "PIT-39 country", lambda d: d.update(country="NLD")),
    ("QRK-14", "cdr", lambda d: d["cdr_location"].update(country="be"), "PIT-39 country",
     lambda d: d["cdr_location"].update(country="BEL")),
    ("PIT-40", "location", lambda d: evse(d).update(floor_level=-2, floor=-2), "PIT-40 floor_level",
     lambda d: evse(d).update(floor_level="-2", floor=-2)),
    ("PIT-40", "location", lambda d: evse(d).update(physical_reference=7), "PIT-40 physical_reference",
     lambda d: evse(d).update(physical_reference="7")),
    ("QRK-16", "location", lambda d: d["operator"].update(website=""), "QRK-16 empty URL",
     lambda d: d["operator"].pop("website")),
    ("QRK-18", "session", lambda d: d.update(last_updated="2025-06-01T12:00:00+02:00"), "TYP-04 DateTime",
     lambda d: d.update(last_updated="2025-06-01T10:00:00Z")),
    ("TRN-115", "location", lambda d: evse(d).update(capabilities=["RFID_READER", "TELEPATHY"]),
     "TRN-115 capabilities", lambda d: evse(d).update(capabilities=["RFID_READER"])),
    ("QRK-12", "location", lambda d: d.update(facilities=["SAUNA"]), "TRN-115 facilities",
     lambda d: d.pop("facilities")),
    ("PIT-44", "location", lambda d: evse(d).update(parking_restrictions=["EMPLOYEES", "EV_ONLY"]),
     "TRN-115 parking_restrictions", lambda d: evse(d).update(parking_restrictions=["EV_ONLY"])),
    ("QRK-12", "location", lambda d: d.update(parking_type="ROOFTOP"), "TRN-115 parking_type",
     lambda d: d.pop("parking_type")),
    ("QRK-12", "token_rfid", lambda d: d.update(default_profile_type="SLOW"), "TRN-115 default_profile_type",
     lambda d: d.pop("default_profile_type", None)),
    ("PIT-44", "location", lambda d: evse(d)["connectors"][0].update(standard="MCS"), "PIT-44 standard",
     lambda d: evse(d)["connectors"][0].update(standard="MCS")),
    ("PIT-44", "cdr", lambda d: d["cdr_location"].update(connector_standard="SAE_J3400"),
     "PIT-44 connector_standard", lambda d: d["cdr_location"].update(connector_standard="SAE_J3400")),
    ("QRK-11", "location", lambda d: evse(d).update(status="REMOVED", connectors=[]),
     "QRK-11 connectors of a removed EVSE", lambda d: evse(d).update(status="REMOVED", connectors=[])),
    ("QRK-21", "location", lambda d: d["evses"].append(evse(d)), "QRK-21 evses listed twice", lambda d: None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "quirk", "kind", "repair"),
    [pytest.param(*rest, marks=pytest.mark.req(req), id=f"{req}-{i}") for i, (req, *rest) in enumerate(QUIRKS)],
)
def test_a_known_quirk_is_repaired_and_counted(name: str, quirk: Change, kind: str, repair: Change) -> None:
    file, level = MODULES[name]
    sent, expected = read(name), read(name)
    quirk(sent)
    repair(expected)
    body = json.dumps(sent).encode()

    stored, kinds = file.check_leniently(body, level)

    assert json.loads(stored) == expected
    assert kinds == [kind]
    file.check(body, level)
    with pytest.raises(status.InvalidParameters):
        file.check(body, level, strict=True)


@pytest.mark.parametrize("name", MODULES)
def test_a_good_document_is_stored_as_it_came(name: str) -> None:
    file, level = MODULES[name]
    body = (DOCUMENTS / f"{name}.json").read_bytes()

    stored, kinds = file.check_leniently(body, level)

    assert stored is body
    assert kinds == []


@pytest.mark.req("TYP-07", "TRN-114")
def test_a_repair_keeps_number_texts_unknown_members_and_order() -> None:
    body = (
        b'{"party_id":"TNM","x":{"n":4.00,"big":12345678901234567890123},"country_code":"NL","role":"CPO",'
        b'"status":"PLANNED","last_updated":"2025-06-01T10:00:00+00:00","y":1E2,"z":null}'
    )

    stored, _ = hubclientinfo.check_leniently(body, "ClientInfo")

    assert stored == body.replace(b"+00:00", b"Z")


@pytest.mark.req("PIT-41", "QRK-11")
def test_null_for_every_unset_optional_member_needs_no_repair() -> None:
    session = {**read("session"), "end_date_time": None, "total_cost": None, "charging_periods": None}
    body = json.dumps(session).encode()

    assert sessions.check_leniently(body, "Session") == (body, [])


@pytest.mark.req("TRN-115")
def test_an_unknown_value_in_a_required_member_stays_refused_beside_repairs() -> None:
    location = read("location")
    location["coordinates"]["latitude"] = 52.1
    evse(location)["status"] = "ON_FIRE"

    with pytest.raises(status.InvalidParameters) as refused:
        locations.check_leniently(json.dumps(location).encode(), "Location")

    assert refused.value.field == "evses[0].status"


@pytest.mark.req("TRN-115", "TAR-24")
def test_a_restriction_is_never_dropped_for_an_unknown_value() -> None:
    for members in ({"day_of_week": ["HOLIDAY"]}, {"reservation": "MAYBE"}):
        tariff = read("tariff")
        tariff["elements"][0]["restrictions"] = members
        with pytest.raises(status.InvalidParameters):
            tariffs.check_leniently(json.dumps(tariff).encode(), "Tariff")


@pytest.mark.req("PIT-34")
@pytest.mark.parametrize("latitude", [90.1, "91", "1_0.0", " 52.1", "52,1", "", "north", 1e40, True, [52.1]])
def test_what_is_no_coordinate_is_refused(latitude: Any) -> None:
    location = read("location")
    location["coordinates"]["latitude"] = latitude

    with pytest.raises(status.InvalidParameters) as refused:
        locations.check_leniently(json.dumps(location).encode(), "Location")

    assert refused.value.field == "coordinates.latitude"


@pytest.mark.req("PIT-34", "TYP-04")
def test_quirks_in_a_patch_are_repaired_too() -> None:
    body = b'{"coordinates":{"latitude":52.1,"longitude":5.2},"last_updated":"2025-06-01t10:00:00z"}'

    stored, kinds = locations.check_leniently(body, "Location", partial=True)

    assert json.loads(stored) == {
        "coordinates": {"latitude": "52.10000", "longitude": "5.20000"},
        "last_updated": "2025-06-01T10:00:00Z",
    }
    assert kinds == ["PIT-34 coordinates", "TYP-04 DateTime"]


@pytest.mark.req("QRK-21")
@pytest.mark.parametrize(
    ("holder", "name", "values"),
    [
        (lambda d: d, "facilities", ["CAFE", "CAFE"]),
        (evse, "capabilities", ["RFID_READER", "UNLOCK_CAPABLE", "RFID_READER"]),
        (evse, "parking_restrictions", ["DISABLED", "DISABLED"]),
        (lambda d: evse(d)["connectors"][0], "tariff_ids", ["day", "DAY"]),
    ],
)
def test_a_value_twice_is_counted_on_every_level(
    holder: Callable[[Any], dict[str, Any]], name: str, values: list[str]
) -> None:
    document = read("location")
    found = {}
    for given in (values, values[:1], [], None):
        holder(document)[name] = given
        found[str(given)] = locations.check_leniently(json.dumps(document).encode(), "Location")[1]

    assert found == {
        str(values): [f"QRK-21 {name} with the same value twice"],
        str(values[:1]): [],
        "[]": [],
        "None": [],
    }


@pytest.mark.req("LOC-59")
@pytest.mark.parametrize(
    ("watts", "kinds"), [(7_590, []), (7_591, ["LOC-59 max_electric_power above voltage times amperage"])]
)
def test_a_connector_may_have_a_tenth_more_power_than_voltage_times_amperage(watts: int, kinds: list[str]) -> None:
    document = read("location")
    evse(document)["connectors"][0].update(
        power_type="AC_1_PHASE", max_voltage=230, max_amperage=30, max_electric_power=watts
    )

    assert locations.check_leniently(json.dumps(document).encode(), "Location")[1] == kinds


@pytest.mark.req("LOC-58")
@pytest.mark.parametrize(("share", "kinds"), [(99.95, []), (90, ["LOC-58 energy_sources do not add up to 100"])])
def test_energy_sources_that_do_not_add_up_are_only_remarked(share: float, kinds: list[str]) -> None:
    sources = [{"source": "WIND", "percentage": share}]
    location = {**read("location"), "energy_mix": {"is_green_energy": True, "energy_sources": sources}}
    body = json.dumps(location).encode()

    assert locations.check_leniently(body, "Location") == (body, kinds)


@pytest.mark.req("PIT-32")
@pytest.mark.parametrize(("volume", "kinds"), [(41120, ["PIT-32 ENERGY in Wh"]), (41.12, []), (0, [])])
def test_energy_in_wh_is_flagged_and_not_corrected(volume: float, kinds: list[str]) -> None:
    period = {"start_date_time": "2025-06-01T10:00:00Z", "dimensions": [{"type": "ENERGY", "volume": volume}]}
    body = json.dumps({**read("session"), "kwh": 41.12, "charging_periods": [period]}).encode()

    assert sessions.check_leniently(body, "Session") == (body, kinds)


@pytest.mark.parametrize("end", [b'"x":NaN}', b'"x":"\\ud800"}', b'"x":1', b'"x":"\xff"}', b'"x":' + b"[" * 100_000])
def test_what_is_no_json_behind_a_wrong_value_is_refused_as_such(end: bytes) -> None:
    with pytest.raises(status.NotJson):
        locations.check_leniently(b'{"max_voltage":16.0,' + end, "Connector", partial=True)


def test_a_document_can_be_read_and_written_unchanged() -> None:
    text = documents.text(read("location"))

    assert locations.write(locations.read(text)) == text
