"""OCPP-J frames: read, written and checked against the schemas; the CALLERROR code of each case. Pure."""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from fastjsonschema import JsonSchemaException, JsonSchemaValueException

from cpo.gateway import schemas

Payload = dict[str, Any]

MAX_DEPTH = 32
MAX_ID = 36
MAX_ID_LENIENT = 64
NO_ID = "-1"

_CALL, _CALLRESULT, _CALLERROR, _CALLRESULTERROR, _SEND = 2, 3, 4, 5, 6


class Fault(StrEnum):
    """Why a CALL is refused; each OCPP version has its own code for it (table M-11)."""

    UNREADABLE = "unreadable"
    BAD_CALL = "bad call"
    UNKNOWN_TYPE = "unknown message type"
    STRUCTURE = "structure"
    MISSING = "missing field"
    TYPE = "type"
    VALUE = "value"
    ITEMS = "items"
    UNKNOWN_ACTION = "unknown action"
    SWITCHED_OFF = "switched off"
    NOT_NOW = "not allowed in this boot status"
    OURS = "our fault"


_CODES_16 = {
    Fault.UNREADABLE: "FormationViolation",
    Fault.BAD_CALL: "ProtocolError",
    Fault.UNKNOWN_TYPE: "FormationViolation",
    Fault.STRUCTURE: "FormationViolation",
    Fault.MISSING: "ProtocolError",
    Fault.TYPE: "TypeConstraintViolation",
    Fault.VALUE: "PropertyConstraintViolation",
    Fault.ITEMS: "OccurenceConstraintViolation",
    Fault.UNKNOWN_ACTION: "NotImplemented",
    Fault.SWITCHED_OFF: "NotSupported",
    Fault.NOT_NOW: "SecurityError",
    Fault.OURS: "InternalError",
}
_CODES_2 = _CODES_16 | {
    Fault.UNREADABLE: "RpcFrameworkError",
    Fault.UNKNOWN_TYPE: "MessageTypeNotSupported",
    Fault.STRUCTURE: "FormatViolation",
    Fault.MISSING: "OccurrenceConstraintViolation",
    Fault.ITEMS: "OccurrenceConstraintViolation",
}
_RULES = {
    "additionalProperties": Fault.STRUCTURE,
    "required": Fault.MISSING,
    "type": Fault.TYPE,
    "maxLength": Fault.TYPE,
    "minLength": Fault.TYPE,
    "minItems": Fault.ITEMS,
    "maxItems": Fault.ITEMS,
}


def error_code(fault: Fault, version: str) -> str:
    """Return the CALLERROR code of a fault in the version's spelling."""
    return (_CODES_16 if version == "1.6" else _CODES_2)[fault]


class FrameError(Exception):
    """A frame that cannot be taken; `answered` says whether the sender is told."""

    def __init__(
        self, fault: Fault, text: str, *, message_id: Any = NO_ID, answered: bool = True, of_result: bool = False
    ) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.message_id = message_id  # as it came, whatever kind of value that is
        self.answered = answered
        self.of_result = of_result  # it was to be an answer to a CALL of ours


class PayloadError(Exception):
    """A payload that breaks its schema."""

    def __init__(self, fault: Fault, text: str, kind: str) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.kind = kind  # rule and field, to record a deviation once


@dataclass(frozen=True, slots=True)
class Call:
    message_id: str
    action: str
    payload: Any
    text: str  # the payload exactly as it came
    send: bool = False  # OCPP 2.1 SEND: never answered


@dataclass(frozen=True, slots=True)
class CallResult:
    message_id: str
    payload: Any
    text: str


@dataclass(frozen=True, slots=True)
class CallError:
    message_id: str
    code: str
    description: str
    details: str


Frame = Call | CallResult | CallError


# A text without an end goes to the end of the frame: were it no token, each quote in it would be tried as the begin of
# another, and one frame could hold up all charge points of a node for minutes.
_TOKENS = re.compile(r'"(?:[^"\\]|\\(?:.|\Z))*"?|[\[\]{}]', re.DOTALL)


def _too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _TOKENS.finditer(text):
        character = token[0]
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character in "]}":
            depth -= 1
    return False


def _decoded(raw: msgspec.Raw | str | bytes) -> Any:
    return msgspec.json.decode(raw)


def _elements(text: str) -> list[msgspec.Raw]:
    if _too_deep(text):
        raise FrameError(Fault.UNREADABLE, f"nested deeper than {MAX_DEPTH} levels")
    try:
        elements = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise FrameError(Fault.UNREADABLE, "not a JSON array") from error
    if not elements:
        raise FrameError(Fault.UNREADABLE, "an empty array")
    return elements


