"""Stops of every kind: repeated, unmatched, implausible, superseded; and when there is a CDR at all."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from cpo.models import CDR, Session, Transaction, UnmatchedStop
from cpo.modules import cdrs_operations, sessions_operations, snapshots, transactions
from ocpi.v2_2_1 import cdrs as cdr_schema
from tests.cpo_support import (
    BASE,
    Point,
    add_location,
    add_point,
    stamp,
    with_tariff,
)
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person

SESSIONS, CDRS = "cpo/2.2.1/sessions", "cpo/2.2.1/cdrs"
EARLY = {"date_from": "2020-01-01T00:00:00Z"}
TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    """A card that is accepted without asking."""
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


def without_tariff(location: dict[str, Any]) -> dict[str, Any]:
    for evse in location["evses"]:
        for connector in evse["connectors"]:
            connector.pop("tariff_ids", None)
    return location


def minutes(number: float) -> datetime:
    return BASE + timedelta(minutes=number)


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


# ---------------------------------------------------------------- stops


@pytest.mark.req("REL-09")
def test_ids_that_partners_see_are_random(point: Point, card: str) -> None:
    for hour in (0, 2):
        number = point.start(card, at=minutes(60 * hour))["transactionId"]
        point.stop(number, 11_000, at=minutes(60 * hour + 60))

    ids = [each.object_id for row in CDR.objects.all() for each in (row, Session.objects.get(object_id=row.session_id))]
    assert [UUID(each).version for each in ids] == [4] * 4
    assert len(set(ids)) == 4


@pytest.mark.req("OCPP-42", "OCPP-97", "REL-09")
def test_a_repeated_stop_makes_no_second_cdr(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    point.stop(number, 11_000, at=minutes(60))
    point.stop(number, 11_000, at=minutes(60))

    assert CDR.objects.count() == 1
    assert not UnmatchedStop.objects.exists()


@pytest.mark.req("OCPP-42", "OCPP-18")
def test_a_stop_of_a_clock_that_cannot_be_right_is_known_when_it_comes_again(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    stop = {"transactionId": number, "meterStop": 11_000, "timestamp": "1970-01-01T00:07:00Z", "reason": "Local"}

    answers = [point.says("StopTransaction", stop, at=minutes(after), answer="{}") for after in (60, 61)]

    assert (answers, CDR.objects.count(), UnmatchedStop.objects.count()) == ([{}, {}], 1, 0)
    point.says("StopTransaction", {**stop, "meterStop": 11_500}, at=minutes(62), answer="{}")
    assert UnmatchedStop.objects.get().transaction == Transaction.objects.get()


@pytest.mark.req("OCPP-42", "OCPP-43")
def test_a_stop_that_fits_nothing_is_kept_once_however_often_it_comes(point: Point, card: str) -> None:
    for _ in range(2):
        point.stop(999_999, 500, at=minutes(60))

    assert UnmatchedStop.objects.count() == 1


@pytest.mark.req("OCPP-42", "CDR-11", "SES-13")
def test_a_different_second_stop_changes_nothing_and_is_shown(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    point.stop(number, 11_000, at=minutes(60))
    before = CDR.objects.get().document, Session.objects.get().document

    point.stop(number, 50_000, at=minutes(70))

    assert (CDR.objects.get().document, Session.objects.get().document) == before
    assert UnmatchedStop.objects.get().transaction == Transaction.objects.get()


@pytest.mark.req("OCPP-43", "OCPP-44")
def test_a_stop_for_an_unknown_id_finds_the_only_open_transaction_or_is_kept(point: Point, card: str) -> None:
    point.start(card)

    point.stop(999_999, 500, at=minutes(60))  # the meter would run backwards: not this one
    unmatched = UnmatchedStop.objects.count()
    point.stop(0, 11_000, at=minutes(60))

    assert unmatched == 1
    assert UnmatchedStop.objects.count() == 1
    assert exact(CDR.objects.get().document)["total_energy"] == 10


@pytest.mark.req("OCPP-43")
@pytest.mark.parametrize(("at", "tag", "ended"), [
    (60, TAG, 1), (60, TAG.lower(), 1), (60, "OTHER", 2), (60, "", None), (60, "NOBODY", None), (-1, TAG, None),
])  # fmt: skip
def test_of_several_open_transactions_only_that_of_the_tag_is_meant(
    point: Point, card: str, at: int, tag: str, ended: int | None
) -> None:
    point.start(card)
    point.start("OTHER", connector=2)
    stop = {"transactionId": 0, "meterStop": 11_000, "timestamp": stamp(minutes(at)), "idTag": tag}

    assert point.says("StopTransaction", {name: value for name, value in stop.items() if value != ""}) is None

    stopped = Transaction.objects.exclude(stopped_at=None).values_list("connector_id", flat=True)
    assert list(stopped) == [number for number in (ended,) if number is not None]
    assert UnmatchedStop.objects.count() == (ended is None)


@pytest.mark.req("OCPP-43")
def test_a_stop_before_the_only_open_transaction_is_not_its_own(point: Point, card: str) -> None:
    point.start(card, at=minutes(60))

    point.stop(0, 11_000, at=minutes(59))

    assert Transaction.objects.get().stopped_at is None
    assert UnmatchedStop.objects.count() == 1


@pytest.mark.req("OCPP-43", "SEC-37")
def test_a_charge_point_stops_only_its_own_transactions(point: Point, card: str, document: Document) -> None:
    """Neither by naming another's id nor by naming none."""
    number = point.start(card)["transactionId"]
    other = add_point(add_location(with_tariff(document("location", id="LOC2"))), "CP-2")

    for named in (number, 0):
        other.stop(named, 11_000, at=minutes(60))
    other.meter(number, 900_000, at=minutes(30))

    row = Transaction.objects.get()
    assert (row.stopped_at, row.readings.count(), UnmatchedStop.objects.count()) == (None, 0, 2)


