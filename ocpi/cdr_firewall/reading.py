"""Small readers of a CDR's members, forgiving: what cannot be read is None and accuses nobody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any


def moment(value: object) -> datetime | None:
    """Return a DateTime of OCPI; without a zone it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def part(value: object, name: str) -> Any:
    """Return a member of an object, or None."""
    return value.get(name) if isinstance(value, Mapping) else None


def parts(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def same(one: object, other: object) -> bool:
    """Compare two CiStrings."""
    return str(one or "").casefold() == str(other or "").casefold()
