"""FIG-08 in short: URLs that lead where we must not call, at every place that takes one in."""

from __future__ import annotations

import pytest

from tests.figures import ssrf
from tests.figures.figure import Options


@pytest.mark.req("SEC-21", "SEC-22", "SEC-23", "SEC-25", "SEC-26")
def test_no_form_of_a_url_leads_to_a_denied_address() -> None:
    report = ssrf.run(Options(seed=8, short=True))

    assert report.passed, report.as_json()
