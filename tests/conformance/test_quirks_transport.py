"""What real partners do wrong on the wire: tokens, headers, paths, answers. Tolerated, counted, never done by us."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.test import Client

from emsp.models import Command, Token
from emsp.modules import commands_operations as commands
from emsp.modules import tokens_operations as tokens
from ocpi import authentication, client, secrets, snapshot
from ocpi.models import Endpoint, Platform
from ocpi.modules.initiation import HandshakeFailed, register_with
from tests.conformance.handshakes import CREDENTIALS, registered
from tests.deviations import counted, example
from tests.fixtures import Document, Partner
from tests.people import Person, at
from tests.platforms import Listener, Received, Reply

LIST = "cpo/2.2.1/locations"
COMMANDS = "/ocpi/2.2.1/receiver/commands"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# ---------------------------------------------------------------- QRK-01, QRK-02: tokens


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform's form of token may change at once."""
    monkeypatch.setattr(authentication, "_FORM_SECONDS", 0.0)


# How a token is shown → whether we remember Base64, what is counted.
FORMS = [
    ("any-token-of-32-characters-or-so", "Token {raw}", False, {"QRK-01 raw token": 1}),
    # Is Base64 itself: of octets that are no text, and of a text that is nobody's token.
    ("//79/P/+/fz//v38//79/A==", "Token {raw}", False, {"QRK-01 raw token": 1}),
    ("YW5vdGhlci10b2tlbi1hbHRvZ2V0aGVy", "Token {raw}", False, {"QRK-01 raw token": 1}),
    ("YW5vdGhlci10b2tlbi1hbHRvZ2V0aGVy", "Token {b64}", True, {}),
    ("any-token-of-32-characters-or-so", "Token {b64}", True, {}),
]


@pytest.mark.req("QRK-01")
@pytest.mark.parametrize(("token", "header", "base64_token", "kinds"), FORMS)
def test_both_forms_of_a_token_are_tried_and_the_one_used_is_remembered(
    cpo_side: None, partner: Partner, token: str, header: str, base64_token: bool, kinds: dict[str, int]
) -> None:
    emsp = partner("DE*EMS:EMSP", token=token)

    answer = emsp.get(LIST, headers={"Authorization": header.format(raw=token, b64=b64(token))})

    assert answer.codes == (200, 1000)
    assert Platform.objects.get(pk=emsp.id).base64_token is base64_token
    assert counted(emsp) == kinds
    target = snapshot.current().platforms[emsp.id].target()
    shown = secrets.authorization(target.token, base64_token=target.base64_token)
    assert shown == f"Token {b64(emsp.token_out) if base64_token else emsp.token_out}"


@pytest.mark.req("QRK-01")
def test_outgoing_requests_show_our_token_in_the_form_it_uses(
    cpo_side: None, partner: Partner, listener: Listener, fresh: None
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener)

    def shown() -> str:
        target = snapshot.current().platforms[emsp.id].target()
        client.send(target, "GET", listener.versions_url, timeout=5)
        return listener.received("GET", "/ocpi/versions")[-1].headers["authorization"]

    before = shown()
    assert emsp.get(LIST, headers={"Authorization": f"Token {emsp.token}"}).ok
    raw = shown()
    assert emsp.get(LIST).ok
    after = shown()

    assert before == after == f"Token {b64(listener.token_for_us)}"
    assert raw == f"Token {listener.token_for_us}"


@pytest.mark.req("QRK-01", "TRN-006", "PIT-02")
def test_the_exact_decoded_match_comes_first(cpo_side: None, partner: Partner) -> None:
    """The raw token of one platform is, decoded, the token of another."""
    decoded = partner("DE*EMS:EMSP", token="a-token-of-somebody-else")
    raw = partner("BE*MSX:EMSP", token=b64("a-token-of-somebody-else"))

    answer = decoded.get(LIST, headers={"Authorization": f"Token {raw.token}"})

    assert answer.codes == (200, 1000)
    assert counted(decoded) == counted(raw) == {}
    assert raw.get(LIST, headers={"Authorization": f"Token {raw.token}"}, sender="BE*MSX").codes == (200, 2001)


