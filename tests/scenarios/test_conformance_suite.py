"""The suite for partners, run as they run it, against ourselves: every row passes, and nothing is odd in passing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.external.own import run_ours
from tests.platforms import Listener

ROOT = Path(__file__).resolve().parents[2]
# What a platform that is a CPO and an eMSP does not have, is not missing. Anything else must not be skipped.
EXPECTED = ("is not advertised", "have no PATCH")
LEAST = 500  # rows: a suite that has lost most of itself proves nothing


def run(report: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the suite in a process of its own: the workers of this run are none of its business."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    options = ["-n", "0", "-q", "--tb", "short", "--ocpi-report", str(report)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, *options],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.req("TRN-123", "VER-03")
def test_our_own_platform_passes_the_suite_for_partners(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with run_ours() as ours:
        words = ["--ocpi-url", ours.versions_url, "--ocpi-token", ours.token, "--ocpi-callback", ours.callback]
        words += [word for party in ours.parties for word in ("--ocpi-party", f"{party}:{party.role}")]
        done = run(file, "tests/conformance/external", *words, "--ocpi-write", "--ocpi-strict")

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    report = json.loads(file.read_text())
    assert report["totals"]["passed"] >= LEAST
    assert report["totals"]["failed"] == report["totals"]["differs"] == 0
    assert report["in_passing"] == {}
    skipped = {row["why"] for row in report["rows"] if row["outcome"] == "skipped"}
    assert [why for why in skipped if not any(expected in why for expected in EXPECTED)] == []


def test_a_platform_that_takes_anything_fails_and_no_token_is_shown(tmp_path: Path) -> None:
    """It registers who is registered, and asks nobody for a token; what is only our reading does not fail it."""
    file = tmp_path / "report.json"
    with Listener() as sloppy:
        words = ["--ocpi-url", sloppy.versions_url, "--ocpi-token", "the-token-of-the-tester"]
        done = run(file, "tests/conformance/external/test_configuration.py", *words)

    assert done.returncode == 1, done.stdout[-5_000:] + done.stderr[-2_000:]
    requirements = json.loads(file.read_text())["requirements"]
    assert requirements["CRED-19"]["failed"] == 1
    assert (requirements["CRED-58"]["failed"], requirements["CRED-58"]["differs"]) == (0, 1)
    assert requirements["VER-02"]["passed"] == 1
    for text in (done.stdout, file.read_text()):
        assert sloppy.token_for_us not in text
        assert "the-token-of-the-tester" not in text
