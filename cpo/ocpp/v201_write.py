"""OCPP 2.0.1: `write` turns a request into a message, `answer_of` an answer into the words of neither version. Pure.

OCPP 2.1 takes the same messages. A connector of ours is an EVSE here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, assert_never

from cpo.gateway import moments
from cpo.gateway.frames import Payload
from cpo.ocpp import events
from cpo.ocpp.events import Request

# Neutral purpose → purpose of 2.0.1; the others are called the same.
PURPOSES = {"ChargePointMaxProfile": "ChargingStationMaxProfile"}
LONGEST_ID_TOKEN = 36
# What OCPP 1.6 calls a setting → component and variable.
VARIABLES = {
    "ChargingScheduleAllowedChargingRateUnit": ("SmartChargingCtrlr", "RateUnit"),
    "ChargingScheduleMaxPeriods": ("SmartChargingCtrlr", "PeriodsPerSchedule"),
    "ChargeProfileMaxStackLevel": ("SmartChargingCtrlr", "ProfileStackLevel"),
    "ReserveConnectorZeroSupported": ("ReservationCtrlr", "NonEvseSpecific"),
    "StopTransactionOnInvalidId": ("TxCtrlr", "StopTxOnInvalidId"),
}
# What OCPP 1.6 calls a feature profile → the component whose Available says the same.
FEATURES = {
    "LocalAuthListManagement": "LocalAuthListCtrlr",
    "Reservation": "ReservationCtrlr",
    "SmartCharging": "SmartChargingCtrlr",
}
FEATURE_PROFILES = "SupportedFeatureProfiles"
_ALWAYS = ("Core", "FirmwareManagement", "RemoteTrigger")  # not optional in 2.0.1
_ABILITY = ("Enabled", "Available")
_TOKEN_TYPES = {"APP_USER": "Central", "AD_HOC_USER": "Central", "OTHER": "Central", "RFID": "ISO14443"}
_CONTRACT = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?[A-Z0-9]{9}(-?[A-Z0-9])?", re.IGNORECASE)
# ISO 15693 uids have eight bytes that begin with E0; ISO 14443 has none of that length.
_ISO15693 = re.compile(r"E0[0-9A-F]{14}", re.IGNORECASE)


def token_type(ocpi_type: str, uid: str) -> str:
    """Return the type of an idToken by the TokenType of OCPI (M-7)."""
    if ocpi_type == "OTHER" and _CONTRACT.fullmatch(uid):
        return "eMAID"
    if ocpi_type == "RFID" and _ISO15693.fullmatch(re.sub(r"[:\- ]", "", uid)):
        return "ISO15693"
    return _TOKEN_TYPES.get(ocpi_type, "Central")


def write(request: Request) -> tuple[str, Payload]:
    """Return the action and payload that ask a charging station for this."""
    match request:
        case events.RemoteStart():
            return "RequestStartTransaction", _present(
                idToken=_id_token(request.id_token, request.token_type),
                evseId=request.connector,
                remoteStartId=request.remote_start_id,
                groupIdToken=_group(request.group, request.token_type, request.id_token),
                chargingProfile=request.charging_profile,
            )
        case events.RemoteStop():
            return "RequestStopTransaction", {"transactionId": str(request.transaction_id)}
        case events.Unlock():
            return "UnlockConnector", {"evseId": request.connector, "connectorId": request.plug}
        case events.Reserve():
            return "ReserveNow", _present(
                id=request.reservation_id,
                expiryDateTime=moments.write(request.expires_at),
                idToken=_id_token(request.id_token, request.token_type),
                groupIdToken=_group(request.parent_id_token, request.token_type, request.id_token),
                evseId=request.connector or None,
            )
        case events.CancelReservation():
            return "CancelReservation", {"reservationId": request.reservation_id}
        case events.SetProfile():
            return "SetChargingProfile", {"evseId": request.connector, "chargingProfile": _profile(request)}
        case events.ClearProfile():
            return "ClearChargingProfile", {"chargingProfileId": request.profile_id}
        case events.AskSchedule():
            return "GetCompositeSchedule", {"evseId": request.connector, "duration": request.seconds}
        case events.ReadConfiguration():
            return "GetVariables", {"getVariableData": [_variable(*each) for each in _asked(request.keys)]}
    assert_never(request)


def answer_of(action: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer in the names that both versions share here, which are those of OCPP 1.6."""
    if action == "GetCompositeSchedule":
        return _schedule(answer)
    if action == "GetVariables":
        return {"configurationKey": configuration(results(answer))}
    return dict(answer)


