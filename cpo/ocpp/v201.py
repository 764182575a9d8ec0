"""OCPP 2.0.1, and what 2.1 shares with it: `read` turns a message into an event. Pure.

Reading is forgiving, as it is for 1.6: what cannot be read raises `Unreadable`, an odd meter value stops nothing.
"""

from collections.abc import Iterator
from datetime import datetime

from cpo.gateway import moments
from cpo.gateway.frames import Payload
from cpo.ocpp import events, fields
from cpo.ocpp.events import Event, MeterSample
from cpo.ocpp.fields import Reader, Unreadable, integer, optional_integer, optional_small, scaled, small, text

_LONGEST_ID = 36
_KINDS = frozenset({"Started", "Updated", "Ended"})
_STATES = frozenset({"Available", "Occupied", "Reserved", "Unavailable", "Faulted"})
_CHARGING_STATES = frozenset({"Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"})
_REASONS = frozenset(
    {
        "DeAuthorized",
        "EmergencyStop",
        "EnergyLimitReached",
        "EVDisconnected",
        "GroundFault",
        "ImmediateReset",
        "Local",
        "LocalOutOfCredit",
        "MasterPass",
        "Other",
        "OvercurrentFault",
        "PowerLoss",
        "PowerQuality",
        "Reboot",
        "Remote",
        "SOCLimitReached",
        "StoppedByEV",
        "TimeLimitReached",
        "Timeout",
    }
)
_OF_STATES = frozenset({"ChargingStation", "EVSE", "Connector"})  # components whose AvailabilityState counts


def read(action: str, payload: Payload | str, received_at: datetime) -> Event:
    """Return what a message says happened.

    :raises Unreadable: if a needed field is missing or of another kind.
    """
    return fields.read(_READERS, action, payload, received_at)


def _object(payload: Payload, name: str) -> Payload:
    found = payload.get(name)
    return found if isinstance(found, dict) else {}


def _objects(payload: Payload, name: str) -> Iterator[Payload]:
    found = payload.get(name)
    return (each for each in (found if isinstance(found, list) else ()) if isinstance(each, dict))


def _boot_notification(payload: Payload, received_at: datetime) -> Event:
    station = _object(payload, "chargingStation")
    modem = _object(station, "modem")
    return events.Booted(
        vendor=text(station, "vendorName", 50),
        model=text(station, "model", 20),
        serial=text(station, "serialNumber", 25),
        firmware=text(station, "firmwareVersion", 50),
        iccid=text(modem, "iccid", 20),
        imsi=text(modem, "imsi", 20),
        reason=text(payload, "reason", 20),
    )


def _heartbeat(payload: Payload, received_at: datetime) -> Event:
    return events.Heartbeat()


def _status_notification(payload: Payload, received_at: datetime) -> Event:
    return events.ConnectorStatus(
        evse=small(payload, "evseId"),
        connector=small(payload, "connectorId"),
        status=text(payload, "connectorStatus", 20),
        error_code="",
        moment=moments.read(payload.get("timestamp"), received_at),
    )


def _notify_event(payload: Payload, received_at: datetime) -> Event:
    found = [_state(each, received_at) for each in _objects(payload, "eventData")]
    states = tuple(state for state in found if state is not None)
    if not states:
        return events.Other(action="NotifyEvent", payload=payload)
    return events.ConnectorStates(states=states)


def _state(data: Payload, received_at: datetime) -> events.ConnectorStatus | None:
    """Return the state that an AvailabilityState tells of (OCPP-62); connector 0 is the whole EVSE."""
    component = _object(data, "component")
    name, place = text(component, "name"), _object(component, "evse")
    status = text(data, "actualValue")
    if text(_object(data, "variable"), "name") != "AvailabilityState" or name not in _OF_STATES:
        return None
    if status not in _STATES:
        return None
    evse = optional_small(place, "id") or 0
    connector = optional_small(place, "connectorId") or 0
    if name != "ChargingStation" and evse < 1:
        return None
    return events.ConnectorStatus(
        evse=0 if name == "ChargingStation" else evse,
        connector=connector if name == "Connector" else 0,
        status=status,
        error_code=text(data, "techCode", 50),
        info=text(data, "techInfo", 50),
        moment=moments.read(data.get("timestamp"), received_at),
    )


