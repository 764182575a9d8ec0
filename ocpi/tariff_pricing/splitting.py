"""From metered segments to the ChargingPeriods of our own CDR: no period spans a change of a price in use.

Segments are cut at every boundary of their tariff, and neighbours that cost the same are joined again. Whatever is
decided is decided on the volumes as they are published, so pricing the CDR gives the totals in it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal, localcontext
from typing import Any

from ocpi.tariff_pricing.boundaries import durations, energies, reached_at, wall_clock_cuts
from ocpi.tariff_pricing.compiled import Tariff, compile_tariff
from ocpi.tariff_pricing.decimals import CONTEXT, ZERO, number, plain, round4
from ocpi.tariff_pricing.errors import NotPriceable, invalid
from ocpi.tariff_pricing.instants import microseconds, timestamp, zone
from ocpi.tariff_pricing.joining import Piece, join


@dataclass(frozen=True, slots=True)
class Segment:
    """Metered time in one state: `RESERVED`, `CHARGING` or `PARKING`; energy in kWh, power in kW, current in A."""

    start: datetime
    end: datetime
    state: str
    energy: Decimal = ZERO
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    tariff_id: str | None = None


class Periods(list[dict[str, Any]]):
    """ChargingPeriods ready for a document, with what was odd about the metering in `findings`."""

    findings: list[str]


def split(
    segments: Sequence[Segment],
    tariffs: Sequence[Mapping[str, Any]],
    *,
    timezone: str | None,
    expired: bool | None = None,
) -> Periods:
    """Return the ChargingPeriods of a session's segments; a segment without tariff_id uses the first tariff.

    :raises NotPriceable: if a tariff is unknown or unreadable, or local times are needed and the zone is unknown.
    """
    if not tariffs:
        raise NotPriceable("no_tariff", "no tariff was given")
    with localcontext(CONTEXT):
        findings: set[str] = set()
        metered = _consecutive(segments, findings)
        compiled: dict[str, Tariff] = {}
        for each in tariffs:
            compiled.setdefault(str(each.get("id")).lower(), compile_tariff(each))
        local = _zone(compiled.values(), timezone)
        cutter = _Cutter(metered, compiled, compile_tariff(tariffs[0]), local)
        pieces = [piece for segment in metered for piece in cutter.pieces(segment)]
        gone = all(piece.state == "RESERVED" for piece in pieces) if expired is None else expired
        periods = Periods(_period(piece) for piece in join(pieces, local, expired=gone))
        periods.findings = sorted(findings)
        return periods


def _zone(tariffs: Iterable[Tariff], timezone: str | None) -> tzinfo | None:
    local = None if timezone is None else zone(timezone)
    if local is None and any(tariff.local for tariff in tariffs):
        raise NotPriceable("time_zone_unknown", f"the tariff has local times, and {timezone} is no time zone")
    return local


def _consecutive(segments: Sequence[Segment], findings: set[str]) -> list[Segment]:
    """Return the segments in whole seconds, each beginning where the one before ends."""
    metered: list[Segment] = []
    for each in segments:
        segment = _whole_seconds(each)
        if segment.state not in ("RESERVED", "CHARGING", "PARKING") or segment.end < segment.start:
            raise invalid("segments", "must have a known state and end after they start")
        if segment.energy < 0:
            # The register went down: a new meter or a restart. Nothing is known about the energy.
            segment = replace(segment, energy=ZERO)
            findings.add("meter_rollback")
        if metered and segment.start < metered[-1].end:
            raise invalid("segments", "must not overlap")
        if metered and segment.start > metered[-1].end:
            metered[-1] = replace(metered[-1], end=segment.start)
            findings.add("metering_gap")
        metered.append(segment)
    return [segment for segment in metered if segment.end > segment.start or segment.energy]


def _whole_seconds(segment: Segment) -> Segment:
    if segment.start.tzinfo is None or segment.end.tzinfo is None:
        raise invalid("segments", "must have times with a time zone")
    return Segment(
        segment.start.replace(microsecond=0),
        segment.end.replace(microsecond=0),
        segment.state,
        number(segment.energy, "segments.energy"),
        _amount(segment.min_power),
        _amount(segment.max_power),
        _amount(segment.min_current),
        _amount(segment.max_current),
        segment.tariff_id,
    )


def _amount(value: Decimal | None) -> Decimal | None:
    return None if value is None else number(value, "segments")


class _Cutter:
    """Cuts segments, knowing how much energy came before and when charging began."""

    def __init__(
        self, segments: list[Segment], tariffs: dict[str, Tariff], default: Tariff, local: tzinfo | None
    ) -> None:
        self._tariffs = tariffs
        self._default = default
        self._energy = ZERO
        self._published = ZERO
        self._wall: dict[str, list[int]] = {}
        if segments:
            start, end = microseconds(segments[0].start), microseconds(segments[-1].end)
            charging = [each for each in segments if each.state != "RESERVED"]
            reserved = [each for each in segments if each.state == "RESERVED"]
            self._clock_zero = microseconds(charging[0].start) if charging else start
            self._reserved_zero = microseconds(reserved[0].start) if reserved else start
            if local is not None:
                for key, tariff in tariffs.items():
                    self._wall[key] = wall_clock_cuts(tariff, local, start, end) if tariff.local else []

    def pieces(self, segment: Segment) -> list[Piece]:
        """Return the pieces of one segment; their energies, as published, add up to the metered one."""
        tariff = self._tariff(segment)
        start, end = microseconds(segment.start), microseconds(segment.end)
        cuts = self._cuts(segment, tariff, start, end)
        # Rounding the running total, not each segment, keeps the sum of the session right to the last digit.
        self._energy += segment.energy
        total = round4(self._energy) - self._published
        self._published += total
        pieces: list[Piece] = []
        before, flowed = start, ZERO
        for instant, energy in [*cuts, (end, total)]:
            energy = min(max(energy, flowed), total)
            pieces.append(Piece(segment, tariff, before, instant, energy - flowed, self._zero(segment)))
            before, flowed = instant, energy
        return pieces

    def _tariff(self, segment: Segment) -> Tariff:
        if segment.tariff_id is None:
            return self._default
        tariff = self._tariffs.get(segment.tariff_id.lower())
        if tariff is None:
            raise NotPriceable("unknown_tariff_id", f"no tariff {segment.tariff_id} among the tariffs")
        return tariff

    def _zero(self, segment: Segment) -> int:
        return self._reserved_zero if segment.state == "RESERVED" else self._clock_zero

    def _cuts(self, segment: Segment, tariff: Tariff, start: int, end: int) -> list[tuple[int, Decimal]]:
        """Return the instants inside the segment and the energy that has flowed by then."""
        zero = self._zero(segment)
        instants = {zero + duration for duration in durations(tariff) if start < zero + duration < end}
        wall = self._wall.get(tariff.id.lower(), [])
        for position in range(bisect_right(wall, start), len(wall)):
            if wall[position] >= end:
                break
            instants.add(wall[position])
        cuts = {each: round4(segment.energy * (each - start) / (end - start)) for each in instants}
        for threshold in energies(tariff):
            missing = threshold - self._published
            if ZERO < missing < segment.energy:
                instant = reached_at(start, end, missing / segment.energy)
                if instant is not None:
                    # The boundary's own energy is exact; an instant shared with another boundary takes it over.
                    cuts[instant] = round4(missing)
        return sorted(cuts.items())


def _period(piece: Piece) -> dict[str, Any]:
    dimensions = [{"type": kind, "volume": plain(volume)} for kind, volume in piece.volumes().items()]
    return {"start_date_time": timestamp(piece.start), "dimensions": dimensions, "tariff_id": piece.tariff.id}
