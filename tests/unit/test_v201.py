"""OCPP 2.0.1 messages to events: tables of cases; and every CALL a charge point may send has an answer."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cpo.gateway import actions, frames, schemas
from cpo.gateway.actions import Situation
from cpo.ocpp import events, v201
from cpo.ocpp.events import ConnectorStates, ConnectorStatus, MeterSample, MeterValues, TransactionEvent
from cpo.ocpp.fields import Unreadable

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
AT = "2026-05-01T11:00:00Z"
EVENT: dict[str, Any] = {
    "eventType": "Updated",
    "timestamp": AT,
    "triggerReason": "Trigger",
    "seqNo": 3,
    "transactionInfo": {"transactionId": "T-1"},
}


def sample(**fields: Any) -> MeterSample:
    event = v201.read("MeterValues", {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [fields]}]}, NOW)
    assert isinstance(event, MeterValues)
    return event.samples[0]


def told(**changes: Any) -> TransactionEvent:
    event = v201.read("TransactionEvent", EVENT | changes, NOW)
    assert isinstance(event, TransactionEvent)
    return event


def test_a_boot_is_read() -> None:
    station = {"vendorName": "V", "model": "M", "serialNumber": "S", "firmwareVersion": "F", "modem": {"iccid": "I"}}

    event = v201.read("BootNotification", {"reason": "PowerUp", "chargingStation": station}, NOW)

    assert event == events.Booted(vendor="V", model="M", serial="S", firmware="F", iccid="I", reason="PowerUp")


def test_a_status_is_of_an_evse_and_its_connector() -> None:
    payload = {"timestamp": AT, "connectorStatus": "Occupied", "evseId": 2, "connectorId": 1}

    event = v201.read("StatusNotification", payload, NOW)

    assert isinstance(event, ConnectorStatus)
    assert (event.evse, event.connector, event.status) == (2, 1, "Occupied")


@pytest.mark.req("OCPP-62")
def test_only_states_are_read_from_events() -> None:
    def data(variable: str, value: str) -> dict[str, Any]:
        component = {"name": "Connector", "evse": {"id": 1, "connectorId": 2}}
        return {"timestamp": AT, "actualValue": value, "component": component, "variable": {"name": variable}}

    both = v201.read(
        "NotifyEvent", {"eventData": [data("Temperature", "70"), data("AvailabilityState", "Faulted")]}, NOW
    )
    none = v201.read("NotifyEvent", {"eventData": [data("AvailabilityState", "Strange")]}, NOW)

    assert isinstance(both, ConnectorStates)
    assert [(each.evse, each.connector, each.status) for each in both.states] == [(1, 2, "Faulted")]
    assert isinstance(none, events.Other)


def test_an_event_of_a_transaction_is_read() -> None:
    event = told(
        eventType="Started", offline=True, reservationId=7, evse={"id": 2, "connectorId": 1},
        idToken={"idToken": "CARD", "type": "ISO14443"},
        transactionInfo={"transactionId": "T-1", "chargingState": "Charging", "remoteStartId": 9},
    )  # fmt: skip

    assert (event.transaction_id, event.kind, event.seq_no, event.offline) == ("T-1", "Started", 3, True)
    assert (event.evse, event.connector, event.charging_state) == (2, 1, "Charging")
    assert (event.id_token, event.token_type) == ("CARD", "ISO14443")
    assert (event.reservation_id, event.remote_start_id) == (7, 9)


@pytest.mark.req("OCPP-57")
@pytest.mark.parametrize(
    "evse",
    [
        None,
        {"id": 0},
        {"id": 0, "connectorId": 0},
        {"id": 10**12, "connectorId": 10**12},
        {"id": -1, "connectorId": -1},
    ],
)
def test_an_evse_zero_or_one_that_cannot_be_is_none(evse: dict[str, int] | None) -> None:
    event = told(**({} if evse is None else {"evse": evse}))

    assert (event.evse, event.connector) == (None, None)


@pytest.mark.req("OCPP-44")
@pytest.mark.parametrize(
    "changes",
    [{"transactionInfo": {}}, {"transactionInfo": None}, {"seqNo": None}, {"seqNo": "x"}, {"eventType": "Begun"},
     {"seqNo": 10**12}, {"seqNo": -1},
     {"transactionInfo": {"transactionId": "X" * 37}}],
)  # fmt: skip
def test_what_lacks_what_it_is_about_cannot_be_read(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        told(**changes)


@pytest.mark.req("OCPP-64", "OCPP-128")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"value": 1500}, ("Energy.Active.Import.Register", "Wh", "1500", "Sample.Periodic", "Outlet")),
        ({"value": 1.5, "unitOfMeasure": {"unit": "kWh"}},
         ("Energy.Active.Import.Register", "Wh", "1500", "Sample.Periodic", "Outlet")),
        ({"value": 15, "unitOfMeasure": {"multiplier": 2}},
         ("Energy.Active.Import.Register", "Wh", "1500", "Sample.Periodic", "Outlet")),
        ({"value": 15, "unitOfMeasure": {"unit": "kWh", "multiplier": -1}},
         ("Energy.Active.Import.Register", "Wh", "1500", "Sample.Periodic", "Outlet")),
        ({"value": 7.4, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "kW"}, "context": "Trigger"},
         ("Power.Active.Import", "W", "7400", "Trigger", "Outlet")),
        ({"value": 55, "measurand": "SoC", "location": "EV"}, ("SoC", "%", "55", "Sample.Periodic", "EV")),
        ({"value": 0.1, "measurand": "Current.Import"}, ("Current.Import", "A", "0.1", "Sample.Periodic", "Outlet")),
    ],
)  # fmt: skip
def test_values_are_scaled_and_what_is_absent_has_its_default(
    fields: dict[str, Any], expected: tuple[str, str, str, str, str]
) -> None:
    found = sample(**fields)

    assert (found.measurand, found.unit, found.context, found.location) == (
        expected[0], expected[1], expected[3], expected[4],
    )  # fmt: skip
    assert found.value == Decimal(expected[2])


@pytest.mark.req("OCPP-65")
@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"value": "lots"}, "not a number"),
        ({"value": 1, "unitOfMeasure": {"unit": "furlong"}}, "unknown unit"),
        ({"value": 1, "unitOfMeasure": {"multiplier": 99}}, "not a number"),
        ({}, "not a number"),
    ],
)
def test_an_odd_value_is_flagged(fields: dict[str, Any], flag: str) -> None:
    assert (sample(**fields).value, sample(**fields).flag) == (None, flag)


@pytest.mark.req("OCPP-70")
def test_a_signature_is_kept_as_it_came() -> None:
    signed = {"signedMeterData": "AA==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}

    assert sample(value=5, signedMeterValue=signed).signature == signed


# ---------------------------------------------------------------- answers

# Whoever is asked by a charge point: what the version's schemas hold and a central system asks for itself is left out.
FROM_STATIONS = {
    "Authorize", "BootNotification", "ClearedChargingLimit", "DataTransfer", "FirmwareStatusNotification",
    "Get15118EVCertificate", "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues",
    "NotifyChargingLimit", "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule", "NotifyEvent", "NotifyMonitoringReport", "NotifyReport",
    "PublishFirmwareStatusNotification", "ReportChargingProfiles", "ReservationStatusUpdate",
    "SecurityEventNotification", "SignCertificate", "StatusNotification", "TransactionEvent",
}  # fmt: skip


@pytest.mark.req("OCPP-16", "OCPP-30")
def test_every_message_of_a_charge_point_is_taken() -> None:
    assert set(actions.ACTIONS["2.0.1"]) == FROM_STATIONS
    assert set(actions.ACTIONS["2.1"]) == FROM_STATIONS | {"NotifyPeriodicEventStream"}


@pytest.mark.req("OCPP-16", "OCPP-31")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
@pytest.mark.parametrize("status", ["Accepted", "Pending", "Rejected"])
@pytest.mark.parametrize("action", sorted(FROM_STATIONS))
def test_every_answer_of_our_own_keeps_to_the_schema(version: str, status: str, action: str) -> None:
    payloads: list[dict[str, Any]] = [{}]
    if action == "TransactionEvent":
        payloads = [EVENT, EVENT | {"idToken": {"idToken": "X", "type": "Central"}}, EVENT | {"eventType": "Ended"}]
    for payload in payloads:
        answer = actions.ACTIONS[version][action].answer(payload, Situation(NOW, status, 300, 60))

        frames.check_text(version, action, frames.payload_text(answer), answer=True)


@pytest.mark.req("OCPP-17")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("TransactionEvent", EVENT | {"triggerReason": "BecauseItCan", "vendor": {}}),
        ("TransactionEvent", EVENT | {"transactionInfo": {"transactionId": "T-1", "stoppedReason": "Boredom"}}),
        ("MeterValues", {"evseId": 1, "meterValue": [
            {"timestamp": AT, "sampledValue": [{"value": "12", "measurand": "Energy.Of.Mind"}]}]}),
        ("BootNotification", {"reason": "Whim", "chargingStation": {"model": "M" * 21, "vendorName": "V"}}),
    ],
)  # fmt: skip
def test_lenient_lets_pass_what_only_informs(version: str, action: str, payload: dict[str, Any]) -> None:
    assert frames.check_payload(version, action, payload, lenient=True)
    with pytest.raises(frames.PayloadError):
        frames.check_payload(version, action, payload)


@pytest.mark.req("OCPP-17")
def test_lenient_lets_pass_nothing_that_decides() -> None:
    for changes in ({"eventType": "Begun"}, {"seqNo": "one"}, {"transactionInfo": {"transactionId": "X" * 37}}):
        with pytest.raises(frames.PayloadError):
            frames.check_payload("2.0.1", "TransactionEvent", EVENT | changes, lenient=True)


def test_the_stream_of_2_1_has_a_schema_and_no_answer() -> None:
    assert "NotifyPeriodicEventStream" in schemas.actions("2.1")
    assert "NotifyPeriodicEventStream" not in schemas.actions("2.0.1")
    frames.check_payload(
        "2.1", "NotifyPeriodicEventStream", {"id": 1, "pending": 0, "basetime": AT, "data": [{"t": 0, "v": "1"}]}
    )
