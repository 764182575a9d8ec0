"""The short form of FIG-12."""

from __future__ import annotations

import pytest

from tests.figures import hijack
from tests.figures.figure import Options


@pytest.mark.req("SEC-60", "SEC-61", "SEC-63", "OCPP-08", "OCPP-09", "OCPP-14")
def test_hostile_handshakes_take_nothing_over_and_cost_no_message() -> None:
    report = hijack.run(Options(seed=1, short=True))

    assert [line for line in report.lines if not line.passed] == []
