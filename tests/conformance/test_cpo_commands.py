"""Commands, Receiver interface: what is answered at once, what the charge point gets, and the one result."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cpo import command_states
from cpo.models import CDR, Command, CommandedToken, Operation, Session, Token
from cpo.modules import commands_operations as commands
from ocpi.models import Delivery
from ocpi.outbox_engine import drain_now
from tests.answers import OcpiAnswer
from tests.cpo_support import (
    BASE,
    EVSE_UID,
    Point,
    add_location,
    add_point,
    add_tariff,
    answer_operation,
    tariff,
    with_tariff,
)
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/commands"
RESULTS = "/results"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def point(document: Document) -> Point:
    add_tariff(tariff())
    return add_point(add_location(with_tariff(document("location"))))


@pytest.fixture
def emsp(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


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


# ---------------------------------------------------------------- the whole way


@pytest.mark.req("CMD-06", "CMD-14", "CMD-18", "CMD-23", "CMD-30", "CMD-31", "CDR-31", "OCPP-74", "OCPP-91")
def test_start_session_to_cdr(
    point: Point, emsp: Person, listener: Listener, start: Any, settings: Any
) -> None:
    settings.OCPI_SESSION_PUSH_SECONDS = 0
    answer = start()
    commands.carry_out(Command.objects.get().pk)
    operation = Operation.objects.get()
    asked = json.loads(operation.payload)
    commands.settle(answer_operation("Accepted").pk)
    told = point.start(asked["idTag"])
    number = told["transactionId"]
    point.meter(number, 6000, at=BASE + timedelta(minutes=30))
    point.stop(number, 11_000, at=BASE + timedelta(minutes=60))

    while drain_now():
        pass

    assert (answer.codes, answer.data) == ((200, 1000), {"result": "ACCEPTED", "timeout": 60})
    assert (operation.action, asked) == (
        "RemoteStartTransaction",
        {"idTag": "04C7A1E2B95D80", "connectorId": 1},
    )
    assert told["idTagInfo"]["status"] == "Accepted"
    [result] = listener.received("POST", RESULTS)
    assert result.json == {"result": "ACCEPTED"}
    assert result.headers["x-correlation-id"] == answer.headers["X-Correlation-ID"]
    assert (result.headers["ocpi-to-party-id"], result.headers["ocpi-from-party-id"]) == ("EMS", "TNM")
    assert result.token == listener.token_for_us
    pushed = listener.received(path="/ocpi/2.2.1/receiver/sessions")
    assert {request.json.get("auth_method", "COMMAND") for request in pushed} == {"COMMAND"}
    assert pushed[-1].json["status"] == "COMPLETED"
    [cdr] = listener.received("POST", "/ocpi/2.2.1/receiver/cdrs")
    assert cdr.json["auth_method"] == "COMMAND"
    assert cdr.json["authorization_reference"] == "AUTH-20250912-0815"
    assert cdr.json["total_cost"] == {"excl_vat": 3.5, "incl_vat": 4.2}  # 0.50 + 10 kWh x 0.30, VAT 20 %
    assert Command.objects.get().session_id == Session.objects.get().object_id == cdr.json["session_id"]
    assert not listener.received("POST", "/ocpi/2.2.1/sender/tokens"), "nobody was asked (CMD-26, CMD-27)"


@pytest.mark.req("CMD-12", "CMD-14", "M-6")
def test_stop_session(point: Point, emsp: Person, listener: Listener, start: Any) -> None:
    session = session_of(point, start)

    answer = stop(emsp, session.object_id)
    commands.carry_out(Command.objects.latest("id").pk)
    operation = answer_operation("Accepted")
    commands.settle(operation.pk)

    assert (answer.codes, answer.data["result"]) == ((200, 1000), "ACCEPTED")
    assert operation.action == "RemoteStopTransaction"
    assert json.loads(operation.payload) == {"transactionId": session.transaction.transaction_id}
    assert results(listener) == [{"result": "ACCEPTED"}] * 2


# ---------------------------------------------------------------- the answer at once


@pytest.mark.req("CMD-05")
def test_a_command_that_does_not_exist_is_not_found(emsp: Person) -> None:
    assert emsp.post(f"{PATH}/OPEN_SESAME", {}).codes == (404, 2000)


@pytest.mark.req("CMD-05", "CMD-14")
@pytest.mark.parametrize("name", ["reserve_now", "cancel_reservation", "unlock_connector"])
def test_a_known_command_that_we_do_not_offer(emsp: Person, document: Document, listener: Listener, name: str) -> None:
    body = document(name, response_url=f"{emsp.url}{RESULTS}/1")

    answer = emsp.post(f"{PATH}/{name.upper()}", body)

    assert answer.codes == (200, 1000)
    assert (answer.data["result"], answer.data["timeout"]) == ("NOT_SUPPORTED", 0)
    assert results(listener) == []


@pytest.mark.req("CMD-03")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_only_post_is_available(emsp: Person, method: str) -> None:
    assert emsp.request(method, f"{PATH}/START_SESSION", {}).http_status == 405


@pytest.mark.req("CMD-10", "CMD-11")
@pytest.mark.parametrize("changes", [
    {"location_id": "NOPE"}, {"evse_uid": "NOPE"}, {"connector_id": "9"},
])  # fmt: skip
def test_an_unknown_place_is_2003_with_rejected(point: Point, start: Any, changes: dict[str, str]) -> None:
    answer = start(**changes)

    assert answer.codes == (200, 2003)
    assert (answer.data["result"], answer.data["timeout"]) == ("REJECTED", 0)
    assert not Command.objects.exists()


@pytest.mark.req("CMD-25", "SEC-37")
def test_a_token_of_another_emsp_is_refused(point: Point, start: Any, document: Document) -> None:
    answer = start(token=document("token_rfid", party_id="OTH"))

    assert answer.codes == (200, 2001)
    assert "token" in answer.message
    assert not Command.objects.exists()


@pytest.mark.req("CMD-26", "CMD-28", "CMD-29", "PIT-62")
def test_the_token_is_neither_checked_nor_kept_as_a_pushed_one(
    point: Point, start: Any, document: Document, emsp: Person, listener: Listener
) -> None:
    answer = start(token=document("token_rfid", valid=False, whitelist="NEVER"))

    assert answer.data["result"] == "ACCEPTED"
    assert not Token.objects.exists()
    assert emsp.get("cpo/2.2.1/tokens/DE/EMS/04C7A1E2B95D80").codes == (404, 2004)
    assert CommandedToken.objects.get().id_tag == "04C7A1E2B95D80"
    assert not listener.requests


@pytest.mark.req("CMD-33")
def test_a_connector_without_an_evse_is_refused(point: Point, start: Any) -> None:
    assert start(evse_uid=None).codes == (200, 2001)


@pytest.mark.req("CMD-33")
def test_a_connector_is_required_where_the_evse_says_so(start: Any, document: Document) -> None:
    body = with_tariff(document("location"))
    body["evses"][0]["capabilities"].append("START_SESSION_CONNECTOR_REQUIRED")
    add_point(add_location(body))

    refused, accepted = start(1, connector_id=None), start(2)

    assert refused.codes == (200, 2001)
    assert "connector_id" in refused.message
    assert accepted.data["result"] == "ACCEPTED"


@pytest.mark.req("CMD-34")
def test_an_evse_that_cannot_be_started_remotely(start: Any, document: Document) -> None:
    body = with_tariff(document("location"))
    body["evses"][0]["capabilities"] = ["RFID_READER"]
    add_point(add_location(body))

    assert start().data["result"] == "NOT_SUPPORTED"


@pytest.mark.req("M-6", "CMD-07")
@pytest.mark.parametrize("changes", [{"online": False}, {"boot_status": "Pending"}])
def test_a_charge_point_that_cannot_be_asked_is_rejected(
    point: Point, start: Any, listener: Listener, changes: dict[str, Any]
) -> None:
    type(point.row).objects.update(**changes)

    answer = start()

    assert answer.data["result"] == "REJECTED"
    assert Command.objects.get().state == command_states.REFUSED
    assert results(listener) == []


@pytest.mark.req("CMD-32", "M-6")
def test_without_an_evse_the_only_possible_one_is_taken(start: Any, document: Document) -> None:
    point = add_point(add_location(with_tariff(document("location"))), evses=(EVSE_UID, "TNM-UTR-0042-2"))
    point.status("Available", connector=1)
    point.status("Available", connector=2)
    unclear = start(1, evse_uid=None, connector_id=None)
    point.status("Preparing", connector=2)

    clear = start(2, evse_uid=None, connector_id=None)

    assert (unclear.data["result"], clear.data["result"]) == ("REJECTED", "ACCEPTED")
    chosen = Command.objects.latest("id").evse
    assert chosen is not None
    assert chosen.connector_id == 2


@pytest.mark.req("PIT-64")
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/steal", "https://evil.example/x", "ftp://127.0.0.1/x", "nonsense"])
def test_a_response_url_leads_only_to_the_callers_own_host(point: Point, start: Any, url: str) -> None:
    answer = start(response_url=url)

    assert answer.codes == (200, 2001)
    assert "response_url" in answer.message
    assert not Operation.objects.exists()


@pytest.mark.req("CMD-12", "CMD-13", "SEC-37", "OCPP-93")
def test_stop_session_of_nobody_and_of_somebody_else(
    point: Point, start: Any, emsp: Person, partner: Partner
) -> None:
    stranger = partner("BE*OTH:EMSP", url="http://127.0.0.1:2222")
    session = session_of(point, start)

    unknown, foreign = stop(emsp, "NO-SUCH-SESSION"), stop(stranger, session.object_id)
    point.stop(session.transaction.transaction_id, 5000, at=BASE + timedelta(minutes=30))
    over = stop(emsp, session.object_id, 2)

    assert [answer.codes for answer in (unknown, foreign, over)] == [(200, 1000)] * 3
    assert unknown.data["result"] == over.data["result"] == "UNKNOWN_SESSION"
    assert foreign.data["result"] == "REJECTED"


# ---------------------------------------------------------------- once


@pytest.mark.req("REL-47")
def test_a_repeated_command_gets_the_first_answer_and_reaches_the_charge_point_once(
    point: Point, start: Any
) -> None:
    first = start()
    commands.carry_out(Command.objects.get().pk)
    again = start()
    commands.carry_out(Command.objects.get().pk)

    assert again.data == first.data
    assert Operation.objects.count() == 1


@pytest.mark.req("REL-47")
def test_another_command_at_a_used_response_url_is_refused(point: Point, start: Any) -> None:
    start()

    answer = start(authorization_reference="ANOTHER")

    assert answer.codes == (200, 2001)
    assert Command.objects.count() == 1


@pytest.mark.req("CMD-27", "OCPP-74")
def test_a_card_is_accepted_for_15_minutes_and_an_app_for_one_session(
    point: Point, start: Any, document: Document
) -> None:
    start(1)
    start(2, token=document("token_app_user", uid="APP-1"))

    def told(tag: str) -> str:
        found: str = point.says("Authorize", {"idTag": tag})["idTagInfo"]["status"]
        return found

    at_first = told("04C7A1E2B95D80"), told("APP-1")
    number = point.start("APP-1")["transactionId"]
    point.stop(number, 1500, at=BASE + timedelta(minutes=5))
    later = told("04C7A1E2B95D80"), told("APP-1")
    CommandedToken.objects.update(expires_at=timezone.now())

    assert at_first == ("Accepted", "Accepted")
    assert later == ("Accepted", "Invalid")
    assert told("04C7A1E2B95D80") == "Invalid"


@pytest.mark.req("TOK-18", "M-7")
def test_a_long_uid_goes_to_the_charge_point_as_its_substitute(point: Point, start: Any, document: Document) -> None:
    uid = "0f3c1a52-7d0e-4b8a-9c11-000000000001"
    start(token=document("token_app_user", uid=uid))
    commands.carry_out(Command.objects.get().pk)
    tag = json.loads(Operation.objects.get().payload)["idTag"]
    commands.settle(answer_operation().pk)

    point.start(tag)

    assert len(tag) == 20
    assert json.loads(Session.objects.get().document)["cdr_token"]["uid"] == uid


# ---------------------------------------------------------------- the result


@pytest.mark.req("M-6", "CMD-15", "PIT-67")
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


@pytest.mark.req("M-6")
def test_a_rejected_start_at_an_evse_in_use_is_occupied(point: Point, start: Any, listener: Listener) -> None:
    session_of(point, start)
    start(2)
    commands.carry_out(Command.objects.latest("id").pk)

    commands.settle(answer_operation("Rejected").pk)

    assert results(listener) == [{"result": "ACCEPTED"}, {"result": "EVSE_OCCUPIED"}]


@pytest.mark.req("CMD-14", "OCPP-91")
def test_there_is_one_result_however_often_it_is_settled(point: Point, start: Any, listener: Listener) -> None:
    start()
    commands.carry_out(Command.objects.get().pk)
    operation = answer_operation()

    commands.settle(operation.pk)
    commands.settle(operation.pk)
    commands.sweep()

    assert results(listener) == [{"result": "ACCEPTED"}]


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
