"""Forms made of the schemas of OCPP, and the pages of the admin that ask charge points with them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from cpo.gateway import frames, outgoing
from cpo.models import ApiToken, ChargePoint, Operation
from cpo.operation_forms import OperationForm, more_items
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.fixtures import Side
from tests.operation_api import add_charge_point
from tests.operation_tables import CASES_16, CASES_201

_CASES = [("1.6", *case) for case in CASES_16] + [("2.0.1", *case) for case in CASES_201]


@pytest.mark.req("OCPP-78")
def test_every_action_has_a_form() -> None:
    for version in ("1.6", "2.0.1"):
        for action in outgoing.actions(version):
            form = OperationForm(version, action)
            assert form.tree.kind in ("object", "leaf"), action
            assert "customData" not in str(form)


@pytest.mark.req("OCPP-78")
@pytest.mark.parametrize(("version", "action", "payload"), _CASES)
def test_a_payload_that_is_typed_in_is_the_payload(version: str, action: str, payload: dict[str, Any]) -> None:
    form = OperationForm(version, action, _typed(payload))

    assert form.is_valid(), form.errors
    written = frames.payload_text(form.payload())
    frames.check_text(version, action, written)
    assert json.loads(written) == payload


def _typed(payload: Any, path: str = "") -> dict[str, str]:
    """Return what somebody types for a payload."""
    found: dict[str, str] = {}
    if isinstance(payload, dict) and path != "data":
        for name, member in payload.items():
            found |= _typed(member, f"{path}.{name}" if path else name)
    elif isinstance(payload, list):
        found[f"{path}[]"] = str(len(payload))
        for place, item in enumerate(payload):
            found |= _typed(item, f"{path}.{place}")
    elif isinstance(payload, bool | dict):
        found[path] = json.dumps(payload)
    else:
        found[path] = str(payload)
    return found


@pytest.mark.req("OCPP-78")
def test_what_is_no_value_of_its_kind_is_refused_beside_its_field() -> None:
    form = OperationForm(
        "1.6", "GetCompositeSchedule", {"connectorId": "one", "duration": "60", "chargingRateUnit": "X"}
    )

    assert not form.is_valid()
    assert set(form.errors) == {"connectorId", "chargingRateUnit"}


@pytest.mark.req("OCPP-78")
def test_numbers_stay_decimals_and_moments_are_utc() -> None:
    path = "csChargingProfiles.chargingSchedule"
    form = OperationForm("1.6", "SetChargingProfile", {
        f"{path}.chargingSchedulePeriod[]": "1",
        f"{path}.chargingSchedulePeriod.0.limit": "16.10",
        f"{path}.startSchedule": "2030-01-31T12:00:00",
    })  # fmt: skip

    assert form.is_valid(), form.errors
    schedule = form.payload()["csChargingProfiles"]["chargingSchedule"]
    assert schedule["chargingSchedulePeriod"][0]["limit"] == Decimal("16.10")
    assert schedule["startSchedule"] == "2030-01-31T12:00:00Z"


def test_an_array_gets_one_more_item_and_one_less() -> None:
    data = QueryDict("key[]=1&key.0=A", mutable=True)

    more_items(data, "key")
    assert [leaf.path for leaf in OperationForm("1.6", "GetConfiguration", data).tree.leaves()] == ["key.0", "key.1"]
    for _ in range(3):
        more_items(data, "-key")
    assert data["key[]"] == "0"


def _url(row: ChargePoint, query: str = "") -> str:
    return f"/admin/cpo/chargepoint/{row.pk}/send-operation/{query}"


@pytest.mark.req("OCPP-78")
def test_an_operator_sends_an_operation_and_sees_what_comes_of_it(operator: Client, side: Side) -> None:
    row = add_charge_point()

    choice = operator.get(_url(row))
    form = operator.get(_url(row, "?action=RemoteStartTransaction"))
    wrong = operator.post(_url(row, "?action=UnlockConnector"), {"connectorId": ""})
    more = operator.post(_url(row, "?action=GetConfiguration"), {"key[]": "0", "more": "key"})
    sent = operator.post(_url(row, "?action=UnlockConnector"), {"connectorId": "1", "timeout": "12"})

    assert set(re.findall(r"\?action=(\w+)", choice.content.decode())) == outgoing.V16
    assert 'name="chargingProfile.chargingSchedule.chargingRateUnit"' in form.content.decode()
    assert '<p class="o-error">payload.connectorId: must be there</p>' in wrong.content.decode()
    assert 'name="key.0"' in more.content.decode()
    operation = Operation.objects.get()
    assert (operation.action, operation.payload, operation.timeout_s) == ("UnlockConnector", '{"connectorId":1}', 12)
    assert operation.asked_by == "operator"
    assert sent.headers["Location"] == _url(row, f"?operation={operation.pk}")
    shown = operator.get(sent.headers["Location"]).content.decode()
    assert f'data-api="/api/ocpp/v1/operations/{operation.pk}"' in shown
    assert operator.get(_url(row, "?action=Dance")).status_code == 404
    assert operator.get(_url(row, "?operation=x")).status_code == 404


@pytest.mark.req("OCPP-78", "OCPP-80")
def test_the_page_says_that_a_charge_point_is_away_and_keeps_what_was_typed(operator: Client) -> None:
    row = add_charge_point(online=False, protocol="2.0.1")

    answer = operator.post(_url(row, "?action=Reset"), {"type": "OnIdle", "evseId": "3"})

    content = answer.content.decode()
    assert "is not connected" in content
    assert 'value="3"' in content
    assert not Operation.objects.exists()


def test_who_may_only_look_sends_nothing(viewer: Client) -> None:
    row = add_charge_point()

    assert viewer.post(_url(row, "?action=ClearCache"), {}).status_code == 403
    assert viewer.post("/admin/cpo/apitoken/make-token/", {"name": "x", "scopes": "read"}).status_code == 403
    assert not Operation.objects.exists()


def test_a_token_is_made_in_the_admin_shown_once_and_revoked(operator: Client, side: Side) -> None:
    side("cpo", parties=["NL*TNM:CPO"])
    asked = {"name": "kit", "tenant": "NL*TNM", "scopes": ["read", "operate"], "days": "3"}

    made = operator.post("/admin/cpo/apitoken/make-token/", asked)

    row = ApiToken.objects.get()
    found = re.search(r"<code>(ocpp_[\w-]+)</code>", made.content.decode())
    assert found is not None
    assert "no-store" in made.headers["Cache-Control"]
    assert (row.scopes, row.party_id, row.created_by) == (["read", "operate"], "TNM", "operator")
    page = reverse("admin:cpo_apitoken_change", args=[row.pk])
    assert found[1] not in operator.get(page).content.decode()
    operator.post(f"/admin/cpo/apitoken/{row.pk}/revoke/", {"confirmed": "yes"})
    row.refresh_from_db()
    assert row.revoked_at is not None
