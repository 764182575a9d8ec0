"""A case: one row of a suite, with what it proves, how binding that is, what is sent and what is expected."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.external.target import Answer, Interface, Party, Target, join

# MUST and SHOULD are the specification's. OURS is how this project reads a place where it is silent or contradicts
# itself: a partner that does otherwise does not break OCPI.
MUST, SHOULD, OURS = "MUST", "SHOULD", "OURS"
DOCUMENTS = Path(__file__).resolve().parents[2] / "documents" / "2.2.1"
EARLIER, LATER, LATEST = "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
Check = Callable[[Answer, "Run"], None]
Body = Callable[["Run"], Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One request; `path` follows the endpoint, with {owner}, {id} and what earlier steps have saved."""

    method: str
    path: str = ""
    body: Body | bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)
    http: tuple[int, ...] = (200,)
    code: tuple[int, ...] = (1000,)
    check: Check | None = None
    url: str = ""  # instead of the endpoint: something saved before


@dataclass(frozen=True, slots=True)
class Case:
    """A row of a suite."""

    level: str
    steps: tuple[Step, ...]
    interface: Interface | None = None  # None: the suite's own
    write: bool = False
    callback: bool = False  # needs a place where we can be answered


@dataclass(frozen=True, slots=True)
class Subject:
    """What a suite for several kinds of objects is about: a Receiver interface and one of our example documents."""

    module: str
    document: str
    owner_role: str
    required: str
    optional: str
    id_member: str = "id"
    unknown: int = 2000
    patch: bool = True
    delete: bool = False
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def interface(self) -> Interface:
        return (self.module, "RECEIVER")


def row(mark: pytest.MarkDecorator, level: str, title: str, *steps: Step, **options: Any) -> Any:
    """Return a case as a parameter of a test; the mark names the requirements it proves."""
    return pytest.param(Case(level, steps, **options), marks=mark, id=title)


class Run:
    """One case under way: an object of its own, and what was saved."""

    def __init__(self, target: Target, interface: Interface, subject: Subject | None = None) -> None:
        self.target = target
        self.interface = interface
        self.subject = subject
        self.saved: dict[str, str] = {"id": "CONF-" + uuid.uuid4().hex[:12].upper()}
        owner = target.party(subject.owner_role) if subject else target.caller_of(interface)
        if owner is None:
            pytest.skip("no --ocpi-party of the role that calls this interface")
        self.owner: Party = owner
        self.saved["owner"] = f"{owner.country_code}/{owner.party_id}"
        self.saved["lower"] = f"{self.saved['owner']}/{self.id}".lower()

    @property
    def id(self) -> str:
        return self.saved["id"]

    def document(self, name: str = "", *, without: str = "", **changes: Any) -> dict[str, Any]:
        """Return one of our example documents as ours: our party, this case's id, some members changed."""
        name = name or (self.subject.document if self.subject else "")
        found = json.loads((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8"))
        found = self._ours(found)
        if self.subject and name == self.subject.document:
            found[self.subject.id_member] = self.id
        found = copy.deepcopy(found) | changes
        if without:
            found.pop(without)
        return found

    def _ours(self, found: dict[str, Any]) -> dict[str, Any]:
        """Put our party where the owner's is, and the driver's eMSP to the other side."""
        if "country_code" in found:
            found |= {"country_code": self.owner.country_code, "party_id": self.owner.party_id}
        other = self.target.receiver_of(self.interface)
        if "cdr_token" in found and other is not None:
            found["cdr_token"] |= {"country_code": other.country_code, "party_id": other.party_id}
        return found

    def go(self, case: Case) -> None:
        """Do all steps of a case."""
        for number, step in enumerate(case.steps, 1):
            self.step(step, f"step {number}: " if len(case.steps) > 1 else "")

    def step(self, step: Step, where: str = "") -> Answer:
        """Send one request and hold the answer against what is expected."""
        path = step.path.format_map({name: _quoted(name, value) for name, value in self.saved.items()})
        url = self.saved[step.url] if step.url else join(self.target.endpoints[self.interface], path)
        body = step.body(self) if callable(step.body) else step.body
        query = {**(self.subject.query if self.subject else {}), **step.query}
        answer = self.target.request(
            step.method, url, body, interface=self.interface, query=query, headers=step.headers
        )
        said = f"{where}{step.method} {url}"
        assert answer.http in step.http, f"{said}: expected HTTP {_any(step.http)}, got {answer.shown}"
        assert answer.code in step.code, f"{said}: expected status_code {_any(step.code)}, got {answer.shown}"
        if answer.http == 405:
            assert answer.headers.get("Allow"), f"{said}: HTTP 405 without an Allow header"
        if step.check is not None:
            step.check(answer, self)
        return answer


def _quoted(name: str, value: str) -> str:
    return quote(value, safe="/" if name in ("owner", "lower") else "")


def _any(numbers: tuple[int, ...]) -> str:
    return " or ".join(map(str, numbers))


# ---- what may be expected


def gives(make: Body) -> Check:
    """Expect the object that `make` returns, number for number."""

    def check(answer: Answer, run: Run) -> None:
        expected = make(run)
        assert _comparable(answer.data) == _comparable(expected), f"expected {expected}, got {answer.shown}"

    return check


def says(*words: str) -> Check:
    """Expect a status_message with these words."""

    def check(answer: Answer, run: Run) -> None:
        message = str(answer.json.get("status_message"))
        for word in words:
            assert word in message, f"the status_message does not name {word}: {message!r}"

    return check


def no_data(answer: Answer, run: Run) -> None:
    """Expect that there is no `data`."""
    assert answer.data is None, f"there is data: {answer.shown}"


def allow(*methods: str) -> Check:
    """Expect an Allow header with these methods."""

    def check(answer: Answer, run: Run) -> None:
        named = {name.strip() for name in answer.headers.get("Allow", "").split(",")}
        assert set(methods) <= named, f"Allow is {answer.headers.get('Allow')!r}"

    return check


def _comparable(value: Any) -> Any:
    """Return numbers alike, however they were read."""

    if isinstance(value, dict):
        return {name: _comparable(content) for name, content in value.items()}
    if isinstance(value, list):
        return [_comparable(content) for content in value]
    if isinstance(value, float):
        return Decimal(str(value))
    return value
