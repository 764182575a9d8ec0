"""A small checker that knows the field tables alone and none of the project's own checking."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ocpi-2.2.1-types.json"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def load() -> Any:
    if not TABLES.exists():
        pytest.skip("the field tables are not here")
    return json.loads(TABLES.read_text())["types"]


def faults(tables: Mapping[str, Any], kind: str, value: Any, field: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield what is wrong with one value."""
    table = tables.get(kind)
    if table and table["kind"] == "enum":
        if value not in table["values"]:
            yield f"{path}: {value!r} is no {kind}"
    elif table:
        yield from class_faults(tables, table, value, path)
    elif kind in ("int", "number"):
        if not isinstance(value, Decimal) or (kind == "int" and value % 1):
            yield f"{path}: {value!r} is no {kind}"
        elif kind == "number" and value != round(value, 4):
            yield f"{path}: {value} has more than four decimals"
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield f"{path}: {value!r} is no boolean"
    elif not isinstance(value, str) or not value.isprintable() or not value:
        yield f"{path}: {value!r} is no printable text"
    elif len(value) > field.get("max", 255) or (kind == "CiString" and not value.isascii()):
        yield f"{path}: {value!r} is too long or not ASCII"
    elif kind == "DateTime" and not MOMENT.fullmatch(value):
        yield f"{path}: {value!r} is no UTC DateTime"
    elif kind == "URL" and not value.startswith("https://"):
        yield f"{path}: {value!r} is no URL"
    elif "pattern" in field and not re.fullmatch(field["pattern"], value):
        yield f"{path}: {value!r} does not match {field['pattern']}"


def class_faults(tables: Mapping[str, Any], table: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    fields = {field["name"]: field for field in table["fields"]}
    yield from (f"{path}.{name}: unknown" for name in value.keys() - fields.keys())
    for name, field in fields.items():
        if name not in value:
            if field["card"] in "1+":
                yield f"{path}.{name}: missing"
            continue
        content, is_list = value[name], field["card"] in "*+"
        if content is None or (is_list and (content == [] or not isinstance(content, list))):
            yield f"{path}.{name}: {content!r} is never sent"
            continue
        for number, element in enumerate(content if is_list else [content]):
            where = f"{path}.{name}[{number}]" if is_list else f"{path}.{name}"
            yield from faults(tables, field["type"], element, field, where)