@pytest.mark.req("OCPP-45", "OCPP-69")
@pytest.mark.parametrize(
    ("meter", "after", "flag"),
    [(500, 60, "meter_backwards"), (11_000, -10, "stop_before_start"), (60_000, 60, "too_much_energy"),
     (9_000_000, 60, "unit_suspect")],
)  # fmt: skip
def test_an_implausible_stop_waits_for_an_operator(
    point: Point, card: str, meter: int, after: float, flag: str
) -> None:
    number = point.start(card)["transactionId"]

    point.stop(number, meter, at=minutes(after))

    row = Transaction.objects.get()
    assert row.held
    assert flag in row.flags
    assert Session.objects.get().status == "ACTIVE"
    assert not CDR.objects.exists()


@pytest.mark.req("OCPP-45", "OCPP-18")
@pytest.mark.parametrize(("ahead", "held"), [(4, False), (6, True)])
def test_a_stop_that_is_said_to_be_in_the_future_waits_for_an_operator(
    point: Point, card: str, ahead: float, held: bool
) -> None:
    number = point.start(card)["transactionId"]
    said = {"transactionId": number, "meterStop": 11_000, "timestamp": stamp(minutes(60 + ahead))}

    point.says("StopTransaction", said, at=minutes(60))

    row = Transaction.objects.get()
    assert (row.held, "stop_ahead" in row.flags, "clock_suspect" in row.flags) == (held, held, held)
    assert row.stopped_at == minutes(60 if held else 64)
    assert CDR.objects.exists() is not held


@pytest.mark.req("OCPP-45")
def test_a_held_transaction_is_released_or_discarded(point: Point, card: str) -> None:
    first = point.start(card)["transactionId"]
    point.stop(first, 60_000, at=minutes(60))
    transactions.release(Transaction.objects.get(transaction_id=first).pk)
    second = point.start(card, at=minutes(100), meter=60_000)["transactionId"]
    point.stop(second, 1000, at=minutes(160))
    transactions.discard(Transaction.objects.get(transaction_id=second).pk)

    assert list(Session.objects.order_by("id").values_list("status", flat=True)) == ["COMPLETED", "INVALID"]
    assert exact(CDR.objects.get().document)["total_energy"] == 59


@pytest.mark.req("OCPP-97")
@pytest.mark.parametrize(("wh", "seconds", "reason", "made"), [
    (40, 60, "DeAuthorized", False), (60, 60, "DeAuthorized", True), (40, 200, "DeAuthorized", True),
    (5, 60, "Local", True),
])  # fmt: skip
def test_a_cdr_is_made_if_there_is_something_to_settle(
    point: Point, card: str, wh: int, seconds: int, reason: str, made: bool
) -> None:
    number = point.start(card)["transactionId"]

    point.stop(number, 1000 + wh, at=BASE + timedelta(seconds=seconds), reason=reason)

    assert Session.objects.get().status == "COMPLETED"
    assert CDR.objects.exists() is made


@pytest.mark.req("OCPP-97")
def test_nothing_delivered_and_nothing_to_pay_makes_no_cdr(card: str, document: Document) -> None:
    free = add_point(add_location(without_tariff(document("location"))))
    number = free.start(card)["transactionId"]

    free.stop(number, 1005, at=minutes(10))

    assert Session.objects.get().status == "COMPLETED"
    assert not CDR.objects.exists()


@pytest.mark.req("PRI-101")
def test_a_connector_without_a_tariff_is_free_of_charge_and_says_so(card: str, document: Document) -> None:
    point = add_point(add_location(without_tariff(document("location"))))

    point.charge(card)

    cdr = exact(CDR.objects.get().document)
    assert cdr["total_cost"]["excl_vat"] == 0
    assert cdr["tariffs"][0]["elements"][0]["price_components"][0]["type"] == "FLAT"
    cdr_schema.check(CDR.objects.get().document.encode(), "CDR", strict=True)


