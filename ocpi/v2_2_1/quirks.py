"""What partners do wrong and what we make of it, for documents that failed the strict check.

Each repair has the number of the requirement that asks for it; the numbers are counted per partner.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
from msgspec import Raw

from ocpi import status
from ocpi.v2_2_1 import shapes
from ocpi.v2_2_1.country_codes import ALPHA_3
from ocpi.v2_2_1.types import DateTime, format_datetime, parse_datetime, without_markup

_WHOLE = re.compile(rb"(-?[0-9]+)\.0+")
_COORDINATE = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_NUMBER_AS_STRING = frozenset({"floor_level", "physical_reference"})
# Lists of enum values that only inform. Not `day_of_week`: without a value a Tariff would apply more often.
_VALUES_TO_DROP = frozenset({"capabilities", "facilities", "parking_restrictions"})
_MEMBERS_TO_DROP = frozenset({"parking_type", "default_profile_type"})
_STANDARDS = frozenset({"standard", "connector_standard"})
_PARTS = frozenset({"evses", "connectors"})
_DROP = object()


@dataclass(slots=True)
class Repaired:
    """A document after the repairs."""

    stored: bytes
    # The same with known values in place of those that we keep although we do not know them.
    checked: bytes
    kinds: list[str]


@dataclass(slots=True)
class _Work:
    kinds: dict[str, None] = field(default_factory=dict)
    stand_ins: list[tuple[dict[str, Any], str, Any]] = field(default_factory=list)

    def found(self, kind: str) -> None:
        self.kinds[kind] = None


def repair(body: bytes, kind: type[msgspec.Struct]) -> Repaired | None:
    """Apply every known repair; None if there is nothing to repair. Numbers keep their text.

    :raises NotJson: if the body is not JSON to its end.
    """
    try:
        tree = json.loads(body, parse_float=_raw, parse_int=_raw, parse_constant=_refuse)
        return _repaired(tree, kind)
    except (ValueError, RecursionError) as error:
        raise status.NotJson(f"The body is not valid JSON: {error}") from error


def _repaired(tree: Any, kind: type[msgspec.Struct]) -> Repaired | None:
    work = _Work()
    if isinstance(tree, dict):
        _object(work, kind, tree)
    if not work.kinds:
        return None
    stored = msgspec.json.encode(tree)
    for owner, name, value in work.stand_ins:
        owner[name] = value
    checked = msgspec.json.encode(tree) if work.stand_ins else stored
    return Repaired(stored, checked, list(work.kinds))


def remarks(found: msgspec.Struct) -> list[str]:
    """What is odd in a document, but no reason to refuse or to change it."""
    kinds = []
    sources = getattr(getattr(found, "energy_mix", None), "energy_sources", None)
    if sources and abs(sum(source.percentage for source in sources) - 100) > Decimal("0.1"):
        kinds.append("LOC-58 energy_sources do not add up to 100")
    if isinstance(kwh := getattr(found, "kwh", None), Decimal) and kwh > 0:
        energy = sum(
            dimension.volume
            for period in getattr(found, "charging_periods", None) or ()
            for dimension in period.dimensions
            if dimension.type == "ENERGY"
        )
        if 900 < energy / kwh < 1100:
            kinds.append("PIT-32 ENERGY in Wh")
    return kinds


def _raw(number: str) -> Raw:
    return Raw(number.encode())


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _object(work: _Work, kind: type[msgspec.Struct], found: dict[str, Any]) -> None:
    for name, shape in shapes.shapes(kind).items():
        value = found.get(name)
        if value is None:
            continue
        if isinstance(shape.kind, type) and issubclass(shape.kind, msgspec.Struct):
            if isinstance(value, list):
                _without_copies(work, name, value)
            for element in value if isinstance(value, list) else [value]:
                if isinstance(element, dict):
                    _object(work, shape.kind, element)
        elif shape.many:
            _list(work, name, shape, found)
        else:
            _scalar(work, kind, name, shape, found)
    if kind.__name__ == "EVSE":
        _removed_evse(work, found)


def _list(work: _Work, name: str, shape: shapes.Shape, found: dict[str, Any]) -> None:
    if name not in _VALUES_TO_DROP or not isinstance(found[name], list):
        return
    known = [value for value in found[name] if not _unknown(shape, value)]
    if len(known) == len(found[name]):
        return
    work.found(f"TRN-115 {name}")
    if known:
        found[name] = known
    else:
        del found[name]


def _scalar(work: _Work, kind: type[msgspec.Struct], name: str, shape: shapes.Shape, found: dict[str, Any]) -> None:
    value = found[name]
    if name in _STANDARDS and _unknown(shape, value):
        work.found(f"PIT-44 {name}")
        work.stand_ins.append((found, name, next(iter(shape.kind)).value))
        return
    for applies, mend in _REPAIRS:
        if not applies(kind.__name__, name, shape):
            continue
        outcome = mend(name, value, shape)
        if outcome is None:
            continue
        number, mended = outcome
        work.found(number)
        if mended is _DROP:
            del found[name]
        else:
            found[name] = mended
        return


def _without_copies(work: _Work, name: str, elements: list[Any]) -> None:
    """The same EVSE or Connector, word for word, twice in one list."""
    if name not in _PARTS:
        return
    kept = {msgspec.json.encode(element): element for element in elements}
    if len(kept) < len(elements):
        work.found(f"QRK-21 {name} listed twice")
        elements[:] = kept.values()


def _removed_evse(work: _Work, found: dict[str, Any]) -> None:
    """A removed EVSE has no Connectors left at some partners, though one is required."""
    if found.get("status") == "REMOVED" and found.get("connectors") in (None, []):
        work.found("QRK-11 connectors of a removed EVSE")
        connector = {"id": "1", "standard": "CHADEMO", "format": "CABLE", "power_type": "DC", "max_voltage": 1,
                     "max_amperage": 1, "last_updated": "1970-01-01T00:00:00Z"}  # fmt: skip
        work.stand_ins.append((found, "connectors", [connector]))


def _unknown(shape: shapes.Shape, value: Any) -> bool:
    return isinstance(value, str) and value not in {member.value for member in shape.kind}


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
    return ("QRK-16 empty URL", _DROP) if value == "" and not shape.required else None


def _country(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    if not isinstance(value, str):
        return None
    if (alpha_3 := ALPHA_3.get(value.upper())) is not None:
        return "PIT-39 country", alpha_3
    return _upper_case(name, value, shape)


def _upper_case(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    if not isinstance(value, str) or value == value.upper():
        return None
    return f"TYP-13 {name} in lower case", value.upper()


def _reserved(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    return ("PIT-31 RESERVED", "RESERVATION") if value == "RESERVED" else None


def _unknown_member(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    return (f"TRN-115 {name}", _DROP) if not shape.required and _unknown(shape, value) else None


def _markup(name: str, value: Any, shape: shapes.Shape) -> Outcome:
    if not isinstance(value, str) or (mended := without_markup(value)) == value:
        return None
    return "TYP-09 markup", mended


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
    (lambda owner, name, shape: name == "currency", _upper_case),
    (lambda owner, name, shape: (owner, name) == ("Session", "status"), _reserved),
    (lambda owner, name, shape: name in _MEMBERS_TO_DROP and issubclass(shape.kind, Enum), _unknown_member),
    (lambda owner, name, shape: (owner, name) == ("DisplayText", "text"), _markup),
)
