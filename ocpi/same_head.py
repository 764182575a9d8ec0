"""Heads of HTTP messages that came before, and come again with other ids. Pure.

Who keeps a connection sends the same lines over it again and again; only the first line, the ids, the addresses, the
length and the date change. A head that a parser has read once is remembered; the next one that has the very same lines
but for those needs no parser, and all that was found out about the lines that stay is known. What differs in a single
octet, is framed by anything but its length, or has other than plain characters in a value, is for the parser again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ocpi.exchange_text import USUAL_HEADERS, escaped, header

_MOST_LINES = 64
# No white space, nothing that a log or a header would have to escape, and no percent sign.
_PLAIN = rb"[!#$&-\[\]-~]{1,255}"
_DATE = rb"(?! )[A-Za-z0-9,: +-]{1,40}"  # a parser leaves out white space in front
_END = b"\r\n\r\n"
_TRIED = 16  # so often a head has to come again before a pattern is made of it, which takes a millisecond
_NAME = re.compile(rb"[a-z0-9_-]+")
LENGTH, DATE = b"content-length", b"date"
# Headers that say how a message is framed or what becomes of the connection: whoever uses one is for the parser.
_FRAMING = frozenset((b"transfer-encoding", b"connection", b"upgrade", b"expect", b"te", b"trailer", b"keep-alive"))
_KEPT = b"keep-alive"


class Head:
    """What one remembers of a head: the lines that stay, and where the others are."""

    __slots__ = (
        "_came", "_first", "_lines", "_pattern", "_places", "_spelled", "constant", "looked_at", "shown", "slots",
    )  # fmt: skip

    def __init__(
        self, lines: list[bytes], changing: frozenset[bytes], *, first: re.Pattern[bytes],
        spelled: Callable[[str], str], between: str,
    ) -> None:  # fmt: skip
        """Remember the lines of a head; `first` fits the first one of each, `changing` are names, in lower case.

        Names are shown as `spelled`; what stands in several lines is joined with `between`.

        :raises ValueError: if the next head like it could not be told from others, or has no length.
        """
        if len(lines) > _MOST_LINES:
            raise ValueError("too many lines")
        self._first, self._came = first, 0
        self._pattern: re.Pattern[bytes] | None = None
        self._lines = [b"", *lines[1:]]
        self._places: list[tuple[int, bytes, int, re.Pattern[bytes]]] = []
        self.slots: dict[bytes, int] = {}  # of what changes: name, its number among the values
        found: dict[str, str | None] = {}
        for place, line in enumerate(lines[1:], 1):
            name, value = _parts(line)
            known = name.decode("latin-1")
            if name in changing:
                if known in found:
                    raise ValueError("twice the same name")
                self._change(place, name, line[: -len(value)])
                found[known] = None
            elif known not in found:
                found[known] = value.decode("latin-1")
            elif before := found[known]:
                found[known] = before + between + value.decode("latin-1")
            else:
                raise ValueError("twice the same name")
        self.constant = {name: value for name, value in found.items() if value is not None}
        self._spelled = [(spelled(name), value) for name, value in found.items()]
        # The lines as a log shows them, as a field of COPY, with places for what changes, as if no live token stood in
        # `looked_at`.
        self.shown, self.looked_at = _shown(self._spelled)

    def _change(self, place: int, name: bytes, start: bytes) -> None:
        self.slots[name] = len(self._places)
        self._places.append((place, start, len(start), re.compile(_DATE if name == DATE else _PLAIN)))
        self._lines[place] = b""

    def read(self, data: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...], bytes] | None:
        """Return the groups of the first line, the values of the lines that change, in the order of `slots`, and what
        follows the head; nothing if this is another head. A group that is not there is empty.
        """
        if self._pattern is not None:
            found = self._pattern.match(data)
            if found is None:
                return None
            groups, number = found.groups(b""), self._first.groups
            return groups[:number], groups[number:], data[found.end() :]
        end = data.find(_END)
        lines = data[:end].split(b"\r\n") if end >= 0 else [b""]
        first = self._first.fullmatch(lines[0])
        values = self._values(lines) if first else None
        if first is None or values is None:
            return None
        self._came += 1
        if self._came >= _TRIED:
            self.make_pattern()
        return first.groups(b""), tuple(values), data[end + 4 :]

    def make_pattern(self) -> None:
        """Make one pattern of all lines, which reads a head in a third of the time."""
        lines = [self._first.pattern, *map(re.escape, self._lines[1:])]
        for place, start, _, fits in self._places:
            lines[place] = b"%b(%b)" % (re.escape(start), fits.pattern)
        self._pattern = re.compile(b"\r\n".join(lines) + _END)

    def _values(self, lines: list[bytes]) -> list[bytes] | None:
        if len(lines) != len(self._lines):
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

    def pairs(self, values: Iterable[bytes]) -> dict[str, str]:
        """Return names and values of all headers."""
        left = iter(values)
        return {name: next(left).decode() if value is None else value for name, value in self._spelled}


def _parts(line: bytes) -> tuple[bytes, bytes]:
    """Return the name of a header, in lower case, and its value.

    :raises ValueError: if it is spelled oddly, or says something about the framing.
    """
    octets, colon, value = line.partition(b": ")
    name = octets.lower()
    if not colon or _NAME.fullmatch(name) is None or not value or value != value.strip() or b"\0" in value:
        raise ValueError("not spelled as usual")
    if name in _FRAMING and not (name == b"connection" and value.lower() == _KEPT):
        raise ValueError("framed otherwise")
    return name, value


def _shown(spelled: list[tuple[str, str | None]]) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the lines in a log, with places for what changes; and in what of them tokens may be."""
    lines, looked_at = [], []
    for name, value in spelled:
        if value is None:
            lines.append(escaped(f"{name}: ").encode().replace(b"%", b"%%") + b"%b")
            continue
        given = value if name in USUAL_HEADERS else header(name, value, lambda each: each)
        if name not in USUAL_HEADERS and given == value:
            looked_at.append(value.encode())
        lines.append(escaped(f"{name}: {given}").encode().replace(b"%", b"%%"))
    return b"\\n".join(lines), tuple(looked_at)


@dataclass(slots=True)
class Said:
    """A head that was said again, and what was new in it, in the order of the head's `slots`."""

    head: Head
    values: tuple[bytes, ...]

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a line that changes, by its name in lower case."""
        slot = self.head.slots.get(name)
        return None if slot is None else self.values[slot]

    def pairs(self) -> dict[str, str]:
        """Return names and values of all headers."""
        return self.head.pairs(self.values)
