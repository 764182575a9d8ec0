"""The inbox: once each, in order, a bad message stops nobody; and the threads that do it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from cpo.consumer import Consumer
from cpo.models import EVSE, ChargePointConnector, Command, InboxMessage, Session, Transaction
from cpo.modules import connector_states, transactions
from cpo.ocpp import inbox
from cpo.ocpp.inbox import Step
from tests.cpo_support import (
    EVSE_UID,
    Point,
    add_location,
    add_point,
    add_tariff,
    answer_operation,
    tariff,
    with_tariff,
)
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

pytestmark = pytest.mark.usefixtures("cpo_side")


@pytest.fixture
def point(db: None, document: Document) -> Point:
    add_tariff(tariff())
    return add_point(add_location(with_tariff(document("location"))))


def states() -> list[str]:
    return list(InboxMessage.objects.order_by("id").values_list("state", flat=True))


@pytest.mark.req("OCPP-99")
def test_messages_of_one_charge_point_are_applied_in_their_order(point: Point) -> None:
    payload = {"connectorId": 1, "errorCode": "NoError"}
    for status in ("Preparing", "Charging", "Finishing", "Faulted"):
        point.says("StatusNotification", {**payload, "status": status}, apply=False)

    assert inbox.apply_all() == 4

    assert ChargePointConnector.objects.get().status == "Faulted"
    assert EVSE.objects.get(uid=EVSE_UID).status == "OUTOFORDER"
    assert states() == ["DONE"] * 4


@pytest.mark.req("OCPP-98", "OCPP-99")
def test_a_message_is_done_exactly_if_its_effect_is_there(point: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("after the effect, before the end")

    monkeypatch.setattr(inbox, "_settle", fail)
    point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}, apply=False)

    found = inbox.step(point.row.id, {})

    row = InboxMessage.objects.get()
    assert found is Step.FAILED
    assert (row.state, row.attempts) == ("NEW", 1)
    assert "after the effect" in row.error
    assert EVSE.objects.get(uid=EVSE_UID).status == "AVAILABLE"


@pytest.mark.req("OCPP-99", "OCPP-44")
def test_a_message_that_keeps_failing_is_parked_and_the_rest_goes_on(
    point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("poison")

    monkeypatch.setattr(transactions, "add_values", fail)
    point.meter(7, 5000, at=datetime.now(UTC), apply=False)
    point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}, apply=False)

    for _ in range(inbox.ATTEMPTS):
        inbox.step(point.row.id, {}, at_once=True)
    inbox.apply_all()

    assert states() == ["FAILED", "DONE"]
    assert EVSE.objects.get(uid=EVSE_UID).status == "CHARGING"


@pytest.mark.req("OCPP-44")
@pytest.mark.parametrize("payload", ["{}", "[]", '{"connectorId": "x", "status": 1}', "not json"])
def test_a_message_that_cannot_be_read_is_parked_at_once(point: Point, payload: str) -> None:
    point.says("StatusNotification", {}, apply=False)
    InboxMessage.objects.update(payload=payload)

    inbox.apply_all()

    row = InboxMessage.objects.get()
    assert (row.state, row.attempts) == ("FAILED", 0)
    assert row.error


@pytest.mark.req("OCPP-38", "OCPP-39")
def test_a_start_gets_the_number_that_came_with_the_row(point: Point) -> None:
    answer = point.start("NOBODY", transaction_id=4711)

    assert answer["transactionId"] == 4711
    assert Transaction.objects.get().transaction_id == 4711


def test_an_answer_that_the_gateway_gave_stays(point: Point) -> None:
    given = json.dumps({"idTagInfo": {"status": "Invalid"}, "transactionId": 5})

    answer = point.start("NOBODY", transaction_id=5, answer=given)

    assert answer == json.loads(given)
    assert states() == ["DONE"]


@pytest.mark.req("OCPP-65")
def test_messages_without_meaning_are_done(point: Point) -> None:
    point.says("DataTransfer", {"vendorId": "x"})
    point.says("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
    point.says("FirmwareStatusNotification", {"status": "Idle"})

    assert states() == ["DONE"] * 3


@pytest.mark.req("OCPP-73")
def test_a_question_to_an_emsp_leaves_no_transaction_open(point: Point, partner: Partner, listener: Listener) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    point.says("Authorize", {"idTag": "SOMEBODY"}, apply=False)

    found = inbox.step(point.row.id, {})

    assert isinstance(found, inbox.Asking)
    assert states() == ["NEW"]
    assert not listener.requests


@pytest.mark.req("REL-55", "OCPP-38")
def test_old_messages_are_forgotten_starts_later_and_what_failed_never(point: Point) -> None:
    ages = {"StatusNotification": 15, "StartTransaction": 15, "StopTransaction": 15, "MeterValues": 13}
    for action in ages:
        point.says(action, {}, apply=False)
        InboxMessage.objects.filter(action=action).update(state="DONE")
    InboxMessage.objects.filter(action="StopTransaction").update(state="FAILED")
    for action, days in ages.items():
        moment = datetime.now(UTC) - timedelta(days=days)
        InboxMessage.objects.filter(action=action).update(received_at=moment)

    assert inbox.forget_old() == 1

    assert set(InboxMessage.objects.values_list("action", flat=True)) == set(ages) - {"StatusNotification"}
    InboxMessage.objects.update(received_at=datetime.now(UTC) - timedelta(days=91))
    inbox.forget_old()
    assert list(InboxMessage.objects.values_list("action", flat=True)) == ["StopTransaction"]


# ---------------------------------------------------------------- the threads


@pytest.fixture
def consumer(settings: Any) -> Iterator[Consumer]:
    running = Consumer()
    running.start()
    yield running
    running.stop()


def eventually(condition: Callable[[], Any], *, seconds: float = 8) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


@pytest.mark.django_db(transaction=True)
def test_a_message_and_a_command_wake_the_threads(
    point: Point, consumer: Consumer, partner: Partner, listener: Listener, document: Document
) -> None:
    emsp: Person = partner("DE*EMS:EMSP", listener=listener)
    point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}, apply=False)
    eventually(lambda: states() == ["DONE"])

    body = document("start_session", response_url=f"{emsp.url}/results/1")
    assert emsp.post("cpo/2.2.1/commands/START_SESSION", body).data["result"] == "ACCEPTED"
    eventually(lambda: Command.objects.get().state == "IN_PROGRESS")
    answer_operation()
    eventually(lambda: Command.objects.get().result == "ACCEPTED")
    point.start("04C7A1E2B95D80", apply=False)

    assert eventually(lambda: Session.objects.first())
    assert eventually(lambda: InboxMessage.objects.latest("id").answer)


@pytest.mark.req("OCPP-73", "OCPP-99")
@pytest.mark.django_db(transaction=True)
def test_a_slow_emsp_holds_up_no_other_charge_point(
    point: Point, consumer: Consumer, partner: Partner, listener: Listener, document: Document
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    listener.reply("POST", "/ocpi/2.2.1/sender/tokens", delay=1.5, data={"allowed": "BLOCKED"})
    others = [add_point(add_location(document("location", id=f"L{n}")), f"CP-{n}") for n in range(2, 14)]
    for each in others:
        each.says("Authorize", {"idTag": "SLOW"}, apply=False)

    started = time.monotonic()
    point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}, apply=False)
    eventually(lambda: EVSE.objects.get(charge_point=point.row).status == "CHARGING")

    assert time.monotonic() - started < 1.2
    eventually(lambda: not InboxMessage.objects.exclude(state="DONE").exists())
    assert InboxMessage.objects.filter(answer__contains="Blocked").count() == len(others)


@pytest.mark.req("OCPP-99")
@pytest.mark.django_db(transaction=True)
def test_two_workers_apply_each_message_once(point: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[int] = []
    note = connector_states.note

    def slowly(charge_point_id: int, event: Any) -> bool:
        applied.append(charge_point_id)
        time.sleep(0.02)
        return note(charge_point_id, event)

    monkeypatch.setattr(connector_states, "note", slowly)
    for number in range(20):
        status = "Charging" if number % 2 else "Available"
        point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status}, apply=False)

    def work() -> None:
        while inbox.waiting():
            inbox.step(point.row.id, {})
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(applied) == 20
    assert states() == ["DONE"] * 20


@pytest.mark.django_db(transaction=True)
def test_the_database_wakes_with_the_commit_and_not_before(point: Point, consumer: Consumer) -> None:
    with transaction.atomic():
        point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}, apply=False)
        time.sleep(0.2)
        assert states() == ["NEW"]

    started = time.monotonic()
    eventually(lambda: states() == ["DONE"])
    assert time.monotonic() - started < 0.9, "before the sweep"
