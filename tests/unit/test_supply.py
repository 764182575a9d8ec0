"""What we build on is pinned by hash, and what we build is checked for what is unsafe (SEC-66)."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?==[^\s;]+( ; .+)?")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_NOQA = re.compile(r"#\s*noqa(?P<codes>:\s*(?P<list>[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*))?(?P<reason>.*)")
# Settings that would hide the defaults under test.
_OWN = ("OCPI_", "OCPP_", "DEBUG", "SECRET_KEY", "FIELD_KEYS", "DATABASE_URL", "REDIS_URL", "ALLOWED_HOSTS")


def entries(text: str) -> list[str]:
    """Return the logical lines of a requirements file, without comments."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    return [" ".join(line.split()) for line in lines]


def unpinned(text: str) -> list[str]:
    """Return the entries that are no version of a package with its hashes."""
    found = []
    for entry in entries(text):
        package, *hashes = re.split(r" (?=--hash)", entry)
        if not _PINNED.fullmatch(package) or not hashes or not all(_HASH.fullmatch(each) for each in hashes):
            found.append(entry)
    return found


@pytest.mark.req("SEC-66")
@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_with_hashes(lock: Path) -> None:
    text = lock.read_text()

    assert len(entries(text)) >= 1
    assert unpinned(text) == []


@pytest.mark.req("SEC-66")
def test_every_list_of_requirements_has_its_lock_and_names_nothing_beside_it() -> None:
    assert {path.stem for path in LOCKS} == {path.stem for path in (ROOT / "requirements").glob("*.in")}
    for lock in LOCKS:
        names = {_name(entry) for entry in entries(lock.read_text())}
        asked = {_name(line) for line in entries(lock.with_suffix(".in").read_text()) if not line.startswith("-")}
        assert asked <= names, lock.name


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


@pytest.mark.req("SEC-66")
@pytest.mark.parametrize("line", ["a", "a>=1", "a==1", "a @ https://x.example/a.whl --hash=sha256:" + "0" * 64, "-e ."])
def test_a_package_without_version_or_hash_would_be_seen(line: str) -> None:
    assert unpinned(f"b==1 \\\n    --hash=sha256:{'0' * 64}\n{line}\n") == [line]


@pytest.mark.req("SEC-66")
@pytest.mark.parametrize("path", ["scripts/setup.sh", "Dockerfile"])
def test_whatever_installs_a_lock_asks_for_its_hashes(path: str) -> None:
    installs = [
        line
        for line in entries((ROOT / path).read_text())
        if re.search(r"pip install .*\.lock|pip install .* -r", line)
    ]

    assert installs
    for line in installs:
        assert line.count("--require-hashes") == len(re.findall(r"pip install", line)), line


def ruff() -> dict[str, Any]:
    told: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    return told


@pytest.mark.req("SEC-66")
def test_the_rules_against_what_is_unsafe_are_on_for_all_that_runs() -> None:
    told = ruff()
    off = {path: [rule for rule in rules if rule.startswith("S")] for path, rules in told["per-file-ignores"].items()}

    assert "S" in told["select"]
    assert [rule for rule in told["ignore"] if re.fullmatch(r"S\d*", rule)] == []
    assert [path for path, rules in off.items() if rules and not path.startswith("tests/")] == []


@pytest.mark.req("SEC-66")
def test_every_exception_to_those_rules_names_the_rule_and_has_its_reason() -> None:
    bare = []
    for path in _sources():
        reasons: set[str] = set()  # a rule's reason is given where the file first needs it
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = _NOQA.search(line)
            if found is None:
                continue
            codes = re.findall(r"[A-Z]+[0-9]+", found["list"] or "")
            unsafe = {code for code in codes if re.fullmatch(r"S[0-9]+", code)}
            if len(found["reason"].strip(" -:#")) > 2:
                reasons |= unsafe
            if not codes or unsafe - reasons:
                bare.append(f"{path.relative_to(ROOT)}:{number}")

    assert bare == []


def _sources() -> list[Path]:
    folders = ("hub", "ocpi", "cpo", "emsp")
    return [ROOT / "manage.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]


@pytest.mark.req("SEC-66")
def test_nothing_that_runs_breaks_those_rules() -> None:
    run = ("hub", "ocpi", "cpo", "emsp", "manage.py")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "S", *run],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.req("SEC-66")
@pytest.mark.parametrize(
    ("sides", "parties"), [("hub", "NL*HUB:HUB"), ("cpo,emsp", "NL*TNM:CPO,NL*TNM:EMSP")], ids=["hub", "cpo and emsp"]
)
def test_an_instance_in_public_is_without_warnings(sides: str, parties: str) -> None:
    done = deployed(OCPI_SIDES=sides, OCPI_PARTIES=parties, OCPI_BASE_URL="https://roaming.example.com")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


@pytest.mark.req("SEC-66")
def test_one_without_tls_is_not() -> None:
    done = deployed(OCPI_SIDES="hub", OCPI_BASE_URL="http://roaming.example.com")

    assert done.returncode != 0
    assert "ocpi.E010" in done.stderr
    assert "security.W010" in done.stderr


def deployed(**settings: str) -> subprocess.CompletedProcess[str]:
    """Check an instance as it would stand in public; no database is asked."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    secret = base64.urlsafe_b64encode(os.urandom(48)).decode()
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    own = {
        "SECRET_KEY": secret, "FIELD_KEYS": key, "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, env={**environment, **own, **settings}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
