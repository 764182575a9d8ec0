"""Whether a CDR is possible at all, and agrees with itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ocpi.cdr_firewall.facts import Facts
from ocpi.cdr_firewall.findings import Finding, finding
from ocpi.cdr_firewall.reading import moment, number, part, parts

_SECOND = timedelta(seconds=1)
_TOTALS = (
    "total_cost",
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)
_VOLUMES = ("total_energy", "total_time", "total_parking_time")


def times(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    start, end = moment(cdr.get("start_date_time")), moment(cdr.get("end_date_time"))
    if start is None or end is None:
        return
    if end < start:
        yield finding("ends_before_start", "end_date_time", cdr["end_date_time"], cdr["start_date_time"])
    if end > facts.received_at + timedelta(seconds=facts.limits.clock_seconds):
        yield finding("in_the_future", "end_date_time", cdr["end_date_time"], facts.received_at.isoformat())
    if facts.received_at - end > timedelta(days=facts.limits.latest_days):
        yield finding("too_late", "end_date_time", cdr["end_date_time"], f"{facts.limits.latest_days} days")
    for index, period in enumerate(parts(cdr.get("charging_periods"))):
        begins = moment(period.get("start_date_time"))
        if begins is not None and not start - _SECOND <= begins <= max(start, end) + _SECOND:
            where = f"charging_periods[{index}].start_date_time"
            yield finding("period_outside", where, period["start_date_time"], f"{start:%FT%TZ} to {end:%FT%TZ}")
            return  # one says it


def signs(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    """Yield amounts of the wrong sign: of a Credit CDR the total alone is negative (CDR-24)."""
    credit = bool(cdr.get("credit"))
    for name in _TOTALS:
        for tax in ("excl_vat", "incl_vat"):
            amount = number(part(cdr.get(name), tax))
            if amount is not None and (amount > 0 if credit and name == "total_cost" else amount < 0):
                yield finding("negative_amount", f"{name}.{tax}", amount, "≤ 0" if credit else "≥ 0")
    for name in _VOLUMES:
        volume = number(cdr.get(name))
        if volume is not None and volume < 0:
            yield finding("negative_amount", name, volume, "≥ 0")
