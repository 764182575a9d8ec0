"""What no object that we send may hold, looked for without the project's own reading of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})?Z")
_LIKE_A_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
_COORDINATE = re.compile(r"-?[0-9]{1,3}\.[0-9]{5,7}")
_IDS = ("id", "uid", "location_id", "evse_uid", "connector_id", "session_id", "tariff_id", "contract_id",
        "authorization_reference", "reservation_id")  # fmt: skip
_UPPER = ("country", "country_code", "currency", "status")


def faults(value: Any, path: str = "$") -> Iterator[str]:
    """Yield what is wrong, with where it is."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _member(name, member, f"{path}.{name}")
            yield from faults(member, f"{path}.{name}")
    elif isinstance(value, list):
        if not value:
            yield f"{path}: an empty list"
        for index, element in enumerate(value):
            yield from faults(element, f"{path}[{index}]")
    elif value is None:
        yield f"{path}: null"
    elif isinstance(value, str) and _LIKE_A_MOMENT.match(value) and not _MOMENT.fullmatch(value):
        yield f"{path}: {value!r} is no DateTime of ours"
    elif isinstance(value, float) and "e" in repr(value).lower():
        yield f"{path}: {value!r} with an exponent"


def _member(name: str, value: Any, path: str) -> Iterator[str]:
    if name in ("latitude", "longitude") and not (isinstance(value, str) and _COORDINATE.fullmatch(value)):
        yield f"{path}: {value!r} is no coordinate of ours"
    if name in _IDS and isinstance(value, str) and len(value) > 36:
        yield f"{path}: {value!r} is longer than 36"
    if name in _UPPER and isinstance(value, str) and value != value.upper():
        yield f"{path}: {value!r} in lower case"
