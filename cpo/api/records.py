"""How our records look to callers of the operation API; the shapes are those of `schemas`."""

from __future__ import annotations

from typing import Any

import msgspec
from django.conf import settings

from cpo.api import refs
from cpo.api.base import number
from cpo.gateway import frames, masking
from cpo.models import (
    ChargePoint,
    ChargingProfileTemplate,
    FrameLog,
    IdTag,
    Operation,
    Report,
    Reservation,
    Transaction,
)
from cpo.modules import availability, id_tags, reports
from cpo.modules import charging_profile_templates as templates

Record = dict[str, Any]


def operation(row: Operation) -> Record:
    return {
        "id": row.id,
        "charge_point": row.charge_point.identity,
        "action": row.action,
        "protocol": row.protocol or None,
        "payload": _json(masking.mask(row.payload)) or {},
        "refs": row.refs or {},
        "state": row.state,
        "effect": row.effect or availability.not_yet_noted(row),
        "asked_by": row.asked_by,
        "timeout": row.timeout_s,
        "deliver_later": row.deliver_later,
        "expires_at": row.expires_at,
        "created_at": row.created_at,
        "sent_at": row.sent_at,
        "dispatched_at": row.on_wire_at,
        "ended_at": row.ended_at,
        "answer": None if row.answer is None else _json(masking.mask(row.answer)),
        "error": row.error or None,
    }


def transaction(row: Transaction) -> Record:
    return {
        "ref": refs.write(refs.TRANSACTION, row.pk),
        "charge_point": row.charge_point.identity,
        "ocpp_transaction_id": refs.wire_id(row),
        "connector": (row.plug or None) if row.ocpp_id else row.connector_id,
        "evse": row.connector_id if row.ocpp_id else None,
        "id_tag": row.id_tag or None,
        "started_at": row.started_at,
        "stopped_at": row.stopped_at,
        "stop_reason": (row.reason or None) if row.stopped_at else None,
        "meter_start": number(row.meter_start),
        "meter_stop": number(row.meter_stop) if row.stopped_at else None,
        "authorised": row.authorised,
        "synthetic": row.synthetic,
        "flags": [str(flag) for flag in row.flags],
    }


def reservation(row: Reservation) -> Record:
    return {
        "ref": refs.write(refs.RESERVATION, row.pk),
        "charge_point": row.charge_point.identity,
        "reservation_id": row.number,
        "connector": row.connector_id,
        "id_tag": row.id_tag,
        "state": row.state,
        "party": f"{row.country_code}*{row.party_id}",
        "own": row.location_id is None,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "expires_at": row.expires_at,
        "ended_at": row.ended_at,
    }


def template(row: ChargingProfileTemplate) -> Record:
    return {
        "ref": refs.write(refs.TEMPLATE, row.pk),
        "party": f"{row.country_code}*{row.party_id}",
        "description": row.description,
        **templates.read(row),
        "created_at": row.created_at,
        "changed_at": row.changed_at,
    }


def id_tag(row: IdTag) -> Record:
    return {
        "party": f"{row.country_code}*{row.party_id}",
        "id_tag": row.id_tag,
        "status": row.status,
        "expires_at": row.expires_at,
        "parent_id_tag": row.parent_id_tag or None,
        "max_transactions": row.max_transactions,
        "note": row.note,
        "open_transactions": id_tags.open_transactions(row),
        "created_at": row.created_at,
    }


def charge_point(row: ChargePoint, *, password: str | None = None) -> Record:
    """Return a charge point; a password only when it has just been made."""
    return {
        "identity": row.identity,
        "party": f"{row.country_code}*{row.party_id}",
        "url": f"{settings.OCPP_GATEWAY_URL}/ocpp/{row.identity}",
        "location_id": row.location_id,
        "security_profile": row.security_profile,
        "refuses_tls": row.refuses_tls,
        "protocols": row.protocols,
        "no_subprotocol_is_16": row.no_subprotocol_is_16,
        "strictness": row.strictness,
        "boot_status": row.boot_status,
        "heartbeat_seconds": row.heartbeat_seconds,
        "ping_seconds": row.ping_seconds,
        "ping_timeout_seconds": row.ping_timeout_seconds,
        "frame_bytes": row.frame_bytes,
        "compression": row.compression,
        "switched_off": row.switched_off,
        "register_direction": row.register_direction,
        "password_set": bool(row.password_digest),
        **({} if password is None else {"password": password}),
        "layout": [
            {"evse_uid": evse.uid, "connector": evse.connector_id, "hardware": evse.hardware}
            for evse in sorted(row.evses.all(), key=lambda evse: (evse.connector_id or 0, evse.pk))
        ],
        "connectors": [
            {
                "connector": each.connector_id,
                "status": each.status,
                "error_code": each.error_code,
                "status_at": each.status_at,
            }
            for each in sorted(row.connectors.all(), key=lambda each: each.connector_id)
        ],
        "online": row.online,
        "protocol": row.protocol or None,
        "node": row.node or None if row.online else None,
        "address": row.address or None,
        "connected_at": row.connected_at,
        "last_seen_at": row.last_seen_at,
        "booted_at": row.booted_at,
        "boot": row.boot_data,
        "created_at": row.created_at,
    }


def frame(row: FrameLog) -> Record:
    return {
        "id": row.pk,
        "at": row.at,
        "direction": "out" if row.outgoing else "in",
        "action": row.action,
        "message_id": row.message_id,
        "node": row.node,
        "connection": row.epoch,
        "text": row.text,
    }


def report(row: Report) -> Record:
    return {
        "ref": refs.write(refs.REPORT, row.pk),
        "charge_point": row.charge_point.identity,
        "action": row.action,
        "request_id": row.request_id,
        "operation": None if row.operation_id is None else str(row.operation_id),
        "state": row.state,
        "parts": [
            {"number": part.number, "last": part.last, "received_at": part.received_at}
            for part in sorted(row.parts.all(), key=lambda part: part.number)
        ],
        "created_at": row.created_at,
        "completed_at": row.completed_at,
    }


def _json(text: str) -> Any:
    """Return what a text says; an answer that is no JSON is given as it came (OCPP-24)."""
    try:
        return frames.read_payload(text)
    except (msgspec.DecodeError, UnicodeError):
        return text


def whole_report(row: Report) -> Record:
    return {**report(row), "payloads": reports.joined(row)}
