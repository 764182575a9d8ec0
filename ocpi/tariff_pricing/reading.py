"""A CDR or Session read for pricing: its periods in time order, with volumes per dimension."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, TypeAlias

from ocpi.tariff_pricing.compiled import Tariff
from ocpi.tariff_pricing.decimals import LARGEST_EXPONENT, ZERO, number
from ocpi.tariff_pricing.errors import NotPriceable, invalid
from ocpi.tariff_pricing.instants import HOUR, SECOND, is_written, read_timestamp, timestamp

_ADDED: Final = frozenset(("ENERGY", "TIME", "PARKING_TIME", "RESERVATION_TIME"))
_TIME_KINDS: Final = _ADDED - {"ENERGY"}
_REPRESENTING: Final = {
    "POWER": ("MAX_POWER", "MIN_POWER", "POWER"),
    "CURRENT": ("MAX_CURRENT", "MIN_CURRENT", "CURRENT"),
}
_HOUR: Final = Decimal(HOUR)

Volumes: TypeAlias = dict[str, Decimal]


class Period:
    """One ChargingPeriod, `index` being its place in the document."""

    __slots__ = (
        "end",
        "energy",
        "index",
        "parking",
        "pure_reservation",
        "reservation",
        "start",
        "tariff",
        "tariff_id",
        "time",
        "volumes",
        "written",
    )

    def __init__(
        self, index: int | None, start: int, volumes: Volumes, tariff_id: str | None, written: str | None = None
    ) -> None:
        self.index = index
        self.start = start
        self.written = written
        self.end = start
        self.volumes = volumes
        self.tariff_id = tariff_id
        self.tariff: Tariff | None = None
        self.energy = volumes.get("ENERGY")
        self.time = volumes.get("TIME")
        self.parking = volumes.get("PARKING_TIME")
        self.reservation = volumes.get("RESERVATION_TIME")
        self.pure_reservation = self.reservation is not None and not (self.energy or self.time or self.parking)

    def microseconds(self, volume: Decimal) -> Decimal | int:
        """Return a time volume in microseconds: the period's length if the volume is that length, rounded."""
        micros = volume * _HOUR
        length = self.end - self.start
        if not length - SECOND <= micros <= length + SECOND:
            return micros
        others = (self.time is None) + (self.parking is None) + (self.reservation is None)
        return length if others == len(_TIME_KINDS) - 1 else micros

    def starts(self) -> str:
        """Return the start as OCPI writes it: as it came, if that is how it came."""
        if self.written is None:
            self.written = timestamp(self.start)
        return self.written

    def representative(self, quantity: str) -> Decimal | None:
        """Return the one value that stands for the period's power or current, None if unknown."""
        volumes = self.volumes
        for name in _REPRESENTING[quantity]:
            if name in volumes:
                return volumes[name]
        return self._average_power() if quantity == "POWER" else None

    def _average_power(self) -> Decimal | None:
        if self.energy is None and self.time is None:
            return None if self.parking is None and self.reservation is None else ZERO
        hours = self.time or Decimal(self.end - self.start) / HOUR
        return None if self.energy is None or not hours else self.energy / hours


