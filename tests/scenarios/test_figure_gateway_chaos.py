"""The short form of gateway-chaos."""

from __future__ import annotations

import pytest

from tests.figures import gateway_chaos
from tests.figures.figure import Options


@pytest.mark.req("OCPP-98", "OCPP-103", "OCPP-126")
def test_the_books_stay_exact_while_gateway_worker_and_servers_fall() -> None:
    report = gateway_chaos.run(Options(seed=1, short=True))

    assert [line for line in report.lines if not line.passed] == []
