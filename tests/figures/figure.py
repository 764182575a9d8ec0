"""What every figure is made of: options in, measured lines with their limits out.

A figure records what receivers got; what the sender believes does not count. Faults are drawn from a printed seed, a
run with fewer faults than stated is void, and the quiet run on the same machine stands beside each number.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """How a figure is run."""

    seed: int
    short: bool = False  # a few seconds of everything, for `make test`; limits that need the full load do not count
    ocpi_url: str = ""  # measure this platform in place of one of our own, where the figure can
    ocpi_token: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One number: what was measured, what it may be at most (or at least), and what the quiet run gave."""

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None
    quiet: float | None = None

    @property
    def passed(self) -> bool:
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)


@dataclass(slots=True)
class Report:
    """The lines of one run, and what it took."""

    figure: str
    options: Options
    lines: list[Line] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def add(self, name: str, value: float, unit: str = "", **limits: float | None) -> None:
        """Add a line and print it at once."""
        line = Line(name, value, unit, **limits)
        self.lines.append(line)
        verdict = "ok  " if line.passed else "FAIL"
        bounds = [f"at most {line.most:g}"] if line.most is not None else []
        bounds += [f"at least {line.least:g}"] if line.least is not None else []
        bounds += [f"quiet {line.quiet:g}"] if line.quiet is not None else []
        say(f"{verdict} {name}: {value:g} {unit} {'(' + ', '.join(bounds) + ')' if bounds else ''}".rstrip())

    @property
    def passed(self) -> bool:
        return bool(self.lines) and all(line.passed for line in self.lines)

    def as_json(self) -> str:
        """Return the one line the command ends with."""
        found: dict[str, Any] = {
            "figure": self.figure,
            "passed": self.passed,
            "seed": self.options.seed,
            "short": self.options.short,
            "seconds": round(time.monotonic() - self.started, 1),
            "lines": [asdict(line) | {"passed": line.passed} for line in self.lines],
        }
        return json.dumps(found)


def say(text: str) -> None:
    """Write a line about the progress."""
    print(f"  … {text}", file=sys.stderr, flush=True)