@pytest.mark.req("TRN-006", "TRN-009", "PIT-02")
@pytest.mark.parametrize(("raw", "header", "http_status"), [
    (False, "Token {raw}", 401), (False, "Token {b64}", 200), (True, "Token {raw}", 200),
])  # fmt: skip
def test_a_fixed_form_is_the_operators_word(
    cpo_side: None, partner: Partner, raw: bool, header: str, http_status: int
) -> None:
    emsp = partner("DE*EMS:EMSP", raw=raw, detects_token=False)

    answer = emsp.get(LIST, headers={"Authorization": header.format(raw=emsp.token, b64=b64(emsp.token))})

    assert answer.http_status == http_status
    assert Platform.objects.get(pk=emsp.id).base64_token is not raw
    assert counted(emsp) == {}


@pytest.mark.req("QRK-01")
def test_a_platform_that_uses_both_forms_does_not_change_the_registry_at_every_request(
    cpo_side: None, emsp: Person
) -> None:
    for _ in range(3):
        assert emsp.get(LIST, headers={"Authorization": f"Token {emsp.token}"}).ok
        assert emsp.get(LIST).ok

    assert Platform.objects.get(pk=emsp.id).base64_token is False
    assert counted(emsp) == {"QRK-01 raw token": 3}


@pytest.mark.req("QRK-02")
@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        ("token {b64}", {"QRK-02 Authorization header": 1}),
        ("TOKEN {b64}", {"QRK-02 Authorization header": 1}),
        ("Token  {b64}", {"QRK-02 Authorization header": 1}),
        (" Token {b64} ", {"QRK-02 Authorization header": 1}),
        ("{b64}", {"QRK-02 Authorization header": 1}),
        ("Token {lf}", {"PIT-01 token with a line feed": 1}),
        ("Token {b64}", {}),
    ],
)
def test_an_authorization_header_may_be_sloppy(
    cpo_side: None, emsp: Person, header: str, kinds: dict[str, int]
) -> None:
    answer = emsp.get(LIST, headers={"Authorization": header.format(b64=b64(emsp.token), lf=b64(emsp.token + "\n"))})

    assert answer.codes == (200, 1000)
    assert counted(emsp) == kinds


# ---------------------------------------------------------------- QRK-03, QRK-04, PIT-80, PIT-88: headers and paths


@pytest.mark.req("QRK-03", "PIT-80")
def test_a_peer_without_any_header_of_ocpi_is_known_by_its_token(cpo_side: None, emsp: Person) -> None:
    response = Client().get(f"/ocpi/{LIST}", headers={"Authorization": emsp.authorization})

    assert response.status_code == 200
    assert json.loads(response.content)["status_code"] == 1000
    assert len(response.headers["X-Request-ID"]) == len(response.headers["X-Correlation-ID"]) == 36
    assert counted(emsp) == {"TRN-061 X-Correlation-ID missing": 1, "TRN-061 X-Request-ID missing": 1}
    assert example(emsp, "TRN-061 X-Request-ID missing") == f"GET /ocpi/{LIST}"


@pytest.mark.req("QRK-03")
def test_a_header_is_a_claim_that_the_token_has_to_bear_out(cpo_side: None, emsp: Person, second_emsp: Person) -> None:
    answer = emsp.get(LIST, sender=second_emsp.address)

    assert answer.codes == (200, 2001)
    assert "BE*MSX" in answer.message
    assert emsp.get(LIST, sender=None).codes == (200, 1000)


@pytest.mark.req("PIT-80")
def test_through_a_hub_a_missing_header_is_named(hub_side: None, emsp: Person, cpo: Person) -> None:
    nobody = emsp.get("hub/2.2.1/sender/locations", to="NL*TNM", sender=None)
    half = emsp.get("hub/2.2.1/sender/locations", headers={"OCPI-to-party-id": None}, to="NL*TNM", sender="DE*EMS")

    assert nobody.codes == (200, 2001)
    assert "OCPI-from-party-id" in nobody.message
    assert half.codes == (200, 2001)
    assert "OCPI-to-party-id" in half.message


@pytest.mark.req("QRK-04", "TRN-022")
@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("/ocpi/cpo/2.2.1/locations", {}),
        ("/ocpi/cpo/2.2.1/locations/", {}),
        ("/ocpi/cpo/2.2.1//locations", {"QRK-04 double slash in the path": 1}),
        ("/ocpi//cpo/2.2.1/locations//", {"QRK-04 double slash in the path": 1}),
    ],
)
def test_slashes_are_served_and_never_redirected(
    cpo_side: None, emsp: Person, document: Document, path: str, kinds: dict[str, int]
) -> None:
    assert emsp.get(path).codes == (200, 1000)
    assert counted(emsp) == kinds


