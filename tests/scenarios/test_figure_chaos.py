"""The short form of FIG-01."""

from __future__ import annotations

import pytest

from tests.figures import chaos
from tests.figures.figure import Options


@pytest.mark.req("REL-01", "REL-02", "REL-03", "REL-04", "REL-05", "REL-15")
def test_nothing_is_lost_while_processes_and_servers_fall() -> None:
    report = chaos.run(Options(seed=1, short=True))

    assert [line for line in report.lines if not line.passed] == []
