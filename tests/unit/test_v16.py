"""OCPP 1.6 messages to events, requests to messages: tables of cases."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cpo.gateway import frames
from cpo.ocpp import events, v16
from cpo.ocpp.events import MeterSample, MeterValues, TransactionStarted, TransactionStopped

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
AT = "2026-05-01T11:00:00Z"
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 1000, "timestamp": AT}
STOP = {"transactionId": 7, "meterStop": 2500, "timestamp": AT}


def sample(**fields: Any) -> MeterSample:
    event = v16.read(
        "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [fields]}]}, NOW
    )
    assert isinstance(event, MeterValues)
    return event.samples[0]


def test_a_boot_is_read_and_over_long_text_is_cut() -> None:
    event = v16.read("BootNotification", {"chargePointVendor": "V" * 30, "chargePointModel": "M\x00"}, NOW)

    assert event == events.Booted(vendor="V" * 20, model="M")


@pytest.mark.req("OCPP-58", "OCPP-18")
def test_a_status_is_read_and_one_without_timestamp_is_of_now() -> None:
    payload = {"connectorId": 0, "errorCode": "GroundFailure", "status": "Faulted", "vendorErrorCode": "E7"}

    event = v16.read("StatusNotification", payload, NOW)

    assert isinstance(event, events.ConnectorStatus)
    assert (event.connector, event.status, event.error_code, event.vendor_error_code) == (
        0,
        "Faulted",
        "GroundFailure",
        "E7",
    )
    assert (event.moment.at, event.moment.suspect) == (NOW, False)
    dated = v16.read("StatusNotification", payload | {"timestamp": "1970-01-01T00:00:00Z"}, NOW)
    assert isinstance(dated, events.ConnectorStatus)
    assert dated.moment.suspect


def test_a_start_and_a_stop_are_read() -> None:
    started = v16.read("StartTransaction", START | {"reservationId": 3}, NOW)
    stopped = v16.read("StopTransaction", STOP | {"reason": "EVDisconnected", "idTag": "TAG"}, NOW)

    assert isinstance(started, TransactionStarted)
    assert (started.connector, started.id_token, int(started.meter_start_wh), started.reservation_id) == (
        1,
        "TAG",
        1000,
        3,
    )
    assert isinstance(stopped, TransactionStopped)
    assert (stopped.transaction_id, int(stopped.meter_stop_wh), stopped.reason) == (7, 2500, "EVDisconnected")
    assert stopped.moment.at == datetime(2026, 5, 1, 11, tzinfo=UTC)


@pytest.mark.req("OCPP-128")
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({}, "Local"),
        ({"reason": "PowerLoss"}, "PowerLoss"),
        ({"reason": "Ghost"}, "Other"),
        ({"reason": None}, "Local"),
    ],
)
def test_the_stop_reason_has_its_default(sent: dict[str, Any], read: str) -> None:
    event = v16.read("StopTransaction", STOP | sent, NOW)

    assert isinstance(event, TransactionStopped)
    assert event.reason == read


def test_a_stop_carries_its_transaction_data() -> None:
    data = [{"timestamp": AT, "sampledValue": [{"value": "1.5", "unit": "kWh", "context": "Transaction.End"}]}]

    event = v16.read("StopTransaction", STOP | {"transactionData": data}, NOW)

    assert isinstance(event, TransactionStopped)
    assert [(found.value, found.unit, found.context) for found in event.samples] == [
        (Decimal(1500), "Wh", "Transaction.End")
    ]


@pytest.mark.req("OCPP-64", "OCPP-128")
def test_a_bare_value_has_all_its_defaults() -> None:
    found = sample(value="12.5")

    assert (found.value, found.raw, found.unit) == (Decimal("12.5"), "12.5", "Wh")
    assert (found.measurand, found.context, found.location, found.phase) == (
        "Energy.Active.Import.Register",
        "Sample.Periodic",
        "Outlet",
        "",
    )
    assert (found.signed, found.flag) == (False, "")


@pytest.mark.req("OCPP-64")
@pytest.mark.parametrize(
    ("fields", "value", "unit"),
    [
        ({"value": "0.1", "unit": "kWh"}, "100.0", "Wh"),
        ({"value": "22", "unit": "kW", "measurand": "Power.Active.Import"}, "22000", "W"),
        ({"value": "7", "measurand": "Power.Active.Import"}, "7", "W"),
        ({"value": "16.3", "measurand": "Current.Import"}, "16.3", "A"),
        ({"value": "230", "measurand": "Voltage"}, "230", "V"),
        ({"value": "80", "measurand": "SoC"}, "80", "%"),
        ({"value": "80", "measurand": "SoC", "unit": "Percent"}, "80", "%"),
        ({"value": "20", "measurand": "Temperature", "unit": "Celcius"}, "20", "Celsius"),
        ({"value": "0.98", "measurand": "Power.Factor"}, "0.98", ""),
        ({"value": "3", "measurand": "Energy.Reactive.Import.Register"}, "3", "varh"),
        ({"value": 12.5}, "12.5", "Wh"),
        ({"value": " -3 "}, "-3", "Wh"),
        ({"value": "1e3"}, "1000", "Wh"),
        ({"value": "0.30000000000000004"}, "0.30000000000000004", "Wh"),
    ],
)
def test_units_are_converted_and_values_stay_decimal(fields: dict[str, Any], value: str, unit: str) -> None:
    found = sample(**fields)

    assert isinstance(found.value, Decimal)
    assert (found.value, found.unit, found.flag) == (Decimal(value), unit, "")


@pytest.mark.req("OCPP-65", "OCPP-126")
@pytest.mark.parametrize("value", ["", "text", "NaN", "Infinity", "12,5", "1e99", "9" * 33, "0x10", None, True, {}])
def test_what_is_no_number_is_flagged_and_stops_nothing(value: Any) -> None:
    values = [{"timestamp": AT, "sampledValue": [{"value": value}, {"value": "5"}]}]

    event = v16.read("MeterValues", {"connectorId": 1, "meterValue": values}, NOW)

    assert isinstance(event, MeterValues)
    assert [(found.value, found.flag) for found in event.samples] == [(None, "not a number"), (5, "")]
    assert event.samples[0].raw == ("" if value is None else str(value))


def test_an_unknown_unit_is_never_guessed() -> None:
    found = sample(value="5", unit="MWh")

    assert (found.value, found.raw, found.flag) == (None, "5", "unknown unit")


@pytest.mark.req("OCPP-70")
@pytest.mark.parametrize(
    "fields",
    [
        {"value": 'OCMF|{"FV":"1.0"}|{"SD":"30"}'},
        {"value": "AQID", "format": "SignedData"},
        {"value": ' {"signedMeterData" : "T0NNRg==", "encodingMethod":"OCMF"}\n', "format": "SignedData"},
        {"value": '{"signedMeterData":"T0NNRg==","encodingMethod":"OCMF"}'},
        {"value": '{"record":{"ocmf":"OCMF|{}|{}"}}'},
    ],
    ids=["OCMF as text", "SignedData", "JSON", "JSON without format", "OCMF in JSON"],
)
def test_signed_values_are_kept_bit_for_bit(fields: dict[str, str]) -> None:
    found = sample(**fields)

    assert (found.signed, found.value, found.raw, found.flag) == (True, None, fields["value"], "")


@pytest.mark.req("OCPP-65", "OCPP-70")
@pytest.mark.parametrize("value", ["{}", '{"value": 5}', "{", '{"signedMeterData": 7}', "[" * 2000])
def test_json_without_a_signed_record_is_no_signed_value(value: str) -> None:
    found = sample(value=value)

    assert (found.signed, found.value, found.flag) == (False, None, "not a number")


@pytest.mark.req("OCPP-66")
def test_meter_values_name_their_transaction_or_none() -> None:
    values = [{"timestamp": AT, "sampledValue": [{"value": "1"}]}]

    with_one = v16.read("MeterValues", {"connectorId": 1, "transactionId": 9, "meterValue": values}, NOW)
    without = v16.read("MeterValues", {"connectorId": 0, "meterValue": values}, NOW)

    assert isinstance(with_one, MeterValues)
    assert with_one.transaction_id == 9
    assert isinstance(without, MeterValues)
    assert (without.connector, without.transaction_id) == (0, None)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("StopTransaction", {"meterStop": 1, "timestamp": AT}),
        ("StopTransaction", STOP | {"transactionId": "seven"}),
        ("StopTransaction", STOP | {"meterStop": 1.5}),
        ("StartTransaction", START | {"connectorId": None}),
        ("StatusNotification", {"connectorId": -1, "status": "Available", "errorCode": "NoError"}),
        ("StatusNotification", {"connectorId": 10**11, "status": "Available", "errorCode": "NoError"}),
        ("StartTransaction", START | {"connectorId": 10**11}),
        ("StartTransaction", START | {"connectorId": -1}),
        ("MeterValues", {"connectorId": 10**11, "meterValue": []}),
        ("MeterValues", []),
    ],
)
def test_what_lacks_what_it_is_about_is_unreadable(action: str, payload: Any) -> None:
    with pytest.raises(v16.Unreadable):
        v16.read(action, payload, NOW)


def test_the_rest_is_read_too() -> None:
    assert v16.read("Heartbeat", "{}", NOW) == events.Heartbeat()
    assert v16.read("Authorize", '{"idTag":"TAG"}', NOW) == events.AuthorizeAsked(id_token="TAG")
    assert v16.read("FirmwareStatusNotification", {"status": "Installed"}, NOW) == events.UploadStatus(
        subject="FirmwareStatusNotification", status="Installed"
    )
    assert v16.read("DataTransfer", {"vendorId": "v", "data": "{}"}, NOW) == events.DataTransferred(
        vendor_id="v", data="{}"
    )
    assert v16.read("SignCertificate", {"csr": "x"}, NOW) == events.Other(
        action="SignCertificate", payload={"csr": "x"}
    )


@pytest.mark.req("OCPP-75", "OCPP-128")
@pytest.mark.parametrize(
    ("request_", "action", "payload"),
    [
        (events.RemoteStart(id_token="TAG", connector=2), "RemoteStartTransaction", {"connectorId": 2, "idTag": "TAG"}),
        (events.RemoteStart(id_token="TAG"), "RemoteStartTransaction", {"idTag": "TAG"}),
        (events.RemoteStop(transaction_id=7), "RemoteStopTransaction", {"transactionId": 7}),
        (events.Unlock(connector=1), "UnlockConnector", {"connectorId": 1}),
        (
            events.Reserve(reservation_id=3, id_token="TAG", expires_at=NOW),
            "ReserveNow",
            {"connectorId": 0, "expiryDate": "2026-05-01T12:00:00.000Z", "idTag": "TAG", "reservationId": 3},
        ),
        (events.CancelReservation(reservation_id=3), "CancelReservation", {"reservationId": 3}),
    ],
)
def test_requests_become_messages_their_schema_takes(
    request_: events.Request, action: str, payload: dict[str, Any]
) -> None:
    assert v16.write(request_) == (action, payload)
    assert frames.check_payload("1.6", action, payload) is None
