"""BENCH-08: CDRs priced again, with lines and findings. STATEMENTS: 100,000 CDRs to a statement."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable

from ocpi import cdr_firewall, tariff_pricing
from tests.cdr_generator import Made, Maker
from tests.load.harness import Lab, Line, say

_CDRS, _TARIFFS = 2000, 100  # different ones, priced over and over
_GOAL = 8000
_STATEMENT = 100_000
_STATEMENT_SECONDS = 10.0


def pricing(lab: Lab) -> Iterable[Line]:
    """BENCH-08: from the JSON text of a CDR to its checked price, on one core; and the whole firewall."""
    maker = Maker(seed=8, tariffs=_TARIFFS)
    made = [maker.make() for _ in range(_CDRS)]
    texts = [tariff_pricing.dumps(each.cdr) for each in made]
    zones = [each.facts.time_zone for each in made]
    seconds = lab.options.seconds
    say(f"{_CDRS:,} CDRs, {seconds:g} s of CPU for each side")

    def check(index: int) -> None:
        tariff_pricing.check(tariff_pricing.loads(texts[index]), (), timezone=zones[index]).as_json()

    def price(index: int) -> None:
        tariff_pricing.price(tariff_pricing.loads(texts[index]), (), timezone=zones[index]).as_json()

    def read(index: int) -> None:
        tariff_pricing.loads(texts[index])

    reading, priced, checked = (_rate(each, seconds) for each in (read, price, check))
    inspected = _rate(lambda index: _inspect(texts[index], made[index]), seconds)
    yield Line(
        "BENCH-08 CDR to price, lines and findings", priced, "CDRs per CPU second", "the JSON read, nothing priced",
        reading, goal=_GOAL / reading,
    )  # fmt: skip
    yield Line(
        "BENCH-08 CDR checked against its claims", checked, "CDRs per CPU second", "priced only", priced, goal=0.5
    )
    yield Line("BENCH-08 CDR through the whole firewall", inspected, "CDRs per CPU second", "priced only", priced,
               goal=0.3)  # fmt: skip


def _inspect(text: bytes | str, made: Made) -> None:
    cdr_firewall.inspect(tariff_pricing.loads(text), made.facts)


def _rate(work: object, seconds: float) -> float:
    for index in range(_CDRS):  # tariffs are compiled once
        work(index)  # type: ignore[operator]
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        work(done % _CDRS)  # type: ignore[operator]
        done += 1
    return done / spent


def statements(lab: Lab) -> Iterable[Line]:
    """STATEMENTS: 100,000 CDRs of one pair added up, written down and frozen; its sums are those of the database."""
    rows = max(1000, int(_STATEMENT * lab.options.scale))
    found = json.loads(
        lab.run([sys.executable, "-m", "tests.load.statement_try"], {"DATABASE_URL": lab.database("statements")},
                given=str(rows))
    )  # fmt: skip
    if not found["equal"]:
        raise SystemExit(f"the sums are not those of the database: {found}")
    yield Line(
        f"STATEMENTS {rows:,} CDRs to a statement", found["seconds"], "s", "the same added up by the database alone",
        found["sum_seconds"], limit=_STATEMENT_SECONDS, lower_is_better=True,
    )  # fmt: skip