def parse(text: str, version: str, *, lenient: bool = False) -> Frame:
    """Read one frame.

    :raises FrameError: if it is none; CALLRESULT and CALLERROR that are broken are never answered (OCPP-14).
    """
    elements = _elements(text)
    try:
        # Read whole: Raw elements are checked for structure only.
        values = [_decoded(element) for element in elements]
    except (msgspec.DecodeError, UnicodeError) as error:
        raise FrameError(Fault.UNREADABLE, "not valid JSON") from error
    kind = values[0]
    message_id = values[1] if len(values) > 1 else None
    longest = MAX_ID_LENIENT if lenient else MAX_ID
    good_id = isinstance(message_id, str) and 0 < len(message_id) <= longest and "\x00" not in message_id
    if type(kind) is not int or not _known_type(kind, version):
        raise FrameError(Fault.UNKNOWN_TYPE, "unknown message type", message_id=message_id if good_id else NO_ID)
    if kind in (_CALL, _SEND):
        return _call(values, elements, good_id=good_id, send=kind == _SEND)
    if not good_id:
        raise FrameError(Fault.BAD_CALL, "an answer without a message id", answered=False)
    if kind == _CALLRESULT:
        if len(values) < 3:
            # Only OCPP 2.1 has an answer to an answer.
            raise FrameError(Fault.UNREADABLE, "a CALLRESULT without payload", message_id=message_id,
                             answered=version == "2.1", of_result=True)  # fmt: skip
        return CallResult(str(message_id), values[2], _text(elements[2]))
    code, description = [*values[2:4], "", ""][:2]
    return CallError(str(message_id), str(code), str(description), _text(elements[4]) if len(values) > 4 else "{}")


def _known_type(kind: int, version: str) -> bool:
    return kind in (_CALL, _CALLRESULT, _CALLERROR) or (version == "2.1" and kind in (_CALLRESULTERROR, _SEND))


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()


def _call(values: list[Any], elements: list[msgspec.Raw], *, good_id: bool, send: bool) -> Call:
    if len(values) < 2:
        raise FrameError(Fault.BAD_CALL, "a CALL needs an id, an action and a payload")
    if not good_id:
        raise FrameError(Fault.BAD_CALL, "the message id must be 1 to 36 characters of text", message_id=values[1])
    if len(values) < 4 or not isinstance(values[2], str):
        raise FrameError(Fault.BAD_CALL, "a CALL needs an id, an action and a payload", message_id=values[1])
    return Call(values[1], values[2], values[3], _text(elements[3]), send)


def check_payload(
    version: str, action: str, payload: Any, *, answer: bool = False, lenient: bool = False
) -> str | None:
    """Check a payload; return the kind of deviation that lenient let pass, or None.

    :raises PayloadError: if it breaks the schema.
    """
    strict_check = schemas.check(version, action, answer=answer)
    try:
        strict_check(payload)
    except JsonSchemaException as error:
        refused = _payload_error(error)
    else:
        return None
    if lenient:
        try:
            schemas.check(version, action, answer=answer, lenient=True)(payload)
        except JsonSchemaException as error:
            raise _payload_error(error) from error
        return refused.kind
    raise refused


def _payload_error(error: JsonSchemaException) -> PayloadError:
    if not isinstance(error, JsonSchemaValueException):
        return PayloadError(Fault.STRUCTURE, "the payload breaks the schema", "schema")
    fault = _RULES.get(str(error.rule), Fault.VALUE)
    field = ".".join(str(part) for part in error.path[1:]) or "payload"
    text = error.message.replace("data.", "", 1) if error.message.startswith("data.") else error.message
    steps = [part for part in error.path[1:] if not str(part).isdigit()]
    if error.rule == "additionalProperties" and isinstance(error.value, dict) and isinstance(error.definition, dict):
        extra = sorted(set(error.value) - set(error.definition.get("properties", {})))
        text = f"{field}: unknown field {', '.join(extra)}"
        steps.extend(extra)
    return PayloadError(fault, text[:255], f"{error.rule}:{'.'.join(str(step) for step in steps)}"[:128])


_plain = msgspec.json.Encoder()
_encoder = msgspec.json.Encoder(decimal_format="number", order="sorted")
_numbers = msgspec.json.Decoder(float_hook=Decimal)


def _clean(value: Any) -> Any:
    """Leave out null members; turn binary floats into the decimals they stand for (OCPP-20)."""
    if isinstance(value, dict):
        return {name: _clean(member) for name, member in value.items() if member is not None}
    if isinstance(value, list | tuple):
        return [_clean(member) for member in value]
    if isinstance(value, float):
        return Decimal(f"{value:.12g}")
    return value


def payload_text(payload: Any) -> str:
    """Write a payload as it goes on the wire: names in order, no nulls, decimals without noise."""
    return _encoder.encode(_clean(payload)).decode()


def read_payload(text: str) -> Any:
    """Read a payload; its decimals stay decimals."""
    return _numbers.decode(text)


def check_text(version: str, action: str, text: str, *, answer: bool = False) -> None:
    """Check a payload of our own as it will go out.

    :raises PayloadError: if it breaks the schema.
    """
    # The compiled checks cannot take the multiple of a Decimal, so they see plain numbers.
    check_payload(version, action, _decoded(text), answer=answer)


def call(message_id: str, action: str, payload: Any) -> str:
    return f"[2,{payload_text(message_id)},{payload_text(action)},{payload_text(payload)}]"


def call_result(message_id: str, payload: Any) -> str:
    return call_result_of(message_id, payload_text(payload))


def call_result_of(message_id: str, text: str) -> str:
    """Write a CALLRESULT whose payload is written already."""
    return f"[3,{_plain.encode(message_id).decode()},{text}]"


def call_result_error(message_id: str, code: str, description: str = "") -> str:
    """Write what OCPP 2.1 has for an answer that is none (OCPP-14)."""
    return f"[5,{payload_text(message_id)},{payload_text(code)},{payload_text(description[:255])},{{}}]"


def call_error(message_id: Any, code: str, description: str = "") -> str:
    return f"[4,{payload_text(message_id)},{payload_text(code)},{payload_text(description[:255])},{{}}]"
