"""Explaining a mismatch: other readings of the tariff that give the total the partner claims."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any, Final

from ocpi.tariff_pricing.decimals import CONTEXT
from ocpi.tariff_pricing.engine import price
from ocpi.tariff_pricing.errors import NotPriceable
from ocpi.tariff_pricing.result import Price
from ocpi.tariff_pricing.walking import Reading

_NEAR: Final = Decimal("0.005")
_READINGS: Final = {
    "no_step_size": Reading(step="none"),
    "step_size_per_period": Reading(step="per_period"),
    "step_size_on_time_and_parking": Reading(step="time_and_parking"),
    "flat_every_period": Reading(flat_every_period=True),
    "no_price_limits": Reading(limits=False),
    "line_rounding_half_up": Reading(line_rounding="half_up"),
    "line_rounding_down": Reading(line_rounding="down"),
    "power_by_trough": Reading(trough=True),
    "utc_instead_of_local": Reading(),
}


def diagnose(
    document: Mapping[str, Any],
    tariffs: Sequence[Mapping[str, Any]],
    claimed: Mapping[str, Decimal],
    timezone: str | None,
) -> list[str]:
    """Return the names of the readings that come within half a cent of the claimed total."""
    named: list[str] = []
    for name, reading in _READINGS.items():
        clock = "UTC" if name == "utc_instead_of_local" else timezone
        try:
            exact = price(document, tariffs, timezone=clock, reading=reading).exact
        except NotPriceable:
            continue
        if _near(claimed, exact):
            named.append(name)
    return named


def _near(claimed: Mapping[str, Decimal], exact: Price) -> bool:
    with localcontext(CONTEXT):
        for part, value in claimed.items():
            computed = exact.excl_vat if part == "excl_vat" else exact.incl_vat
            if computed is None or abs(value - computed) > _NEAR:
                return False
    return bool(claimed)
