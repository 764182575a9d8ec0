"""What holds for every URL: authentication, methods, bodies, ids, errors; tried on an eMSP."""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import pytest
from django.test import Client

from ocpi import authentication, checks, defects, endpoints
from ocpi.models import Party
from ocpi.views import OcpiView
from tests.fixtures import Document, Side
from tests.people import Person
from tests.platforms import Listener

pytestmark = pytest.mark.usefixtures("emsp_side")

TOKENS = "emsp/2.2.1/tokens"
LOCATION = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
CLIENT_INFO = "2.2.1/hubclientinfo/NL/TNM"
SIDES = pytest.mark.parametrize(
    ("chosen", "parties"), [(["hub"], ["NL*HUB:HUB"]), (["cpo"], ["NL*TNM:CPO"]), (["emsp"], ["DE*EMS:EMSP"])],
    ids=lambda value: value[0],
)  # fmt: skip


def routes(tree: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """Return every URL below /ocpi/ with its view, ids filled in."""
    found = [(path, tree["view"])] if "view" in tree else []
    for part, node in tree["below"].items():
        found += routes(node, f"{path}/{part if part != endpoints._PARAMETER else 'NL'}")
    return found


# ---- who is calling


@pytest.mark.req("TRN-008", "TRN-012", "SEC-32", "PIT-04", "PIT-22")
@SIDES
def test_every_route_asks_for_a_token_before_anything_else(
    chosen: list[str], parties: list[str], side: Side, stranger: Person, db: None
) -> None:
    side(*chosen, parties=parties)
    known = routes(endpoints._tree(tuple(chosen)))
    assert len(known) > 5

    for path, view in known:
        assert issubclass(view.cls, OcpiView)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = stranger.request(method, f"/ocpi{path}", b"no json" if method == "PUT" else None)
            assert answer.codes == (401, 2000), f"{method} {path}"
            assert not answer.has_data


@pytest.mark.req("TRN-008", "TRN-009", "TRN-011", "TRN-012")
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Token", "Basic dXNlcjpwYXNz", "Bearer x", "Token !", "Token \xff", "Token " + "A" * 4000],
)
def test_a_malformed_header_is_401_with_an_envelope(cpo: Person, authorization: str | None) -> None:
    assert cpo.get(TOKENS, headers={"Authorization": authorization}).codes == (401, 2000)
    assert cpo.get(TOKENS).codes == (200, 1000)


@pytest.mark.req("TRN-003", "TRN-011")
def test_header_names_and_scheme_are_matched_in_any_case(cpo: Person) -> None:
    authorization = cpo.authorization.replace("Token", "tOKEN")

    answer = cpo.get(
        TOKENS,
        headers={"Authorization": None, "AUTHORIZATION": authorization, "X-Request-ID": None, "x-REQUEST-id": "me"},
    )

    assert answer.codes == (200, 1000)
    assert answer.headers["x-request-id"] == "me"


@pytest.mark.req("TRN-014")
def test_tokens_are_in_no_log_and_in_no_error(
    cpo: Person, stranger: Person, invited: Person, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        texts = [
            stranger.get(TOKENS).text,
            stranger.post("2.2.1/credentials", {"token": "their-secret-token"}).text,
            cpo.put(LOCATION, b"{").text,
            invited.post("2.2.1/credentials", {**listener.credentials(), "roles": []}).text,
        ]
        listener.reply("GET", "/ocpi/versions", status=500)
        texts.append(invited.post("2.2.1/credentials", listener.credentials()).text)

    for token in (stranger.token, cpo.token, invited.token, listener.token_for_us, "their-secret-token"):
        for text in (*texts, caplog.text):
            assert token not in text


# ---- what is sent


@pytest.mark.req("TRN-019", "TRN-035")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"no json", b'{"a": 1,}', b'{"a": NaN}', b'{"a": 1} {}', b'{"a": 1, "a": 2}', b"\xff\xfe{}",
     b'{"a": "\xc3\x28"}', b"[" * 100 + b"]" * 100, b'{"a": "\\u0000"}', b'{"a": 1e400}'],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_body_that_is_no_json_is_400(cpo: Person, method: str, body: bytes) -> None:
    assert cpo.request(method, LOCATION, body).codes == (400, 2000)


