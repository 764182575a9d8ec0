"""Partners with clients of their own meet a running hub: what must come back unchanged, what must not happen."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from ocpi import secrets
from tests import raw_http
from tests.answers import Asked, assert_documented
from tests.platforms import ALL_MODULES, Instance, Listener, eventually, run_instance

HUB = ("NL", "HUB")
MOMENT = "2026-01-31T08:00:00Z"
DAY = "2026-02-01T00:00:00Z"


class Partner:
    """One party: a web server that records what it gets, and a plain HTTP client."""

    def __init__(self, hub: Instance, role: str, *, endpoints: Iterable[tuple[str, str]] = ALL_MODULES) -> None:
        self.listener = Listener([role], endpoints=endpoints)
        self.listener.up()
        country_code, _, rest = role.partition("*")
        self.address = (country_code, rest.partition(":")[0])
        self.token = hub.manage("invite_platform", "--name", role, "--party", role)["token_a"]
        versions = self.call("GET", hub.versions_url).json()["data"]
        details = self.call("GET", versions[0]["url"]).json()["data"]
        self.endpoints = {(entry["identifier"], entry["role"]): entry["url"] for entry in details["endpoints"]}
        self.credentials = next(url for (name, _), url in self.endpoints.items() if name == "credentials")
        self.token = self.call("POST", self.credentials, self.listener.credentials()).json()["data"]["token"]

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        to: tuple[str, str] | None = None,
        sender: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request; `body` is sent as it is if it is bytes. Every answer has both ids and an envelope."""
        sent = {
            "Authorization": secrets.authorization(self.token, base64_token=True),
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
        }
        if to:
            sent["OCPI-to-country-code"], sent["OCPI-to-party-id"] = to
            sent["OCPI-from-country-code"], sent["OCPI-from-party-id"] = sender or self.address
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent.update(headers or {})
        answer = requests.request(method, url, data=data, headers=sent, timeout=40, allow_redirects=False)
        assert answer.headers["X-Request-ID"] == sent["X-Request-ID"]
        assert answer.headers["X-Correlation-ID"] == sent["X-Correlation-ID"]
        asked = Asked(method, urlsplit(url).path, ("hub",))
        assert_documented(asked, http_status=answer.status_code, headers=answer.headers, body=answer.content)
        return answer

    def at(self, module: str, role: str, tail: str = "") -> str:
        return f"{self.endpoints[(module, role)]}{tail}"


@pytest.fixture(scope="module")
def hub() -> Iterator[Instance]:
    with run_instance(
        "hub", parties=["NL*HUB:HUB"], worker=True, settings={"OCPI_RATE_PER_PLATFORM": "off"}
    ) as running:
        yield running


@pytest.fixture(scope="module")
def partners(hub: Instance) -> Iterator[tuple[Partner, Partner]]:
    cpo, emsp = Partner(hub, "NL*OUT:CPO"), Partner(hub, "DE*OUT:EMSP")
    yield cpo, emsp
    cpo.listener.down()
    emsp.listener.down()


@pytest.fixture
def cpo(partners: tuple[Partner, Partner]) -> Iterator[Partner]:
    yield partners[0]
    partners[0].listener.restore()


@pytest.fixture
def emsp(partners: tuple[Partner, Partner]) -> Iterator[Partner]:
    yield partners[1]
    partners[1].listener.restore()


def location(identity: str, **changes: Any) -> dict[str, Any]:
    connector = {
        "id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
        "max_voltage": 230, "max_amperage": 16, "last_updated": MOMENT,
    }  # fmt: skip
    evse = {"uid": "E1", "status": "AVAILABLE", "connectors": [connector], "last_updated": MOMENT}
    return {
        "country_code": "NL", "party_id": "OUT", "id": identity, "publish": True, "address": "Kade 1",
        "city": "Utrecht", "country": "NLD", "coordinates": {"latitude": "52.08910", "longitude": "5.11020"},
        "time_zone": "Europe/Amsterdam", "evses": [evse], **changes, "last_updated": MOMENT,
    }  # fmt: skip


