"""What a charging session costs under OCPI 2.2.1 Tariffs, why, and whether a CDR is right: pure functions."""

from ocpi.tariff_pricing.checking import Check, check
from ocpi.tariff_pricing.choosing import choose
from ocpi.tariff_pricing.crediting import credit, credit_differences
from ocpi.tariff_pricing.decimals import dumps, loads
from ocpi.tariff_pricing.engine import price
from ocpi.tariff_pricing.errors import NotPriceable
from ocpi.tariff_pricing.linting import lint
from ocpi.tariff_pricing.policy import DEFAULT, Policy
from ocpi.tariff_pricing.result import Line, Price, Priced, totals
from ocpi.tariff_pricing.splitting import Periods, Segment, split

__all__ = [
    "DEFAULT",
    "Check",
    "Line",
    "NotPriceable",
    "Periods",
    "Policy",
    "Price",
    "Priced",
    "Segment",
    "check",
    "choose",
    "credit",
    "credit_differences",
    "dumps",
    "lint",
    "loads",
    "price",
    "split",
    "totals",
]
