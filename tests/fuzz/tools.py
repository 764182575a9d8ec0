"""schemathesis as a command over the OpenAPI document of an instance, as one of its partners."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.world import Target

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What schemathesis found at one instance."""

    side: str
    operations: int
    cases: int
    failures: int
    finished: bool
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"operations": self.operations, "cases": self.cases, "failures": self.failures, "ok": self.finished}


def command() -> str | None:
    """Return where schemathesis is, if it is installed."""
    beside = Path(sys.executable).with_name("schemathesis")
    return str(beside) if beside.exists() else shutil.which("schemathesis")


def schemathesis(target: Target, folder: Path, *, seed: int, examples: int, seconds: int | None = None) -> Outcome:
    """Run all phases, the stateful one included, with so many examples per operation."""
    program = command()
    if program is None:
        raise RuntimeError("schemathesis is not installed: make fuzz installs requirements/fuzz.lock")
    actor = target.actors[0]
    report = folder / f"{target.side}.json"
    authorization = "Token " + base64.b64encode(actor.token.encode()).decode()
    words = [
        program, "run", f"{target.instance.url}/openapi.json", "--checks", CHECKS, "--max-examples", str(examples),
        # One thread each: before Python 3.12 two threads must not parse source at once, which hypothesis does.
        "--seed", str(seed), "--workers", "1", "--phases", "examples,fuzzing,stateful",
        "--header", f"Authorization:{authorization}", "--request-timeout", "40",
        "--exclude-path-regex", "/credentials", "--suppress-health-check", "all", "--warnings", "off", "--no-shrink",
        "--report-json-path", str(report), "--continue-on-failure",
        *(["--max-time", str(seconds)] if seconds else []),
    ]  # fmt: skip
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return _read(target.side, done, report)


def _read(side: str, done: subprocess.CompletedProcess[str], report: Path) -> Outcome:
    text = done.stdout + done.stderr
    cases = re.search(r"(\d[\d,]*) generated", text)
    operations = re.search(r"Tested: +(\d+)", text) or re.search(r"Selected: (\d+)", text)
    failures = re.search(r"(\d[\d,]*) (?:unique )?failures?", text)
    return Outcome(
        side=side,
        operations=int(operations[1]) if operations else 0,
        cases=int(cases[1].replace(",", "")) if cases else 0,
        failures=int(failures[1].replace(",", "")) if failures else 0,
        finished=done.returncode == 0,
        text=text,
    )
