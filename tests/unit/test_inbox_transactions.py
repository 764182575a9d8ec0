"""What follows from a charge point's message and the message's end are one; one that fails holds up little."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from cpo.gateway import nodes
from cpo.gateway_models import ChargePoint, GatewayNode, Operation
from cpo.models import CDR, EVSE, InboxMessage, Session, Transaction
from cpo.modules import connector_states, gateway_nodes, transactions
from cpo.ocpp import inbox, inbox_order
from cpo.ocpp.inbox import Step
from ocpi import outbox
from ocpi.models import Delivery
from tests.cpo_support import (
    BASE,
    EVSE_UID,
    SECOND_EVSE_UID,
    Point,
    add_location,
    add_point,
    add_tariff,
    stamp,
    tariff,
    with_tariff,
)
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
TAG = "04C7A1E2B95D80"


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


def broken(*_args: Any, **_named: Any) -> Any:
    raise RuntimeError("broken on purpose")


def says_status(point: Point, card: str) -> None:
    point.status("Charging")


def says_start(point: Point, card: str) -> None:
    point.start(card)


def says_stop(point: Point, card: str) -> None:
    point.stop(Transaction.objects.get().transaction_id, 9000, at=BASE + timedelta(hours=1))


def state() -> list[Any]:
    """Everything these messages change at the CPO, and all that is on its way to eMSPs."""
    return [
        list(EVSE.objects.order_by("pk").values_list("uid", "status")),
        list(Transaction.objects.order_by("pk").values_list("transaction_id", "stopped_at")),
        list(Session.objects.order_by("pk").values_list("object_id", "status", "pushed_at")),
        CDR.objects.count(),
        list(Delivery.objects.order_by("pk").values_list("module", "path", "changed_at")),
    ]


@pytest.mark.req("OCPP-104", "OCPP-98")
@pytest.mark.parametrize("edge", ["the end of the message", "the outbox"])
@pytest.mark.parametrize("says", [says_status, says_start, says_stop])
def test_a_change_and_what_leaves_because_of_it_are_there_together_or_not_at_all(
    point: Point, card: str, says: Callable[[Point, str], None], edge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if says is says_stop:
        point.start(card)
    Delivery.objects.all().delete()
    before = state()

    with monkeypatch.context() as patched:
        patched.setattr(
            *((inbox, "_settle", broken) if edge == "the end of the message" else (outbox, "wake_marked", broken))
        )
        patched.setattr(inbox, "ATTEMPTS", 10_000)
        patched.setattr(inbox, "apply_all", lambda: [inbox.step(point.row.id, {}, at_once=True) for _ in range(3)])
        says(point, card)
    failed = InboxMessage.objects.latest("id")
    assert (failed.state, failed.attempts) == ("NEW", 3)
    assert state() == before

    inbox.apply_all()

    failed.refresh_from_db()
    assert failed.state == "DONE"
    after = state()
    assert after[:4] != before[:4]
    assert len(after[4]) >= 1


@pytest.mark.req("OCPP-99")
def test_one_that_fails_holds_up_its_own_transaction_and_nothing_else(
    point: Point, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = point.start("NOBODY", transaction_id=71)["transactionId"]
    other = point.start("NOBODY", transaction_id=72, connector=2)["transactionId"]
    add = transactions.add_values

    def fails_for_the_first(charge_point_id: int, event: Any) -> Any:
        return broken() if event.transaction_id == first else add(charge_point_id, event)

    monkeypatch.setattr(transactions, "add_values", fails_for_the_first)
    point.meter(first, 2000, at=BASE + timedelta(minutes=5), apply=False)
    point.stop(first, 3000, at=BASE + timedelta(minutes=9), apply=False)
    point.meter(other, 2500, at=BASE + timedelta(minutes=6), connector=2, apply=False)
    point.stop(other, 3500, at=BASE + timedelta(minutes=9), apply=False)
    point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"}, apply=False)

    found = [inbox.step(point.row.id, {}) for _ in range(5)]

    assert found == [Step.FAILED, Step.APPLIED, Step.APPLIED, Step.APPLIED, Step.NOTHING]
    rows = InboxMessage.objects.order_by("id")[2:]
    assert [row.state for row in rows] == ["NEW", "NEW", "DONE", "DONE", "DONE"]
    assert inbox_order.waiting() == [point.row.id]  # its stop looks as if it could go on

    # With each try the pause is longer; at last it is parked and its stop may pass.
    pauses = []
    for _ in range(inbox.ATTEMPTS - 1):
        waits = InboxMessage.objects.get(pk=rows[0].pk)
        assert waits.retry_at is not None
        pauses.append((waits.retry_at - timezone.now()).total_seconds())
        InboxMessage.objects.filter(pk=waits.pk).update(retry_at=timezone.now() - timedelta(seconds=1))
        inbox.step(point.row.id, {})
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4 * pauses[0]
    assert inbox.step(point.row.id, {}) == Step.LAST
    assert [row.state for row in rows.all()] == ["FAILED", "DONE", "DONE", "DONE", "DONE"]


@pytest.mark.req("OCPP-99")
@pytest.mark.parametrize(
    ("payload", "given", "number"),
    [
        ("{}", 7, "7"),
        ('{"transactionId": 7}', None, "7"),
        ('{"transactionInfo": {"transactionId": "ab-7"}}', None, "ab-7"),
        ('{"transactionInfo": 7}', None, ""),
        ("[]", None, ""),
        ("no json", None, ""),
    ],
)
def test_which_transaction_a_message_belongs_to(payload: str, given: int | None, number: str) -> None:
    assert inbox_order.transaction_of(payload, given) == number


@pytest.mark.req("OCPP-99")
def test_charge_points_do_not_wait_for_each_other(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tariff(tariff())
    location = add_location(with_tariff(document("location")))
    bad, good = add_point(location, "CP-1"), add_point(location, "CP-2", evses=(SECOND_EVSE_UID,))
    note = connector_states.note

    def fails_for_one(charge_point_id: int, event: Any) -> Any:
        return broken() if charge_point_id == bad.row.id else note(charge_point_id, event)

    monkeypatch.setattr(connector_states, "note", fails_for_one)
    for point in (bad, good):
        point.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}, apply=False)

    found = [inbox.step(charge_point_id, {}) for charge_point_id in sorted(inbox_order.waiting())]

    assert found == [Step.FAILED, Step.LAST]
    assert EVSE.objects.get(uid=SECOND_EVSE_UID).status == "CHARGING"
    assert EVSE.objects.get(uid=EVSE_UID).status != "CHARGING"


@pytest.mark.req("OCPP-100", "OCPP-79")
def test_a_worker_takes_a_dead_node_out_when_no_other_node_lives(point: Point) -> None:
    ChargePoint.objects.filter(pk=point.row.pk).update(node="dead", online=True)
    long_ago = datetime.now(UTC) - timedelta(seconds=nodes.SILENT_SECONDS + 1)
    GatewayNode.objects.create(name="dead", seen_at=long_ago)
    GatewayNode.objects.create(name="alive")
    alive = ChargePoint.objects.create(identity="CP-9", country_code="NL", party_id="TNM", node="alive", online=True)
    sent = Operation.objects.create(
        charge_point=point.row, action="ClearCache", payload="{}", asked_by="test", state="SENT", node="dead"
    )

    assert gateway_nodes.bury_silent() == 1
    assert gateway_nodes.bury_silent() == 0

    point.row.refresh_from_db()
    alive.refresh_from_db()
    sent.refresh_from_db()
    assert (point.row.online, alive.online) == (False, True)
    assert (sent.state, sent.error) == ("CONNECTION_LOST", "the gateway node is gone")
    assert list(GatewayNode.objects.values_list("name", flat=True)) == ["alive"]


@pytest.mark.req("OCPP-95")
@pytest.mark.parametrize("ended", [False, True])
def test_a_status_counts_for_the_transaction_of_its_time(point: Point, ended: bool) -> None:
    row = Transaction.objects.get(transaction_id=point.start("NOBODY")["transactionId"])
    if ended:
        point.stop(row.transaction_id, 9000, at=BASE + timedelta(hours=1))
    for minutes, status in ((10, "SuspendedEV"), (90, "Charging")):
        at = stamp(BASE + timedelta(minutes=minutes))
        said = {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": at}
        point.says("StatusNotification", said)

    row.refresh_from_db()
    assert len(row.phases) == (1 if ended else 2)
    assert row.phases[0][0].startswith((BASE + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M"))
