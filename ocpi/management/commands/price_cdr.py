"""Price a CDR or Session under its tariffs and say why; no database needed."""

from collections.abc import Mapping
from typing import Any

from ocpi import tariff_pricing
from ocpi.management.pricing import PricingCommand, table


class Command(PricingCommand):
    """Exit 0: priced; 1: not priceable; 2: unreadable input or bad arguments."""

    help = "Price a CDR or Session; without --tariff its own tariffs are used. Needs no database."

    def compute(self, document: Mapping[str, Any], tariffs: list[Any], timezone: str | None) -> dict[str, Any]:
        """Return the price with its lines and findings."""
        return tariff_pricing.price(document, tariffs, timezone=timezone).as_json()

    def show(self, result: dict[str, Any]) -> str:
        """Return the lines and totals as text."""
        text = [table(result["lines"]), ""]
        text += [f"{each['limit']} of {each['tariff_id']}: {each['excl_vat']} excl. VAT" for each in result["limits"]]
        total = result["total_cost"]
        text.append(f"total {total['excl_vat']} {result['currency']} excl. VAT, {total['incl_vat']} incl. VAT")
        text += [f"finding: {finding}" for finding in result["findings"]]
        return "\n".join(text)
