"""No password, key or URL of a file is shown: not in frames, not in what is kept of operations (OCPP-29, SEC-50)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cpo.gateway import masking
from cpo.models import ChargePoint, Operation
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import world_fixture as world_fixture
from tests.operation_api import Caller, add_charge_point
from tests.operation_api import api_fixture as api_fixture

SECRET = "s3cret-Value_of_0123456789"
URL = f"https://h.example/ocpp/files/{SECRET}"
BASIC = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
OTHER = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}, "attributeValue": "60"}

# action, what is asked, what is answered
CASES: list[tuple[str, Any, Any]] = [
    ("ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}, {"status": "Accepted"}),
    ("ChangeConfiguration", {"value": SECRET, "key": "authorizationkey"}, {"status": "Accepted"}),
    ("SetVariables", {"setVariableData": [OTHER, {**BASIC, "attributeValue": SECRET}, OTHER]},
     {"setVariableResult": [{**BASIC, "attributeStatus": "Rejected", "attributeValue": SECRET}]}),
    ("SetVariables", {"setVariableData": [{"attributeValue": SECRET, "attributeType": "Actual", **BASIC}]},
     {"setVariableResult": []}),
    ("GetConfiguration", {}, {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}]}),
    ("GetVariables", {}, {"getVariableResult": [{**BASIC, "attributeStatus": "Accepted", "attributeValue": SECRET}]}),
    ("GetDiagnostics", {"location": URL}, {"fileName": "a.zip"}),
    ("GetDiagnostics", {"location": f"ftp://user:{SECRET}@h.example/x"}, {}),
    ("GetLog", {"log": {"remoteLocation": URL}, "logType": "SecurityLog", "requestId": 1}, {"status": "Accepted"}),
    ("GetLog", {"log": {"remoteLocation": f"https://h.example/x?signature={SECRET}"}}, {"status": "Accepted"}),
    ("UpdateFirmware", {"location": f"{URL}/fw.bin", "retrieveDate": "2030-01-01T00:00:00Z"}, {}),
    ("SignedUpdateFirmware", {"firmware": {"location": URL, "signature": "S"}, "requestId": 1}, {"status": "Accepted"}),
    ("SetNetworkProfile", {"connectionData": {"vpn": {"user": "u", "password": SECRET, "key": SECRET}}}, {}),
    ("DataTransfer", {"vendorId": "V", "data": json.dumps({"key": "AuthorizationKey", "value": SECRET})}, {}),
]  # fmt: skip


def ended(action: str, asked: Any, answer: Any, point: ChargePoint) -> Operation:
    return Operation.objects.create(
        charge_point=point, action=action, payload=json.dumps(asked), asked_by="test", state="ANSWERED",
        answer=json.dumps(answer),
    )  # fmt: skip


@pytest.mark.req("OCPP-29", "SEC-50")
@pytest.mark.parametrize(("action", "asked", "answer"), CASES)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_frames_show_no_secret(action: str, asked: Any, answer: Any, separators: tuple[str, str]) -> None:
    frames = [json.dumps(frame, separators=separators) for frame in ([2, "1", action, asked], [3, "1", answer])]

    masked = [masking.mask(frame) for frame in frames]

    assert SECRET in "".join(frames)
    assert SECRET not in "".join(masked)
    for frame, clean in zip(frames, masked, strict=True):
        assert (clean == frame) is (SECRET not in frame)
        json.loads(clean)


@pytest.mark.req("OCPP-29")
def test_all_else_in_a_frame_stays_as_it_was() -> None:
    variables = [OTHER, {**BASIC, "attributeValue": SECRET}]
    frame = f'[2, "1","SetVariables",{{"setVariableData":{json.dumps(variables)}, "x":1.50}}]'

    assert masking.mask(frame) == frame.replace(SECRET, "***")
    plain = '[2,"1","ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}]'
    assert masking.mask(plain) == plain


@pytest.mark.req("OCPP-29")
@pytest.mark.parametrize(
    "text",
    [
        f'[2,"1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{SECRET}"',
        f'[2,"1","ChangeConfiguration",{{"value":"{SECRET}","key":"AuthorizationKey",}}]',
        f'[2,"1","SetVariables",[{{"variable":{{"name":"BasicAuthPassword"}},"attributeValue":"{SECRET}"}}',
    ],
)
def test_what_is_no_json_shows_none_either(text: str) -> None:
    assert SECRET not in masking.mask(text)


@pytest.mark.req("OCPP-29", "SEC-50")
@pytest.mark.django_db
@pytest.mark.parametrize(("action", "asked", "answer"), CASES)
def test_the_operation_api_shows_no_secret(api: Caller, action: str, asked: Any, answer: Any) -> None:
    row = ended(action, asked, answer, add_charge_point())

    one, listed = api.get(f"operations/{row.pk}"), api.get("charge-points/CP-1/operations")

    assert one.json["action"] == listed.json[0]["action"] == action
    assert SECRET not in one.content.decode() + listed.content.decode()
    assert "***" in one.content.decode()
    row.refresh_from_db()
    assert SECRET in f"{row.payload}{row.answer}"  # it goes out as it was asked


@pytest.mark.req("OCPP-29", "SEC-50")
@pytest.mark.django_db
def test_the_pages_of_operations_show_no_secret(world: dict[str, Any], operator: Client) -> None:
    point = ChargePoint.objects.get()

    rows = [ended(action, asked, answer, point) for action, asked, answer in CASES]
    pages = [reverse("admin:cpo_operation_change", args=[row.pk]) for row in rows]

    for page in (*pages, reverse("admin:cpo_chargepoint_change", args=[point.pk])):
        came = operator.get(page)
        assert came.status_code == 200
        assert SECRET not in came.content.decode(), page
        assert "ANSWERED" in came.content.decode()
