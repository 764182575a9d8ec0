"""Statuses of many charge points applied together: the same rows as one by one, in a fixed number of statements."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from cpo.consumer import Consumer
from cpo.models import (
    EVSE,
    ChargePointConnector,
    ConnectorHistory,
    InboxMessage,
    Location,
    Operation,
    Reservation,
    Transaction,
)
from cpo.modules import authorization, connector_history, connector_states
from cpo.ocpp import inbox, inbox_batch, inbox_order
from cpo.ocpp.events import ConnectorStatus
from ocpi import documents
from ocpi.models import Delivery
from tests.cpo_support import (
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
from tests.fixtures import Document, Partner

pytestmark = pytest.mark.usefixtures("cpo_side")
NOW = datetime.now(UTC).replace(microsecond=0)
_POISON = "Poison"  # a status that cannot be kept


@pytest.fixture(autouse=True)
def poisonous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one status fail each time it is tried, by itself and among others."""
    note, note_all = connector_states.note, connector_states.note_all

    def alone(charge_point_id: int, event: ConnectorStatus) -> bool:
        if event.status == _POISON:
            raise ArithmeticError(_POISON)
        return note(charge_point_id, event)

    def together(states: Sequence[tuple[int, ConnectorStatus]]) -> set[tuple[int, int]]:
        if any(event.status == _POISON for _, event in states):
            raise ArithmeticError(_POISON)
        return note_all(states)

    monkeypatch.setattr(connector_states, "note", alone)
    monkeypatch.setattr(connector_states, "note_all", together)


def places(document: Document, number: int) -> list[Point]:
    """Charge points at Locations of their own, but for the last two, which share one."""
    add_tariff(tariff())
    found = []
    for each in range(number - 2):
        place = add_location(with_tariff(document("location", id=f"L{each}")))
        found.append(add_point(place, f"CP-{each}", evses=(EVSE_UID, SECOND_EVSE_UID)))
    shared = add_location(with_tariff(document("location", id="SHARED")))
    found.append(add_point(shared, "CP-SHARED-1", evses=(EVSE_UID,)))
    found.append(add_point(shared, "CP-SHARED-2", evses=(SECOND_EVSE_UID,)))
    return found


def say(point: Point, status: str, connector: int = 1, **members: Any) -> None:
    payload = {"connectorId": connector, "errorCode": "NoError", "status": status, **members}
    point.says("StatusNotification", payload, apply=False)


def apply_together() -> int:
    """Apply everything as the threads do; return how many messages were applied in batches."""
    together, verdicts = 0, dict[int, authorization.Verdict]()
    while waiting := inbox.waiting(at_once=True):
        plain, alone = inbox_batch.kinds(waiting)
        applied = inbox_batch.apply(plain)
        together += len(applied.last) + len(applied.more)
        for charge_point_id in alone | applied.left:
            found = inbox.step(charge_point_id, verdicts, at_once=True)
            if isinstance(found, inbox.Asking):
                verdicts[found.message_id] = authorization.ask(found.question)
    return together


# ---------------------------------------------------------------- the same rows


def rows() -> dict[str, list[Any]]:
    """Return all that messages have an effect on, without moments of the clock and without our own numbers."""
    return {
        "messages": list(InboxMessage.objects.order_by("id").values_list("id", "state", "attempts", "error", "answer")),
        "connectors": list(
            ChargePointConnector.objects.order_by("charge_point_id", "connector_id").values_list(
                "charge_point_id", "connector_id", "status", "error_code", "status_at", "plugs"
            )
        ),
        "evses": [
            (pk, status, documents.without(text, "last_updated"))
            for pk, status, text in EVSE.objects.order_by("id").values_list("id", "status", "document")
        ],
        "locations": [
            (pk, hidden, documents.without(text, "last_updated"))
            for pk, hidden, text in Location.objects.order_by("id").values_list("id", "hidden", "document")
        ],
        "history": sorted(
            ConnectorHistory.objects.values_list(
                "charge_point_id", "evse", "connector", "status", "error_code", "vendor", "at", "received_at"
            ),
            key=repr,
        ),
        "deliveries": sorted(
            Delivery.objects.values_list(
                "platform_id",
                "kind",
                "state",
                "order_key",
                "slot",
                "module",
                "path",
                "query",
                "source",
                "source_id",
                "fields",
                "deleted",
                "change",
                "to_country_code",
                "to_party_id",
                "from_country_code",
                "from_party_id",
            ),
            key=repr,
        ),
        "transactions": list(
            Transaction.objects.order_by("transaction_id").values_list("transaction_id", "phases", "stopped_at")
        ),
        "operations": list(Operation.objects.order_by("created_at").values_list("action", "effect")),
        "reservations": list(Reservation.objects.order_by("id").values_list("id", "state", "ended_by")),
    }