@pytest.mark.req("QRK-04")
@pytest.mark.parametrize("path", ["tokens/DE/EMS/{uid}/", "tokens//DE/EMS//{uid}"])
def test_a_put_with_slashes_too_many_keeps_its_body(
    cpo_side: None, emsp: Person, document: Document, path: str
) -> None:
    token = document("token_rfid")

    assert emsp.put("cpo/2.2.1/" + path.format(uid=token["uid"]), token).codes == (201, 1000)
    assert emsp.get(f"cpo/2.2.1/tokens/DE/EMS/{token['uid']}").data == token


@pytest.mark.req("TRN-024", "SEC-47")
@pytest.mark.parametrize("segment", ["{}", "%7B%7D", "{country_code}", "%2F"])
def test_a_segment_that_looks_like_a_parameter_is_only_text(cpo_side: None, emsp: Person, segment: str) -> None:
    assert emsp.get(f"cpo/2.2.1/tokens/{segment}/EMS/{segment}").codes[0] == 404


@pytest.mark.req("PIT-88")
@pytest.mark.parametrize("sender", ["DE*EMS", "XX*XXX"])
def test_routing_headers_on_a_configuration_module_are_ignored(hub_side: None, emsp: Person, sender: str) -> None:
    for path in ("versions", "2.2.1", CREDENTIALS):
        answer = emsp.get(path, to="NL*TNM", sender=sender)
        assert answer.codes == (200, 1000), path
        assert "OCPI-from-party-id" not in answer.headers

    assert counted(emsp) == {"PIT-88 routing headers on a Configuration Module": 3}


@pytest.mark.req("PIT-88")
@pytest.mark.parametrize("place", ["hub_side", "cpo_side"])
def test_a_functional_module_without_routing_headers_never_crashes(
    request: pytest.FixtureRequest, place: str, emsp: Person, document: Document
) -> None:
    request.getfixturevalue(place)
    token = document("token_rfid")
    base = "hub/2.2.1/receiver/tokens" if place == "hub_side" else "cpo/2.2.1/tokens"

    answer = emsp.put(f"{base}/DE/EMS/{token['uid']}", token, to=None, sender=None)

    assert answer.http_status in (200, 201)
    assert answer.codes[1] < 3000 or answer.codes[1] >= 4000


# ---------------------------------------------------------------- QRK-05, QRK-09, PIT-11, PIT-15: versions


def closed_to(*forms: str) -> Any:
    """Answer 401 to a request whose Authorization is one of these."""

    def answer(request: Received) -> Reply:
        header = request.headers.get("authorization", "")
        form = "none" if not header else "raw" if header == f"Token {TOKEN_A}" else "base64"
        if form in forms:
            return Reply(status=401, code=2000)
        found: Reply = usual(request)
        return found

    usual: Any = None

    def install(listener: Listener, path: str) -> None:
        nonlocal usual
        usual = listener._usual
        listener.reply("GET", path, using=answer)

    return install


TOKEN_A = "their-token-A-for-us"


@pytest.mark.req("QRK-05")
@pytest.mark.parametrize("path", ["/ocpi/versions", "/ocpi/2.2.1"])
@pytest.mark.parametrize(
    ("closed", "kinds"),
    [
        ((), {}),
        (("none",), {}),
        (("base64", "raw"), {"QRK-05 versions only without a token": 1}),
        (("base64", "none"), {"QRK-01 expects a raw token": 1}),
    ],
)
def test_versions_are_fetched_with_or_without_a_token(
    hub_side: None, db: None, listener: Listener, path: str, closed: tuple[str, ...], kinds: dict[str, int]
) -> None:
    closed_to(*closed)(listener, path)

    platform = register_with(name="Elbe", versions_url=listener.versions_url, token_a=TOKEN_A, any_role=True)

    assert platform.state == "REGISTERED"
    assert counted(Person(token="", platform=platform)) == kinds
    assert platform.base64_token is not ("QRK-01 expects a raw token" in kinds)
    (posted,) = listener.received("POST")
    assert posted.headers["authorization"] == secrets.authorization(TOKEN_A, base64_token=platform.base64_token)


