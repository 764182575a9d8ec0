"""Add up a statement: amounts per VAT rate, rounded once at the end, and the hub operator's fee. Pure.

Amounts of CDRs are kept to four places (PRI-85). Per VAT rate they are added up as they are and rounded half up to the
currency's minor unit (PRI-87); the totals are the sums of what is printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ocpi.tariff_pricing.decimals import minor_units

ZERO = Decimal(0)
_HUNDRED = Decimal(100)
# Rate in percent, or None if nobody knows it; amount excl. VAT; VAT.
Rates = list[tuple[Decimal | None, Decimal, Decimal]]


@dataclass(frozen=True, slots=True)
class Item:
    """One CDR as it is added up; amounts of a credit are negative."""

    rates: Rates
    energy: Decimal  # kWh
    credit: bool

    @property
    def excl_vat(self) -> Decimal:
        return sum((excl for _, excl, _ in self.rates), ZERO)

    @property
    def vat(self) -> Decimal:
        return sum((vat for _, _, vat in self.rates), ZERO)


@dataclass(frozen=True, slots=True)
class Fee:
    """What the hub operator takes."""

    per_cdr: Decimal = ZERO
    per_kwh: Decimal = ZERO
    vat: Decimal = ZERO  # %
    currency: str = ""
    payer: str = "CPO"


@dataclass(frozen=True, slots=True)
class Figures:
    """The sums of a statement."""

    currency: str
    rates: Rates  # rounded
    cdrs: int
    credits: int
    energy: Decimal
    fee: dict[str, Any] | None = None

    @property
    def excl_vat(self) -> Decimal:
        return sum((excl for _, excl, _ in self.rates), ZERO)

    @property
    def vat(self) -> Decimal:
        return sum((vat for _, _, vat in self.rates), ZERO)

    @property
    def incl_vat(self) -> Decimal:
        return self.excl_vat + self.vat

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's kinds, amounts as text."""
        return {
            "currency": self.currency,
            "rates": [
                {"rate": None if rate is None else f"{rate:f}", "excl_vat": f"{excl:f}", "vat": f"{vat:f}"}
                for rate, excl, vat in self.rates
            ],
            "cdrs": self.cdrs,
            "credits": self.credits,
            "energy": f"{self.energy:f}",
            "excl_vat": f"{self.excl_vat:f}",
            "vat": f"{self.vat:f}",
            "incl_vat": f"{self.incl_vat:f}",
            "fee": self.fee,
        }


@dataclass(slots=True)
class Sum:
    """Adds items up one by one."""

    currency: str
    cdrs: int = 0
    credits: int = 0
    energy: Decimal = ZERO
    _rates: dict[Decimal | None, list[Decimal]] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        for rate, excl, vat in item.rates:
            row = self._rates.setdefault(rate, [ZERO, ZERO])
            row[0] += excl
            row[1] += vat
        self.energy += item.energy
        self.cdrs += not item.credit
        self.credits += item.credit

    def figures(self, fee: Fee | None = None) -> Figures:
        """Return what it comes to."""
        unit = Decimal(1).scaleb(-minor_units(self.currency))
        known = sorted((each for each in self._rates.items()), key=lambda each: (each[0] is None, each[0] or ZERO))
        rates: Rates = [(rate, _rounded(excl, unit), _rounded(vat, unit)) for rate, (excl, vat) in known]
        taken = None if fee is None else _fee(fee, self.cdrs, self.energy, self.currency)
        return Figures(self.currency, rates, self.cdrs, self.credits, self.energy, taken)


def add_up(items: Iterable[Item], currency: str, fee: Fee | None = None) -> Figures:
    """Return the sums of items."""
    total = Sum(currency)
    for item in items:
        total.add(item)
    return total.figures(fee)


def rates_of(excl_vat: Decimal, incl_vat: Decimal | None, lines: Sequence[tuple[Decimal | None, Decimal]]) -> Rates:
    """Split what a CDR claims into VAT rates.

    The lines of its price, (rate, excl. VAT), say in which proportion; what is claimed is what is split, to the last
    digit. Without lines the rate is what the two totals make it, in tenths of a percent.
    """
    if incl_vat is None:
        return [(None, excl_vat, ZERO)]
    vat = incl_vat - excl_vat
    shares: dict[Decimal, Decimal] = {}
    for rate, amount in lines:
        shares[rate or ZERO] = shares.get(rate or ZERO, ZERO) + amount
    made = sum((amount * rate / _HUNDRED for rate, amount in shares.items()), ZERO)
    if not shares or abs(sum(shares.values()) - abs(excl_vat)) > 1 or abs(made - abs(vat)) > 1:
        return [(_rate(excl_vat, vat), excl_vat, vat)]
    sign = -1 if excl_vat < 0 else 1
    found: Rates = [
        (rate, sign * round(amount, 4), sign * round(amount * rate / _HUNDRED, 4))
        for rate, amount in sorted(shares.items())
        if amount
    ]
    if not found:
        return [(_rate(excl_vat, vat), excl_vat, vat)]
    # What rounding leaves goes to the largest.
    index = max(range(len(found)), key=lambda at: abs(found[at][1]))
    rate, excl, tax = found[index]
    found[index] = (
        rate,
        excl + excl_vat - sum((each[1] for each in found), ZERO),
        tax + vat - sum((each[2] for each in found), ZERO),
    )
    return found


def written(rates: Rates) -> str:
    """Return rates as they are stored."""
    return json.dumps([[None if rate is None else f"{rate:f}", f"{excl:f}", f"{vat:f}"] for rate, excl, vat in rates])


def read(text: str) -> Rates:
    """Return stored rates."""
    return [
        (None if rate is None else Decimal(rate), Decimal(excl), Decimal(vat)) for rate, excl, vat in json.loads(text)
    ]


def _rate(excl: Decimal, vat: Decimal) -> Decimal | None:
    if not excl:
        return None if vat else ZERO
    return (vat / excl * _HUNDRED).quantize(Decimal("0.1"), ROUND_HALF_UP).normalize() + ZERO


def _rounded(amount: Decimal, unit: Decimal) -> Decimal:
    return amount.quantize(unit, ROUND_HALF_UP) + ZERO


def _fee(fee: Fee, cdrs: int, energy: Decimal, currency: str) -> dict[str, Any] | None:
    currency = fee.currency or currency
    unit = Decimal(1).scaleb(-minor_units(currency))
    excl = _rounded(fee.per_cdr * cdrs + fee.per_kwh * energy, unit)
    if not fee.per_cdr and not fee.per_kwh:
        return None
    vat = _rounded(excl * fee.vat / _HUNDRED, unit)
    return {
        "payer": fee.payer,
        "currency": currency,
        "per_cdr": f"{fee.per_cdr:f}",
        "per_kwh": f"{fee.per_kwh:f}",
        "cdrs": cdrs,
        "energy": f"{energy:f}",
        "rate": f"{fee.vat:f}",
        "excl_vat": f"{excl:f}",
        "vat": f"{vat:f}",
        "incl_vat": f"{excl + vat:f}",
    }
