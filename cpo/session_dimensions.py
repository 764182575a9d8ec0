"""What a Session's ChargingPeriods tell beyond its CDR's: what the car takes and how full it is (M-10). Pure.

None of it is billed: a CDR has only what it is priced from (PRI-102).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from cpo.metering import Reading
from ocpi.v2_2_1.types import parse_datetime

_THOUSAND = Decimal(1000)
_PLACES = Decimal("0.0001")


def add(periods: Sequence[Mapping[str, Any]], readings: Iterable[Reading], end: datetime) -> list[dict[str, Any]]:
    """Return ChargingPeriods with the dimensions that only a Session has."""
    starts = [parse_datetime(period["start_date_time"]) for period in periods]
    known = sorted(readings, key=lambda each: each.at)
    found = []
    for period, start, until in zip(periods, starts, [*starts[1:], end], strict=False):
        inside = [each for each in known if start <= each.at <= until]
        more = [{"type": kind, "volume": _rounded(volume)} for kind, volume in _dimensions(inside).items()]
        found.append({**period, "dimensions": [*period["dimensions"], *more]})
    return found


def _dimensions(inside: Sequence[Reading]) -> dict[str, Decimal]:
    powers = [each.power / _THOUSAND for each in inside if each.power is not None]
    currents = [each.current for each in inside if each.current is not None]
    charges = [each.charge for each in inside if each.charge is not None]
    exports = [each.export for each in inside if each.export is not None]
    found: dict[str, Decimal] = {}
    if len(exports) > 1:  # both ways are told apart only where energy goes both ways
        imports = [each.register for each in inside if each.register is not None]
        found["ENERGY_EXPORT"] = max(exports[-1] - exports[0], Decimal(0)) / _THOUSAND
        if len(imports) > 1:
            found["ENERGY_IMPORT"] = max(imports[-1] - imports[0], Decimal(0)) / _THOUSAND
    if powers:
        found["POWER"] = sum(powers, Decimal(0)) / len(powers)
    if currents:
        found["CURRENT"] = sum(currents, Decimal(0)) / len(currents)
    if charges:
        found["STATE_OF_CHARGE"] = charges[-1]
    return found


def _rounded(volume: Decimal) -> Decimal:
    rounded = volume.quantize(_PLACES)
    return rounded.normalize() if rounded else Decimal(0)
