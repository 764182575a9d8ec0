"""What real partners do wrong on the wire: tokens, headers, paths. Tolerated, counted, never done by us."""

from __future__ import annotations

import base64
import json

import pytest
from django.test import Client

from ocpi import authentication, client, secrets, snapshot
from ocpi.models import Platform
from tests.conformance.handshakes import CREDENTIALS
from tests.deviations import counted, example
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

LIST = "cpo/2.2.1/locations"


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
