"""Reservations at the CPO that are used or expire: their Sessions and CDRs, checked by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from cpo.models import CDR, Reservation, Session
from cpo.modules import reservations_operations as reservations
from tests.commands_support import TAG, Commander, payload, reserved_tariff
from tests.cpo_support import (
    EVSE_UID,
    SECOND_EVSE_UID,
    TARIFF,
    Point,
    add_location,
    add_point,
    add_tariff,
    stamp,
    with_tariff,
)
from tests.fixtures import Document
from tests.reservations_support import Clock, configured, only_cdr
from tests.reservations_support import both_fixture as both_fixture
from tests.reservations_support import clock_fixture as clock_fixture
from tests.reservations_support import emsp_fixture as emsp_fixture
from tests.reservations_support import point_fixture as point_fixture

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


# ---------------------------------------------------------------- used


@pytest.mark.req("SES-17", "SES-19", "SES-20", "CDR-32", "CDR-39", "TAR-34", "TAR-37", "CMD-30", "CMD-31")
def test_the_reserved_session_becomes_active_and_its_cdr_begins_with_the_reservation(
    point: Point, emsp: Commander, clock: Clock
) -> None:
    number = payload(emsp.reserved(60))["reservationId"]
    clock.to(10)
    told = point.start(TAG, at=clock.at(10), meter=1000)
    begun = emsp.sessions()[-1]
    clock.to(70)
    point.stop(told["transactionId"], 11_000, at=clock.at(70))

    cdr, pushed = only_cdr(), emsp.sessions()[-1]
    assert told["idTagInfo"]["status"] == "Accepted"
    assert Reservation.objects.get().state == "USED"
    assert (begun["status"], begun["start_date_time"]) == ("ACTIVE", stamp(clock.at(10)))
    assert {each["id"] for each in emsp.sessions()} == {Session.objects.get().object_id} == {str(cdr["session_id"])}
    assert (pushed["status"], pushed["end_date_time"]) == ("COMPLETED", stamp(clock.at(70)))
    assert (cdr["start_date_time"], cdr["end_date_time"]) == (stamp(clock.start), stamp(clock.at(70)))
    assert [sorted(each["type"] for each in period["dimensions"]) for period in cdr["charging_periods"]] == [
        ["RESERVATION_TIME"], ["ENERGY", "TIME"],
    ]  # fmt: skip
    # reserved 10 minutes: 1.00 + 6.00 / 6 = 2.00; charged: 0.50 + 10 kWh x 0.30 = 3.50
    assert cdr["total_reservation_cost"]["excl_vat"] == Decimal(2)
    assert cdr["total_cost"] == {"excl_vat": Decimal("5.5"), "incl_vat": Decimal("6.6")}
    assert (cdr["total_time"], cdr["auth_method"]) == (1, "COMMAND")
    assert number == Reservation.objects.get().number


@pytest.mark.req("SES-17")
def test_the_charge_point_may_name_the_reservation_itself(
    both: Point, emsp: Commander, clock: Clock, document: Document
) -> None:
    emsp.emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    number = payload(emsp.reserved(60))["reservationId"]
    start = {"connectorId": 2, "idTag": TAG, "meterStart": 0, "timestamp": stamp(clock.to(1)), "reservationId": number}

    both.says("StartTransaction", start)

    assert Reservation.objects.get().state == "USED"
    assert [each["status"] for each in emsp.sessions()] == ["RESERVATION", "ACTIVE"]
    assert emsp.sessions()[-1]["evse_uid"] == SECOND_EVSE_UID


@pytest.mark.req("SES-17")
@pytest.mark.parametrize(("changes", "late"), [({"connector": 2}, 0), ({}, 61)])
def test_a_start_elsewhere_or_too_late_is_another_session(
    both: Point, emsp: Commander, clock: Clock, changes: dict[str, Any], late: int, document: Document
) -> None:
    emsp.emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    emsp.reserved(60)

    both.start(TAG, at=clock.to(late), **changes)

    assert Reservation.objects.get().state == "ACCEPTED"
    assert set(Session.objects.values_list("status", flat=True)) == {"RESERVATION", "ACTIVE"}


@pytest.mark.req("SES-24", "SES-25", "CDR-30", "CDR-31")
def test_the_last_auth_method_and_the_last_reference_win(
    point: Point, emsp: Commander, clock: Clock, document: Document
) -> None:
    emsp.emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    emsp.reserved(60)
    clock.to(20)  # the 15 minutes of a card are over (CMD-27)
    first = point.start(TAG, at=clock.at(20))["transactionId"]
    point.stop(first, 6000, at=clock.to(40))
    whitelisted = only_cdr()

    emsp.reserved(60, authorization_reference="OF-THE-RESERVATION")
    emsp.send("START_SESSION", authorization_reference="OF-THE-START")
    emsp.answer()
    point.start(TAG, at=clock.to(50))

    assert [each["auth_method"] for each in emsp.sessions()[:2]] == ["COMMAND", "WHITELIST"]
    assert whitelisted["auth_method"] == "WHITELIST"
    assert whitelisted["authorization_reference"] == "AUTH-20250912-0815"
    last = json.loads(Session.objects.latest("id").document)
    assert (last["status"], last["auth_method"]) == ("ACTIVE", "COMMAND")
    assert last["authorization_reference"] == "OF-THE-START"


@pytest.mark.req("CMD-27", "OCPP-74")
def test_an_app_is_let_in_as_long_as_it_is_reserved_and_a_card_for_15_minutes(
    both: Point, emsp: Commander, clock: Clock, document: Document
) -> None:
    emsp.reserved(60)
    emsp.reserved(60, reservation_id="R2", token=document("token_app_user", uid="APP"), evse_uid=SECOND_EVSE_UID)

    def told(tag: str) -> str:
        found: str = both.says("Authorize", {"idTag": tag})["idTagInfo"]["status"]
        return found

    at_first = told(TAG), told("APP")
    clock.to(14)
    assert told(TAG) == "Accepted"
    clock.to(15.1)
    later = told(TAG), told("APP")
    clock.to(61)
    reservations.expire_due()

    assert (at_first, later, told("APP")) == (("Accepted", "Accepted"), ("Invalid", "Accepted"), "Invalid")


@pytest.mark.req("OCPP-88", "CMD-20")
def test_a_reservation_that_another_token_has_taken_is_over_and_free(
    point: Point, emsp: Commander, clock: Clock, document: Document
) -> None:
    other = document("token_rfid", uid="0000AAAA", whitelist="ALWAYS")
    emsp.emsp.put("cpo/2.2.1/tokens/DE/EMS/0000AAAA", other)
    number = payload(emsp.reserved(60))["reservationId"]
    start = {"connectorId": 1, "idTag": "0000AAAA", "meterStart": 0, "timestamp": stamp(clock.to(9))}

    point.says("StartTransaction", {**start, "reservationId": number})

    assert dict(Session.objects.values_list("token_uid", "status")) == {TAG: "COMPLETED", "0000AAAA": "ACTIVE"}
    assert emsp.results() == ["ACCEPTED", "CANCELED_RESERVATION"]
    assert not CDR.objects.exists()


# ---------------------------------------------------------------- expired


@pytest.mark.req("SES-18", "CDR-28", "CDR-46", "CMD-41", "TAR-34", "TAR-35", "TAR-36", "PRI-108", "SES-20")
def test_an_expired_reservation_is_completed_and_costs_what_the_tariff_says(
    point: Point, emsp: Commander, clock: Clock
) -> None:
    emsp.reserved(30)
    clock.to(31)

    reservations.expire_due()
    reservations.expire_due()

    cdr, pushed = only_cdr(), emsp.sessions()[-1]
    assert Reservation.objects.get().state == "EXPIRED"
    assert (pushed["status"], pushed["kwh"], pushed["end_date_time"]) == ("COMPLETED", 0, stamp(clock.at(30)))
    assert "session_id" not in cdr
    assert (cdr["start_date_time"], cdr["end_date_time"]) == (stamp(clock.start), stamp(clock.at(30)))
    assert [period["dimensions"] for period in cdr["charging_periods"]] == [
        [{"type": "RESERVATION_TIME", "volume": Decimal("0.5")}]
    ]
    # expired: 4.00 (RESERVATION_EXPIRES) + half an hour x 6.00 (RESERVATION, for that has no TIME of its own)
    assert cdr["total_cost"] == {"excl_vat": Decimal(7), "incl_vat": Decimal("8.4")}
    assert cdr["total_reservation_cost"]["excl_vat"] == Decimal(7)
    assert (cdr["total_energy"], cdr["total_time"]) == (0, 0)
    assert (cdr["cdr_location"]["evse_uid"], cdr["auth_method"]) == (EVSE_UID, "COMMAND")
    assert len(emsp.cdrs()) == 1


@pytest.mark.req("CDR-46", "SES-22", "PRI-108")
def test_a_reservation_without_an_evse_has_na_in_its_cdr(both: Point, emsp: Commander, clock: Clock) -> None:
    configured(both, "true")
    emsp.reserved(30, evse_uid=None)
    clock.to(31)

    reservations.expire_due()

    place = only_cdr()["cdr_location"]
    assert {place["evse_uid"], place["evse_id"], place["connector_id"]} == {"#NA"}
    assert place["connector_standard"]
    assert emsp.sessions()[-1]["evse_uid"] == "#NA"


@pytest.mark.req("SES-18", "TAR-37")
def test_an_expired_reservation_that_no_tariff_prices_has_no_cdr(
    document: Document, emsp: Commander, clock: Clock
) -> None:
    plain = reserved_tariff()
    plain["elements"] = plain["elements"][:1]
    add_tariff(plain)
    add_point(add_location(with_tariff(document("location"), TARIFF)))
    emsp.reserved(30)
    clock.to(31)

    reservations.expire_due()

    assert emsp.sessions()[-1]["status"] == "COMPLETED"
    assert emsp.cdrs() == []


@pytest.mark.req("SES-13", "OCPP-88")
def test_an_expired_reservation_is_not_used_any_more(
    point: Point, emsp: Commander, clock: Clock, document: Document
) -> None:
    emsp.emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    emsp.reserved(10)
    clock.to(11)
    reservations.expire_due()

    point.start(TAG, at=clock.at(11))

    assert list(Session.objects.order_by("id").values_list("status", flat=True)) == ["COMPLETED", "ACTIVE"]


@pytest.mark.req("OCPP-88")
def test_a_start_just_before_the_end_that_comes_just_after_it_uses_the_reservation(
    point: Point, emsp: Commander, clock: Clock
) -> None:
    emsp.reserved(10)
    clock.to(10.2)
    reservations.expire_due()

    point.start(TAG, at=clock.at(9.9))

    assert Reservation.objects.get().state == "USED"
    assert Session.objects.get().status == "ACTIVE"
