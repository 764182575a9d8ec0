"""Whether a Location is open at a moment (OCPI 2.2.1, Locations, Hours). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ocpi.v2_2_1.types import parse_datetime

# 24:00 has no place in the pattern, so a period to midnight ends at 23:59; some write 24:00 or 00:00 (LOC-56).
_MIDNIGHT = frozenset({"23:59", "24:00", "00:00"})


def open_at(opening_times: Mapping[str, Any] | None, time_zone: str, moment: datetime) -> bool | None:
    """Say whether a Location is open; None if it does not say when it is, or in a time zone that nobody knows.

    Exceptional closings override everything, exceptional openings add to the regular hours (LOC-57); these are local
    time of the Location (LOC-55).
    """
    if not opening_times:
        return None
    if _within(opening_times.get("exceptional_closings"), moment):
        return False
    if opening_times.get("twentyfourseven") or _within(opening_times.get("exceptional_openings"), moment):
        return True
    zone = _zone(time_zone)
    if zone is None:
        return None
    local = moment.astimezone(zone)
    return any(_covers(period, local) for period in opening_times.get("regular_hours") or ())


def may_charge_at(location: Mapping[str, Any], moment: datetime) -> bool | None:
    """Say whether charging is possible: while it is open, and when closed too unless it says otherwise (LOC-53)."""
    if location.get("charging_when_closed") is not False:
        return True
    return open_at(location.get("opening_times"), str(location.get("time_zone") or ""), moment)


def _within(periods: Iterable[Mapping[str, Any]] | None, moment: datetime) -> bool:
    return any(
        parse_datetime(str(period["period_begin"])) <= moment < parse_datetime(str(period["period_end"]))
        for period in periods or ()
    )


def _covers(period: Mapping[str, Any], local: datetime) -> bool:
    if period["weekday"] != local.isoweekday() or local.time() < _time(str(period["period_begin"])):
        return False
    end = str(period["period_end"])
    return end in _MIDNIGHT or local.time() < _time(end)


def _time(text: str) -> time:
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute))


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
