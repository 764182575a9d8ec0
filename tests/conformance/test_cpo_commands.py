"""Commands, Receiver interface: what is answered at once, what the charge point gets, and the one result."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from cpo import command_states
from cpo.models import Command, CommandedToken, Operation, Session, Token
from cpo.modules import commands_operations as commands
from cpo.modules.commands_plans import Asked
from ocpi import snapshot
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1.commands import CommandType
from tests.answers import OcpiAnswer
from tests.cpo_support import (
    BASE,
    EVSE_UID,
    Point,
    add_location,
    add_point,
    answer_operation,
    with_tariff,
)
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document, Partner
from tests.people import Person, at
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


# ---------------------------------------------------------------- the whole way


@pytest.mark.req("CMD-06", "CMD-14", "CMD-18", "CMD-23", "CMD-30", "CMD-31", "CDR-31", "OCPP-74", "OCPP-91")
def test_start_session_to_cdr(point: Point, emsp: Person, listener: Listener, start: Any, settings: Any) -> None:
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


@pytest.mark.req("CMD-12", "CMD-14")
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


@pytest.mark.req("CMD-05", "CMD-14", "CMD-34", "LOC-69")
@pytest.mark.parametrize("name", ["start_session", "reserve_now", "unlock_connector"])
def test_what_an_evse_is_not_capable_of_is_not_supported(
    emsp: Person, document: Document, listener: Listener, name: str
) -> None:
    location = with_tariff(document("location"))
    location["evses"][0]["capabilities"] = ["RFID_READER"]
    add_point(add_location(location))

    answer = emsp.post(f"{PATH}/{name.upper()}", document(name, response_url=f"{emsp.url}{RESULTS}/1"))

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


@pytest.mark.req("CMD-25", "SEC-37")
def test_nor_is_anything_reserved_for_it(point: Point, emsp: Person, document: Document) -> None:
    told = document("reserve_now", token=document("token_rfid", party_id="OTH"), expiry_date="2099-01-01T00:00:00Z")

    answer = emsp.post(f"{PATH}/RESERVE_NOW", {**told, "response_url": f"{emsp.url}{RESULTS}/1"})

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


@pytest.mark.req("CMD-07")
@pytest.mark.parametrize("changes", [{"online": False}, {"boot_status": "Pending"}])
def test_a_charge_point_that_cannot_be_asked_is_rejected(
    point: Point, start: Any, listener: Listener, changes: dict[str, Any]
) -> None:
    type(point.row).objects.update(**changes)

    answer = start()

    assert answer.data["result"] == "REJECTED"
    assert Command.objects.get().state == command_states.REFUSED
    assert results(listener) == []


@pytest.mark.req("CMD-32")
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
def test_stop_session_of_nobody_and_of_somebody_else(point: Point, start: Any, emsp: Person, partner: Partner) -> None:
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
def test_a_repeated_command_gets_the_first_answer_and_reaches_the_charge_point_once(point: Point, start: Any) -> None:
    first = start()
    commands.carry_out(Command.objects.get().pk)
    again = start()
    commands.carry_out(Command.objects.get().pk)

    assert again.data == first.data
    assert Operation.objects.count() == 1


@pytest.mark.req("REL-47")
@pytest.mark.django_db(transaction=True)
def test_the_same_command_eight_times_at_once_is_one(
    point: Point, emsp: Person, document: Document, listener: Listener
) -> None:
    body = json.dumps(document("start_session", response_url=f"{emsp.url}{RESULTS}/1")).encode()
    asked = Asked(
        command=CommandType.START_SESSION,
        body=body,
        platform=snapshot.current().platforms[emsp.id],
        sender=emsp.address,
        receiver=at("NL*TNM"),
        correlation_id="one",
    )

    def send(_number: int) -> str:
        try:
            return commands.accept(asked)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(send, range(8)))

    assert len(answers) == 1
    assert (Command.objects.count(), CommandedToken.objects.count()) == (1, 1)


@pytest.mark.req("SEC-34", "CMD-25")
def test_a_party_that_is_no_emsp_commands_nothing(point: Point, cpo: Person, document: Document) -> None:
    token = document("token_rfid", country_code="NL", party_id="TNM")
    body = document("start_session", response_url="http://127.0.0.1:1/x", token=token)

    answer = cpo.post(f"{PATH}/START_SESSION", body)

    assert answer.codes == (200, 2001)
    assert not Command.objects.exists()


@pytest.mark.req("CMD-18", "HUB-72")
def test_through_a_hub_the_result_goes_to_the_hubs_url_for_the_emsp(
    point: Point, document: Document, partner: Partner, listener: Listener
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    body = document("start_session", response_url=f"{hub.url}/callback/1")

    answer = hub.post(f"{PATH}/START_SESSION", body, sender="DE*EMS")
    commands.carry_out(Command.objects.get().pk)
    commands.settle(answer_operation().pk)
    drain_now()

    assert answer.data["result"] == "ACCEPTED"
    [got] = listener.received("POST", "/callback/1")
    assert (got.headers["ocpi-to-party-id"], got.headers["ocpi-from-party-id"]) == ("EMS", "TNM")


@pytest.mark.req("REL-47")
def test_another_command_at_a_used_response_url_is_refused(point: Point, start: Any) -> None:
    start()

    answer = start(authorization_reference="ANOTHER")

    assert answer.codes == (200, 2001)
    assert Command.objects.count() == 1


@pytest.mark.req("REL-47")
def test_the_same_body_for_another_command_is_another_command(point: Point, emsp: Person, document: Document) -> None:
    body = document("start_session", response_url=f"{emsp.url}{RESULTS}/1")
    first = emsp.post(f"{PATH}/START_SESSION", body)

    answer = emsp.post(f"{PATH}/UNLOCK_CONNECTOR", body)

    assert (first.codes, answer.codes) == ((200, 1000), (200, 2001))
    assert "response_url" in answer.message
    assert Command.objects.count() == 1


@pytest.mark.req("REL-47")
def test_a_command_again_after_its_timeout_is_neither_answered_as_before_nor_executed(point: Point, start: Any) -> None:
    start()
    Command.objects.update(deadline_at=timezone.now())

    assert start().codes == (200, 2001)
    assert Command.objects.count() == 1


@pytest.mark.req("REL-47")
def test_two_platforms_may_name_one_response_url(
    point: Point, start: Any, emsp: Person, partner: Partner, listener: Listener, document: Document
) -> None:
    start()
    other = partner("FR*MSX:EMSP", listener=listener)
    token = document("token_rfid", country_code="FR", party_id="MSX", uid="OTHER")
    body = document("start_session", response_url=f"{emsp.url}{RESULTS}/1", token=token)

    answer = other.post(f"{PATH}/START_SESSION", body)

    assert answer.codes == (200, 1000)
    assert Command.objects.count() == 2


@pytest.mark.req("REL-47")
@pytest.mark.django_db(transaction=True)
def test_a_command_reaches_the_charge_point_once_whoever_carries_it_out(point: Point, start: Any) -> None:
    start()
    pk = Command.objects.get().pk

    def carry_out(_number: int) -> None:
        try:
            commands.carry_out(pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(carry_out, range(8)))

    assert Operation.objects.count() == 1


@pytest.mark.req("CMD-27", "OCPP-74")
def test_a_command_lets_its_token_in_at_its_own_evse_alone(point: Point, start: Any, document: Document) -> None:
    start(1)
    other = add_point(add_location(with_tariff(document("location", id="LOC2"))), "CP-2")

    def told(place: Point, connector: int) -> str:
        found: str = place.start("04C7A1E2B95D80", connector=connector)["idTagInfo"]["status"]
        return found

    assert (told(other, 1), told(point, 2), told(point, 1)) == ("Invalid", "Invalid", "Accepted")


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
    sent_at = timezone.now()
    with time_machine.travel(sent_at + timedelta(minutes=14)):
        just_before = told("04C7A1E2B95D80")
    with time_machine.travel(sent_at + timedelta(minutes=15)):
        just_after = told("04C7A1E2B95D80")

    assert at_first == ("Accepted", "Accepted")
    assert later == ("Accepted", "Invalid")
    assert (just_before, just_after) == ("Accepted", "Invalid")


@pytest.mark.req("TOK-18")
def test_a_long_uid_goes_to_the_charge_point_as_its_substitute(point: Point, start: Any, document: Document) -> None:
    uid = "0f3c1a52-7d0e-4b8a-9c11-000000000001"
    start(token=document("token_app_user", uid=uid))
    commands.carry_out(Command.objects.get().pk)
    tag = json.loads(Operation.objects.get().payload)["idTag"]
    commands.settle(answer_operation().pk)

    point.start(tag)

    assert len(tag) == 20
    assert json.loads(Session.objects.get().document)["cdr_token"]["uid"] == uid


@pytest.mark.req("HUB-06")
@pytest.mark.parametrize(
    ("parties", "codes"), [(["DE*ONE:EMSP"], (200, 1000)), (["DE*ONE:EMSP", "DE*TWO:EMSP"], (200, 2001))]
)
def test_a_platform_with_one_party_may_leave_the_addresses_out(
    partner: Partner, listener: Listener, document: Document, parties: list[str], codes: tuple[int, int]
) -> None:
    asker = partner(*parties, listener=listener)
    body = document("stop_session", response_url=f"{asker.url}{RESULTS}/1", session_id="unknown")

    answer = asker.post(f"{PATH}/STOP_SESSION", body, to=None, sender=None, documented=False)

    assert answer.codes == codes, answer.message
    assert (answer.headers["OCPI-from-country-code"], answer.headers["OCPI-from-party-id"]) == ("NL", "TNM")
