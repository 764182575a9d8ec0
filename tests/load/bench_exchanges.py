"""EXCHANGES: every search of the admin among a million exchanges, beside the search that Django's admin comes with."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable

from tests.load.exchanges_fill import fill
from tests.load.harness import Lab, Line, say

_ROWS, _DAYS = 1_000_000, 10
_GOAL = 1.0  # seconds, of the slowest


def searches(lab: Lab) -> Iterable[Line]:
    """EXCHANGES: the first page, the next one and one far back, of each search and of none, at 1,000,000 exchanges."""
    rows = max(20_000, int(_ROWS * lab.options.scale))
    database = lab.database("exchanges")
    say(f"making {rows:,} exchanges in {_DAYS} daily partitions")
    fill(database, rows, _DAYS)
    for state in ("vacuumed", "just written"):
        if state == "just written":
            say("the same, of which nothing is vacuumed yet")
            database = lab.database("exchanges_fresh")
            fill(database, rows, _DAYS, settled=False)
        found = json.loads(
            lab.run([sys.executable, "-m", "tests.load.exchanges_try"], {"DATABASE_URL": database}, given=str(rows))
        )
        plain = found.pop("plain")
        for name, taken in found.items():
            slowest = max(taken.values())
            yield Line(
                f"EXCHANGES {name} out of {rows:,}, {state}", slowest * 1000, "ms (the slowest page)",
                "icontains without an index", plain * 1000, limit=_GOAL * 1000, lower_is_better=True,
                details={page: round(seconds * 1000, 2) for page, seconds in taken.items()},
            )  # fmt: skip
        all_of_them = [seconds for taken in found.values() for seconds in taken.values()]
        say(f"median {statistics.median(all_of_them) * 1000:.1f} ms, slowest {max(all_of_them) * 1000:.1f} ms")