@pytest.mark.req("TRN-016", "TRN-018")
@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON;charset=UTF-8", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
    ],
)
def test_bodies_are_json_by_their_content_type(
    hub: Person, document: Document, content_type: str, accepted: bool
) -> None:
    answer = hub.put(CLIENT_INFO, document("client_info"), headers={"Content-Type": content_type})

    assert answer.codes == ((201, 1000) if accepted else (415, 2000))


@pytest.mark.req("TRN-018")
def test_a_byte_order_mark_before_the_body_means_nothing(cpo: Person, document: Document) -> None:
    assert cpo.put(LOCATION, b"\xef\xbb\xbf" + json.dumps(document("location")).encode()).codes == (201, 1000)
    assert cpo.get(LOCATION).data == document("location")


@pytest.mark.req("TRN-018")
def test_the_body_is_utf_8_whatever_the_charset_says(cpo: Person, document: Document) -> None:
    name = "Zürich – Bahnhofstraße"
    body = json.dumps(document("location", name=name), ensure_ascii=False).encode()

    cpo.put(LOCATION, body, headers={"Content-Type": "application/json; charset=latin-1"})

    assert cpo.get(LOCATION).data["name"] == name


@pytest.mark.req("SEC-46")
def test_a_compressed_body_is_refused(hub: Person, document: Document) -> None:
    body = gzip.compress(json.dumps(document("client_info")).encode())

    assert hub.put(CLIENT_INFO, body, headers={"Content-Encoding": "gzip"}).codes == (415, 2000)


@pytest.mark.req("TRN-017")
def test_a_request_without_a_body_needs_no_content_type(cpo: Person) -> None:
    response = Client().get("/ocpi/emsp/2.2.1/tokens", headers={"Authorization": cpo.authorization})

    assert response.status_code == 200


@pytest.mark.req("TRN-020")
def test_a_body_in_an_envelope_is_not_the_object(hub: Person, document: Document) -> None:
    wrapped = {"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z", "data": document("client_info")}

    assert hub.put(CLIENT_INFO, wrapped).codes == (200, 2001)
    assert not Party.objects.filter(through_hub=True).exists()
    assert hub.put(CLIENT_INFO, document("client_info")).codes == (201, 1000)


@pytest.mark.req("TRN-015", "TRN-021")
@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_is_not_there_is_405_and_names_those_that_are(cpo: Person, method: str) -> None:
    response = Client().generic(
        method, f"/ocpi/{LOCATION}", headers={"Authorization": cpo.authorization, "X-Request-ID": "me"}
    )

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "PUT", "PATCH"}
    assert response.headers["X-Request-ID"] == "me"


@pytest.mark.req("TRN-092", "TRN-093", "TRN-021")
@pytest.mark.parametrize(("chosen", "parties"), [("cpo", "NL*TNM:CPO"), ("emsp", "DE*EMS:EMSP")])
def test_only_tariffs_credentials_and_charging_profiles_can_be_deleted(
    chosen: str, parties: str, side: Side, cpo: Person
) -> None:
    side(chosen, parties=[parties])

    for path, view in routes(endpoints._tree((chosen,))):
        if not any(word in path for word in ("tariffs/", "credentials", "chargingprofiles/")):
            answer = cpo.delete(f"/ocpi{path}")
            assert answer.codes == (405, 2000), path
            assert "DELETE" not in answer.headers["Allow"]
        assert view.cls.module != "tariffs" or hasattr(view.cls, "delete") == (chosen == "emsp")


@pytest.mark.req("TRN-108")
def test_null_is_the_same_as_absent(cpo: Person, document: Document) -> None:
    body = {**document("location"), "name": None, "images": None}

    assert cpo.put(LOCATION, body).codes == (201, 1000)
    found = cpo.get(LOCATION).data
    assert found.get("name") is None
    assert cpo.put(LOCATION, {**body, "address": None}).codes == (200, 2001)


