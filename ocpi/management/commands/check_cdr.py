"""Check the totals a CDR claims against what its tariffs make of it; no database needed."""

from collections.abc import Mapping
from typing import Any

from ocpi import tariff_pricing
from ocpi.management.pricing import PricingCommand, table


class Command(PricingCommand):
    """Exit 0: checked, whatever the verdict; 2: unreadable input or bad arguments."""

    help = "Check a CDR: match, mismatch or unverifiable. Its own tariffs come first. Needs no database."

    def compute(self, document: Mapping[str, Any], tariffs: list[Any], timezone: str | None) -> dict[str, Any]:
        """Return the verdict with the members that differ."""
        return tariff_pricing.check(document, tariffs, timezone=timezone).as_json()

    def show(self, result: dict[str, Any]) -> str:
        """Return the verdict and the differences as text."""
        text = [result["verdict"] + (f" ({result['reason']})" if result["reason"] else "")]
        for name, each in result["differences"].items():
            text.append(f"{name}: claimed {each['claimed']}, computed {each['computed']} ({each['difference']})")
        text += [f"the claim fits: {name}" for name in result["diagnosis"]]
        text += [f"finding: {finding}" for finding in result["findings"]]
        if result["computed"] is not None:
            text += ["", table(result["computed"]["lines"])]
        return "\n".join(text)