class Document:
    """The members of a CDR or Session that decide its price."""

    __slots__ = ("currency", "end", "findings", "periods", "raw", "reservation_only", "start")

    def __init__(self, raw: Mapping[str, Any], *, running: bool) -> None:
        self.raw = raw
        self.findings: set[str] = set()
        currency = raw.get("currency")
        if not isinstance(currency, str):
            raise invalid("currency", "is required")
        self.currency = currency
        self.start = read_timestamp(raw.get("start_date_time"), "start_date_time")
        self.end = _end(raw, running=running)
        if self.end < self.start:
            raise invalid("end_date_time", "is before start_date_time")
        self.periods = self._ordered(_periods(raw.get("charging_periods"), raw["start_date_time"], self.start))
        # Whether nothing but a reservation took place.
        self.reservation_only = self._only_reservation()

    def clock_zero(self) -> int:
        """Return when charging began: the session clock counts from here."""
        for each in self.periods:
            if not each.pure_reservation:
                return each.start
        return self.start

    def reservation_zero(self) -> int:
        """Return when the reservation began."""
        for each in self.periods:
            if each.reservation is not None:
                return each.start
        return self.start

    def _only_reservation(self) -> bool:
        for each in self.periods:
            if not each.pure_reservation:
                return False
        return bool(self.periods)

    def _ordered(self, periods: list[Period]) -> list[Period]:
        if not periods:
            return periods
        if len(periods) > 1:
            for earlier, later in pairwise(periods):
                if later.start < earlier.start:
                    self.findings.add("periods_out_of_order")
                    periods.sort(key=lambda each: each.start)
                    break
            for earlier, later in pairwise(periods):
                earlier.end = later.start
        last = periods[-1]
        last.end = max(self.end, last.start)
        if periods[0].start < self.start or last.start > self.end:
            self.findings.add("periods_outside_session")
        return periods


def _end(raw: Mapping[str, Any], *, running: bool) -> int:
    end = raw.get("end_date_time")
    if running or end is None:
        last_updated = raw.get("last_updated")
        if last_updated is None:
            raise invalid("end_date_time", "is required (or last_updated, for a running Session)")
        return read_timestamp(last_updated, "last_updated")
    return read_timestamp(end, "end_date_time")


def _periods(raw: object, start_text: str, start: int) -> list[Period]:
    if raw is None:
        return []
    if type(raw) is not list and (not isinstance(raw, Sequence) or isinstance(raw, str)):
        raise invalid("charging_periods", "must be a list")
    return [_period(index, each, start_text, start) for index, each in enumerate(raw)]


def _period(index: int, raw: object, start_text: str, start: int) -> Period:
    """Read one period; the first mostly begins with the document, and that start is known."""
    # Texts for errors are built only when needed, and the exact types are asked first: this runs for every dimension.
    if type(raw) is not dict and not isinstance(raw, Mapping):
        raise invalid(_at(index), "must be a ChargingPeriod")
    dimensions = raw.get("dimensions")
    if type(dimensions) is not list and (not isinstance(dimensions, Sequence) or isinstance(dimensions, str)):
        raise invalid(_at(index, ".dimensions"), "must be a list")
    tariff_id = raw.get("tariff_id")
    if tariff_id is not None and type(tariff_id) is not str:
        raise invalid(_at(index, ".tariff_id"), "must be a string")
    written: Any = raw.get("start_date_time")
    try:
        if written != start_text:
            start = read_timestamp(written, "start_date_time")
        volumes = _volumes(dimensions)
    except NotPriceable as error:
        raise NotPriceable(error.code, _at(index, f".{error.message}")) from error
    return Period(index, start, volumes, tariff_id, written if is_written(written) else None)


def _at(index: int, rest: str = "") -> str:
    return f"charging_periods[{index}]{rest}"


def _volumes(dimensions: Sequence[Any]) -> Volumes:
    volumes: Volumes = {}
    for each in dimensions:
        if type(each) is not dict and not isinstance(each, Mapping):
            raise invalid("dimensions", "must be CdrDimensions")
        kind, volume = each.get("type"), each.get("volume")
        if type(kind) is not str:
            raise invalid("dimensions.type", "is required")
        # What `number` would let pass as it is, without the call.
        if type(volume) is not Decimal or not volume.is_finite() or volume.adjusted() > LARGEST_EXPONENT:
            volume = number(volume, "dimensions.volume")
        if kind in volumes and kind in _ADDED:
            volume = volumes[kind] + volume
        if volume < ZERO and kind in _TIME_KINDS:
            raise invalid(f"dimensions.{kind}", "must not be negative")
        volumes[kind] = volume
    return volumes