def token(uid: str, kind: str = "RFID") -> dict[str, Any]:
    return {
        "country_code": "DE", "party_id": "OUT", "uid": uid, "type": kind, "contract_id": "DE-OUT-C1",
        "issuer": "Out", "valid": True, "whitelist": "NEVER", "last_updated": MOMENT,
    }  # fmt: skip


# ---------------------------------------------------------------- what the hub keeps


@pytest.mark.req("TRN-019", "TRN-039", "TRN-052", "TRN-085", "TRN-044", "TRN-046", "TRN-048", "TRN-021", "HUB-32")
def test_nothing_of_a_refused_push_is_kept_or_passed_on(cpo: Partner, emsp: Partner) -> None:
    url, whole = cpo.at("locations", "RECEIVER", "/NL/OUT/REFUSED"), location("REFUSED")
    nested = json.loads(json.dumps(whole))
    del nested["evses"][0]["connectors"][0]["standard"]
    without_city = {name: value for name, value in whole.items() if name != "city"}

    def codes(method: str, body: Any, where: str = url, **more: Any) -> tuple[int, int, str]:
        answer = cpo.call(method, where, body, to=HUB, **more)
        return answer.status_code, answer.json()["status_code"], answer.json()["status_message"]

    assert codes("PUT", b"{nope")[:2] == (400, 2000)
    for broken, field in ((without_city, "city"), (nested, "evses[0].connectors[0].standard")):
        http, code, message = codes("PUT", broken)
        assert (http, code) == (200, 2001)
        assert field in message
    assert codes("PATCH", {"city": "X", "last_updated": MOMENT})[:2] == (404, 2003)
    assert codes("PUT", whole | {"party_id": "XXX"})[:2] == (200, 2001)
    assert codes("PUT", whole, sender=("NL", "XXX"))[:2] == (200, 2001)
    assert codes("PUT", whole, headers={"OCPI-from-party-id": ""})[:2] == (200, 2001)
    assert codes("PUT", whole, where=cpo.at("locations", "RECEIVER", "/NL/XXX/REFUSED"))[:2] == (404, 2003)
    assert codes("DELETE", None)[:2] == (405, 2000)
    listed = emsp.call("GET", emsp.at("locations", "SENDER"), to=HUB).json()["data"]
    assert "REFUSED" not in [each["id"] for each in listed]
    assert codes("PUT", whole)[:2] == (201, 1000)
    http, code, message = codes("PATCH", {"city": "Delft"})
    assert (http, code) == (200, 2001)
    assert "last_updated" in message
    assert codes("PATCH", {"city": None, "last_updated": MOMENT})[:2] == (200, 2001)
    assert codes("PATCH", {"city": "Delft", "last_updated": "2020-01-01T00:00:00Z"})[:2] == (200, 2001)
    assert emsp.listener.wait_for(1, "PUT", "/ocpi/2.2.1/receiver/locations/NL/OUT/REFUSED")[0].json == whole
    assert not emsp.listener.received("PATCH", "/ocpi/2.2.1/receiver/locations/NL/OUT/REFUSED")


