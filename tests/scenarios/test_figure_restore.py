"""The short form of FIG-14."""

from __future__ import annotations

import pytest

from tests.figures import restore
from tests.figures.figure import Options


@pytest.mark.req("REL-58", "REL-09")
def test_after_a_restore_everything_is_there_again_and_no_id_is_given_twice() -> None:
    report = restore.run(Options(seed=14, short=True))

    assert [line for line in report.lines if not line.passed] == []
