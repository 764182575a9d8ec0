"""What a comparison found, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Line:
    """One comparison as it is printed."""

    name: str
    value: float | None
    unit: str
    baseline: str
    baseline_value: float | None
    goal: float | None = None  # of the ratio
    limit: float | None = None  # a goal of the value itself
    lower_is_better: bool = False
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        if self.value is None or not self.baseline_value:
            return None
        return round(self.value / self.baseline_value, 4)

    @property
    def reached(self) -> bool | None:
        got, wanted = (self.value, self.limit) if self.limit is not None else (self.ratio, self.goal)
        if got is None or wanted is None:
            return None
        return got <= wanted if self.lower_is_better else got >= wanted

    def as_json(self) -> dict[str, Any]:
        """Return the members that every line has, and what there is to add."""
        found: dict[str, Any] = {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "baseline": self.baseline,
            "baseline_value": _short(self.baseline_value),
            "ratio": self.ratio,
        }
        sign = "≤" if self.lower_is_better else "≥"
        if self.limit is not None:
            found |= {"goal": f"{sign} {self.limit:.4g} {self.unit}", "reached": self.reached}
        elif self.goal is not None:
            found |= {"goal": f"{sign} {self.goal:.4g}", "reached": self.reached}
        return found | ({"note": self.note} if self.note else {})


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 1 if abs(value) >= 10 else 3)


@dataclass(slots=True)
class Measured:
    """What one side did in all of its turns."""

    count: int = 0
    seconds: float = 0.0
    cpu: float = 0.0  # of the server's processes
    database_cpu: float = 0.0
    errors: int = 0
    octets: int = 0
    first_error: str = ""
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    @property
    def per_cpu_second(self) -> float:
        return self.count / self.cpu if self.cpu else 0.0

    @property
    def per_whole_cpu_second(self) -> float:
        """Per CPU second of the server and PostgreSQL together."""
        used = self.cpu + self.database_cpu
        return self.count / used if used else 0.0

    def details(self) -> dict[str, Any]:
        """Return what goes into the results beside the one number."""
        each = 1e6 / max(self.count, 1)
        return {
            "requests": self.count,
            "per_second": round(self.per_second, 1),
            "server_cpu_us": round(self.cpu * each, 1),
            "database_cpu_us": round(self.database_cpu * each, 1),
            "p50_ms": round(sum(self.p50) / max(len(self.p50), 1), 2),
            "p95_ms": round(sum(self.p95) / max(len(self.p95), 1), 2),
            "errors": self.errors,
            **({"first_error": self.first_error[:600]} if self.errors else {}),
        }
