"""Which limit holds when at a connector, from all profiles that are installed: the ActiveChargingProfile. Pure.

As OCPP 1.6 stacks them: of one purpose the highest stack level that has a period in force; the profile of a transaction
before the default one; the charge point's own limit and the connector's maximum cap all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from cpo.charging_schedules import Electrics, NotPossible, Schedule, tenth_below
from ocpi.v2_2_1.types import format_datetime, parse_datetime

CHARGE_POINT_MAX, TX_DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"

Step = tuple[datetime, Decimal]  # from then on this limit


@dataclass(frozen=True, slots=True)
class Layer:
    """A profile that is installed; `since` is where a relative one begins."""

    purpose: str
    stack_level: int
    connector: int  # 0: all of them
    schedule: Schedule
    since: datetime

    @property
    def start(self) -> datetime:
        return self.schedule.start or self.since

    def limit_at(self, at: datetime) -> Decimal | None:
        """Return the limit that this profile sets at a moment, if it sets one."""
        seconds = (at - self.start).total_seconds()
        duration = self.schedule.duration
        if seconds < 0 or (duration is not None and seconds >= duration):
            return None
        passed = [limit for start, limit in self.schedule.periods if start <= seconds]
        return passed[-1] if passed else None

    def moments(self) -> Iterable[datetime]:
        for start, _ in self.schedule.periods:
            yield self.start + timedelta(seconds=start)
        if self.schedule.duration is not None:
            yield self.start + timedelta(seconds=self.schedule.duration)


def timeline(layers: Sequence[Layer], electrics: Electrics, unit: str, at: datetime) -> list[Step]:
    """Return what holds from a moment on, in one unit; neighbours that say the same are one."""
    moments = sorted({at, *(moment for layer in layers for moment in layer.moments() if moment > at)})
    steps: list[Step] = []
    for moment in moments:
        limit = tenth_below(_limit(layers, electrics, unit, moment))
        if not steps or steps[-1][1] != limit:
            steps.append((moment, limit))
    return steps


def _limit(layers: Sequence[Layer], electrics: Electrics, unit: str, at: datetime) -> Decimal:
    found: dict[str, Decimal] = {}
    for layer in sorted(layers, key=lambda each: (each.stack_level, each.connector > 0)):
        limit = layer.limit_at(at)
        if limit is not None:
            found[layer.purpose] = _in(unit, limit, layer.schedule.unit, electrics)
    own = found.get(TX, found.get(TX_DEFAULT))
    limits = [electrics.maximum(unit), own, found.get(CHARGE_POINT_MAX)]
    return min(limit for limit in limits if limit is not None)


def _in(unit: str, limit: Decimal, given: str, electrics: Electrics) -> Decimal:
    try:
        return electrics.converted(limit, given, unit)
    except NotPossible:
        return electrics.maximum(unit)


def text_of(steps: Sequence[Step], unit: str, *, duration: int | None = None, least: Decimal | None = None) -> str:
    """Return an ActiveChargingProfile; all its times are relative to its start (CHP-34)."""
    start = format_datetime(steps[0][0])
    profile: dict[str, Any] = {"start_date_time": start}
    if duration is not None:
        profile["duration"] = duration
    profile["charging_rate_unit"] = unit
    if least is not None:
        profile["min_charging_rate"] = _number(least)
    profile["charging_profile_period"] = [
        {"start_period": int((moment - steps[0][0]).total_seconds()), "limit": _number(limit)}
        for moment, limit in steps
    ]
    return msgspec.json.encode({"start_date_time": start, "charging_profile": profile}).decode()


def steps_of(text: str, at: datetime) -> tuple[str, list[Step]]:
    """Return the unit and what holds from a moment on, of an ActiveChargingProfile of ours."""
    found = msgspec.json.decode(text, type=dict[str, Any])
    start, profile = parse_datetime(found["start_date_time"]), found["charging_profile"]
    steps: list[Step] = []
    for period in profile["charging_profile_period"]:
        moment = start + timedelta(seconds=period["start_period"])
        limit = Decimal(str(period["limit"]))
        if moment <= at:
            steps = [(at, limit)]
        else:
            steps.append((moment, limit))
    return profile["charging_rate_unit"], steps


def window(text: str, at: datetime, seconds: int) -> str:
    """Return the part of an ActiveChargingProfile of ours that begins now and lasts so long (CHP-23)."""
    unit, steps = steps_of(text, at)
    end = at + timedelta(seconds=seconds)
    return text_of([step for step in steps if step[0] < end], unit, duration=seconds)


def from_composite(answer: dict[str, Any], electrics: Electrics, at: datetime) -> str | None:
    """Return the ActiveChargingProfile in an answer to GetCompositeSchedule; nothing if it has no schedule (M-9).

    Periods are put in order, limits rounded down to a tenth; what a charge point says of no time before its first
    period is the connector's maximum.
    """
    schedule = answer.get("chargingSchedule")
    periods = schedule.get("chargingSchedulePeriod") if isinstance(schedule, dict) else None
    if not periods or not isinstance(schedule, dict):
        return None
    start = _moment(answer.get("scheduleStart")) or _moment(schedule.get("startSchedule")) or at
    start = start.replace(microsecond=0)
    unit = str(schedule.get("chargingRateUnit", "W"))
    found = {int(each["startPeriod"]): max(Decimal(str(each["limit"])), Decimal(0)) for each in periods}
    kept = {second: limit for second, limit in sorted(found.items()) if second >= 0}
    if 0 not in kept:
        earlier = [limit for second, limit in sorted(found.items()) if second < 0]
        kept = {0: earlier[-1] if earlier else electrics.maximum(unit), **kept}
    steps = [(start + timedelta(seconds=second), tenth_below(limit)) for second, limit in kept.items()]
    duration, least = schedule.get("duration"), schedule.get("minChargingRate")
    return text_of(
        steps,
        unit,
        duration=duration if isinstance(duration, int) and duration > 0 else None,
        least=None if least is None else tenth_below(Decimal(str(least))),
    )


def _moment(text: object) -> datetime | None:
    try:
        return parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _number(limit: Decimal) -> msgspec.Raw:
    return msgspec.Raw(format(limit, "f").encode())
