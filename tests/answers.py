"""What every OCPI answer has, whatever was asked: the envelope, a time, the ids of the request, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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


def assert_ocpi_answer(
    *, http_status: int, headers: Mapping[str, str], body: bytes, ids: Ids | None = None, now: datetime | None = None
) -> OcpiAnswer:
    """Check what holds for every answer, and return it read. `headers` is looked up whatever the case of a name."""
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
    return OcpiAnswer(http_status, code, envelope.get("status_message", ""), headers, envelope, body.decode())


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
