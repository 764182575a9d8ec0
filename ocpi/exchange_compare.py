"""What differs between two answers, member by member. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

MOST = 200
_ABSENT = "–"
_NOT_COMPARED = frozenset(("timestamp",))  # of the envelope: never the same


def differences(before: str, after: str) -> list[tuple[str, str, str]]:
    """Return (path, before, after) of what differs in two bodies; as a whole if one of them is no JSON."""
    try:
        old, new = msgspec.json.decode(before), msgspec.json.decode(after)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return [] if before == after else [("body", before[:500] or _ABSENT, after[:500] or _ABSENT)]
    if isinstance(old, dict) and isinstance(new, dict):
        old, new = ({k: v for k, v in one.items() if k not in _NOT_COMPARED} for one in (old, new))
    found = []
    for difference in _walk("", old, new):
        found.append(difference)
        if len(found) == MOST:
            break
    return found


def _walk(path: str, old: Any, new: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            inner = f"{path}.{name}" if path else name
            if name not in new:
                yield inner, _text(old[name]), _ABSENT
            elif name not in old:
                yield inner, _ABSENT, _text(new[name])
            else:
                yield from _walk(inner, old[name], new[name])
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            inner = f"{path}[{number}]"
            if number >= len(new):
                yield inner, _text(old[number]), _ABSENT
            elif number >= len(old):
                yield inner, _ABSENT, _text(new[number])
            else:
                yield from _walk(inner, old[number], new[number])
    elif type(old) is not type(new) or old != new:
        yield path or "body", _text(old), _text(new)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:500]
