"""CDRs of a CPO: what is in them, who sees them, and how a wrong one is corrected."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from cpo.models import CDR, Transaction, UnmatchedStop
from cpo.modules import credits_operations as credits
from cpo.modules import transactions
from ocpi import cdr_reviews, tariff_pricing
from ocpi.models import CdrReview, Delivery
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1 import cdrs as cdr_schema
from tests.cpo_support import BASE, TARIFF, Point, add_location, add_point, add_tariff, stamp, tariff, with_tariff
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

CDRS = "cpo/2.2.1/cdrs"
TAG = "04C7A1E2B95D80"
WHY = "The meter was wrong."
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


@pytest.fixture
def charged(point: Point, card: str) -> CDR:
    """A CDR over 10 kWh and 3.50: it is out."""
    point.charge(card)
    return CDR.objects.get()


def minutes(number: float) -> datetime:
    return BASE + timedelta(minutes=number)


def exact(cdr: CDR) -> Any:
    return json.loads(cdr.document, parse_float=Decimal, parse_int=Decimal)


def dimensions(cdr: CDR) -> list[dict[str, Decimal]]:
    return [
        {each["type"]: each["volume"] for each in period["dimensions"]} for period in exact(cdr)["charging_periods"]
    ]


# ---------------------------------------------------------------- what is in them


@pytest.mark.req("CDR-32", "CDR-36", "CDR-39", "CDR-42", "CDR-45")
def test_energy_is_in_kwh_and_time_in_hours(point: Point, card: str) -> None:
    point.charge(card, wh=7_500, hours=1.5)

    cdr = exact(CDR.objects.get())

    assert dimensions(CDR.objects.get()) == [{"ENERGY": Decimal("7.5"), "TIME": Decimal("1.5")}]
    assert (cdr["total_energy"], cdr["total_time"]) == (Decimal("7.5"), Decimal("1.5"))
    assert (cdr["start_date_time"], cdr["end_date_time"]) == (stamp(BASE), stamp(minutes(90)))
    assert [period["tariff_id"] for period in cdr["charging_periods"]] == [TARIFF]
    assert cdr["currency"] == "EUR"


@pytest.mark.req("CDR-41", "CDR-42")
@pytest.mark.parametrize(("status", "parked"), [("SuspendedEV", Decimal("0.5")), ("SuspendedEVSE", None)])
def test_only_a_car_that_wants_no_power_parks(point: Point, card: str, status: str, parked: Decimal | None) -> None:
    number = point.start(card)["transactionId"]
    point.meter(number, 6000, at=minutes(30))
    point.status(status, at=minutes(30))
    point.stop(number, 6000, at=minutes(60))

    cdr = exact(CDR.objects.get())

    assert [period.get("PARKING_TIME") for period in dimensions(CDR.objects.get())][-1:] == [parked]
    assert (cdr.get("total_parking_time") or None) == parked
    assert cdr["total_time"] == 1


@pytest.mark.req("PIT-37")
def test_a_long_address_is_cut_to_what_a_cdr_allows(card: str, document: Document) -> None:
    add_tariff(tariff())
    long = document("location", address="A" * 60, state="S" * 30)
    point = add_point(add_location(with_tariff(long)))

    point.charge(card)

    row = CDR.objects.get()
    assert exact(row)["cdr_location"]["address"] == "A" * 45
    assert exact(row)["cdr_location"]["state"] == "S" * 20
    cdr_schema.check(row.document.encode(), "CDR", strict=True)


@pytest.mark.req("PIT-38", "CDR-47")
def test_an_evse_without_evse_id_is_not_available(card: str, document: Document) -> None:
    add_tariff(tariff())
    location = with_tariff(document("location"))
    location["evses"][0].pop("evse_id")
    point = add_point(add_location(location))

    point.charge(card)

    assert exact(CDR.objects.get())["cdr_location"]["evse_id"] == "#NA"
    cdr_schema.check(CDR.objects.get().document.encode(), "CDR", strict=True)


# ---------------------------------------------------------------- who sees them, and when


@pytest.mark.req("CDR-01", "CDR-14", "TRN-080")
def test_the_list_is_by_the_time_a_cdr_was_made_and_has_only_the_callers(
    charged: CDR, emsp: Person, second_emsp: Person
) -> None:
    after = charged.last_updated + timedelta(seconds=1)

    made = emsp.get(CDRS, query={"date_from": stamp(charged.last_updated), "date_to": stamp(after + timedelta(1))})
    later = emsp.get(CDRS, query={"date_from": stamp(after)})

    assert made.data == [json.loads(charged.document)]
    assert (made.headers["X-Total-Count"], later.headers["X-Total-Count"]) == ("1", "0")
    assert second_emsp.get(CDRS).headers["X-Total-Count"] == "0"


@pytest.mark.req("CDR-13", "CDR-14")
def test_a_cdr_is_on_its_way_when_the_session_ends(charged: CDR, emsp: Person, second_emsp: Person) -> None:
    [row] = Delivery.objects.filter(module="cdrs")

    assert (row.state, row.source_id, row.platform_id) == ("PENDING", charged.pk, emsp.id)
    assert row.due_at <= timezone.now()


@pytest.mark.req("CDR-05")
def test_a_list_of_cdrs_takes_nothing(charged: CDR, emsp: Person) -> None:
    assert {emsp.request(method, CDRS, {}).http_status for method in ("POST", "PUT", "PATCH", "DELETE")} == {405}


# ---------------------------------------------------------------- corrected


@pytest.mark.req("CDR-20", "CDR-21", "CDR-23", "PRI-106")
def test_a_credit_cdr_repeats_all_but_the_total(charged: CDR) -> None:
    credits.credit(charged.pk, reason=WHY)

    row = CDR.objects.get(credit=True)
    original, found = exact(charged), exact(row)
    changed = {"id", "credit", "credit_reference_id", "total_cost", "last_updated"}
    assert {name: value for name, value in found.items() if name not in changed} == {
        name: value for name, value in original.items() if name not in changed
    }
    assert found["total_cost"] == {"excl_vat": Decimal("-3.5"), "incl_vat": Decimal("-4.2")}
    assert (found["id"], found["credit"], found["credit_reference_id"]) == (f"{original['id']}-C", True, original["id"])
    assert (len(original["id"]), len(found["id"])) == (36, 38)
    assert (row.object_id, row.original_id, row.reason) == (found["id"], charged.pk, WHY)
    assert WHY not in row.document
    cdr_schema.check(row.document.encode(), "CDR", strict=True)
    assert tariff_pricing.credit_differences(found, original) == []
    charged.refresh_from_db()
    assert exact(charged) == original


@pytest.mark.req("CDR-24", "CDR-11", "CDR-01", "PRI-105")
def test_the_emsp_gets_original_credit_and_successor_in_this_order(
    point: Point, partner: Partner, listener: Listener, document: Document
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener)
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    point.charge(TAG)
    original = CDR.objects.get()

    credits.credit(original.pk, reason=WHY)
    anew = credits.reissue(original.pk, reason=WHY)
    drain_now()

    sent = [request.json for request in listener.received("POST", "/ocpi/2.2.1/receiver/cdrs")]
    assert [each["id"] for each in sent] == [original.object_id, f"{original.object_id}-C", anew.object_id]
    assert not {"credit", "credit_reference_id"} & set(sent[2])
    assert sent[2]["total_cost"] == sent[0]["total_cost"]
    assert sent[2]["session_id"] == sent[0]["session_id"]
    assert emsp.get(CDRS).data == sent
    assert not Delivery.objects.filter(module="cdrs").exists()


@pytest.mark.req("REL-46", "CDR-20")
def test_a_cdr_is_taken_back_once_and_a_credit_cdr_never(charged: CDR) -> None:
    credit = credits.credit(charged.pk, reason=WHY)

    with pytest.raises(credits.NotCorrected, match="already taken back"):
        credits.credit(charged.pk, reason=WHY)
    with pytest.raises(credits.NotCorrected, match="is a Credit CDR"):
        credits.credit(credit.pk, reason=WHY)
    assert CDR.objects.count() == 2


@pytest.mark.req("CDR-24")
def test_a_cdr_is_issued_anew_once_and_only_when_it_is_taken_back(charged: CDR) -> None:
    with pytest.raises(credits.NotCorrected, match="not taken back"):
        credits.reissue(charged.pk, reason=WHY)
    credits.credit(charged.pk, reason=WHY)
    anew = credits.reissue(charged.pk, reason=WHY)
    with pytest.raises(credits.NotCorrected, match="already followed"):
        credits.reissue(charged.pk, reason=WHY)

    assert CDR.objects.count() == 3
    credits.credit(anew.pk, reason=WHY)  # the new one may be wrong again
    assert credits.reissue(anew.pk, reason=WHY).replaces == anew


@pytest.mark.req("REL-46", "CDR-20")
@pytest.mark.parametrize(
    "wrong",
    [{"original_id": "again"}, {"original_id": 0}, {"original_id": None}, {"country_code": "BE"}, {"credit": False},
     {"original_id": None, "credit": False, "replaces_id": "the credit"}],
)  # fmt: skip
def test_the_database_refuses_a_credit_cdr_that_names_no_cdr_it_could_take_back(
    charged: CDR, wrong: dict[str, Any]
) -> None:
    places: dict[Any, Any] = {"again": charged.pk}
    if "again" in wrong.values() or "the credit" in wrong.values():
        places["the credit"] = credits.credit(charged.pk, reason=WHY).pk
    given = {name: places.get(value, value) if isinstance(value, str) else value for name, value in wrong.items()}
    same = {field.attname: getattr(charged, field.attname) for field in CDR._meta.concrete_fields
            if field.name not in ("id", "created_at")}  # fmt: skip
    row = CDR(**same | {"object_id": "OTHER", "session_id": "", "credit": True, "original_id": charged.pk} | given)

    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.req("REL-46", "CDR-11")
@pytest.mark.parametrize("column", ["document", "object_id", "party_id", "original_id", "reason", "last_updated"])
def test_the_database_refuses_to_change_any_column_of_a_cdr(charged: CDR, column: str) -> None:
    value = timezone.now() if column == "last_updated" else charged.pk if column == "original_id" else "x"

    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        CDR.objects.update(**{column: value})


@pytest.mark.req("REL-46")
@pytest.mark.parametrize("statement", ["DELETE FROM cpo_cdr", "TRUNCATE cpo_cdr CASCADE"])
def test_the_database_refuses_to_delete_a_cdr_and_all_of_them(charged: CDR, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with events to come is not emptied anyway
        with pytest.raises(IntegrityError, match="never"), transaction.atomic():
            cursor.execute(statement)

    assert CDR.objects.get() == charged


def synthetic(point: Point, card: str) -> int:
    """A transaction that we ended at 5 kWh, its CDR out; the real stop has not come."""
    number: int = point.start(card)["transactionId"]
    point.meter(number, 6000, at=minutes(30))
    point.start(card, at=minutes(60), meter=11_000)
    Transaction.objects.filter(transaction_id=number).update(superseded_at=timezone.now() - timedelta(seconds=61))
    transactions.close_superseded()
    Transaction.objects.filter(transaction_id=number).update(cdr_due_at=timezone.now())
    transactions.settle_due()
    assert exact(CDR.objects.get())["total_energy"] == 5
    return number


@pytest.mark.req("OCPP-42", "CDR-24", "CDR-11")
def test_a_real_stop_that_comes_late_corrects_the_cdr_that_is_out(point: Point, card: str) -> None:
    number = synthetic(point, card)

    point.stop(number, 11_000, at=minutes(55))
    point.stop(number, 11_000, at=minutes(55))

    first, credit, anew = CDR.objects.order_by("id")
    assert [exact(each)["total_energy"] for each in (first, credit, anew)] == [5, 5, 10]
    assert (credit.original, anew.replaces, anew.session_id) == (first, first, first.session_id)
    assert exact(credit)["total_cost"]["excl_vat"] == -exact(first)["total_cost"]["excl_vat"]
    assert exact(anew)["end_date_time"] == stamp(minutes(55))
    assert str(number) in credit.reason
    assert not UnmatchedStop.objects.exists()
    assert Delivery.objects.filter(module="cdrs").count() == 3


@pytest.mark.req("OCPP-42")
def test_a_late_stop_that_says_the_same_corrects_nothing(point: Point, card: str) -> None:
    number = synthetic(point, card)

    point.stop(number, 6000, at=minutes(30))

    assert CDR.objects.count() == 1


@pytest.mark.req("OCPP-42", "OCPP-45")
def test_a_late_stop_that_cannot_be_waits_for_an_operator_first(point: Point, card: str) -> None:
    number = synthetic(point, card)

    point.stop(number, 90_000_000, at=minutes(55))
    waiting = CDR.objects.count()
    transactions.release(Transaction.objects.get(transaction_id=number).pk)

    assert waiting == 1
    assert CDR.objects.count() == 3


@pytest.mark.req("OCPP-42")
def test_what_an_operator_took_back_is_not_billed_by_a_late_stop(point: Point, card: str) -> None:
    number = synthetic(point, card)
    credits.credit(CDR.objects.get().pk, reason=WHY)

    point.stop(number, 11_000, at=minutes(55))

    assert point.message.state == "DONE"
    assert CDR.objects.count() == 2


def test_a_cdr_without_a_session_is_issued_anew_as_it_was(charged: CDR) -> None:
    same = {field.attname: getattr(charged, field.attname) for field in CDR._meta.concrete_fields
            if field.name not in ("id", "created_at")}  # fmt: skip
    alone = CDR.objects.create(**same | {"object_id": "ALONE", "session_id": ""})

    credits.credit(alone.pk, reason=WHY)
    anew = credits.reissue(alone.pk, reason=WHY)

    assert exact(anew)["total_cost"] == exact(alone)["total_cost"]
    assert exact(anew)["id"] == anew.object_id != "ALONE"
    assert "credit" not in exact(anew)


@pytest.mark.req("PRI-100")
def test_our_own_cdrs_are_read_with_the_eyes_of_those_who_pay(charged: CDR) -> None:
    credits.credit(charged.pk, reason=WHY)
    CdrReview.objects.update(received_at=json.loads(charged.document)["end_date_time"])  # not years later

    assert cdr_reviews.review_due() == 2

    found = CdrReview.objects.order_by("id")
    assert [(each.code, each.field) for row in found for each in row.findings.all()] == []
    assert [(row.cdr_id, row.verdict, row.taken_back) for row in found] == [
        (charged.object_id, "good", True),
        (f"{charged.object_id}-C", "good", False),
    ]
