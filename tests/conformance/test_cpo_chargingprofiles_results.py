"""Charging profiles, Receiver interface: the one result, and what the charge point gets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cpo import chargingprofile_states as states
from cpo.models import EVSE, ChargePointProfile, ChargingProfileRequest, Operation, Session, SmartCharging
from cpo.modules import chargingprofiles_operations as profiles
from ocpi import documents
from ocpi.models import Delivery
from tests.chargingprofiles_support import (
    a_while_later,
    ask,
    delete,
    results,
    sent,
    settle,
)
from tests.chargingprofiles_support import put_fixture as put_fixture
from tests.chargingprofiles_support import session_fixture as session_fixture
from tests.cpo_support import BASE, Point
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.people import Person
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


# ---------------------------------------------------------------- the result

SCHEDULE = {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000}]}
LOST = [
    {"state": "CALLERROR", "error": "NotSupported: no"}, {"state": "CALLERROR", "error": "InternalError: no"},
    {"state": "TIMEOUT"}, {"state": "CONNECTION_LOST"}, {"state": "INVALID_ANSWER"}, {"state": "EXPIRED"},
    {"state": "CANCELLED"},
]  # fmt: skip


@pytest.mark.req("CHP-16", "CHP-17", "CHP-18", "CHP-20", "OCPP-92")
@pytest.mark.parametrize(("method", "how", "result"), [
    ("PUT", {"status": "Accepted"}, "ACCEPTED"),
    ("PUT", {"status": "Rejected"}, "REJECTED"),
    ("PUT", {"status": "NotSupported"}, "REJECTED"),
    ("DELETE", {"status": "Accepted"}, "ACCEPTED"),
    ("DELETE", {"status": "Unknown"}, "UNKNOWN"),
    ("GET", {"answer": {"status": "Rejected"}}, "REJECTED"),
    ("GET", {"answer": {"status": "Accepted"}}, "UNKNOWN"),
    ("GET", {"answer": {"status": "Accepted", "chargingSchedule": {**SCHEDULE, "chargingSchedulePeriod": []}}},
     "UNKNOWN"),
    ("GET", {"answer": {"status": "Accepted", "chargingSchedule": SCHEDULE}}, "ACCEPTED"),
    *[(method, how, "REJECTED") for method in ("PUT", "GET", "DELETE") for how in LOST],
])  # fmt: skip
def test_how_the_operation_ends_is_the_one_result(
    session: Session, put: Any, emsp: Person, listener: Listener, method: str, how: dict[str, Any], result: str
) -> None:
    if method == "DELETE":
        put(session)
        settle()
        results(listener)
        listener.forget()
        a_while_later()
    assert ask(method, session, put, emsp).data["result"] == "ACCEPTED"

    operation = settle(**how)
    profiles.settle(operation.pk)
    profiles.sweep()

    [got] = results(listener)
    assert got["result"] == result
    assert ("profile" in got) == (method == "GET" and result == "ACCEPTED")


@pytest.mark.req("CHP-17")
def test_delete_without_a_profile_is_unknown_and_asks_nobody(
    session: Session, emsp: Person, listener: Listener
) -> None:
    answer = delete(emsp, session)

    assert answer.data["result"] == "ACCEPTED"
    assert results(listener) == [{"result": "UNKNOWN"}]
    assert not Operation.objects.exists()


@pytest.mark.req("CHP-20", "OCPP-92")
@pytest.mark.parametrize("state", ["QUEUED", "SENT"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_without_an_answer_it_is_rejected_before_the_announced_end(
    session: Session, put: Any, emsp: Person, listener: Listener, method: str, state: str
) -> None:
    if method == "DELETE":
        put(session)
        settle()
        a_while_later()
        results(listener)
        listener.forget()
    ask(method, session, put, emsp)
    row = ChargingProfileRequest.objects.latest("pk")
    assert row.created_at < row.give_up_at < row.deadline_at
    assert (row.deadline_at - row.created_at).total_seconds() == 60
    ChargingProfileRequest.objects.filter(pk=row.pk).update(give_up_at=row.created_at)
    Operation.objects.filter(state="QUEUED").update(state=state, sent_at=row.created_at if state == "SENT" else None)

    profiles.sweep()
    profiles.sweep()

    assert results(listener) == [{"result": "REJECTED"}]
    assert not Operation.objects.filter(state="QUEUED", action="SetChargingProfile").exists()


@pytest.mark.req("CHP-19")
def test_a_result_that_comes_too_late_is_dropped(session: Session, put: Any, listener: Listener) -> None:
    put(session)
    settle("Rejected")
    assert Delivery.objects.get(kind="RESULT").deadline_at == ChargingProfileRequest.objects.get().deadline_at
    Delivery.objects.filter(kind="RESULT").update(deadline_at=timezone.now())

    assert results(listener) == []
    assert not Delivery.objects.filter(kind="RESULT").exists()


# ---------------------------------------------------------------- what the charge point takes


@pytest.mark.req("OCPP-89", "CHP-29", "CHP-28")
def test_what_the_charge_point_cannot_take_is_converted_to_its_way(session: Session, point: Point, put: Any) -> None:
    SmartCharging.objects.create(charge_point=point.row, rate_units="A", max_periods=2, max_stack_level=0)

    put(session)

    profile = sent()["csChargingProfiles"]
    assert profile["stackLevel"] == 0
    assert profile["chargingSchedule"]["chargingRateUnit"] == "A"
    assert profile["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 10.7},  # 7400.5 W / 230 V / 3 phases: the lower of the first two periods
        {"startPeriod": 5400, "limit": 31.8},
    ]


@pytest.mark.req("OCPP-92")
def test_what_the_charge_point_cannot_take_at_all_is_rejected_at_once(
    session: Session, point: Point, put: Any, listener: Listener
) -> None:
    SmartCharging.objects.create(charge_point=point.row, max_periods=0)

    assert put(session).data == {"result": "REJECTED", "timeout": 0}
    assert not ChargePointProfile.objects.exists()
    assert results(listener) == []


@pytest.mark.req("OCPP-89")
def test_ids_are_not_used_again_and_the_newest_replaces(session: Session, put: Any) -> None:
    put(session)
    first = sent(settle())["csChargingProfiles"]["chargingProfileId"]
    a_while_later()
    put(session, 2)
    second = sent(settle())["csChargingProfiles"]["chargingProfileId"]

    assert first != second
    assert dict(ChargePointProfile.objects.values_list("pk", "state")) == {
        first: states.REPLACED, second: states.INSTALLED,
    }  # fmt: skip


@pytest.mark.req("OCPP-89", "CHP-20")
@pytest.mark.parametrize(("answer", "old", "new"), [
    ("Accepted", "REPLACED", "REMOVED"), ("Unknown", "INSTALLED", "REJECTED"),
])  # fmt: skip
def test_after_a_lost_answer_the_profile_is_taken_back(
    session: Session, put: Any, listener: Listener, answer: str, old: str, new: str
) -> None:
    put(session)
    settle()
    a_while_later()
    put(session, 2)
    Operation.objects.filter(state="QUEUED").update(sent_at=timezone.now())
    settle(state="TIMEOUT")
    known = list(ChargePointProfile.objects.order_by("pk").values_list("state", flat=True))

    clearing = settle(answer)

    first, second = ChargePointProfile.objects.order_by("pk")
    assert known == [states.INSTALLED, states.DOUBTFUL]
    assert (clearing.action, sent(clearing)) == ("ClearChargingProfile", {"id": second.pk})
    assert (first.state, second.state) == (old, new)
    assert results(listener) == [{"result": "ACCEPTED"}, {"result": "REJECTED"}]


@pytest.mark.req("OCPP-89", "CHP-22")
def test_profiles_go_when_the_session_ends(session: Session, point: Point, put: Any, listener: Listener) -> None:
    put(session)
    settle()
    results(listener)
    listener.forget()

    point.stop(session.transaction.transaction_id, 2000, at=BASE + timedelta(minutes=30))
    clearing = settle("Unknown")

    assert (clearing.action, ChargePointProfile.objects.get().state) == ("ClearChargingProfile", states.REMOVED)
    results(listener)
    assert listener.received("PUT", "/ocpi/2.2.1/sender/chargingprofiles") == []


# ---------------------------------------------------------------- what the charge point can do


def say(*keys: tuple[str, str]) -> dict[str, Any]:
    return {"configurationKey": [{"key": key, "readonly": True, "value": value} for key, value in keys]}


@pytest.mark.req("OCPP-92", "OCPP-89")
def test_after_its_boot_a_charge_point_is_asked_what_it_can_do(session: Session, point: Point, put: Any) -> None:
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    Operation.objects.exclude(asked_by="smart charging").delete()
    asked = settle(answer=say(
        ("ChargingScheduleAllowedChargingRateUnit", "Current"), ("ChargingScheduleMaxPeriods", "1"),
        ("ChargeProfileMaxStackLevel", "0"), ("SupportedFeatureProfiles", "Core,SmartCharging"),
    ))  # fmt: skip
    put(session)

    assert asked.action == "GetConfiguration"
    assert sorted(sent(asked)["key"]) == [
        "ChargeProfileMaxStackLevel", "ChargingScheduleAllowedChargingRateUnit", "ChargingScheduleMaxPeriods",
        "StopTransactionOnInvalidId", "SupportedFeatureProfiles",
    ]  # fmt: skip
    profile = sent()["csChargingProfiles"]
    assert profile["stackLevel"] == 0
    assert profile["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.7}]


@pytest.mark.req("CHP-15")
@pytest.mark.parametrize(("answer", "response"), [
    (say(("SupportedFeatureProfiles", "Core,Reservation")), "NOT_SUPPORTED"),
    (say(("SupportedFeatureProfiles", "Core, SmartCharging")), "ACCEPTED"),
    (say(("ChargingScheduleMaxPeriods", "many")), "ACCEPTED"),
    ({}, "ACCEPTED"),
])  # fmt: skip
def test_a_charge_point_that_says_it_has_no_smart_charging_is_believed(
    session: Session, point: Point, put: Any, answer: dict[str, Any], response: str
) -> None:
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    Operation.objects.exclude(asked_by="smart charging").delete()
    settle(answer=answer)

    assert put(session).data["result"] == response


@pytest.mark.req("OCPP-89", "CHP-20")
def test_a_charge_point_that_is_away_is_asked_to_remove_a_doubtful_profile_when_it_is_back(
    session: Session, point: Point, put: Any
) -> None:
    put(session)
    Operation.objects.filter(state="QUEUED").update(sent_at=timezone.now())
    settle(state="CONNECTION_LOST")

    clearing = Operation.objects.get(state="QUEUED")

    assert clearing.action == "ClearChargingProfile"
    assert clearing.deliver_later
    assert ChargePointProfile.objects.get().state == states.DOUBTFUL


@pytest.mark.req("OCPP-92", "LOC-69")
def test_three_answers_that_it_knows_no_profiles_take_the_capability_away(
    session: Session, put: Any, settings: Any
) -> None:
    settings.OCPI_PROFILE_CHANGE_SECONDS = 0
    for number in range(3):
        put(session, number)
        settle("NotSupported")

    row = EVSE.objects.get(charge_point__isnull=False)
    assert "CHARGING_PROFILE_CAPABLE" not in documents.get(row.document, "capabilities")
    assert put(session, 4).data["result"] == "NOT_SUPPORTED"
