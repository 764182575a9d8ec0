"""From meter readings and the phases of a transaction to metered segments, and what is not plausible about them. Pure.

Readings are ordered by time. A register that falls or jumps further than the connector can deliver is an outlier and
left out of the course of the session (OCPP-68); the outer readings, meterStart and meterStop, decide the energy
(OCPP-67).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from ocpi.tariff_pricing import Segment

CHARGING, PARKING = "CHARGING", "PARKING"
# OCPP 1.6 statuses of a connector during a transaction (M-10, PIT-74): who asks for no power parks.
PHASE_OF = {
    "Charging": CHARGING,
    "SuspendedEVSE": CHARGING,
    "SuspendedEV": PARKING,
    "Finishing": PARKING,
}
_THOUSAND = Decimal(1000)
_MILLI = Decimal("0.001")
_TOLERANCE = Decimal("1.1")
_UNIT_FACTOR = 20
_FALL = Decimal("0.01")  # of what was delivered so far
_IDLE, _IDLE_FOR = Decimal(50), timedelta(minutes=5)  # W; who draws less for so long only parks
_CLOCK_SLACK = Decimal(60)  # seconds: meters and clocks are not read in the same instant


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter showed at one moment: the register in Wh, power in W, current in A."""

    at: datetime
    register: Decimal | None
    power: Decimal | None = None
    current: Decimal | None = None
    interval: Decimal | None = None  # Wh since the reading before
    export: Decimal | None = None  # register of what went back, in Wh
    charge: Decimal | None = None  # of the car's battery, in %


@dataclass(frozen=True, slots=True)
class Course:
    """A transaction as it was metered, so far or to its end."""

    start: datetime
    meter_start: Decimal
    end: datetime
    meter_end: Decimal
    readings: tuple[Reading, ...]  # those that count, in order
    flags: tuple[str, ...]

    @property
    def energy(self) -> Decimal:
        """Return the energy in kWh; never negative."""
        return max(self.meter_end - self.meter_start, Decimal(0)) / _THOUSAND


def course(
    start: datetime,
    meter_start: Decimal,
    readings: Iterable[Reading],
    *,
    stop: datetime | None = None,
    meter_stop: Decimal | None = None,
    rated_power: Decimal | None = None,
) -> Course:
    """Return what was metered, outliers left out; without a stop, up to the last reading."""
    within = [each for each in sorted(readings, key=_order) if stop is None or each.at <= stop]
    ordered, offset = _without_resets(within, start, meter_start, meter_stop, rated_power)
    if meter_stop is not None:
        meter_stop += offset
    counted: list[Reading] = []
    flags: list[str] = ["meter_reset"] if offset else []
    at, register = start, meter_start
    for each in ordered:
        if each.register is None or each.at < at:
            continue
        wavers = register - (register - meter_start) * _FALL <= each.register < register
        reading = replace(each, register=register) if wavers else each
        reached = register if wavers else each.register
        fault = _fault(reading, at, register, rated_power)
        if not fault and meter_stop is not None and reached > meter_stop >= meter_start:
            fault = "reading_above_stop"
        if fault:
            flags.append(fault)
            continue
        if counted and counted[-1].at == reading.at:
            counted.pop()
        counted.append(reading)
        at, register = reading.at, reached
    end = max(stop, start) if stop is not None else at
    meter_end = meter_stop if meter_stop is not None else register
    return Course(start, meter_start, end, meter_end, tuple(counted), tuple(dict.fromkeys(flags)))


def _without_resets(
    readings: Sequence[Reading],
    start: datetime,
    meter_start: Decimal,
    meter_stop: Decimal | None,
    rated_power: Decimal | None,
) -> tuple[list[Reading], Decimal]:
    """Return readings as if the meter had never begun anew, and by how much it is behind at the end (OCPP-68).

    A fall is one if what follows stays below; what was delivered between the two readings is not known.
    """
    found: list[Reading] = []
    offset, register, at = Decimal(0), meter_start, start
    numbered = [each for each in readings if each.register is not None and each.at >= start]
    for number, each in enumerate(numbered):
        raw = each.register or Decimal(0)
        later = [next_one.register for next_one in numbered[number + 1 :] if next_one.register is not None]
        following = [*later, *([] if meter_stop is None else [meter_stop])][:2]
        if raw + offset < register and following and all(raw <= value < register - offset for value in following):
            offset += register - (raw + offset)
        shifted = replace(each, register=raw + offset)
        found.append(shifted)
        if not _fault(shifted, at, register, rated_power):
            register, at = raw + offset, each.at
    return found, offset


