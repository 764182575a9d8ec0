"""How single members are mended that break their rule: which repair is for which member, and what is counted."""

import re
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any

from msgspec import Raw

from ocpi.v2_2_1 import shapes
from ocpi.v2_2_1.country_codes import ALPHA_2, ALPHA_3
from ocpi.v2_2_1.types import DateTime, format_datetime, parse_datetime, without_markup

DROP = object()
_WHOLE = re.compile(rb"(-?[0-9]+)\.0+")
_COORDINATE = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_NUMBER_AS_STRING = frozenset({"floor_level", "physical_reference"})
_MEMBERS_TO_DROP = frozenset({"parking_type", "default_profile_type"})

# What is counted, and what stands in the place of the value; None if the value is not what this repair is for.
Outcome = tuple[str, Any] | None


def _date_time(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    if not isinstance(value, str):
        return None
    try:
        DateTime.read(value)
    except ValueError:
        pass
    else:
        return None
    try:
        moment = parse_datetime(value)
    except ValueError:
        return None
    return "PIT-48 epoch" if value.startswith("1970-1-1T") else "TYP-04 DateTime", format_datetime(moment)


def _coordinate(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    text = bytes(value).decode() if isinstance(value, Raw) else value
    if not isinstance(text, str) or len(text) > 32 or not _COORDINATE.fullmatch(text):
        return None
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    if abs(number) > (90 if name == "latitude" else 180):
        return None
    mended = format(number.quantize(Decimal(1).scaleb(-min(max(decimals, 5), 7))), "f")
    return None if mended == value else ("PIT-34 coordinates", mended)


def _whole_number(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    whole = _WHOLE.fullmatch(bytes(value)) if isinstance(value, Raw) else None
    return ("TYP-08 fraction for an integer", Raw(whole[1])) if whole else None


def _number_as_string(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    return (f"PIT-40 {name}", bytes(value).decode()) if isinstance(value, Raw) else None


def _empty_url(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    return ("QRK-16 empty URL", DROP) if value == "" and not shape.required else None


def _country(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    if not isinstance(value, str):
        return None
    if (alpha_3 := ALPHA_3.get(value.upper())) is not None:
        return "PIT-39 country", alpha_3
    return _upper_case(name, value, shape)


def _country_code(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    alpha_2 = ALPHA_2.get(value.upper()) if isinstance(value, str) else None
    return ("QRK-14 country_code with three letters", alpha_2) if alpha_2 is not None else None


def _upper_case(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    if not isinstance(value, str) or value == value.upper():
        return None
    return f"TYP-13 {name} in lower case", value.upper()


def _reserved(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    return ("PIT-31 RESERVED", "RESERVATION") if value == "RESERVED" else None


def _unknown_member(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    return (f"TRN-115 {name}", DROP) if not shape.required and unknown(shape, value) else None


def _markup(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    if not isinstance(value, str) or (mended := without_markup(value)) == value:
        return None
    return "TYP-09 markup", mended


def unknown(shape: shapes.Shape, value: Any) -> bool:
    """Say whether a value is none of its enum."""
    return isinstance(value, str) and value not in {member.value for member in shape.kind}


def mend(owner: str, name: str, value: Any, shape: shapes.Shape) -> Outcome:
    """Return the repair of a member of a class, if there is one."""
    for applies, repair in _REPAIRS:
        if applies(owner, name, shape):
            outcome = repair(name, value, shape)
            if outcome is not None:
                return outcome
    return None


def _is_url(shape: shapes.Shape) -> bool:
    return bool(shape.meta and shape.meta.extra and shape.meta.extra.get("base") == "URL")


# Which repair is for which field: (class name, field name, shape) → yes or no.
_REPAIRS: tuple[tuple[Callable[[str, str, shapes.Shape], bool], Callable[[str, Any, shapes.Shape], Outcome]], ...] = (
    (lambda owner, name, shape: shape.kind is DateTime, _date_time),
    (lambda owner, name, shape: name in ("latitude", "longitude"), _coordinate),
    (lambda owner, name, shape: shape.kind is int, _whole_number),
    (lambda owner, name, shape: name in _NUMBER_AS_STRING, _number_as_string),
    (lambda owner, name, shape: _is_url(shape), _empty_url),
    (lambda owner, name, shape: name == "country", _country),
    (lambda owner, name, shape: name == "country_code", _country_code),
    (lambda owner, name, shape: name == "currency", _upper_case),
    (lambda owner, name, shape: (owner, name) == ("Session", "status"), _reserved),
    (lambda owner, name, shape: name in _MEMBERS_TO_DROP and issubclass(shape.kind, Enum), _unknown_member),
    (lambda owner, name, shape: (owner, name) == ("DisplayText", "text"), _markup),
)
