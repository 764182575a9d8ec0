"""The short form of FIG-07."""

from __future__ import annotations

import pytest

from tests.figures import tenants
from tests.figures.figure import Options


@pytest.mark.req("SEC-32", "SEC-33", "SEC-35", "SEC-36", "SEC-37", "SEC-39", "SEC-42")
def test_nobody_touches_what_is_anothers(db: None) -> None:
    report = tenants.run(Options(seed=1, short=True))

    assert [line for line in report.lines if not line.passed] == []
