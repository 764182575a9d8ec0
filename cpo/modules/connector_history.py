"""Keep every state a charge point says a connector is in, late news included (OCPP-58, OCPP-62)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cpo.gateway import moments
from cpo.models import InboxMessage
from ocpi import prepared

_STATE = "AvailabilityState"
_VENDOR = ("info", "vendorId", "vendorErrorCode")
_LARGEST = 2**31 - 1


def note(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Write down what a StatusNotification or NotifyEvent says, in the transaction that settles the message."""
    note_all([(message, payload)])


def note_all(said: Iterable[tuple[InboxMessage, Mapping[str, Any]]]) -> None:
    """Do what `note` does for many messages, with one statement."""
    rows: list[_Row] = []
    for message, payload in said:
        rows += (_of_events if message.action == "NotifyEvent" else _of_status)(message, payload)
    if not rows:
        return
    prepared.fetch_all(
        _KEEP,
        {
            "points": [str(row.message.charge_point_id) for row in rows],
            "evses": [None if row.evse is None else str(row.evse) for row in rows],
            "connectors": [None if row.connector is None else str(row.connector) for row in rows],
            "statuses": [row.status for row in rows],
            "error_codes": [row.error_code for row in rows],
            "vendors": [None if row.vendor is None else json.dumps(row.vendor) for row in rows],
            "moments": [row.at for row in rows],
            "received": [row.message.received_at for row in rows],
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    message: InboxMessage
    at: datetime
    status: str
    evse: int | None
    connector: int | None
    error_code: str = ""
    vendor: dict[str, str] | None = None


def _of_status(message: InboxMessage, payload: Mapping[str, Any]) -> Iterator[_Row]:
    status = _text(payload.get("status") or payload.get("connectorStatus"), 20)
    if status:
        vendor = {name: _text(payload.get(name), 255) for name in _VENDOR if payload.get(name)}
        yield _row(
            message, payload.get("timestamp"), status=status, evse=_number(payload.get("evseId")),
            connector=_number(payload.get("connectorId")), error_code=_text(payload.get("errorCode"), 50),
            vendor=vendor or None,
        )  # fmt: skip


def _of_events(message: InboxMessage, payload: Mapping[str, Any]) -> Iterator[_Row]:
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


def _row(message: InboxMessage, timestamp: object, **columns: Any) -> _Row:
    received_at = message.received_at
    at = received_at if timestamp is None else moments.read(timestamp, received_at).at
    return _Row(message=message, at=at, **columns)


def _named(value: object) -> object:
    return value.get("name") if isinstance(value, dict) else None


def _text(value: object, longest: int) -> str:
    return "" if value is None else str(value).replace("\x00", "")[:longest]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST else None


_KEEP = """
INSERT INTO cpo_connectorhistory (charge_point_id, evse, connector, status, error_code, vendor, at, received_at)
SELECT * FROM unnest(%(points)s::text[]::bigint[], %(evses)s::text[]::int[], %(connectors)s::text[]::int[],
                     %(statuses)s::text[], %(error_codes)s::text[], %(vendors)s::text[]::jsonb[],
                     %(moments)s::text[]::timestamptz[], %(received)s::text[]::timestamptz[])
"""
