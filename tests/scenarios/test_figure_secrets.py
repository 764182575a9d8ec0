"""FIG-09 in short: every secret of a CPO and its charge points, searched for in all that it lets out."""

from __future__ import annotations

import pytest

from tests.figures import secrets
from tests.figures.figure import Options


@pytest.mark.req("SEC-49", "SEC-50", "SEC-51")
def test_no_secret_of_a_running_instance_is_let_out() -> None:
    report = secrets.run(Options(seed=1, short=True))

    assert report.passed, report.as_json()
