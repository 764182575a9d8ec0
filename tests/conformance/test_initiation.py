"""Credentials with us as the Sender: we register with a partner, which is a listener."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from ocpi import hosts, secrets, snapshot
from ocpi.enums import Role
from ocpi.models import CredentialsToken, Endpoint, Party, Platform, RequestedHost
from ocpi.modules import initiation, registration
from ocpi.modules.initiation import HandshakeFailed, OutcomeUnknown, register_with, update_at
from tests.fixtures import Partner, Side
from tests.people import Person, at
from tests.platforms import Listener, Received, Reply, credentials_role

pytestmark = [pytest.mark.usefixtures("hub_side"), pytest.mark.django_db]

LOCATIONS = "hub/2.2.1/sender/locations"
TOKEN_A = "their-token-A-for-us"
POST = ("POST", "/ocpi/2.2.1/credentials")
PUT = ("PUT", "/ocpi/2.2.1/credentials")


def register(listener: Listener, **changes: Any) -> Platform:
    wanted = {"name": "Elbe", "versions_url": listener.versions_url, "token_a": TOKEN_A, "any_role": True}
    return register_with(**{**wanted, **changes})


def used_token(platform_id: int) -> str:
    return snapshot.current().platforms[platform_id].target().token


def purposes() -> list[str]:
    return [token.purpose for token in CredentialsToken.objects.order_by("id")]


@pytest.fixture
def member(partner: Partner, listener: Listener) -> Person:
    """A registered platform that listens."""
    return partner("DE*EMS:EMSP", listener=listener)


# ---- registering


@pytest.mark.req("CRED-24", "CRED-26", "CRED-45", "CRED-46", "CRED-47", "CRED-55", "CRED-06", "PIT-03")
def test_the_steps_of_a_registration_are_made_in_order(listener: Listener) -> None:
    platform = register(listener)

    assert [(request.method, request.path, request.token) for request in listener.requests] == [
        ("GET", "/ocpi/versions", TOKEN_A),
        ("GET", "/ocpi/2.2.1", TOKEN_A),
        ("POST", "/ocpi/2.2.1/credentials", TOKEN_A),
    ]
    ours = listener.requests[2].json
    assert ours["url"] == "http://127.0.0.1:8000/ocpi/versions"
    assert [(role["party_id"], role["role"]) for role in ours["roles"]] == [("HUB", "HUB")]
    assert ours["token"] != TOKEN_A
    assert (platform.state, platform.version, platform.connection) == ("REGISTERED", "2.2.1", "CONNECTED")
    assert used_token(platform.pk) == listener.token_for_us
    assert Endpoint.objects.filter(platform=platform).count() == 15
    assert [str(party) for party in Party.objects.filter(approved=True)] == ["DE*EMS:EMSP"]
    assert Person(token=ours["token"], parties=(at("DE*EMS"),)).get(LOCATIONS).codes == (200, 1000)


@pytest.mark.req("TRN-003", "TRN-004", "TRN-055", "TRN-057", "TRN-059", "CRED-59", "TRN-016", "TRN-015", "TRN-020")
def test_our_requests_carry_what_every_request_carries(listener: Listener) -> None:
    register(listener)

    assert len({request.headers["x-request-id"] for request in listener.requests}) == 3
    assert len({request.headers["x-correlation-id"] for request in listener.requests}) == 1
    for request in listener.requests:
        assert request.headers["authorization"] == secrets.authorization(TOKEN_A, base64_token=True)
        assert len(request.headers["x-request-id"]) == 36
        assert not [name for name in request.headers if name.startswith("ocpi-")]
    assert listener.requests[2].headers["content-type"] == "application/json"
    assert set(listener.requests[2].json) == {"token", "url", "roles"}


@pytest.mark.req("CRED-25", "PIT-09")
@pytest.mark.django_db(transaction=True)
def test_token_b_opens_our_versions_while_the_post_is_open_and_all_the_rest_afterwards(
    listener: Listener, live_server: LiveServer, side: Side
) -> None:
    side("hub", parties=["NL*HUB:HUB"], base_url=live_server.url)
    seen: list[int] = []

    def call(path: str, token: str) -> int:
        headers = {"Authorization": secrets.authorization(token, base64_token=True), "OCPI-from-country-code": "DE",
                   "OCPI-from-party-id": "EMS", "OCPI-to-country-code": "NL", "OCPI-to-party-id": "HUB"}  # fmt: skip
        return requests.get(f"{live_server.url}/ocpi/{path}", headers=headers, timeout=5).status_code

    def call_back(request: Received) -> Reply:
        token_b = request.json["token"]
        seen.extend(call(path, token_b) for path in ("versions", "2.2.1", LOCATIONS, "2.2.1/credentials"))
        return Reply(data=listener.credentials())

    listener.reply(*POST, using=call_back)

    register(listener)

    assert seen == [200, 200, 401, 401]
    token_b = listener.received("POST")[0].json["token"]
    assert call(LOCATIONS, token_b) == 200


@pytest.mark.req("SEC-05", "SEC-08", "CRED-26")
def test_what_let_a_platform_in_earlier_does_not_come_back_to_life(partner: Partner, listener: Listener) -> None:
    before = partner("DE*EMS:EMSP", name="Elbe", listener=listener)
    registration.unregister(platform_id=before.id)
    token_a = initiation.invite(name="Elbe", any_role=True).token_a

    register(listener)

    assert purposes() == ["CURRENT"]
    for token in (before.token, token_a):
        assert Person(token=token, parties=before.parties).get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("CRED-24", "VER-17", "CRED-13")
def test_the_latest_version_that_both_speak_is_taken(listener: Listener) -> None:
    urls = {"2.1.1": "/old", "2.2.1": "/ocpi/2.2.1", "3.0": "/new"}
    listener.reply(
        "GET", "/ocpi/versions", data=[{"version": v, "url": listener.url + path} for v, path in urls.items()]
    )

    assert register(listener).version == "2.2.1"


@pytest.mark.req("CRED-27")
@pytest.mark.parametrize("kept", [set(), {"locations"}, {"credentials"}], ids=str)
def test_nothing_is_posted_where_expected_endpoints_are_missing(
    listener: Listener, kept: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    details = listener.version_details()
    details["endpoints"] = [entry for entry in details["endpoints"] if entry["identifier"] in kept]
    listener.reply("GET", "/ocpi/2.2.1", data=details)

    with caplog.at_level(logging.ERROR), pytest.raises(HandshakeFailed):
        register(listener)

    assert listener.received("POST") == []
    assert "stopped before the POST" in caplog.text
    assert purposes() == []


@pytest.mark.req("CRED-28", "SEC-04")
@pytest.mark.parametrize(
    "reply",
    [
        {"status": 500, "code": 3000},
        {"status": 405, "code": 2000},
        {"code": 2001},
        {"code": 3001},
        {"data": "no credentials"},
        {"data": {"token": "half"}},
        {},
    ],
    ids=str,
)
def test_after_a_refused_post_token_b_is_gone_and_token_a_is_kept(listener: Listener, reply: dict[str, Any]) -> None:
    listener.reply(*POST, **reply)

    with pytest.raises(HandshakeFailed) as failure:
        register(listener)

    platform = Platform.objects.get()
    token_b = listener.received("POST")[0].json["token"]
    assert not isinstance(failure.value, OutcomeUnknown)
    assert platform.state == "INVITED"
    assert platform.handshake_until is None
    assert used_token(platform.pk) == TOKEN_A
    assert Person(token=token_b).get("versions").codes == (401, 2000)
    listener.restore()
    assert register(listener).state == "REGISTERED"


@pytest.mark.req("CRED-29")
def test_after_an_unanswered_post_token_b_stays_for_ten_minutes(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener.reply(*POST, close=True)

    with pytest.raises(OutcomeUnknown):
        register(listener)

    with_b = Person(token=listener.received("POST")[0].json["token"], parties=(at("DE*EMS"),))
    assert with_b.get("versions").codes == (200, 1000)
    assert "unanswered" in Platform.objects.get().last_error
    with caplog.at_level(logging.WARNING, "ocpi.authentication"):
        assert with_b.get(LOCATIONS).codes == (401, 2000)
    assert "considers us registered" in caplog.text
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1)):
        assert with_b.get("versions").codes == (401, 2000)


@pytest.mark.req("CRED-28")
def test_an_unreachable_partner_leaves_no_token_behind(listener: Listener) -> None:
    listener.down()

    with pytest.raises(HandshakeFailed):
        register(listener)

    assert purposes() == []


@pytest.mark.req("TRN-007", "SEC-06", "PIT-03")
def test_a_partner_that_sends_our_own_token_back_is_not_registered(listener: Listener) -> None:
    listener.reply(*POST, using=lambda request: Reply(data=listener.credentials(request.json["token"])))

    with pytest.raises(HandshakeFailed, match="token"):
        register(listener)

    assert Platform.objects.get().state == "INVITED"


@pytest.mark.req("TRN-007", "SEC-06")
@pytest.mark.parametrize("whose", ["ours", "another's"])
def test_a_token_a_that_is_somebody_s_is_not_sent_anywhere(listener: Listener, partner: Partner, whose: str) -> None:
    other = partner("NL*TNM:CPO")

    with pytest.raises(HandshakeFailed, match="in use"):
        register(listener, token_a=other.token if whose == "ours" else other.token_out)

    assert listener.requests == []
    assert not Platform.objects.filter(name="Elbe").exists()


@pytest.mark.req("SEC-06")
def test_a_token_a_of_an_attempt_that_failed_may_be_used_under_another_name(listener: Listener) -> None:
    listener.reply(*POST, status=500)
    with pytest.raises(HandshakeFailed):
        register(listener, name="Wrong")
    listener.restore()

    assert register(listener).state == "REGISTERED"


@pytest.mark.req("TRN-013", "SEC-21")
def test_a_versions_url_elsewhere_in_the_answer_is_not_taken(listener: Listener) -> None:
    listener.reply(*POST, data={**listener.credentials(), "url": "http://127.0.0.2:9999/ocpi/versions"})

    platform = register(listener)

    assert platform.versions_url == listener.versions_url
    hosts.flush()
    assert [row.host for row in RequestedHost.objects.filter(platform=platform)] == ["127.0.0.2:9999"]


@pytest.mark.req("TRN-002")
def test_we_register_with_https_urls_only(listener: Listener, settings: Settings) -> None:
    settings.OCPI_TLS_REQUIRED = True

    with pytest.raises(HandshakeFailed, match="https"):
        register(listener)

    assert listener.requests == []


@pytest.mark.req("VER-15")
def test_versions_urls_per_role_are_separate_connections(listener: Listener) -> None:
    for role, name in (("CPO", "cpo"), ("EMSP", "emsp")):
        root = f"/ocpi/{name}"
        url = f"{listener.url}{root}"
        listener.reply("GET", f"{root}/versions", data=[{"version": "2.2.1", "url": f"{url}/2.2.1"}])
        entries = [("credentials", "SENDER", f"{url}/credentials"), ("locations", "SENDER", f"{url}/locations")]
        details = [{"identifier": i, "role": r, "url": u} for i, r, u in entries]
        listener.reply("GET", f"{root}/2.2.1", data={"version": "2.2.1", "endpoints": details})
        theirs = {"token": f"token-C-of-the-{name}-side", "url": f"{url}/versions",
                  "roles": [credentials_role(f"DE*EMS:{role}")]}  # fmt: skip
        listener.reply("POST", f"{root}/credentials", data=theirs)

    for name in ("cpo", "emsp"):
        register(listener, name=name, versions_url=f"{listener.url}/ocpi/{name}/versions")

    found = snapshot.current().platforms.values()
    assert {platform.endpoints[("credentials", "SENDER")] for platform in found} == {
        f"{listener.url}/ocpi/cpo/credentials",
        f"{listener.url}/ocpi/emsp/credentials",
    }
    assert {party.role for platform in found for party in platform.parties if party.active} == {"CPO", "EMSP"}


@pytest.mark.req("CRED-56")
def test_only_approved_roles_of_the_answer_are_activated(listener: Listener) -> None:
    listener.roles = ["DE*EMS:EMSP", "DE*EMS:CPO"]

    register(listener, any_role=False, parties=[(at("DE*EMS"), Role.EMSP)])

    assert {str(party): party.approved for party in Party.objects.all()} == {"DE*EMS:EMSP": True, "DE*EMS:CPO": False}


@pytest.mark.req("CRED-08", "CRED-19")
def test_a_registered_platform_is_not_registered_again(listener: Listener) -> None:
    register(listener)
    listener.forget()

    with pytest.raises(HandshakeFailed, match="registered already"):
        register(listener)

    assert listener.requests == []


@pytest.mark.req("CRED-21")
def test_one_handshake_at_a_time_on_our_side_too(listener: Listener, member: Person) -> None:
    Platform.objects.update(handshake_until=timezone.now() + timedelta(seconds=30))

    with pytest.raises(HandshakeFailed, match="running"):
        update_at(member.id)

    assert listener.requests == []


# ---- inviting


@pytest.mark.req("CRED-09", "CRED-10", "SEC-08", "SEC-02", "VER-04")
def test_an_invitation_brings_a_token_that_only_its_reader_knows() -> None:
    invitation = initiation.invite(name="Elbe", parties=[(at("DE*EMS"), Role.EMSP)])

    token = CredentialsToken.objects.get()
    assert invitation.versions_url == "http://127.0.0.1:8000/ocpi/versions"
    assert (token.purpose, token.digest) == ("A", secrets.digest(invitation.token_a))
    assert token.expires_at is not None
    assert timedelta(days=6.9) < token.expires_at - timezone.now() < timedelta(days=7)
    assert invitation.token_a not in str(Platform.objects.values().get())
    assert Person(token=invitation.token_a).get("versions").codes == (200, 1000)


@pytest.mark.req("SEC-08", "CRED-09")
def test_a_second_invitation_replaces_the_first() -> None:
    first = initiation.invite(name="Elbe")
    second = initiation.invite(name="Elbe")

    assert first.platform == second.platform
    assert Person(token=first.token_a).get("versions").codes == (401, 2000)
    assert Person(token=second.token_a).get("versions").codes == (200, 1000)


@pytest.mark.req("CRED-20")
def test_a_registered_platform_is_not_invited(member: Person) -> None:
    with pytest.raises(HandshakeFailed, match="registered already"):
        initiation.invite(name=str(member.platform))
