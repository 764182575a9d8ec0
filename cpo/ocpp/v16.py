"""OCPP 1.6: `read` turns a message into an event, `write` turns a request into a message. Pure.

Reading is forgiving: the gateway has let pass what lenient allows, and a parked message may be worse. What cannot be
read raises `Unreadable`; a single odd meter value is flagged and stops nothing (OCPP-65).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never

from cpo import signed_values
from cpo.gateway import moments
from cpo.gateway.frames import Payload
from cpo.ocpp import events, fields
from cpo.ocpp.events import Event, MeterSample, Request
from cpo.ocpp.fields import Reader, integer, scaled, small, text
from cpo.ocpp.fields import Unreadable as Unreadable

_REASONS = frozenset(
    {
        "DeAuthorized",
        "EmergencyStop",
        "EVDisconnected",
        "HardReset",
        "Local",
        "Other",
        "PowerLoss",
        "Reboot",
        "Remote",
        "SoftReset",
        "UnlockCommand",
    }
)


def read(action: str, payload: Payload | str, received_at: datetime) -> Event:
    """Return what a message says happened.

    :raises Unreadable: if a needed field is missing or of another kind.
    """
    return fields.read(_READERS, action, payload, received_at)


def _id_tag(payload: Payload, name: str = "idTag") -> str:
    # Never cut: another tag would be let in.
    return text(payload, name)


def _boot_notification(payload: Payload, received_at: datetime) -> Event:
    return events.Booted(
        vendor=text(payload, "chargePointVendor", 20),
        model=text(payload, "chargePointModel", 20),
        serial=text(payload, "chargePointSerialNumber", 25),
        box_serial=text(payload, "chargeBoxSerialNumber", 25),
        firmware=text(payload, "firmwareVersion", 50),
        iccid=text(payload, "iccid", 20),
        imsi=text(payload, "imsi", 20),
        meter_type=text(payload, "meterType", 25),
        meter_serial=text(payload, "meterSerialNumber", 25),
    )


def _heartbeat(payload: Payload, received_at: datetime) -> Event:
    return events.Heartbeat()


def _status_notification(payload: Payload, received_at: datetime) -> Event:
    connector = small(payload, "connectorId")
    timestamp = payload.get("timestamp")
    # The timestamp is optional here; without one the status is of now, and no clock is suspect.
    moment = moments.Moment(received_at, "") if timestamp is None else moments.read(timestamp, received_at)
    return events.ConnectorStatus(
        connector=connector,
        status=text(payload, "status", 20),
        error_code=text(payload, "errorCode", 50),
        moment=moment,
        info=text(payload, "info", 50),
        vendor_id=text(payload, "vendorId"),
        vendor_error_code=text(payload, "vendorErrorCode", 50),
    )


def _authorize(payload: Payload, received_at: datetime) -> Event:
    return events.AuthorizeAsked(id_token=_id_tag(payload))


def _start_transaction(payload: Payload, received_at: datetime) -> Event:
    reservation = payload.get("reservationId")
    return events.TransactionStarted(
        connector=small(payload, "connectorId"),
        id_token=_id_tag(payload),
        meter_start_wh=Decimal(integer(payload, "meterStart")),
        moment=moments.read(payload.get("timestamp"), received_at),
        # 0 and negative numbers are what some send for "no reservation".
        reservation_id=reservation if isinstance(reservation, int) and reservation > 0 else None,
    )


def _stop_transaction(payload: Payload, received_at: datetime) -> Event:
    reason = text(payload, "reason", 50) or "Local"
    return events.TransactionStopped(
        transaction_id=integer(payload, "transactionId"),
        meter_stop_wh=Decimal(integer(payload, "meterStop")),
        moment=moments.read(payload.get("timestamp"), received_at),
        reason=reason if reason in _REASONS else "Other",
        id_token=_id_tag(payload),
        samples=_samples(payload.get("transactionData"), received_at),
    )


def _meter_values(payload: Payload, received_at: datetime) -> Event:
    transaction_id = payload.get("transactionId")
    return events.MeterValues(
        connector=small(payload, "connectorId"),
        transaction_id=None if transaction_id is None else integer(payload, "transactionId"),
        samples=_samples(payload.get("meterValue"), received_at),
    )


def _samples(meter_values: object, received_at: datetime) -> tuple[MeterSample, ...]:
    found: list[MeterSample] = []
    for meter_value in meter_values if isinstance(meter_values, list) else ():
        if not isinstance(meter_value, dict):
            continue
        moment = moments.read(meter_value.get("timestamp"), received_at)
        sampled = meter_value.get("sampledValue")
        found.extend(
            _sample(sample, moment)
            for sample in (sampled if isinstance(sampled, list) else ())
            if isinstance(sample, dict)
        )
    return tuple(found)


def _sample(sample: Payload, moment: moments.Moment) -> MeterSample:
    measurand = text(sample, "measurand") or "Energy.Active.Import.Register"
    raw = sample.get("value")
    raw_text = "" if raw is None else str(raw)
    signed = sample.get("format") == "SignedData" or signed_values.is_signed(raw_text)
    unit, value, flag = text(sample, "unit"), None, ""
    if not signed:
        unit, value, flag = scaled(measurand, unit, raw)
    return MeterSample(
        moment=moment,
        value=value,
        raw=raw_text,
        measurand=measurand,
        unit=unit,
        phase=text(sample, "phase"),
        context=text(sample, "context") or "Sample.Periodic",
        location=text(sample, "location") or "Outlet",
        signed=signed,
        flag=flag,
    )


def _data_transfer(payload: Payload, received_at: datetime) -> Event:
    return events.DataTransferred(
        vendor_id=text(payload, "vendorId"), message_id=text(payload, "messageId", 50), data=payload.get("data")
    )


def _upload_status(action: str) -> Reader:
    def reader(payload: Payload, received_at: datetime) -> Event:
        request = payload.get("requestId")
        request_id = request if isinstance(request, int) else None
        return events.UploadStatus(subject=action, status=text(payload, "status", 50), request_id=request_id)

    return reader


def _security_event(payload: Payload, received_at: datetime) -> Event:
    return events.SecurityEvent(
        kind=text(payload, "type", 50),
        moment=moments.read(payload.get("timestamp"), received_at),
        info=text(payload, "techInfo"),
    )


_READERS: dict[str, Reader] = {
    "Authorize": _authorize,
    "BootNotification": _boot_notification,
    "DataTransfer": _data_transfer,
    "Heartbeat": _heartbeat,
    "MeterValues": _meter_values,
    "SecurityEventNotification": _security_event,
    "StartTransaction": _start_transaction,
    "StatusNotification": _status_notification,
    "StopTransaction": _stop_transaction,
} | {
    action: _upload_status(action)
    for action in (
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "LogStatusNotification",
        "SignedFirmwareStatusNotification",
    )
}


def write(request: Request) -> tuple[str, Payload]:
    """Return the action and payload that ask a charge point for this."""
    match request:
        case events.RemoteStart():
            return "RemoteStartTransaction", _present(
                idTag=request.id_token, connectorId=request.connector, chargingProfile=request.charging_profile
            )
        case events.RemoteStop():
            return "RemoteStopTransaction", {"transactionId": request.transaction_id}
        case events.Unlock():
            return "UnlockConnector", {"connectorId": request.connector}
        case events.Reserve():
            return "ReserveNow", _present(
                connectorId=request.connector,
                expiryDate=moments.write(request.expires_at),
                idTag=request.id_token,
                parentIdTag=request.parent_id_token or None,
                reservationId=request.reservation_id,
            )
        case events.CancelReservation():
            return "CancelReservation", {"reservationId": request.reservation_id}
        case events.SetProfile():
            return "SetChargingProfile", {"connectorId": request.connector, "csChargingProfiles": _profile(request)}
        case events.ClearProfile():
            return "ClearChargingProfile", {"id": request.profile_id}
        case events.AskSchedule():
            return "GetCompositeSchedule", {"connectorId": request.connector, "duration": request.seconds}
        case events.ReadConfiguration():
            return "GetConfiguration", {"key": list(request.keys)}
    assert_never(request)


def _profile(request: events.SetProfile) -> Payload:
    schedule = request.schedule
    return _present(
        chargingProfileId=request.profile_id,
        transactionId=request.transaction_id,
        stackLevel=request.stack_level,
        chargingProfilePurpose=request.purpose,
        chargingProfileKind="Relative" if schedule.start is None else "Absolute",
        chargingSchedule=_present(
            duration=schedule.duration,
            startSchedule=None if schedule.start is None else moments.write(schedule.start),
            chargingRateUnit=schedule.unit,
            # numberPhases is left out: OCPI knows none (PIT-69).
            chargingSchedulePeriod=[{"startPeriod": start, "limit": float(limit)} for start, limit in schedule.periods],
            minChargingRate=None if schedule.least is None else float(schedule.least),
        ),
    )


def _present(**fields: Any) -> Payload:
    return {name: value for name, value in fields.items() if value is not None}
