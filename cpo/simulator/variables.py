"""The device model of a simulated OCPP 2.0.1 charging station: components, variables, and what may be written. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cpo.simulator.behavior import Behavior
from cpo.simulator.limits import HELD, LEVELS, PERIODS
from cpo.simulator.link import Payload
from cpo.simulator.local_list import CAPACITY, PER_MESSAGE

Place = tuple[str, int | None, str]  # component, EVSE, variable
_LISTED = {"ConfigurationInventory": True, "FullInventory": False}  # only what may be written?


@dataclass(slots=True)
class Variable:
    """One variable; `value` is the text of its attribute Actual."""

    value: str
    kind: str = "string"
    writable: bool = False
    most: str | None = None  # the text of its attribute MaxSet


def _truth(value: bool) -> Variable:
    return Variable(str(value).lower(), "boolean")


class Variables:
    """All variables of one station."""

    def __init__(self, behavior: Behavior) -> None:
        self._known: dict[Place, Variable] = {
            ("AuthCtrlr", None, "AuthorizeRemoteStart"): _truth(behavior.authorize_remote),
            ("ChargingStation", None, "Model"): Variable(behavior.model),
            ("ChargingStation", None, "VendorName"): Variable(behavior.vendor),
            ("ConnectorPlugRetentionLock", 1, "Available"): _truth(True),
            ("LocalAuthListCtrlr", None, "Available"): _truth(True),
            ("LocalAuthListCtrlr", None, "Enabled"): _truth(True),
            ("LocalAuthListCtrlr", None, "Entries"): Variable("0", "integer", most=str(CAPACITY)),
            ("LocalAuthListCtrlr", None, "ItemsPerMessage"): Variable(str(PER_MESSAGE), "integer"),
            ("OCPPCommCtrlr", None, "HeartbeatInterval"): Variable("300", "integer", writable=True),
            ("ReservationCtrlr", None, "Available"): _truth(True),
            ("ReservationCtrlr", None, "Enabled"): _truth(True),
            ("ReservationCtrlr", None, "NonEvseSpecific"): _truth(behavior.reserves_any),
            ("SampledDataCtrlr", None, "TxUpdatedInterval"): Variable(
                str(round(behavior.sample_minutes * 60)), "integer"
            ),
            ("SmartChargingCtrlr", None, "Available"): _truth(True),
            ("SmartChargingCtrlr", None, "Enabled"): _truth(True),
            ("SmartChargingCtrlr", None, "Entries"): Variable(str(HELD), "integer"),
            ("SmartChargingCtrlr", None, "PeriodsPerSchedule"): Variable(str(PERIODS), "integer"),
            ("SmartChargingCtrlr", None, "ProfileStackLevel"): Variable(str(LEVELS), "integer"),
            ("SmartChargingCtrlr", None, "RateUnit"): Variable("A,W", "MemberList"),
            ("TokenReader", None, "Available"): _truth(True),
            ("TxCtrlr", None, "StopTxOnInvalidId"): Variable(
                str(behavior.stops_refused).lower(), "boolean", writable=True
            ),
            ("TxCtrlr", None, "TxStartPoint"): Variable("PowerPathClosed", "OptionList"),
        }
        for number in range(1, behavior.connectors + 1):
            self._known["EVSE", number, "Power"] = Variable(str(round(behavior.power_w)), "decimal")

    def is_true(self, component: str, variable: str) -> bool:
        return self._known[component, None, variable].value == "true"

    def number(self, component: str, variable: str) -> float:
        return float(self._known[component, None, variable].value)

    def note(self, component: str, variable: str, value: str) -> None:
        """Change a variable from within."""
        self._known[component, None, variable].value = value

    def get(self, payload: Payload) -> Payload:
        """Answer GetVariables."""
        return {"getVariableResult": [self._got(each) for each in payload["getVariableData"]]}

    def set(self, payload: Payload) -> Payload:
        """Answer SetVariables."""
        return {"setVariableResult": [self._set(each) for each in payload["setVariableData"]]}

    def report(self, base: str) -> list[Payload]:
        """Return the reportData of a base report; none for one that is not known."""
        only_writable = _LISTED.get(base)
        if only_writable is None:
            return []
        return [
            {
                "component": _component(component, evse),
                "variable": {"name": name},
                "variableAttribute": [
                    {"value": known.value, "mutability": "ReadWrite" if known.writable else "ReadOnly"}
                ],
                "variableCharacteristics": {"dataType": known.kind, "supportsMonitoring": False},
            }
            for (component, evse, name), known in self._known.items()
            if known.writable or not only_writable
        ]

    def _got(self, asked: Payload) -> Payload:
        known, status = self._find(asked)
        found = {**_named(asked), "attributeStatus": status}
        if known is None:
            return found
        value = known.most if asked.get("attributeType") == "MaxSet" else known.value
        return {**found, "attributeValue": value}

    def _set(self, asked: Payload) -> Payload:
        known, status = self._find(asked)
        if known is not None and not (known.writable and _fits(known.kind, asked["attributeValue"])):
            status = "Rejected"
        elif known is not None:
            known.value = asked["attributeValue"]
        return {**_named(asked), "attributeStatus": status}

    def _find(self, asked: Payload) -> tuple[Variable | None, str]:
        component, evse = asked["component"]["name"], asked["component"].get("evse", {}).get("id")
        kind = asked.get("attributeType", "Actual")
        if not any(place[:2] == (component, evse) for place in self._known):
            return None, "UnknownComponent"
        known = self._known.get((component, evse, asked["variable"]["name"]))
        if known is None:
            return None, "UnknownVariable"
        supported = kind == "Actual" or (kind == "MaxSet" and known.most is not None)
        return (known, "Accepted") if supported else (None, "NotSupportedAttributeType")


def _component(name: str, evse: int | None) -> dict[str, Any]:
    return {"name": name} if evse is None else {"name": name, "evse": {"id": evse}}


def _named(asked: Payload) -> Payload:
    return {name: asked[name] for name in ("attributeType", "component", "variable") if name in asked}


def _fits(kind: str, value: str) -> bool:
    if kind == "integer":
        return value.isascii() and value.isdigit()
    return value in ("true", "false") if kind == "boolean" else True