def with_registers(readings: Iterable[Reading]) -> list[Reading]:
    """Return readings by time, with a register counted from 0 where the meter gives none (OCPP-67).

    It sums up what it says of intervals, else power over time.
    """
    ordered = sorted(readings, key=_order)
    if any(each.register is not None for each in ordered):
        return ordered
    intervals = any(each.interval is not None for each in ordered)
    counted: list[Reading] = []
    register, before = Decimal(0), None
    for each in ordered:
        if intervals:
            register += each.interval or 0
        elif each.power is not None:
            if before is not None and before.power is not None:
                hours = Decimal((each.at - before.at) // timedelta(milliseconds=1)) / 3_600_000
                register += (each.power + before.power) / 2 * hours
            before = each
        counted.append(replace(each, register=register.quantize(_MILLI)))
    return counted if intervals or before is not None else ordered


def faults_of_stop(
    start: datetime, meter_start: Decimal, stop: datetime, meter_stop: Decimal, rated_power: Decimal | None
) -> tuple[str, ...]:
    """Return why a stop is not plausible (OCPP-45, OCPP-69)."""
    found: list[str] = []
    if stop < start:
        found.append("stop_before_start")
    if meter_stop < meter_start:
        found.append("meter_backwards")
    if rated_power is not None and stop >= start:
        possible = _most(start, stop, rated_power)
        delivered = meter_stop - meter_start
        if delivered > possible * _UNIT_FACTOR:
            found.append("unit_suspect")
        elif delivered > possible:
            found.append("too_much_energy")
    return tuple(found)


def segments(
    metered: Course, phases: Sequence[tuple[datetime, str]], tariffs: Sequence[tuple[datetime, str]] = ()
) -> list[Segment]:
    """Return consecutive segments in one state each; the energy between two readings is spread evenly.

    `tariffs` are the ids of Tariffs from when on they apply; before the first one that of the start does (SES-42).
    """
    points = registers(metered)
    changes = sorted((max(at, metered.start), state) for at, state in phases if at < metered.end)
    times = [at for at, _ in points]
    for at, _ in [*changes, *tariffs]:
        if metered.start < at < metered.end and at not in times:
            points.append((at, _register_at(metered, points, at)))
            times.append(at)
    points.sort(key=lambda point: point[0])
    moments = [at for at, _ in changes]
    read_at = [reading.at for reading in metered.readings]
    found: list[Segment] = []
    for (start, before), (end, after) in pairwise(points):
        number = bisect_right(moments, start)
        inside = metered.readings[bisect_left(read_at, start) : bisect_right(read_at, end)]
        powers = [reading.power for reading in inside if reading.power is not None]
        currents = [reading.current for reading in inside if reading.current is not None]
        found.append(
            Segment(
                start=start,
                end=end,
                state=changes[number - 1][1] if number else CHARGING,
                energy=max(after - before, Decimal(0)) / _THOUSAND,
                min_power=min(powers) / _THOUSAND if powers else None,
                max_power=max(powers) / _THOUSAND if powers else None,
                min_current=min(currents) if currents else None,
                max_current=max(currents) if currents else None,
                tariff_id=next((tariff_id for at, tariff_id in reversed(tariffs) if at <= start), None),
            )
        )
    return found


def reserved(since: datetime | None, until: datetime) -> list[Segment]:
    """Return the time before a session in which its EVSE was kept free."""
    return [] if since is None or since >= until else [Segment(start=since, end=until, state="RESERVED")]


def _order(reading: Reading) -> tuple[datetime, Decimal]:
    # Of one moment the lower first, in whatever order they came.
    return reading.at, reading.register or Decimal(0)


def _fault(reading: Reading, at: datetime, register: Decimal, rated_power: Decimal | None) -> str:
    if reading.register is None:
        return ""
    if reading.register < register:
        return "register_fell"
    if rated_power is not None and reading.register - register > _most(at, reading.at, rated_power):
        return "register_jumped"
    return ""


def _most(start: datetime, end: datetime, rated_power: Decimal) -> Decimal:
    """Return the Wh that a connector can deliver in this time."""
    seconds = Decimal((end - start) // timedelta(seconds=1)) + _CLOCK_SLACK
    return rated_power * seconds / 3600 * _TOLERANCE


def parking_by_power(readings: Iterable[Reading], end: datetime) -> list[tuple[datetime, str]]:
    """Return the phases of a transaction of a charge point that tells of none, by what the car draws (M-10)."""
    found: list[tuple[datetime, str]] = []
    since: datetime | None = None
    powers = [
        (each.at, each.power) for each in sorted(readings, key=_order) if each.power is not None and each.at <= end
    ]
    for at, power in powers:
        if power < _IDLE:
            since = since or at
        elif since is not None:
            found += [(since, PARKING), (at, CHARGING)] if at - since >= _IDLE_FOR else []
            since = None
    if since is not None and end - since >= _IDLE_FOR:
        found.append((since, PARKING))
    return found


def registers(metered: Course) -> list[tuple[datetime, Decimal]]:
    """Return what the meter showed when, in Wh, from the start to the end, by time."""
    inner = [
        (reading.at, reading.register)
        for reading in metered.readings
        if reading.register is not None and metered.start < reading.at < metered.end
    ]
    return [(metered.start, metered.meter_start), *inner, (metered.end, max(metered.meter_end, metered.meter_start))]


def _register_at(metered: Course, points: Sequence[tuple[datetime, Decimal]], at: datetime) -> Decimal:
    ordered = sorted(points, key=lambda point: point[0])
    number = bisect_right([moment for moment, _ in ordered], at)
    (start, before), (end, after) = ordered[number - 1], ordered[number]
    part = Decimal((at - start) // timedelta(microseconds=1)) / Decimal((end - start) // timedelta(microseconds=1))
    return before + (after - before) * part
