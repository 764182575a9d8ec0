"""What a charge point can do with a local list: asked of its configuration, in both versions (OCPP-87). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cpo.local_lists import V16
from cpo.ocpp import fields

_PROFILES, _ENABLED = "SupportedFeatureProfiles", "LocalAuthListEnabled"
_CAPACITY, _PER_MESSAGE = "LocalAuthListMaxLength", "SendLocalListMaxLength"
KEYS = (_PROFILES, _ENABLED, _CAPACITY, _PER_MESSAGE)
COMPONENT = "LocalAuthListCtrlr"
# OCPP 2.0.1, 2.6: Entries is how many there are, its maximum how many there may be; asked for as MaxSet by some only.
VARIABLES = (("Available", None), ("Enabled", None), ("ItemsPerMessage", None), ("Entries", "MaxSet"))


@dataclass(frozen=True, slots=True)
class Abilities:
    supported: bool
    switched_on: bool | None = None
    capacity: int | None = None  # entries
    per_message: int | None = None  # entries


def question(family: str) -> tuple[str, dict[str, Any]]:
    """Return the action and payload that ask for it."""
    if family == V16:
        return "GetConfiguration", {"key": list(KEYS)}
    asked = [
        {"component": {"name": COMPONENT}, "variable": {"name": name}} | ({"attributeType": kind} if kind else {})
        for name, kind in VARIABLES
    ]
    return "GetVariables", {"getVariableData": asked}


def switch_on(family: str) -> tuple[str, dict[str, Any]]:
    """Return the action and payload that switch the list on."""
    if family == V16:
        return "ChangeConfiguration", {"key": _ENABLED, "value": "true"}
    wanted = {"component": {"name": COMPONENT}, "variable": {"name": "Enabled"}, "attributeValue": "true"}
    return "SetVariables", {"setVariableData": [wanted]}


def is_switched_on(answer: dict[str, Any]) -> bool:
    """Return whether the answer to `switch_on` says that it is on now."""
    results = answer.get("setVariableResult")
    if isinstance(results, list) and results and isinstance(results[0], dict):
        return results[0].get("attributeStatus") == "Accepted"
    return answer.get("status") == "Accepted"


def read(family: str, answer: dict[str, Any]) -> Abilities:
    """Return what the answer to `question` says; who says nothing of the kind is taken to have no list."""
    return _read_16(answer) if family == V16 else _read_201(answer)


def _read_16(answer: dict[str, Any]) -> Abilities:
    said = {
        str(each.get("key", "")).lower(): str(each.get("value") or "").strip()
        for each in answer.get("configurationKey") or ()
        if isinstance(each, dict)
    }
    profiles = {word.strip().lower() for word in said.get(_PROFILES.lower(), "").split(",")}
    capacity = fields.count(said.get(_CAPACITY.lower()))
    # Some leave the profile out of their list and have it all the same: they say how much it takes.
    supported = "localauthlistmanagement" in profiles or bool(capacity)
    per_message = fields.count(said.get(_PER_MESSAGE.lower()))
    return Abilities(supported, _truth(said.get(_ENABLED.lower())), capacity, per_message or None)


def _read_201(answer: dict[str, Any]) -> Abilities:
    said: dict[str, str] = {}
    for each in answer.get("getVariableResult") or ():
        if isinstance(each, dict) and each.get("attributeStatus") == "Accepted":
            variable = each.get("variable")
            name = variable.get("name") if isinstance(variable, dict) else None
            said[str(name).lower()] = str(each.get("attributeValue") or "").strip()
    available = _truth(said.get("available"))
    supported = available if available is not None else bool(said)
    return Abilities(
        supported,
        _truth(said.get("enabled")),
        fields.count(said.get("entries")),
        fields.count(said.get("itemspermessage")) or None,
    )


def _truth(text: str | None) -> bool | None:
    return None if not text else text.lower() == "true"
