"""The short form of FIG-03."""

from __future__ import annotations

import pytest

from tests.figures import outage
from tests.figures.figure import Options


@pytest.mark.req("REL-33", "REL-35", "REL-36")
def test_after_a_day_away_both_kinds_of_receiver_are_equal_to_the_source() -> None:
    report = outage.run(Options(seed=1, short=True))

    assert [line for line in report.lines if not line.passed] == []
