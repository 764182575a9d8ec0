"""A Session's ChargingPeriods are never long, so a driver sees how it goes while the price stays (M-10). Pure.

A CDR keeps those that it is priced from. What is cut here adds up to them to the last digit, in energy and in time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ocpi.v2_2_1.types import format_datetime, parse_datetime

_PLACES = Decimal("0.0001")
_TIMES = frozenset({"TIME", "PARKING_TIME", "RESERVATION_TIME"})  # spread by the clock
_ENERGY = "ENERGY"  # spread by the meter; the other dimensions are of a whole period and of each part of it
Point = tuple[datetime, Decimal]


def cut(
    periods: Sequence[Mapping[str, Any]],
    registers: Sequence[Point],
    end: datetime,
    longest: timedelta,
    changes: Sequence[datetime] = (),
) -> list[dict[str, Any]]:
    """Return ChargingPeriods none of which is longer, and one that begins at each of the `changes` (M-10).

    `registers` are what the meter showed when, by time.
    """
    starts = [parse_datetime(period["start_date_time"]) for period in periods]
    found: list[dict[str, Any]] = []
    for period, start, until in zip(periods, starts, [*starts[1:], end], strict=False):
        moments = _moments(start, until, longest, changes)
        found.extend(_parts(period, moments, registers) if len(moments) > 2 else [dict(period)])
    return found


def _moments(start: datetime, until: datetime, longest: timedelta, changes: Sequence[datetime]) -> list[datetime]:
    # By the clock from its start, whatever changes in between: what has been told of a period stays so.
    steps = range(1, -(-(until - start) // longest)) if longest > timedelta(0) else ()
    inner = {start + number * longest for number in steps} | {at for at in changes if start < at < until}
    return [start, *sorted(inner), until]


def _parts(
    period: Mapping[str, Any], moments: Sequence[datetime], registers: Sequence[Point]
) -> Iterator[dict[str, Any]]:
    by_clock = [_share(at, moments[0], moments[-1]) for at in moments]
    by_meter = _by_meter(moments, registers) or by_clock
    shares = {_ENERGY: by_meter, **dict.fromkeys(_TIMES, by_clock)}
    for number, start in enumerate(moments[:-1]):
        dimensions = [_part(each, shares.get(each["type"]), number) for each in period["dimensions"]]
        yield {
            **period,
            "start_date_time": format_datetime(start),
            "dimensions": [each for each in dimensions if each["volume"] or each["type"] != _ENERGY],
        }


def _part(dimension: Mapping[str, Any], shares: Sequence[Decimal] | None, number: int) -> dict[str, Any]:
    if shares is None:
        return dict(dimension)
    volume = Decimal(dimension["volume"])
    # Rounding the running total, not each part, keeps the sum right to the last digit.
    reached, before = ((volume * shares[place]).quantize(_PLACES) for place in (number + 1, number))
    return {**dimension, "volume": _plain(reached - before)}


def _by_meter(moments: Sequence[datetime], registers: Sequence[Point]) -> list[Decimal]:
    """Return which part of the energy had flowed by each moment; nothing where the meter did not move."""
    shown = [_register_at(at, registers) for at in moments] if registers else []
    total = shown[-1] - shown[0] if shown else Decimal(0)
    return [(each - shown[0]) / total for each in shown] if total > 0 else []


def _register_at(at: datetime, registers: Sequence[Point]) -> Decimal:
    number = bisect_right(registers, at, key=lambda point: point[0])
    if number in (0, len(registers)):
        return registers[min(number, len(registers) - 1)][1]
    (start, before), (end, after) = registers[number - 1], registers[number]
    return before + (after - before) * _share(at, start, end)


def _share(at: datetime, start: datetime, end: datetime) -> Decimal:
    return Decimal((at - start) // timedelta(microseconds=1)) / Decimal((end - start) // timedelta(microseconds=1))


def _plain(volume: Decimal) -> Decimal:
    return volume.normalize() if volume else Decimal(0)
