"""The suite's options, the platform under test, and how its rows are judged and counted. See docs/CONFORMANCE-SUITE.md.

    pytest tests/conformance/external --ocpi-url https://host/ocpi/versions --ocpi-token TOKEN

Without --ocpi-url an instance of this project is started and tested. In a run of everything this folder is left to one
test that runs it in a process of its own (tests/scenarios/test_conformance_suite.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.external.cases import MUST, Case, Run, Subject
from tests.conformance.external.reporting import Report, level_of
from tests.conformance.external.target import Party, Target

HERE = Path(__file__).parent
Judge = Callable[..., None]
_REPORT = pytest.StashKey[Report]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ocpi", "OCPI conformance of a running platform")
    group.addoption("--ocpi-url", help="the versions URL of the platform under test; without it, ours is started")
    group.addoption("--ocpi-token", help="the credentials token it gave us")
    group.addoption(
        "--ocpi-party", action="append", default=[], metavar="DE*EMS:EMSP", help="a party we are to it; again for more"
    )
    group.addoption(
        "--ocpi-to", action="append", default=[], metavar="NL*TNM", help="a party of it; default: those it reports"
    )
    group.addoption("--ocpi-raw-token", action="store_true", help="show the token without Base64")
    group.addoption("--ocpi-version", default="2.2.1", help="the version to test (2.2.1)")
    group.addoption("--ocpi-write", action="store_true", help="also push objects under our party")
    group.addoption("--ocpi-callback", default="", metavar="URL", help="a response_url of ours it may POST to")
    group.addoption("--ocpi-strict", action="store_true", help="fail on SHOULD and on our own readings, too")
    group.addoption("--ocpi-report", metavar="FILE.json", help="write the report here")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless it was asked for."""
    asked = any(Path(str(word).partition("::")[0]).resolve().is_relative_to(HERE) for word in config.args)
    return None if asked or config.getoption("ocpi_url", None) else True


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "level(name): how binding a row is: MUST, SHOULD, or OURS")
    strict = bool(config.getoption("ocpi_strict", False)) or not config.getoption("ocpi_url", None)
    config.stash[_REPORT] = Report(strict=strict)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a row that is no MUST differ without failing, unless the run is strict."""
    if config.stash[_REPORT].strict:
        return
    for item in items:
        name = level_of(item) if Path(item.path).is_relative_to(HERE) else MUST
        if name != MUST:
            item.add_marker(pytest.mark.xfail(reason=f"{name}, differs", strict=False))


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The platform under test, its endpoints found."""
    option = request.config.getoption
    url = option("ocpi_url", None)
    if not url:
        from tests.conformance.external.own import run_ours

        with run_ours() as ours:
            yield _ready(ours, request.config)
        return
    found = Target(
        versions_url=url,
        token=option("ocpi_token") or "",
        parties=[Party.read(text) for text in option("ocpi_party")],
        to=[Party.read(text) for text in option("ocpi_to")],
        raw_token=option("ocpi_raw_token"),
        version=option("ocpi_version"),
        write=option("ocpi_write"),
        callback=option("ocpi_callback"),
    )
    yield _ready(found, request.config)


def _ready(target: Target, config: pytest.Config) -> Target:
    try:
        target.discover()
    except (LookupError, OSError) as error:
        pytest.exit(f"Nothing can be tested: {error}", returncode=2)
    config.stash[_REPORT].target = target
    return target


@pytest.fixture
def judge(target: Target) -> Judge:
    """Return a function that does one case, or skips it and says why."""

    def do(
        case: Case, *, interface: tuple[str, str] | None = None, subject: Subject | None = None, write: bool = False
    ) -> None:
        wanted = interface or case.interface or (subject.interface if subject else None)
        if wanted is not None and wanted not in target.endpoints:
            pytest.skip(f"{wanted[0]} {wanted[1]} is not advertised")
        if (write or case.write) and not target.write:
            pytest.skip("pushes objects: needs --ocpi-write")
        if case.callback and not target.callback:
            pytest.skip("needs --ocpi-callback")
        Run(target, wanted or ("credentials", "SENDER"), subject).go(case)

    return do


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # what a wrapper yields is pytest's
    outcome: pytest.TestReport = yield  # type: ignore[assignment]
    if Path(item.path).is_relative_to(HERE):
        item.config.stash[_REPORT].add(item, outcome)
    return outcome  # type: ignore[return-value]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash[_REPORT]
    if not report.rows:
        return
    terminalreporter.section("OCPI conformance")
    for line in report.lines():
        terminalreporter.write_line(line)
    path = config.getoption("ocpi_report", None)
    if path:
        Path(path).write_text(report.as_json(), encoding="utf-8")
        terminalreporter.write_line(f"report: {path}")
