"""What the status of our Sessions means, from a command or a reservation to the end (SES-15)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from cpo.models import CDR, Command, Session
from cpo.modules import sessions_pending
from ocpi.v2_2_1 import sessions as session_schema
from tests.commands_support import TAG, Commander, reserved_tariff, whole_minute
from tests.cpo_support import EVSE_UID, Point, add_location, add_point, add_tariff, stamp, with_tariff
from tests.fixtures import Document, Partner
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def point(document: Document) -> Point:
    add_tariff(reserved_tariff())
    return add_point(add_location(with_tariff(document("location"))))


@pytest.fixture
def emsp(partner: Partner, listener: Listener, document: Document) -> Commander:
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


@pytest.fixture
def pending(settings: Any) -> None:
    settings.OCPI_PENDING_SECONDS = 120


def started(emsp: Commander, **ending: Any) -> None:
    emsp.send("START_SESSION")
    emsp.answer(**ending)


@pytest.mark.req("CMD-23", "SES-15")
def test_an_accepted_command_alone_is_no_session(point: Point, emsp: Commander) -> None:
    started(emsp)
    before = emsp.sessions()
    point.start(TAG)

    assert emsp.results() == ["ACCEPTED"]
    assert before == []
    assert [each["status"] for each in emsp.sessions()] == ["ACTIVE"]


@pytest.mark.req("SES-15", "SES-19", "SES-21", "CMD-30", "CMD-31")
def test_a_pending_session_becomes_active_with_another_start_time(point: Point, emsp: Commander, pending: None) -> None:
    moment = whole_minute()
    with time_machine.travel(moment, tick=False):
        started(emsp)
    [shown] = emsp.sessions()
    with time_machine.travel(moment + timedelta(seconds=90), tick=False):
        point.start(TAG, at=moment + timedelta(seconds=90))
        number = Session.objects.get().transaction.transaction_id
        active = emsp.sessions()[-1]
        point.stop(number, 2000, at=moment + timedelta(seconds=690))

    session_schema.check(json.dumps(shown).encode(), "Session", strict=True)
    assert (shown["status"], shown["kwh"], shown["evse_uid"]) == ("PENDING", 0, EVSE_UID)
    assert (shown["auth_method"], shown["authorization_reference"]) == ("COMMAND", "AUTH-20250912-0815")
    assert (shown["start_date_time"], active["start_date_time"]) == (
        stamp(moment), stamp(moment + timedelta(seconds=90)),
    )  # fmt: skip
    assert (active["status"], active["id"]) == ("ACTIVE", shown["id"])
    assert Session.objects.get().status == "COMPLETED"
    assert Command.objects.get().session_id == shown["id"] == CDR.objects.get().session_id


@pytest.mark.req("SES-15")
def test_a_pending_session_without_a_transaction_becomes_invalid(point: Point, emsp: Commander, pending: None) -> None:
    started(emsp)
    emsp.drain()
    assert sessions_pending.expire_due() == 0

    with time_machine.travel(timezone.now() + timedelta(seconds=121)):
        assert sessions_pending.expire_due() == 1
        assert sessions_pending.expire_due() == 0

    last = emsp.sessions()[-1]
    assert last["status"] == "INVALID"
    assert Session.objects.get().status == json.loads(Session.objects.get().document)["status"] == "INVALID"
    assert not CDR.objects.exists()


@pytest.mark.req("SES-15")
def test_a_refused_command_is_no_pending_session(point: Point, emsp: Commander, pending: None) -> None:
    started(emsp, status="Rejected")

    assert not Session.objects.exists()


@pytest.mark.req("SES-15", "SES-17")
def test_a_command_for_what_is_reserved_makes_no_second_session(point: Point, emsp: Commander, pending: None) -> None:
    emsp.reserved(60)
    started(emsp)
    point.start(TAG, at=timezone.now())

    assert [each["status"] for each in emsp.sessions()] == ["RESERVATION", "ACTIVE"]


@pytest.mark.req("SES-15", "CMD-23")
def test_a_start_that_comes_before_its_command_is_answered_is_active_at_once(
    point: Point, emsp: Commander, pending: None
) -> None:
    emsp.send("START_SESSION")
    emsp.ask()
    point.start(TAG, at=timezone.now())
    emsp.settle()

    assert [each["status"] for each in emsp.sessions()] == ["ACTIVE"]


@pytest.mark.req("CMD-12")
def test_a_pending_session_cannot_be_stopped(point: Point, emsp: Commander, pending: None) -> None:
    started(emsp)

    answer = emsp.send("STOP_SESSION", session_id=Session.objects.get().object_id)

    assert answer.data["result"] == "REJECTED"
