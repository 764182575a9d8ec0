"""Our own platform as the one under test: a CPO and an eMSP in one instance, with data. The only file here that knows
anything of this project."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conformance.external.target import Party, Target
from tests.instances import ROOT, run_instance

OURS = ("NL*TNM:CPO", "DE*EMS:EMSP")
TESTER = ("BE*TST:CPO", "BE*TST:EMSP")
TESTER_URL = "http://127.0.0.1:65001"  # nobody listens: nothing that is tested here calls it
_FILL = "from tests.conformance.external.own_data import fill; fill()"


@contextmanager
def run_ours() -> Iterator[Target]:
    """Run an instance of this project until the block ends; the tester is registered with it."""
    with run_instance("cpo", "emsp", parties=OURS) as instance:
        filled = subprocess.run(
            [sys.executable, "-c", _FILL], cwd=ROOT, env=dict(instance.environment), capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        assert filled.returncode == 0, filled.stderr
        token = json.loads(filled.stdout.splitlines()[-1])["token"]
        yield Target(
            versions_url=instance.versions_url,
            token=token,
            parties=[Party.read(text) for text in TESTER],
            to=[],
            write=True,
            callback=f"{TESTER_URL}/results",
        )
