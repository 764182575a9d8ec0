"""The example documents are valid, as full as they can be, and refer to each other."""

import json
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.unit import field_tables

DOCUMENTS = Path(__file__).resolve().parents[1] / "documents" / "2.2.1"
CLASSES = {
    "location": "Location",
    "evse": "EVSE",
    "connector": "Connector",
    "session": "Session",
    "cdr": "CDR",
    "tariff": "Tariff",
    "token_rfid": "Token",
    "token_app_user": "Token",
    "start_session": "StartSession",
    "stop_session": "StopSession",
    "reserve_now": "ReserveNow",
    "cancel_reservation": "CancelReservation",
    "unlock_connector": "UnlockConnector",
    "command_result": "CommandResult",
    "charging_profile": "SetChargingProfile",
    "active_charging_profile": "ActiveChargingProfile",
    "client_info": "ClientInfo",
    "credentials": "Credentials",
    "location_references": "LocationReferences",
    "charging_preferences": "ChargingPreferences",
}
# What a full example leaves out, because another field excludes it.
EXCLUDED = {
    "location.publish_allowed_to",
    "session.end_date_time",
    "cdr.credit_reference_id",
}
MODULES = {
    "locations": ("Location", "EVSE", "Connector"),
    "sessions": ("Session", "ChargingPreferences"),
    "cdrs": ("CDR",),
    "tariffs": ("Tariff",),
    "tokens": ("Token", "LocationReferences"),
    "commands": (
        "StartSession",
        "StopSession",
        "ReserveNow",
        "CancelReservation",
        "UnlockConnector",
        "CommandResult",
    ),
    "chargingprofiles": ("SetChargingProfile", "ActiveChargingProfile"),
    "hubclientinfo": ("ClientInfo",),
    "credentials": ("Credentials",),
}


def read(name: str) -> Any:
    return json.loads((DOCUMENTS / f"{name}.json").read_text(), parse_float=Decimal, parse_int=Decimal)


@pytest.fixture(scope="module")
def tables() -> Any:
    return field_tables.load()


@pytest.mark.parametrize("name", CLASSES)
def test_every_example_document_obeys_the_field_tables(tables: Any, name: str) -> None:
    assert not list(field_tables.faults(tables, CLASSES[name], read(name), {}, name))


@pytest.mark.parametrize("name", CLASSES)
def test_every_example_document_fills_every_optional_field(tables: Any, name: str) -> None:
    fields = {field["name"] for field in tables[CLASSES[name]]["fields"]}

    missing = {f"{name}.{field}" for field in fields - read(name).keys()}

    assert missing <= EXCLUDED


def test_the_table_checker_finds_what_is_wrong(tables: Any) -> None:
    location = read("location")
    location["country"] = "NETHERLANDS"
    location["evses"][0]["status"] = "FINE"
    location["images"] = []
    location["coordinates"]["latitude"] = "52.1"
    del location["time_zone"]

    found = list(field_tables.faults(tables, "Location", location, {}, "location"))

    assert len(found) == 5


def test_there_is_a_class_for_every_example_document() -> None:
    assert {path.stem for path in DOCUMENTS.glob("*.json")} == CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_every_example_document_passes_our_own_checking(name: str) -> None:
    (module,) = (module for module, kinds in MODULES.items() if CLASSES[name] in kinds)

    import_module(f"ocpi.v2_2_1.{module}").check((DOCUMENTS / f"{name}.json").read_bytes(), CLASSES[name])


def test_example_documents_refer_to_each_other() -> None:
    location, session, cdr, token = (read(name) for name in ("location", "session", "cdr", "token_rfid"))

    assert read("evse") == location["evses"][0]
    assert read("connector") == location["evses"][0]["connectors"][0]
    assert (session["location_id"], session["evse_uid"]) == (location["id"], location["evses"][0]["uid"])
    assert (cdr["session_id"], cdr["cdr_location"]["id"]) == (session["id"], location["id"])
    assert cdr["tariffs"] == [read("tariff")]
    assert read("tariff")["id"] in read("connector")["tariff_ids"]
    assert session["cdr_token"].items() <= token.items()
    assert read("start_session")["token"] == token
    assert read("stop_session")["session_id"] == session["id"]
    assert read("cancel_reservation")["reservation_id"] == read("reserve_now")["reservation_id"]
