"""Reservations at the CPO: made, used, expired, cancelled by either side; their Sessions and CDRs, checked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from cpo import reservation_states
from cpo.models import CDR, EVSE, Command, CommandedToken, Operation, Reservation, Session
from cpo.modules import commands_operations as commands
from cpo.modules import reservations_operations as reservations
from ocpi import tariff_pricing
from ocpi.v2_2_1 import cdrs as cdr_schema
from ocpi.v2_2_1 import sessions as session_schema
from tests.commands_support import RESERVATION, TAG, Commander, payload, reserved_tariff, whole_minute
from tests.cpo_support import (
    EVSE_UID,
    SECOND_EVSE_UID,
    TARIFF,
    Point,
    add_location,
    add_point,
    add_tariff,
    answer_operation,
    stamp,
    with_tariff,
)
from tests.fixtures import Document, Partner
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


class Clock:
    """The time of a test: it stands still until it is moved."""

    def __init__(self) -> None:
        self.start = whole_minute()
        self._traveller = time_machine.travel(self.start, tick=False)
        self._coordinates = self._traveller.start()

    def at(self, minutes: float) -> datetime:
        return self.start + timedelta(minutes=minutes)

    def to(self, minutes: float) -> datetime:
        self._coordinates.move_to(self.at(minutes))
        return self.at(minutes)

    def stop(self) -> None:
        self._traveller.stop()


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.stop()


@pytest.fixture
def point(document: Document, clock: Clock) -> Point:
    add_tariff(reserved_tariff())
    return add_point(add_location(with_tariff(document("location"))))


@pytest.fixture
def both(document: Document, clock: Clock) -> Point:
    """A charge point with two EVSEs that can be reserved, both free."""
    add_tariff(reserved_tariff())
    body = with_tariff(document("location"))
    body["evses"][1]["capabilities"].append("RESERVABLE")
    point = add_point(add_location(body), evses=(EVSE_UID, SECOND_EVSE_UID))
    point.status("Available", connector=1)
    point.status("Available", connector=2)
    return point


@pytest.fixture
def emsp(partner: Partner, listener: Listener, document: Document, settings: Any) -> Commander:
    settings.OCPI_SESSION_PUSH_SECONDS = 0
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def only_cdr() -> Any:
    row = CDR.objects.get()
    cdr_schema.check(row.document.encode(), "CDR", strict=True)
    checked = tariff_pricing.check(tariff_pricing.loads(row.document), [], timezone="Europe/Amsterdam")
    assert checked.verdict == "match", checked.findings
    return exact(row.document)


# ---------------------------------------------------------------- made


@pytest.mark.req("CMD-36", "CMD-38", "SES-16", "SES-21", "OCPP-88", "CMD-30", "CMD-31")
def test_a_reservation_in_force_is_a_session(point: Point, emsp: Commander, clock: Clock) -> None:
    answer = emsp.reserve(60)
    operation = emsp.answer()

    row, session = Reservation.objects.get(), Session.objects.get()
    assert (answer.codes, answer.data) == ((200, 1000), {"result": "ACCEPTED", "timeout": 30})
    assert operation.action == "ReserveNow"
    asked = payload(operation)
    assert {**asked, "expiryDate": asked["expiryDate"][:19]} == {
        "connectorId": 1,
        "expiryDate": stamp(clock.at(60))[:19],
        "idTag": TAG,
        "parentIdTag": "EMS-G00004711",
        "reservationId": row.number,
    }
    assert RESERVATION not in operation.payload
    assert (row.state, row.reservation_id, row.session_id) == ("ACCEPTED", RESERVATION, session.pk)
    [pushed] = emsp.sessions()
    session_schema.check(json.dumps(pushed).encode(), "Session", strict=True)
    assert (pushed["id"], pushed["status"], pushed["kwh"]) == (session.object_id, "RESERVATION", 0)
    assert (pushed["auth_method"], pushed["authorization_reference"]) == ("COMMAND", "AUTH-20250912-0815")
    assert (pushed["evse_uid"], pushed["connector_id"]) == (EVSE_UID, "1")
    assert pushed["start_date_time"] == stamp(clock.start)
    assert "total_cost" not in pushed
    assert emsp.results() == ["ACCEPTED"]


@pytest.mark.req("CMD-36", "SES-16")
@pytest.mark.parametrize("ending", [
    {"status": "Rejected"}, {"status": "Occupied"}, {"state": "TIMEOUT"}, {"state": "CALLERROR", "error": "Odd: x"},
])  # fmt: skip
def test_a_refused_reservation_is_no_session(point: Point, emsp: Commander, ending: dict[str, str]) -> None:
    emsp.reserve()
    emsp.answer(**ending)

    assert Reservation.objects.get().state == reservation_states.REFUSED
    assert not Session.objects.exists()
    assert not CommandedToken.objects.exists()
    assert emsp.sessions() == []


@pytest.mark.req("OCPP-88")
@pytest.mark.parametrize(("state", "told"), [
    ("TIMEOUT", True), ("CONNECTION_LOST", True), ("INVALID_ANSWER", True), ("CALLERROR", False), ("ANSWERED", False),
])  # fmt: skip
def test_a_charge_point_that_may_have_reserved_all_the_same_is_told_to_forget(
    point: Point, emsp: Commander, clock: Clock, state: str, told: bool
) -> None:
    emsp.reserve(60)
    emsp.answer("Rejected", state=state)

    waiting = Operation.objects.filter(state="QUEUED")
    assert [operation.action for operation in waiting] == ["CancelReservation"] * told
    for operation in waiting:
        assert payload(operation) == {"reservationId": Reservation.objects.get().number}
        assert (operation.deliver_later, operation.expires_at) == (True, clock.at(60))


@pytest.mark.req("CMD-40")
def test_an_expiry_in_the_past_is_refused(point: Point, emsp: Commander, clock: Clock) -> None:
    past, now, future = emsp.reserve(-1), emsp.reserve(0), emsp.reserve(1)

    assert [answer.codes for answer in (past, now, future)] == [(200, 2001), (200, 2001), (200, 1000)]
    assert "expiry_date" in past.message
    assert Reservation.objects.count() == 1


@pytest.mark.req("CMD-25")
def test_nobody_reserves_with_the_token_of_another_emsp(point: Point, emsp: Commander, document: Document) -> None:
    answer = emsp.reserve(token=document("token_rfid", party_id="OTH"))

    assert answer.codes == (200, 2001)
    assert not Reservation.objects.exists()


@pytest.mark.req("CMD-10", "CMD-11")
@pytest.mark.parametrize("changes", [{"location_id": "NOPE"}, {"evse_uid": "NOPE"}])
def test_an_unknown_place_cannot_be_reserved(point: Point, emsp: Commander, changes: dict[str, str]) -> None:
    answer = emsp.reserve(60, **changes)

    assert answer.codes == (200, 2003)
    assert answer.data["result"] == "REJECTED"
    assert not Command.objects.exists()


@pytest.mark.req("CMD-34", "LOC-69")
def test_an_evse_without_the_capability_cannot_be_reserved(point: Point, emsp: Commander) -> None:
    answer = emsp.reserve(evse_uid=SECOND_EVSE_UID)

    assert answer.data["result"] == "NOT_SUPPORTED"
    assert emsp.results() == []


# ---------------------------------------------------------------- one id, one reservation


@pytest.mark.req("CMD-37", "OCPP-88")
def test_the_same_id_again_replaces_the_reservation(both: Point, emsp: Commander, clock: Clock) -> None:
    first = payload(emsp.reserved(60))
    second = payload(emsp.reserved(120, evse_uid=SECOND_EVSE_UID, reservation_id=RESERVATION.lower()))

    row = Reservation.objects.get()
    assert first["reservationId"] == second["reservationId"] == row.number
    assert (first["connectorId"], second["connectorId"]) == (1, 2)
    assert (row.expires_at, row.connector_id) == (clock.at(120), 2)
    assert [(each["status"], each["evse_uid"]) for each in emsp.sessions()] == [
        ("RESERVATION", EVSE_UID), ("RESERVATION", SECOND_EVSE_UID),
    ]  # fmt: skip
    assert {each["id"] for each in emsp.sessions()} == {Session.objects.get().object_id}


@pytest.mark.req("CMD-37")
def test_a_refused_replacement_leaves_the_reservation_as_it_was(both: Point, emsp: Commander, clock: Clock) -> None:
    emsp.reserved(60)
    emsp.reserve(120, evse_uid=SECOND_EVSE_UID)
    emsp.answer("Occupied")

    row = Reservation.objects.get()
    assert (row.state, row.connector_id, row.expires_at) == ("ACCEPTED", 1, clock.at(60))
    assert emsp.results() == ["ACCEPTED", "EVSE_OCCUPIED"]
    assert len(emsp.sessions()) == 1


@pytest.mark.req("CMD-37", "CMD-38")
def test_replaced_at_another_charge_point_it_is_forgotten_at_the_first(
    document: Document, emsp: Commander, clock: Clock
) -> None:
    add_tariff(reserved_tariff())
    body = with_tariff(document("location"))
    body["evses"][1]["capabilities"].append("RESERVABLE")
    location = add_location(body)
    old, new = add_point(location), add_point(location, "CP-2", evses=(SECOND_EVSE_UID,))
    first = emsp.reserved()

    second = emsp.reserved(evse_uid=SECOND_EVSE_UID)

    forgotten = Operation.objects.get(state="QUEUED")
    assert (first.charge_point_id, second.charge_point_id) == (old.row.pk, new.row.pk)
    assert (forgotten.action, forgotten.charge_point_id) == ("CancelReservation", old.row.pk)
    assert payload(forgotten)["reservationId"] == payload(second)["reservationId"]
    assert Reservation.objects.get().charge_point_id == new.row.pk


@pytest.mark.req("CMD-37")
def test_after_its_end_the_same_id_is_a_new_reservation(point: Point, emsp: Commander, clock: Clock) -> None:
    first = payload(emsp.reserved(10))
    clock.to(11)
    reservations.expire_due()

    second = payload(emsp.reserved(10))

    assert first["reservationId"] != second["reservationId"]
    assert Session.objects.count() == Reservation.objects.count() == 2


@pytest.mark.req("CMD-38", "CMD-39", "SEC-37")
def test_two_emsps_with_the_same_id_never_meet(
    both: Point, emsp: Commander, partner: Partner, document: Document
) -> None:
    other = Commander(partner("DE*OTH:EMSP", listener=emsp.listener), emsp.listener, document, sent=100)
    theirs = document("token_rfid", party_id="OTH", uid="AABBCC")
    first = payload(emsp.reserved())
    nothing_of_theirs = other.send("CANCEL_RESERVATION")

    second = payload(other.reserved(token=theirs, evse_uid=SECOND_EVSE_UID))
    other.send("CANCEL_RESERVATION")
    cancelled = payload(other.answer())

    assert nothing_of_theirs.data["result"] == "REJECTED"
    assert first["reservationId"] != second["reservationId"] == cancelled["reservationId"]
    states = dict(Reservation.objects.values_list("party_id", "state"))
    assert states == {"EMS": "ACCEPTED", "OTH": "CANCELLED"}


# ---------------------------------------------------------------- any EVSE


def configured(point: Point, value: str) -> None:
    """Let the charge point boot and say whether it reserves connector 0."""
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    asked = Operation.objects.get(state="QUEUED", asked_by="ReserveConnectorZeroSupported")
    assert (asked.action, payload(asked)) == ("GetConfiguration", {"key": ["ReserveConnectorZeroSupported"]})
    Operation.objects.filter(state="QUEUED").exclude(pk=asked.pk).update(state="CANCELLED")  # what else it is asked
    key = {"key": "ReserveConnectorZeroSupported", "readonly": True, "value": value}
    asked.answer, asked.state = json.dumps({"configurationKey": [key]}), "ANSWERED"
    asked.save()


@pytest.mark.req("CMD-32", "SES-22")
def test_without_an_evse_connector_0_is_reserved_where_that_is_supported(
    both: Point, emsp: Commander, clock: Clock
) -> None:
    configured(both, "true")

    asked = payload(emsp.reserved(evse_uid=None))
    [reserved] = emsp.sessions()
    clock.to(5)
    both.start(TAG, connector=2, at=clock.at(5))
    charging = emsp.sessions()[-1]

    assert asked["connectorId"] == 0
    assert (reserved["evse_uid"], reserved["connector_id"]) == ("#NA", "#NA")
    assert (charging["id"], charging["status"]) == (reserved["id"], "ACTIVE")
    assert (charging["evse_uid"], charging["connector_id"]) == (SECOND_EVSE_UID, "1")


@pytest.mark.req("CMD-32")
@pytest.mark.parametrize("said", ["false", None])
def test_without_an_evse_the_first_free_one_is_reserved_elsewhere(both: Point, emsp: Commander, said: str) -> None:
    if said is not None:
        configured(both, said)
    both.status("Charging", connector=1)

    emsp.reserve(evse_uid=None)
    commands.carry_out(Command.objects.get().pk)

    asked = Operation.objects.get(action="ReserveNow")
    assert payload(asked)["connectorId"] == 2


@pytest.mark.req("CMD-32", "CMD-07")
def test_without_an_evse_and_none_free_it_is_rejected(both: Point, emsp: Commander) -> None:
    both.status("Charging", connector=1)
    both.status("Faulted", connector=2)

    assert emsp.reserve(evse_uid=None).data["result"] == "REJECTED"


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
    clock.to(30)
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


# ---------------------------------------------------------------- cancelled


@pytest.mark.req("CMD-39", "CMD-41", "SES-18", "CMD-14")
def test_the_emsp_cancels_its_reservation(point: Point, emsp: Commander, clock: Clock) -> None:
    number = payload(emsp.reserved(60))["reservationId"]
    clock.to(20)

    answer = emsp.send("CANCEL_RESERVATION", reservation_id=RESERVATION.lower())
    operation = emsp.answer()

    assert answer.data == {"result": "ACCEPTED", "timeout": 30}
    assert (operation.action, payload(operation)) == ("CancelReservation", {"reservationId": number})
    assert Reservation.objects.get().state == "CANCELLED"
    assert (emsp.sessions()[-1]["status"], emsp.sessions()[-1]["end_date_time"]) == ("COMPLETED", stamp(clock.at(20)))
    assert only_cdr()["end_date_time"] == stamp(clock.at(20))
    assert emsp.results() == ["ACCEPTED", "ACCEPTED"]  # and no CANCELED_RESERVATION: it was the eMSP itself
    assert not CommandedToken.objects.exists()


@pytest.mark.req("CMD-39", "CMD-14")
def test_a_reservation_nobody_knows_is_rejected_at_once(point: Point, emsp: Commander) -> None:
    answer = emsp.send("CANCEL_RESERVATION")

    assert (answer.codes, answer.data["result"]) == ((200, 1000), "REJECTED")
    assert not Operation.objects.exists()
    assert emsp.results() == []


@pytest.mark.req("CMD-39", "CMD-15")
def test_a_reservation_the_charge_point_does_not_know_is_unknown_and_over(
    point: Point, emsp: Commander, clock: Clock
) -> None:
    emsp.reserved(60)
    clock.to(20)

    emsp.send("CANCEL_RESERVATION")
    emsp.answer("Rejected")

    assert emsp.results() == ["ACCEPTED", "UNKNOWN_RESERVATION"]
    assert emsp.sessions()[-1]["status"] == "COMPLETED"
    assert not CDR.objects.exists(), "what the charge point has lost nobody pays for"
    assert emsp.send("CANCEL_RESERVATION").data["result"] == "REJECTED"


@pytest.mark.req("CMD-39")
@pytest.mark.parametrize("ending", [{"state": "TIMEOUT"}, {"state": "CALLERROR", "error": "GenericError: x"}])
def test_a_cancellation_that_fails_leaves_the_reservation(
    point: Point, emsp: Commander, ending: dict[str, str]
) -> None:
    emsp.reserved(60)

    emsp.send("CANCEL_RESERVATION")
    emsp.answer(**ending)

    assert Reservation.objects.get().state == "ACCEPTED"
    assert len(emsp.sessions()) == 1


@pytest.mark.req("OCPP-88")
def test_a_cancellation_is_never_asked_before_the_reservation_itself(point: Point, emsp: Commander) -> None:
    emsp.reserve()
    emsp.send("CANCEL_RESERVATION")
    first, second = Command.objects.order_by("id").values_list("pk", flat=True)

    commands.carry_out(second)
    assert not Operation.objects.exists()
    commands.carry_out(first)
    commands.settle(answer_operation().pk)
    commands.carry_out(second)
    commands.settle(answer_operation().pk)

    assert list(Operation.objects.order_by("created_at").values_list("action", flat=True)) == [
        "ReserveNow", "CancelReservation",
    ]  # fmt: skip
    assert Reservation.objects.get().state == "CANCELLED"


@pytest.mark.req("CMD-20", "OCPP-88", "CMD-04")
@pytest.mark.parametrize(("connector", "status"), [(1, "Faulted"), (1, "Unavailable"), (0, "Faulted")])
def test_a_connector_that_fails_ends_its_reservation_and_the_emsp_is_told(
    both: Point, emsp: Commander, clock: Clock, connector: int, status: str
) -> None:
    emsp.reserved(60)
    emsp.drain()
    clock.to(5)

    both.status(status, connector=connector, at=clock.at(5))

    assert emsp.results(1) == ["ACCEPTED", "CANCELED_RESERVATION"]
    assert emsp.results() == ["ACCEPTED", "CANCELED_RESERVATION"]
    assert Reservation.objects.get().ended_by == "charge point"
    assert emsp.sessions()[-1]["status"] == "COMPLETED"
    assert not CDR.objects.exists(), "our side ended it"
    assert Operation.objects.get(state="QUEUED").action == "CancelReservation"


@pytest.mark.req("CMD-20")
@pytest.mark.parametrize(("connector", "status"), [(2, "Faulted"), (1, "Reserved"), (1, "Available"), (0, "Available")])
def test_other_statuses_leave_a_reservation_alone(
    both: Point, emsp: Commander, clock: Clock, connector: int, status: str
) -> None:
    emsp.reserved(60)

    both.status(status, connector=connector, at=clock.to(5))

    assert Reservation.objects.get().state == "ACCEPTED"
    assert emsp.results() == ["ACCEPTED"]


@pytest.mark.req("CMD-20", "OCPP-88")
def test_an_operator_cancels_and_the_emsp_and_the_charge_point_are_told(
    point: Point, emsp: Commander, clock: Clock
) -> None:
    emsp.reserved(60)
    emsp.drain()
    pk = Reservation.objects.get().pk

    done = reservations.cancel(pk), reservations.cancel(pk)

    assert done == (True, False)
    assert emsp.results(1) == ["ACCEPTED", "CANCELED_RESERVATION"]
    assert Operation.objects.get(state="QUEUED").action == "CancelReservation"
    assert emsp.sessions()[-1]["status"] == "COMPLETED"


@pytest.mark.req("CMD-20", "OCPP-88")
def test_cancelled_by_an_operator_before_the_charge_point_has_answered(point: Point, emsp: Commander) -> None:
    emsp.reserve(60)
    assert reservations.cancel(Reservation.objects.get().pk)
    Operation.objects.all().delete()  # told to forget what it does not have yet

    emsp.answer()

    assert emsp.results() == ["ACCEPTED", "CANCELED_RESERVATION"]
    assert Operation.objects.get(state="QUEUED").action == "CancelReservation"
    assert not Session.objects.exists()


@pytest.mark.req("CMD-37", "CMD-20")
def test_a_reservation_that_was_used_while_its_replacement_was_asked_for(
    both: Point, emsp: Commander, clock: Clock
) -> None:
    emsp.reserved(60)
    emsp.reserve(60, evse_uid=SECOND_EVSE_UID)
    emsp.ask()
    both.start(TAG, at=clock.to(1))

    emsp.settle()

    assert emsp.results(2) == ["ACCEPTED", "CANCELED_RESERVATION"]
    assert Reservation.objects.get().state == "USED"
    assert Session.objects.get().status == "ACTIVE"
    assert Operation.objects.get(state="QUEUED").action == "CancelReservation"


# ---------------------------------------------------------------- what the world sees


@pytest.mark.req("LOC-65")
def test_a_reserved_evse_is_reserved_to_the_world_until_it_is_not(point: Point, emsp: Commander, clock: Clock) -> None:
    emsp.reserved(60)
    seen = []
    for minute, status in enumerate(("Available", "Reserved", "Preparing", "Charging", "Available")):
        point.status(status, at=clock.to(minute))
        seen.append(EVSE.objects.get(uid=EVSE_UID).status)

    assert seen == ["AVAILABLE", "RESERVED", "AVAILABLE", "CHARGING", "AVAILABLE"]
    emsp.drain()
    pushed = emsp.listener.received(path="/ocpi/2.2.1/receiver/locations")
    assert pushed[-1].json["status"] == "AVAILABLE"


@pytest.mark.req("CMD-12")
def test_a_reservation_is_not_stopped_but_cancelled(point: Point, emsp: Commander) -> None:
    emsp.reserved()

    answer = emsp.send("STOP_SESSION", session_id=Session.objects.get().object_id)

    assert answer.data["result"] == "REJECTED"
    assert Session.objects.get().status == "RESERVATION"