@pytest.mark.req("TRN-022", "PIT-13")
def test_a_slash_at_the_end_is_all_the_same(cpo: Person, hub: Person, document: Document) -> None:
    for path in ("versions", "2.2.1", "2.2.1/credentials", TOKENS):
        assert cpo.get(path).codes == cpo.get(path + "/").codes == (200, 1000)
    assert hub.put(CLIENT_INFO + "/", document("client_info")).codes == (201, 1000)


@pytest.mark.req("TRN-024", "PIT-17", "TRN-113")
@pytest.mark.parametrize(
    ("segment", "party_id"), [("T%2FM", "T/M"), ("T*M", "T*M"), ("T+M", "T+M"), ("T%2BM", "T+M"), ("%23NA", "#NA"),
                              ("A%20B", "A B"), ("%2541", "%41")],
)  # fmt: skip
def test_percent_encoded_ids_arrive_as_what_they_stand_for(
    hub: Person, document: Document, segment: str, party_id: str
) -> None:
    path = f"2.2.1/hubclientinfo/NL/{segment}"

    assert hub.put(path, document("client_info", party_id=party_id)).codes == (201, 1000)
    assert hub.get(path).data["party_id"] == party_id


@pytest.mark.req("TRN-040", "TRN-041", "TRN-035", "PIT-14")
@pytest.mark.parametrize(
    "path",
    ["/ocpi", "/ocpi/", "nothing", "2.2.1/nothing", "2.1.1", "emsp/2.2.1/locations/NL", TOKENS + "/a/b/c", "%FF",
     "versions/%00", "versions/2.2.1", "../versions", "cpo/2.2.1/locations", "versions/%0A",
     "emsp/2.2.1/tariffs/NL/TNM/%7B%7D", "emsp/2.2.1/cdrs/%7B%7D"],
)  # fmt: skip
def test_a_url_that_is_none_is_404_with_an_envelope(cpo: Person, stranger: Person, path: str) -> None:
    assert cpo.get(path).codes == (404, 2000)
    assert stranger.get(path).codes == (401, 2000)


# ---- ids and routing headers on every answer


@pytest.mark.req("TRN-056", "TRN-057", "TRN-058", "TRN-025", "PIT-22")
@pytest.mark.parametrize(
    ("method", "path", "body", "http_status"),
    [
        ("GET", "versions", None, 200),
        ("GET", "2.2.1/credentials", None, 200),
        ("GET", CLIENT_INFO, None, 404),
        ("GET", TOKENS, None, 200),
        ("PUT", LOCATION, {}, 200),
        ("PUT", LOCATION, b"{", 400),
        ("GET", "nothing", None, 404),
        ("DELETE", LOCATION, None, 405),
    ],
)
def test_both_ids_are_on_every_answer(cpo: Person, method: str, path: str, body: Any, http_status: int) -> None:
    answer = cpo.request(method, path, body, headers={"X-Request-ID": "my request", "X-Correlation-ID": "my story"})

    assert answer.http_status == http_status
    assert (answer.headers["X-Request-ID"], answer.headers["X-Correlation-ID"]) == ("my request", "my story")


@pytest.mark.req("TRN-060")
def test_ids_come_back_as_they_were_up_to_255_characters(cpo: Person) -> None:
    ids = {"X-Request-ID": "x" * 255, "X-Correlation-ID": 'not-a-uuid {"a": 1}'}
    assert cpo.get("versions", headers=ids).ok

    response = Client().get(
        "/ocpi/versions", headers={"Authorization": cpo.authorization, "X-Request-ID": "y" * 300 + "\x1b"}
    )
    assert response.headers["X-Request-ID"] == "y" * 255


