"""Small tariffs and CDRs for tests, with only the members that pricing needs."""

from decimal import Decimal
from typing import Any

from ocpi import tariff_pricing
from ocpi.tariff_pricing import price

ENERGY = {"type": "ENERGY", "price": Decimal("0.3"), "vat": 21, "step_size": 1}
START = "2025-03-03T10:00:00Z"


def tariff(*elements: dict[str, Any], **members: Any) -> dict[str, Any]:
    built: dict[str, Any] = {"country_code": "NL", "party_id": "TST", "id": "T1", "currency": "EUR"}
    return built | {"elements": list(elements), "last_updated": "2025-01-01T00:00:00Z"} | members


def element(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    return {"price_components": list(components), "restrictions": restrictions}


def component(kind: str, amount: str, step_size: int = 1, **members: Any) -> dict[str, Any]:
    return {"type": kind, "price": Decimal(amount), "step_size": step_size} | members


def period(start: str = START, **volumes: Any) -> dict[str, Any]:
    dimensions = [{"type": kind, "volume": Decimal(str(volume))} for kind, volume in volumes.items()]
    return {"start_date_time": start, "dimensions": dimensions}


def cdr(*periods: dict[str, Any], end: str = "2025-03-03T11:00:00Z", **members: Any) -> dict[str, Any]:
    built: dict[str, Any] = {"start_date_time": START, "end_date_time": end, "currency": "EUR"}
    return built | {"charging_periods": list(periods)} | members


def priced(document: dict[str, Any], *tariffs: dict[str, Any], timezone: str | None = "UTC") -> tariff_pricing.Priced:
    return price(document, tariffs, timezone=timezone)