def _authorize(payload: Payload, received_at: datetime) -> Event:
    token = _object(payload, "idToken")
    return events.AuthorizeAsked(
        id_token=text(token, "idToken"),
        token_type=text(token, "type", 20),
        certificate=bool(payload.get("certificate") or payload.get("iso15118CertificateHashData")),
    )


def _transaction_event(payload: Payload, received_at: datetime) -> Event:
    info, evse, token = _object(payload, "transactionInfo"), _object(payload, "evse"), _object(payload, "idToken")
    transaction_id, kind = text(info, "transactionId"), text(payload, "eventType")
    if not 0 < len(transaction_id) <= _LONGEST_ID:
        raise Unreadable(f"transactionInfo.transactionId: must have 1 to {_LONGEST_ID} characters")
    if kind not in _KINDS:
        raise Unreadable("eventType: must be Started, Updated or Ended")
    state, reason = text(info, "chargingState"), text(info, "stoppedReason")
    return events.TransactionEvent(
        transaction_id=transaction_id,
        kind=kind,
        seq_no=small(payload, "seqNo"),
        moment=moments.read(payload.get("timestamp"), received_at),
        trigger=text(payload, "triggerReason", 50),
        offline=payload.get("offline") is True,
        # An EVSE 0 is none: it is that of the transaction (OCPP-57).
        evse=optional_small(evse, "id") or None,
        connector=optional_small(evse, "connectorId") or None,
        charging_state=state if state in _CHARGING_STATES else "",
        stopped_reason=reason if not reason or reason in _REASONS else "Other",
        remote_start_id=optional_integer(info, "remoteStartId"),
        reservation_id=optional_integer(payload, "reservationId"),
        id_token="" if text(token, "type") == "NoAuthorization" else text(token, "idToken"),
        token_type=text(token, "type", 20),
        samples=_samples(payload, received_at),
    )


def _meter_values(payload: Payload, received_at: datetime) -> Event:
    evse = small(payload, "evseId")
    return events.MeterValues(connector=0, evse=evse, samples=_samples(payload, received_at))


def _samples(payload: Payload, received_at: datetime) -> tuple[MeterSample, ...]:
    return tuple(
        _sample(sample, moments.read(meter_value.get("timestamp"), received_at))
        for meter_value in _objects(payload, "meterValue")
        for sample in _objects(meter_value, "sampledValue")
    )


def _sample(sample: Payload, moment: moments.Moment) -> MeterSample:
    measurand = text(sample, "measurand") or "Energy.Active.Import.Register"
    measured_in, raw = _object(sample, "unitOfMeasure"), sample.get("value")
    multiplier = optional_integer(measured_in, "multiplier") or 0
    if abs(multiplier) > 15:
        multiplier, raw = 0, None
    unit, value, flag = scaled(measurand, text(measured_in, "unit", 20), raw, multiplier)
    return MeterSample(
        moment=moment,
        value=value,
        raw="" if raw is None else str(raw),
        measurand=measurand,
        unit=unit,
        phase=text(sample, "phase"),
        context=text(sample, "context") or "Sample.Periodic",
        location=text(sample, "location") or "Outlet",
        flag=flag,
        signature=_object(sample, "signedMeterValue") or None,
    )


def _reservation_status_update(payload: Payload, received_at: datetime) -> Event:
    return events.ReservationEnded(
        reservation_id=integer(payload, "reservationId"), status=text(payload, "reservationUpdateStatus", 20)
    )


def _data_transfer(payload: Payload, received_at: datetime) -> Event:
    return events.DataTransferred(
        vendor_id=text(payload, "vendorId"), message_id=text(payload, "messageId", 50), data=payload.get("data")
    )


def _upload_status(action: str) -> Reader:
    def reader(payload: Payload, received_at: datetime) -> Event:
        return events.UploadStatus(
            subject=action, status=text(payload, "status", 50), request_id=optional_integer(payload, "requestId")
        )

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
    "NotifyEvent": _notify_event,
    "ReservationStatusUpdate": _reservation_status_update,
    "SecurityEventNotification": _security_event,
    "StatusNotification": _status_notification,
    "TransactionEvent": _transaction_event,
} | {
    action: _upload_status(action)
    for action in ("FirmwareStatusNotification", "LogStatusNotification", "PublishFirmwareStatusNotification")
}
