"""The classes and enums of OCPI 2.2.1 agree with the tables of the specification."""

import json
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpi import enums
from ocpi.v2_2_1 import (
    cdrs,
    chargingprofiles,
    commands,
    credentials,
    hubclientinfo,
    location_enums,
    locations,
    sessions,
    shapes,
    tariffs,
    tokens,
    types,
    versions,
)

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ocpi-2.2.1-types.json"
FILES = (
    enums, types, versions, credentials, hubclientinfo, location_enums, locations, sessions, cdrs, tariffs, tokens,
    commands, chargingprofiles,
)  # fmt: skip
BASES = {str: "string", int: "int", bool: "boolean", types.Number: "number", types.DateTime: "DateTime", Any: "any"}
specification: dict[str, Any] = json.loads(TABLES.read_text())["types"] if TABLES.exists() else {}
classes = [name for name, table in specification.items() if table["kind"] == "class"]
enumerations = [name for name, table in specification.items() if table["kind"] == "enum"]


def find(name: str) -> Any:
    return next(getattr(file, name) for file in FILES if hasattr(file, name))


def as_table(name: str, shape: shapes.Shape) -> dict[str, Any]:
    """One field of ours in the form of the specification's table."""
    extra = dict(shape.meta.extra or {}) if shape.meta else {}
    base = extra.get("base") or BASES.get(shape.kind) or shape.kind.__name__
    card = ("+" if shape.least else "*") if shape.many else ("1" if shape.required else "?")
    table = {"name": name, "type": base, "card": card}
    if shape.kind is int and shape.meta and shape.meta.le and shape.meta.le < 2**31 - 1:
        extra["max"] = len(str(shape.meta.le))
    return table | ({"max": extra["max"]} if "max" in extra else {})


@pytest.mark.skipif(not specification, reason="the tables of the specification are not here")
@pytest.mark.req("TRN-116", "TYP-14")
@pytest.mark.parametrize("name", classes)
def test_a_class_has_the_fields_of_the_specification(name: str) -> None:
    compared = ("name", "type", "card", "max")
    expected = [
        {key: value for key, value in field.items() if key in compared} for field in specification[name]["fields"]
    ]

    assert [as_table(field, shape) for field, shape in shapes.shapes(find(name)).items()] == expected


@pytest.mark.skipif(not specification, reason="the tables of the specification are not here")
@pytest.mark.req("TYP-15", "TRN-117", "VER-16")
@pytest.mark.parametrize("name", enumerations)
def test_an_enum_has_the_values_of_the_specification(name: str) -> None:
    kind = find(name)

    assert issubclass(kind, Enum)
    assert sorted(member.value for member in kind) == sorted(specification[name]["values"])


@pytest.mark.skipif(not specification, reason="the tables of the specification are not here")
@pytest.mark.parametrize("name", [*classes, *enumerations])
def test_no_class_is_missing(name: str) -> None:
    assert find(name).__name__ == name


def test_the_schema_of_every_class_can_be_published() -> None:
    kinds = [kind for file in FILES for kind in vars(file).values()
             if isinstance(kind, type) and issubclass(kind, types.Object) and kind is not types.Object]  # fmt: skip

    _, components = msgspec.json.schema_components(kinds, schema_hook=types.schema_hook)

    assert components["Price"]["properties"]["excl_vat"] == {"type": "number"}
    assert components["Price"]["required"] == ["excl_vat"]
