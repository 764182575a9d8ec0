"""How a command ends: the one CommandResult, in time, whatever happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cpo import command_states
from cpo.models import CDR, Command, Operation, Session
from cpo.modules import commands_operations as commands
from ocpi.models import Delivery
from ocpi.outbox_engine import drain_now
from tests.answers import OcpiAnswer
from tests.cpo_support import (
    Point,
    answer_operation,
)
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/commands"
RESULTS = "/results"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def start(document: Document, emsp: Person) -> Any:
    """Send START_SESSION; members may be changed, None takes one away."""

    def send(number: int = 1, **changes: Any) -> OcpiAnswer:
        url = f"{emsp.url}{RESULTS}/{number}"
        body = document("start_session", **{"response_url": url, **changes})
        return emsp.post(f"{PATH}/START_SESSION", body)

    return send


def stop(emsp: Person, session_id: str, number: int = 1) -> OcpiAnswer:
    body = {"response_url": f"{emsp.url}{RESULTS}/stop-{number}", "session_id": session_id}
    return emsp.post(f"{PATH}/STOP_SESSION", body)


def results(listener: Listener) -> list[Any]:
    drain_now()
    return [request.json for request in listener.received("POST", RESULTS)]


def session_of(point: Point, start: Any, number: int = 1) -> Session:
    """Start a session by command and let the charge point begin it."""
    start(number)
    commands.carry_out(Command.objects.latest("id").pk)
    commands.settle(answer_operation().pk)
    point.start("04C7A1E2B95D80")
    return Session.objects.latest("id")


# ---------------------------------------------------------------- the result


@pytest.mark.req("CMD-15", "PIT-67")
@pytest.mark.parametrize(("ending", "connector", "result"), [
    ({"status": "Accepted"}, "Available", "ACCEPTED"),
    ({"status": "Rejected"}, "Available", "REJECTED"),
    ({"status": "Rejected"}, "Faulted", "EVSE_INOPERATIVE"),
    ({"status": "Rejected"}, "Unavailable", "EVSE_INOPERATIVE"),
    ({"state": "CALLERROR", "error": "NotSupported: no"}, "Available", "NOT_SUPPORTED"),
    ({"state": "CALLERROR", "error": "NotImplemented: no"}, "Available", "NOT_SUPPORTED"),
    ({"state": "CALLERROR", "error": "InternalError: no"}, "Available", "FAILED"),
    ({"state": "INVALID_ANSWER"}, "Available", "FAILED"),
    ({"state": "CONNECTION_LOST"}, "Available", "FAILED"),
    ({"state": "TIMEOUT"}, "Available", "TIMEOUT"),
])  # fmt: skip
def test_how_an_operation_ends_is_the_result(
    point: Point, start: Any, listener: Listener, ending: dict[str, str], connector: str, result: str
) -> None:
    point.status(connector)
    start()
    commands.carry_out(Command.objects.get().pk)

    commands.settle(answer_operation(**ending).pk)

    assert results(listener) == [{"result": result}]
    assert Command.objects.get().state == command_states.DONE


@pytest.mark.req("OCPP-91")
def test_a_rejected_start_at_an_evse_in_use_is_occupied(point: Point, start: Any, listener: Listener) -> None:
    session_of(point, start)
    start(2)
    commands.carry_out(Command.objects.latest("id").pk)

    commands.settle(answer_operation("Rejected").pk)

    assert results(listener) == [{"result": "ACCEPTED"}, {"result": "EVSE_OCCUPIED"}]


@pytest.mark.req("CMD-14", "OCPP-91", "REL-47")
def test_there_is_one_result_however_often_it_is_settled(point: Point, start: Any, listener: Listener) -> None:
    start()
    pk = Command.objects.get().pk
    commands.carry_out(pk)
    operation = answer_operation()

    commands.settle(operation.pk)
    commands.settle(operation.pk)
    commands.carry_out(pk)  # a note that came late
    commands.sweep()

    assert results(listener) == [{"result": "ACCEPTED"}]


@pytest.mark.req("OCPP-91", "CMD-14", "REL-48")
def test_no_result_is_sent_while_the_operation_is_open_nor_after_one_was_sent(
    point: Point, start: Any, listener: Listener
) -> None:
    """A note that came too early, and a sweep that looked before the answer came."""
    start()
    row = Command.objects.get()
    commands.carry_out(row.pk)
    operation = Operation.objects.get()

    commands.settle(operation.pk)
    assert (Command.objects.get().state, results(listener)) == (command_states.IN_PROGRESS, [])

    commands.settle(answer_operation().pk)
    commands._give_up(row.pk)
    assert [each["result"] for each in results(listener)] == ["ACCEPTED"]


@pytest.mark.req("CMD-16", "CMD-17", "REL-48")
@pytest.mark.parametrize("asked", [True, False])
def test_a_command_left_in_progress_ends_as_timeout_before_its_announced_end(
    point: Point, start: Any, listener: Listener, asked: bool
) -> None:
    start()
    row = Command.objects.get()
    assert row.give_up_at < row.deadline_at
    if asked:
        commands.carry_out(row.pk)
    passed = row.give_up_at - row.created_at + timedelta(seconds=1)
    Command.objects.update(
        give_up_at=row.give_up_at - passed, deadline_at=row.deadline_at - passed, created_at=row.created_at - passed
    )
    Operation.objects.update(state="SENT")

    commands.sweep()

    assert results(listener) == [{"result": "TIMEOUT"}]
    assert not Operation.objects.filter(state="QUEUED").exists()


@pytest.mark.req("REL-48")
def test_a_command_whose_time_is_over_is_not_asked_any_more(point: Point, start: Any, listener: Listener) -> None:
    start()
    Command.objects.update(give_up_at=timezone.now())

    commands.carry_out(Command.objects.get().pk)

    assert not Operation.objects.exists()
    assert results(listener) == [{"result": "TIMEOUT"}]


@pytest.mark.req("REL-48")
def test_an_answer_that_came_before_it_was_given_up_is_its_result(point: Point, start: Any, listener: Listener) -> None:
    start()
    pk = Command.objects.get().pk
    commands.carry_out(pk)
    answer_operation("Rejected")
    Command.objects.update(give_up_at=timezone.now())

    commands._give_up(pk)

    assert results(listener) == [{"result": "REJECTED"}]


@pytest.mark.req("REL-48")
def test_a_command_that_nobody_was_woken_for_is_carried_out(point: Point, start: Any, listener: Listener) -> None:
    start()
    Command.objects.update(created_at=timezone.now() - timedelta(seconds=2))

    commands.sweep()
    answer_operation()
    commands.sweep()

    assert results(listener) == [{"result": "ACCEPTED"}]


@pytest.mark.req("CMD-22")
def test_a_result_is_dropped_when_the_announced_time_is_over(point: Point, start: Any, listener: Listener) -> None:
    start()
    commands.carry_out(Command.objects.get().pk)
    commands.settle(answer_operation().pk)
    Delivery.objects.filter(kind="RESULT").update(deadline_at=timezone.now())

    assert results(listener) == []
    assert not Delivery.objects.filter(kind="RESULT").exists()
    assert not CDR.objects.exists()
