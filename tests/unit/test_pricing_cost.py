"""What pricing a CDR costs, counted in calls: the same on every machine, unlike seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from ocpi import tariff_pricing
from tests.cdr_generator import Maker

_CDRS = 200
_CALLS = 400  # per CDR; 306 in Python 3.11, where 8,000 a second were measured (`make bench ARGS=8`)


def _calls(work: Callable[[], Any]) -> int:
    count = 0

    def see(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.req("PRI-131")
def test_a_cdr_with_lines_and_findings_stays_within_its_calls() -> None:
    maker = Maker(seed=8, tariffs=20)
    made = [maker.make() for _ in range(_CDRS)]
    given = [(tariff_pricing.dumps(each.cdr), each.facts.time_zone) for each in made]

    def price() -> None:
        for text, zone in given:
            tariff_pricing.price(tariff_pricing.loads(text), (), timezone=zone).as_json()

    price()  # tariffs are compiled once

    assert _calls(price) <= _CALLS * _CDRS
