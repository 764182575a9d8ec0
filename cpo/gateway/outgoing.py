"""What may be asked of a charge point, per OCPP version, and what is usual for each action. Pure tables (OCPP-78)."""

from __future__ import annotations

from cpo.gateway import schemas

V16 = frozenset({
    "CancelReservation", "ChangeAvailability", "ChangeConfiguration", "ClearCache", "ClearChargingProfile",
    "DataTransfer", "GetCompositeSchedule", "GetConfiguration", "GetDiagnostics", "GetLocalListVersion",
    "RemoteStartTransaction", "RemoteStopTransaction", "ReserveNow", "Reset", "SendLocalList", "SetChargingProfile",
    "TriggerMessage", "UnlockConnector", "UpdateFirmware",
    # OCPP 1.6 security whitepaper, edition 2
    "CertificateSigned", "DeleteCertificate", "ExtendedTriggerMessage", "GetInstalledCertificateIds", "GetLog",
    "InstallCertificate", "SignedUpdateFirmware",
})  # fmt: skip
V201 = frozenset({
    "CancelReservation", "CertificateSigned", "ChangeAvailability", "ClearCache", "ClearChargingProfile",
    "ClearDisplayMessage", "ClearVariableMonitoring", "CostUpdated", "CustomerInformation", "DataTransfer",
    "DeleteCertificate", "GetBaseReport", "GetChargingProfiles", "GetCompositeSchedule", "GetDisplayMessages",
    "GetInstalledCertificateIds", "GetLocalListVersion", "GetLog", "GetMonitoringReport", "GetReport",
    "GetTransactionStatus", "GetVariables", "InstallCertificate", "PublishFirmware", "RequestStartTransaction",
    "RequestStopTransaction", "ReserveNow", "Reset", "SendLocalList", "SetChargingProfile", "SetDisplayMessage",
    "SetMonitoringBase", "SetMonitoringLevel", "SetNetworkProfile", "SetVariableMonitoring", "SetVariables",
    "TriggerMessage", "UnlockConnector", "UnpublishFirmware", "UpdateFirmware",
})  # fmt: skip
ACTIONS = {"1.6": V16, "2.0.1": V201, "2.1": V201 & schemas.actions("2.1")}

# They wait for a charge point that is away, unless the caller says otherwise; the rest fails at once (OCPP-80).
DELIVER_LATER = frozenset({
    "ChangeAvailability", "ChangeConfiguration", "GetConfiguration", "GetVariables", "SetVariables",
    "SetNetworkProfile", "SetVariableMonitoring", "SetMonitoringBase", "SetMonitoringLevel",
    "ClearVariableMonitoring", "SendLocalList", "GetLocalListVersion", "UpdateFirmware", "SignedUpdateFirmware",
    "PublishFirmware", "UnpublishFirmware",
})  # fmt: skip

# Seconds until the answer is given up; a charge point writes certificates and long lists slowly.
_SECONDS = {
    "SendLocalList": 60.0, "SetVariables": 60.0, "GetVariables": 60.0, "GetConfiguration": 60.0,
    "InstallCertificate": 60.0, "CertificateSigned": 60.0, "DeleteCertificate": 60.0, "UnlockConnector": 60.0,
}  # fmt: skip
DEFAULT_SECONDS = 30.0

# Where a request carries an id that only has to be new: action → field (OCPP-85).
_REQUEST_IDS = {"RequestStartTransaction": "remoteStartId"} | dict.fromkeys(
    ("CustomerInformation", "GetBaseReport", "GetChargingProfiles", "GetDisplayMessages", "GetLog",
     "GetMonitoringReport", "GetReport", "PublishFirmware", "UpdateFirmware", "SignedUpdateFirmware"),
    "requestId",
)  # fmt: skip


def actions(version: str) -> frozenset[str]:
    """Return what may be asked of a charge point that speaks this version."""
    return ACTIONS.get(version, frozenset())


def seconds(action: str) -> float:
    """Return how long an answer is waited for (OCPP-23)."""
    return _SECONDS.get(action, DEFAULT_SECONDS)


def request_id_field(version: str, action: str) -> str | None:
    """Return the field of a request that wants an id of ours, if there is one."""
    if version == "1.6" and action == "UpdateFirmware":
        return None
    return _REQUEST_IDS.get(action)


def version_of(name: str) -> str | None:
    """Return the version that a protocol's name means: "1.6", "ocpp1.6" …; nothing if it is none of ours."""
    bare = name.strip().lower().removeprefix("ocpp")
    return bare if bare in ACTIONS else None


def same_family(one: str, other: str) -> bool:
    """Say whether a payload of one version can go out on a connection of another."""
    return (one == "1.6") == (other == "1.6")
