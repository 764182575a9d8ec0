"""What partners do wrong and what we make of it, for documents that failed the strict check.

Each repair has the number of the requirement that asks for it; the numbers are counted per partner. Single members are
mended in `quirk_repairs`; here are those that concern an object as a whole, and lists.
"""

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec
from msgspec import Raw

from ocpi import status
from ocpi.v2_2_1 import shapes
from ocpi.v2_2_1.quirk_remarks import remarks as remarks
from ocpi.v2_2_1.quirk_repairs import DROP, mend, unknown

# Lists of enum values that only inform. Not `day_of_week`: without a value a Tariff would apply more often.
_VALUES_TO_DROP = frozenset({"capabilities", "facilities", "parking_restrictions"})
# Objects that only inform, and the member whose unknown value makes them useless.
_OBJECTS_TO_DROP = {
    "images": "category",
    "logo": "category",
    "energy_sources": "source",
    "environ_impact": "category",
    "status_schedule": "status",
}
_STANDARDS = frozenset({"standard", "connector_standard"})
_PARTS = frozenset({"evses", "connectors"})
# What some call the members of a Connector; the first that is there is taken (2.1.1, and home-made ones).
_OTHER_NAMES = {
    "max_voltage": ("voltage",),
    "max_amperage": ("amperage", "ampere"),
    "max_electric_power": ("max_power",),
}
_STAMP = "last_updated"


@dataclass(slots=True)
class Repaired:
    """A document after the repairs."""

    stored: bytes
    # The same with known values in place of those that we keep although we do not know them.
    checked: bytes
    kinds: list[str]


@dataclass(slots=True)
class _Work:
    partial: bool
    any_value: bool = False
    kinds: dict[str, None] = field(default_factory=dict)
    stand_ins: list[tuple[dict[str, Any], str, Any]] = field(default_factory=list)

    def found(self, kind: str) -> None:
        self.kinds[kind] = None


def repair(
    body: bytes, kind: type[msgspec.Struct], *, partial: bool = False, any_value: bool = False
) -> Repaired | None:
    """Apply every known repair; None if there is nothing to repair. Numbers keep their text.

    With `any_value` an unknown value of an enum stands where no repair is for it.

    :raises NotJson: if the body is not JSON to its end.
    """
    try:
        tree = json.loads(body, parse_float=_raw, parse_int=_raw, parse_constant=_refuse)
        return _repaired(tree, kind, _Work(partial, any_value))
    except (ValueError, RecursionError) as error:
        raise status.NotJson(f"The body is not valid JSON: {error}") from error


def _repaired(tree: Any, kind: type[msgspec.Struct], work: _Work) -> Repaired | None:
    if isinstance(tree, dict):
        _object(work, kind, tree)
    if not work.kinds:
        return None
    stored = msgspec.json.encode(tree)
    for owner, name, value in work.stand_ins:
        owner[name] = value
    checked = msgspec.json.encode(tree) if work.stand_ins else stored
    return Repaired(stored, checked, list(work.kinds))


def _raw(number: str) -> Raw:
    return Raw(number.encode())


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _object(work: _Work, kind: type[msgspec.Struct], found: dict[str, Any]) -> None:
    if kind.__name__ == "Connector":
        _other_names(work, found)
    for name, shape in shapes.shapes(kind).items():
        value = found.get(name)
        if value is None:
            continue
        if isinstance(shape.kind, type) and issubclass(shape.kind, msgspec.Struct):
            _objects(work, name, shape, found)
        elif shape.many:
            _list(work, name, shape, found)
        else:
            _scalar(work, kind, name, shape, found)
    if kind.__name__ == "EVSE":
        _removed_evse(work, found)


def _objects(work: _Work, name: str, shape: shapes.Shape, found: dict[str, Any]) -> None:
    if shape.kind.__name__ == "DisplayText" and shape.many:
        _as_texts(work, name, found)
    value = found[name]
    if isinstance(value, list):
        _without_copies(work, name, value)
    if key := _OBJECTS_TO_DROP.get(name):
        _without_unknown(work, name, shapes.shapes(shape.kind)[key], key, found)
    value = found.get(name)
    for element in value if isinstance(value, list) else [value]:
        if isinstance(element, dict):
            _stamp_of_part(work, name, found, element)
            _object(work, shape.kind, element)


