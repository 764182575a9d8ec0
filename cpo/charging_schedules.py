"""Charging schedules between OCPI and a charge point: units, number of periods, one decimal (table M-9). Pure.

Whatever is changed, a limit only ever gets lower: a profile is an upper limit (OCPI 2.2.1, ChargingProfiles).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

from ocpi.v2_2_1.chargingprofiles import ChargingProfile

W, A = "W", "A"
_PHASES = {"AC_1_PHASE": 1, "AC_2_PHASE": 2, "AC_2_PHASE_SPLIT": 2, "AC_3_PHASE": 3}
_TENTH = Decimal("0.1")
_LEAST_CURRENT = Decimal(6)  # A; below it a car on alternating current stops (IEC 61851-1)
_LEAST_POWER_DC = Decimal(2000)  # W

Period = tuple[int, Decimal]  # seconds from the start, limit


class NotPossible(Exception):
    """The charge point cannot be given this schedule."""


@dataclass(frozen=True, slots=True)
class Electrics:
    """What a Connector delivers at most: W in all, A per phase."""

    voltage: Decimal
    phases: int
    maximum_w: Decimal
    maximum_a: Decimal
    direct: bool = False  # direct current

    def maximum(self, unit: str) -> Decimal:
        return self.maximum_w if unit == W else self.maximum_a

    @property
    def least_w(self) -> Decimal:
        """Return the W below which a car would not charge at all."""
        return _LEAST_POWER_DC if self.direct else _LEAST_CURRENT * self.voltage * self.phases

    def converted(self, limit: Decimal, unit: str, wanted: str) -> Decimal:
        """Return a limit in another unit: W = A per phase x voltage x phases.

        :raises NotPossible: for direct current in A: its voltage is the car's.
        """
        if unit == wanted:
            return limit
        if wanted == A and self.direct:
            raise NotPossible("a limit in W cannot be one in A for direct current")
        factor = self.voltage * self.phases
        if not factor:
            raise NotPossible("the voltage of the Connector is not known")
        return limit / factor if wanted == A else limit * factor


def electrics_of(connector: Mapping[str, Any]) -> Electrics:
    """Return what a Connector object says of itself; phases and voltage make up for a missing power."""
    kind = str(connector.get("power_type", ""))
    phases = _PHASES.get(kind, 1)
    voltage, amperage = Decimal(connector.get("max_voltage") or 0), Decimal(connector.get("max_amperage") or 0)
    power = connector.get("max_electric_power")
    return Electrics(
        voltage=voltage,
        phases=phases,
        maximum_w=Decimal(power) if power else voltage * amperage * phases,
        maximum_a=amperage,
        direct=kind == "DC",
    )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Limits over time; without a start relative to the start of charging, without a duration without an end."""

    unit: str
    periods: tuple[Period, ...]
    start: datetime | None = None
    duration: int | None = None  # seconds
    least: Decimal | None = None  # min_charging_rate


def read(profile: ChargingProfile) -> Schedule:
    """Return the schedule of an OCPI ChargingProfile that has been checked."""
    return Schedule(
        unit=profile.charging_rate_unit.value,
        periods=tuple((each.start_period, Decimal(each.limit)) for each in profile.charging_profile_period or ()),
        start=profile.start_date_time,
        duration=profile.duration,
        least=None if profile.min_charging_rate is None else Decimal(profile.min_charging_rate),
    )


def fitted(schedule: Schedule, electrics: Electrics, *, units: Collection[str], most: int | None) -> Schedule:
    """Return what a charge point takes: one of its units, not more periods than it holds, one decimal (M-9).

    No `units` are both; no `most` is any number.

    :raises NotPossible: if that cannot be done.
    """
    unit = schedule.unit if not units or schedule.unit in units else next(iter(sorted(units)))
    periods = [(start, electrics.converted(limit, schedule.unit, unit)) for start, limit in schedule.periods]
    if not periods or periods[0][0] > 0:
        periods.insert(0, (0, electrics.maximum(unit)))
    if most is not None:
        periods = _merged(periods, most)
    least = None if schedule.least is None else electrics.converted(schedule.least, schedule.unit, unit)
    return replace(
        schedule,
        unit=unit,
        periods=tuple((start, tenth_below(limit)) for start, limit in periods),
        least=None if least is None else tenth_below(least),
    )


def tenth_below(limit: Decimal) -> Decimal:
    """Return a limit with one decimal, rounded down; 7400.0 is 7400."""
    rounded = limit.quantize(_TENTH, ROUND_DOWN)
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded


def _merged(periods: list[Period], most: int) -> list[Period]:
    """Merge neighbours by their minimum, those first that differ least."""
    if most < 1:
        raise NotPossible("the charge point takes no periods at all")
    left = list(periods)
    while len(left) > most:
        number = min(range(len(left) - 1), key=lambda each: abs(left[each][1] - left[each + 1][1]))
        start, limit = left[number]
        left[number : number + 2] = [(start, min(limit, left[number + 1][1]))]
    return left
