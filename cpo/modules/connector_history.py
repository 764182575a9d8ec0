"""Keep every state a charge point says a connector is in, late news included (OCPP-58, OCPP-62)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cpo.gateway import moments
from cpo.models import ConnectorHistory, InboxMessage

_STATE = "AvailabilityState"
_VENDOR = ("info", "vendorId", "vendorErrorCode")
_LARGEST = 2**31 - 1


def note(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Write down what a StatusNotification or NotifyEvent says, in the transaction that settles the message."""
    read = _of_events if message.action == "NotifyEvent" else _of_status
    ConnectorHistory.objects.bulk_create(list(read(message, payload)))


def _of_status(message: InboxMessage, payload: Mapping[str, Any]) -> Iterator[ConnectorHistory]:
    status = _text(payload.get("status") or payload.get("connectorStatus"), 20)
    if status:
        vendor = {name: _text(payload.get(name), 255) for name in _VENDOR if payload.get(name)}
        yield _row(
            message, payload.get("timestamp"), status=status, evse=_number(payload.get("evseId")),
            connector=_number(payload.get("connectorId")), error_code=_text(payload.get("errorCode"), 50),
            vendor=vendor or None,
        )  # fmt: skip


def _of_events(message: InboxMessage, payload: Mapping[str, Any]) -> Iterator[ConnectorHistory]:
    for each in payload.get("eventData") or ():
        if not isinstance(each, dict) or _named(each.get("variable")) != _STATE:
            continue
        component = each.get("component")
        evse = component.get("evse") if isinstance(component, dict) else None
        evse = evse if isinstance(evse, dict) else {}
        status = _text(each.get("actualValue"), 20)
        if status:
            yield _row(
                message, each.get("timestamp"), status=status, evse=_number(evse.get("id")),
                connector=_number(evse.get("connectorId")),
            )  # fmt: skip


def _row(message: InboxMessage, timestamp: object, **columns: Any) -> ConnectorHistory:
    received_at = message.received_at
    at = received_at if timestamp is None else moments.read(timestamp, received_at).at
    return ConnectorHistory(charge_point_id=message.charge_point_id, at=at, received_at=received_at, **columns)


def _named(value: object) -> object:
    return value.get("name") if isinstance(value, dict) else None


def _text(value: object, longest: int) -> str:
    return "" if value is None else str(value).replace("\x00", "")[:longest]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST else None
