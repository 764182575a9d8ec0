"""FIG-04 from outside: a running system whose partners are evil; what it answers, how fast, and whether it lives on."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.figures.figure import Report


def get_json(url: str) -> Any:
    """Return what a URL gives."""
    return json.loads(requests.get(url, timeout=10).content)


def measure(report: Report, here: Any, ports: dict[str, int], limit: float) -> None:
    pass


def measure_at(report: Report, url: str, token: str, ports: dict[str, int]) -> None:
    pass
