"""The JSON Schemas of the operation API: bodies are checked with them, the OpenAPI document is made of them."""

from __future__ import annotations

from typing import Any

from cpo.gateway.actions import SWITCHABLE
from cpo.gateway.operation_states import OperationState
from cpo.operation_models import ReportState
from cpo.reservation_states import STATES as RESERVATION_STATES

Schema = dict[str, Any]

MOMENT: Schema = {"type": "string", "format": "date-time", "maxLength": 40}
OBJECT: Schema = {"type": "object"}
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
PARTY: Schema = {"type": "string", "pattern": r"^[A-Za-z]{2}\*[A-Za-z0-9]{3}$", "description": "tenant, e.g. NL*TNM"}
TAG: Schema = {"type": "string", "minLength": 1, "maxLength": 36}
IDENTITY: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9*_=:+|@.-]{1,48}$"}
PURPOSES = ("ChargePointMaxProfile", "ChargingStationMaxProfile", "ChargingStationExternalConstraints",
            "TxDefaultProfile", "TxProfile")  # fmt: skip


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def record(properties: dict[str, Schema], *optional: str) -> Schema:
    """Return an object all of whose members are always there, but these."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def wanted(properties: dict[str, Schema], *required: str) -> Schema:
    """Return a body: only these members must be there."""
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
    }  # fmt: skip


_LATER = nullable(MOMENT)
_ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "a code for programs"},
        "message": {"type": "string", "description": "a sentence for people"},
        "field": {"type": "string"},
        "rule": {"type": "string"},
        "operation": ref("Operation"),
    },
    "required": ["error", "message"],
    "additionalProperties": False,
}
_REFS = wanted({
    "transaction": {"type": "string", "description": "ref of a transaction: fills in transactionId"},
    "reservation": {"type": "string", "description": "ref of a reservation: fills in reservationId"},
    "charging_profile": {"type": "string", "description": "ref of a template: fills in the charging profile"},
})  # fmt: skip
_ASK = wanted({
    "action": {"type": "string", "minLength": 1, "maxLength": 64},
    "protocol": {"type": "string", "enum": ["1.6", "2.0.1", "2.1", "ocpp1.6", "ocpp2.0.1", "ocpp2.1"],
                 "description": "409 PROTOCOL_MISMATCH if the charge point speaks another"},
    "payload": {"type": "object", "description": "the OCPP request in the protocol's own names"},
    "refs": _REFS,
    "wait": {"type": "string", "enum": ["dispatched", "answered"], "default": "dispatched"},
    "timeout": {"type": "number", "minimum": 1, "maximum": 300, "description": "seconds for the answer"},
    "deliver_later": {"type": "boolean", "description": "wait for a charge point that is away"},
    "expires_at": MOMENT,
    "force": {"type": "boolean", "default": False, "description": "send ids that are not known here"},
    "idempotency_key": {"type": "string", "minLength": 1, "maxLength": 100},
}, "action")  # fmt: skip
_OPERATION = record({
    "id": {"type": "string", "format": "uuid"},
    "charge_point": TEXT,
    "action": TEXT,
    "protocol": nullable(TEXT),
    "payload": {"type": "object", "description": "as it goes out; passwords and keys are masked"},
    "refs": OBJECT,
    "state": {"type": "string", "enum": [state.value for state in OperationState]},
    "effect": {"anyOf": [{"type": "string", "enum": ["PENDING", "DONE", "REPLACED"]}, {"type": "null"}],
               "description": "of a ChangeAvailability that was answered Scheduled"},
    "asked_by": TEXT,
    "timeout": {"type": "number"},
    "deliver_later": {"type": "boolean"},
    "expires_at": _LATER,
    "created_at": MOMENT,
    "sent_at": _LATER,
    "dispatched_at": _LATER,
    "ended_at": _LATER,
    "answer": {"description": "the charge point's answer; raw text if it is no JSON; null if there is none"},
    "error": nullable(TEXT),
})  # fmt: skip
_TRANSACTION = record({
    "ref": TEXT,
    "charge_point": TEXT,
    "ocpp_transaction_id": {"type": ["integer", "string"]},
    "connector": nullable(WHOLE),
    "evse": nullable(WHOLE),
    "id_tag": nullable(TEXT),
    "started_at": MOMENT,
    "stopped_at": _LATER,
    "stop_reason": nullable(TEXT),
    "meter_start": nullable({"type": "number", "description": "Wh"}),
    "meter_stop": nullable({"type": "number", "description": "Wh"}),
    "authorised": {"type": "boolean"},
    "synthetic": {"type": "boolean"},
    "flags": {"type": "array", "items": TEXT},
})  # fmt: skip
_RESERVATION = record({
    "ref": TEXT,
    "charge_point": TEXT,
    "reservation_id": {"type": "integer", "description": "what the charge point calls it"},
    "connector": {"type": "integer", "description": "0: whichever is free"},
    "id_tag": TEXT,
    "state": {"type": "string", "enum": list(RESERVATION_STATES)},
    "party": {"type": "string", "description": "the eMSP that asked for it, or the tenant itself"},
    "own": {"type": "boolean", "description": "made over this API"},
    "created_at": MOMENT,
    "started_at": _LATER,
    "expires_at": MOMENT,
    "ended_at": _LATER,
})  # fmt: skip
_PERIOD = wanted({
    "start_period": {"type": "integer", "minimum": 0, "description": "seconds"},
    "limit": {"type": "number", "minimum": 0},
    "number_phases": {"type": "integer", "minimum": 1, "maximum": 3},
}, "start_period", "limit")  # fmt: skip
_TEMPLATE_MEMBERS: dict[str, Schema] = {
    "party": PARTY,
    "description": {"type": "string", "minLength": 1, "maxLength": 100},
    "purpose": {"type": "string", "enum": list(PURPOSES)},
    "kind": {"type": "string", "enum": ["Absolute", "Recurring", "Relative"]},
    "recurrency_kind": {"type": "string", "enum": ["Daily", "Weekly"]},
    "stack_level": {"type": "integer", "minimum": 0},
    "unit": {"type": "string", "enum": ["W", "A"]},
    "periods": {"type": "array", "items": _PERIOD, "minItems": 1, "maxItems": 1024},
    "duration": {"type": "integer", "minimum": 1, "description": "seconds"},
    "start_schedule": MOMENT,
    "valid_from": MOMENT,
    "valid_to": MOMENT,
    "min_charging_rate": {"type": "number", "minimum": 0},
}
_SAID = ("recurrency_kind", "duration", "start_schedule", "valid_from", "valid_to", "min_charging_rate")
_TEMPLATE = record(
    {"ref": TEXT, **_TEMPLATE_MEMBERS, "created_at": MOMENT, "changed_at": MOMENT}, *_SAID
)  # fmt: skip
_TAG_MEMBERS: dict[str, Schema] = {
    "party": PARTY,
    "id_tag": TAG,
    "status": {"type": "string", "enum": ["valid", "blocked"]},
    "expires_at": nullable({**MOMENT, "description": "may be past"}),
    "parent_id_tag": nullable(TAG),
    "max_transactions": {
        "type": "integer",
        "minimum": 0,
        "maximum": 1000,
        "description": "open at once; 0: any number",
    },
    "note": {"type": "string", "maxLength": 200},
}
_ID_TAG = record({**_TAG_MEMBERS, "open_transactions": WHOLE, "created_at": MOMENT})
_PROTOCOLS: Schema = {
    "type": "array",
    "items": {"type": "string", "enum": ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]},
    "minItems": 1,
    "uniqueItems": True,
}
_LAYOUT = wanted({
    "location_id": {"type": "string", "minLength": 1, "maxLength": 36},
    "evses": {"type": "integer", "minimum": 1, "maximum": 100},
    "connectors_per_evse": {"type": "integer", "minimum": 1, "maximum": 100},
})  # fmt: skip
_SECONDS = {"type": "integer", "minimum": 1, "maximum": 86400}
_POINT_MEMBERS: dict[str, Schema] = {
    "security_profile": {"type": "integer", "minimum": 0, "maximum": 3},
    "refuses_tls": {"type": "boolean", "description": "with security profile 1: it must come without TLS"},
    "protocols": _PROTOCOLS,
    "no_subprotocol_is_16": {"type": "boolean"},
    "strictness": {"type": "string", "enum": ["strict", "lenient"]},
    "boot_status": {"type": "string", "enum": ["Accepted", "Pending", "Rejected"]},
    "heartbeat_seconds": nullable(_SECONDS),
    "ping_seconds": nullable({**_SECONDS, "minimum": 0}),
    "ping_timeout_seconds": nullable({**_SECONDS, "minimum": 0, "description": "0: silence never cuts it off"}),
    "frame_bytes": nullable(
        {"type": "integer", "minimum": 1024, "maximum": 16_777_216, "description": "of the longest frame it may send"}
    ),
    "compression": {"type": "boolean", "description": "permessage-deflate, if it asks for it when it connects"},
    "switched_off": {
        "type": "array",
        "items": {"type": "string", "enum": sorted(SWITCHABLE)},
        "uniqueItems": True,
        "description": "actions of its own that are answered NotSupported",
    },
    "register_direction": {
        "type": "string",
        "enum": ["import", "export"],
        "description": "the register of its meters that counts what cars take",
    },
}
_PASSWORD: Schema = {
    "type": "string", "minLength": 1, "maxLength": 255,
    "description": 'left out when it is made: a random one, shown once; "" removes it',
}  # fmt: skip
_NEW_POINT = wanted(
    {"identity": IDENTITY, "party": PARTY, "password": {**_PASSWORD, "minLength": 0}, "layout": _LAYOUT,
     **_POINT_MEMBERS},
    "identity",
)  # fmt: skip
_PLACED: Schema = {
    "type": "array",
    "maxItems": 100,
    "description": "the EVSEs of its Location that it is, all of them, each behind which connector",
    "items": wanted({
        "evse_uid": {"type": "string", "minLength": 1, "maxLength": 36},
        "connector": {"type": "integer", "minimum": 1, "maximum": 10_000},
        "hardware": nullable({"type": "integer", "minimum": 1, "description": "shared: one charges at a time"}),
    }, "evse_uid", "connector"),
}  # fmt: skip
_CHANGED_POINT = wanted({
    "password": {**_PASSWORD, "minLength": 0},
    "location_id": {"type": "string", "minLength": 1, "maxLength": 36},
    "layout": _PLACED,
    **_POINT_MEMBERS,
})  # fmt: skip
_POINT = record(
    {
        "identity": TEXT,
        "party": TEXT,
        "url": TEXT,
        "location_id": nullable(TEXT),
        **_POINT_MEMBERS,
        "password_set": {"type": "boolean"},
        "password": {"type": "string", "description": "only where a random one was made: it is shown once"},
        "layout": {
            "type": "array",
            "items": record({"evse_uid": TEXT, "connector": nullable(WHOLE), "hardware": nullable(WHOLE)}),
        },
        "connectors": {
            "type": "array",
            "items": record({"connector": WHOLE, "status": TEXT, "error_code": TEXT, "status_at": _LATER}),
        },
        "online": {"type": "boolean"},
        "protocol": nullable(TEXT),
        "node": nullable(TEXT),
        "address": nullable(TEXT),
        "connected_at": _LATER,
        "last_seen_at": _LATER,
        "booted_at": _LATER,
        "boot": {"description": "the last BootNotification, as it came"},
        "created_at": MOMENT,
    },
    "password",
)
_FRAME = record({
    "id": WHOLE,
    "at": MOMENT,
    "direction": {"type": "string", "enum": ["in", "out"]},
    "action": {"type": "string", "description": "empty for answers of the charge point"},
    "message_id": TEXT,
    "node": TEXT,
    "connection": {"type": "integer", "description": "rises with each connection"},
    "text": {"type": "string", "description": "the frame as it was on the wire; passwords and keys are masked"},
})  # fmt: skip
_REPORT_MEMBERS: dict[str, Schema] = {
    "ref": TEXT,
    "charge_point": TEXT,
    "action": TEXT,
    "request_id": nullable(WHOLE),
    "operation": nullable(TEXT),
    "state": {"type": "string", "enum": [state.value for state in ReportState]},
    "parts": {"type": "array", "items": record({"number": WHOLE, "last": {"type": "boolean"}, "received_at": MOMENT})},
    "created_at": MOMENT,
    "completed_at": _LATER,
}
_BULK_RESULT = record({
    "created": {"type": "array", "items": ref("ChargePoint")},
    "refused": {"type": "array", "items": {
        **_ERROR, "properties": {**_ERROR["properties"], "identity": TEXT, "index": WHOLE},
    }},
})  # fmt: skip


def items(name: str) -> Schema:
    return {"type": "array", "items": ref(name)}


SCHEMAS: dict[str, Schema] = {
    "Error": _ERROR,
    "Ask": _ASK,
    "Operation": _OPERATION,
    "Operations": items("Operation"),
    "Transaction": _TRANSACTION,
    "Transactions": items("Transaction"),
    "Closed": record({"closed": items("Transaction")}),
    "Reservation": _RESERVATION,
    "Reservations": items("Reservation"),
    "NewTemplate": wanted(_TEMPLATE_MEMBERS, "description", "purpose", "kind", "unit", "periods"),
    "Template": _TEMPLATE,
    "Templates": items("Template"),
    "NewIdTag": wanted(_TAG_MEMBERS, "id_tag"),
    "ChangedIdTag": wanted({name: _TAG_MEMBERS[name] for name in _TAG_MEMBERS if name not in ("id_tag", "party")}),
    "IdTag": _ID_TAG,
    "IdTags": items("IdTag"),
    "NewChargePoint": _NEW_POINT,
    "NewChargePoints": {"type": "array", "items": {}, "minItems": 1, "maxItems": 1000},
    "ChangedChargePoint": _CHANGED_POINT,
    "ChargePoint": _POINT,
    "ChargePoints": items("ChargePoint"),
    "BulkResult": _BULK_RESULT,
    "Disconnected": record({"disconnected": {"type": "boolean", "description": "false: there was no connection"}}),
    "Frame": _FRAME,
    "Frames": items("Frame"),
    "Report": record(_REPORT_MEMBERS),
    "Reports": items("Report"),
    "WholeReport": record({
        **_REPORT_MEMBERS, "payloads": {"type": "array", "items": OBJECT, "description": "of the parts, in order"},
    }),
}  # fmt: skip
