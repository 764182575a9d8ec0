"""What pricing returns: amounts with and without VAT, the lines behind them, and how they are shown."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from ocpi.tariff_pricing.compiled import Component
from ocpi.tariff_pricing.decimals import (
    ZERO,
    amount_text,
    fixed_text,
    minor_units,
    plain,
    plain_text,
    round4,
    round_to,
)
from ocpi.tariff_pricing.instants import SECOND
from ocpi.tariff_pricing.policy import Policy
from ocpi.tariff_pricing.reading import Period
from ocpi.tariff_pricing.restrictions import State

COSTS: Final = (
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)


class Price(NamedTuple):
    """An amount without and with VAT; `incl_vat` is None only if the VAT is unknown."""

    excl_vat: Decimal
    incl_vat: Decimal | None


class Surplus(NamedTuple):
    """What step_size did to the total of a dimension; in kWh or seconds."""

    total: Decimal
    step_size: int
    rounded: Decimal


class Line:
    """One billed quantity: one dimension of one period, one component."""

    __slots__ = (
        "billed",
        "component",
        "counts_as",
        "dimension",
        "excl",
        "incl",
        "measured",
        "numerator",
        "period",
        "state",
        "surplus",
    )

    def __init__(self, period: Period, dimension: str, component: Component, measured: Decimal, state: State) -> None:
        self.period = period
        self.dimension = dimension
        self.component = component
        self.measured = measured
        self.state = state
        self.billed = measured
        # Seconds to be billed, for the line of a time dimension that was rounded: divided by 3600 last, so stays exact.
        self.numerator: Decimal | None = None
        self.surplus: Surplus | None = None
        self.counts_as = ""
        self.excl = ZERO
        self.incl = ZERO

    def as_json(self) -> dict[str, Any]:
        """Return the line as the commands print it."""
        component = self.component
        measured = amount_text(self.measured)
        shown: dict[str, Any] = {
            "period": self.period.index,
            "dimension": self.dimension,
            "tariff_id": component.tariff.id,
            "element": component.element_index,
            "component": component.index,
            "measured": measured,
            "billed": measured if self.billed is self.measured else amount_text(self.billed),
            "price": component.price_text,
            "vat": component.vat_text,
            "excl_vat": amount_text(self.excl),
            "incl_vat": amount_text(self.incl),
            "counts_as": self.counts_as,
            "why": self._why(),
        }
        if self.surplus is not None:
            total, step_size, rounded = self.surplus
            shown["step"] = {"total": plain_text(total), "step_size": step_size, "rounded": plain_text(rounded)}
        return shown

    def _why(self) -> dict[str, Any]:
        state = self.state
        if state.shown is None:
            seconds, fraction = divmod(state.clock, SECOND)
            state.shown = {
                "at": self.period.starts(),
                "restrictions": None,
                "local_minute": state.minute if self.component.tariff.local else None,
                "energy_kwh": plain_text(state.energy),
                "session_s": plain_text(Decimal(state.clock) / SECOND) if fraction else str(seconds),
                "power_kw": _text(state.power),
                "current_a": _text(state.current),
            }
        return state.shown | {"restrictions": self.component.element.shown.copy()}


class Limit(NamedTuple):
    """What min_price or max_price of a tariff added to the total."""

    tariff_id: str
    limit: str
    excl: Decimal
    incl: Decimal

    def as_json(self) -> dict[str, Any]:
        """Return the entry as the commands print it."""
        return {"tariff_id": self.tariff_id, "limit": self.limit, **_price_texts(self.excl, self.incl)}


@dataclass(slots=True)
class Priced:
    """The price of a document. Amounts and volumes are rounded for publication, `exact` is not."""

    currency: str
    timezone: str | None
    policy: Policy
    exact: Price
    total_cost: Price
    total_fixed_cost: Price | None
    total_energy_cost: Price | None
    total_time_cost: Price | None
    total_parking_cost: Price | None
    total_reservation_cost: Price | None
    total_energy: Decimal
    total_time: Decimal
    total_parking_time: Decimal | None
    billed: dict[str, str | None]
    lines: list[Line]
    limits: list[Limit]
    findings: list[str]

    @property
    def invoice(self) -> Price:
        """Return the total in the currency's minor units, from the unrounded total."""
        places = minor_units(self.currency)
        excl, incl = self.exact
        return Price(round_to(excl, places), None if incl is None else round_to(incl, places))

    def as_json(self) -> dict[str, Any]:
        """Return the result as `price_cdr` prints it; amounts are strings."""
        shown: dict[str, Any] = {"currency": self.currency, "timezone": self.timezone}
        for name in ("total_cost", *COSTS):
            amounts = getattr(self, name)
            shown[name] = None if amounts is None else _price_texts(*amounts)
        for name in ("total_energy", "total_time", "total_parking_time"):
            shown[name] = fixed_text(getattr(self, name))
        invoice = self.invoice
        shown["invoice"] = {"excl_vat": str(invoice.excl_vat), "incl_vat": _text(invoice.incl_vat, exact=True)}
        shown["billed"] = dict(self.billed)
        shown["findings"] = list(self.findings)
        shown["lines"] = [line.as_json() for line in self.lines]
        shown["limits"] = [each.as_json() for each in self.limits]
        shown["policy"] = self.policy.as_json()
        return shown


def totals(priced: Priced) -> dict[str, Any]:
    """Return the CDR members that pricing decides, as plain numbers; a sub-total without a line is left out."""
    members: dict[str, Any] = {"total_cost": _member(priced.total_cost)}
    pairs: tuple[tuple[str | None, str | None], ...] = (
        (None, "total_fixed_cost"),
        ("total_energy", "total_energy_cost"),
        ("total_time", "total_time_cost"),
        ("total_parking_time", "total_parking_cost"),
        (None, "total_reservation_cost"),
    )
    for volume, cost in pairs:
        measured = getattr(priced, volume) if volume else None
        if volume and measured is not None:
            members[volume] = plain(measured)
        amount = getattr(priced, cost) if cost else None
        if cost and amount is not None:
            members[cost] = _member(amount)
    return members


def _member(price: Price) -> dict[str, Decimal]:
    shown = {"excl_vat": plain(price.excl_vat)}
    if price.incl_vat is not None:
        shown["incl_vat"] = plain(price.incl_vat)
    return shown


def _price_texts(excl: Decimal, incl: Decimal | None) -> dict[str, str | None]:
    return {"excl_vat": amount_text(excl), "incl_vat": fixed_text(incl)}


def _text(value: Decimal | None, *, exact: bool = False) -> str | None:
    if value is None:
        return None
    return str(value) if exact else plain_text(round4(value))
