"""step_size: once per session for energy and once for time, on the total, put on the last line.

Time totals are counted in whole seconds by the timestamps where a volume is its period's length: hours have four
decimals (0.36 s), and that rounding must never cost a step.
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Final

from ocpi.tariff_pricing.decimals import ONE, ZERO, plain_text, round4
from ocpi.tariff_pricing.instants import SECOND
from ocpi.tariff_pricing.result import Line, Surplus
from ocpi.tariff_pricing.walking import Reading

_WH: Final = Decimal(1000)
_TENTH: Final = Decimal("0.1")
_SECONDS: Final = Decimal(3600)
_SECOND: Final = Decimal(SECOND)
_BILLED: Final = (
    ("energy_kwh", "ENERGY"),
    ("time_s", "TIME"),
    ("parking_s", "PARKING_TIME"),
    ("reservation_s", "RESERVATION_TIME"),
)


def apply_steps(lines: list[Line], reading: Reading) -> dict[str, str | None]:
    """Round the totals up to their step, and return the quantities that are billed."""
    by_dimension: dict[str, list[Line]] = {}
    for line in lines:
        if line.dimension != "FLAT":
            by_dimension.setdefault(line.dimension, []).append(line)
    billed: dict[str, str | None] = {}
    for shown, dimension in _BILLED:
        own = by_dimension.get(dimension)
        if own is None:
            billed[shown] = None
            continue
        rounds = _energy if dimension == "ENERGY" else _time
        overridden = dimension == "TIME" and "PARKING_TIME" in by_dimension and reading.step == "session"
        billed[shown] = _quantity(own, rounds, "none" if overridden else reading.step)
    return billed


def _quantity(lines: list[Line], rounds: Callable[[list[Line], bool], Decimal], step: str) -> str:
    if step == "per_period":
        return plain_text(round4(sum([rounds([line], True) for line in lines], ZERO)))
    return plain_text(round4(rounds(lines, step != "none")))


def _measured(lines: list[Line]) -> Decimal:
    total = lines[0].measured
    for line in lines[1:]:
        total += line.measured
    return total


def _last_positive(lines: list[Line]) -> Line | None:
    for line in reversed(lines):
        if line.measured > ZERO:
            return line
    return None


def _step_up(total: Decimal, step: int) -> Decimal:
    steps = total if step == 1 else total / step
    return steps.to_integral_value(ROUND_CEILING) * step


def _energy(lines: list[Line], rounding: bool) -> Decimal:
    """Round a total in Wh, after taking off the noise of floats, and return it in kWh."""
    total = _measured(lines)
    last = _last_positive(lines) if rounding else None
    if last is None or total <= ZERO or not last.component.step:
        return total
    exact = (total * _WH).quantize(_TENTH, ROUND_HALF_UP)
    rounded = _step_up(exact, last.component.step) / _WH
    last.billed += rounded - total
    last.surplus = Surplus(total, last.component.step, rounded)
    return rounded


def _time(lines: list[Line], rounding: bool) -> Decimal:
    """Round a total in seconds, and return it."""
    micros: Decimal | int = 0
    for line in lines:
        micros += line.period.microseconds(line.measured)
    total = (Decimal(micros) / _SECOND).quantize(ONE, ROUND_HALF_UP)
    last = _last_positive(lines) if rounding else None
    if last is None or not last.component.step:
        return total
    rounded = _step_up(total, last.component.step)
    others = _measured(lines) - last.measured
    last.numerator = rounded - others * _SECONDS
    last.billed = last.numerator / _SECONDS
    last.surplus = Surplus(total, last.component.step, rounded)
    return rounded