@pytest.mark.req("QRK-05")
def test_versions_that_let_nobody_in_end_the_handshake(hub_side: None, db: None, listener: Listener) -> None:
    closed_to("none", "raw", "base64")(listener, "/ocpi/versions")

    with pytest.raises(HandshakeFailed, match="HTTP 401"):
        register_with(name="Elbe", versions_url=listener.versions_url, token_a=TOKEN_A, any_role=True)

    assert [request.method for request in listener.requests] == ["GET"] * 3


def endpoints(listener: Listener, *listed: tuple[Any, Any, str]) -> list[dict[str, Any]]:
    found = [{"identifier": name, "role": role, "url": listener.url + path} for name, role, path in listed]
    return [{key: value for key, value in entry.items() if value is not None} for entry in found]


# What the version details list → what we use, what is counted.
DETAILS: list[tuple[str, list[tuple[Any, Any, str]], set[tuple[str, str, str]], dict[str, int]]] = [
    ("one role only", [("locations", "RECEIVER", "/r")], {("locations", "RECEIVER", "/r")}, {}),
    ("lower case", [("locations", "receiver", "/r"), ("locations", "Sender", "/s")],
     {("locations", "RECEIVER", "/r"), ("locations", "SENDER", "/s")}, {"QRK-09 role in lower case": 2}),
    ("several of one module", [("tokens", "RECEIVER", "/r"), ("tokens", "SENDER", "/s"), ("tokens", "SENDER", "/t")],
     {("tokens", "RECEIVER", "/r"), ("tokens", "SENDER", "/s")}, {}),
    ("no role", [("tokens", None, "/x"), ("locations", "RECEIVER", "/r")],
     {("locations", "RECEIVER", "/r")}, {"QRK-09 endpoint without a role": 1}),
    ("unknown modules", [("payments", "SENDER", "/p"), ("locations", "RECEIVER", "/r")],
     {("locations", "RECEIVER", "/r")}, {}),
]  # fmt: skip


@pytest.mark.req("QRK-09", "PIT-83")
@pytest.mark.parametrize(("listed", "used", "kinds"), [row[1:] for row in DETAILS], ids=[row[0] for row in DETAILS])
def test_endpoints_are_picked_by_module_and_role(
    hub_side: None, invited: Person, listener: Listener, listed: Any, used: Any, kinds: dict[str, int]
) -> None:
    listed = [("credentials", "RECEIVER", "/ocpi/2.2.1/credentials"), *listed]
    listener.reply("GET", "/ocpi/2.2.1", data={"version": "2.2.1", "endpoints": endpoints(listener, *listed)})

    registered(invited, listener)

    rows = Endpoint.objects.filter(platform=invited.platform).exclude(identifier="credentials")
    assert {(row.identifier, row.role, row.url.removeprefix(listener.url)) for row in rows} == used
    assert counted(invited) == kinds


@pytest.mark.req("PIT-11")
def test_version_details_in_a_list_of_one_are_taken_and_counted(
    hub_side: None, invited: Person, listener: Listener
) -> None:
    listener.reply("GET", "/ocpi/2.2.1", data=[listener.version_details()])

    registered(invited, listener)

    assert counted(invited) == {"PIT-11 version details as a list": 1}


@pytest.mark.req("PIT-15", "HCI-07")
def test_hubclientinfo_has_an_endpoint_of_its_own(cpo_side: None, hub: Person) -> None:
    details = {entry["identifier"]: entry["url"] for entry in hub.get("2.2.1").data["endpoints"]}
    info = {"country_code": "DE", "party_id": "EMS", "role": "EMSP", "status": "CONNECTED",
            "last_updated": "2026-01-01T00:00:00Z"}  # fmt: skip

    assert hub.put(f"{details['hubclientinfo']}/DE/EMS", info).codes == (201, 1000)
    assert hub.get(f"{details['hubclientinfo']}/DE/EMS").data == info
    assert hub.put(f"{details['locations']}/DE/EMS", info).http_status in (404, 405)


# ---------------------------------------------------------------- QRK-06: answers


@pytest.fixture
def cpo_that_listens(emsp_side: None, partner: Partner, listener: Listener) -> Person:
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture
def token(cpo_that_listens: Person, document: Document) -> Token:
    return Token.objects.get(pk=tokens.keep(json.dumps(document("token_rfid")).encode()).row_id)


