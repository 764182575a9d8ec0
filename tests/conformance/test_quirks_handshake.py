"""What real partners do wrong when we meet them: how their versions and endpoints are found all the same."""

from __future__ import annotations

from typing import Any

import pytest

from ocpi import secrets
from ocpi.models import Endpoint
from ocpi.modules.initiation import HandshakeFailed, register_with
from tests.conformance.handshakes import registered
from tests.deviations import counted
from tests.people import Person
from tests.platforms import Listener, Received, Reply

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