@pytest.mark.req("HUB-20", "HUB-21", "TRN-114", "HUB-33", "HUB-43", "TRN-024", "HUB-31", "TRN-110")
def test_numbers_escapes_and_unknown_members_survive_broadcast_and_get_all(cpo: Partner, emsp: Partner) -> None:
    text = json.dumps(location("A/1 #%", x_more=[])).replace(
        '"x_more": []', r'"x_more": {"n": 1.50000, "e": 1E+2, "u": "\u00e9\/", "b": 12345678901234567890.123456789}'
    )
    url = cpo.at("locations", "RECEIVER", "/NL/OUT/A%2F1%20%23%25")

    answer = cpo.call("PUT", url, text.encode(), to=HUB)

    assert (answer.status_code, answer.headers["OCPI-from-party-id"], answer.headers["OCPI-to-party-id"]) == (
        201, "HUB", "OUT",
    )  # fmt: skip
    (got,) = emsp.listener.wait_for(1, "PUT", "/ocpi/2.2.1/receiver/locations/NL/OUT/A%2F1%20%23%25")
    listed = emsp.call("GET", emsp.at("locations", "SENDER"), to=HUB)
    for seen in (got.body.decode(), listed.text):
        for kept in ("1.50000", "1E+2", r"\u00e9\/", "12345678901234567890.123456789"):
            assert kept in seen
    assert got.json == json.loads(text)
    assert got.headers["x-correlation-id"] == answer.headers["X-Correlation-ID"]
    assert got.headers["x-request-id"] != answer.headers["X-Request-ID"]
    assert (got.headers["ocpi-from-party-id"], got.headers["ocpi-to-party-id"]) == ("HUB", "OUT")
    assert got.token == emsp.listener.token_for_us


@pytest.mark.req("TRN-070", "TRN-071", "TRN-072", "TRN-073", "TRN-075", "TRN-079", "HUB-60", "TRN-069")
def test_a_crawl_sees_every_object_once_and_odd_pages_are_refused(cpo: Partner, emsp: Partner) -> None:
    with ThreadPoolExecutor(20) as crowd:
        pushes = [
            crowd.submit(cpo.call, "PUT", cpo.at("locations", "RECEIVER", f"/NL/OUT/P{n}"), location(f"P{n}"), to=HUB)
            for n in range(40)
        ]
        assert {push.result().status_code for push in pushes} == {201}
    everything = emsp.at("locations", "SENDER")
    url, seen, total = everything + "?limit=7", [], ""
    while url:
        page = emsp.call("GET", url, to=HUB)
        seen += [each["id"] for each in page.json()["data"]]
        total = page.headers["X-Total-Count"]
        assert page.headers["X-Limit"] == "7"
        url = page.headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert len(seen) == len(set(seen)) == int(total) >= 40
    for query in ("limit=0", "limit=-1", "limit=x", "offset=-1", "date_from=yesterday",
                  f"date_from={DAY}&date_to={MOMENT}"):  # fmt: skip
        answer = emsp.call("GET", f"{everything}?{query}", to=HUB)
        assert (answer.status_code, answer.json()["status_code"]) == (200, 2001), query
    beyond = emsp.call("GET", f"{everything}?offset=999999&limit=1000000000", to=HUB)
    assert beyond.json()["data"] == []
    assert (beyond.headers["X-Total-Count"], "Link" in beyond.headers) == (total, False)
    assert int(beyond.headers["X-Limit"]) < 1_000_000


@pytest.mark.req("HUB-44", "LOC-10", "LOC-32")
def test_twenty_status_changes_arrive_in_order_and_end_with_the_last(cpo: Partner, emsp: Partner) -> None:
    cpo.call("PUT", cpo.at("locations", "RECEIVER", "/NL/OUT/ORDER"), location("ORDER"), to=HUB)
    moments = [f"2026-02-01T00:00:{second:02}Z" for second in range(20)]
    for moment in moments:
        change = {"status": "CHARGING", "last_updated": moment}
        answer = cpo.call("PATCH", cpo.at("locations", "RECEIVER", "/NL/OUT/ORDER/E1"), change, to=HUB)
        assert answer.json()["status_code"] == 1000

    path = "/ocpi/2.2.1/receiver/locations/NL/OUT/ORDER"
    emsp.listener.reply("GET", path)

    def arrived() -> list[str]:
        return [each.json["last_updated"] for each in emsp.listener.received(path=path) if each.method != "GET"]

    for _ in range(200):
        if arrived()[-1:] == moments[-1:]:
            break
        emsp.listener.wait_for(len(arrived()) + 1, path=path)
    assert arrived() == sorted(arrived())
    assert arrived()[-1] == moments[-1]


