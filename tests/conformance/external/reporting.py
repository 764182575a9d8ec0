"""What the rows of a run add up to: per requirement, for people and as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conformance.external.cases import MUST, Case
from tests.conformance.external.target import Target

PASSED, FAILED, DIFFERS, SKIPPED = "passed", "failed", "differs", "skipped"
_ORDER = (PASSED, FAILED, DIFFERS, SKIPPED)


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one row."""

    name: str
    requirements: tuple[str, ...]
    level: str
    outcome: str
    why: str


@dataclass(slots=True)
class Report:
    """The rows of a run."""

    rows: list[Row] = field(default_factory=list)
    target: Target | None = None
    strict: bool = False

    def add(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Count a test once: when it ran, or when it was skipped or broke before."""
        if report.when != "call" and report.outcome == "passed":
            return
        if report.when == "teardown":
            return
        expected = getattr(report, "wasxfail", None)
        outcome = {"passed": PASSED, "failed": FAILED, "skipped": SKIPPED}[report.outcome]
        if expected is not None and outcome == SKIPPED:
            outcome, expected = DIFFERS, f"{expected}: {_why(report, None, failed=True)}"
        self.rows.append(Row(_name(item), _requirements(item), level_of(item), outcome, _why(report, expected)))

    def per_requirement(self) -> dict[str, dict[str, Any]]:
        """Return for each requirement how its rows ended, and its worst level."""
        found: dict[str, dict[str, Any]] = defaultdict(lambda: {"level": "", **dict.fromkeys(_ORDER, 0)})
        for row in self.rows:
            for number in row.requirements:
                entry = found[number]
                entry[row.outcome] += 1
                if not entry["level"] or row.level == MUST:
                    entry["level"] = row.level
        return dict(sorted(found.items()))

    def lines(self) -> list[str]:
        """Return the summary for people."""
        lines = [f"{'requirement':12} {'level':6} {'passed':>6} {'failed':>6} {'differs':>7} {'skipped':>7}"]
        for number, entry in self.per_requirement().items():
            counts = f"{entry[PASSED]:6} {entry[FAILED]:6} {entry[DIFFERS]:7} {entry[SKIPPED]:7}"
            lines.append(f"{number:12} {entry['level']:6} {counts}")
        lines += [
            f"{row.outcome}: {row.name} ({', '.join(row.requirements)}): {row.why}"
            for row in self.rows
            if row.outcome in (FAILED, DIFFERS)
        ]
        skipped: dict[str, int] = defaultdict(int)
        for row in self.rows:
            if row.outcome == SKIPPED:
                skipped[row.why] += 1
        lines += [f"skipped {count}: {why}" for why, count in sorted(skipped.items())]
        for number, count in self._in_passing().items():
            example = self.target.examples[number] if self.target else ""
            lines.append(f"in passing, {count} answers against {number}: {example}")
        totals = {name: sum(row.outcome == name for row in self.rows) for name in _ORDER}
        lines.append(", ".join(f"{count} {name}" for name, count in totals.items()))
        return lines

    def as_json(self) -> str:
        return json.dumps(
            {
                "url": self.target.versions_url if self.target else "",
                "version": self.target.version if self.target else "",
                "totals": {name: sum(row.outcome == name for row in self.rows) for name in _ORDER},
                "requirements": self.per_requirement(),
                "in_passing": self._in_passing(),
                "rows": [
                    {"name": row.name, "requirements": row.requirements, "level": row.level, "outcome": row.outcome,
                     "why": row.why}
                    for row in self.rows
                ],
            },
            indent=1,
        )  # fmt: skip

    def _in_passing(self) -> dict[str, int]:
        return dict(sorted(self.target.in_passing.items())) if self.target else {}


def _name(item: pytest.Item) -> str:
    return item.nodeid.rpartition("external/")[2]


def _requirements(item: pytest.Item) -> tuple[str, ...]:
    return tuple(sorted({number for mark in item.iter_markers("req") for number in mark.args}))


def level_of(item: pytest.Item) -> str:
    """Return how binding a row is: as its case says, or its mark; a MUST if nothing does."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec else None
    mark = item.get_closest_marker("level")
    return case.level if isinstance(case, Case) else str(mark.args[0]) if mark else MUST


def _why(report: pytest.TestReport, expected: str | None, *, failed: bool = False) -> str:
    if expected:
        return expected
    if report.outcome == "skipped" and not failed and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if report.outcome == "failed" or failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        return str(crash.message if crash else report.longrepr).removeprefix("AssertionError: ").splitlines()[0]
    return ""
