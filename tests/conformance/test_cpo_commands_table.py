"""Table M-6: what each of the five commands asks of the charge point, and what becomes of each of its answers."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cpo.models import EVSE, Command, MissingFeature, Operation, Reservation, Session
from cpo.modules import commands_operations as commands
from ocpi.v2_2_1.commands import CommandType
from tests.commands_support import RESULTS, TAG, Commander, payload, reserved_tariff
from tests.cpo_support import (
    BASE,
    EVSE_UID,
    SECOND_EVSE_UID,
    Point,
    add_location,
    add_point,
    add_tariff,
    answer_operation,
    with_tariff,
)
from tests.fixtures import Document, Partner
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]

START, STOP, UNLOCK = "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR"
RESERVE, CANCEL = "RESERVE_NOW", "CANCEL_RESERVATION"
ALL = (START, STOP, RESERVE, CANCEL, UNLOCK)
LOCATIONS = "/ocpi/2.2.1/receiver/locations"


@pytest.fixture
def point(document: Document) -> Point:
    add_tariff(reserved_tariff())
    point = add_point(add_location(with_tariff(document("location"))))
    point.status("Available")
    return point


@pytest.fixture
def emsp(partner: Partner, listener: Listener, document: Document) -> Commander:
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


def prepare(command: str, point: Point, emsp: Commander) -> dict[str, Any]:
    """Make what a command is about; return the members that name it."""
    if command == CANCEL:
        emsp.reserved()
    if command == STOP:
        emsp.send(START)
        emsp.answer()
        point.start(TAG)
        return {"session_id": Session.objects.get().object_id}
    return {}


def sent(command: str, emsp: Commander, **changes: Any) -> int:
    """Send a command that is accepted; return the number of its response_url."""
    answer = emsp.reserve(**changes) if command == RESERVE else emsp.send(command, **changes)
    assert answer.codes == (200, 1000)
    assert answer.data["result"] == "ACCEPTED"
    return emsp.sent


# ---------------------------------------------------------------- what is asked


@pytest.mark.req("CMD-01", "CMD-06", "CMD-09", "CMD-14")
@pytest.mark.parametrize(("command", "action", "timeout"), [
    (START, "RemoteStartTransaction", 60), (STOP, "RemoteStopTransaction", 60), (UNLOCK, "UnlockConnector", 60),
    (RESERVE, "ReserveNow", 30), (CANCEL, "CancelReservation", 30),
])  # fmt: skip
def test_each_command_is_answered_at_once_and_asks_one_thing_of_the_charge_point(
    point: Point, emsp: Commander, command: str, action: str, timeout: int
) -> None:
    members = prepare(command, point, emsp)
    before = Operation.objects.count()
    answer = emsp.reserve() if command == RESERVE else emsp.send(command, **members)
    asked_at_once = Operation.objects.count() - before

    operation = emsp.ask()

    assert answer.codes == (200, 1000)
    assert (answer.data["result"], answer.data["timeout"]) == ("ACCEPTED", timeout)
    assert asked_at_once == 0, "the answer does not wait for the charge point"
    assert operation.action == action
    assert operation.timeout_s < timeout
    assert not operation.deliver_later


@pytest.mark.req("CMD-09")
def test_each_command_may_have_a_timeout_of_its_own(point: Point, emsp: Commander, settings: Any) -> None:
    assert set(settings.OCPI_COMMAND_TIMEOUTS) == set(CommandType)
    settings.OCPI_COMMAND_TIMEOUTS = {**settings.OCPI_COMMAND_TIMEOUTS, UNLOCK: 17}

    assert (emsp.send(UNLOCK).data["timeout"], emsp.send(START).data["timeout"]) == (17, 60)


@pytest.mark.req("CMD-35")
def test_an_evse_is_a_connector_of_the_charge_point(document: Document, emsp: Commander) -> None:
    body = with_tariff(document("location"))
    body["evses"][1]["capabilities"].append("UNLOCK_CAPABLE")
    add_point(add_location(body), evses=(EVSE_UID, SECOND_EVSE_UID))

    emsp.send(UNLOCK, evse_uid=SECOND_EVSE_UID)

    assert payload(emsp.answer("Unlocked")) == {"connectorId": 2}


# ---------------------------------------------------------------- what comes of it

# One line per cell of table M-6 that OCPP 1.6 can reach: the answer, who charges there, the connector's status.
ANSWERS: list[tuple[str, str, str, bool, str]] = [
    *[(START, "Accepted", "ACCEPTED", busy, status) for busy in (False, True) for status in ("Available", "Faulted")],
    (START, "Rejected", "REJECTED", False, "Available"),
    (START, "Rejected", "EVSE_OCCUPIED", True, "Charging"),
    (START, "Rejected", "EVSE_INOPERATIVE", False, "Faulted"),
    (START, "Rejected", "EVSE_INOPERATIVE", False, "Unavailable"),
    (STOP, "Accepted", "ACCEPTED", True, "Charging"),
    (STOP, "Rejected", "REJECTED", True, "Charging"),
    (STOP, "Rejected", "REJECTED", True, "Faulted"),
    (RESERVE, "Accepted", "ACCEPTED", False, "Available"),
    (RESERVE, "Rejected", "REJECTED", False, "Available"),
    (RESERVE, "Rejected", "EVSE_OCCUPIED", True, "Charging"),
    (RESERVE, "Rejected", "EVSE_INOPERATIVE", False, "Faulted"),
    (RESERVE, "Rejected", "EVSE_INOPERATIVE", False, "Unavailable"),
    (RESERVE, "Occupied", "EVSE_OCCUPIED", False, "Available"),
    (RESERVE, "Faulted", "EVSE_INOPERATIVE", False, "Available"),
    (RESERVE, "Unavailable", "EVSE_INOPERATIVE", False, "Available"),
    (CANCEL, "Accepted", "ACCEPTED", False, "Available"),
    (CANCEL, "Rejected", "UNKNOWN_RESERVATION", False, "Available"),
    (UNLOCK, "Unlocked", "ACCEPTED", False, "Available"),
    (UNLOCK, "UnlockFailed", "FAILED", False, "Available"),
    (UNLOCK, "NotSupported", "NOT_SUPPORTED", False, "Available"),
]


@pytest.mark.req("CMD-15", "PIT-67", "OCPP-91")
@pytest.mark.parametrize(("command", "answer", "result", "busy", "status"), ANSWERS)
def test_an_answer_of_the_charge_point_is_a_result(
    point: Point, emsp: Commander, command: str, answer: str, result: str, busy: bool, status: str
) -> None:
    members = prepare(command, point, emsp)
    if busy and command != STOP:
        point.says("StartTransaction", {"connectorId": 1, "idTag": "X", "meterStart": 0, "timestamp": BASE.isoformat()})
    if status != "Available":
        point.status(status)
    number = sent(command, emsp, **members)

    emsp.answer(answer)

    assert emsp.results(number) == [result]


@pytest.mark.req("CMD-14", "CMD-15", "CMD-16", "CMD-17", "PIT-67", "OCPP-91", "QRK-30")
@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize(("ending", "result"), [
    ({"state": "CALLERROR", "error": "NotSupported: x"}, "NOT_SUPPORTED"),
    ({"state": "CALLERROR", "error": "NotImplemented: x"}, "NOT_SUPPORTED"),
    ({"state": "CALLERROR", "error": "InternalError: x"}, "FAILED"),
    ({"state": "INVALID_ANSWER"}, "FAILED"),
    ({"state": "CONNECTION_LOST"}, "FAILED"),
    ({"state": "TIMEOUT"}, "TIMEOUT"),
    ({"status": "Perhaps"}, "FAILED"),
])  # fmt: skip
def test_there_is_one_result_in_every_error_case(
    point: Point, emsp: Commander, command: str, ending: dict[str, str], result: str
) -> None:
    members = prepare(command, point, emsp)
    number = sent(command, emsp, **members)

    operation = emsp.answer(**ending)
    commands.settle(operation.pk)
    commands.sweep()

    assert emsp.results(number) == [result]
    assert not Command.objects.filter(result="").exists()


@pytest.mark.req("CMD-16", "CMD-17", "OCPP-91", "REL-48")
@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("command", ALL)
def test_a_charge_point_that_says_nothing_is_a_timeout_before_the_announced_end(
    point: Point, emsp: Commander, command: str, asked: bool
) -> None:
    members = prepare(command, point, emsp)
    number = sent(command, emsp, **members)
    row = Command.objects.latest("id")
    assert row.give_up_at < row.deadline_at
    if asked:
        commands.carry_out(row.pk)
        Operation.objects.filter(state="QUEUED").update(state="SENT")
    Command.objects.filter(pk=row.pk).update(give_up_at=timezone.now() - timedelta(milliseconds=1))

    commands.sweep()

    assert emsp.results(number) == ["TIMEOUT"]
    if command == RESERVE:
        assert Reservation.objects.get().state == "REFUSED"


@pytest.mark.req("CMD-02", "CMD-04", "CMD-19", "PIT-63", "PIT-65")
def test_two_commands_at_once_have_each_its_own_result_and_nothing_else_is_called(
    point: Point, emsp: Commander
) -> None:
    first, second = sent(START, emsp), sent(UNLOCK, emsp)
    one, two = Command.objects.order_by("id").values_list("pk", flat=True)
    commands.carry_out(two)
    commands.settle(answer_operation("Unlocked").pk)
    commands.carry_out(one)
    commands.settle(answer_operation("Rejected").pk)

    assert emsp.results(first) == ["REJECTED"]
    assert emsp.results(second) == ["ACCEPTED"]
    assert ("commands", "SENDER") in emsp.endpoints(), "there is a published URL that might be called by mistake"
    assert {(request.method, request.path.rpartition("/")[0]) for request in emsp.listener.received()} == {
        ("POST", RESULTS)
    }


@pytest.mark.req("QRK-30", "CMD-14", "CMD-16", "CMD-31")
def test_a_timeout_and_then_it_charges(point: Point, emsp: Commander) -> None:
    number = sent(START, emsp)
    emsp.answer(state="TIMEOUT")

    told = point.start(TAG)

    assert told["idTagInfo"]["status"] == "Accepted"
    assert emsp.results(number) == ["TIMEOUT"]
    assert json.loads(Session.objects.get().document)["auth_method"] == "COMMAND"
    assert Command.objects.get().session_id == Session.objects.get().object_id


@pytest.mark.req("QRK-31", "CMD-28", "CMD-32")
def test_a_start_without_evse_connector_or_pushed_token(point: Point, emsp: Commander, document: Document) -> None:
    token = document("token_app_user", uid="NEVER-PUSHED")
    number = sent(START, emsp, evse_uid=None, connector_id=None, token=token, authorization_reference=None)

    operation = emsp.answer()
    point.start("NEVER-PUSHED")

    assert payload(operation) == {"idTag": "NEVER-PUSHED", "connectorId": 1}
    assert emsp.results(number) == ["ACCEPTED"]
    assert json.loads(Session.objects.get().document)["cdr_token"]["uid"] == "NEVER-PUSHED"


@pytest.mark.req("PIT-66", "CMD-30")
def test_the_reference_is_that_of_the_command_and_not_one_inside_the_token(
    point: Point, emsp: Commander, document: Document
) -> None:
    token = document("token_app_user", uid="APP", authorization_reference="INSIDE")
    sent(START, emsp, token=token, authorization_reference="OF-THE-COMMAND")
    emsp.answer()
    point.start("APP")
    sent(START, emsp, token={**token, "uid": "APP-2"}, authorization_reference=None)
    emsp.answer()
    point.start("APP-2", meter=2000)

    given = [json.loads(row.document).get("authorization_reference") for row in Session.objects.order_by("id")]
    assert given == ["OF-THE-COMMAND", None]


# ---------------------------------------------------------------- unlocking


@pytest.mark.req("OCPP-94", "OCPP-93", "SEC-37")
def test_only_the_emsp_of_a_session_unlocks_while_it_charges(
    point: Point, emsp: Commander, partner: Partner, document: Document
) -> None:
    other = Commander(partner("BE*OTH:EMSP", url="http://127.0.0.1:2222"), emsp.listener, document)
    before = other.send(UNLOCK).data["result"]
    emsp.answer("Unlocked")
    emsp.send(START)
    emsp.answer()
    number = point.start(TAG)["transactionId"]

    during = other.send(UNLOCK).data["result"], emsp.send(UNLOCK).data["result"]
    point.stop(number, 2000, at=BASE + timedelta(minutes=5))
    after = other.send(UNLOCK).data["result"]

    assert (before, during, after) == ("ACCEPTED", ("REJECTED", "ACCEPTED"), "ACCEPTED")


@pytest.mark.req("OCPP-94")
def test_an_evse_where_nobody_we_know_charges_is_not_unlocked(point: Point, emsp: Commander) -> None:
    point.says("StartTransaction", {"connectorId": 1, "idTag": "X", "meterStart": 0, "timestamp": BASE.isoformat()})

    assert emsp.send(UNLOCK).data["result"] == "REJECTED"
    assert not Operation.objects.exists()


@pytest.mark.req("CMD-10", "CMD-11")
@pytest.mark.parametrize("changes", [{"location_id": "NOPE"}, {"evse_uid": "NOPE"}, {"connector_id": "9"}])
def test_an_unknown_place_cannot_be_unlocked(point: Point, emsp: Commander, changes: dict[str, str]) -> None:
    answer = emsp.send(UNLOCK, **changes)

    assert answer.codes == (200, 2003)
    assert (answer.data["result"], answer.data["timeout"]) == ("REJECTED", 0)


@pytest.mark.req("CMD-07")
@pytest.mark.parametrize("command", [CANCEL, RESERVE, UNLOCK])
@pytest.mark.parametrize("changes", [{"online": False}, {"boot_status": "Pending"}])
def test_a_charge_point_that_cannot_be_asked_is_rejected(
    point: Point, emsp: Commander, command: str, changes: dict[str, Any]
) -> None:
    prepare(command, point, emsp)
    type(point.row).objects.update(**changes)

    answer = emsp.reserve() if command == RESERVE else emsp.send(command)

    assert (answer.data["result"], answer.data["timeout"]) == ("REJECTED", 0)
    assert emsp.results(emsp.sent) == []


# ---------------------------------------------------------------- what a charge point turns out not to do


def capabilities() -> set[str]:
    text = EVSE.objects.get(uid=EVSE_UID).document
    return set(json.loads(text)["capabilities"])


def boot(point: Point, firmware: str) -> None:
    sent = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": firmware}
    type(point.row).objects.update(boot_data=sent)
    point.says("BootNotification", sent)
    Operation.objects.filter(action="GetConfiguration").delete()


@pytest.mark.req("LOC-69", "CMD-34")
@pytest.mark.parametrize(("command", "capability", "ending"), [
    (START, "REMOTE_START_STOP_CAPABLE", {"state": "CALLERROR", "error": "NotSupported: x"}),
    (RESERVE, "RESERVABLE", {"state": "CALLERROR", "error": "NotImplemented: x"}),
    (UNLOCK, "UNLOCK_CAPABLE", {"status": "NotSupported"}),
])  # fmt: skip
def test_three_refusals_take_a_capability_until_another_firmware_boots(
    point: Point, emsp: Commander, command: str, capability: str, ending: dict[str, str]
) -> None:
    boot(point, "1.0")
    had = []
    for _ in range(3):
        had.append(capability in capabilities())
        sent(command, emsp)
        emsp.answer(**ending)
    emsp.drain()
    pushed = emsp.listener.received("PATCH", LOCATIONS)[-1].json

    refused = emsp.reserve() if command == RESERVE else emsp.send(command)
    boot(point, "1.0")
    same_firmware = capability in capabilities()
    boot(point, "1.1")

    assert had == [True, True, True]
    assert capability not in pushed["capabilities"]
    assert refused.data["result"] == "NOT_SUPPORTED"
    assert same_firmware is False
    assert capability in capabilities()
    assert sent(command, emsp)
    emsp.drain()
    assert capability in emsp.listener.received("PATCH", LOCATIONS)[-1].json["capabilities"]


@pytest.mark.req("LOC-69")
def test_an_answer_in_between_begins_the_count_anew(point: Point, emsp: Commander) -> None:
    for answer in ("NotSupported", "NotSupported", "UnlockFailed", "NotSupported", "NotSupported"):
        sent(UNLOCK, emsp)
        emsp.answer(answer)

    assert MissingFeature.objects.get().count == 2
    assert "UNLOCK_CAPABLE" in capabilities()