def test_a_connector_whose_tariff_is_not_valid_is_not_given_away(card: str, document: Document) -> None:
    point = add_point(add_location(with_tariff(document("location"), "NO-SUCH-TARIFF")))

    row = point.charge(card)

    assert "no_valid_tariff" in row.flags
    assert row.held
    assert not CDR.objects.exists()


@pytest.mark.req("OCPP-41")
def test_a_start_on_a_busy_connector_closes_the_older_transaction(point: Point, card: str) -> None:
    older = point.start(card)["transactionId"]
    point.meter(older, 6000, at=minutes(30))
    point.start(card, at=minutes(60), meter=11_000)
    row = Transaction.objects.get(transaction_id=older)
    assert row.stopped_at is None

    Transaction.objects.filter(pk=row.pk).update(superseded_at=timezone.now() - timedelta(seconds=61))
    transactions.close_superseded()

    row.refresh_from_db()
    stopped = {"meter": row.meter_stop, "at": row.stopped_at, "synthetic": row.synthetic}
    assert stopped == {"meter": 6000, "at": minutes(30), "synthetic": True}
    assert not CDR.objects.exists()

    point.stop(older, 8000, at=minutes(45))

    assert exact(CDR.objects.get().document)["total_energy"] == 7


@pytest.mark.req("OCPP-41")
def test_the_real_stop_of_a_superseded_transaction_is_waited_for_a_minute(point: Point, card: str) -> None:
    older = point.start(card)["transactionId"]
    point.start(card, at=minutes(60), meter=11_000)

    for seconds, closed in ((59, 0), (60, 1)):
        since = timezone.now() - timedelta(seconds=seconds)
        Transaction.objects.filter(transaction_id=older).update(superseded_at=since)
        assert transactions.close_superseded() == closed


@pytest.mark.req("OCPP-41", "OCPP-40", "OCPP-127")
def test_a_start_told_late_does_not_supersede_the_one_after_it(point: Point, card: str) -> None:
    newer = point.start(card, at=minutes(60), meter=11_000)["transactionId"]

    point.start(card, at=minutes(0), meter=1000)

    assert Transaction.objects.get(transaction_id=newer).superseded_at is None


@pytest.mark.req("OCPP-42")
def test_a_second_stop_of_the_same_end_is_no_conflict_whatever_else_it_says(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    point.stop(number, 11_000, at=minutes(60))

    point.stop(number, 11_000, at=minutes(60), reason="EVDisconnected")

    assert not UnmatchedStop.objects.exists()
    assert CDR.objects.count() == 1


@pytest.mark.req("OCPP-42", "OCPP-97")
def test_the_real_stop_of_a_session_that_was_discarded_bills_nothing(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    point.meter(number, 500_000, at=minutes(10))
    row = Transaction.objects.get()
    assert transactions.close(row.pk)
    row.refresh_from_db()
    assert (row.held, row.synthetic) == (True, True)
    transactions.discard(row.pk)

    point.stop(number, 11_000, at=minutes(60))

    assert Session.objects.get().status == "INVALID"
    assert not CDR.objects.exists()
    assert UnmatchedStop.objects.get().transaction_id == row.pk


@pytest.mark.req("OCPP-39", "OCPP-97", "OCPP-95")
def test_a_token_that_is_known_and_refused_makes_neither_session_nor_cdr(
    point: Point, emsp: Person, document: Document
) -> None:
    blocked = document("token_rfid", whitelist="ALWAYS", valid=False)
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", blocked)

    started = point.start(TAG)
    point.meter(started["transactionId"], 6000, at=minutes(30))
    point.stop(started["transactionId"], 11_000, at=minutes(60))

    assert started["idTagInfo"]["status"] == "Blocked"
    row = Transaction.objects.get()
    assert (row.authorised, row.stopped_at, row.session) == (False, minutes(60), None)
    assert not Session.objects.exists()
    assert not CDR.objects.exists()


# ---------------------------------------------------------------- never changed


@pytest.mark.req("REL-46", "CDR-11")
def test_the_database_refuses_to_change_or_delete_a_cdr(point: Point, card: str) -> None:
    point.charge(card)

    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        CDR.objects.update(document="{}")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        CDR.objects.all().delete()


@pytest.mark.req("OCPP-97")
def test_a_second_cdr_of_one_session_is_refused(point: Point, card: str) -> None:
    row = point.charge(card)
    metered = sessions_operations.meter(row, snapshots.read(row.snapshot))

    again = cdrs_operations.produce(Transaction.objects.get(), metered)

    assert again == CDR.objects.get()
