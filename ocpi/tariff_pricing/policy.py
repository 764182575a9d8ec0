"""What an agreement with a partner may change: rounding of the total and the tolerance of checks."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ocpi.tariff_pricing.decimals import plain_text


@dataclass(frozen=True, slots=True)
class Policy:
    """How total_cost is rounded and how far a claim may be off; None means the rule of the engine."""

    rounding: str = "half_up"
    total_decimals: int = 4
    tolerance: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the policy as part of an explanation."""
        tolerance = None if self.tolerance is None else plain_text(self.tolerance)
        return {"rounding": self.rounding, "total_decimals": self.total_decimals, "tolerance": tolerance}


DEFAULT: Final = Policy()
