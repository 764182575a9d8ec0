"""What charge points tell late, twice, or with numbers nobody gave them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cpo.models import CDR, EVSE, MeterReading, Session, Transaction, UnmatchedStop
from ocpi import documents
from tests.cpo_support import BASE, EVSE_UID, Point, stamp
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person

TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


def minutes(number: float) -> datetime:
    return BASE + timedelta(minutes=number)


def energy() -> Any:
    return documents.get(Session.objects.get().document, "kwh")


@pytest.mark.req("OCPP-126", "OCPP-40", "OCPP-58")
def test_a_whole_session_told_after_an_outage_statuses_first_is_billed_and_leaves_the_state_of_now(
    point: Point, card: str
) -> None:
    now = datetime.now(UTC)
    # As many charge points do: first all statuses, the newest of them too, then what was kept of the transaction.
    for status, at in (("Preparing", -1), ("Charging", 0), ("Finishing", 60), ("Available", 61)):
        point.status(status, at=minutes(at))
    point.status("Faulted", at=now)
    number = point.start(card, at=minutes(0))["transactionId"]
    point.meter(number, 4000, at=minutes(20))
    point.meter(number, 9000, at=minutes(50))
    point.stop(number, 11_000, at=minutes(60))

    session = Session.objects.get()
    assert (session.status, energy()) == ("COMPLETED", 10)
    assert session.start_date_time == minutes(0)
    assert Transaction.objects.get().stopped_at == minutes(60)
    assert CDR.objects.count() == 1
    assert EVSE.objects.get(uid=EVSE_UID).status == "OUTOFORDER"


@pytest.mark.req("OCPP-126", "OCPP-42", "OCPP-97")
def test_a_stop_that_comes_again_and_again_changes_nothing(point: Point, card: str) -> None:
    number = point.start(card, at=minutes(0))["transactionId"]
    for _ in range(3):
        assert point.stop(number, 11_000, at=minutes(60), answer="{}") == {}

    assert (CDR.objects.count(), UnmatchedStop.objects.count()) == (1, 0)
    assert energy() == 10


@pytest.mark.req("OCPP-126", "OCPP-43")
@pytest.mark.parametrize("number", [0, -1, 987_654])
def test_a_stop_with_a_number_nobody_gave_ends_the_only_transaction_it_fits(
    point: Point, card: str, number: int
) -> None:
    point.start(card, at=minutes(0))

    assert point.stop(number, 11_000, at=minutes(60), answer="{}") == {}

    row = Transaction.objects.get()
    assert (row.stopped_at, row.meter_stop) == (minutes(60), Decimal(11_000))
    assert (CDR.objects.count(), UnmatchedStop.objects.count()) == (1, 0)


@pytest.mark.req("OCPP-126", "OCPP-43")
@pytest.mark.parametrize("number", [0, -1, 987_654])
def test_a_stop_with_a_number_nobody_gave_and_nothing_it_fits_waits_for_the_operator(
    point: Point, card: str, number: int
) -> None:
    point.start(card, at=minutes(0), meter=20_000)

    # Its meter is below where the only open transaction began.
    assert point.stop(number, 11_000, at=minutes(60), answer="{}") == {}

    assert Transaction.objects.get().stopped_at is None
    assert (CDR.objects.count(), UnmatchedStop.objects.count()) == (0, 1)


@pytest.mark.req("OCPP-126", "OCPP-65")
def test_a_text_where_a_meter_value_belongs_costs_nothing_but_itself(point: Point, card: str) -> None:
    number = point.start(card, at=minutes(0))["transactionId"]
    value = {"timestamp": "2026-03-02T09:10:00Z", "sampledValue": [{"value": "about ten"}]}
    payload = {"connectorId": 1, "transactionId": number, "meterValue": [value]}
    assert point.says("MeterValues", payload, at=minutes(10), answer="{}") == {}
    point.meter(number, 6000, at=minutes(30))
    point.stop(number, 11_000, at=minutes(60))

    assert energy() == 10
    assert MeterReading.objects.exclude(flag="").count() == 1


@pytest.mark.req("OCPP-26", "OCPP-67", "OCPP-127")
def test_meter_values_that_come_again_under_another_id_are_one_reading(point: Point, card: str) -> None:
    def says(minute: float, *samples: dict[str, Any]) -> None:
        value = {"timestamp": stamp(minutes(minute)), "sampledValue": list(samples)}
        point.says("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [value]})

    interval = {"measurand": "Energy.Active.Import.Interval", "value": "1500.1"}
    register = {"measurand": "Energy.Active.Import.Register", "value": "2.5", "unit": "kWh"}
    signed = {"value": "OCMF|{}|{}", "format": "SignedData"}
    number = point.start(card, at=minutes(0))["transactionId"]
    for minute in (10, 20):
        says(minute, interval, register, signed)
    for minute in (10, 20, 10):  # it has lost our answers
        says(minute, interval, register, signed)
    assert MeterReading.objects.count() == 2

    # What differs in anything is no repeat: another value, another context, nothing signed.
    says(20, interval | {"value": "1500.2"}, register, signed)
    says(20, {**interval, "context": "Trigger"})
    says(20, interval, register)
    assert MeterReading.objects.count() == 5

    point.stop(number, 11_000, at=minutes(60))
    says(20, interval, register)
    assert MeterReading.objects.count() == 5