@pytest.mark.req("TRN-061")
@pytest.mark.parametrize("missing", ["X-Request-ID", "X-Correlation-ID"])
def test_a_request_without_an_id_is_served_and_the_defect_counted(cpo: Person, missing: str) -> None:
    before = defects.count(cpo.id, f"TRN-061 {missing} missing")

    answer = cpo.get(TOKENS, headers={missing: None})

    assert answer.codes == (200, 1000)
    assert len(answer.headers[missing]) == 36
    assert defects.count(cpo.id, f"TRN-061 {missing} missing") == before + 1
    cpo.get(TOKENS)
    assert defects.count(cpo.id, f"TRN-061 {missing} missing") == before + 1


@pytest.mark.req("TRN-049", "TRN-058", "TRN-035", "TRN-014", "HUB-09")
def test_what_breaks_in_our_code_is_500_with_ids_and_routing_headers(
    cpo: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("internal detail")

    monkeypatch.setattr(authentication, "check_sender", broken)

    answer = cpo.get(TOKENS)

    assert answer.codes == (500, 3000)
    assert "internal detail" not in answer.text
    assert answer.headers["OCPI-to-party-id"] == "TNM"
    assert answer.headers["OCPI-from-party-id"] == "EMS"


@pytest.mark.req("HUB-08", "HUB-09")
@pytest.mark.parametrize(("method", "body", "http_status"), [("GET", None, 404), ("PUT", {}, 200), ("PUT", b"{", 400)])
def test_functional_answers_name_both_parties_errors_too(cpo: Person, method: str, body: Any, http_status: int) -> None:
    answer = cpo.request(method, LOCATION, body)

    assert answer.http_status == http_status
    assert {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("ocpi-")} == {
        "ocpi-to-country-code": "NL",
        "ocpi-to-party-id": "TNM",
        "ocpi-from-country-code": "DE",
        "ocpi-from-party-id": "EMS",
    }


# ---- codes


@pytest.mark.req("TRN-038", "TRN-039", "PIT-19", "PIT-20")
def test_a_valid_request_never_gets_an_http_error_for_what_it_says(cpo: Person, document: Document) -> None:
    for changes in ({"id": None}, {"id": "OTHER"}, {"country": "N"}, {"publish": "yes"}, {"coordinates": None}):
        assert cpo.put(LOCATION, document("location", **changes)).codes == (200, 2001), changes
    assert cpo.put(LOCATION, document("location")).codes == (201, 1000)


@pytest.mark.req("TRN-047")
def test_an_id_that_differs_from_the_url_is_2001(cpo: Person, document: Document) -> None:
    answer = cpo.put(LOCATION, document("location", id="ANOTHER"))

    assert answer.codes == (200, 2001)
    assert "id" in answer.message
    assert cpo.get(LOCATION).http_status == 404


@pytest.mark.req("TRN-053", "HUB-10")
def test_neither_cpo_nor_emsp_speaks_as_a_hub(cpo: Person) -> None:
    unknown_to = cpo.get(TOKENS, to="XX*XXX")
    foreign_from = cpo.get(TOKENS, sender="XX*XXX")

    assert unknown_to.codes == (200, 2001)
    assert foreign_from.codes == (200, 2001)


@pytest.mark.req("TRN-045", "TRN-046", "SEC-35", "SEC-39")
def test_a_foreign_owner_and_a_missing_object_look_the_same(
    cpo: Person, second_cpo: Person, document: Document
) -> None:
    cpo.put(LOCATION, document("location"))

    foreign = second_cpo.get(LOCATION)
    missing = second_cpo.get("emsp/2.2.1/locations/FR/CPX/NONE")
    pushed = second_cpo.put(LOCATION, document("location"))

    assert foreign.codes[0] == missing.codes[0] == 404
    assert pushed.http_status == 404
    assert cpo.get(LOCATION).data == document("location")


# ---- set-up


@pytest.mark.req("TRN-001")
def test_a_public_instance_without_https_is_refused(settings: Any) -> None:
    settings.OCPI_BASE_URL = "http://ocpi.example.com"
    assert "ocpi.E010" in {found.id for found in checks.deployment(None)}

    settings.OCPI_BASE_URL = "https://ocpi.example.com"
    assert "ocpi.E010" not in {found.id for found in checks.deployment(None)}
