"""The suite for partners, run as they run it, against ourselves: every row passes, and nothing is odd in passing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.external.own import run_ours

ROOT = Path(__file__).resolve().parents[2]
# What a platform that is a CPO and an eMSP does not have, is not missing. Anything else must not be skipped.
EXPECTED = ("is not advertised", "have no PATCH")
LEAST = 500  # rows: a suite that has lost most of itself proves nothing


@pytest.mark.req("TRN-123", "VER-03")
def test_our_own_platform_passes_the_suite_for_partners(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    # A run of its own: the workers of this one are none of its business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    with run_ours() as ours:
        words = ["--ocpi-url", ours.versions_url, "--ocpi-token", ours.token, "--ocpi-callback", ours.callback]
        words += [word for party in ours.parties for word in ("--ocpi-party", f"{party}:{party.role}")]
        words += ["--ocpi-write", "--ocpi-strict", "--ocpi-report", str(file), "-n", "0", "-q", "--tb", "short"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "tests/conformance/external", *words],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    report = json.loads(file.read_text())
    assert report["totals"]["passed"] >= LEAST
    assert report["totals"]["failed"] == report["totals"]["differs"] == 0
    assert report["in_passing"] == {}
    skipped = {row["why"] for row in report["rows"] if row["outcome"] == "skipped"}
    assert [why for why in skipped if not any(expected in why for expected in EXPECTED)] == []
