"""Exchanges as the lines of one COPY, made for many at a time.

The dear part of a line is to look for live tokens in every text of it. A batch is looked through once, as one text;
where that finds nothing, which is nearly always, the lines are good as they are. Else each line is looked at by itself,
and only where something may stand are its texts masked one by one. Text goes to COPY finished: that costs a quarter of
what it costs to have each value adapted. Both lines of a forward are put together from octets (`exchange_forward`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocpi import exchange_forward, live_secrets, traffic
from ocpi.exchange_columns import COPY, Entry, columns
from ocpi.exchange_forward import Forwarded, Legs
from ocpi.exchange_text import escaped

_STATUS_CODE, _URL = (COPY.split(", ").index(name) for name in ("status_code", "url"))
_NULL = "\\N"
_TOGETHER = 128  # forwards: where a token may stand in one of them, so many are looked at one by one

Tallies = dict[traffic.Key, list[float]]


@dataclass(slots=True, eq=False)
class Lines:
    """Lines of COPY that are finished."""

    text: bytes
    exchanges: int
    tallies: Tallies  # what traffic counts of them

    @property
    def octets(self) -> int:
        """How long they are."""
        return len(self.text)

    @property
    def url(self) -> str:
        """The URL of the first."""
        return self.text.split(b"\t", _URL + 1)[_URL].decode()

    def apart(self) -> Iterator[Lines]:
        """Yield each by itself, of which traffic counts nothing more."""
        return (Lines(text, 1, {}) for text in self.text.splitlines(keepends=True))


def lines(batch: Sequence[Entry | Forwarded | Lines]) -> tuple[list[bytes], Tallies]:
    """Return what COPY is given for a batch, in parts, and what traffic counts of it."""
    forwards = [each for each in batch if isinstance(each, Forwarded)]
    tallies = _count_forwards(forwards)
    found = [
        b"".join(_of_forwards(forwards[start : start + _TOGETHER])) for start in range(0, len(forwards), _TOGETHER)
    ]
    found += _of_entries([each for each in batch if isinstance(each, Entry)], tallies)
    for each in batch:
        if isinstance(each, Lines):
            found.append(each.text)
            for key, (number, milliseconds) in each.tallies.items():
                _count(tallies, key, number, milliseconds)
    return found, tallies


def finished(forwards: Sequence[Forwarded]) -> Lines | None:
    """Return the lines of forwards, unless a live token may be in one; reads nothing.

    What is live is what is known to be at this moment.
    """
    if not live_secrets.none_at_hand_in(exchange_forward.texts(forwards)):
        return None
    return Lines(b"".join(exchange_forward.lines(forwards)), 2 * len(forwards), _count_forwards(forwards))


def _of_forwards(forwards: Sequence[Forwarded]) -> list[bytes]:
    if live_secrets.none_in(exchange_forward.texts(forwards)):
        return exchange_forward.lines(forwards)
    found: list[bytes] = []
    for each in forwards:
        if live_secrets.none_in(exchange_forward.texts([each])):
            found += exchange_forward.lines([each])
        else:
            found += [line(columns(entry)) for entry in each.entries()]
    return found


def _of_entries(entries: Sequence[Entry], tallies: Tallies) -> list[bytes]:
    """Return the lines of exchanges that are written out, first as if no token were in them."""
    texts: list[str] = []

    def unchanged(text: str) -> str:
        texts.append(text)
        return text

    rows = []
    for each in entries:
        row = columns(each, unchanged)
        ended = traffic.outcome(each.http_status, row[_STATUS_CODE], each.error)
        _count(tallies, traffic.key(each.platform_id, each.direction, ended, each.at), 1, (each.elapsed or 0.0) * 1000)
        rows.append(row)
    if not _none_in(texts):
        rows = [_looked_through(each, row) for each, row in zip(entries, rows, strict=True)]
    return [line(row) for row in rows]


def _looked_through(each: Entry, row_before: tuple[Any, ...]) -> tuple[Any, ...]:
    return row_before if _none_in([text for text in row_before if isinstance(text, str)]) else columns(each)


def _none_in(texts: Sequence[str]) -> bool:
    return live_secrets.none_in("\n".join(texts).encode("utf-8", "replace"))


def _count_forwards(forwards: Sequence[Forwarded]) -> Tallies:
    """Count both legs of each: together, unless a minute ended between them."""
    tallies: Tallies = {}
    if not forwards:
        return tallies
    first, last = min([each.at for each in forwards]), max([each.sent_at for each in forwards])
    if first // traffic.MINUTE == last // traffic.MINUTE:
        _count_alike(forwards, first, last, tallies)
    else:
        for each in forwards:
            _count_alike([each], each.at, each.sent_at, tallies)
    return tallies


def _count_alike(forwards: Sequence[Forwarded], at: float, sent_at: float, tallies: Tallies) -> None:
    """Count forwards of the minutes of `at` and `sent_at`; those of one way that ended alike are summed up first."""
    sums: dict[tuple[Legs, int, int], list[float]] = {}
    for each in forwards:
        kind = each.legs, each.http_status, each.status_code
        found = sums.get(kind)
        if found is None:
            sums[kind] = [1, each.elapsed, each.sent_elapsed]
        else:
            found[0] += 1
            found[1] += each.elapsed
            found[2] += each.sent_elapsed
    for (legs, http_status, code), (number, elapsed, sent_elapsed) in sums.items():
        ended = traffic.outcome(http_status, code, "")
        _count(tallies, traffic.key(legs.caller_id, "IN", ended, at), number, elapsed * 1000)
        _count(tallies, traffic.key(legs.receiver_id, "OUT", ended, sent_at), number, sent_elapsed * 1000)


def _count(tallies: Tallies, key: traffic.Key, number: float, milliseconds: float) -> None:
    tally = tallies.setdefault(key, [0, 0.0])
    tally[0] += number
    tally[1] += milliseconds


def line(row: tuple[Any, ...]) -> bytes:
    """Return a row as COPY's text format has it."""
    return ("\t".join([_field(value) for value in row]) + "\n").encode()


def _field(value: Any) -> str:
    if value is None:
        return _NULL
    if isinstance(value, str):
        return escaped(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
