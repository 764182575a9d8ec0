"""Heads of HTTP messages that came before, and come again with other ids. Pure.

Who keeps a connection sends the same lines over it again and again; only the first line, the ids, the length and the
date change. A head that a parser has read once is remembered; the next one that has the very same lines but for those
needs no parser, and all that was found out about the lines that stay is known. What differs in a single octet, has any
other framing than a length, or a value with anything but plain characters in it, is for the parser again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ocpi.exchange_text import USUAL_HEADERS, escaped, header

_MOST_LINES = 64
# No white space, nothing that a log or a header would have to escape, and no percent sign.
_PLAIN = re.compile(rb"[!#$&-\[\]-~]{1,255}")
_DATE = re.compile(rb"[A-Za-z0-9,: +-]{1,40}")
LENGTH, DATE = b"content-length", b"date"
# Headers that say how a message is framed or what becomes of the connection: whoever uses one is for the parser.
_FRAMING = frozenset((b"transfer-encoding", b"connection", b"upgrade", b"expect", b"te", b"trailer", b"keep-alive"))
_KEPT = b"keep-alive"

Pair = tuple[bytes, bytes]


class Head:
    """What one remembers of a head: the lines that stay, and where the others are."""

    __slots__ = ("_count", "_lines", "_pattern", "_places", "_reader", "found", "looked_at", "slots")

    def __init__(
        self, lines: list[bytes], changing: Iterable[bytes], *, spelled: Callable[[str], str], between: str
    ) -> None:
        """Remember these lines, the first of a message included.

        :raises ValueError: if the next one like it could not be told apart, or is not framed by its length.
        """
        self._count = len(lines)
        if self._count > _MOST_LINES:
            raise ValueError("too many lines")
        self._lines = [b"", *lines[1:]]
        self._places: list[tuple[int, bytes, int, re.Pattern[bytes]]] = []
        self.slots: dict[bytes, int] = {}  # name: its number among the values
        wanted = set(changing)
        found: dict[str, str | None] = {}
        for place, line in enumerate(lines[1:], 1):
            octets, colon, value = line.partition(b": ")
            name = octets.lower()
            if not colon or not name or value != value.strip() or not value or b"\0" in value:
                raise ValueError("not spelled as usual")
            if name in _FRAMING and not (name == b"connection" and value.lower() == _KEPT):
                raise ValueError("framed otherwise")
            text = octets.decode("latin-1").lower()
            if name in wanted:
                if name in self.slots:
                    raise ValueError("twice the same name")
                self.slots[name] = len(self._places)
                start = octets + b": "
                self._places.append((place, start, len(start), _DATE if name == DATE else _PLAIN))
                self._lines[place] = b""
                found[text] = None
            elif text in found:
                before = found[text]
                if before is None:
                    raise ValueError("twice the same name")
                found[text] = before + between + value.decode("latin-1")
            else:
                found[text] = value.decode("latin-1")
        self._places = [*self._places]
        self.found = {name: value for name, value in found.items() if value is not None}
        self._reader = [(spelled(name), value) for name, value in found.items()]
        shown, looked_at = [], []
        for name, value in self._reader:
            if value is None:
                shown.append(f"{name}: %s")
                continue
            text = header(name, value, lambda each: each)
            if name not in USUAL_HEADERS and text == value:
                looked_at.append(value)
            shown.append(f"{name}: {text}".replace("\0", "").replace("%", "%%"))
        self.looked_at = tuple(looked_at)
        self._pattern = escaped("\n".join(shown))

    def values(self, lines: list[bytes]) -> list[bytes] | None:
        """Return the values of the lines that change, in the order of `slots`, if all others are the same.

        Takes those and the first line out of the list.
        """
        if len(lines) != self._count:
            return None
        found = []
        lines[0] = b""
        for place, start, size, fits in self._places:
            line = lines[place]
            value = line[size:]
            if not line.startswith(start) or fits.fullmatch(value) is None:
                return None
            lines[place] = b""
            found.append(value)
        return found if lines == self._lines else None

    def shown(self, values: Iterable[str]) -> str:
        """Return the lines as a log shows them, as a field of COPY."""
        return self._pattern % tuple(values)

    def pairs(self, values: Iterable[str]) -> dict[str, str]:
        """Return names and values of all headers."""
        left = iter(values)
        return {name: next(left) if value is None else value for name, value in self._reader}
