"""OCPP 1.6 with the security whitepaper: what devices are asked beside charging, and what they say to it. Pure.

`v201_devices` has the same functions; whoever asks takes the module of the charge point's version (`device_calls`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cpo.gateway import moments
from cpo.ocpp import events, v16
from cpo.ocpp.device_words import CertificateHash, Firmware, LogWanted, Message, Said

BATCH = 1  # settings in one message
PROTOCOL = "1.6"
_SECRET = frozenset({"authorizationkey"})
# Kinds of certificates in the words of OCPP 2.0.1, and the whitepaper's.
_USES = {
    "CSMSRootCertificate": "CentralSystemRootCertificate",
    "ManufacturerRootCertificate": "ManufacturerRootCertificate",
}
ROOT_KINDS = tuple(_USES)


def boot(payload: Mapping[str, Any]) -> events.Booted:
    """Return what a BootNotification says."""
    event = v16.read("BootNotification", dict(payload), datetime.now(UTC))
    assert isinstance(event, events.Booted)  # noqa: S101 - what it reads, for mypy
    return event


def is_key(text: str) -> bool:
    """Say whether a text can be the key of a setting."""
    return 0 < len(text) <= 50


def ask_settings(request_id: int) -> Message:
    """Ask for all settings; the answer has them."""
    return "GetConfiguration", {}


def settings_come_later(answer: Mapping[str, Any]) -> bool | None:
    """Say whether settings follow in reports; None: none will come at all."""
    return False


def settings(answer: Mapping[str, Any]) -> list[Said]:
    """Return the settings in an answer, or in a part of a report; secrets are left out."""
    found = []
    rows = answer.get("configurationKey")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("key"), str) and row["key"].lower() not in _SECRET:
            value = row.get("value")
            found.append(Said(row["key"], None if value is None else str(value), row.get("readonly") is True))
    return found


def set_settings(wanted: Sequence[tuple[str, str]]) -> Message:
    """Ask for a setting to be changed."""
    [(key, value)] = wanted
    return "ChangeConfiguration", {"key": key, "value": value}


def keys_of(payload: Mapping[str, Any]) -> list[str]:
    """Return the keys that a message of `set_settings` is about."""
    return [str(payload.get("key"))]


def set_results(answer: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """Return the status of each setting that was asked for."""
    status = answer.get("status")
    return dict.fromkeys(keys, status) if isinstance(status, str) else {}


def set_password(password: str) -> Message:
    """Ask for another password: the AuthorizationKey, in hexadecimal."""
    return set_settings([("AuthorizationKey", password)])


def update_firmware(wanted: Firmware) -> Message:
    """Ask for an update; signed if there is a signature."""
    at = moments.write(wanted.at)
    if not wanted.signature:
        # An UpdateFirmware has no requestId: its statuses belong to the newest job.
        return "UpdateFirmware", {"location": wanted.location, "retrieveDate": at, "retries": 3, "retryInterval": 60}
    firmware = {
        "location": wanted.location,
        "retrieveDateTime": at,
        "signingCertificate": wanted.signing_certificate,
        "signature": wanted.signature,
    }
    asked = {"requestId": wanted.request_id, "retries": 3, "retryInterval": 60, "firmware": firmware}
    return "SignedUpdateFirmware", asked


def get_log(wanted: LogWanted) -> Message:
    """Ask for a log to be uploaded."""
    if wanted.kind == "DIAGNOSTICS":
        return "GetDiagnostics", {"location": wanted.location, "retries": 2, "retryInterval": 60}
    log_type = "SecurityLog" if wanted.kind == "SECURITY_LOG" else "DiagnosticsLog"
    log = {"remoteLocation": wanted.location}
    asked = {"requestId": wanted.request_id, "logType": log_type, "retries": 2, "retryInterval": 60, "log": log}
    return "GetLog", asked


def filename(answer: Mapping[str, Any]) -> str:
    """Return the name of the file that will be uploaded."""
    name = answer.get("fileName") or answer.get("filename")
    return name[:255] if isinstance(name, str) else ""


def certificate_signed(chain: str, kind: str) -> Message:
    return "CertificateSigned", {"certificateChain": chain}


def install_certificate(pem: str, kind: str) -> Message:
    return "InstallCertificate", {"certificateType": _USES[kind], "certificate": pem}


def delete_certificate(which: CertificateHash) -> Message:
    return "DeleteCertificate", {"certificateHashData": which.as_ocpp()}


def ask_installed(kind: str) -> Message:
    """Ask which certificates of a kind are installed."""
    return "GetInstalledCertificateIds", {"certificateType": _USES[kind]}


def kinds_asked(payload: Mapping[str, Any]) -> list[str]:
    """Return the kinds that a message about certificates is about, in the words of OCPP 2.0.1."""
    return [kind for kind, use in _USES.items() if use == payload.get("certificateType")]


def installed(answer: Mapping[str, Any], kind: str) -> list[tuple[str, CertificateHash]]:
    """Return kind and identification of the certificates in an answer."""
    rows = answer.get("certificateHashData")
    found = (CertificateHash.read(row) for row in (rows if isinstance(rows, list) else ()))
    return [(kind, each) for each in found if each is not None]
