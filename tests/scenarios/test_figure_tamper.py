"""The short form of FIG-15."""

from __future__ import annotations

import pytest

from tests.figures import tamper
from tests.figures.figure import Options, Report
from tests.figures.tamper_tries import tries


@pytest.mark.req("SEC-56", "REL-46")
def test_whatever_the_owner_of_the_tables_does_to_the_trail_and_the_cdrs_is_found(both_sides: None, db: None) -> None:
    found = tries(15, entries=30, cdrs=6, cases=40, anew=3)

    report = tamper.told(Report("FIG-15", Options(seed=15, short=True)), found, 40, 3)
    assert [line for line in report.lines if not line.passed] == []
