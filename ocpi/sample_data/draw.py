"""What every kind of sample shares: one random stream per object, UTC time stamps, JSON with decimals as numbers."""

import random
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

Document = dict[str, Any]

# Samples live around this instant; a fixed one keeps them equal on every day they are drawn.
BASE = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
HOUR, DAY = 3600, 86400

_encoder = msgspec.json.Encoder(decimal_format="number")
_CENT, _FOURTH = Decimal("0.01"), Decimal("0.0001")


def stream(kind: str, seed: int, index: int) -> random.Random:
    """Return the random stream of one object; a text seed gives the same stream in every process."""
    return random.Random(f"{kind}:{seed}:{index}")  # noqa: S311 - sample data, no secret


def stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19] + "Z"


def dumps(document: object) -> str:
    """Write a sample as JSON text, decimals as JSON numbers."""
    return _encoder.encode(document).decode()


def rounded(value: Decimal) -> Decimal:
    """Round half up to four decimals and show only two when that says the same."""
    exact = value.quantize(_FOURTH, ROUND_HALF_UP)
    short = exact.quantize(_CENT, ROUND_HALF_UP)
    return short if short == exact else exact


def hours(seconds: int) -> Decimal:
    return rounded(Decimal(seconds) / HOUR)
