"""Direct requests through the hub: passed on while the caller waits, changed only where the hub must."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from hub.models import Callback
from ocpi import health, secrets, snapshot
from ocpi.models import Platform
from ocpi.v2_2_1.types import format_datetime
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener, Reply

COMMAND = "hub/2.2.1/receiver/commands/START_SESSION"
pytestmark = pytest.mark.usefixtures("hub_side", "front_door")


@pytest.fixture
def far_cpo(partner: Partner, listener: Listener) -> Person:
    """A CPO that really answers."""
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture
def command(document: Document) -> dict[str, object]:
    return dict(document("start_session", response_url="https://emsp.example/results/1"))


def accept(listener: Listener, timeout: int = 30) -> None:
    listener.reply("POST", "/", data={"result": "ACCEPTED", "timeout": timeout})


@pytest.mark.req("HUB-12", "HUB-13", "HUB-14", "HUB-15", "HUB-16", "HUB-17", "HUB-18", "HUB-19", "HUB-22")
def test_a_command_goes_to_the_cpo_and_its_answer_comes_back(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    accept(listener)

    answer = emsp.post(COMMAND, command, to="NL*TNM", headers={"X-Correlation-ID": "corr", "X-Request-ID": "mine"})

    assert answer.codes == (200, 1000)
    assert answer.data == {"result": "ACCEPTED", "timeout": 30}
    assert (answer.headers["OCPI-to-party-id"], answer.headers["OCPI-from-party-id"]) == ("EMS", "TNM")
    (got,) = listener.received("POST")
    assert got.path.endswith("/commands/START_SESSION")
    assert got.token == far_cpo.token_out
    assert got.headers["x-correlation-id"] == "corr"
    assert got.headers["x-request-id"] != "mine"
    assert (got.headers["ocpi-to-party-id"], got.headers["ocpi-from-party-id"]) == ("TNM", "EMS")


@pytest.mark.req("HUB-13", "HUB-14", "HUB-21", "HUB-23", "HUB-24")
def test_a_page_is_that_which_was_asked_for_and_its_addresses_and_counts_are_its_receivers(
    far_cpo: Person, emsp: Person, listener: Listener
) -> None:
    own = {"OCPI-to-country-code": "de", "OCPI-to-party-id": "ems", "OCPI-from-country-code": "NL",
           "OCPI-from-party-id": "TN2", "X-Total-Count": "7", "X-Limit": "3"}  # fmt: skip
    before = format_datetime(timezone.now() - timedelta(seconds=50))
    raw = f'{{"data": [], "timestamp": "{before}", "status_message": "so it is", "status_code": 1000}}'.encode()
    listener.reply("GET", "/", raw=raw, headers=own)

    answer = emsp.get("hub/2.2.1/sender/locations", to="NL*TNM", query={"offset": 4, "limit": 3})

    (got,) = listener.received("GET")
    assert (got.path, got.query) == ("/ocpi/2.2.1/sender/locations", "offset=4&limit=3")
    assert {name: answer.headers[name] for name in own} == own
    assert answer.text == raw.decode()


@pytest.mark.req("HUB-21")
def test_the_body_passes_byte_for_byte(far_cpo: Person, emsp: Person, listener: Listener) -> None:
    listener.reply("POST", "/", data=None)
    body = b'{ "id" : "1", "total" : 4.00, "vendor": {"b":1e2, "a":[]} }'
    cdr = far_cpo  # the poster of a CDR needs no endpoint of its own

    emsp.post("hub/2.2.1/receiver/commands/UNLOCK_CONNECTOR", body, to=cdr.address)

    assert listener.received("POST")[0].body == body


@pytest.mark.req("HUB-72", "HUB-73", "SEC-41")
def test_the_result_comes_back_through_a_url_of_the_hub(
    far_cpo: Person, partner: Partner, listener: Listener, command: dict[str, object]
) -> None:
    accept(listener)
    with Listener() as emsp_listener:
        emsp = partner("DE*EMS:EMSP", listener=emsp_listener)
        command["response_url"] = f"{emsp_listener.url}/results/42"
        emsp.post(COMMAND, command, to="NL*TNM")
        given = listener.received("POST")[0].json["response_url"]
        assert given != command["response_url"]

        answer = far_cpo.post(given, {"result": "ACCEPTED"}, to="DE*EMS", headers={"X-Correlation-ID": "corr"})

        assert answer.codes == (200, 1000)
        (got,) = emsp_listener.received("POST")
        assert got.path == "/results/42"
        assert got.json == {"result": "ACCEPTED"}
        assert got.token == emsp.token_out
        assert got.headers["x-correlation-id"] == "corr"
        assert (got.headers["ocpi-to-party-id"], got.headers["ocpi-from-party-id"]) == ("EMS", "TNM")


@pytest.mark.req("SEC-41", "SEC-39")
def test_nobody_else_may_use_a_callback(
    far_cpo: Person, emsp: Person, second_cpo: Person, listener: Listener, command: dict[str, object]
) -> None:
    accept(listener)
    emsp.post(COMMAND, command, to="NL*TNM")
    given = listener.received("POST")[0].json["response_url"]

    assert second_cpo.post(given, {"result": "ACCEPTED"}, to="DE*EMS").codes == (404, 2000)
    assert emsp.post(given, {"result": "ACCEPTED"}, to="DE*EMS").codes == (404, 2000)
    assert far_cpo.post(given[:-4] + "AAAA", {"result": "ACCEPTED"}, to="DE*EMS").codes == (404, 2000)


@pytest.mark.req("HUB-72")
def test_a_callback_lives_an_hour_longer_than_the_announced_timeout(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    accept(listener, timeout=600)
    emsp.post(COMMAND, command, to="NL*TNM")

    callback = Callback.objects.get()

    assert callback.expires_at is not None
    assert 4100 < (callback.expires_at - callback.created_at).total_seconds() < 4300


@pytest.mark.req("SEC-41")
def test_a_refused_command_leaves_no_callback(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    listener.reply("POST", "/", data={"result": "REJECTED", "timeout": 0})

    emsp.post(COMMAND, command, to="NL*TNM")

    assert not Callback.objects.exists()


@pytest.mark.req("TRN-054", "HUB-22")
@pytest.mark.parametrize(("http", "code"), [(200, 2003), (404, 2004), (200, 3000), (500, 3000)])
def test_what_the_receiver_says_is_passed_on_unchanged(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object], http: int, code: int
) -> None:
    listener.reply("POST", "/", status=http, code=code)

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (http, code)


@pytest.mark.req("HUB-64", "HUB-66", "HUB-68")
def test_nobody_there_and_nobody_connected(emsp: Person, partner: Partner, command: dict[str, object]) -> None:
    partner("XX*OFF:CPO", connection="OFFLINE")
    partner("XX*OFL:CPO", connection="OFFLINE", endpoints=[("locations", "SENDER")])  # what it lacks does not matter
    partner("NL*TNM:CPO", url="http://127.0.0.1:64999")

    assert emsp.post(COMMAND, command, to="ZZ*ZZZ").codes == (200, 4001)
    assert emsp.post(COMMAND, command, to="XX*OFF").codes == (200, 4003)
    assert emsp.post(COMMAND, command, to="XX*OFL").codes == (200, 4003)
    answer = emsp.post(COMMAND, command, to="NL*TNM")  # connected, but nothing listens there
    assert answer.codes == (200, 4003)
    assert answer.headers["OCPI-from-party-id"] == "HUB"
    assert answer.data is None


@pytest.mark.req("HUB-65", "HUB-70")
def test_no_answer_in_time_is_4002_and_is_not_repeated(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object], settings: Settings
) -> None:
    settings.OCPI_FORWARD_TIMEOUT = 0.3
    listener.reply("POST", "/", delay=1.0)

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4002)
    assert len(listener.received("POST")) == 1


@pytest.mark.req("HUB-67")
@pytest.mark.parametrize("answer", [{"raw": b"<html>busy</html>"}, {"headers": {"Content-Encoding": "gzip"}}], ids=str)
def test_no_envelope_is_4000(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object], answer: dict[str, Any]
) -> None:
    listener.reply("POST", "/", **answer)

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4000)


@pytest.mark.req("HUB-67")
def test_who_is_at_an_address_that_may_not_be_called_is_4000(
    emsp: Person, partner: Partner, command: dict[str, object]
) -> None:
    partner("NL*TNM:CPO", url="http://10.0.0.1:1")

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4000)


@pytest.mark.req("REL-25", "HUB-66", "HCI-17")
@pytest.mark.parametrize("http", [401, 403])
def test_a_refused_hub_token_is_4003_and_nothing_more_is_sent_until_an_operator_says_so(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object], http: int
) -> None:
    listener.reply("POST", "/", status=http, code=2000, times=1)
    listener.reply("GET", "/ocpi/versions", status=http, code=2000, times=2)  # in either form of the token

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4003)
    assert Platform.objects.get(pk=far_cpo.id).paused_reason == f"it refuses our token: HTTP {http}"
    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4003)
    assert len(listener.received("POST")) == 1

    health.resume(far_cpo.id)
    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 1000)


@pytest.mark.req("QRK-01", "REL-25", "HUB-66")
def test_a_receiver_that_takes_the_hubs_token_in_its_other_form_is_not_paused(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    Platform.objects.filter(pk=far_cpo.id).update(base64_token=False)
    snapshot.changed()

    def answer(request: Any) -> Reply:
        takes = request.headers["authorization"] == secrets.authorization(far_cpo.token_out, base64_token=True)
        return Reply(data={"result": "ACCEPTED", "timeout": 30}) if takes else Reply(status=401, code=2000)

    listener.reply("*", "/", using=answer)

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4003)
    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 1000)
    assert Platform.objects.get(pk=far_cpo.id).paused_reason == ""


@pytest.mark.req("REL-25", "HUB-67")
@pytest.mark.parametrize("http", [401, 403])
def test_a_receiver_that_refuses_only_what_another_party_sent_is_not_paused(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object], http: int
) -> None:
    listener.reply("POST", "/", status=http, code=2000, times=3)

    for _ in range(3):
        answer = emsp.post(COMMAND, command, to="NL*TNM")
        assert answer.codes == (200, 4000)
        assert str(http) in str(answer.message)

    assert Platform.objects.get(pk=far_cpo.id).paused_reason == ""
    assert len(listener.received("GET", "/ocpi/versions")) == 1  # one question for a flood of refusals
    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 1000)


@pytest.mark.req("REL-25")
def test_nobody_is_paused_while_it_cannot_be_told_what_is_refused(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    listener.reply("POST", "/", status=403, code=2000)
    listener.reply("GET", "/ocpi/versions", status=503, code=3000)

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4003)
    assert Platform.objects.get(pk=far_cpo.id).paused_reason == ""


@pytest.mark.req("REL-25", "REL-26", "HUB-22")
def test_a_500_with_an_envelope_is_passed_on_and_counts_as_a_failure(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    def failures() -> int:
        return Platform.objects.get(pk=far_cpo.id).failures

    listener.reply("POST", "/", status=500, code=3000, times=1)

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (500, 3000)
    assert failures() == 1
    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 1000)
    assert failures() == 0


@pytest.mark.req("HUB-22", "REL-26")
def test_how_long_the_receiver_wants_to_be_left_alone_is_passed_on(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    listener.reply("POST", "/", status=429, code=2000, headers={"Retry-After": "7"})

    answer = emsp.post(COMMAND, command, to="NL*TNM")

    assert answer.codes == (429, 2000)
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.req("REL-26")
@pytest.mark.parametrize(
    ("http", "headers", "least", "failures"),
    [(429, {"Retry-After": "600"}, 590, 0), (429, {}, 0, 0), (503, {"Retry-After": "600"}, 590, 1), (200, {}, None, 0)],
)
def test_who_wants_to_be_left_alone_gets_no_pushes_for_so_long(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object], http: int, headers: dict[str, str],
    least: float | None, failures: int,
) -> None:  # fmt: skip
    """It has had too many requests: it is left alone by what can wait, and is no worse for it."""
    listener.reply("POST", "/", status=http, code={200: 1000, 503: 3000}.get(http, 2000), headers=headers)

    emsp.post(COMMAND, command, to="NL*TNM")

    platform = Platform.objects.get(pk=far_cpo.id)
    assert (platform.failures, platform.connection) == (failures, "CONNECTED")
    if least is None:
        assert platform.backoff_until is None
    else:
        assert platform.backoff_until is not None
        assert (platform.backoff_until - timezone.now()).total_seconds() > least
    if http == 429:  # a rest that was asked for is not cut short by a shorter one
        listener.reply("POST", "/", status=http, code=2000, headers={"Retry-After": "1"})
        emsp.post(COMMAND, command, to="NL*TNM")
        later = Platform.objects.get(pk=far_cpo.id).backoff_until
        assert later is not None
        assert platform.backoff_until is not None
        assert later >= platform.backoff_until


@pytest.mark.req("HUB-24", "HUB-75")
def test_pages_of_a_list_continue_at_the_same_party(far_cpo: Person, emsp: Person, listener: Listener) -> None:
    next_page = f"{listener.url}/ocpi/2.2.1/sender/locations?offset=1&limit=1"
    headers = {"X-Total-Count": "2", "X-Limit": "1", "Link": f'<{next_page}>; rel="next"'}
    listener.reply("GET", "/", data=[{"id": "LOC1"}], headers=headers, times=1)

    first = emsp.get("hub/2.2.1/sender/locations", to="NL*TNM")
    listener.reply("GET", "/", data=[{"id": "LOC2"}], headers={"X-Total-Count": "2", "X-Limit": "1"})
    second = emsp.get(first.headers["Link"].partition("<")[2].partition(">")[0], to="NL*TNM")

    assert (first.headers["X-Total-Count"], first.headers["X-Limit"]) == ("2", "1")
    assert first.headers["Link"].startswith("<http://127.0.0.1:8000/ocpi/hub/")
    assert second.data == [{"id": "LOC2"}]
    assert "Link" not in second.headers
    assert listener.received("GET")[-1].query == "offset=1&limit=1"


@pytest.mark.req("HUB-74")
def test_the_location_of_a_cdr_is_a_url_of_the_hub_that_the_cpo_can_read(
    cpo: Person, partner: Partner, listener: Listener, document: Document
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    listener.reply("POST", "/", status=201, headers={"Location": f"{listener.url}/ocpi/cdrs/9"})
    listener.reply("GET", "/ocpi/cdrs/9", data={"id": "CDR1"})

    posted = cpo.post("hub/2.2.1/receiver/cdrs", document("cdr"), to="DE*EMS")
    read = cpo.get(posted.headers["Location"], to="DE*EMS")

    assert posted.codes == (201, 1000)
    assert posted.headers["Location"].startswith("http://127.0.0.1:8000/ocpi/hub/")
    assert read.data == {"id": "CDR1"}
    assert Callback.objects.get().expires_at is None, "a CDR may be read for as long as it is kept"


@pytest.mark.req("TRN-008")
def test_a_stranger_gets_nowhere(stranger: Person, far_cpo: Person, listener: Listener) -> None:
    assert stranger.post(COMMAND, {}, to="NL*TNM").codes == (401, 2000)
    assert json.dumps([each.path for each in listener.received("POST")]) == "[]"


@pytest.mark.req("TOK-02")
def test_an_authorize_without_a_body_is_passed_on(cpo: Person, partner: Partner, listener: Listener) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    listener.reply("POST", "/", data={"allowed": "ALLOWED"})

    answer = cpo.post("hub/2.2.1/sender/tokens/T1/authorize", to="DE*EMS")

    assert answer.codes == (200, 1000)
    assert listener.received("POST")[0].body == b""


@pytest.mark.req("CDR-07", "HUB-22")
@pytest.mark.parametrize("location", ["/cdrs/relative", "no url at all", "ftp://elsewhere.example/1"])
def test_an_odd_location_does_not_spoil_the_answer(
    cpo: Person, partner: Partner, listener: Listener, document: Document, location: str
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    listener.reply("POST", "/", status=201, headers={"Location": location})

    answer = cpo.post("hub/2.2.1/receiver/cdrs", document("cdr"), to="DE*EMS")

    assert answer.codes == (201, 1000)


@pytest.mark.req("HUB-75")
def test_of_several_links_the_next_one_counts(far_cpo: Person, emsp: Person, listener: Listener) -> None:
    base = f"{listener.url}/ocpi/2.2.1/sender/locations"
    link = f'<{base}?offset=0>; rel="prev", <{base}?offset=2>; rel="next"'
    further = f'<{base}?offset=3>; rel="next"'
    listener.reply("GET", "/", data=[{"id": "LOC1"}], headers={"Link": link}, times=1)

    page = emsp.get("hub/2.2.1/sender/locations", to="NL*TNM")
    for offset in (2, 3):  # the page that a page names is reached through the hub, too
        listener.reply("GET", "/", data=[{"id": "LOC2"}], headers={"Link": further}, times=1)
        page = emsp.get(page.headers["Link"].partition("<")[2].partition(">")[0], to="NL*TNM")
        assert listener.received("GET")[-1].query == f"offset={offset}"


@pytest.mark.req("HUB-72")
def test_an_escaped_name_does_not_smuggle_a_response_url_through(
    far_cpo: Person, emsp: Person, listener: Listener, command: dict[str, object]
) -> None:
    accept(listener)
    body = json.dumps(command).replace('"response_url"', '"response\\u005furl"')

    emsp.post(COMMAND, body.encode(), to="NL*TNM")

    assert listener.received("POST")[0].json["response_url"].startswith("http://127.0.0.1:8000/ocpi/hub/")


@pytest.mark.req("SEC-29", "REL-28")
@pytest.mark.parametrize(
    ("method", "path", "octets", "code"),
    [
        ("PUT", "hub/2.2.1/sender/sessions/1/charging_preferences", (1 << 20) - 2000, 1000),
        ("PUT", "hub/2.2.1/sender/sessions/1/charging_preferences", 1 << 20, 4000),
        ("GET", "hub/2.2.1/sender/locations", 2 << 20, 1000),
        ("GET", "hub/2.2.1/sender/locations", 16 << 20, 4000),
    ],
)
def test_an_answer_is_passed_back_up_to_the_limit_of_its_kind(
    far_cpo: Person, emsp: Person, listener: Listener, method: str, path: str, octets: int, code: int
) -> None:
    body = {"profile_type": "FAST"} if method == "PUT" else None
    listener.reply(method, "/", data=["x" * 1000] * (octets // 1004 + 1))

    answer = emsp.request(method, path, body, to="NL*TNM")

    assert answer.codes == (200, code)
    assert (len(answer.text) > octets) is (code == 1000)
