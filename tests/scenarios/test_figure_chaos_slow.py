"""The short form of FIG-02."""

from __future__ import annotations

import pytest

from tests.figures import chaos_slow
from tests.figures.figure import Options


@pytest.mark.req("REL-20", "REL-22")
def test_receivers_that_never_answer_keep_nobody_waiting() -> None:
    report = chaos_slow.run(Options(seed=1, short=True))

    assert [line for line in report.lines if not line.passed] == []
