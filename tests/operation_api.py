"""The operation API for tests: a caller with a token whose every answer is held against the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from cpo.api import openapi
from cpo.models import ChargePoint
from cpo.modules import api_tokens
from ocpi.headers import Address
from tests.fixtures import Side

PREFIX = "/api/ocpp/v1"
DOCUMENT = openapi.document(server=PREFIX)
TENANT, OTHER_TENANT = Address("NL", "TNM"), Address("DE", "OTH")
_checks: dict[str, Callable[[Any], Any]] = {}


class Answer:
    """What came back."""

    def __init__(self, http_status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = http_status
        self.headers = headers
        self.content = content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def code(self) -> tuple[int, str]:
        return self.status, str(self.json["error"])


class Caller:
    """Somebody with a token."""

    def __init__(self, token: str | None) -> None:
        self._client = Client(raise_request_exception=False)
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: Any = None, *, raw: str | None = None, **headers: str) -> Answer:
        text = raw if raw is not None else "" if body is None else json.dumps(body)
        given = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        came = self._client.generic(method, f"{PREFIX}/{path}", text, content_type="application/json", headers=given)
        answer = Answer(came.status_code, came.headers, came.content)
        fits(method, path, answer)
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, {} if body is None else body, **headers)

    def put(self, path: str, body: Any) -> Answer:
        return self.ask("PUT", path, body)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)


def caller(*scopes: str, tenant: Address | None = TENANT) -> Caller:
    """Somebody with a token for these rights; for all of them if none is named."""
    _, text = api_tokens.make("test", tenant=tenant, scopes=scopes or api_tokens.SCOPES, by="test")
    return Caller(text)


def add_charge_point(identity: str = "CP-1", **columns: Any) -> ChargePoint:
    values = {"country_code": "NL", "party_id": "TNM", "online": True, "protocol": "1.6", **columns}
    return ChargePoint.objects.create(identity=identity, **values)


def fits(method: str, path: str, answer: Answer) -> None:
    """Hold an answer against the document.

    :raises AssertionError: saying what does not fit.
    """
    told = _find(path.partition("?")[0])
    if told is None:
        assert answer.status == 404, f"{path} is in no document"
        return
    operation = told.get(method.lower())
    responses = operation["responses"] if operation else {"405": {"$ref": "#/components/responses/Refused405"}}
    assert str(answer.status) in responses, f"{method} {path}: HTTP {answer.status} is none of {list(responses)}"
    response = _resolve(responses[str(answer.status)])
    for name in response.get("headers", {}):
        assert answer.headers.get(name, "").isdigit(), f"{method} {path}: no {name}"
    content = response.get("content")
    if content is None:
        assert answer.content == b""
        return
    _check(content["application/json"]["schema"], answer.json)


def _check(schema: Mapping[str, Any], value: Any) -> None:
    key = json.dumps(schema, sort_keys=True)
    if key not in _checks:
        whole = {"allOf": [schema], "components": {"schemas": DOCUMENT["components"]["schemas"]}}
        _checks[key] = fastjsonschema.compile(whole, use_default=False, use_formats=False)
    try:
        _checks[key](value)
    except fastjsonschema.JsonSchemaValueException as error:
        raise AssertionError(f"{error.message}: {value}") from error


def _resolve(told: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in told:
        found: Any = DOCUMENT
        for part in told["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        told = found
    return told


def _find(path: str) -> Mapping[str, Any] | None:
    parts = path.strip("/").split("/")
    best: tuple[int, Mapping[str, Any]] | None = None
    for known, item in DOCUMENT["paths"].items():
        words = known.strip("/").split("/")
        if len(words) == len(parts) and all(
            word.startswith("{") or word == part for word, part in zip(words, parts, strict=True)
        ):
            exact = sum(not word.startswith("{") for word in words)
            if best is None or exact > best[0]:
                best = (exact, item)
    return None if best is None else best[1]


@pytest.fixture(name="api")
def api_fixture(db: None, side: Side, settings: Settings) -> Caller:
    """A caller who may do everything for one tenant of a CPO."""
    side("cpo", parties=["NL*TNM:CPO", "DE*OTH:CPO"])
    settings.ROOT_URLCONF = "cpo.operation_urls"
    return caller()
