"""OCPP 2.0.1: what devices are asked beside charging, and what they say to it; as `v16_devices`. Pure.

A setting is named by one text: `Component.Variable`, with an instance as `Component/instance.Variable/instance` and an
EVSE and connector as `Component@1:2.Variable`. Only the attribute Actual counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cpo.gateway import moments
from cpo.ocpp import events, v201
from cpo.ocpp.device_words import CertificateHash, Firmware, LogWanted, Message, Said

BATCH = 10  # settings in one message: well below what any ItemsPerMessageSetVariables says
PROTOCOL = "2.0.1"
_KEY = re.compile(
    r"(?P<component>[^./@]{1,50})(?:/(?P<component_instance>[^.@]{1,50}))?(?:@(?P<evse>\d{1,5})(?::(?P<connector>\d{1,5}))?)?"
    r"\.(?P<variable>[^./]{1,50})(?:/(?P<variable_instance>.{1,50}))?"
)
_SECRET = frozenset({"basicauthpassword"})
ROOT_KINDS = ("CSMSRootCertificate", "ManufacturerRootCertificate", "V2GRootCertificate", "MORootCertificate")


def boot(payload: Mapping[str, Any]) -> events.Booted:
    """Return what a BootNotification says."""
    event = v201.read("BootNotification", dict(payload), datetime.now(UTC))
    assert isinstance(event, events.Booted)  # noqa: S101 - what it reads, for mypy
    return event


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(payload: Mapping[str, Any], name: str, longest: int = 50) -> str:
    value = payload.get(name)
    return "" if value is None else str(value).replace("\x00", "")[:longest]


def is_key(text: str) -> bool:
    """Say whether a text can be the key of a setting."""
    return _KEY.fullmatch(text) is not None


def _key(component: Mapping[str, Any], variable: Mapping[str, Any]) -> str:
    evse = _object(component.get("evse"))
    at = f"@{evse.get('id')}" if evse else ""
    if evse.get("connectorId") is not None:
        at += f":{evse['connectorId']}"
    names = [
        _text(each, "name") + (f"/{_text(each, 'instance')}" if each.get("instance") else "")
        for each in (component, variable)
    ]
    return f"{names[0]}{at}.{names[1]}"


def _named(key: str) -> dict[str, Any]:
    """Return component and variable of a key.

    :raises ValueError: if it is none.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key!r}: a key of OCPP 2.0.1 is Component.Variable")
    component: dict[str, Any] = {"name": match["component"]}
    if match["component_instance"]:
        component["instance"] = match["component_instance"]
    if match["evse"]:
        component["evse"] = {"id": int(match["evse"])}
        if match["connector"]:
            component["evse"]["connectorId"] = int(match["connector"])
    variable = {"name": match["variable"]}
    if match["variable_instance"]:
        variable["instance"] = match["variable_instance"]
    return {"component": component, "variable": variable}


def ask_settings(request_id: int) -> Message:
    """Ask for all settings; reports with them follow."""
    return "GetBaseReport", {"requestId": request_id, "reportBase": "FullInventory"}


def settings_come_later(answer: Mapping[str, Any]) -> bool | None:
    """Say whether settings follow in reports; None: none will come at all."""
    return True if answer.get("status") == "Accepted" else None


def settings(answer: Mapping[str, Any]) -> list[Said]:
    """Return the settings in an answer, or in a part of a report; secrets are left out."""
    found = []
    rows = answer.get("reportData")
    for row in rows if isinstance(rows, list) else ():
        component, variable = _object(_object(row).get("component")), _object(_object(row).get("variable"))
        if not component or not variable or _text(variable, "name").lower() in _SECRET:
            continue
        attributes = _object(row).get("variableAttribute")
        for attribute in attributes if isinstance(attributes, list) else ():
            if isinstance(attribute, dict) and attribute.get("type", "Actual") == "Actual":
                value = attribute.get("value")
                readonly = attribute.get("mutability") == "ReadOnly"
                found.append(Said(_key(component, variable), None if value is None else str(value), readonly))
    return found


def set_settings(wanted: Sequence[tuple[str, str]]) -> Message:
    """Ask for settings to be changed."""
    return "SetVariables", {"setVariableData": [{"attributeValue": value, **_named(key)} for key, value in wanted]}


def keys_of(payload: Mapping[str, Any]) -> list[str]:
    """Return the keys that a message of `set_settings` is about."""
    rows = payload.get("setVariableData")
    return [
        _key(_object(_object(row).get("component")), _object(_object(row).get("variable")))
        for row in (rows if isinstance(rows, list) else ())
    ]


def set_results(answer: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """Return the status of each setting that was asked for; letter case of names does not matter."""
    asked = {key.lower(): key for key in keys}
    found = {}
    rows = answer.get("setVariableResult")
    for row in rows if isinstance(rows, list) else ():
        name = _key(_object(_object(row).get("component")), _object(_object(row).get("variable"))).lower()
        status = _object(row).get("attributeStatus")
        if name in asked and isinstance(status, str):
            found[asked[name]] = status
    return found


def set_password(password: str) -> Message:
    """Ask for another password."""
    return set_settings([("SecurityCtrlr.BasicAuthPassword", password)])


def update_firmware(wanted: Firmware) -> Message:
    """Ask for an update."""
    firmware = {"location": wanted.location, "retrieveDateTime": moments.write(wanted.at)}
    if wanted.signature:
        firmware |= {"signature": wanted.signature, "signingCertificate": wanted.signing_certificate}
    return "UpdateFirmware", {
        "requestId": wanted.request_id, "retries": 3, "retryInterval": 60, "firmware": firmware,
    }  # fmt: skip


def get_log(wanted: LogWanted) -> Message:
    """Ask for a log to be uploaded."""
    log_type = "SecurityLog" if wanted.kind == "SECURITY_LOG" else "DiagnosticsLog"
    log = {"remoteLocation": wanted.location}
    asked = {"requestId": wanted.request_id, "logType": log_type, "retries": 2, "retryInterval": 60, "log": log}
    return "GetLog", asked


def filename(answer: Mapping[str, Any]) -> str:
    """Return the name of the file that will be uploaded."""
    return _text(answer, "filename", 255)


def certificate_signed(chain: str, kind: str) -> Message:
    return "CertificateSigned", {"certificateChain": chain, "certificateType": kind}


def install_certificate(pem: str, kind: str) -> Message:
    return "InstallCertificate", {"certificateType": kind, "certificate": pem}


def delete_certificate(which: CertificateHash) -> Message:
    return "DeleteCertificate", {"certificateHashData": which.as_ocpp()}


def ask_installed(kind: str) -> Message:
    """Ask which certificates of a kind are installed."""
    return "GetInstalledCertificateIds", {"certificateType": [kind]}


def kinds_asked(payload: Mapping[str, Any]) -> list[str]:
    """Return the kinds that a message about certificates is about; none: all of them."""
    found = payload.get("certificateType")
    return [found] if isinstance(found, str) else [str(each) for each in found or ()]


def installed(answer: Mapping[str, Any], kind: str) -> list[tuple[str, CertificateHash]]:
    """Return kind and identification of the certificates in an answer."""
    found = []
    rows = answer.get("certificateHashDataChain")
    for row in rows if isinstance(rows, list) else ():
        each = CertificateHash.read(_object(row).get("certificateHashData"))
        if each is not None:
            found.append((_text(_object(row), "certificateType", 40) or kind, each))
    return found
