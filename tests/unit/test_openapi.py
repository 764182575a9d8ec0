"""The OpenAPI document: it is valid, complete, says what the types say, and is served with its page from here."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import Client

from ocpi import openapi
from ocpi.openapi_operations import TABLE
from tests.fixtures import DOCUMENTS, Side

ROOT = Path(__file__).resolve().parents[2]
SURFACE = openapi.document(openapi.SIDES, server="/ocpi")


def schema(name: str) -> dict[str, Any]:
    """Return a schema that can stand alone."""
    return {"$ref": f"#/components/schemas/{name}", "components": SURFACE["components"]}


def test_nothing_is_served_that_the_table_of_operations_does_not_have() -> None:
    assert openapi.undocumented(openapi.SIDES) == []


def test_a_view_without_a_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("tariffs", "RECEIVER", "{country_code}/{party_id}/{tariff_id}", "DELETE")
    monkeypatch.setattr(openapi, "TABLE", {row: TABLE[row] for row in TABLE if row != key})

    missing = openapi.undocumented(openapi.SIDES)

    assert missing == ["DELETE emsp/2.2.1/tariffs/{country_code}/{party_id}/{tariff_id}"]


def test_every_reference_of_the_document_leads_somewhere() -> None:
    targets = set(re.findall(r'"\$ref": "#/(.*?)"', json.dumps(SURFACE)))

    for target in targets:
        found: Any = SURFACE
        for part in target.split("/"):
            found = found[part]
    assert len(targets) > 60


def test_every_schema_is_one() -> None:
    for each in SURFACE["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(each)


def test_operations_have_names_of_their_own() -> None:
    names = [
        operation["operationId"]
        for item in SURFACE["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]

    assert len(names) == len(set(names)) > 60


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.json")), ids=lambda path: path.stem)
def test_our_example_documents_fit_their_schemas(path: Path) -> None:
    stem = {"charging_profile": "set_charging_profile"}.get(path.stem, path.stem)
    words = stem.removesuffix("_rfid").removesuffix("_app_user").split("_")
    name = "".join(word.upper() if word in ("evse", "cdr") else word.title() for word in words)

    jsonschema.validate(json.loads(path.read_text()), schema(name))


@pytest.mark.parametrize(
    ("name", "member", "value"),
    [("Location", "id", "x" * 37), ("Location", "country", "Netherlands"), ("Location", "publish", "true"),
     ("Location", "coordinates", {"latitude": 52.1, "longitude": "5.123456"}), ("Location", "evses", [{}])],
)  # fmt: skip
def test_the_schemas_have_the_rules_of_the_types(name: str, member: str, value: Any) -> None:
    document = json.loads((DOCUMENTS / f"{name.lower()}.json").read_text())
    jsonschema.validate(document, schema(name))

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, member: value}, schema(name))


def test_the_instance_shows_what_it_serves_and_nothing_else(side: Side, client: Client) -> None:
    side("cpo", parties=["NL*TNM:CPO"], base_url="https://ocpi.example.com")

    answer = client.get("/openapi.json")

    shown = answer.json()
    assert answer.headers["Content-Type"] == "application/json"
    assert shown["servers"] == [{"url": "https://ocpi.example.com/ocpi"}]
    assert {path.split("/")[1] for path in shown["paths"]} == {"versions", "2.2.1", "cpo"}
    assert "post" in shown["paths"]["/cpo/2.2.1/commands/START_SESSION"]


@pytest.mark.django_db
def test_the_page_takes_everything_from_this_server(client: Client) -> None:
    answer = client.get("/docs/")

    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'data-document="/openapi.json"' in page
    assert "//" not in re.sub(r"<!--.*?-->", "", page)
    for file in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        with closing(client.get(file)) as sent:
            assert sent.status_code == 200, file
    assert "'unsafe-eval'" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")


def test_the_file_of_the_whole_surface_is_the_one_in_docs() -> None:
    assert json.loads((ROOT / "docs" / "openapi.json").read_text()) == SURFACE
