"""Pricing a document as reported: a pure function of the document, its tariffs and the time zone."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal, localcontext
from typing import Any, Final

from ocpi.tariff_pricing.choosing import assign
from ocpi.tariff_pricing.compiled import Tariff
from ocpi.tariff_pricing.decimals import CONTEXT, ZERO, minor_units, round4, round_to
from ocpi.tariff_pricing.errors import NotPriceable
from ocpi.tariff_pricing.instants import HOUR, zone, zone_of
from ocpi.tariff_pricing.limiting import apply_limits
from ocpi.tariff_pricing.policy import DEFAULT, Policy
from ocpi.tariff_pricing.reading import Document, Period
from ocpi.tariff_pricing.result import Limit, Line, Price, Priced
from ocpi.tariff_pricing.stepping import apply_steps
from ocpi.tariff_pricing.walking import Reading, Walk

_SECONDS: Final = Decimal(3600)
_HOUR: Final = Decimal(HOUR)
_OURS: Final = Reading()
_COUNTS_AS: Final = {
    "ENERGY": "total_energy_cost",
    "TIME": "total_time_cost",
    "PARKING_TIME": "total_parking_cost",
    "RESERVATION_TIME": "total_reservation_cost",
}


def price(
    document: Mapping[str, Any],
    tariffs: Sequence[Mapping[str, Any]],
    *,
    timezone: str | None,
    expired: bool | None = None,
    running: bool = False,
    policy: Policy = DEFAULT,
    reading: Reading = _OURS,
) -> Priced:
    """Return what a CDR or Session costs; without given tariffs its own are used.

    :raises NotPriceable: if the rules give no price.
    """
    with localcontext(CONTEXT):
        read = Document(document, running=running)
    return price_read(read, tariffs, timezone=timezone, expired=expired, policy=policy, reading=reading)


def price_read(
    read: Document,
    tariffs: Sequence[Mapping[str, Any]],
    *,
    timezone: str | None,
    expired: bool | None = None,
    policy: Policy = DEFAULT,
    reading: Reading = _OURS,
) -> Priced:
    """Return what a document costs that was read before; it serves once, for its findings grow.

    :raises NotPriceable: if the rules give no price.
    """
    with localcontext(CONTEXT):
        used = assign(read, tariffs)
        name, local = _zone(read, used, timezone)
        gone = read.reservation_only if expired is None else expired
        walk = Walk(read, local, expired=gone, reading=reading)
        for period in read.periods:
            walk.period(period)
        if not read.periods:
            walk.flat_only(Period(None, read.start, {}, None), used[0])
        billed = apply_steps(walk.lines, reading)
        _amounts(walk.lines, reading, read.currency)
        limits = apply_limits(used, walk.lines, session=not read.reservation_only) if reading.limits else []
        for each in limits:
            read.findings.add(f"{each.limit}_applied")
        return _result(read, walk, name, policy, limits, billed)


def _zone(document: Document, used: list[Tariff], timezone: str | None) -> tuple[str | None, tzinfo | None]:
    name, assumed = zone_of(document.raw, timezone)
    for tariff in used:
        if tariff.local:
            break
    else:
        return name, None
    local = None if name is None else zone(name)
    if local is None:
        text = "the tariff has local times, and the time zone is " + ("unknown" if name is None else f"no zone: {name}")
        raise NotPriceable("time_zone_unknown", text)
    if assumed:
        document.findings.add("time_zone_assumed")
    return name, local


def _amounts(lines: list[Line], reading: Reading, currency: str) -> None:
    for line in lines:
        component = line.component
        if line.numerator is None:
            line.excl = line.billed * component.price
        else:
            line.excl = line.numerator * component.price / _SECONDS
        line.incl = line.excl * component.factor
        if reading.line_rounding is not None:
            places = minor_units(currency)
            line.excl = round_to(line.excl, places, reading.line_rounding)
            line.incl = round_to(line.incl, places, reading.line_rounding)
        if line.dimension != "FLAT":
            line.counts_as = _COUNTS_AS[line.dimension]
        elif line.counts_as == "total_fixed_cost" and component.parking_only and _parked(line, lines):
            line.counts_as = "total_parking_cost"


def _parked(flat: Line, lines: list[Line]) -> bool:
    """Return whether the element of a FLAT, which prices parking alone, did so in this session."""
    element = flat.component.element
    return any(line.dimension == "PARKING_TIME" and line.component.element is element for line in lines)


def _result(
    document: Document,
    walk: Walk,
    timezone: str | None,
    policy: Policy,
    limits: list[Limit],
    billed: dict[str, str | None],
) -> Priced:
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    excl = incl = ZERO
    for line in walk.lines:
        before, taxed = sums.get(line.counts_as, (ZERO, ZERO))
        sums[line.counts_as] = before + line.excl, taxed + line.incl
        excl += line.excl
        incl += line.incl
    for limit in limits:
        excl += limit.excl
        incl += limit.incl
    costs = {name: Price(round4(excl_vat), round4(incl_vat)) for name, (excl_vat, incl_vat) in sums.items()}
    places, rounding = policy.total_decimals, policy.rounding
    parking: Decimal | None = None
    for period in document.periods:
        if period.parking is not None:
            parking = period.parking if parking is None else parking + period.parking
    return Priced(
        currency=document.currency,
        timezone=timezone,
        policy=policy,
        exact=Price(excl, incl),
        total_cost=Price(round_to(excl, places, rounding), round_to(incl, places, rounding)),
        total_fixed_cost=costs.get("total_fixed_cost"),
        total_energy_cost=costs.get("total_energy_cost"),
        total_time_cost=costs.get("total_time_cost"),
        total_parking_cost=costs.get("total_parking_cost"),
        total_reservation_cost=costs.get("total_reservation_cost"),
        total_energy=round4(walk.energy),
        total_time=_total_time(document),
        total_parking_time=None if parking is None else round4(parking),
        billed=billed,
        lines=walk.lines,
        limits=limits,
        findings=sorted(document.findings),
    )


def _total_time(document: Document) -> Decimal:
    """Return the hours from start to end without pure reservation."""
    micros = document.end - document.start
    for each in document.periods:
        if each.pure_reservation:
            micros -= each.end - each.start
    return round4(Decimal(micros) / _HOUR)