def _list(work: _Work, name: str, shape: shapes.Shape, found: dict[str, Any]) -> None:
    is_looked_at = name in _VALUES_TO_DROP or (work.any_value and _is_enum(shape))
    if not is_looked_at or not isinstance(found[name], list):
        return
    known = [value for value in found[name] if not unknown(shape, value)]
    if len(known) == len(found[name]):
        return
    work.found(f"TRN-115 {name}")
    if name in _VALUES_TO_DROP:
        _keep(found, name, known)
    else:
        work.stand_ins.append((found, name, known or [next(iter(shape.kind)).value]))


def _scalar(work: _Work, kind: type[msgspec.Struct], name: str, shape: shapes.Shape, found: dict[str, Any]) -> None:
    value = found[name]
    if name in _STANDARDS and unknown(shape, value):
        work.found(f"PIT-44 {name}")
        work.stand_ins.append((found, name, next(iter(shape.kind)).value))
        return
    outcome = mend(kind.__name__, name, value, shape)
    if outcome is None:
        if work.any_value and _is_enum(shape) and unknown(shape, value):
            work.found(f"TRN-115 {name}")
            work.stand_ins.append((found, name, next(iter(shape.kind)).value))
        return
    number, mended = outcome
    work.found(number)
    if mended is DROP:
        del found[name]
    else:
        found[name] = mended


def _is_enum(shape: shapes.Shape) -> bool:
    return isinstance(shape.kind, type) and issubclass(shape.kind, Enum)


def _keep(found: dict[str, Any], name: str, known: list[Any]) -> None:
    if known:
        found[name] = known
    else:
        del found[name]


def _without_copies(work: _Work, name: str, elements: list[Any]) -> None:
    """The same EVSE or Connector, word for word, twice in one list."""
    if name not in _PARTS:
        return
    kept = {msgspec.json.encode(element): element for element in elements}
    if len(kept) < len(elements):
        work.found(f"QRK-21 {name} listed twice")
        elements[:] = kept.values()


def _without_unknown(work: _Work, name: str, key_shape: shapes.Shape, key: str, found: dict[str, Any]) -> None:
    """An object that only informs, about something we do not know."""
    value = found[name]
    elements = value if isinstance(value, list) else [value]
    known = [each for each in elements if not (isinstance(each, dict) and unknown(key_shape, each.get(key)))]
    if len(known) == len(elements):
        return
    work.found(f"TRN-115 {name}")
    if isinstance(value, list):
        _keep(found, name, known)
    else:
        del found[name]


def _as_texts(work: _Work, name: str, found: dict[str, Any]) -> None:
    """A plain text, or several, where DisplayTexts are due; nobody says in which language."""
    value = found[name]
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) for text in texts):
        work.found(f"QRK-16 {name} as plain text")
        found[name] = [{"language": "#NA", "text": text} if isinstance(text, str) else text for text in texts if text]


def _other_names(work: _Work, found: dict[str, Any]) -> None:
    for name, others in _OTHER_NAMES.items():
        other = next((each for each in others if isinstance(found.get(each), Raw)), None)
        if other is not None and found.get(name) is None:
            work.found(f"QRK-17 {other} for {name}")
            found[name] = found[other]


def _stamp_of_part(work: _Work, name: str, parent: dict[str, Any], part: dict[str, Any]) -> None:
    """An EVSE or Connector without a time stamp in an object that has one. In a PATCH the stored one tells more."""
    if name in _PARTS and not work.partial and part.get(_STAMP) is None and isinstance(parent.get(_STAMP), str):
        work.found("QRK-18 last_updated of a part missing")
        part[_STAMP] = parent[_STAMP]


def _removed_evse(work: _Work, found: dict[str, Any]) -> None:
    """A removed EVSE has no Connectors left at some partners, though one is required."""
    if found.get("status") == "REMOVED" and found.get("connectors") in (None, []):
        work.found("QRK-11 connectors of a removed EVSE")
        connector = {"id": "1", "standard": "CHADEMO", "format": "CABLE", "power_type": "DC", "max_voltage": 1,
                     "max_amperage": 1, "last_updated": "1970-01-01T00:00:00Z"}  # fmt: skip
        work.stand_ins.append((found, "connectors", [connector]))
