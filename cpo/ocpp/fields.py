"""What readers of every OCPP version do with the members of a payload: texts, numbers, units. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from cpo.gateway import frames
from cpo.gateway.frames import Payload
from cpo.ocpp import events
from cpo.ocpp.events import Event

_SCALE = {
    "Wh": ("Wh", Decimal(1)),
    "kWh": ("Wh", Decimal(1000)),
    "varh": ("varh", Decimal(1)),
    "kvarh": ("varh", Decimal(1000)),
    "W": ("W", Decimal(1)),
    "kW": ("W", Decimal(1000)),
    "VA": ("VA", Decimal(1)),
    "kVA": ("VA", Decimal(1000)),
    "var": ("var", Decimal(1)),
    "kvar": ("var", Decimal(1000)),
    "A": ("A", Decimal(1)),
    "V": ("V", Decimal(1)),
    "Percent": ("%", Decimal(1)),
    "Hertz": ("Hz", Decimal(1)),
    "Celsius": ("Celsius", Decimal(1)),
    "Celcius": ("Celsius", Decimal(1)),  # the specification's own misspelling
    "Fahrenheit": ("Fahrenheit", Decimal(1)),
    "K": ("K", Decimal(1)),
}
# The specification gives Wh for energy only; for the rest the unit follows from what is measured.
_UNIT_OF = (
    ("Energy.Reactive", "varh"),
    ("Energy", "Wh"),
    ("Power.Factor", ""),
    ("Power.Reactive", "var"),
    ("Power", "W"),
    ("Current", "A"),
    ("Voltage", "V"),
    ("SoC", "Percent"),
    ("Frequency", "Hertz"),
    ("Temperature", "Celsius"),
)
# Connectors, EVSEs and sequence numbers beyond this are none, and have no place in the database.
_MOST_SMALL = 10**9
_LARGEST_COUNT = 2**31 - 1  # that has a place in the database
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")


class Unreadable(ValueError):
    """A message that lacks what it is about."""


Reader = Callable[[Payload, datetime], Event]


def read(readers: Mapping[str, Reader], action: str, payload: Payload | str, received_at: datetime) -> Event:
    """Return what a message says happened; an action without a reader is passed on as it is.

    :raises Unreadable: if a needed field is missing or of another kind.
    """
    content = frames.read_payload(payload) if isinstance(payload, str) else payload
    if not isinstance(content, dict):
        raise Unreadable(f"{action}: the payload is not an object")
    reader = readers.get(action)
    return events.Other(action=action, payload=content) if reader is None else reader(content, received_at)


def text(payload: Payload, name: str, longest: int = 255) -> str:
    """Return an informative text, cut to its length; a NUL cannot be stored and is left out."""
    value = payload.get(name)
    return "" if value is None else str(value).replace("\x00", "")[:longest]


def integer(payload: Payload, name: str) -> int:
    """Return a whole number.

    :raises Unreadable: if it is none.
    """
    found = number(payload.get(name))
    if found is None or found != found.to_integral_value():
        raise Unreadable(f"{name}: must be a whole number")
    return int(found)


def small(payload: Payload, name: str) -> int:
    """Return the number of a connector or an EVSE, or a sequence number.

    :raises Unreadable: if it cannot be one.
    """
    found = integer(payload, name)
    if not 0 <= found <= _MOST_SMALL:
        raise Unreadable(f"{name}: must be from 0 to {_MOST_SMALL}")
    return found


def optional_small(payload: Payload, name: str) -> int | None:
    """Return the number of a connector or an EVSE, nothing if there is none that could be meant."""
    found = optional_integer(payload, name)
    return found if found is not None and 0 <= found <= _MOST_SMALL else None


def optional_integer(payload: Payload, name: str) -> int | None:
    """Return a whole number, nothing if there is none that could be meant."""
    found = number(payload.get(name))
    return int(found) if found is not None and found == found.to_integral_value() else None


def number(value: object) -> Decimal | None:
    """Return a number that a charge point means, never a binary float; nothing if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    shown = str(value).strip()
    if len(shown) > 32 or not _NUMBER.fullmatch(shown):
        return None
    try:
        found = Decimal(shown)
    except InvalidOperation:
        return None
    return found if abs(found) < Decimal(10) ** 15 else None


def count(setting: str | None) -> int | None:
    """Return the whole number that a setting of a charge point is; nothing if it is none that can be stored."""
    digits = (setting or "").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        return None
    return int(digits) if int(digits) <= _LARGEST_COUNT else None


def scaled(measurand: str, named: str, raw: object, multiplier: int = 0) -> tuple[str, Decimal | None, str]:
    """Return the unit, the value in Wh, W, A, V, % … and why that is not used, if so (OCPP-64, OCPP-65)."""
    named = named or next((unit for start, unit in _UNIT_OF if measurand.startswith(start)), "")
    unit, factor = _SCALE.get(named, (named, None))
    value = number(raw)
    if value is None:
        return unit, None, "not a number"
    if factor is None and named:
        return unit, None, "unknown unit"
    value = value * (factor or 1) * Decimal(10) ** multiplier
    return (unit, value, "") if abs(value) < Decimal(10) ** 15 else (unit, None, "not a number")
