"""The field tables of OCPI 2.2.1, and what in an object breaks them. Nothing of the project is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_LINE = re.compile(r"(\w+): (.*)")
_KIND = re.compile(r"([A-Za-z]+)(\d*)([?*+]?)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z?")
_PATTERNS = {
    "latitude": r"-?\d{1,2}\.\d{5,7}",
    "longitude": r"-?\d{1,3}\.\d{5,7}",
    "country": "[A-Z]{3}",
    "currency": "[A-Z]{3}",
    "start_time": "([01]\\d|2[0-3]):[0-5]\\d",
    "end_time": "([01]\\d|2[0-3]):[0-5]\\d",
    "start_date": "\\d{4}-\\d\\d-\\d\\d",
    "end_date": "\\d{4}-\\d\\d-\\d\\d",
}
_LONGER = {"latitude", "longitude"}  # the patterns allow one character more than the types
NOT_AVAILABLE = "#NA"


class Field(NamedTuple):
    kind: str
    longest: int
    card: str


@lru_cache(maxsize=1)
def tables() -> tuple[dict[str, dict[str, Field]], dict[str, frozenset[str]]]:
    """Return the classes by name, and the enums."""
    text = (Path(__file__).parent / "tables.txt").read_text(encoding="utf-8").replace("\n  ", " ")
    classes: dict[str, dict[str, Field]] = {}
    enums: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        name, content = match.groups()
        if " " in content.partition(",")[0] and "," in content:
            classes[name] = {member: _field(kind) for member, kind in (pair.split() for pair in content.split(", "))}
        else:
            enums[name] = frozenset(content.split())
    return classes, enums


def _field(text: str) -> Field:
    match = _KIND.fullmatch(text)
    assert match is not None, text
    kind, longest, card = match.groups()
    return Field(kind, int(longest or 255), card or "1")


def faults(kind: str, value: Any, path: str = "", *, longest: int = 255) -> Iterator[str]:
    """Yield what breaks the tables; members that the tables do not know are allowed."""
    classes, enums = tables()
    where = path or kind
    if kind in classes:
        yield from _class_faults(kind, value, path)
    elif kind in enums:
        if value not in enums[kind]:
            yield f"{where}: {value!r} is no {kind}"
    elif kind in ("int", "number"):
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or (kind == "int" and value % 1):
            yield f"{where}: {value!r} is no {kind}"
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield f"{where}: {value!r} is no boolean"
    elif not isinstance(value, str):
        yield f"{where}: {value!r} is no string"
    else:
        yield from _text_faults(kind, value, where, longest)


def _text_faults(kind: str, value: str, where: str, longest: int) -> Iterator[str]:
    member = where.rpartition(".")[2].partition("[")[0]
    if value == NOT_AVAILABLE:
        return
    if len(value) > longest + (member in _LONGER):
        yield f"{where}: is longer than {longest}"
    if kind == "CiString" and not value.isascii():
        yield f"{where}: {value!r} is not ASCII"
    if kind == "DateTime" and not _MOMENT.fullmatch(value):
        yield f"{where}: {value!r} is no DateTime"
    if kind == "URL" and not re.match(r"https?://\S+$", value):
        yield f"{where}: {value!r} is no URL"
    if member in _PATTERNS and not re.fullmatch(_PATTERNS[member], value):
        yield f"{where}: {value!r} does not match {_PATTERNS[member]}"


def _class_faults(kind: str, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path or kind}: {value!r} is no object"
        return
    for name, field in tables()[0][kind].items():
        where = f"{path}.{name}" if path else name
        content = value.get(name)
        if content is None:
            if field.card in "1+":
                yield f"{where}: is required"
        elif field.card in "*+":
            if not isinstance(content, list) or (field.card == "+" and not content):
                yield f"{where}: must be a list" + (" with at least one element" if field.card == "+" else "")
                continue
            for number, element in enumerate(content):
                yield from faults(field.kind, element, f"{where}[{number}]", longest=field.longest)
        else:
            yield from faults(field.kind, content, where, longest=field.longest)


def unset(value: Any, path: str = "") -> Iterator[str]:
    """Yield members that are null and lists inside objects that are empty."""
    if isinstance(value, dict):
        for name, content in value.items():
            where = f"{path}.{name}" if path else name
            if content is None or content == []:
                yield f"{where}: {content!r}"
            yield from unset(content, where)
    elif isinstance(value, list):
        for number, content in enumerate(value):
            yield from unset(content, f"{path}[{number}]")
