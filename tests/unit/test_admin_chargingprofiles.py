"""The admin's pages of charging profiles: what they show, and the limits an operator sets and removes there."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cpo.models import EVSE, ChargePoint, ChargePointProfile, ChargingProfileRequest, Operation, Session
from tests.admin_world import PARTNER_PATH
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.admin_world import world_fixture as world_fixture


@pytest.fixture
def point(world: dict[str, Any]) -> ChargePoint:
    ChargePoint.objects.update(online=True)
    return ChargePoint.objects.get()


def page(client: Client, name: str, *arguments: Any) -> str:
    answer = client.get(reverse(f"admin:cpo_{name}", args=arguments))
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def set_limit(client: Client, point: ChargePoint, **form: Any) -> Any:
    url = reverse("admin:cpo_chargepoint_set_limit", args=[point.pk])
    return client.post(url, {"connector": "0", "unit": "W", "limit": "9000.5", **form})


def test_a_request_shows_session_owner_answer_result_and_timing(operator: Client, world: dict[str, Any]) -> None:
    row = ChargingProfileRequest.objects.get()

    listed = page(operator, "chargingprofilerequest_changelist")
    shown = page(operator, "chargingprofilerequest_change", row.pk)

    for text in ("PUT", "DE*EMS", "ACCEPTED", "DONE", "result +", "due +", str(row.session)):
        assert text in listed, text
    assert "charging_profile_period" in shown
    assert PARTNER_PATH not in listed + shown


def test_the_page_of_a_session_shows_preferences_and_profiles(operator: Client, world: dict[str, Any]) -> None:
    shown = page(operator, "session_change", Session.objects.get().pk)

    for text in ("charging preferences", "GREEN", "35.5", "charging profiles asked for"):
        assert text.lower() in shown.lower(), text


def test_the_page_of_a_charge_point_shows_what_it_holds_and_can_do(operator: Client, point: ChargePoint) -> None:
    shown = page(operator, "chargepoint_change", point.pk)
    listed = page(operator, "chargepointprofile_changelist")

    assert "A,W" in shown
    assert "TxProfile" in shown
    assert "11000 W, from 30 min 7400.5 W" in listed


@pytest.mark.req("OCPP-89")
@pytest.mark.parametrize(("connector", "purpose"), [("0", "ChargePointMaxProfile"), ("1", "TxDefaultProfile")])
def test_an_operator_sets_a_limit(operator: Client, point: ChargePoint, connector: str, purpose: str) -> None:
    asked = page(operator, "chargepoint_set_limit", point.pk)

    answer = set_limit(operator, point, connector=connector)

    assert "connector 1" in asked
    assert answer.status_code == 302
    row = ChargePointProfile.objects.get(origin="OPERATOR")
    sent = json.loads(Operation.objects.get(action="SetChargingProfile").payload)
    profile = sent["csChargingProfiles"]
    assert (sent["connectorId"], profile["chargingProfilePurpose"]) == (int(connector), purpose)
    assert (profile["chargingProfileId"], profile["stackLevel"]) == (row.pk, 0)
    assert profile["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 9000.5}]
    assert (row.state, row.asked_by) == ("ASKED", "operator")


@pytest.mark.parametrize(("changes", "text"), [
    ({"limit": "-1"}, "greater than or equal to 0"),
    ({"limit": "9.25"}, "no more than 1 decimal place"),
    ({"limit": ""}, "required"),
    ({"connector": "7"}, "not one of the available choices"),
    ({"unit": "kW"}, "not one of the available choices"),
])  # fmt: skip
def test_a_broken_limit_is_named_and_asks_nobody(
    operator: Client, point: ChargePoint, changes: dict[str, str], text: str
) -> None:
    answer = set_limit(operator, point, **changes)

    assert text in html.unescape(answer.content.decode())
    assert not Operation.objects.filter(action="SetChargingProfile").exists()


def test_a_charge_point_that_is_away_takes_no_limit(operator: Client, point: ChargePoint) -> None:
    ChargePoint.objects.update(online=False)

    answer = set_limit(operator, point)

    assert "CP-1 is not connected" in answer.content.decode()
    assert not ChargePointProfile.objects.filter(origin="OPERATOR").exists()


@pytest.mark.req("CHP-25")
def test_a_profile_is_removed_after_a_question(operator: Client, point: ChargePoint) -> None:
    row = ChargePointProfile.objects.get()
    url = reverse("admin:cpo_chargepointprofile_remove", args=[row.pk])

    asked = operator.post(url)
    before = Operation.objects.filter(action="ClearChargingProfile").count()
    operator.post(url, {"confirmed": "yes"})

    assert "Remove this profile" in asked.content.decode()
    operation = Operation.objects.get(action="ClearChargingProfile")
    row.refresh_from_db()
    assert (before, json.loads(operation.payload), row.state) == (0, {"id": row.pk}, "CLEARING")


@pytest.mark.req("SEC-53")
def test_who_may_only_look_sets_no_limit(viewer: Client, point: ChargePoint) -> None:
    row = ChargePointProfile.objects.get()
    remove = reverse("admin:cpo_chargepointprofile_remove", args=[row.pk])

    answers = [set_limit(viewer, point), viewer.post(remove, {"confirmed": "yes"})]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert EVSE.objects.exists()
    assert not Operation.objects.filter(action__endswith="ChargingProfile").exists()
