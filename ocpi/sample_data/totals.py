"""The totals of a sample CDR, for Tariffs as plain as ours: one Tariff, no restrictions but times of day.

Whoever prices richer Tariffs passes the real engine to `cdrs(price=…)`; this file is what the samples need to be right
without it, and a second opinion on it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from ocpi.sample_data.draw import HOUR, Document, hours, rounded

_SUBTOTAL = {
    "FLAT": "total_fixed_cost",
    "ENERGY": "total_energy_cost",
    "TIME": "total_time_cost",
    "PARKING_TIME": "total_parking_cost",
}
# How many blocks of step_size 1 a unit has: kWh in Wh, hours in seconds.
_UNITS = {"ENERGY": 1000, "TIME": HOUR, "PARKING_TIME": HOUR}
_ZERO = Decimal(0)

Billed = dict[str, list[tuple[Document, Decimal]]]


def totals(document: Document, tariffs: Sequence[Document], timezone: str) -> Document:
    """Return the total fields of a CDR or Session whose periods all carry this one Tariff.

    :raises ValueError: if the Tariffs need the real engine.
    """
    tariff = _only(tariffs)
    billed = _bill(document["charging_periods"], tariff, ZoneInfo(timezone))
    answer: Document = {}
    excl = incl = _ZERO
    for dimension, field in _SUBTOTAL.items():
        if lines := billed.get(dimension):
            part = sum((component["price"] * volume for component, volume in lines), _ZERO)
            taxed = sum((c["price"] * volume * (100 + c.get("vat", 0)) / 100 for c, volume in lines), _ZERO)
            answer[field] = {"excl_vat": rounded(part), "incl_vat": rounded(taxed)}
            excl, incl = excl + part, incl + taxed
    for bound, choose in (("min_price", max), ("max_price", min)):
        if limit := tariff.get(bound):
            excl, incl = choose(excl, limit["excl_vat"]), choose(incl, limit["incl_vat"])
    answer["total_cost"] = {"excl_vat": rounded(excl), "incl_vat": rounded(incl)}
    answer["total_energy"] = rounded(_sum(document, "ENERGY"))
    answer["total_time"] = hours(_seconds(document["end_date_time"]) - _seconds(document["start_date_time"]))
    if parking := _sum(document, "PARKING_TIME"):
        answer["total_parking_time"] = rounded(parking)
    return answer


def _only(tariffs: Sequence[Document]) -> Document:
    if len(tariffs) != 1:
        raise ValueError("tariffs: more than one needs price=")
    tariff = tariffs[0]
    for element in tariff["elements"]:
        if foreign := set(element.get("restrictions", ())) - {"start_time", "end_time"}:
            raise ValueError(f"{tariff['id']}: restriction {min(foreign)} needs price=")
    for bound in ("min_price", "max_price"):
        if bound in tariff and "incl_vat" not in tariff[bound]:
            raise ValueError(f"{tariff['id']}: {bound} without incl_vat needs price=")
    return tariff


def _bill(periods: Sequence[Document], tariff: Document, zone: ZoneInfo) -> Billed:
    """Return what is billed per dimension: the component and the volume, rounding up to step_size included."""
    billed: Billed = {}
    for period in periods:
        clock = datetime.fromisoformat(period["start_date_time"]).astimezone(zone).strftime("%H:%M")
        active = dict(_active(tariff, clock))
        if "FLAT" in active and "FLAT" not in billed:
            billed["FLAT"] = [(active["FLAT"], Decimal(1))]
        for dimension in period["dimensions"]:
            name = dimension["type"]
            if name in _UNITS and name in active:
                billed.setdefault(name, []).append((active[name], dimension["volume"]))
    for name, lines in billed.items():
        # Priced parking takes the time's rounding on itself (OCPI 2.2.1, CDRs module, step_size).
        if name in _UNITS and not (name == "TIME" and "PARKING_TIME" in billed):
            last = lines[-1][0]
            lines.append((last, _surplus(sum((volume for _, volume in lines), _ZERO), _UNITS[name], last["step_size"])))
    return billed


def _active(tariff: Document, clock: str) -> Iterator[tuple[str, Document]]:
    """Yield the component of each dimension; the first element in the list must win, so it comes last."""
    for element in reversed(tariff["elements"]):
        restrictions = element.get("restrictions", {})
        begin, end = restrictions.get("start_time", "00:00"), restrictions.get("end_time", "00:00")
        end = "24:00" if end == "00:00" else end
        if begin <= clock < end if begin < end else clock >= begin or clock < end:
            yield from ((component["type"], component) for component in reversed(element["price_components"]))


def _surplus(volume: Decimal, units: int, step_size: int) -> Decimal:
    blocks = rounded(volume * units)
    over = blocks % step_size if step_size else _ZERO
    return (step_size - over) / units if over else _ZERO


def _sum(document: Document, dimension: str) -> Decimal:
    volumes = (
        entry["volume"]
        for period in document["charging_periods"]
        for entry in period["dimensions"]
        if entry["type"] == dimension
    )
    return sum(volumes, _ZERO)


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())
