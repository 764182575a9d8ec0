"""Whoever calls the operation API: tokens and their rights, sessions, bodies that are none, other tenants."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from cpo.api import openapi
from cpo.models import ApiToken, IdTag
from cpo.modules import api_tokens
from ocpi import clock
from ocpi.headers import Address
from tests.fixtures import Side
from tests.operation_api import DOCUMENT, OTHER_TENANT, PREFIX, Caller, add_charge_point, caller
from tests.operation_api import api_fixture as api_fixture

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a long password of an operator"


def test_the_document_says_what_the_views_do() -> None:
    assert openapi.undocumented() == []
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_file_in_docs_is_the_document() -> None:
    assert json.loads((ROOT / "docs" / "openapi-ocpp.json").read_text()) == DOCUMENT


def test_every_operation_of_the_document_has_a_name_of_its_own() -> None:
    names = [
        told["operationId"]
        for item in DOCUMENT["paths"].values()
        for method, told in item.items()
        if method != "parameters"
    ]

    assert len(names) == len(set(names)) > 25


@pytest.mark.req("OCPP-115")
def test_the_document_is_served_without_a_token(api: Caller) -> None:
    answer = Client().get(f"{PREFIX}/openapi.json")

    assert answer.status_code == 200
    assert answer.json()["paths"].keys() == DOCUMENT["paths"].keys()


@pytest.mark.req("OCPP-115")
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Token wrong"}, {"Authorization": "Bearer"}],
)
def test_nobody_gets_in_without_a_good_token(api: Caller, headers: dict[str, str]) -> None:
    stranger = Caller(None)
    stranger.headers = headers

    answer = stranger.get("charge-points")

    assert answer.code == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.req("OCPP-115")
def test_a_revoked_or_expired_token_is_none(api: Caller) -> None:
    row, text = api_tokens.make("short", tenant=None, scopes=["read"], by="test")
    assert Caller(text).get("charge-points").status == 200

    ApiToken.objects.filter(pk=row.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    assert Caller(text).get("charge-points").status == 401
    ApiToken.objects.filter(pk=row.pk).update(expires_at=None)
    assert Caller(text).get("charge-points").status == 200
    assert api_tokens.revoke(row.pk, by="test")
    assert not api_tokens.revoke(row.pk, by="test")
    assert Caller(text).get("charge-points").status == 401


@pytest.mark.req("OCPP-115")
@pytest.mark.parametrize(
    ("scope", "statuses"), [("read", (200, 403, 403)), ("operate", (403, 201, 403)), ("manage", (403, 403, 201))]
)
def test_a_token_does_what_its_rights_say(api: Caller, scope: str, statuses: tuple[int, ...]) -> None:
    limited = caller(scope)

    found = (
        limited.get("charge-points").status,
        limited.post("id-tags", {"id_tag": "TAG1"}).status,
        limited.post("charge-points", {"identity": "CP-NEW"}).status,
    )

    assert found == statuses


@pytest.mark.req("OCPP-115")
def test_what_belongs_to_another_tenant_is_not_there(api: Caller) -> None:
    add_charge_point("CP-OTHER", country_code="DE", party_id="OTH")
    IdTag.objects.create(country_code="DE", party_id="OTH", id_tag="THEIRS")
    everybody, other = caller(tenant=None), caller(tenant=OTHER_TENANT)

    for path in ("", "/operations", "/transactions", "/reservations", "/frames", "/frames/stream", "/reports"):
        assert api.get(f"charge-points/CP-OTHER{path}").code == (404, "NOT_FOUND")
    assert api.post("charge-points/CP-OTHER/operations", {"action": "ClearCache"}).status == 404
    assert api.get("id-tags/THEIRS").status == 404
    assert (api.get("charge-points").json, api.get("id-tags").json) == ([], [])
    assert api.post("id-tags", {"id_tag": "X", "party": "DE*OTH"}).code == (403, "FORBIDDEN")
    for allowed in (everybody, other):
        assert allowed.get("charge-points/cp-other").json["identity"] == "CP-OTHER"
        assert allowed.get("id-tags/theirs").status == 200


@pytest.mark.req("OCPP-115")
@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        ("{", (400, "INVALID_JSON"), None),
        ("[" * 5000, (400, "INVALID_JSON"), None),
        ("[]", (422, "INVALID"), "body"),
        ("{}", (422, "INVALID"), "action"),
        ('{"action": 7}', (422, "INVALID"), "action"),
        ('{"action": "Reset", "color": "red"}', (422, "INVALID"), "color"),
        ('{"action": "Reset", "wait": "long"}', (422, "INVALID"), "wait"),
        ('{"action": "Reset", "refs": {"car": "1"}}', (422, "INVALID"), "refs.car"),
        ('{"action": "Reset", "timeout": 0}', (422, "INVALID"), "timeout"),
        ('{"action": "Reset", "expires_at": "soon"}', (422, "INVALID"), "expires_at"),
        ('{"action": "Reset", "payload": {"type": "Gentle"}}', (422, "INVALID"), "payload.type"),
        ('{"action": "Reset", "payload": {}}', (422, "INVALID"), "payload.type"),
        ('{"action": "Dance"}', (422, "UNKNOWN_ACTION"), "action"),
        ('{"action": "BootNotification"}', (422, "UNKNOWN_ACTION"), "action"),
        ('{"action": "GetVariables"}', (422, "UNKNOWN_ACTION"), "action"),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_field_and_rule(
    api: Caller, raw: str, code: tuple[int, str], field: str | None
) -> None:
    add_charge_point()

    answer = api.ask("POST", "charge-points/CP-1/operations", raw=raw)

    assert answer.code == code, answer.json
    assert answer.json.get("field") == field
    assert answer.json["message"]


@pytest.mark.req("OCPP-115")
@pytest.mark.parametrize(
    ("path", "field"),
    [("charge-points?color=red", "color"), ("charge-points?limit=many", "limit"), ("charge-points?limit=501", "limit"),
     ("charge-points?order=color", "order"), ("charge-points?online=maybe", "online"),
     ("charge-points/CP-1/transactions?state=half", "state"), ("charge-points/CP-1/frames?since=today", "since"),
     ("charge-points/CP-1/transactions?wait_for=open&timeout=999", "timeout")],
)  # fmt: skip
def test_a_query_that_is_wrong_is_refused(api: Caller, path: str, field: str) -> None:
    add_charge_point()

    answer = api.get(path)

    assert answer.code == (422, "INVALID")
    assert answer.json["field"] == field


def test_methods_and_urls_that_are_none_are_answered_in_json(api: Caller) -> None:
    add_charge_point()

    assert api.ask("PATCH", "charge-points/CP-1").code == (405, "METHOD_NOT_ALLOWED")
    assert api.get("nothing/here").code == (404, "NOT_FOUND")


def _operator(*permissions: str) -> Client:
    user = User.objects.create_user("operator", password=PASSWORD, is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions, content_type__app_label="cpo"))
    client = Client(enforce_csrf_checks=True)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.req("OCPP-115")
def test_a_session_of_the_admin_does_as_well_and_needs_its_csrf_token(api: Caller) -> None:
    add_charge_point()
    client = _operator("view_chargepoint", "change_chargepoint")
    body: dict[str, Any] = {"id_tag": "TAG1"}
    token = "a" * 32

    read = client.get(f"{PREFIX}/charge-points/CP-1")
    without = client.post(f"{PREFIX}/id-tags", body, content_type="application/json")
    client.cookies[settings.CSRF_COOKIE_NAME] = token
    with_token = client.post(f"{PREFIX}/id-tags", body, content_type="application/json", headers={"X-CSRFToken": token})
    not_allowed = client.delete(f"{PREFIX}/charge-points/CP-1", headers={"X-CSRFToken": token})

    assert read.status_code == 200
    assert (without.status_code, without.json()["error"]) == (403, "FORBIDDEN")
    assert with_token.status_code == 201
    assert not_allowed.status_code == 403


def test_a_session_that_has_ended_or_is_no_operators_is_none(api: Caller) -> None:
    client = _operator("view_chargepoint")
    User.objects.update(is_staff=False)

    assert client.get(f"{PREFIX}/charge-points").status_code == 401
    client.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    assert client.get(f"{PREFIX}/charge-points").status_code == 401


@pytest.mark.req("OCPP-115")
def test_the_command_makes_lists_and_revokes_tokens(api: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("api_token", "kit", "--party", "NL*TNM", "--scopes", "read", "--days", "1", "--json")
    made = json.loads(capsys.readouterr().out)
    call_command("api_token", "--list", "--json")
    listed = json.loads(capsys.readouterr().out)

    assert Caller(made["token"]).get("charge-points").status == 200
    assert [(each["id"], each["party"], each["scopes"]) for each in listed if each["name"] == "kit"] == [
        (made["id"], "NL*TNM", ["read"])
    ]
    assert made["token"] not in json.dumps(listed)
    row = ApiToken.objects.get(pk=made["id"])
    assert made["token"] not in (row.digest, row.name)
    call_command("api_token", "--revoke", str(made["id"]))
    assert Caller(made["token"]).get("charge-points").status == 401
    for wrong in (["--revoke", "0"], [], ["kit", "--scopes", "dance"], ["kit", "--party", "FR*XXX"]):
        with pytest.raises(CommandError):
            call_command("api_token", *wrong)


def test_a_token_of_a_tenant_is_compared_without_regard_to_case(api: Caller) -> None:
    add_charge_point()

    assert caller(tenant=Address("nl", "tnm")).get("charge-points/cp-1").status == 200


@pytest.mark.django_db
@pytest.mark.parametrize(("sides", "document"), [("cpo", f"{PREFIX}/openapi.json"), ("hub", "/openapi.json")])
def test_the_page_of_the_documentation_shows_it_where_there_are_charge_points(
    side: Side, client: Client, sides: str, document: str
) -> None:
    side(sides, parties=[])

    page = client.get("/docs/?api=ocpp").content.decode()

    assert f'data-document="{document}"' in page
