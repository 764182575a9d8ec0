"""Arrays in PostgreSQL's own writing, as one text: much cheaper than having each element adapted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def numbers(values: Iterable[int | None]) -> str:
    """Return an array of whole numbers; the statement casts it, `%s::text::bigint[]`."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Sequence[str]) -> str:
    """Return an array of texts."""
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join([value.replace("\\", "\\\\").replace('"', '\\"') for value in values])
    return '{"' + joined + '"}' if values else "{}"
