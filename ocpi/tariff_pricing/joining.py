"""Joining neighbouring pieces that cost the same: a boundary that changes no price in use makes no cut."""

from datetime import tzinfo
from decimal import Decimal
from typing import Any

from ocpi.tariff_pricing.compiled import Component, Tariff
from ocpi.tariff_pricing.decimals import ZERO, round4
from ocpi.tariff_pricing.instants import HOUR
from ocpi.tariff_pricing.reading import Period, Volumes
from ocpi.tariff_pricing.restrictions import State
from ocpi.tariff_pricing.walking import localize, select, state_before_end

_TIMES = {"CHARGING": "TIME", "PARKING": "PARKING_TIME", "RESERVED": "RESERVATION_TIME"}
_SEARCHED = {"TIME": "TIME", "PARKING_TIME": "PARKING_TIME", "RESERVATION_TIME": "TIME", "ENERGY": "ENERGY"}


class Piece:
    """Part of a segment, or several joined; `zero` is where its session clock began."""

    __slots__ = (
        "end",
        "energy",
        "max_current",
        "max_power",
        "min_current",
        "min_power",
        "start",
        "state",
        "tariff",
        "zero",
    )

    def __init__(self, segment: Any, tariff: Tariff, start: int, end: int, energy: Decimal, zero: int) -> None:
        self.tariff = tariff
        self.start = start
        self.end = end
        self.energy = energy
        self.zero = zero
        self.state: str = segment.state
        self.min_power: Decimal | None = segment.min_power
        self.max_power: Decimal | None = segment.max_power
        self.min_current: Decimal | None = segment.min_current
        self.max_current: Decimal | None = segment.max_current

    def joined(self, later: "Piece") -> "Piece":
        """Return this piece and the next as one."""
        whole = Piece(self, self.tariff, self.start, later.end, self.energy + later.energy, self.zero)
        whole.min_power = _combined(min, self.min_power, later.min_power)
        whole.max_power = _combined(max, self.max_power, later.max_power)
        whole.min_current = _combined(min, self.min_current, later.min_current)
        whole.max_current = _combined(max, self.max_current, later.max_current)
        return whole

    def volumes(self) -> Volumes:
        """Return the dimensions as they are published."""
        volumes: Volumes = {}
        if self.energy:
            volumes["ENERGY"] = self.energy
        volumes[_TIMES[self.state]] = round4(Decimal(self.end - self.start) / HOUR)
        extras = (
            ("MIN_POWER", self.min_power, self.tariff.restricts_power),
            ("MAX_POWER", self.max_power, self.tariff.restricts_power),
            ("MIN_CURRENT", self.min_current, self.tariff.restricts_current),
            ("MAX_CURRENT", self.max_current, self.tariff.restricts_current),
        )
        for name, value, asked in extras:
            if asked and value is not None:
                volumes[name] = round4(value)
        return volumes


class Joiner:
    """Goes through the pieces in order and keeps what pricing would know at each: energy, and the FLAT found."""

    def __init__(self, zone: tzinfo | None, *, expired: bool) -> None:
        self._zone = zone
        self._expired = expired
        self._energy = ZERO
        self._flats: dict[bool, Component | None] = {True: None, False: None}
        self._current: Piece | None = None
        self._components: dict[str, Component | None] = {}
        self.done: list[Piece] = []

    def add(self, piece: Piece) -> None:
        """Join the piece to the one before, or begin a new period with it."""
        before = self._current
        energy = self._energy if before is None else self._energy + before.energy
        components, _ = self._found(piece, energy)
        if before is not None and self._joinable(before, piece, components):
            self._current = before.joined(piece)
            self._components = {**self._components, **components}
            return
        self.finish()
        self._current, self._components = piece, components
        reserved = piece.state == "RESERVED"
        self._flats[reserved] = components["FLAT"]

    def finish(self) -> None:
        """Close the period under way."""
        if self._current is not None:
            self.done.append(self._current)
            self._energy += self._current.energy
            self._current = None

    def _joinable(self, before: Piece, piece: Piece, components: dict[str, Component | None]) -> bool:
        if before.tariff is not piece.tariff or before.state != piece.state:
            return False
        if any(self._components.get(name, own) is not own for name, own in components.items()):
            return False
        wanted = {**self._components, **components}
        # Joining changes the peak power and the average: the whole must still cost what its parts did.
        at_start, at_end = self._found(before.joined(piece), self._energy)
        return at_start == wanted and (at_end is None or at_end == wanted)

    def _found(
        self, piece: Piece, energy: Decimal
    ) -> tuple[dict[str, Component | None], dict[str, Component | None] | None]:
        """Return the components at the start, and just before the end if that can differ."""
        tariff, reserved = piece.tariff, piece.state == "RESERVED"
        volumes = piece.volumes()
        period = Period(0, piece.start, volumes, None)
        period.end = piece.end
        power = period.representative("POWER") if tariff.restricts_power else None
        current = period.representative("CURRENT") if tariff.restricts_current else None
        state = State(energy, piece.start - piece.zero, power, current)
        local = self._zone if tariff.local else None
        if local is not None:
            localize(state, piece.start, local)
        carried = [name for name in volumes if name in _SEARCHED]
        at_start = self._select(tariff, carried, state, reserved=reserved)
        if not tariff.changes or piece.end <= piece.start:
            return at_start, None
        at_end = self._select(tariff, carried, state_before_end(state, period, local), reserved=reserved)
        at_end["FLAT"] = at_start["FLAT"]
        return at_start, at_end

    def _select(
        self, tariff: Tariff, carried: list[str], state: State, *, reserved: bool
    ) -> dict[str, Component | None]:
        session = tariff.session
        of_reservation = tariff.expired if self._expired else tariff.reserved
        searched = of_reservation if reserved else session
        components: dict[str, Component | None] = {}
        for name in carried:
            lists = of_reservation if name == "RESERVATION_TIME" else session
            components[name] = select(lists[_SEARCHED[name]], state)
        # The first FLAT that becomes active is billed; once it is, no other matters and none makes a cut.
        components["FLAT"] = self._flats[reserved] or select(searched["FLAT"], state)
        return components


def join(pieces: list[Piece], zone: tzinfo | None, *, expired: bool) -> list[Piece]:
    """Return the pieces with neighbours joined where nothing tells them apart."""
    joiner = Joiner(zone, expired=expired)
    for piece in pieces:
        joiner.add(piece)
    joiner.finish()
    return joiner.done


def _combined(choose: Any, own: Decimal | None, other: Decimal | None) -> Decimal | None:
    known = [value for value in (own, other) if value is not None]
    return choose(known) if known else None
