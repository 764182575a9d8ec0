"""What holds answers against the OpenAPI document finds what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.answers import surface
from tests.fixtures import DOCUMENTS

NOW = "2026-01-31T08:00:00Z"
HEADERS = {"X-Request-ID": "1", "X-Correlation-ID": "2", "X-Total-Count": "1", "X-Limit": "100"}
LOCATION = json.loads((DOCUMENTS / "location.json").read_text())


def found(http_status: int = 200, *, path: str = "/ocpi/cpo/2.2.1/locations", method: str = "GET", **told: Any) -> Any:
    headers = {**HEADERS, **told.pop("headers", {})}
    operation = surface("cpo", "emsp").find(method, path)
    assert operation is not None
    body = {"status_code": 1000, "timestamp": NOW, **told}
    return operation.problems(http_status, {k: v for k, v in headers.items() if v is not None}, json.dumps(body))


@pytest.mark.req("TRN-025", "TRN-026", "TRN-027", "TRN-028")
@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"data": [LOCATION]}, None),
        ({"data": []}, None),
        ({"status_code": 2001}, None),
        ({"data": LOCATION}, "array"),
        ({}, "data"),
        ({"data": [{**LOCATION, "id": 7}]}, "id"),
        ({"data": [{k: v for k, v in LOCATION.items() if k != "city"}]}, "city"),
        ({"status_code": 200, "data": []}, "status_code"),
        ({"status_code": "1000", "data": []}, "status_code"),
        ({"status_code": 4001}, "status_code"),
        ({"status_code": 2999}, "status_code"),
        ({"data": [], "timestamp": "2026-01-31 08:00:00"}, "timestamp"),
        ({"data": [], "headers": {"X-Total-Count": None}}, "X-Total-Count"),
        ({"data": [], "headers": {"X-Limit": "many"}}, "X-Limit"),
        ({"data": [], "headers": {"X-Request-ID": None}}, "X-Request-ID"),
    ],
)
def test_an_answer_to_a_list(told: dict[str, Any], complaint: str | None) -> None:
    problems = found(**told)

    assert (complaint is None) == (problems == [])
    assert complaint is None or complaint in "".join(problems)


@pytest.mark.req("TRN-029", "TRN-033", "TRN-035")
@pytest.mark.parametrize(
    ("method", "path", "http_status", "told", "fits"),
    [
        ("GET", "cpo/2.2.1/locations/L1", 200, {"data": LOCATION}, True),
        ("GET", "cpo/2.2.1/locations/L1", 200, {"data": [LOCATION]}, False),
        ("GET", "cpo/2.2.1/locations/L1", 404, {"status_code": 2003}, True),
        ("GET", "cpo/2.2.1/locations/L1", 404, {}, False),
        ("GET", "cpo/2.2.1/locations/L1", 201, {"data": LOCATION}, False),
        ("PUT", "emsp/2.2.1/sessions/NL/TNM/S1", 201, {}, True),
        ("PUT", "emsp/2.2.1/sessions/NL/TNM/S1", 200, {"data": {}}, False),
        ("PUT", "emsp/2.2.1/sessions/NL/TNM/S1", 302, {}, False),
        ("POST", "cpo/2.2.1/commands/STOP_SESSION", 200, {"data": {"result": "ACCEPTED", "timeout": 30}}, True),
        ("POST", "cpo/2.2.1/commands/STOP_SESSION", 200, {"data": {"result": "DONE", "timeout": 30}}, False),
        ("GET", "2.2.1/credentials", 401, {"status_code": 2000}, True),
        ("GET", "2.2.1/credentials", 401, {"status_code": 3000}, False),
    ],
)
def test_an_answer_about_one_object(method: str, path: str, http_status: int, told: Any, fits: bool) -> None:
    problems = found(http_status, method=method, path=f"/ocpi/{path}", **told)

    assert (problems == []) is fits, problems


def test_operations_are_found_by_module_wherever_they_are() -> None:
    everything = surface("cpo", "emsp", "hub")

    operation = everything.of_module("locations", "RECEIVER", "PATCH", "{country_code}/{party_id}/{location_id}")

    assert str(operation) == "PATCH /emsp/2.2.1/locations/{country_code}/{party_id}/{location_id}"
    assert everything.find("GET", "http://any.example/ocpi/cpo/2.2.1/locations/a%2Fb/") is not None
    assert everything.find("GET", "/ocpi/cpo/2.2.1/nothing") is None
