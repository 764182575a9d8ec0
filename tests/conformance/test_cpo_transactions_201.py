"""Transactions of OCPP 2.0.1: events in any order become one Session and one CDR."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from cpo.models import CDR, ChargePoint, Operation, Session, Transaction, TransactionEvent
from cpo.modules import transactions_201
from tests.cpo_support import BASE, EVSE_UID, stamp
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.station_support import Station, event, whole
from tests.station_support import station_fixture as station_fixture

TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    """A card that is accepted without asking."""
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


def minutes(number: float) -> datetime:
    return BASE + timedelta(minutes=number)


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.req("OCPP-49", "OCPP-53", "OCPP-55", "OCPP-95", "OCPP-97")
def test_a_session_of_2_0_1_becomes_a_session_and_a_cdr(station: Station, card: str) -> None:
    started, *_ = whole(card)
    [answer] = station.tells(started)
    running = Session.objects.get()
    group = {"idToken": "EMS-G00004711", "type": "ISO14443"}
    assert answer == {"idTokenInfo": {"status": "Accepted", "groupIdToken": group}}
    assert (running.status, running.token_uid) == ("ACTIVE", TAG)

    station.tells(*whole(card)[1:])

    session, cdr = exact(Session.objects.get().document), exact(CDR.objects.get().document)
    assert (session["status"], session["kwh"], session["evse_uid"]) == ("COMPLETED", 10, EVSE_UID)
    assert (session["start_date_time"], session["end_date_time"]) == (stamp(BASE), stamp(minutes(60)))
    assert (cdr["total_energy"], cdr["total_cost"]["excl_vat"]) == (10, Decimal("3.5"))
    assert cdr["remark"] == "Stop reason: Local"
    assert TransactionEvent.objects.count() == 4


@pytest.mark.req("OCPP-67")
@pytest.mark.parametrize(("direction", "kwh"), [("export", 10), ("import", 0)])
def test_a_meter_wired_the_other_way_round_counts_by_its_export_register(
    station: Station, card: str, direction: str, kwh: int
) -> None:
    ChargePoint.objects.filter(pk=station.row.pk).update(register_direction=direction)
    events = whole(card)
    for value in (each for told in events for each in told.get("meterValue", ())):
        value["sampledValue"] = [
            {**each, "measurand": "Energy.Active.Export.Register"} for each in value["sampledValue"]
        ]

    station.tells(*events)

    assert exact(Session.objects.get().document)["kwh"] == kwh


@pytest.mark.req("OCPP-49")
def test_a_repeated_event_is_answered_as_before_and_counts_once(station: Station, card: str) -> None:
    events = whole(card)
    first = station.tells(*events)
    before = (Session.objects.get().document, CDR.objects.get().document)

    again = station.tells(*events)

    assert again == first
    assert "idTokenInfo" in again[0]
    assert (Session.objects.get().document, CDR.objects.get().document) == before
    assert (TransactionEvent.objects.count(), CDR.objects.count()) == (4, 1)


@pytest.mark.req("OCPP-49")
def test_two_events_with_one_number_are_both_kept(station: Station, card: str) -> None:
    started, charging, half, ended = whole(card)

    station.tells(started, charging, {**half, "seqNo": 1}, {**ended, "seqNo": 2})

    assert TransactionEvent.objects.count() == 4
    assert exact(CDR.objects.get().document)["total_energy"] == 10


@pytest.mark.req("OCPP-49")
def test_events_of_one_number_and_moment_differ_by_their_kind(station: Station, card: str) -> None:
    started, charging, _, ended = whole(card)

    station.tells(started, charging, {**charging, "seqNo": 2, "timestamp": ended["timestamp"]}, {**ended, "seqNo": 2})

    assert sorted(TransactionEvent.objects.filter(seq_no=2).values_list("kind", flat=True)) == ["Ended", "Updated"]
    assert station.transaction.stopped_at == minutes(60)


@pytest.mark.req("OCPP-49", "OCPP-18")
def test_with_a_suspect_clock_events_are_the_same_if_they_say_the_same(station: Station, card: str) -> None:
    first, *_ = whole(card)
    early = {**first, "timestamp": "1970-01-01T00:00:10Z"}
    later_one = {**first, "timestamp": "1970-01-01T00:00:20Z"}

    station.tells(early, later_one, early, later_one)

    said = TransactionEvent.objects.order_by("id").values_list("facts__said", flat=True)
    assert list(said) == [early["timestamp"], later_one["timestamp"]]


@pytest.mark.req("OCPP-52")
def test_missing_events_are_waited_for_a_quarter_of_an_hour(station: Station, card: str) -> None:
    started, _, _, ended = whole(card)
    station.tells(started, ended)

    for seconds, completed in ((59, False), (15 * 60 - 2, False), (15 * 60, True)):
        later(seconds)
        transactions_201.complete_due()
        assert CDR.objects.exists() is completed
        assert Operation.objects.filter(action="GetTransactionStatus").exists() is (seconds > 59)


@pytest.mark.req("OCPP-50", "OCPP-52")
def test_an_end_that_comes_first_waits_for_what_went_before(station: Station, card: str) -> None:
    started, charging, half, ended = whole(card)

    station.tells(ended, half)
    assert Transaction.objects.get().gap_since is not None
    assert not Session.objects.exists()
    station.tells(started)
    assert Session.objects.get().status == "ACTIVE"
    assert not CDR.objects.exists()
    station.tells(charging)

    row = station.transaction
    assert (row.gap_since, row.held, row.stopped_at) == (None, False, minutes(60))
    assert Session.objects.get().status == "COMPLETED"
    assert exact(CDR.objects.get().document)["total_energy"] == 10


@pytest.mark.req("OCPP-50")
def test_what_comes_after_the_end_neither_opens_it_again_nor_lowers_the_energy(station: Station, card: str) -> None:
    station.tells(*whole(card))
    before = CDR.objects.get().document

    station.tells(
        event("Updated", 2, minutes(45), wh=3000, state="Charging"),
        event("Started", 0, minutes(61), state="Charging", token=card, wh=500),
    )

    assert station.transaction.stopped_at == minutes(60)
    assert Session.objects.get().status == "COMPLETED"
    assert CDR.objects.get().document == before


@pytest.mark.req("OCPP-51", "OCPP-52")
@pytest.mark.parametrize("messages", [True, False, None])
def test_an_end_with_events_missing_is_asked_about_and_completed(
    station: Station, card: str, messages: bool | None
) -> None:
    started, _, half, ended = whole(card)
    station.tells({**half, "idToken": started["idToken"]}, ended)
    assert Session.objects.get().status == "ACTIVE"
    assert not Operation.objects.exists()
    later(61)

    transactions_201.complete_due()

    asked = Operation.objects.get()
    assert (asked.action, json.loads(asked.payload)["transactionId"]) == ("GetTransactionStatus", started_id(started))
    if messages is not None:
        asked.state, asked.answer = "ANSWERED", json.dumps({"messagesInQueue": messages})
        asked.save()
    transactions_201.complete_due()
    assert CDR.objects.exists() is (messages is False)
    later(15 * 60)
    transactions_201.complete_due()
    cdr, row = exact(CDR.objects.get().document), station.transaction
    assert Operation.objects.count() == 1
    assert {"incomplete", "no_start"} <= set(row.flags)
    assert cdr["start_date_time"] == stamp(minutes(30))
    assert cdr["total_energy"] == 5


def later(seconds: float) -> None:
    """Let the gap be as old as that."""
    Transaction.objects.filter(gap_since__isnull=False).update(gap_since=timezone.now() - timedelta(seconds=seconds))


def started_id(payload: dict[str, Any]) -> str:
    return str(payload["transactionInfo"]["transactionId"])


# ---------------------------------------------------------------- in whatever order


def billed() -> dict[str, Any]:
    """What a transaction came to, without what differs each time."""
    session, cdr = Session.objects.get(), CDR.objects.filter(credit=False, replaced_by=None).get()
    changing = {"id", "session_id", "last_updated"}
    return {
        "session": {name: value for name, value in exact(session.document).items() if name not in changing},
        "cdr": {name: value for name, value in exact(cdr.document).items() if name not in changing},
    }


def clear() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # CDRs are never deleted otherwise (REL-46)
        for table in ("meterreading", "transactionevent", "transaction", "cdr", "session"):
            cursor.execute(f"DELETE FROM cpo_{table}")  # noqa: S608 (constants)


def parked(card: str) -> list[dict[str, Any]]:
    """A session that begins without its token, is suspended by the car and has readings in between."""
    return [
        event("Started", 0, BASE, state="EVConnected", trigger="CablePluggedIn", wh=1000, context="Transaction.Begin"),
        event("Updated", 1, minutes(2), token=card, trigger="Authorized"),
        event("Updated", 2, minutes(3), state="Charging", trigger="ChargingStateChanged"),
        event("Updated", 3, minutes(20), wh=5000, trigger="MeterValuePeriodic", evse=None),
        event("Updated", 4, minutes(40), wh=9000, state="SuspendedEV", trigger="ChargingStateChanged"),
        event("Ended", 5, minutes(60), wh=9000, context="Transaction.End", trigger="EVDeparted",
              reason="EVDisconnected", evse=None),
    ]  # fmt: skip


@pytest.mark.req("OCPP-127", "OCPP-49", "OCPP-50")
def test_no_order_and_no_repetition_changes_session_and_cdr(station: Station, card: str) -> None:
    events = parked(card)
    station.tells(*events)
    expected = billed()
    assert expected["cdr"]["total_parking_time"] == Decimal("0.35")  # 20 min suspended, 1 min before it drew
    assert (expected["cdr"]["total_energy"], expected["cdr"]["start_date_time"]) == (8, stamp(minutes(2)))
    order = random.Random(201)

    for _ in range(6):
        clear()
        shuffled = [*events, *order.sample(events, 2)]
        order.shuffle(shuffled)
        station.tells(*shuffled)

        assert billed() == expected, [each["seqNo"] for each in shuffled]


@pytest.mark.req("OCPP-127", "OCPP-53")
def test_an_earlier_token_that_comes_later_is_the_sessions(station: Station, card: str, emsp: Person,
                                                           document: Document) -> None:  # fmt: skip
    other = document("token_rfid", uid="SECOND", whitelist="ALWAYS", contract_id="DE-EMS-C2")
    emsp.put("cpo/2.2.1/tokens/DE/EMS/SECOND", other)
    events = [
        event("Started", 0, BASE, state="Charging", token=card, wh=1000, context="Transaction.Begin"),
        event("Updated", 1, minutes(10), token="SECOND", trigger="Authorized"),
        event("Ended", 2, minutes(60), wh=5000, context="Transaction.End"),
    ]
    station.tells(*events)
    expected = billed()
    assert expected["session"]["cdr_token"]["uid"] == card
    assert "other_token" in station.transaction.flags

    for order in ((1, 0, 2), (2, 1, 0), (1, 2, 0)):
        clear()
        station.tells(*(events[place] for place in order))

        assert billed() == expected, order
        assert Session.objects.get().token_uid == card
