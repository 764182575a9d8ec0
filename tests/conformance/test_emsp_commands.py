"""Commands, Sender: what we ask of a CPO, its CommandResponse, and the CommandResult at our response_url."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from emsp import tasks
from emsp.models import Command, Token
from emsp.modules import commands_operations as commands
from emsp.modules import commands_results as results
from emsp.modules import commands_sending as sending
from emsp.modules import tokens_operations as tokens
from ocpi import status
from tests.conformance.suites import LATER
from tests.emsp_support import ACCEPTED, EVSE_UID, LOCATION, RECEIVER, SESSION, TNM, response_url
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document, Partner, add_party
from tests.people import Person, at
from tests.platforms import Listener

START, STOP = f"{RECEIVER}/START_SESSION", f"{RECEIVER}/STOP_SESSION"


@pytest.fixture
def start(token: Token) -> Callable[..., Command]:
    return lambda **changes: commands.start_session(
        **{"to": TNM, "token": token, "location_id": "LOC1", "evse_uid": "E1", "connector_id": "1", **changes}
    )


@pytest.mark.req("CMD-01", "CMD-24", "CMD-30", "CMD-33", "PIT-66", "HUB-03")
def test_start_session_is_posted_to_the_cpo(
    start: Callable[..., Command], listener: Listener, document: Document
) -> None:
    command = start()

    (request,) = listener.received("POST", START)
    assert request.json == {
        "response_url": response_url(command),
        "token": document("token_rfid"),
        "location_id": "LOC1",
        "evse_uid": "E1",
        "connector_id": "1",
        "authorization_reference": command.authorization_reference,
    }
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("TNM", "EMS")
    assert request.headers["x-correlation-id"] == command.correlation_id
    assert (command.state, command.response) == ("ACCEPTED", "ACCEPTED")
    assert command.deadline_at is not None
    assert 25 < (command.deadline_at - timezone.now()).total_seconds() <= 30


@pytest.mark.req("CMD-19", "PIT-65")
def test_two_commands_at_once_are_told_apart(start: Callable[..., Command], cpo: Person) -> None:
    first, second = start(), start()

    cpo.post(response_url(second), {"result": "EVSE_OCCUPIED"})
    cpo.post(response_url(first), {"result": "ACCEPTED"})

    assert response_url(first) != response_url(second)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.result, second.result) == ("ACCEPTED", "EVSE_OCCUPIED")


@pytest.mark.req("CMD-02", "CMD-04", "TRN-033")
def test_a_result_ends_the_command(start: Callable[..., Command], cpo: Person) -> None:
    command = start()
    message = [{"language": "en", "text": "Plug in first"}]

    answer = cpo.post(response_url(command), {"result": "REJECTED", "message": message})

    assert answer.codes == (200, 1000)
    assert not answer.has_data
    command.refresh_from_db()
    assert (command.state, command.result, command.message) == ("DONE", "REJECTED", "Plug in first")
    assert command.result_at is not None


@pytest.mark.req("PIT-28")
def test_a_result_in_an_envelope_is_unwrapped(start: Callable[..., Command], cpo: Person) -> None:
    command = start()

    cpo.post(response_url(command), {"status_code": 1000, "data": {"result": "ACCEPTED"}, "timestamp": LATER})

    command.refresh_from_db()
    assert command.result == "ACCEPTED"


@pytest.mark.req("CMD-21")
def test_a_second_result_is_logged_and_changes_nothing(
    start: Callable[..., Command], cpo: Person, caplog: pytest.LogCaptureFixture
) -> None:
    command = start()
    cpo.post(response_url(command), {"result": "ACCEPTED"})

    answer = cpo.post(response_url(command), {"result": "FAILED"})

    assert answer.codes == (200, 1000)
    command.refresh_from_db()
    assert command.result == "ACCEPTED"
    assert "FAILED came too" in caplog.text


@pytest.mark.req("CMD-21", "SEC-39")
def test_a_result_at_a_url_that_is_none_is_not_found(
    start: Callable[..., Command], cpo: Person, second_cpo: Person
) -> None:
    command = start()
    url = response_url(command)

    answers = [
        cpo.post(f"{url}x", {"result": "ACCEPTED"}),
        cpo.post(url.replace("START_SESSION", "STOP_SESSION"), {"result": "ACCEPTED"}),
        second_cpo.post(url, {"result": "ACCEPTED"}),
        cpo.post("emsp/2.2.1/commands", {"result": "ACCEPTED"}),
    ]

    assert [answer.codes for answer in answers] == [(404, 2000)] * 4
    command.refresh_from_db()
    assert command.state == "ACCEPTED"


@pytest.mark.req("PIT-63", "CMD-04")
def test_the_published_url_is_listed_and_takes_no_results(start: Callable[..., Command], cpo: Person) -> None:
    command = start()
    endpoints = cpo.get("2.2.1").data["endpoints"]
    (url,) = [each["url"] for each in endpoints if (each["identifier"], each["role"]) == ("commands", "SENDER")]

    answer = cpo.post(url, {"result": "ACCEPTED"})

    assert answer.codes == (404, 2000)
    assert response_url(command) != url
    command.refresh_from_db()
    assert command.result == ""


@pytest.mark.req("CMD-21", "CMD-08")
def test_a_result_after_the_timeout_is_not_taken(start: Callable[..., Command], cpo: Person) -> None:
    command = start()
    Command.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    tasks.sweep()

    answer = cpo.post(response_url(command), {"result": "ACCEPTED"})

    assert answer.codes == (404, 2000)
    command.refresh_from_db()
    assert (command.state, command.result) == ("EXPIRED", "")


@pytest.mark.req("CMD-15", "TRN-039")
@pytest.mark.parametrize("body", [{}, {"result": "MAYBE"}, {"data": 1}, {"data": {}}])
def test_what_is_no_result_is_refused(start: Callable[..., Command], cpo: Person, body: Any) -> None:
    command = start()

    assert cpo.post(response_url(command), body).codes == (200, 2001)

    command.refresh_from_db()
    assert command.state == "ACCEPTED"


@pytest.mark.req("CMD-03")
def test_results_are_posted_and_nothing_else(start: Callable[..., Command], cpo: Person) -> None:
    url = response_url(start())

    assert [cpo.request(method, url, {}).http_status for method in ("GET", "PUT", "PATCH", "DELETE")] == [405] * 4


@pytest.mark.req("CMD-07", "CMD-13", "CMD-10", "TRN-037")
@pytest.mark.parametrize(
    ("reply", "state", "response"),
    [
        ({"data": {"result": "REJECTED", "timeout": 0}}, "REFUSED", "REJECTED"),
        ({"data": {"result": "REJECTED", "timeout": 0}, "code": 2003}, "REFUSED", "REJECTED"),
        ({"data": {"result": "NOT_SUPPORTED", "timeout": 0}}, "REFUSED", "NOT_SUPPORTED"),
        ({"code": 2001, "message": "token: is required"}, "FAILED", ""),
        ({"data": ACCEPTED, "code": 4002}, "FAILED", ""),
        ({"status": 500, "raw": b"<html>proxy</html>"}, "FAILED", ""),
        ({"data": ["odd"]}, "FAILED", ""),
        ({"close": True}, "FAILED", ""),
    ],
)
def test_what_is_not_accepted_is_kept(
    start: Callable[..., Command], listener: Listener, reply: dict[str, Any], state: str, response: str
) -> None:
    listener.reply("POST", START, **reply)

    command = start()

    assert (command.state, command.response) == (state, response)
    assert sending.wait(command).state == state


@pytest.mark.req("CMD-14", "CMD-21")
def test_after_a_refusal_no_result_is_taken(start: Callable[..., Command], cpo: Person, listener: Listener) -> None:
    listener.reply("POST", START, data={"result": "REJECTED", "timeout": 0})
    command = start()

    assert cpo.post(response_url(command), {"result": "ACCEPTED"}).codes == (404, 2000)


@pytest.mark.req("CMD-07")
@pytest.mark.parametrize(("timeout", "seconds"), [(None, 60), (0, 60), (10**12, 86400), ("5", 60)])
def test_an_odd_timeout_is_made_sensible(
    start: Callable[..., Command], listener: Listener, timeout: Any, seconds: int
) -> None:
    listener.reply("POST", START, data={"result": "ACCEPTED", "timeout": timeout})

    command = start()

    assert command.deadline_at is not None
    assert abs((command.deadline_at - timezone.now()).total_seconds() - seconds) < 5


@pytest.mark.req("CMD-24")
def test_a_blocked_token_is_not_even_asked_for(start: Callable[..., Command], token: Token, listener: Listener) -> None:
    tokens.block(token)
    token.refresh_from_db()

    with pytest.raises(status.InvalidParameters, match="blocked"):
        start()

    assert not listener.received("POST", START)
    assert not Command.objects.exists()


@pytest.mark.req("CMD-24", "LOC-40")
def test_anothers_token_is_not_used(start: Callable[..., Command], token: Token, listener: Listener) -> None:
    Token.objects.update(party_id="XXX")
    token.refresh_from_db()

    with pytest.raises(status.InvalidParameters):
        start(token=token)

    assert not listener.received("POST", START)


@pytest.mark.req("CMD-33")
def test_a_connector_without_an_evse_is_not_sent(start: Callable[..., Command], listener: Listener) -> None:
    with pytest.raises(status.InvalidParameters, match="evse_uid"):
        start(evse_uid="")

    assert not listener.received("POST", START)
    assert not Command.objects.exists()


@pytest.mark.req("CMD-33")
def test_an_evse_that_needs_a_connector_is_not_asked_without_one(
    cpo: Person, token: Token, document: Document, listener: Listener
) -> None:
    location = document("location")
    location["evses"][0]["capabilities"].append("START_SESSION_CONNECTOR_REQUIRED")
    cpo.put(f"emsp/2.2.1/locations/NL/TNM/{LOCATION}", location)

    def start(connector_id: str) -> Command:
        return commands.start_session(
            to=TNM, token=token, location_id=LOCATION, evse_uid=EVSE_UID, connector_id=connector_id
        )

    with pytest.raises(status.InvalidParameters, match="connector_id"):
        start("")

    assert not listener.received("POST", START)
    assert start("1").state == "ACCEPTED"


@pytest.mark.req("QRK-31", "CMD-32")
def test_a_session_is_started_without_naming_evse_or_connector(
    start: Callable[..., Command], listener: Listener
) -> None:
    command = start(evse_uid="", connector_id="")

    (request,) = listener.received("POST", START)
    assert command.state == "ACCEPTED"
    assert request.json["location_id"] == "LOC1"
    assert not {"evse_uid", "connector_id"} & set(request.json)


# ---- what the result says and what happens


@pytest.mark.req("QRK-30", "CMD-23")
@pytest.mark.parametrize("result", ["TIMEOUT", None, "FAILED"])
def test_the_session_is_the_proof_whatever_the_result_says(
    start: Callable[..., Command], cpo: Person, document: Document, result: str | None
) -> None:
    command = start(location_id=LOCATION)
    if result:
        cpo.post(response_url(command), {"result": result})
    assert results.session_of(command) is None

    reference = command.authorization_reference
    cpo.put(f"emsp/2.2.1/sessions/NL/TNM/{SESSION}", document("session", authorization_reference=reference))

    found = results.session_of(command)
    assert found is not None
    assert found.object_id == SESSION


@pytest.mark.req("QRK-30")
@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"authorization_reference": "04c7a1e2b95d80"}, True),
        ({"authorization_reference": None}, True),
        ({"authorization_reference": "SOME-OTHER-COMMAND"}, False),
        ({"authorization_reference": None, "location_id": "ELSEWHERE"}, False),
    ],
)
def test_the_uid_of_the_token_may_stand_where_the_reference_is_due(
    start: Callable[..., Command], cpo: Person, document: Document, changes: dict[str, Any], found: bool
) -> None:
    command = start(location_id=LOCATION)

    cpo.put(f"emsp/2.2.1/sessions/NL/TNM/{SESSION}", document("session", **changes))

    assert (results.session_of(command) is not None) is found


@pytest.mark.req("HUB-87")
def test_a_cpo_behind_a_hub_is_asked_through_it(
    emsp_side: None, partner: Partner, listener: Listener, document: Document
) -> None:
    listener.reply("POST", RECEIVER, data=ACCEPTED)
    hub = partner("BE*HUB:HUB", listener=listener)
    add_party(hub.platform, "NL*TNM:CPO", through_hub=True)
    kept = tokens.keep(json.dumps(document("token_rfid")).encode())

    command = commands.start_session(to=TNM, token=Token.objects.get(pk=kept.row_id), location_id="LOC1")

    (request,) = listener.received("POST", START)
    assert request.headers["ocpi-to-party-id"] == "TNM"
    assert command.platform_id == hub.id


@pytest.mark.req("HUB-87")
def test_nobody_who_leads_there_is_said_so(start: Callable[..., Command]) -> None:
    with pytest.raises(status.ReceiverUnreachable, match=r"FR\*CPX"):
        start(to=at("FR*CPX"))


@pytest.mark.req("SEC-37")
def test_stop_session_comes_from_the_party_of_the_driver(cpo: Person, listener: Listener, document: Document) -> None:
    cpo.put("emsp/2.2.1/sessions/NL/TNM/SES-20250912-0042", document("session"))

    command = commands.stop_session(to=TNM, session_id="SES-20250912-0042")

    (request,) = listener.received("POST", STOP)
    assert request.json == {"response_url": response_url(command), "session_id": "SES-20250912-0042"}
    assert request.headers["ocpi-from-party-id"] == "EMS"


def test_a_command_whose_process_is_gone_does_not_stay_open(start: Callable[..., Command]) -> None:
    command = start()
    Command.objects.update(state="SENT", created_at=timezone.now() - timedelta(hours=1))

    tasks.sweep()

    command.refresh_from_db()
    assert command.state == "FAILED"
