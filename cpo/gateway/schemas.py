"""The JSON schemas of every OCPP version, compiled once per action on first use. Pure."""

import importlib.util
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

Check = Callable[[Any], Any]
Schema = dict[str, Any]

_FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}

_SENT = frozenset({"NotifyPeriodicEventStream"})  # of OCPP 2.1: a SEND, which has no answer

# Fields that inform people and decide nothing: lenient takes over-long text and unknown values in them (OCPP-17).
# idTag of a start or a stop is here because a start is always stored (OCPP-39); the decision about it is not ours.
_METERED = frozenset(
    {"value", "context", "format", "location", "measurand", "phase", "unit"}
    | {"signedMeterData", "signingMethod", "encodingMethod", "publicKey"}
)
_INFORMATIVE: dict[str, frozenset[str]] = {
    "BootNotification": frozenset(
        {
            "chargePointVendor",
            "chargePointModel",
            "chargePointSerialNumber",
            "chargeBoxSerialNumber",
            "firmwareVersion",
            "iccid",
            "imsi",
            "meterType",
            "meterSerialNumber",
            "vendorName",
            "model",
            "serialNumber",
            "reason",
        }
    ),
    "StatusNotification": frozenset({"errorCode", "info", "vendorId", "vendorErrorCode"}),
    "StartTransaction": frozenset({"idTag"}),
    "StopTransaction": _METERED | {"idTag", "reason"},
    "MeterValues": _METERED,
    "TransactionEvent": _METERED | {"triggerReason", "stoppedReason"},
    "NotifyEvent": frozenset({"techCode", "techInfo", "actualValue", "cause", "trigger", "eventNotificationType"}),
    "SecurityEventNotification": frozenset({"techInfo"}),
}
_LOOSE = ("maxLength", "enum")


@cache
def _folder(version: str) -> Path:
    # The package is only located, not imported: its import costs 20 MiB and half a second.
    spec = importlib.util.find_spec("ocpp")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package 'ocpp', which carries the OCPP schemas, is not installed")
    return Path(spec.submodule_search_locations[0]) / _FOLDERS[version] / "schemas"


def _path(version: str, action: str, *, answer: bool) -> Path:
    asking = "" if version == "1.6" or action in _SENT else "Request"
    return _folder(version) / f"{action}{'Response' if answer else asking}.json"


@cache
def actions(version: str) -> frozenset[str]:
    """Return every action the version knows, in both directions."""
    found = frozenset(path.stem.removesuffix("Response") for path in _folder(version).glob("*Response.json"))
    return found | _SENT if version == "2.1" else found


def _loosened(schema: Any, informative: frozenset[str], known: Schema) -> Any:
    if isinstance(schema, list):
        return [_loosened(part, informative, known) for part in schema]
    if not isinstance(schema, dict):
        return schema
    loose: Schema = {}
    for name, part in schema.items():
        if name == "additionalProperties" and part is False:
            continue
        if name == "properties":
            loose[name] = {key: _loosened_field(key, field, informative, known) for key, field in part.items()}
        else:
            loose[name] = _loosened(part, informative, known)
    return loose


def _loosened_field(name: str, field: Any, informative: frozenset[str], known: Schema) -> Any:
    if name in informative and "$ref" in field:
        # OCPP 2 names its lists of values; an informative field gets a copy of its own.
        field = known[str(field["$ref"]).rpartition("/")[2]]
    field = _loosened(field, informative, known)
    if name not in informative:
        return field
    field = {key: value for key, value in field.items() if key not in _LOOSE}
    if name == "value":
        # Some charge points send a number where 1.6 wants its text, or a text where 2.0.1 wants a number.
        field["type"] = ["string", "number"]
    return field


def _compile(version: str, action: str, *, answer: bool, lenient: bool) -> Check:
    schema = json.loads(_path(version, action, answer=answer).read_text(encoding="utf-8-sig"))
    if lenient:
        schema = _loosened(schema, _INFORMATIVE.get(action, frozenset()), schema.get("definitions", {}))
    # Timestamps are judged by moments.read, never by the schema's format (OCPP-18).
    compiled: Check = fastjsonschema.compile(schema, use_default=False, use_formats=False, detailed_exceptions=True)
    return compiled


@cache
def check(version: str, action: str, *, answer: bool = False, lenient: bool = False) -> Check:
    """Return the compiled check of an action's request or answer.

    :raises KeyError: if the version has no such action.
    """
    if action not in actions(version):
        raise KeyError(action)
    return _compile(version, action, answer=answer, lenient=lenient)


@cache
def of_request(version: str, action: str) -> Schema:
    """Return the schema of an action's request, as the specification has it; nobody may change it.

    :raises KeyError: if the version has no such action.
    """
    if action not in actions(version):
        raise KeyError(action)
    found: Schema = json.loads(_path(version, action, answer=False).read_text(encoding="utf-8-sig"))
    return found
