"""Exchanges as the lines of one COPY, made for many at a time.

The dear part of a line is to look for live tokens in every text of it. A batch is looked through once, as one text;
where that finds nothing, which is nearly always, the lines are good as they are. Else each line is looked at by itself,
and only where something may stand are its texts masked one by one. Text goes to COPY finished: that costs a quarter of
what it costs to have each value adapted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from ocpi import live_secrets, traffic
from ocpi.exchange_columns import COPY, Entry, columns
from ocpi.exchange_forward import Forwarded
from ocpi.exchange_text import escaped

_STATUS_CODE = COPY.split(", ").index("status_code")
_NULL = "\\N"

Tallies = dict[traffic.Key, list[float]]


def lines(batch: Sequence[Entry | Forwarded]) -> tuple[bytes, Tallies]:
    """Return what COPY is given for a batch, and what traffic counts of it."""
    texts: list[str] = []
    tallies: Tallies = {}
    found = [_lines(each, texts, tallies) for each in batch]
    if not live_secrets.none_in(texts):
        found = [_looked_through(each, line) for each, line in zip(batch, found, strict=True)]
    return "".join(found).encode(), tallies


def _lines(each: Entry | Forwarded, texts: list[str], tallies: Tallies) -> str:
    """Return the lines of an exchange as if no token were in it; note what has to be looked through."""
    if isinstance(each, Forwarded):
        ended = _outcome(each.http_status, each.status_code)
        _count(tallies, each.legs.receiver_id, "OUT", ended, each.sent_at, each.sent_elapsed)
        _count(tallies, each.legs.caller_id, "IN", ended, each.at, each.elapsed)
        return each.lines(texts)

    def unchanged(text: str) -> str:
        texts.append(text)
        return text

    row = columns(each, unchanged)
    ended = traffic.outcome(each.http_status, row[_STATUS_CODE], each.error)
    _count(tallies, each.platform_id, each.direction, ended, each.at, each.elapsed or 0.0)
    return line(row)


def _looked_through(each: Entry | Forwarded, line_before: str) -> str:
    texts: list[str] = []
    _lines(each, texts, {})
    if live_secrets.none_in(texts):
        return line_before
    entries = each.entries() if isinstance(each, Forwarded) else (each,)
    return "".join([line(columns(entry)) for entry in entries])


@lru_cache(maxsize=64)
def _outcome(http_status: int, status_code: int) -> str:
    return traffic.outcome(http_status, status_code, "")


def _count(tallies: Tallies, platform_id: int | None, direction: str, ended: str, at: float, elapsed: float) -> None:
    key = traffic.key(platform_id, direction, ended, at)
    tally = tallies.get(key)
    if tally is None:
        tallies[key] = [1, elapsed * 1000]
    else:
        tally[0] += 1
        tally[1] += elapsed * 1000


def line(row: tuple[Any, ...]) -> str:
    """Return a row as COPY's text format has it."""
    return "\t".join([_field(value) for value in row]) + "\n"


def _field(value: Any) -> str:
    if value is None:
        return _NULL
    if isinstance(value, str):
        return escaped(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
