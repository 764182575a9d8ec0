"""FIG-10 in short: the same CDRs and commands from sixteen clients at once."""

from __future__ import annotations

import pytest

from tests.figures import twice
from tests.figures.figure import Options


@pytest.mark.req("REL-06", "REL-45", "REL-47")
def test_what_is_sent_many_times_at_once_is_there_once() -> None:
    report = twice.run(Options(seed=10, short=True))

    assert report.passed, report.as_json()