# ---------------------------------------------------------------- what the hub passes on

SESSION = {
    "country_code": "NL", "party_id": "OUT", "id": "S1", "start_date_time": MOMENT, "kwh": 1.50,
    "cdr_token": {"country_code": "DE", "party_id": "OUT", "uid": "T", "type": "RFID", "contract_id": "C"},
    "auth_method": "WHITELIST", "location_id": "L", "evse_uid": "E", "connector_id": "1", "currency": "EUR",
    "status": "ACTIVE", "last_updated": MOMENT,
}  # fmt: skip
SESSIONS = "/ocpi/2.2.1/receiver/sessions"


@pytest.mark.req("HUB-12", "HUB-13", "HUB-17", "HUB-18", "HUB-19", "HUB-21", "HUB-22", "HUB-23", "TRN-054", "HUB-16")
def test_a_direct_request_and_any_answer_pass_byte_for_byte(cpo: Partner, emsp: Partner) -> None:
    body = b'{ "kwh":1.50 , "x":"\\u00e9" }'
    for http, code in ((200, 2003), (404, 2004), (500, 3000), (201, 1000), (200, 3001), (409, 1999)):
        raw = f'{{"status_code":{code},  "timestamp":"2020-01-01T00:00:00Z","zz":1.0,"data":{{"a":1.10}}}}'.encode()
        emsp.listener.reply("PUT", SESSIONS, status=http, raw=raw)
        answer = cpo.call("PUT", cpo.at("sessions", "RECEIVER", "/NL/OUT/S1"), body, to=emsp.address)
        assert (answer.status_code, answer.content) == (http, raw)
        got = emsp.listener.received("PUT", SESSIONS)[-1]
        assert got.body == body
        assert got.headers["x-correlation-id"] == answer.headers["X-Correlation-ID"]
        assert got.headers["x-request-id"] != answer.headers["X-Request-ID"]
        assert got.token == emsp.listener.token_for_us
        assert (got.headers["ocpi-from-country-code"], got.headers["ocpi-to-country-code"]) == ("NL", "DE")


@pytest.mark.req("HUB-64", "HUB-67", "HUB-66", "HUB-68", "HUB-26", "HUB-40", "HUB-55", "HUB-29", "REL-25")
def test_the_hub_says_what_went_wrong_with_its_own_codes(hub: Instance, cpo: Partner, emsp: Partner) -> None:
    url = cpo.at("sessions", "RECEIVER", "/NL/OUT/S1")

    def code(to: tuple[str, str]) -> int:
        holder = dict(zip(("country_code", "party_id"), to, strict=True))
        told = SESSION | {"cdr_token": SESSION["cdr_token"] | holder}  # type: ignore[operator]
        answer = cpo.call("PUT", url, told, to=to)
        assert answer.status_code == 200
        assert "data" not in answer.json()
        assert (answer.headers["OCPI-from-party-id"], answer.headers["OCPI-to-party-id"]) == ("HUB", "OUT")
        return int(answer.json()["status_code"])

    assert code(("XX", "XXX")) == 4001
    assert code(HUB) == 2001
    emsp.listener.reply("PUT", SESSIONS, status=502, raw=b"<html>")
    assert code(emsp.address) == 4000
    emsp.listener.reply("PUT", SESSIONS, status=302, raw=b"", headers={"Location": emsp.listener.url})
    assert code(emsp.address) == 4000
    emsp.listener.reply("*", "/", status=401, code=2000)
    assert code(emsp.address) == 4003
    emsp.listener.restore()
    (lane,) = hub.manage("deliveries", "lanes", "--platform", "DE*OUT:EMSP")
    assert lane["breaker"] == "paused"
    asked = len(emsp.listener.received("PUT", SESSIONS))
    assert code(emsp.address) == 4003
    assert len(emsp.listener.received("PUT", SESSIONS)) == asked, "who refuses our token is left alone (REL-25)"
    hub.manage("deliveries", "reopen", "--platform", "DE*OUT:EMSP")
    eventually(lambda: cpo.call("PUT", url, SESSION, to=emsp.address).json()["status_code"] == 1000)
    command = emsp.call("POST", emsp.at("commands", "RECEIVER", "/START_SESSION"), {}, to=HUB)
    assert command.json()["status_code"] == 4001
    assert emsp.call("GET", emsp.at("locations", "RECEIVER", "/NL/OUT/P1"), to=HUB).json()["status_code"] == 2001
    gone = Partner(hub, "BE*OUG:EMSP")
    gone.listener.down()
    assert code(gone.address) == 4003


