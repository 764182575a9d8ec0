"""What every OCPI answer has, whatever was asked: the envelope, a time, the ids of the request, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ocpi import openapi
from tests.surface import Surface

_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z")
_MEMBERS = {"status_code", "status_message", "timestamp", "data"}
_CODES = {1000, 2000, 2001, 2002, 2003, 2004, 3000, 3001, 3002, 3003, 4000, 4001, 4002, 4003}
_CLOCK_SECONDS = 120
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Ids:
    """The two ids of one request; empty where it had none."""

    request_id: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class OcpiAnswer:
    """An answer that has passed `assert_ocpi_answer`."""

    http_status: int
    status_code: int
    message: str
    headers: Mapping[str, str]
    envelope: Mapping[str, Any]
    text: str

    @property
    def data(self) -> Any:
        """Return `data`; None if the answer has none."""
        return self.envelope.get("data")

    @property
    def has_data(self) -> bool:
        return "data" in self.envelope

    @property
    def ok(self) -> bool:
        return 200 <= self.http_status < 300 and self.status_code == 1000

    @property
    def codes(self) -> tuple[int, int]:
        """Return HTTP status and OCPI status code, for one assertion."""
        return self.http_status, self.status_code


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: method and path, and the sides of the instance that answers."""

    method: str
    path: str
    sides: tuple[str, ...] = openapi.SIDES


def assert_ocpi_answer(
    *,
    http_status: int,
    headers: Mapping[str, str],
    body: bytes,
    ids: Ids | None = None,
    now: datetime | None = None,
    asked: Asked | None = None,
) -> OcpiAnswer:
    """Check what holds for every answer, and return it read. `headers` is looked up whatever the case of a name.

    With `asked` the answer must also be one that our OpenAPI document has for that operation.
    """
    assert headers.get("Content-Type", "").partition(";")[0] == "application/json", headers
    envelope = json.loads(body.decode("utf-8"), object_pairs_hook=_without_repeats)
    assert isinstance(envelope, dict), body
    assert set(envelope) <= _MEMBERS, f"members that no envelope has: {set(envelope) - _MEMBERS}"

    code = envelope.get("status_code")
    assert type(code) is int, f"status_code must be a number: {code!r}"
    assert code in _CODES, f"{code} is not a code of the specification's standard modules"
    assert isinstance(envelope.get("status_message", ""), str)
    _assert_recent(envelope.get("timestamp"), now or datetime.now(UTC))
    assert envelope.get("data", _ABSENT) is not None, "data must be left out, not null"

    if http_status >= 400:
        assert code >= 2000, f"HTTP {http_status} with status_code {code}"
    if http_status == 401:
        assert 2000 <= code < 3000
        assert "data" not in envelope
    if http_status == 405:
        assert headers.get("Allow"), "a 405 names the methods that are there"
    _assert_ids(headers, ids)
    if asked is not None:
        assert_documented(asked, http_status=http_status, headers=headers, body=body)
    return OcpiAnswer(http_status, code, envelope.get("status_message", ""), headers, envelope, body.decode())


@cache
def surface(*sides: str) -> Surface:
    """Return the OpenAPI document of an instance of these sides, ready to be asked."""
    return Surface(openapi.document(sides, server="/ocpi"))


def assert_documented(asked: Asked, *, http_status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Check that our OpenAPI document has this answer; what is not in the document must be refused."""
    methods = surface(*asked.sides).methods(asked.path)
    if operation := methods.get(asked.method):
        problems = operation.problems(http_status, headers, body)
        assert not problems, "\n".join([*problems, body.decode()[:2000]])
    elif not asked.path.startswith("/ocpi/hub/"):  # what a hub passes on may be anything
        code = json.loads(body)["status_code"]
        assert code >= 2000, f"{asked.method} {asked.path} is not documented, and was accepted"
        assert http_status not in (500, 201), f"{asked.method} {asked.path} is not documented, and got {http_status}"


def _assert_recent(timestamp: Any, now: datetime) -> None:
    assert isinstance(timestamp, str), f"timestamp: {timestamp!r}"
    assert _TIMESTAMP.fullmatch(timestamp), f"timestamp: {timestamp!r}"
    age = abs((now - datetime.fromisoformat(timestamp)).total_seconds())
    assert age < _CLOCK_SECONDS, f"timestamp {timestamp} is not the time of the answer"


def _assert_ids(headers: Mapping[str, str], ids: Ids | None) -> None:
    for name, sent in (("X-Request-ID", ids and ids.request_id), ("X-Correlation-ID", ids and ids.correlation_id)):
        assert headers.get(name), f"{name} is missing"
        if sent:
            assert headers[name] == sent, f"{name}: sent {sent!r}, got {headers[name]!r}"


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a member occurs twice"
    return found
