"""The rules of OCPI 2.2.1 for what stands in an object, field by field and between fields."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpi import status
from ocpi.v2_2_1 import cdrs, chargingprofiles, commands, credentials, locations, sessions, tariffs, tokens

DOCUMENTS = Path(__file__).resolve().parents[1] / "documents" / "2.2.1"
Change = Callable[[dict[str, Any]], Any]
FILES = {
    "location": (locations, "Location"),
    "evse": (locations, "EVSE"),
    "connector": (locations, "Connector"),
    "session": (sessions, "Session"),
    "cdr": (cdrs, "CDR"),
    "tariff": (tariffs, "Tariff"),
    "token_rfid": (tokens, "Token"),
    "credentials": (credentials, "Credentials"),
    "start_session": (commands, "StartSession"),
    "charging_profile": (chargingprofiles, "SetChargingProfile"),
}


def document(name: str) -> dict[str, Any]:
    return json.loads((DOCUMENTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def check(name: str, change: Change, *, strict: bool = False) -> Any:
    file, level = FILES[name]
    changed = deepcopy(document(name))
    change(changed)
    return file.check(json.dumps(changed).encode(), level, strict=strict)


@pytest.mark.parametrize("name", FILES)
def test_the_example_document_keeps_every_rule(name: str) -> None:
    check(name, lambda document: None, strict=True)


def evse(document: dict[str, Any]) -> dict[str, Any]:
    return document["evses"][0]  # type: ignore[no-any-return]


def hours(**members: Any) -> Change:
    return lambda document: document.update(opening_times=members)


def regular(begin: str, end: str, weekday: int = 1) -> Change:
    return hours(twentyfourseven=False, regular_hours=[{"weekday": weekday, "period_begin": begin, "period_end": end}])


def allowed(**members: Any) -> Change:
    return lambda document: document.update(publish=False, publish_allowed_to=[members])


def profile(*periods: tuple[int, float], rate: float = 6.0) -> Change:
    return lambda document: document["charging_profile"].update(
        min_charging_rate=rate,
        charging_profile_period=[{"start_period": start, "limit": limit} for start, limit in periods],
    )


def role(index: int, **members: Any) -> Change:
    return lambda document: document["roles"].insert(index, {**document["roles"][0], **members})


ACCEPTED: list[tuple[str, str, Change]] = [
    ("LOC-36", "location", lambda d: d.update(publish=True, publish_allowed_to=[])),
    ("LOC-38", "location", allowed(uid="1", type="RFID")),
    ("LOC-38", "location", allowed(visual_number="1", issuer="TNM")),
    ("LOC-38", "location", allowed(group_id="G")),
    ("LOC-49", "location", lambda d: d.update(time_zone="America/Argentina/Buenos_Aires")),
    ("LOC-50", "location", lambda d: d.pop("postal_code")),
    ("LOC-53", "location", lambda d: d.update(charging_when_closed=None)),
    ("LOC-54", "location", hours(twentyfourseven=True)),
    ("LOC-55", "location", regular("08:00", "20:00", 7)),
    ("LOC-56", "location", regular("08:00", "24:00")),
    ("LOC-56", "location", regular("08:00", "00:00")),
    ("LOC-27", "location", lambda d: evse(d).update(status="REMOVED", evse_id=None)),
    ("LOC-63", "connector", lambda d: d.update(tariff_ids=["never-heard-of"])),
    ("LOC-51", "location", lambda d: d["coordinates"].update(latitude="-50.1234567", longitude="-126.1234567")),
    ("PIT-34", "location", lambda d: d["coordinates"].update(latitude="-50.1234567", longitude="-126.1234567")),
    ("PIT-37", "location", lambda d: d.update(address="x" * 255, state="x" * 45)),
    ("PIT-37", "cdr", lambda d: d["cdr_location"].update(address="x" * 255, state="x" * 45)),
    ("PIT-37", "cdr", lambda d: d["signed_data"]["signed_values"][0].update(plain_data="x" * 5000)),
    ("PIT-38", "cdr", lambda d: d["cdr_location"].update(evse_uid="#NA", evse_id="#NA", connector_id="#NA")),
    ("CDR-22", "cdr", lambda d: d.update(credit=True, credit_reference_id="C-1")),
    ("CDR-23", "cdr", lambda d: d.update(id="x" * 39, credit=True, credit_reference_id="C-1")),
    ("CDR-23", "cdr", lambda d: d.update(id="x" * 36)),
    ("CDR-37", "cdr", lambda d: d["charging_periods"][0].update(tariff_id=d["tariffs"][0]["id"].lower())),
    ("CDR-37", "cdr", lambda d: d.pop("tariffs")),
    ("CDR-36", "cdr", lambda d: d["charging_periods"][0].pop("tariff_id", None)),
    ("CDR-25", "cdr", lambda d: d["total_cost"].update(excl_vat=-1, incl_vat=-1.21)),
    ("TAR-19", "tariff", lambda d: d["elements"][0]["price_components"][0].update(step_size=0)),
    ("TAR-23", "tariff", lambda d: d.update(min_price={"excl_vat": 2}, max_price={"excl_vat": 2, "incl_vat": 2.4})),
    ("PIT-42", "tariff", lambda d: d["elements"][0]["price_components"][0].pop("vat")),
    ("CMD-33", "start_session", lambda d: [d.pop("connector_id", None), d.pop("evse_uid", None)]),
    ("CHP-30", "charging_profile", profile((0, 16.0), (60, 7.5))),
    ("CHP-33", "charging_profile", profile((0, 16))),
    ("CRED-45", "credentials", lambda d: d.update(token="!" + "~" * 63)),
    ("CRED-48", "credentials", role(1, role="OTHER")),
    ("CRED-48", "credentials", role(1, party_id="ZZZ")),
    ("TRN-108", "session", lambda d: d.update(end_date_time=None, total_cost=None, meter_id=None)),
    ("TRN-109", "session", lambda d: d.update(charging_periods=None)),
    ("TRN-109", "session", lambda d: d.update(charging_periods=[])),
    ("TRN-113", "session", lambda d: d.update(evse_uid="#NA", connector_id="#NA", currency="#NA")),
    ("TRN-113", "location", lambda d: d.update(country="#NA", time_zone="#NA", address="#NA")),
    ("TRN-113", "location", lambda d: d["coordinates"].update(latitude="#NA", longitude="#NA")),
    ("TRN-114", "location", lambda d: [d.update(parking_places=[1]), evse(d).update(x={"y": None})]),
]


@pytest.mark.parametrize(
    ("name",
     "change"), [pytest.param(n, c, marks=pytest.mark.req(r), id=f"{r}-{i}") for i, (r, n, c) in enumerate(ACCEPTED)]
)  # fmt: skip
def test_what_keeps_the_rules_is_accepted(name: str, change: Change) -> None:
    check(name, change, strict=True)


REFUSED: list[tuple[str, str, Change, str]] = [
    ("LOC-36", "location", lambda d: d.update(publish=True, publish_allowed_to=[{"group_id": "G"}]),
     "publish_allowed_to: must be absent when publish is true"),
    ("LOC-38", "location", allowed(issuer="TNM"),
     "publish_allowed_to[0].uid: or visual_number or group_id is required"),
    ("LOC-38", "location", allowed(uid="1"), "publish_allowed_to[0].type: is required with uid"),
    ("LOC-38", "location", allowed(visual_number="1"), "publish_allowed_to[0].issuer: is required with visual_number"),
    ("LOC-45", "location", lambda d: d["evses"].append({**evse(d), "uid": evse(d)["uid"].lower(), "status": "UNKNOWN"}),
     "uid: must be unique"),
    ("LOC-46", "evse", lambda d: d["connectors"].append({**d["connectors"][0], "format": "CABLE", "max_voltage": 1}),
     "id: must be unique"),
    ("LOC-48", "location", lambda d: d.update(country="N1"), "country: must be an ISO 3166-1 alpha-3"),
    ("LOC-48", "location", lambda d: d.update(country_code="NLX"), "country_code: must be an ISO 3166-1 alpha-2"),
    ("LOC-49", "location", lambda d: d.update(time_zone="Europe/Utrecht"), "time_zone: must be an IANA time zone name"),
    ("LOC-49", "location", lambda d: d.pop("time_zone"), "time_zone: is required"),
    ("LOC-51", "location", lambda d: d["coordinates"].update(latitude="north"),
     "coordinates.latitude: must be a latitude"),
    ("LOC-51", "location", lambda d: d["coordinates"].update(longitude=181.5),
     "coordinates.longitude: must be a longitude"),
    ("LOC-54", "location", hours(twentyfourseven=False), "opening_times.regular_hours: must have at least one"),
    ("LOC-54", "location", hours(regular_hours=[]), "opening_times.twentyfourseven: is required"),
    ("LOC-55", "location", regular("20:00", "08:00"), "regular_hours[0].period_end: must be later than period_begin"),
    ("LOC-55", "location", regular("08:00", "08:00"), "regular_hours[0].period_end: must be later than period_begin"),
    ("LOC-55", "location", regular("8:00", "20:00"), "regular_hours[0].period_begin: must be a local time HH:MM"),
    ("LOC-55", "location", regular("24:00", "24:00"), "regular_hours[0].period_begin: must be a local time HH:MM"),
    ("LOC-55", "location", regular("08:00", "20:00", 8), "regular_hours[0].weekday: must be an integer of at most 7"),
    ("LOC-55", "location", regular("08:00", "20:00", 0), "regular_hours[0].weekday: must be an integer of at least 1"),
    ("TRN-109", "evse", lambda d: d.update(connectors=[]), "connectors: must be a list with at least 1 element"),
    ("TRN-109", "evse", lambda d: d.update(connectors=None), "connectors: is required"),
    ("TRN-115", "evse", lambda d: d.update(status="FAULTED"), "status: must be one of AVAILABLE, BLOCKED, CHARGING"),
    ("TRN-115", "tariff", lambda d: d["elements"][1]["restrictions"].update(day_of_week=["MONDAY", "HOLIDAY"]),
     "elements[1].restrictions.day_of_week[1]: must be one of MONDAY"),
    ("TRN-115", "tariff", lambda d: d.update(type="CHILD"), "type: must be one of AD_HOC_PAYMENT"),
    ("TRN-117", "evse", lambda d: d.update(status="available"), "status: must be one of"),
    ("TRN-116", "evse", lambda d: d.update(Status=d.pop("status")), "status: is required"),
    ("CDR-22", "cdr", lambda d: d.update(credit=True), "credit_reference_id: is required when credit is true"),
    ("CDR-23", "cdr", lambda d: d.update(id="x" * 37), "id: must be a string of at most 36 characters"),
    ("CDR-23", "cdr", lambda d: d.update(id="x" * 40, credit=True, credit_reference_id="C"),
     "id: must be a string of at most 39 characters"),
    ("CDR-33", "cdr", lambda d: d.update(charging_periods=[]), "charging_periods: must be a list with at least 1"),
    ("CDR-33", "cdr", lambda d: d["charging_periods"][0].update(dimensions=[]), "charging_periods[0].dimensions: must"),
    ("CDR-33", "cdr", lambda d: d["charging_periods"][0].pop("start_date_time"),
     "charging_periods[0].start_date_time: is"),
    ("CDR-37", "cdr", lambda d: d["charging_periods"][0].update(tariff_id="other"),
     "charging_periods[0].tariff_id: must name an entry of tariffs"),
    ("CDR-29", "cdr", lambda d: d["cdr_token"].pop("country_code"), "cdr_token.country_code: is required"),
    ("PIT-38", "cdr", lambda d: d["cdr_location"].pop("evse_id"), "cdr_location.evse_id: is required"),
    ("TAR-19", "tariff", lambda d: d["elements"][0]["price_components"][0].update(step_size=-1),
     "elements[0].price_components[0].step_size: must be an integer of at least 0"),
    ("TAR-23", "tariff", lambda d: d.update(min_price={"excl_vat": 2.01}, max_price={"excl_vat": 2}),
     "min_price: must not be greater than max_price"),
    ("TAR-23", "tariff", lambda d: d.update(min_price={"excl_vat": 1, "incl_vat": 3}, max_price={"excl_vat": 2,
     "incl_vat": 2.4}),
     "min_price: must not be greater than max_price"),
    ("TAR-44", "tariff", lambda d: d.update(elements=[]), "elements: must be a list with at least 1 element"),
    ("TAR-44", "tariff", lambda d: d["elements"][0].pop("price_components"),
     "elements[0].price_components: is required"),
    ("TAR-28", "tariff", lambda d: d["elements"][1]["restrictions"].update(start_date="2025-02-30"),
     "elements[1].restrictions.start_date: must be a day of the calendar"),
    ("TAR-28", "tariff", lambda d: d["elements"][1]["restrictions"].update(end_date="20250201"),
     "elements[1].restrictions.end_date: must be a local date YYYY-MM-DD"),
    ("TAR-25", "tariff", lambda d: d["elements"][1]["restrictions"].update(end_time="24:00"),
     "elements[1].restrictions.end_time: must be a local time HH:MM"),
    ("CMD-33", "start_session", lambda d: [d.update(connector_id="1"), d.pop("evse_uid", None)],
     "evse_uid: is required when connector_id is given"),
    ("CHP-30", "charging_profile", profile((0, 16.25)),
     "charging_profile.charging_profile_period[0].limit: must be a number with at most one decimal"),
    ("CHP-30", "charging_profile", profile((0, 16), rate=6.05), "charging_profile.min_charging_rate: must be a number"),
    ("CHP-33", "charging_profile", profile(), "charging_profile.charging_profile_period: must have at least one"),
    ("CHP-33", "charging_profile", lambda d: d["charging_profile"].pop("charging_profile_period"),
     "charging_profile.charging_profile_period: must have at least one"),
    ("CHP-33", "charging_profile", profile((1, 16)), "charging_profile_period[0].start_period: must be 0"),
    ("CHP-33", "charging_profile", profile((0, 16), (60, 8), (60, 6)),
     "charging_profile_period[2].start_period: must be later than the one before"),
    ("CRED-45", "credentials", lambda d: d.update(token="a b"), "token: must be a string of 1 to 64 printable ASCII"),
    ("CRED-45", "credentials", lambda d: d.update(token=""), "token: must be a string of 1 to 64 printable ASCII"),
    ("CRED-45", "credentials", lambda d: d.update(token="x" * 65),
     "token: must be a string of 1 to 64 printable ASCII"),
    ("CRED-47", "credentials", lambda d: d.update(roles=[]), "roles: must be a list with at least 1 element"),
    ("CRED-47", "credentials", lambda d: d["roles"][0].pop("business_details"),
     "roles[0].business_details: is required"),
    ("CRED-48", "credentials", role(1), "roles[1]: must not repeat a role of the same party"),
    ("CRED-48", "credentials", role(1, country_code="nl", party_id="tnm"), "roles[1]: must not repeat"),
    ("TYP-11", "credentials", role(1, country_code="nl", party_id="tnm"), "roles[1]: must not repeat"),
    ("TYP-15", "credentials", role(0, role="MSP"),
     "roles[0].role: must be one of CPO, EMSP, HUB, NAP, NSP, OTHER, SCSP"),
    ("TRN-039", "session", lambda d: d.update(cdr_token=[]), "cdr_token: must be an object, not a list"),
    ("TYP-10", "session", lambda d: d["cdr_token"].update(uid="x" * 37),
     "cdr_token.uid: must be a string of at most 36"),
    ("PIT-37", "cdr", lambda d: d["cdr_location"].update(address="x" * 256),
     "cdr_location.address: must be a string of"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [pytest.param(n, c, m, marks=pytest.mark.req(r), id=f"{r}-{i}") for i, (r, n, c, m) in enumerate(REFUSED)],
)
def test_what_breaks_a_rule_is_refused_with_the_field_and_the_rule(name: str, change: Change, message: str) -> None:
    with pytest.raises(status.InvalidParameters) as refused:
        check(name, change)

    assert message in refused.value.message
    assert refused.value.field


@pytest.mark.req("LOC-51")
@pytest.mark.parametrize("name", ["latitude", "longitude"])
@pytest.mark.parametrize("given", ["52.1234", "52.12345678", "0052.12345", "+52.12345", 52.12345])
def test_coordinates_that_we_would_not_send_fail_the_strict_check(name: str, given: Any) -> None:
    with pytest.raises(status.InvalidParameters, match=f"coordinates.{name}: must be"):
        check("location", lambda document: document["coordinates"].update({name: given}), strict=True)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"5"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(status.InvalidParameters, match="the body must be an object"):
        locations.check(body, "Location")


@pytest.mark.parametrize("body", [b"", b"{", b'{"id":"\xff"}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(status.NotJson):
        locations.check_leniently(body, "Location")


@pytest.mark.req("TRN-084", "TRN-114")
def test_a_patch_may_hold_any_part_of_the_object() -> None:
    patch = locations.check(b'{"status":"CHARGING","custom":1}', "EVSE", partial=True)

    assert patch.status == "CHARGING"
    assert patch.uid is msgspec.UNSET


@pytest.mark.req("TRN-088")
def test_a_patch_may_clear_an_optional_member_but_no_required_one() -> None:
    assert locations.check(b'{"floor_level":null,"images":null}', "EVSE", partial=True).floor_level is None
    for member in ("status", "connectors", "last_updated", "uid"):
        with pytest.raises(status.InvalidParameters) as refused:
            locations.check(f'{{"{member}":null}}'.encode(), "EVSE", partial=True)
        assert refused.value.message == f"{member}: is required"


@pytest.mark.req("TRN-089")
@pytest.mark.parametrize(
    ("level", "body", "message"),
    [
        ("EVSE", {"status": "BROKEN"}, "status: must be one of"),
        ("EVSE", {"connectors": []}, "connectors: must be a list with at least 1 element"),
        ("Connector", {"max_voltage": "400"}, "max_voltage: must be an integer, not a string"),
        ("Location", {"operator": {}}, "operator.name: is required"),
        ("Location", {"evses": [{"status": "CHARGING"}]}, "evses[0].uid: is required"),
        ("Location", {"evses": [{"uid": "1", "connectors": [{"format": "CABLE"}]}]}, "evses[0].connectors[0].id: is"),
        ("Location", {"evses": [{"uid": "1", "status": None}]}, "evses[0].status: is required"),
    ],
)
def test_every_member_of_a_patch_is_checked(level: str, body: dict[str, Any], message: str) -> None:
    with pytest.raises(status.InvalidParameters) as refused:
        locations.check(json.dumps(body).encode(), level, partial=True)

    assert message in refused.value.message


@pytest.mark.req("LOC-31")
def test_a_patch_may_name_parts_of_evses_and_connectors() -> None:
    body = b'{"evses":[{"uid":"1","status":"CHARGING","connectors":[{"id":"1","tariff_ids":["T"]}]}]}'

    assert locations.check(body, "Location", partial=True).evses[0].connectors[0].tariff_ids == ["T"]
