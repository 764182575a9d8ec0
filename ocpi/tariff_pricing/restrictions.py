"""TariffRestrictions made ready for matching: all lower bounds inclusive, all upper bounds exclusive."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from ocpi.tariff_pricing.decimals import number, plain_text, whole
from ocpi.tariff_pricing.errors import invalid
from ocpi.tariff_pricing.instants import SECOND, read_date, read_minute

_DAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_DAY_MINUTES: Final = 24 * 60
_RESERVATIONS: Final = (None, "RESERVATION", "RESERVATION_EXPIRES")

Amounts: TypeAlias = tuple[Decimal | None, Decimal | None]
Wholes: TypeAlias = tuple[int | None, int | None]


class State:
    """What restrictions are matched against: one instant of a session. Local members exist only if a tariff asks."""

    minute: int
    day: int
    weekday: int

    __slots__ = ("clock", "current", "day", "energy", "minute", "power", "shown", "unevaluable", "weekday")

    def __init__(self, energy: Decimal, clock: int, power: Decimal | None, current: Decimal | None) -> None:
        self.energy = energy
        self.clock = clock
        self.power = power
        self.current = current
        self.unevaluable = False
        # What lines show of it, made by the first of them.
        self.shown: dict[str, Any] | None = None


class Restrictions:
    """The restrictions of one TariffElement."""

    __slots__ = (
        "always",
        "current",
        "days",
        "duration",
        "electric",
        "energy",
        "local",
        "power",
        "reservation",
        "shown",
        "wall",
        "weekdays",
    )

    def __init__(self, raw: Mapping[str, Any], field: str) -> None:
        self.shown = {name: _shown(value) for name, value in raw.items() if value is not None and value != []}
        self.reservation: str | None = raw.get("reservation")
        if self.reservation not in _RESERVATIONS:
            raise invalid(f"{field}.reservation", "is no ReservationRestrictionType")
        self.wall = _wall(raw, field)
        self.days = _pair(_day(raw, "start_date", field), _day(raw, "end_date", field))
        self.weekdays = _weekdays(raw, field)
        self.energy = _amounts(raw, "kwh", field)
        self.power = _amounts(raw, "power", field)
        self.current = _amounts(raw, "current", field)
        self.duration = _pair(_duration(raw, "min_duration", field), _duration(raw, "max_duration", field))
        self.local = self.wall is not None or self.days is not None or self.weekdays is not None
        self.electric = self.power is not None or self.current is not None
        bounded = (self.energy, self.power, self.current, self.duration)
        # The reservation is settled by choosing the list that is searched, not here.
        self.always = not self.local and all(bounds is None for bounds in bounded)

    def match(self, state: State) -> bool:
        """Return whether all hold; an unknown power or current matches nothing and is noted on the state."""
        wall = self.wall
        if wall is not None:
            start, end = wall
            if start < end:
                if not start <= state.minute < end:
                    return False
            elif end <= state.minute < start:
                return False
        if self.weekdays is not None and state.weekday not in self.weekdays:
            return False
        if self.days is not None and not _within(self.days, state.day):
            return False
        if self.energy is not None and not _inside(self.energy, state.energy):
            return False
        if self.duration is not None and not _within(self.duration, state.clock):
            return False
        return not self.electric or self._match_electric(state)

    def _match_electric(self, state: State) -> bool:
        for bounds, value in ((self.power, state.power), (self.current, state.current)):
            if bounds is not None:
                if value is None:
                    state.unevaluable = True
                    return False
                if not _inside(bounds, value):
                    return False
        return True


def _shown(value: object) -> object:
    """Return a restriction as lines show it: a fraction as text, and 2.0 like 2, for both are one compiled Tariff."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else plain_text(value)
    if isinstance(value, Mapping):
        return {name: _shown(each) for name, each in value.items()}
    return value


def _inside(bounds: Amounts, value: Decimal) -> bool:
    low, high = bounds
    return (low is None or low <= value) and (high is None or value < high)


def _within(bounds: Wholes, value: int) -> bool:
    low, high = bounds
    return (low is None or low <= value) and (high is None or value < high)


def _pair(low: int | None, high: int | None) -> Wholes | None:
    return None if low is None and high is None else (low, high)


def _amounts(raw: Mapping[str, Any], quantity: str, field: str) -> Amounts | None:
    low, high = raw.get(f"min_{quantity}"), raw.get(f"max_{quantity}")
    if low is None and high is None:
        return None
    return (
        None if low is None else number(low, f"{field}.min_{quantity}"),
        None if high is None else number(high, f"{field}.max_{quantity}"),
    )


def _duration(raw: Mapping[str, Any], name: str, field: str) -> int | None:
    value = raw.get(name)
    return None if value is None else whole(value, f"{field}.{name}") * SECOND


def _day(raw: Mapping[str, Any], name: str, field: str) -> int | None:
    value = raw.get(name)
    return None if value is None else read_date(value, f"{field}.{name}")


def _wall(raw: Mapping[str, Any], field: str) -> tuple[int, int] | None:
    """Return the window in minutes of the day, None for the whole day; start > end goes over midnight."""
    start_text, end_text = raw.get("start_time"), raw.get("end_time")
    if start_text is None and end_text is None:
        return None
    start = 0 if start_text is None else read_minute(start_text, f"{field}.start_time")
    end = _DAY_MINUTES if end_text is None else read_minute(end_text, f"{field}.end_time")
    if start_text is not None and start == end:
        return None
    # As an end, 00:00 is the end of the day.
    end = end or _DAY_MINUTES
    return None if (start, end) == (0, _DAY_MINUTES) else (start, end)


def _weekdays(raw: Mapping[str, Any], field: str) -> frozenset[int] | None:
    names = raw.get("day_of_week")
    if not names:
        return None
    if not isinstance(names, list | tuple) or not all(name in _DAYS for name in names):
        raise invalid(f"{field}.day_of_week", "must be a list of days")
    return frozenset(_DAYS.index(name) for name in names)
