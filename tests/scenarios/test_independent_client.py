"""Somebody who never saw this project registers with a hub as a CPO and as an eMSP, and does business through it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instances import run_instance
from tests.scenarios import independent_client

SCRIPT = Path(independent_client.__file__)


@pytest.mark.req("CRED-02", "CRED-13", "CRED-14", "TRN-101", "HUB-21", "HUB-35", "HUB-72", "TRN-114")
def test_an_independent_client_does_business_through_the_hub(tmp_path: Path) -> None:
    with run_instance("hub", parties=["NL*HUB:HUB"], worker=True) as hub:
        tokens = [
            hub.manage("invite_platform", "--name", name, "--party", party)["token_a"]
            for name, party in (("Independent CPO", "NL*ICP:CPO"), ("Independent eMSP", "DE*IEM:EMSP"))
        ]

        # From elsewhere and without our code on its path.
        words = ["--versions-url", hub.versions_url, "--cpo-token", tokens[0], "--emsp-token", tokens[1]]
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

        assert done.returncode == 0, done.stderr + hub.logged()
        seen = json.loads(done.stdout)
        assert seen["broadcast"] == independent_client.LOCATION
        assert seen["listed"] == ["IND-1"]
        assert seen["authorized"] == "ALLOWED"
        assert seen["command"] == "ACCEPTED"
        assert seen["response_url_hidden"] is True
        assert seen["result"] == {"result": "ACCEPTED"}
        states = {row["name"]: row["state"] for row in hub.manage("list_platforms")}
        assert states == {"Independent CPO": "REGISTERED", "Independent eMSP": "REGISTERED"}
