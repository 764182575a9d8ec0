"""Every operation of OCPP 1.6 and 2.0.1 with payloads as callers write them, and what a charge point answers."""

from __future__ import annotations

from typing import Any

Cases = tuple[tuple[str, dict[str, Any]], ...]

_AT = "2030-01-31T12:00:00Z"
_HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}
_PERIODS = [{"startPeriod": 0, "limit": 16.1}, {"startPeriod": 1800, "limit": 8, "numberPhases": 1}]
_SCHEDULE_16 = {"chargingRateUnit": "A", "duration": 3600, "chargingSchedulePeriod": _PERIODS}
_PROFILE_16 = {
    "chargingProfileId": 7, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative", "chargingSchedule": _SCHEDULE_16,
}  # fmt: skip
_TX_PROFILE_16 = {**_PROFILE_16, "chargingProfilePurpose": "TxProfile", "transactionId": 5}
CASES_16: Cases = (
    ("Reset", {"type": "Hard"}),
    ("Reset", {"type": "Soft"}),
    ("UnlockConnector", {"connectorId": 1}),
    ("ClearCache", {}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Operative"}),
    ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}),
    ("GetConfiguration", {}),
    ("GetConfiguration", {"key": ["HeartbeatInterval", "Unknown"]}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"}),
    ("RemoteStartTransaction", {"idTag": "TAG1"}),
    ("RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 2}),
    ("RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 2, "chargingProfile": _PROFILE_16}),
    ("RemoteStopTransaction", {"transactionId": 987654}),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}),
    ("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": _PROFILE_16}),
    ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": _TX_PROFILE_16}),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 600}),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "W"}),
    ("ClearChargingProfile", {}),
    ("ClearChargingProfile", {"id": 7}),
    ("ClearChargingProfile", {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}),
    ("UpdateFirmware", {"location": "https://files.example/firmware.bin", "retrieveDate": _AT, "retries": 2}),
    ("GetDiagnostics", {"location": "https://files.example/logs", "startTime": _AT, "stopTime": _AT}),
    ("GetLocalListVersion", {}),
    ("SendLocalList", {"listVersion": 12, "updateType": "Full", "localAuthorizationList": [
        {"idTag": "TAG1", "idTagInfo": {"status": "Accepted", "expiryDate": _AT, "parentIdTag": "PARENT"}},
        {"idTag": "TAG2", "idTagInfo": {"status": "Blocked"}},
    ]}),
    ("SendLocalList", {"listVersion": 13, "updateType": "Differential", "localAuthorizationList": [{"idTag": "TAG2"}]}),
    ("SendLocalList", {"listVersion": 0, "updateType": "Full"}),
    ("ReserveNow", {"connectorId": 1, "expiryDate": _AT, "idTag": "TAG1", "reservationId": 4711}),
    ("CancelReservation", {"reservationId": 4711}),
    ("DataTransfer", {"vendorId": "com.example", "messageId": "Hello", "data": "World"}),
    ("CertificateSigned", {"certificateChain": "-----BEGIN CERTIFICATE-----"}),
    ("DeleteCertificate", {"certificateHashData": _HASHES}),
    ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}),
    ("GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"}),
    ("GetLog", {"log": {"remoteLocation": "https://files.example/logs"}, "logType": "SecurityLog", "requestId": 3}),
    ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate",
                            "certificate": "-----BEGIN CERTIFICATE-----"}),
    ("SignedUpdateFirmware", {"requestId": 4, "firmware": {
        "location": "https://files.example/firmware.bin", "retrieveDateTime": _AT, "signature": "c2lnbmVk",
        "signingCertificate": "-----BEGIN CERTIFICATE-----",
    }}),
)  # fmt: skip