TAKEN = {"result": "ACCEPTED", "timeout": 30}
NOW = "2026-01-01T00:00:00Z"
NO_ENVELOPE = "QRK-06 answer without an envelope"
# What a partner answers to START_SESSION → what becomes of the command, what is counted.
ANSWERS: list[tuple[dict[str, Any], str, dict[str, int]]] = [
    ({"data": TAKEN}, "ACCEPTED", {}),
    ({"data": TAKEN, "status": 201}, "ACCEPTED", {}),
    ({"data": TAKEN, "status": 202}, "ACCEPTED", {"QRK-06 HTTP 202": 1}),
    ({"data": [TAKEN]}, "ACCEPTED", {"QRK-06 data in a list": 1}),
    ({"data": TAKEN, "code": 2001}, "FAILED", {}),
    ({"data": TAKEN, "code": 3000}, "FAILED", {}),
    ({"data": TAKEN, "status": 400}, "FAILED", {"QRK-06 HTTP 400 with 1000": 1}),
    ({"status": 502, "raw": b"<html>Bad Gateway</html>", "headers": {"Content-Type": "text/html"}}, "FAILED",
     {NO_ENVELOPE: 1}),
    ({"raw": b""}, "FAILED", {NO_ENVELOPE: 1}),
    ({"raw": b"null"}, "FAILED", {NO_ENVELOPE: 1}),
    ({"raw": json.dumps(TAKEN).encode()}, "FAILED", {NO_ENVELOPE: 1}),
    ({}, "FAILED", {}),
    ({"raw": json.dumps({"status_code": "1000", "timestamp": NOW, "data": TAKEN}).encode()}, "ACCEPTED",
     {"PIT-26 status_code as a string": 1}),
    ({"raw": json.dumps({"status_code": 1000, "data": TAKEN}).encode()}, "ACCEPTED", {"PIT-26 timestamp missing": 1}),
    ({"data": TAKEN, "headers": {"X-Request-ID": "another"}}, "ACCEPTED",
     {"TRN-058 X-Request-ID not in the answer": 1}),
]  # fmt: skip


@pytest.mark.req("QRK-06", "PIT-26", "TRN-036", "TRN-037")
@pytest.mark.parametrize(("reply", "state", "kinds"), ANSWERS, ids=range(len(ANSWERS)))
def test_whatever_comes_back_is_understood_or_is_a_failure(
    cpo_that_listens: Person, token: Token, listener: Listener, reply: dict[str, Any], state: str, kinds: dict[str, int]
) -> None:
    listener.reply("POST", COMMANDS, **reply)

    command = commands.start_session(to=at("NL*TNM"), token=token, location_id="LOC1")

    assert command.state == state
    assert Command.objects.get().state == state
    assert counted(cpo_that_listens) == kinds


@pytest.mark.req("QRK-06")
def test_an_answer_with_a_key_in_its_place_is_counted_without_it(
    cpo_that_listens: Person, token: Token, listener: Listener
) -> None:
    listener.reply("POST", COMMANDS, status=202, data=TAKEN)

    commands.start_session(to=at("NL*TNM"), token=token, location_id="LOC1")

    assert example(cpo_that_listens, "QRK-06 HTTP 202") == f"POST {COMMANDS}/START_SESSION"


@pytest.mark.req("PIT-81")
@pytest.mark.parametrize("http_status", [200, 404, 502, 503, 504])
@pytest.mark.parametrize("code", [4001, 4002, 4003])
def test_a_hubs_codes_are_understood_under_any_http_status(
    cpo_that_listens: Person, token: Token, listener: Listener, http_status: int, code: int
) -> None:
    listener.reply("POST", COMMANDS, status=http_status, code=code, message="nobody there")

    command = commands.start_session(to=at("NL*TNM"), token=token, location_id="LOC1")

    assert command.state == "FAILED"
    assert str(code) in command.message
    assert "nobody there" in command.message


@pytest.mark.req("PIT-81")
def test_our_hub_sends_its_codes_with_http_200(hub_side: None, emsp: Person, partner: Partner) -> None:
    partner("NL*TNM:CPO", connection="OFFLINE")

    nobody = emsp.get("hub/2.2.1/sender/locations/LOC1", to="FR*XXX")
    away = emsp.get("hub/2.2.1/sender/locations/LOC1", to="NL*TNM")

    assert nobody.codes == (200, 4001)
    assert away.codes == (200, 4003)
