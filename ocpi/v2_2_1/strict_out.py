"""A document of our own in the form in which we send it: lenient in what we take, strict in what we send (TRN-110)."""

import json
import re
from typing import Any

import msgspec
from msgspec import Raw

from ocpi.v2_2_1 import shapes
from ocpi.v2_2_1.types import DateTime, format_datetime, parse_datetime

_NOT_AVAILABLE = "#NA"
# What a document may hold that we do not send; whatever has none of it is left alone.
_SUSPECT = re.compile(rb'null|\[\s*\]|#NA|"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?!Z"|\.[0-9]{3}Z")')


def clean(body: bytes, kind: type[msgspec.Struct]) -> bytes:
    """Return a checked document without nulls and empty lists in what we know of it, its DateTimes with `Z`.

    `#NA` stays where a string is required (TRN-111), and goes where it is not (TRN-112). Numbers keep their text.
    """
    if not _SUSPECT.search(body):
        return body
    tree = json.loads(body, parse_float=_raw, parse_int=_raw)
    _clean(tree, kind)
    return msgspec.json.encode(tree)


def _raw(number: str) -> Raw:
    return Raw(number.encode())


def _clean(found: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    for name, shape in shapes.shapes(kind).items():
        if name not in found:
            continue
        value = found[name]
        if value in (None, []) or (value == _NOT_AVAILABLE and not shape.required):
            del found[name]
        elif isinstance(shape.kind, type) and issubclass(shape.kind, msgspec.Struct):
            for element in value if isinstance(value, list) else [value]:
                _clean(element, shape.kind)
        elif shape.kind is DateTime:
            found[name] = format_datetime(parse_datetime(value))
