"""The walk through the periods: which component prices which quantity, and what is odd about the document."""

from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from ocpi.tariff_pricing.compiled import Component, Components, Tariff
from ocpi.tariff_pricing.decimals import ONE, ZERO
from ocpi.tariff_pricing.instants import SECOND
from ocpi.tariff_pricing.reading import Document, Period
from ocpi.tariff_pricing.restrictions import State
from ocpi.tariff_pricing.result import Line

# Smaller than any published volume: the state "just before" the end of a period.
_INSTANT_BEFORE: Final = Decimal("1E-12")


Found: TypeAlias = tuple[Components, Component | None]
_RANGE: Final = {"POWER": ("MIN_POWER", "MAX_POWER"), "CURRENT": ("MIN_CURRENT", "MAX_CURRENT")}


class Reading(NamedTuple):
    """How the rules are read: the defaults are ours, the others only explain what a partner may have done."""

    step: str = "session"
    flat_every_period: bool = False
    limits: bool = True
    line_rounding: str | None = None
    trough: bool = False


def select(components: Components, state: State) -> Component | None:
    """Return the first component whose element's restrictions all match."""
    for component in components:
        if component.always or component.element.match(state):
            return component
    return None


def localize(state: State, micros: int, zone: tzinfo) -> None:
    """Put the local wall clock of an instant into the state."""
    local = datetime.fromtimestamp(micros // SECOND, zone)
    state.minute = local.hour * 60 + local.minute
    state.day = local.toordinal()
    state.weekday = local.weekday()


class Walk:
    """One walk through a document; afterwards it holds the lines, unrounded and without amounts."""

    __slots__ = (
        "_clock_zero",
        "_expired",
        "_flat",
        "_once",
        "_reading",
        "_reserved_flat",
        "_reserved_zero",
        "_zone",
        "energy",
        "findings",
        "lines",
    )

    def __init__(self, document: Document, zone: tzinfo | None, *, expired: bool, reading: Reading) -> None:
        self._zone = zone
        self._expired = expired
        self._reading = reading
        self._once = not reading.flat_every_period
        self._clock_zero = document.clock_zero()
        self._reserved_zero = document.reservation_zero()
        self.energy = ZERO
        self._flat: Component | None = None
        self._reserved_flat: Component | None = None
        self.findings = document.findings
        self.lines: list[Line] = []

    def period(self, period: Period) -> None:
        """Find the components of one period, in the state at its start."""
        tariff = period.tariff
        if tariff is not None:
            if not period.pure_reservation:
                self._session(period, tariff)
            if period.reservation is not None:
                self._reservation(period, tariff)
        if period.energy is not None:
            self.energy += period.energy

    def flat_only(self, period: Period, tariff: Tariff) -> None:
        """Bill the FLAT of a session that has no periods yet."""
        self._bill_flat(period, tariff, self._state(period, tariff, self._clock_zero))

    def _session(self, period: Period, tariff: Tariff) -> None:
        state = self._state(period, tariff, self._clock_zero)
        self._bill_flat(period, tariff, state)
        searched = tariff.session
        found: list[Found] = []
        if period.energy:
            found.append(self._bill(period, "ENERGY", searched["ENERGY"], period.energy, state))
        if period.time:
            found.append(self._bill(period, "TIME", searched["TIME"], period.time, state))
        if period.parking:
            found.append(self._bill(period, "PARKING_TIME", searched["PARKING_TIME"], period.parking, state))
        if period.time is None and period.parking is None and select(searched["TIME"], state) is not None:
            self.findings.add("missing_time_dimension")
        self._judge(period, tariff, state, found)

    def _reservation(self, period: Period, tariff: Tariff) -> None:
        state = self._state(period, tariff, self._reserved_zero)
        searched = tariff.expired if self._expired else tariff.reserved
        flat = select(searched["FLAT"], state)
        if flat is not None and self._reserved_flat is None:
            self._reserved_flat = flat
            self._add_flat(period, flat, state, "total_reservation_cost")
        found: list[Found] = []
        if period.reservation:
            found.append(self._bill(period, "RESERVATION_TIME", searched["TIME"], period.reservation, state))
        self._judge(period, tariff, state, found)

    def _bill(self, period: Period, dimension: str, components: Components, volume: Decimal, state: State) -> Found:
        component = select(components, state)
        if component is None:
            self.findings.add(f"no_price_component:{dimension}")
        else:
            self.lines.append(Line(period, dimension, component, volume, state))
        return components, component

    def _bill_flat(self, period: Period, tariff: Tariff, state: State) -> None:
        components = tariff.session["FLAT"]
        known = self._flat
        if not components or (known is not None and components[0] is known and known.always and self._once):
            return
        flat = select(components, state)
        if flat is None:
            return
        if self._flat is None or not self._once:
            self._flat = flat
            self._add_flat(period, flat, state, "total_fixed_cost")
        elif flat is not self._flat:
            self.findings.add("multiple_flat_components")

    def _add_flat(self, period: Period, flat: Component, state: State, counts_as: str) -> None:
        line = Line(period, "FLAT", flat, ONE, state)
        line.counts_as = counts_as
        self.lines.append(line)

    def _state(self, period: Period, tariff: Tariff, zero: int) -> State:
        power = self._representative(period, "POWER") if tariff.restricts_power else None
        current = self._representative(period, "CURRENT") if tariff.restricts_current else None
        state = State(self.energy, period.start - zero, power, current)
        if tariff.local and self._zone is not None:
            localize(state, period.start, self._zone)
        return state

    def _representative(self, period: Period, quantity: str) -> Decimal | None:
        lowest, highest = _RANGE[quantity]
        low, high = period.volumes.get(lowest), period.volumes.get(highest)
        if low is None:
            return period.representative(quantity) if high is None else high
        if self._reading.trough:
            return low
        if high is not None and period.tariff is not None:
            tariff = period.tariff
            thresholds = tariff.restricts_power if quantity == "POWER" else tariff.restricts_current
            if any(low < threshold <= high for threshold in thresholds):
                self.findings.add("range_straddles_restriction")
        return low if high is None else high

    def _judge(self, period: Period, tariff: Tariff, state: State, found: list[Found]) -> None:
        if state.unevaluable:
            self.findings.add("restriction_unevaluable")
        if not tariff.changes or period.end <= period.start:
            return
        later: State | None = None
        for components, component in found:
            # Nothing to look up again where nothing can match, or where the first always does.
            if components and not components[0].always:
                later = later or state_before_end(state, period, self._zone if tariff.local else None)
                if select(components, later) is not component:
                    self.findings.add("period_spans_price_change")


def state_before_end(state: State, period: Period, zone: tzinfo | None) -> State:
    """Return the state just before a period ends."""
    energy = state.energy
    if period.energy:
        energy += period.energy - _INSTANT_BEFORE if period.energy > 0 else period.energy + _INSTANT_BEFORE
    later = State(energy, state.clock + period.end - period.start - 1, state.power, state.current)
    if zone is not None:
        localize(later, period.end - 1, zone)
    return later
