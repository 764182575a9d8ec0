"""Whether a CDR agrees with itself; this needs no tariff."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from ocpi.tariff_pricing.decimals import ZERO, minor_units, number, unit
from ocpi.tariff_pricing.instants import HOUR
from ocpi.tariff_pricing.reading import Document
from ocpi.tariff_pricing.result import COSTS

Pairs: TypeAlias = dict[str, tuple[Decimal, Decimal]]
_VOLUME_TOLERANCE: Final = Decimal("0.0005")
_PER_PERIOD: Final = Decimal("0.00005")


def inconsistencies(document: Document) -> tuple[Pairs, set[str]]:
    """Return the members that contradict the periods, as (claimed, computed), and findings.

    :raises NotPriceable: if a stated member is no number.
    """
    raw = document.raw
    allowed = _VOLUME_TOLERANCE + _PER_PERIOD * len(document.periods)
    differing: Pairs = {}
    for name, expected in _volumes(document).items():
        claimed = None if raw.get(name) is None else number(raw[name], name)
        if claimed is None:
            continue
        for each in expected:
            if abs(claimed - each) <= allowed:
                break
        else:
            differing[name] = (claimed, expected[0])
    notes = set(document.findings)
    if not _adds_up(raw, document.currency):
        notes.add("sub_totals_do_not_add_up")
    if not _credit_fields_agree(raw):
        notes.add("credit_fields_inconsistent")
        differing["credit"] = (Decimal(bool(raw.get("credit"))), Decimal(not raw.get("credit")))
    return differing, notes


def _volumes(document: Document) -> dict[str, tuple[Decimal, ...]]:
    energy = parking = ZERO
    reserved = 0
    for each in document.periods:
        if each.energy is not None:
            energy += each.energy
        if each.parking is not None:
            parking += each.parking
        if each.pure_reservation:
            reserved += each.end - each.start
    whole = Decimal(document.end - document.start) / HOUR
    # The specification does not say whether a reservation is part of it; both are accepted.
    times = (whole - Decimal(reserved) / HOUR, whole) if reserved else (whole,)
    return {"total_energy": (energy,), "total_parking_time": (parking,), "total_time": times}


def _adds_up(raw: Mapping[str, Any], currency: str) -> bool:
    """Return whether the stated sub-totals can make the total.

    Together they never exceed it, unless a maximum lowered it; if all are stated they are it, within one minor unit,
    unless a minimum raised it (CDR-44). Without its tariffs nothing is known about limits.
    """
    total = raw.get("total_cost")
    stated = [raw[name] for name in COSTS if isinstance(raw.get(name), Mapping)]
    if not isinstance(total, Mapping) or not stated or not raw.get("tariffs"):
        return True
    minor = unit(minor_units(currency))
    whole = len(stated) == len(COSTS)
    tolerance = minor if whole else minor * len(stated)
    for part in ("excl_vat", "incl_vat"):
        if total.get(part) is None or any(each.get(part) is None for each in stated):
            continue
        stated_total = number(total[part], f"total_cost.{part}")
        claimed = stated_total.copy_negate() if raw.get("credit") else stated_total
        excess = sum((number(each[part], part) for each in stated), ZERO) - claimed
        if excess > tolerance and not _limited(raw, "max_price"):
            return False
        if whole and -excess > tolerance and not _limited(raw, "min_price"):
            return False
    return True


def _limited(raw: Mapping[str, Any], name: str) -> bool:
    return any(isinstance(each, Mapping) and each.get(name) is not None for each in raw["tariffs"])


def _credit_fields_agree(raw: Mapping[str, Any]) -> bool:
    credit, reference = bool(raw.get("credit")), raw.get("credit_reference_id")
    if credit:
        return isinstance(reference, str) and reference != raw.get("id")
    return reference is None