@pytest.mark.req("HUB-72", "HUB-73", "CMD-02", "SEC-41")
def test_a_response_url_is_hidden_and_only_its_target_may_use_it(cpo: Partner, emsp: Partner) -> None:
    original = f"{emsp.listener.url}/results/42?x=1"
    command = {"response_url": original, "token": token("T"), "location_id": "L", "x": 1}
    cpo.listener.reply("POST", "/ocpi/2.2.1/receiver/commands", data={"result": "ACCEPTED", "timeout": 30})

    emsp.call("POST", emsp.at("commands", "RECEIVER", "/START_SESSION"), command, to=cpo.address)

    got = cpo.listener.received("POST", "/ocpi/2.2.1/receiver/commands")[-1].json
    hidden = got["response_url"]
    assert got == command | {"response_url": hidden}
    assert hidden != original
    assert emsp.call("POST", hidden, {"result": "ACCEPTED"}, to=emsp.address).status_code == 404
    assert cpo.call("GET", hidden, to=emsp.address).status_code == 405
    answer = cpo.call("POST", hidden, b'{"result": "ACCEPTED","x":1.0}', to=emsp.address)
    assert answer.json()["status_code"] == 1000
    (result,) = emsp.listener.received("POST", "/results/42")
    assert (result.body, result.query) == (b'{"result": "ACCEPTED","x":1.0}', "x=1")
    assert result.token == emsp.listener.token_for_us
    assert result.headers["x-correlation-id"] == answer.headers["X-Correlation-ID"]


@pytest.mark.req("HUB-72")
def test_a_response_url_is_hidden_however_its_name_is_spelled(cpo: Partner, emsp: Partner) -> None:
    body = json.dumps({"response_url": f"{emsp.listener.url}/r", "token": token("T"), "location_id": "L"})
    spelled = body.replace("response_url", r"response\u005furl").encode()

    emsp.call("POST", emsp.at("commands", "RECEIVER", "/START_SESSION"), spelled, to=cpo.address)

    got = cpo.listener.received("POST", "/ocpi/2.2.1/receiver/commands")[-1]
    assert not got.json["response_url"].startswith(emsp.listener.url)


@pytest.mark.req("TOK-02", "HUB-21")
def test_an_authorization_without_a_body_reaches_the_emsp(cpo: Partner, emsp: Partner) -> None:
    answer = cpo.call("POST", cpo.at("tokens", "SENDER", "/T/authorize?type=RFID"), to=emsp.address)

    assert (answer.status_code, answer.json()["status_code"]) == (200, 1000)
    (got,) = emsp.listener.received("POST", "/ocpi/2.2.1/sender/tokens/T/authorize")
    assert (got.body, got.query) == (b"", "type=RFID")


@pytest.mark.req("TOK-08", "TOK-07")
def test_a_token_broadcast_goes_out_under_its_own_type(cpo: Partner, emsp: Partner) -> None:
    url = emsp.at("tokens", "RECEIVER", "/DE/OUT/APP1")

    assert emsp.call("PUT", f"{url}?type=OTHER", token("APP1"), to=HUB).json()["status_code"] == 2001
    assert emsp.call("PUT", url, token("APP1", "APP_USER"), to=HUB).status_code == 201

    (got,) = cpo.listener.wait_for(1, "PUT", "/ocpi/2.2.1/receiver/tokens/DE/OUT/APP1")
    assert got.query == "type=APP_USER"


