"""Reservations at the CPO: how they are made, at which EVSE, and what becomes of one when its id comes again."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from cpo import reservation_states
from cpo.models import Command, CommandedToken, Operation, Reservation, Session
from cpo.modules import commands_operations as commands
from cpo.modules import reservations_operations as reservations
from cpo.modules import tokens
from ocpi.headers import Address
from ocpi.v2_2_1 import sessions as session_schema
from tests.commands_support import PATH, RESERVATION, TAG, Commander, payload, reserved_tariff
from tests.cpo_support import (
    EVSE_UID,
    SECOND_EVSE_UID,
    Point,
    add_location,
    add_point,
    add_tariff,
    stamp,
    with_tariff,
)
from tests.fixtures import Document, Partner, Side
from tests.reservations_support import Clock, configured
from tests.reservations_support import both_fixture as both_fixture
from tests.reservations_support import clock_fixture as clock_fixture
from tests.reservations_support import emsp_fixture as emsp_fixture
from tests.reservations_support import point_fixture as point_fixture

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


# ---------------------------------------------------------------- made


@pytest.mark.req("CMD-36", "CMD-38", "SES-16", "SES-21", "OCPP-88", "CMD-30", "CMD-31", "REL-09")
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
    assert UUID(session.object_id).version == 4  # random
    assert (pushed["auth_method"], pushed["authorization_reference"]) == ("COMMAND", "AUTH-20250912-0815")
    assert (pushed["evse_uid"], pushed["connector_id"]) == (EVSE_UID, "1")
    assert pushed["start_date_time"] == stamp(clock.start)
    assert "total_cost" not in pushed
    assert emsp.results() == ["ACCEPTED"]


@pytest.mark.req("OCPP-75", "OCPP-128", "TOK-40")
def test_a_group_too_long_for_a_charge_point_reserves_under_its_substitute(
    point: Point, emsp: Commander, document: Document
) -> None:
    token = document("reserve_now")["token"] | {"group_id": "G" * 21}

    emsp.reserve(60, token=token)

    owner = Address(token["country_code"], token["party_id"])
    assert payload(emsp.ask())["parentIdTag"] == tokens.parent_id_tag(owner, "G" * 21)


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


@pytest.mark.req("CMD-37", "OCPP-88", "REL-47")
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


@pytest.mark.req("CMD-39", "SEC-37")
def test_a_reservation_is_cancelled_at_the_cpo_whose_location_it_is_for(
    side: Side, point: Point, emsp: Commander, document: Document
) -> None:
    side("cpo", parties=["NL*TNM:CPO", "NL*TN2:CPO"])
    emsp.reserved()
    body = document("cancel_reservation", response_url=f"{emsp.emsp.url}/results/other")

    elsewhere = emsp.emsp.post(f"{PATH}/CANCEL_RESERVATION", body, to="NL*TN2")

    assert elsewhere.data["result"] == "REJECTED"
    assert emsp.send("CANCEL_RESERVATION").data["result"] == "ACCEPTED"


# ---------------------------------------------------------------- any EVSE


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
