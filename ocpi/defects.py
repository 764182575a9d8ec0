"""What partners do wrong without harm: counted per platform, so that an operator can tell them (TRN-061)."""

from __future__ import annotations

from prometheus_client import Counter

_found = Counter("ocpi_defects", "Harmless defects in what a platform sent", ["platform", "kind"])


def note(platform_id: int, kind: str) -> None:
    """Count one defect of a platform."""
    _found.labels(str(platform_id), kind).inc()


def count(platform_id: int, kind: str) -> int:
    """Return how often this process has seen a defect."""
    return int(_found.labels(str(platform_id), kind)._value.get())