@pytest.mark.req("HUB-74", "HUB-22", "CDR-07")
def test_an_odd_location_header_does_not_turn_a_stored_cdr_into_a_refusal(cpo: Partner, emsp: Partner) -> None:
    for odd in ("not a url", "ftp://x/y", "/cdrs/1"):
        emsp.listener.reply("POST", "/ocpi/2.2.1/receiver/cdrs", status=201, headers={"Location": odd})
        answer = cpo.call("POST", cpo.at("cdrs", "RECEIVER"), {"id": "C1"}, to=emsp.address)
        assert (answer.status_code, answer.json()["status_code"]) == (201, 1000), odd


# ---------------------------------------------------------------- HTTP itself


@pytest.mark.req("TRN-019", "TRN-038")
def test_a_chunked_body_is_a_body(hub: Instance, cpo: Partner) -> None:
    pieces = iter([json.dumps(location("CHUNKED")).encode()[:100], json.dumps(location("CHUNKED")).encode()[100:]])
    headers = {
        "Authorization": secrets.authorization(cpo.token, base64_token=True), "Content-Type": "application/json",
        "OCPI-to-country-code": "NL", "OCPI-to-party-id": "HUB",
        "OCPI-from-country-code": "NL", "OCPI-from-party-id": "OUT",
    }  # fmt: skip
    answer = requests.put(cpo.at("locations", "RECEIVER", "/NL/OUT/CHUNKED"), data=pieces, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["status_code"]) == (201, 1000)


@pytest.mark.req("TRN-008", "TRN-035", "TRN-011")
def test_a_connection_stays_usable_after_every_error(hub: Instance, cpo: Partner) -> None:
    body = json.dumps(location("K")).encode()
    right = secrets.authorization(cpo.token, base64_token=True)
    to, sender = (
        "ocpi-TO-country-code: NL\r\nocpi-to-party-id: HUB",
        "OCPI-FROM-COUNTRY-CODE: NL\r\nocpi-from-party-id: OUT",
    )
    routing = f"{to}\r\n{sender}"
    path = cpo.at("locations", "RECEIVER", "/NL/OUT/K").partition("127.0.0.1:")[2].partition("/")[2]
    address = hub.url.rpartition("/")[2].split(":")

    def request(method: str, url: str, auth: str, kind: str, data: bytes) -> bytes:
        head = f"{method} /{url} HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\n{routing}\r\nX-Request-ID: {method}-1"
        return f"{head}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data

    tries = [
        (401, request("PUT", path, "Token eA==", "application/json", body)),
        (404, request("PUT", "ocpi/nothing", right, "application/json", body)),
        (415, request("PUT", path, right, "text/plain", body)),
        (400, request("PUT", path, right, "application/json", b"{x}")),
        (405, request("DELETE", path, right, "application/json", body)),
        (201, request("PUT", path, right, "application/json", body)),
    ]
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
        stream = connection.makefile("rb")
        for wanted, octets in tries:
            connection.sendall(octets)
            assert stream.readline().split()[1] == str(wanted).encode()
            length = 0
            while (line := stream.readline().strip().lower()) != b"":
                length = int(line.partition(b":")[2]) if line.startswith(b"content-length") else length
            assert json.loads(stream.read(length))["status_code"] in (1000, 2000)


@pytest.mark.req("SEC-45")
def test_too_many_and_too_long_headers(hub: Instance) -> None:
    assert raw_http.edges(hub.versions_url) == [401, 431, 431]
    assert raw_http.refusals(hub.versions_url) == [(400, 2000)] * 3
