"""`python -m tests.fuzz`: malformed requests at real instances of every side, then schemathesis; the last line is JSON.

Anything that is an HTTP 5xx, an OCPI 3xxx, a traceback in a log, no answer, or an answer our OpenAPI document does not
have is a failure, and the exit code is 1. The seed is printed and may be given again.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import tests.servers  # noqa: F401 - starts PostgreSQL and Valkey, which end with this process, and sets what they need
from tests.fuzz import tools
from tests.fuzz.run import Counts, storm
from tests.fuzz.world import SIDES, Target, running

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
CONNECTIONS = 8
console = Console(stderr=True)


def main() -> int:
    """Run everything and say what came of it."""
    asked = _options()
    console.print(f"seed {asked.seed}: {asked.requests} requests at {', '.join(asked.sides)}")
    began = time.monotonic()
    counts = {side: Counts() for side in asked.sides}
    outcomes: list[tools.Outcome] = []
    with running(asked.sides) as targets:
        _storms(targets, counts, asked)
        if asked.examples:
            outcomes = _schemathesis(targets, asked)
        tracebacks = {target.side: target.tracebacks() for target in targets}
    _show(counts, outcomes, tracebacks)
    result = _result(counts, outcomes, tracebacks, asked.seed, time.monotonic() - began)
    print(json.dumps(result), flush=True)
    return 0 if result["ok"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="malformed requests at real instances")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--sides", nargs="+", choices=sorted(SIDES), default=sorted(SIDES))
    parser.add_argument("--examples", type=int, default=100, help="of schemathesis for each operation; 0 leaves it out")
    parser.add_argument("--seconds", type=int, help="limit of one run of schemathesis")
    return parser.parse_args()


def _storms(targets: list[Target], counts: dict[str, Counts], asked: argparse.Namespace) -> None:
    columns = (TextColumn("{task.description:5}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    share, rest = divmod(asked.requests, len(targets))
    with Progress(*columns, console=console) as progress:
        for number, target in enumerate(targets):
            wanted = share + (number < rest)
            task = progress.add_task(target.side, total=wanted)
            storm(
                target,
                wanted,
                seed=asked.seed,
                connections=CONNECTIONS,
                progress=lambda done, task=task: progress.advance(task, done),  # type: ignore[misc]
                counts=counts[target.side],
            )


def _schemathesis(targets: list[Target], asked: argparse.Namespace) -> list[tools.Outcome]:
    """Run it at all instances at once, one process each."""

    def at(target: Target) -> tools.Outcome:
        return tools.schemathesis(target, Path(folder), seed=asked.seed, examples=asked.examples, seconds=asked.seconds)

    with (
        tempfile.TemporaryDirectory() as folder,
        console.status(f"schemathesis at {', '.join(target.side for target in targets)}"),
        ThreadPoolExecutor(len(targets)) as pool,
    ):
        return list(pool.map(at, targets))


def _show(counts: dict[str, Counts], outcomes: list[tools.Outcome], tracebacks: dict[str, list[str]]) -> None:
    kinds = Table("what was wrong", *counts, title="requests")
    for kind in sorted({kind for each in counts.values() for kind in each.by_kind}):
        kinds.add_row(kind, *(str(each.by_kind[kind]) for each in counts.values()))
    answers = Table("answer", *counts, title="answers")
    for status in sorted({status for each in counts.values() for status in each.by_status}):
        answers.add_row(f"HTTP {status}", *(str(each.by_status[status]) for each in counts.values()))
    for code in sorted({code for each in counts.values() for code in each.by_code}):
        answers.add_row(f"OCPI {code}", *(str(each.by_code[code]) for each in counts.values()))
    for name in ("http_5xx", "ocpi_3xxx", "undocumented", "unanswered", "front_server"):
        answers.add_row(name, *(str(getattr(each, name)) for each in counts.values()))
    answers.add_row("tracebacks", *(str(len(tracebacks[side])) for side in counts))
    console.print(kinds, answers)
    for outcome in outcomes:
        console.print(f"schemathesis at {outcome.side}: {outcome.as_json()}")
        if not outcome.finished:
            console.print(outcome.text[-12_000:], markup=False, highlight=False)
    for side, each in counts.items():
        for failure in each.failures:
            console.print(f"{side}: {failure}", markup=False, highlight=False)
        for text in tracebacks[side][:5]:
            console.print(f"{side}: traceback{text}", markup=False, highlight=False)


def _result(
    counts: dict[str, Counts],
    outcomes: list[tools.Outcome],
    tracebacks: dict[str, list[str]],
    seed: int,
    seconds: float,
) -> dict[str, Any]:
    def total(name: str) -> int:
        return sum(getattr(each, name) for each in counts.values())

    bad = {name: total(name) for name in ("http_5xx", "ocpi_3xxx", "undocumented", "unanswered")}
    bad["tracebacks"] = sum(map(len, tracebacks.values()))
    return {
        "requests": total("sent"),
        **bad,
        "front_server": total("front_server"),
        "schemathesis": {outcome.side: outcome.as_json() for outcome in outcomes},
        "seed": seed,
        "seconds": round(seconds),
        "ok": not any(bad.values()) and all(outcome.finished for outcome in outcomes),
    }


if __name__ == "__main__":
    sys.exit(main())
