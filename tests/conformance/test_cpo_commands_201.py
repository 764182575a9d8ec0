"""Tables M-6 and M-7 at a charging station of OCPP 2.0.1: what is asked of it, and what its answers become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cpo.models import EVSE, Command, CommandedToken, MissingFeature, Operation, Session
from cpo.modules import commands_operations as commands
from cpo.ocpp import v201_write
from tests.commands_support import TAG, Commander, payload, reserved_tariff
from tests.cpo_support import BASE, EVSE_UID, SECOND_EVSE_UID, add_location, add_tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.platforms import Listener
from tests.station_support import TRANSACTION, Station, add_station, event

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]

START, STOP, UNLOCK = "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR"
RESERVE, CANCEL = "RESERVE_NOW", "CANCEL_RESERVATION"
ALL = (START, STOP, RESERVE, CANCEL, UNLOCK)
CARD = {"idToken": TAG, "type": "ISO14443"}


@pytest.fixture
def station(document: Document) -> Station:
    add_tariff(reserved_tariff())
    station = add_station(add_location(with_tariff(document("location"))))
    station.status("Available")
    return station


@pytest.fixture
def emsp(partner: Partner, listener: Listener, document: Document) -> Commander:
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


def started(station: Station, remote_start: int | None = None) -> None:
    info = {} if remote_start is None else {"remoteStartId": remote_start}
    station.tells(event("Started", 0, BASE, state="Charging", token=TAG, wh=0, trigger="RemoteStart", info=info))


def prepare(command: str, station: Station, emsp: Commander) -> dict[str, Any]:
    """Make what a command is about; return the members that name it."""
    if command == CANCEL:
        emsp.reserved()
    if command == STOP:
        emsp.send(START)
        started(station, payload(emsp.answer())["remoteStartId"])
        return {"session_id": Session.objects.get().object_id}
    return {}


def sent(command: str, emsp: Commander, **changes: Any) -> int:
    """Send a command that is accepted; return the number of its response_url."""
    answer = emsp.reserve(**changes) if command == RESERVE else emsp.send(command, **changes)
    assert (answer.codes, answer.data["result"]) == ((200, 1000), "ACCEPTED")
    return emsp.sent


# ---------------------------------------------------------------- what is asked


@pytest.mark.req("OCPP-54", "OCPP-75", "OCPP-78", "OCPP-88", "OCPP-128", "CMD-35")
def test_each_command_asks_one_thing_in_the_words_of_2_0_1(station: Station, emsp: Commander) -> None:
    emsp.send(START)
    start = emsp.answer()
    emsp.reserve()
    reserve = emsp.answer()
    emsp.send(CANCEL)
    cancel = emsp.answer()
    emsp.send(UNLOCK)
    unlock = emsp.answer("Unlocked")
    started(station, payload(start)["remoteStartId"])
    emsp.send(STOP, session_id=Session.objects.get(status="ACTIVE").object_id)
    stop = emsp.answer()

    assert [each.action for each in (start, reserve, cancel, unlock, stop)] == [
        "RequestStartTransaction", "ReserveNow", "CancelReservation", "UnlockConnector", "RequestStopTransaction",
    ]  # fmt: skip
    asked = payload(start)
    assert asked["remoteStartId"] > 0
    assert (asked["idToken"], asked["evseId"]) == (CARD, 1)
    assert asked.get("groupIdToken") == {"idToken": "EMS-G00004711", "type": "ISO14443"}
    kept = payload(reserve)
    assert (kept["idToken"], kept["evseId"], kept["id"] > 0) == (CARD, 1, True)
    assert payload(cancel) == {"reservationId": kept["id"]}
    assert payload(unlock) == {"evseId": 1, "connectorId": 1}
    assert payload(stop) == {"transactionId": TRANSACTION}


@pytest.mark.req("OCPP-54", "OCPP-74")
def test_the_remote_start_id_joins_the_session_to_its_command(station: Station, emsp: Commander) -> None:
    emsp.send(START, authorization_reference="REF-54")
    started(station, payload(emsp.answer())["remoteStartId"])

    session = Session.objects.get()
    document = json.loads(session.document)
    assert (document["auth_method"], document["authorization_reference"]) == ("COMMAND", "REF-54")
    assert Command.objects.get(command=START).session_id == session.object_id
    assert CommandedToken.objects.get().used_at is not None


@pytest.mark.req("OCPP-75", "OCPP-128")
def test_a_long_uid_goes_as_it_is_and_is_known_again(station: Station, emsp: Commander, document: Document) -> None:
    uid = "APP-USER-WITH-A-UID-OF-36-CHARACTERS"
    assert len(uid) == 36
    emsp.send(START, token=document("token_app_user", uid=uid, type="APP_USER"))
    asked = payload(emsp.answer())
    station.tells(event("Started", 0, BASE, state="Charging", token=uid, of_type="Central", wh=0))

    assert asked["idToken"] == {"idToken": uid, "type": "Central"}
    assert json.loads(Session.objects.get().document)["cdr_token"]["uid"] == uid


@pytest.mark.req("OCPP-75", "OCPP-128")
@pytest.mark.parametrize(("ocpi_type", "uid", "ocpp_type"), [
    ("RFID", "04C7A1E2B95D80", "ISO14443"), ("RFID", "04C7A1E2", "ISO14443"),
    ("RFID", "E004015012345678", "ISO15693"), ("RFID", "e0:04:01:50:12:34:56:78", "ISO15693"),
    ("APP_USER", "DE-APP-1", "Central"), ("AD_HOC_USER", "0815", "Central"),
    ("OTHER", "LICENSE PLATE", "Central"), ("OTHER", "DE8ACC12E46L89", "eMAID"),
    ("OTHER", "DE-8AC-C12E46L89-X", "eMAID"),
])  # fmt: skip
def test_a_token_has_a_type_in_2_0_1(ocpi_type: str, uid: str, ocpp_type: str) -> None:
    assert v201_write.token_type(ocpi_type, uid) == ocpp_type


@pytest.mark.req("CMD-35", "OCPP-78")
def test_the_named_connector_of_an_evse_is_unlocked(document: Document, emsp: Commander) -> None:
    body = with_tariff(document("location"))
    first = body["evses"][0]["connectors"][0]
    body["evses"][0]["connectors"] = [first, {**first, "id": "B"}]
    add_tariff(reserved_tariff())
    add_station(add_location(body))

    emsp.send(UNLOCK, connector_id="B")

    assert payload(emsp.answer("Unlocked")) == {"evseId": 1, "connectorId": 2}


@pytest.mark.req("CMD-35", "LOC-67")
def test_evses_that_share_hardware_are_connectors_of_one_evse(document: Document, emsp: Commander) -> None:
    body = with_tariff(document("location"))
    body["evses"][1]["capabilities"] += ["UNLOCK_CAPABLE"]
    add_tariff(reserved_tariff())
    station = add_station(add_location(body), evses=(EVSE_UID, SECOND_EVSE_UID))
    EVSE.objects.filter(charge_point=station.row).update(hardware=1)

    emsp.send(UNLOCK, evse_uid=SECOND_EVSE_UID)

    assert payload(emsp.answer("Unlocked")) == {"evseId": 1, "connectorId": 2}


# ---------------------------------------------------------------- what comes of it

# One line per cell of table M-6 that OCPP 2.0.1 can reach: the answer, who charges there, the EVSE's status.
ANSWERS: list[tuple[str, str, str, bool, str]] = [
    (START, "Accepted", "ACCEPTED", False, "Available"),
    (START, "Rejected", "REJECTED", False, "Available"),
    (START, "Rejected", "EVSE_OCCUPIED", True, "Occupied"),
    (START, "Rejected", "EVSE_INOPERATIVE", False, "Faulted"),
    (START, "Rejected", "EVSE_INOPERATIVE", False, "Unavailable"),
    (STOP, "Accepted", "ACCEPTED", True, "Occupied"),
    (STOP, "Rejected", "REJECTED", True, "Occupied"),
    (RESERVE, "Accepted", "ACCEPTED", False, "Available"),
    (RESERVE, "Rejected", "REJECTED", False, "Available"),
    (RESERVE, "Rejected", "EVSE_OCCUPIED", True, "Occupied"),
    (RESERVE, "Rejected", "EVSE_INOPERATIVE", False, "Faulted"),
    (RESERVE, "Occupied", "EVSE_OCCUPIED", False, "Available"),
    (RESERVE, "Faulted", "EVSE_INOPERATIVE", False, "Available"),
    (RESERVE, "Unavailable", "EVSE_INOPERATIVE", False, "Available"),
    (CANCEL, "Accepted", "ACCEPTED", False, "Available"),
    (CANCEL, "Rejected", "UNKNOWN_RESERVATION", False, "Available"),
    (UNLOCK, "Unlocked", "ACCEPTED", False, "Available"),
    (UNLOCK, "UnlockFailed", "FAILED", False, "Available"),
    (UNLOCK, "OngoingAuthorizedTransaction", "EVSE_OCCUPIED", False, "Available"),
    (UNLOCK, "UnknownConnector", "REJECTED", False, "Available"),
]


@pytest.mark.req("CMD-15", "OCPP-91", "OCPP-128")
@pytest.mark.parametrize(("command", "answer", "result", "busy", "status"), ANSWERS)
def test_an_answer_of_the_station_is_a_result(
    station: Station, emsp: Commander, command: str, answer: str, result: str, busy: bool, status: str
) -> None:
    members = prepare(command, station, emsp)
    if busy and command != STOP:
        station.tells(event("Started", 0, BASE, state="Charging", token="SOMEBODY", wh=0))
    if status != "Available":
        station.status(status)
    number = sent(command, emsp, **members)

    operation = emsp.answer(answer)
    commands.settle(operation.pk)
    commands.sweep()

    assert emsp.results(number) == [result]


@pytest.mark.req("CMD-14", "OCPP-91", "OCPP-128")
@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize(("ending", "result"), [
    ({"state": "CALLERROR", "error": "NotSupported: x"}, "NOT_SUPPORTED"),
    ({"state": "CALLERROR", "error": "OccurrenceConstraintViolation: x"}, "FAILED"),
])  # fmt: skip
def test_there_is_one_result_in_every_error_case(
    station: Station, emsp: Commander, command: str, ending: dict[str, str], result: str
) -> None:
    members = prepare(command, station, emsp)
    number = sent(command, emsp, **members)

    operation = emsp.answer(**ending)
    commands.settle(operation.pk)
    commands.sweep()

    assert emsp.results(number) == [result]


@pytest.mark.req("LOC-69", "OCPP-128")
def test_three_refusals_of_a_remote_start_take_the_capability(station: Station, emsp: Commander) -> None:
    for _ in range(3):
        sent(START, emsp)
        emsp.answer(state="CALLERROR", error="NotImplemented: x")

    assert MissingFeature.objects.get().action == "RemoteStartTransaction"
    assert "REMOTE_START_STOP_CAPABLE" not in json.loads(EVSE.objects.get(uid=EVSE_UID).document)["capabilities"]
    assert emsp.send(START).data["result"] == "NOT_SUPPORTED"
    assert not Operation.objects.filter(state="QUEUED").exists()
