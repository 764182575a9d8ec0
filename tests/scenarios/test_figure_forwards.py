"""The short form of FIG-05."""

from __future__ import annotations

import pytest

from tests.figures import forwards
from tests.figures.figure import Options


@pytest.mark.req("REL-24", "REL-20")
def test_receivers_that_never_answer_hold_no_direct_requests_to_others() -> None:
    report = forwards.run(Options(seed=1, short=True))

    assert [line for line in report.lines if not line.passed] == []
