"""Where restrictions of a tariff can begin or cease to match: the instants at which metered time may be cut."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from ocpi.tariff_pricing.compiled import Tariff
from ocpi.tariff_pricing.decimals import ONE
from ocpi.tariff_pricing.instants import SECOND, at, microseconds

_DAY: Final = timedelta(days=1)
_DAY_MINUTES: Final = 24 * 60


def wall_clock_cuts(tariff: Tariff, zone: tzinfo, start: int, end: int) -> list[int]:
    """Return every start_time, end_time, local midnight and change of the UTC offset between two instants."""
    minutes = {0} | {
        minute % _DAY_MINUTES for each in tariff.components if each.element.wall for minute in each.element.wall
    }
    first = at(start).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) - _DAY
    last = at(end).astimezone(zone).replace(tzinfo=None) + _DAY
    cuts: set[int] = set()
    while first <= last:
        cuts.update(_offset_changes(first.replace(tzinfo=UTC), zone))
        for minute in minutes:
            cuts.update(_instants(first + timedelta(minutes=minute), zone))
        first += _DAY
    return sorted(cut for cut in cuts if start < cut < end)


def _instants(wall: datetime, zone: tzinfo) -> Iterator[int]:
    """Yield when the wall clock shows this time: once, twice when the hour is repeated, never when it is skipped."""
    for fold in (0, 1):
        instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall:
            yield microseconds(instant)


def _offset_changes(day: datetime, zone: tzinfo) -> Iterator[int]:
    """Yield the change of the UTC offset in a day, found by halving; no zone has two in one day."""
    low, high = microseconds(day) // SECOND, microseconds(day + _DAY) // SECOND
    before, after = _offset(low, zone), _offset(high, zone)
    if before == after:
        return
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    yield high * SECOND


def _offset(second: int, zone: tzinfo) -> timedelta | None:
    return at(second * SECOND).astimezone(zone).utcoffset()


def durations(tariff: Tariff) -> Iterable[int]:
    """Return the session clocks at which a min_duration or max_duration takes effect."""
    return {bound for each in tariff.components for bound in each.element.duration or () if bound is not None}


def energies(tariff: Tariff) -> list[Decimal]:
    """Return the energies at which a min_kwh or max_kwh takes effect, in order."""
    return sorted({bound for each in tariff.components for bound in each.element.energy or () if bound is not None})


def reached_at(start: int, end: int, part: Decimal) -> int | None:
    """Return the second at which this part of a segment's energy has flowed, None if the segment has no inside."""
    length = (end - start) // SECOND
    if length < 2:
        return None
    second = int((part * length).quantize(ONE, ROUND_HALF_UP))
    return start + min(max(second, 1), length - 1) * SECOND
