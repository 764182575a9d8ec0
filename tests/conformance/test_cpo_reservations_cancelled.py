"""Reservations at the CPO, cancelled by either side, and what the world sees of them."""

from __future__ import annotations

import pytest

from cpo.models import CDR, EVSE, Command, CommandedToken, Operation, Reservation, Session
from cpo.modules import commands_operations as commands
from cpo.modules import reservations_operations as reservations
from tests.commands_support import RESERVATION, TAG, Commander, payload
from tests.cpo_support import (
    EVSE_UID,
    SECOND_EVSE_UID,
    Point,
    answer_operation,
    stamp,
)
from tests.reservations_support import Clock, only_cdr
from tests.reservations_support import both_fixture as both_fixture
from tests.reservations_support import clock_fixture as clock_fixture
from tests.reservations_support import emsp_fixture as emsp_fixture
from tests.reservations_support import point_fixture as point_fixture

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


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
