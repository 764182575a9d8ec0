"""What a request looks like before it is damaged: ids and bodies that fit together, from the example documents."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.surface import Surface, SurfaceOperation

Json = Any
_FOLDER = Path(__file__).resolve().parents[1] / "documents" / "2.2.1"
_FILES = {path.stem: json.loads(path.read_text()) for path in sorted(_FOLDER.glob("*.json"))}
# The class of a body → the example of it.
EXAMPLES: Mapping[str, Json] = {
    "Location": _FILES["location"],
    "EVSE": _FILES["evse"],
    "Connector": _FILES["connector"],
    "Session": _FILES["session"],
    "CDR": _FILES["cdr"],
    "Tariff": _FILES["tariff"],
    "Token": _FILES["token_rfid"],
    "ClientInfo": _FILES["client_info"],
    "Credentials": _FILES["credentials"],
    "CommandResult": _FILES["command_result"],
    "ReserveNow": _FILES["reserve_now"],
    "StartSession": _FILES["start_session"],
    "StopSession": _FILES["stop_session"],
    "CancelReservation": _FILES["cancel_reservation"],
    "UnlockConnector": _FILES["unlock_connector"],
    "LocationReferences": _FILES["location_references"],
    "ChargingPreferences": _FILES["charging_preferences"],
    "SetChargingProfile": _FILES["charging_profile"],
    "ActiveChargingProfile": _FILES["active_charging_profile"],
    "ActiveChargingProfileResult": {"result": "ACCEPTED", "profile": _FILES["active_charging_profile"]},
}
_OBJECTS = {"locations": "Location", "sessions": "Session", "cdrs": "CDR", "tariffs": "Tariff", "tokens": "Token",
            "hubclientinfo": "ClientInfo"}  # fmt: skip
_EVSE = EXAMPLES["Location"]["evses"][0]
_IDS = {
    "location_id": EXAMPLES["Location"]["id"],
    "evse_uid": _EVSE["uid"],
    "connector_id": _EVSE["connectors"][0]["id"],
    "session_id": EXAMPLES["Session"]["id"],
    "tariff_id": EXAMPLES["Tariff"]["id"],
    "token_uid": EXAMPLES["Token"]["uid"],
    "command": "START_SESSION",
    "kind": "put",
    "key": "A" * 22,
}


def ids(operation: SurfaceOperation) -> dict[str, str]:
    """Return the parameters of an operation's path, as its example has them."""
    owned = EXAMPLES.get(_OBJECTS.get(operation.told["x-ocpi-module"], ""), {})
    return {**_IDS, "country_code": owned.get("country_code", "NL"), "party_id": owned.get("party_id", "TNM")}


def body(surface: Surface, operation: SurfaceOperation, draw: random.Random, *, response_url: str) -> Json:
    """Return a body that would be accepted, or None if the operation has none."""
    asked = operation.told.get("requestBody")
    if asked is None:
        return None
    name = _class(asked["content"]["application/json"]["schema"], draw)
    whole = EXAMPLES.get(name.removeprefix("Partial"))
    if whole is None:
        return {}
    if name.startswith("Partial"):
        chosen = draw.sample(sorted(whole), k=min(len(whole), draw.choice([1, 2, 3, 6])))
        whole = {**{member: whole[member] for member in chosen}, "last_updated": whole["last_updated"]}
    elif surface.knows(name) and draw.random() < 0.3:
        whole = {**filled(surface, name, draw), **_identity(whole)}
    if "response_url" in whole:
        whole = {**whole, "response_url": response_url}
    return whole


def filled(surface: Surface, name: str, draw: random.Random) -> Json:
    """Return an object of a class with whatever its schema allows, or nearly: rules between fields are not known."""
    return _value(surface, {"$ref": f"#/components/schemas/{name}"}, draw, 0)


def _value(surface: Surface, schema: Mapping[str, Any], draw: random.Random, depth: int) -> Json:
    schema = surface.resolve(schema)
    if "anyOf" in schema:
        return _value(surface, draw.choice(schema["anyOf"]), draw, depth)
    if "enum" in schema:
        return draw.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            needed = set(schema.get("required", ()))
            return {
                member: _value(surface, told, draw, depth + 1)
                for member, told in schema.get("properties", {}).items()
                if member in needed or (depth < 4 and draw.random() < 0.5)
            }
        case "array":
            least = schema.get("minItems", 0)
            count = max(least, 0 if depth > 4 else draw.choice([0, 1, 2]))
            return [_value(surface, schema["items"], draw, depth + 1) for _ in range(count)]
        case "string":
            return _string(schema, draw)
        case "integer":
            least, most = schema.get("minimum", 0), schema.get("maximum", 10**6)
            return draw.choice([least, most, draw.randint(least, most)])
        case "number":
            return draw.choice([0, 1, 0.25, -3.5, 12345.6789, 10**9])
        case "boolean":
            return draw.random() < 0.5
    return None


def _string(schema: Mapping[str, Any], draw: random.Random) -> str:
    if "format" in schema:
        return draw.choice(
            ["2026-01-31T08:00:00Z", "2026-01-31T08:00:00.123Z", "2025-12-31T23:59:59", "2100-01-01T00:00:00Z"]
        )
    if "{" in schema.get("pattern", "") or "(" in schema.get("pattern", ""):  # a form; #NA fits every one of ours
        return "#NA"
    longest = schema.get("maxLength", 20)
    length = draw.choice([schema.get("minLength", 0), min(longest, 3), longest])
    return "".join(draw.choices("ABCabc019 -_*.~", k=length))


def _class(schema: Mapping[str, Any], draw: random.Random) -> str:
    if "allOf" in schema:
        schema = schema["allOf"][0]
    if "anyOf" in schema:
        schema = draw.choice(schema["anyOf"])
    return str(schema.get("$ref", "")).rpartition("/")[2] or "CommandResult"


def _identity(whole: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: whole[name] for name in ("country_code", "party_id", "id", "uid", "type", "last_updated") if name in whole
    }