_TOKEN = {"idToken": "TAG1", "type": "ISO14443"}
_COMPONENT = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "Enabled"}}
_PROFILE_201 = {
    "id": 7, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative",
    "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": _PERIODS}],
}  # fmt: skip
CASES_201: Cases = (
    ("Reset", {"type": "OnIdle"}),
    ("Reset", {"type": "Immediate", "evseId": 1}),
    ("GetVariables", {"getVariableData": [_COMPONENT, {**_COMPONENT, "attributeType": "Target"}]}),
    ("SetVariables", {"setVariableData": [{**_COMPONENT, "attributeValue": "true"},
                                          {"attributeValue": "42", "component": {"name": "X", "evse": {"id": 1}},
                                           "variable": {"name": "Y"}}]}),
    ("UnlockConnector", {"evseId": 1, "connectorId": 1}),
    ("ClearCache", {}),
    ("ChangeAvailability", {"operationalStatus": "Operative"}),
    ("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 1}}),
    ("RequestStartTransaction", {"idToken": _TOKEN, "remoteStartId": 9, "evseId": 1, "chargingProfile": _PROFILE_201}),
    ("RequestStopTransaction", {"transactionId": "tx-of-the-station"}),
    ("GetTransactionStatus", {}),
    ("GetTransactionStatus", {"transactionId": "tx-of-the-station"}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}),
    ("SetChargingProfile", {"evseId": 0, "chargingProfile": _PROFILE_201}),
    ("GetChargingProfiles", {"requestId": 5, "chargingProfile": {"chargingProfilePurpose": "TxProfile"}}),
    ("GetCompositeSchedule", {"evseId": 1, "duration": 600, "chargingRateUnit": "W"}),
    ("ClearChargingProfile", {"chargingProfileId": 7}),
    ("ClearChargingProfile", {"chargingProfileCriteria": {"evseId": 1, "stackLevel": 0}}),
    ("ReserveNow", {"id": 4711, "expiryDateTime": _AT, "idToken": _TOKEN, "evseId": 1}),
    ("CancelReservation", {"reservationId": 4711}),
    ("GetLocalListVersion", {}),
    ("SendLocalList", {"versionNumber": 12, "updateType": "Full", "localAuthorizationList": [
        {"idToken": _TOKEN, "idTokenInfo": {"status": "Accepted"}},
    ]}),
    ("GetBaseReport", {"requestId": 6, "reportBase": "FullInventory"}),
    ("GetReport", {"requestId": 7, "componentVariable": [{"component": {"name": "AuthCtrlr"}}]}),
    ("GetMonitoringReport", {"requestId": 8}),
    ("SetMonitoringBase", {"monitoringBase": "FactoryDefault"}),
    ("SetMonitoringLevel", {"severity": 4}),
    ("SetVariableMonitoring", {"setMonitoringData": [
        {**_COMPONENT, "value": 12.5, "type": "UpperThreshold", "severity": 3},
    ]}),
    ("ClearVariableMonitoring", {"id": [1, 2]}),
    ("CustomerInformation", {"requestId": 9, "report": True, "clear": False, "idToken": _TOKEN}),
    ("CostUpdated", {"totalCost": 3.14, "transactionId": "tx-of-the-station"}),
    ("SetDisplayMessage", {"message": {"id": 1, "priority": "AlwaysFront",
                                       "message": {"format": "UTF8", "content": "Grüß Gott"}}}),
    ("GetDisplayMessages", {"requestId": 10}),
    ("ClearDisplayMessage", {"id": 1}),
    ("DataTransfer", {"vendorId": "com.example", "data": {"any": ["thing", 1]}}),
    ("CertificateSigned", {"certificateChain": "-----BEGIN CERTIFICATE-----"}),
    ("DeleteCertificate", {"certificateHashData": _HASHES}),
    ("GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"]}),
    ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "-----BEGIN CERTIFICATE-----"}),
    ("GetLog", {"log": {"remoteLocation": "https://files.example/logs"}, "logType": "DiagnosticsLog", "requestId": 11}),
    ("UpdateFirmware", {"requestId": 12, "firmware": {"location": "https://files.example/f.bin",
                                                      "retrieveDateTime": _AT}}),
    ("PublishFirmware", {"requestId": 13, "location": "https://files.example/f.bin", "checksum": "0" * 32}),
    ("UnpublishFirmware", {"checksum": "0" * 32}),
    ("SetNetworkProfile", {"configurationSlot": 1, "connectionData": {
        "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://csms.example/ocpp",
        "messageTimeout": 30, "securityProfile": 2, "ocppInterface": "Wired0",
    }}),
)  # fmt: skip

_ACCEPTED = {"status": "Accepted"}
_ANSWERS: dict[str, dict[str, dict[str, Any]]] = {
    "1.6": {
        "UnlockConnector": {"status": "UnlockFailed"},
        "GetConfiguration": {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
                             "unknownKey": ["Unknown"]},
        "ChangeConfiguration": {"status": "RebootRequired"},
        "RemoteStopTransaction": {"status": "Rejected"},
        "GetCompositeSchedule": {"status": "Accepted", "connectorId": 1, "scheduleStart": _AT,
                                 "chargingSchedule": _SCHEDULE_16},
        "ClearChargingProfile": {"status": "Unknown"},
        "UpdateFirmware": {},
        "GetDiagnostics": {"fileName": "log.zip"},
        "GetLocalListVersion": {"listVersion": 12},
        "ReserveNow": {"status": "Occupied"},
        "DataTransfer": {"status": "UnknownVendorId"},
        "GetLog": {"status": "Accepted", "filename": "log.zip"},
        "GetInstalledCertificateIds": {"status": "NotFound"},
    },
    "2.0.1": {
        "GetVariables": {"getVariableResult": [
            {"attributeStatus": "Accepted", "attributeValue": "true", **_COMPONENT},
        ]},
        "SetVariables": {"setVariableResult": [{"attributeStatus": "RebootRequired", **_COMPONENT}]},
        "UnlockConnector": {"status": "Unlocked"},
        "GetTransactionStatus": {"messagesInQueue": False, "ongoingIndicator": True},
        "GetLocalListVersion": {"versionNumber": 12},
        "SetVariableMonitoring": {"setMonitoringResult": [
            {"status": "Accepted", "id": 3, "type": "UpperThreshold", "severity": 3, **_COMPONENT},
        ]},
        "ClearVariableMonitoring": {"clearMonitoringResult": [{"status": "NotFound", "id": 1}]},
        "CostUpdated": {},
        "UnpublishFirmware": {"status": "NoFirmware"},
        "RequestStartTransaction": {"status": "Rejected", "statusInfo": {"reasonCode": "Busy"}},
    },
}  # fmt: skip


def answers(version: str) -> dict[str, dict[str, Any]]:
    """Return what the charge point answers to each action; refusals are successes of the API as well."""
    cases = CASES_16 if version == "1.6" else CASES_201
    return {action: _ANSWERS[version].get(action, _ACCEPTED) for action, _ in cases}
