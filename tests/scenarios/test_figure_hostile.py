"""FIG-04 in short: every call at every kind of evil."""

from __future__ import annotations

import pytest

from tests.figures import hostile
from tests.figures.figure import Options


@pytest.mark.req("SEC-20", "SEC-26", "SEC-28", "SEC-29", "SEC-31", "REL-28")
def test_every_call_of_ours_ends_whatever_the_answer() -> None:
    report = hostile.run(Options(seed=4, short=True))

    assert report.passed, report.as_json()