def configuration(values: Mapping[tuple[str, str], str]) -> list[dict[str, str]]:
    """Return what variables say of settings, by the names of OCPP 1.6; a variable that is not there says nothing."""
    said = [{"key": key, "value": values[place]} for key, place in VARIABLES.items() if place in values]
    able = {component: found for component in FEATURES.values() if (found := is_able(component, values)) is not None}
    if able:
        offered = [name for name, component in FEATURES.items() if able.get(component, True)]
        said.append({"key": FEATURE_PROFILES, "value": ",".join(sorted({*_ALWAYS, *offered}))})
    return said


def is_able(component: str, values: Mapping[tuple[str, str], str]) -> bool | None:
    """Say whether a component can be used; nothing if it has not been spoken of."""
    said = [values[component, name].strip().lower() == "true" for name in _ABILITY if (component, name) in values]
    return all(said) if said else None


def reported(payload: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the values in one part of a report (NotifyReport)."""
    found: dict[tuple[str, str], str] = {}
    data = payload.get("reportData")
    for each in data if isinstance(data, list) else ():
        component, variable = each.get("component"), each.get("variable")
        attributes = each.get("variableAttribute")
        if isinstance(component, dict) and isinstance(variable, dict) and isinstance(attributes, list):
            actual = [one for one in attributes if one.get("type", "Actual") == "Actual" and "value" in one]
            if actual:
                found[str(component.get("name")), str(variable.get("name"))] = str(actual[0]["value"])
    return found


def _asked(keys: tuple[str, ...]) -> list[tuple[str, str]]:
    found = [VARIABLES[key] for key in keys if key in VARIABLES]
    if FEATURE_PROFILES in keys:
        found += [(component, name) for component in FEATURES.values() for name in _ABILITY]
    return found


def _variable(component: str, name: str) -> Payload:
    return {"component": {"name": component}, "variable": {"name": name}}


def results(answer: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the values in an answer to GetVariables; a component that is not known cannot be used."""
    found: dict[tuple[str, str], str] = {}
    results = answer.get("getVariableResult")
    for each in results if isinstance(results, list) else ():
        if not isinstance(each, dict) or each.get("attributeType", "Actual") != "Actual":
            continue
        component, variable = each.get("component"), each.get("variable")
        if not isinstance(component, dict) or not isinstance(variable, dict):
            continue
        place = (str(component.get("name")), str(variable.get("name")))
        if each.get("attributeStatus") == "Accepted":
            found[place] = str(each.get("attributeValue") or "")
        elif each.get("attributeStatus") == "UnknownComponent" and place[0] in FEATURES.values():
            found[place[0], "Available"] = "false"
    return found


def _schedule(answer: Mapping[str, Any]) -> dict[str, Any]:
    schedule = answer.get("schedule")
    if not isinstance(schedule, Mapping):
        return dict(answer)
    return {
        "status": answer.get("status"),
        "connectorId": schedule.get("evseId"),
        "scheduleStart": schedule.get("scheduleStart"),
        "chargingSchedule": {
            name: schedule[name]
            for name in ("duration", "chargingRateUnit", "chargingSchedulePeriod")
            if name in schedule
        },
    }


def _id_token(uid: str, ocpi_type: str) -> Payload:
    return {"idToken": uid, "type": token_type(ocpi_type, uid)}


def _group(group: str, ocpi_type: str, uid: str) -> Payload | None:
    """Return the group of a token, of the same type as the token (M-7)."""
    return {"idToken": group, "type": token_type(ocpi_type, uid)} if 0 < len(group) <= LONGEST_ID_TOKEN else None


def _profile(request: events.SetProfile) -> Payload:
    schedule = request.schedule
    return _present(
        id=request.profile_id,
        transactionId=None if request.transaction_id is None else str(request.transaction_id),
        stackLevel=request.stack_level,
        chargingProfilePurpose=PURPOSES.get(request.purpose, request.purpose),
        chargingProfileKind="Relative" if schedule.start is None else "Absolute",
        chargingSchedule=[
            _present(
                id=request.profile_id,
                duration=schedule.duration,
                startSchedule=None if schedule.start is None else moments.write(schedule.start),
                chargingRateUnit=schedule.unit,
                # numberPhases is left out: OCPI knows none (PIT-69).
                chargingSchedulePeriod=[
                    {"startPeriod": start, "limit": float(limit)} for start, limit in schedule.periods
                ],
                minChargingRate=None if schedule.least is None else float(schedule.least),
            )
        ],
    )


def _present(**fields: Any) -> Payload:
    return {name: value for name, value in fields.items() if value is not None}