def anything(chance: random.Random, points: list[Point]) -> None:
    """Put messages into the inbox: most are statuses, some late, repeated, of unknown connectors, or no good."""
    statuses = ("Available", "Preparing", "Charging", "SuspendedEV", "Finishing", "Reserved", "Unavailable", "Faulted")
    for _ in range(chance.randint(1, 40)):
        point = chance.choice(points)
        members: dict[str, Any] = {}
        if chance.random() < 0.7:
            members["timestamp"] = stamp(NOW - timedelta(minutes=chance.randint(0, 30)))
        if chance.random() < 0.3:
            members |= {"errorCode": "GroundFailure", "info": "x", "vendorErrorCode": "E\u00007"}
        connector = chance.choice((0, 1, 1, 1, 2, 2, 7))
        kind = chance.random()
        if kind < 0.85:
            for _ in range(chance.choice((1, 1, 1, 2))):
                say(point, chance.choice(statuses), connector, **members)
        elif kind < 0.89:
            say(point, _POISON)  # fails each time it is tried
        elif kind < 0.93:
            point.says("StatusNotification", {"connectorId": "x"}, apply=False)  # cannot be read
        elif kind < 0.96:
            point.says("Heartbeat", {}, apply=False)
        else:
            payload = {
                "connectorId": chance.choice((1, 2)),
                "idTag": "NOBODY",
                "meterStart": 10,
                "timestamp": stamp(NOW),
            }
            point.says("StartTransaction", payload, apply=False)


def surroundings(chance: random.Random, points: list[Point]) -> None:
    """Have a transaction go on, an effect waited for, a reservation in force, hardware shared."""
    point = chance.choice(points)
    Transaction.objects.create(
        charge_point=point.row, connector_id=1, transaction_id=999_999, id_tag="TAG", authorised=True,
        started_at=NOW - timedelta(minutes=20), meter_start=0,
    )  # fmt: skip
    Operation.objects.create(
        charge_point=chance.choice(points).row, action="ChangeAvailability", asked_by="test", state="ANSWERED",
        payload='{"connectorId":1,"type":"Inoperative"}', answer='{"status":"Scheduled"}', effect="PENDING",
    )  # fmt: skip
    EVSE.objects.filter(charge_point=points[0].row).update(hardware=1)
    chance.choice(points).row.__class__.objects.filter(pk=points[1].row.pk).update(
        boot_status=chance.choice(("Accepted", "Pending"))
    )


@pytest.mark.req("OCPP-113", "OCPP-99", "OCPP-44", "OCPP-58")
@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(12))
def test_together_and_one_by_one_the_rows_are_the_same(seed: int, document: Document, partner: Partner) -> None:
    partner("DE*EMS:EMSP")
    partner("FR*EMP:EMSP")
    points = places(document, 6)
    chance = random.Random(seed)
    surroundings(chance, points)
    anything(chance, points)
    found = []
    for apply_them in (inbox.apply_all, apply_together):
        with transaction.atomic():
            applied = apply_them()
            found.append(rows())
            transaction.set_rollback(True)

    assert applied, "nothing was applied in a batch"
    assert found[1] == found[0]
    assert {state for _, state, *_ in found[0]["messages"]} <= {"DONE", "FAILED"}


@pytest.mark.req("OCPP-99", "OCPP-58")
@pytest.mark.django_db
def test_messages_of_one_charge_point_keep_their_order(document: Document) -> None:
    points = places(document, 4)
    for status in ("Charging", "Faulted", "Available", "Reserved"):
        for point in points:
            say(point, status)

    assert apply_together() == 16

    history = ConnectorHistory.objects.order_by("id").values_list("charge_point_id", "status")
    for point in points:
        assert [status for number, status in history if number == point.row.pk] == [
            "Charging", "Faulted", "Available", "Reserved",
        ]  # fmt: skip


# ---------------------------------------------------------------- what it costs


def queries_for(points: list[Point], status: str) -> int:
    for point in points:
        say(point, status)
    ids = [point.row.pk for point in points]
    with CaptureQueriesContext(connection) as queries:
        plain, _ = inbox_batch.kinds(ids)
        applied = inbox_batch.apply(plain)
    assert applied.last == set(ids)
    return len(queries)


