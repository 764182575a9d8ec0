"""What a charging session costs under OCPI 2.2.1 Tariffs, why, and whether a CDR is right: pure functions."""

from ocpi.tariff_pricing.choosing import choose
from ocpi.tariff_pricing.decimals import dumps, loads
from ocpi.tariff_pricing.engine import price
from ocpi.tariff_pricing.errors import NotPriceable
from ocpi.tariff_pricing.policy import DEFAULT, Policy
from ocpi.tariff_pricing.result import Line, Price, Priced, totals

__all__ = ["DEFAULT", "Line", "NotPriceable", "Policy", "Price", "Priced", "choose", "dumps", "loads", "price", "totals"]
