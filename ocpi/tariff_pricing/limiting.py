"""min_price and max_price: bounds on a tariff's share of the total, with and without VAT apart."""

from decimal import Decimal
from typing import TypeAlias

from ocpi.tariff_pricing.compiled import Bound, Tariff
from ocpi.tariff_pricing.decimals import ZERO
from ocpi.tariff_pricing.result import Limit, Line

Share: TypeAlias = tuple[Decimal, Decimal]


def apply_limits(tariffs: list[Tariff], lines: list[Line], *, session: bool) -> list[Limit]:
    """Return what the limits add to the total; min_price is only for documents with a session."""
    entries: list[Limit] = []
    for tariff in tariffs:
        if not tariff.limits:
            continue
        share = _share(tariff, lines)
        bounded = share
        if tariff.min_price is not None and session:
            excl, incl = _bounds(tariff, tariff.min_price, share)
            raised = max(bounded[0], excl), bounded[1] if incl is None else max(bounded[1], incl)
            entries += _entry(tariff, "min_price", bounded, raised)
            bounded = raised
        if tariff.max_price is not None:
            excl, incl = _bounds(tariff, tariff.max_price, share)
            capped = min(bounded[0], excl), bounded[1] if incl is None else min(bounded[1], incl)
            entries += _entry(tariff, "max_price", bounded, capped)
    return entries


def _share(tariff: Tariff, lines: list[Line]) -> Share:
    excl = incl = ZERO
    for line in lines:
        if line.component.tariff is tariff:
            excl += line.excl
            incl += line.incl
    return excl, incl


def _entry(tariff: Tariff, limit: str, before: Share, after: Share) -> list[Limit]:
    if before == after:
        return []
    return [Limit(tariff.id, limit, after[0] - before[0], after[1] - before[1])]


def _bounds(tariff: Tariff, bound: Bound, share: Share) -> tuple[Decimal, Decimal | None]:
    """Return both bounds; a missing one follows the VAT of the session, or the only rate of the tariff."""
    excl, incl = bound
    if incl is not None:
        return excl, incl
    if share[0]:
        return excl, excl * share[1] / share[0]
    rates = {each.factor for each in tariff.components if each.element.reservation is None}
    return excl, excl * rates.pop() if len(rates) == 1 else None