@pytest.mark.req("OCPP-113")
@pytest.mark.django_db
def test_statements_do_not_grow_with_the_number_of_charge_points(document: Document, partner: Partner) -> None:
    partner("DE*EMS:EMSP")
    points = places(document, 24)
    few = queries_for(points[-3:], "Charging")
    many = queries_for(points, "Faulted")

    assert Delivery.objects.filter(source="cpo.EVSE").count() == 24
    assert many == few <= 13


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.req("OCPP-44", "OCPP-99")
@pytest.mark.django_db
def test_a_bad_message_takes_no_other_with_it(document: Document) -> None:
    points = places(document, 5)
    for point in points[1:]:
        say(point, "Charging")
    say(points[0], _POISON)

    applied = inbox_batch.apply([point.row.pk for point in points])
    assert applied.left == {point.row.pk for point in points}
    assert not ChargePointConnector.objects.exists()
    apply_together()

    assert InboxMessage.objects.filter(state="DONE").count() == 4
    assert InboxMessage.objects.get(state="FAILED").charge_point_id == points[0].row.pk


@pytest.mark.req("OCPP-99")
@pytest.mark.django_db
def test_what_was_tried_before_waits_for_its_own_time(document: Document) -> None:
    points = places(document, 3)
    for point in points:
        say(point, "Charging")
    InboxMessage.objects.filter(charge_point=points[0].row).update(
        attempts=1, retry_at=datetime.now(UTC) + timedelta(hours=1)
    )

    plain, alone = inbox_batch.kinds([point.row.pk for point in points])

    assert alone == {points[0].row.pk}
    assert inbox_batch.apply([*plain, *alone]).left == alone


@pytest.mark.req("OCPP-98", "OCPP-99")
@pytest.mark.django_db
def test_nothing_is_done_if_the_end_is_not_reached(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    points = places(document, 3)
    for point in points:
        say(point, "Charging")

    def fail(*_: Any) -> None:
        raise RuntimeError("after the states")

    monkeypatch.setattr(connector_history, "note_all", fail)
    applied = inbox_batch.apply([point.row.pk for point in points])

    assert len(applied.left) == 3
    assert not ChargePointConnector.objects.exists()
    assert set(InboxMessage.objects.values_list("state", flat=True)) == {"NEW"}


def other_session() -> psycopg.Connection[Any]:
    settings = connection.settings_dict
    return psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=settings["USER"], password=settings["PASSWORD"],
        dbname=settings["NAME"],
    )  # fmt: skip


@pytest.mark.req("OCPP-99")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["cpo_evse", "cpo_location"])
def test_who_is_being_changed_holds_up_nobody_else(document: Document, table: str) -> None:
    points = places(document, 4)
    for point in points:
        say(point, "Charging")
    place = EVSE.objects.get(charge_point=points[0].row, connector_id=1)
    with other_session() as other:
        other.execute(
            f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE",  # noqa: S608 - as above
            [place.pk if table == "cpo_evse" else place.location_id],
        )
        applied = inbox_batch.apply([point.row.pk for point in points])

    assert applied.left == {points[0].row.pk}
    assert applied.last == {point.row.pk for point in points[1:]}
    assert EVSE.objects.filter(connector_id=1, status="CHARGING").count() == 3


@pytest.mark.req("OCPP-99")
@pytest.mark.django_db(transaction=True)
def test_whom_another_worker_has_is_left_to_that_one(document: Document) -> None:
    points = places(document, 3)
    for point in points:
        say(point, "Charging")
    with other_session() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [inbox_order.LOCK_KEYS + points[0].row.pk])
        applied = inbox_batch.apply([point.row.pk for point in points])

    assert applied.last == {point.row.pk for point in points[1:]}
    assert not applied.left


# ---------------------------------------------------------------- the threads


@pytest.fixture
def consumer(settings: Any) -> Iterator[Consumer]:
    running = Consumer()
    yield running
    running.stop()


def eventually(condition: Callable[[], Any], *, seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@pytest.mark.req("OCPP-113")
@pytest.mark.django_db(transaction=True)
def test_what_piles_up_is_taken_together_and_the_rest_by_itself(
    document: Document, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[int] = []
    note_all = connector_states.note_all

    def counted(states: Any) -> Any:
        together.append(len(states))
        return note_all(states)

    monkeypatch.setattr(connector_states, "note_all", counted)
    points = places(document, 12)
    for status in ("Charging", "Faulted", "Available"):
        for point in points:
            say(point, status)
    payload = {"connectorId": 1, "idTag": "NOBODY", "meterStart": 10, "timestamp": stamp(NOW)}
    points[3].says("StartTransaction", payload, apply=False)
    say(points[3], "Charging")
    consumer.start()

    eventually(lambda: not InboxMessage.objects.exclude(state="DONE").exists())

    assert max(together) > 5
    assert json.loads(InboxMessage.objects.get(action="StartTransaction").answer or "")["transactionId"]
    assert EVSE.objects.filter(charge_point__in=[point.row for point in points], connector_id=1).count() == 12
    assert list(
        ConnectorHistory.objects.filter(charge_point=points[3].row).order_by("id").values_list("status", flat=True)
    ) == ["Charging", "Faulted", "Available", "Charging"]
