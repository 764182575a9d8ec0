"""Credentials with us as the Receiver: register, update, unregister, through the front door, with a listening partner."""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from ocpi import ours, secrets, snapshot
from ocpi.models import CredentialsToken, Endpoint, Party, Platform
from tests.answers import OcpiAnswer
from tests.fixtures import Partner, add_party
from tests.people import Person, at
from tests.platforms import Listener, Received, Reply, credentials_role

pytestmark = pytest.mark.usefixtures("hub_side")

LOCATIONS = "hub/2.2.1/sender/locations"
CREDENTIALS = "2.2.1/credentials"


def registered(invited: Person, listener: Listener, **changes: Any) -> Person:
    """Register somebody who was invited, and return them with token C."""
    answer = invited.post(CREDENTIALS, {**listener.credentials(), **changes})
    assert answer.codes == (200, 1000), answer.message
    return Person(token=answer.data["token"], parties=(at("DE*EMS"),), platform=invited.platform)


def state_of(person: Person) -> tuple[Any, ...]:
    """Return all that a handshake may change, for comparison."""
    return (
        Platform.objects.values().get(pk=person.id),
        list(CredentialsToken.objects.filter(platform=person.platform).values().order_by("id")),
        list(Party.objects.filter(platform=person.platform).values().order_by("id")),
        list(Endpoint.objects.filter(platform=person.platform).values().order_by("id")),
    )


def used_token(person: Person) -> str:
    """Return the token we use towards a platform."""
    return snapshot.current().platforms[person.id].target().token


# ---- the sequence (requirements, 4.7)


@pytest.mark.req(
    "CRED-02", "CRED-03", "CRED-04", "CRED-06", "CRED-11", "CRED-12", "CRED-13", "CRED-14", "CRED-15", "CRED-19",
    "CRED-30", "CRED-40", "CRED-41", "CRED-42", "TRN-010", "PIT-03", "PIT-06",
)  # fmt: skip
def test_the_whole_life_of_a_registration(invited: Person, listener: Listener) -> None:
    assert [entry["version"] for entry in invited.get("versions").data] == ["2.2.1"]
    assert "credentials" in {entry["identifier"] for entry in invited.get("2.2.1").data["endpoints"]}
    assert invited.get(LOCATIONS).codes == (401, 2000)

    answer = invited.post(CREDENTIALS, listener.credentials("token-B-of-the-listener"))

    assert [(request.method, request.path) for request in listener.requests] == [
        ("GET", "/ocpi/versions"),
        ("GET", "/ocpi/2.2.1"),
    ]
    assert {request.token for request in listener.requests} == {"token-B-of-the-listener"}
    assert answer.codes == (200, 1000)
    assert answer.data["url"] == "http://127.0.0.1:8000/ocpi/versions"
    with_c = Person(token=answer.data["token"], parties=(at("DE*EMS"),))
    assert invited.get("versions").codes == (401, 2000)
    assert with_c.get(LOCATIONS).codes == (200, 1000)
    assert with_c.post(CREDENTIALS, listener.credentials()).codes == (405, 2000)

    listener.forget()
    answer = with_c.put(CREDENTIALS, listener.credentials("token-B2-of-the-listener"))

    assert {request.token for request in listener.requests} == {"token-B2-of-the-listener"}
    assert len(listener.requests) == 2
    assert answer.codes == (200, 1000)
    with_c2 = Person(token=answer.data["token"], parties=(at("DE*EMS"),))
    assert with_c2.token != with_c.token
    assert with_c2.get(LOCATIONS).codes == (200, 1000)

    answer = with_c2.delete(CREDENTIALS)

    assert answer.codes == (200, 1000)
    assert not answer.has_data
    assert with_c2.get(LOCATIONS).codes == (401, 2000)
    assert with_c2.get("versions").codes == (401, 2000)
    assert with_c2.get(CREDENTIALS).codes == (401, 2000)
    assert with_c2.put(CREDENTIALS, listener.credentials()).codes == (405, 2000)
    assert with_c2.delete(CREDENTIALS).codes == (405, 2000)


# ---- before and outside of a registration


@pytest.mark.req("CRED-01", "CRED-58", "PIT-07")
def test_get_gives_the_callers_own_token_our_url_and_our_roles(cpo: Person) -> None:
    answer = cpo.get(CREDENTIALS)

    assert answer.codes == (200, 1000)
    assert answer.data["token"] == cpo.token
    assert answer.data["url"] == ours.versions_url()


@pytest.mark.req("CRED-46", "CRED-47", "CRED-55", "HUB-81")
def test_a_hub_shows_exactly_the_role_hub(cpo: Person) -> None:
    roles = cpo.get(CREDENTIALS).data["roles"]

    assert [(role["country_code"], role["party_id"], role["role"]) for role in roles] == [("NL", "HUB", "HUB")]
    assert roles[0]["business_details"]["name"]


@pytest.mark.req("CRED-49", "CRED-50", "CRED-54")
def test_all_our_parties_are_shown_as_roles(cpo: Person, settings: Settings) -> None:
    settings.OCPI_SIDES, settings.OCPI_PARTIES = ["hub"], ["NL*TNM:CPO", "NL*TNM:EMSP", "NL*XXX:CPO"]

    roles = cpo.get(CREDENTIALS).data["roles"]

    assert [(role["party_id"], role["role"]) for role in roles] == [("TNM", "CPO"), ("TNM", "EMSP"), ("XXX", "CPO")]


@pytest.mark.req("CRED-05")
def test_patch_is_not_available(cpo: Person, invited: Person) -> None:
    for person in (cpo, invited):
        answer = person.patch(CREDENTIALS, {})

        assert answer.codes == (405, 2000)
        assert "PATCH" not in answer.headers["Allow"]


@pytest.mark.req("CRED-33", "CRED-34", "CRED-41", "PIT-06")
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_put_and_delete_are_for_registered_platforms(
    method: str, invited: Person, stranger: Person, cpo: Person, listener: Listener
) -> None:
    body = listener.credentials() if method == "PUT" else None

    assert stranger.request(method, CREDENTIALS, body).codes == (401, 2000)
    assert invited.request(method, CREDENTIALS, body).codes == (405, 2000)
    assert cpo.request(method, CREDENTIALS, body).http_status == 200


@pytest.mark.req("CRED-19", "CRED-20")
def test_post_by_a_registered_platform_is_405_whatever_the_body(cpo: Person, listener: Listener) -> None:
    for body in (listener.credentials(), {}, b"no json"):
        answer = cpo.post(CREDENTIALS, body)

        assert answer.codes == (405, 2000)
        assert "POST" not in answer.headers["Allow"]
    assert listener.requests == []


@pytest.mark.req("CRED-11", "TRN-010")
def test_token_a_opens_versions_and_registration_and_nothing_else(invited: Person) -> None:
    assert invited.get("versions").codes == (200, 1000)
    assert invited.get("2.2.1").codes == (200, 1000)
    for path in (LOCATIONS, "hub/2.2.1/receiver/tokens", CREDENTIALS):
        assert invited.get(path).codes == (401, 2000)
    assert invited.post(CREDENTIALS, {}).codes == (200, 2001)


@pytest.mark.req("CRED-09", "CRED-44", "SEC-08")
def test_an_expired_token_a_is_unknown(invited: Person, listener: Listener) -> None:
    CredentialsToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    snapshot.changed()

    assert invited.post(CREDENTIALS, listener.credentials()).codes == (401, 2000)


# ---- what the Credentials object may hold


@pytest.mark.req("CRED-45", "CRED-46", "CRED-47", "CRED-48", "TRN-039")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"token": None}, "token"),
        ({"token": ""}, "token"),
        ({"token": "x" * 65}, "token"),
        ({"token": "has a space"}, "token"),
        ({"token": "not-äscii"}, "token"),
        ({"url": None}, "url"),
        ({"url": "/ocpi/versions"}, "url"),
        ({"url": "ftp://partner.example/ocpi/versions"}, "url"),
        ({"roles": None}, "roles"),
        ({"roles": []}, "roles"),
        ({"roles": [{**credentials_role("DE*EMS:EMSP"), "role": "DRIVER"}]}, "role"),
        ({"roles": [{**credentials_role("DE*EMS:EMSP"), "party_id": "LONG"}]}, "party_id"),
        ({"roles": [{**credentials_role("DE*EMS:EMSP"), "business_details": None}]}, "business_details"),
        ({"roles": [credentials_role("DE*EMS:EMSP"), credentials_role("de*ems:EMSP")]}, "roles"),
    ],
)
def test_incomplete_credentials_are_refused_by_field(
    invited: Person, listener: Listener, changes: dict[str, Any], field: str
) -> None:
    before = state_of(invited)
    body = {name: value for name, value in {**listener.credentials(), **changes}.items() if value is not None}

    answer = invited.post(CREDENTIALS, body)

    assert answer.codes == (200, 2001)
    assert field in answer.message
    assert listener.requests == []
    assert state_of(invited) == before


@pytest.mark.req("CRED-45")
def test_the_longest_token_and_every_printable_character_are_taken(invited: Person, listener: Listener) -> None:
    token = "".join(chr(code) for code in range(0x21, 0x61))

    registered(invited, listener, token=token)

    assert len(token) == 64
    assert used_token(invited) == token
    sent = listener.requests[0].headers["authorization"]
    assert sent == "Token " + base64.b64encode(token.encode()).decode()


@pytest.mark.req("CRED-49", "CRED-50", "CRED-51", "CRED-54")
def test_one_platform_has_several_roles_and_parties(invited: Person, listener: Listener) -> None:
    roles = ["DE*EMS:EMSP", "DE*EMS:CPO", "DE*WHT:EMSP"]

    registered(invited, listener, roles=[credentials_role(role) for role in roles])

    assert [str(party) for party in Party.objects.filter(approved=True, claimed=True)] == roles


@pytest.mark.req("TRN-007", "SEC-06")
def test_a_token_that_is_somebodys_already_is_refused(
    invited: Person, listener: Listener, partner: Partner
) -> None:
    other = partner("NL*TNM:CPO")

    for token in (other.token, other.token_out, invited.token):
        answer = invited.post(CREDENTIALS, listener.credentials(token))

        assert answer.codes == (200, 2001)
        assert "token" in answer.message
        assert token not in answer.text
    assert invited.post(CREDENTIALS, listener.credentials("nobody-elses-token")).ok


@pytest.mark.req("CRED-12", "CRED-14", "SEC-01", "TRN-007")
def test_token_c_is_new_random_and_nobody_elses(partner: Partner, listener: Listener) -> None:
    invitations = [
        partner(name=name, state="INVITED", purpose="A", endpoints=(), any_role=True) for name in ("one", "two")
    ]

    tokens = {registered(person, listener, token=f"token-of-{person.id}").token for person in invitations}

    assert len(tokens) == 2
    for token in tokens:
        assert len(token) == 43
        assert not CredentialsToken.objects.filter(digest__contains=token).exists()


# ---- calling back


@pytest.mark.req("CRED-16", "CRED-23")
@pytest.mark.parametrize("path", ["/ocpi/versions", "/ocpi/2.2.1"])
@pytest.mark.parametrize(
    "reply",
    [
        {"status": 500},
        {"status": 404, "raw": b"<html>not here</html>"},
        {"status": 401, "code": 2000},
        {"code": 2000},
        {"code": 3000},
        {"raw": b"no json at all"},
        {"raw": b""},
        {"raw": b'{"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"}'},
        {"data": "a string"},
        {"close": True},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/ocpi/versions"}},
    ],
    ids=str,
)
def test_a_partner_whose_api_fails_is_told_so_and_may_try_again(
    invited: Person, listener: Listener, path: str, reply: dict[str, Any]
) -> None:
    before = state_of(invited)
    listener.reply("GET", path, **reply)

    answer = invited.post(CREDENTIALS, listener.credentials())
    listener.restore()

    assert answer.codes == (200, 3001)
    assert path in answer.message
    assert state_of(invited) == before
    assert invited.post(CREDENTIALS, listener.credentials()).codes == (200, 1000)


@pytest.mark.req("CRED-16")
def test_a_partner_that_is_not_there_is_3001(invited: Person, listener: Listener) -> None:
    listener.down()

    assert invited.post(CREDENTIALS, listener.credentials()).codes == (200, 3001)


@pytest.mark.req("CRED-21")
def test_a_partner_that_does_not_answer_is_3001_when_the_time_is_over(
    invited: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ocpi.modules import discovery  # noqa: PLC0415 its limit is shortened here

    assert discovery.CALLBACK_SECONDS == 10
    monkeypatch.setattr(discovery, "CALLBACK_SECONDS", 0.2)
    listener.reply("GET", "/ocpi/versions", delay=1.0, times=1)

    assert invited.post(CREDENTIALS, listener.credentials()).codes == (200, 3001)


@pytest.mark.req("PIT-08", "CRED-46")
def test_the_url_of_the_version_details_is_named_as_the_mistake(invited: Person, listener: Listener) -> None:
    answer = invited.post(CREDENTIALS, {**listener.credentials(), "url": f"{listener.url}/ocpi/2.2.1"})

    assert answer.codes == (200, 3001)
    assert "versions URL expected" in answer.message


@pytest.mark.req("CRED-17")
@pytest.mark.parametrize("numbers", [[], ["2.1.1"], ["2.2", "3.0"]])
def test_without_the_version_it_is_3002(invited: Person, listener: Listener, numbers: list[str]) -> None:
    before = state_of(invited)
    offered = [{"version": number, "url": f"{listener.url}/ocpi/{number}"} for number in numbers]
    listener.reply("GET", "/ocpi/versions", data=offered)

    answer = invited.post(CREDENTIALS, listener.credentials())

    assert answer.codes == (200, 3002)
    assert state_of(invited) == before


@pytest.mark.req("CRED-13", "VER-17")
def test_of_several_versions_the_one_of_the_credentials_url_is_taken(invited: Person, listener: Listener) -> None:
    listener.reply(
        "GET",
        "/ocpi/versions",
        data=[
            {"version": "2.1.1", "url": f"{listener.url}/old"},
            {"version": "2.2.1", "url": f"{listener.url}/ocpi/2.2.1"},
            {"version": "9.9", "url": f"{listener.url}/new"},
        ],
    )

    registered(invited, listener)

    assert listener.requests[1].path == "/ocpi/2.2.1"
    assert Platform.objects.get(pk=invited.id).version == "2.2.1"


@pytest.mark.req("CRED-18")
@pytest.mark.parametrize("kept", [set(), {"locations"}, {"credentials"}], ids=str)
def test_without_credentials_or_a_common_module_it_is_3003(
    invited: Person, listener: Listener, kept: set[str]
) -> None:
    before = state_of(invited)
    details = listener.version_details()
    details["endpoints"] = [entry for entry in details["endpoints"] if entry["identifier"] in kept]
    listener.reply("GET", "/ocpi/2.2.1", data=details)

    answer = invited.post(CREDENTIALS, listener.credentials())

    assert answer.codes == (200, 3003)
    assert state_of(invited) == before


@pytest.mark.req("VER-17", "PIT-11", "PIT-12", "VER-10", "TRN-123", "VER-07")
def test_odd_version_details_are_understood(invited: Person, listener: Listener) -> None:
    details = {
        "version": "2.2.1",
        "endpoints": [
            {"identifier": "credentials", "role": "RECEIVER", "url": f"{listener.url}/first"},
            {"identifier": "credentials", "role": "SENDER", "url": f"{listener.url}/second"},
            {"identifier": "locations", "role": "RECEIVER", "url": f"{listener.url}/in?x=1"},
            {"identifier": "locations", "role": "SENDER", "url": f"{listener.url}/out"},
            {"identifier": "nltnm-coffee", "role": "SENDER", "url": f"{listener.url}/coffee"},
            {"identifier": "tokens", "role": "BOTH", "url": f"{listener.url}/tokens"},
        ],
    }
    listener.reply("GET", "/ocpi/2.2.1", data=[details])

    registered(invited, listener)

    assert snapshot.current().platforms[invited.id].endpoints == {
        ("credentials", "SENDER"): f"{listener.url}/first",
        ("locations", "RECEIVER"): f"{listener.url}/in?x=1",
        ("locations", "SENDER"): f"{listener.url}/out",
    }


@pytest.mark.req("CRED-22", "TRN-002")
@pytest.mark.parametrize("url", ["http://10.1.2.3/ocpi/versions", "https://169.254.169.254/ocpi/versions"])
def test_addresses_inside_are_never_called(invited: Person, listener: Listener, url: str) -> None:
    answer = invited.post(CREDENTIALS, {**listener.credentials(), "url": url})

    assert answer.codes == (200, 3001)


@pytest.mark.req("CRED-22")
def test_loopback_is_called_only_if_the_setting_allows_it(
    invited: Person, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_ALLOWED_NETWORKS = []

    assert invited.post(CREDENTIALS, listener.credentials()).codes == (200, 3001)
    assert listener.requests == []


@pytest.mark.req("TRN-002")
def test_outside_of_a_test_setting_urls_must_be_https(
    invited: Person, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_TLS_REQUIRED = True

    answer = invited.post(CREDENTIALS, listener.credentials())

    assert answer.codes == (200, 2001)
    assert "url" in answer.message
    assert "https" in answer.message
    assert listener.requests == []


@pytest.mark.req("TRN-013", "SEC-21")
def test_endpoints_at_another_host_are_refused_until_it_is_approved(invited: Person, listener: Listener) -> None:
    with Listener() as elsewhere:
        details = listener.version_details()
        details["endpoints"][1]["url"] = elsewhere.endpoint("locations", "SENDER")
        listener.reply("GET", "/ocpi/2.2.1", data=details)

        refused = invited.post(CREDENTIALS, listener.credentials())
        Platform.objects.filter(pk=invited.id).update(hosts=[elsewhere.host])
        accepted = invited.post(CREDENTIALS, listener.credentials())

        assert refused.codes == (200, 3001)
        assert elsewhere.host in refused.message
        assert accepted.codes == (200, 1000)
        assert elsewhere.requests == []


@pytest.mark.req("TRN-013", "SEC-21")
def test_version_details_at_another_host_never_see_the_token(invited: Person, listener: Listener) -> None:
    with Listener() as elsewhere:
        offered = [{"version": "2.2.1", "url": f"{elsewhere.url}/ocpi/2.2.1"}]
        listener.reply("GET", "/ocpi/versions", data=offered)

        answer = invited.post(CREDENTIALS, listener.credentials())

        assert answer.codes == (200, 3001)
        assert elsewhere.host in answer.message
        assert elsewhere.requests == []


@pytest.mark.req("CRED-21")
def test_a_second_handshake_of_a_platform_waits_for_nobody(invited: Person, listener: Listener) -> None:
    Platform.objects.filter(pk=invited.id).update(handshake_until=timezone.now() + timedelta(seconds=30))
    busy = invited.post(CREDENTIALS, listener.credentials())
    Platform.objects.filter(pk=invited.id).update(handshake_until=timezone.now() - timedelta(seconds=1))
    after_a_crash = invited.post(CREDENTIALS, listener.credentials())

    assert busy.codes == (200, 2000)
    assert after_a_crash.codes == (200, 1000)


@pytest.mark.req("CRED-21")
@pytest.mark.django_db(transaction=True)
def test_a_post_while_another_one_calls_back_is_refused(invited: Person, listener: Listener) -> None:
    second: list[OcpiAnswer] = []

    def during_the_callback(_: Received) -> Reply:
        second.append(Person(token=invited.token, client=Client()).post(CREDENTIALS, listener.credentials()))
        connection.close()  # this thread's own
        return Reply(data=[{"version": "2.2.1", "url": f"{listener.url}/ocpi/2.2.1"}])

    listener.reply("GET", "/ocpi/versions", using=during_the_callback, times=1)

    first = invited.post(CREDENTIALS, listener.credentials())

    assert first.codes == (200, 1000)
    assert [answer.codes for answer in second] == [(200, 2000)]
    assert Platform.objects.get(pk=invited.id).handshake_until is None


@pytest.mark.req("CRED-23")
def test_a_registration_that_breaks_while_it_is_stored_leaves_nothing(
    invited: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ocpi.modules import registration  # noqa: PLC0415 broken here

    def broken(token: str) -> str:
        raise RuntimeError("the disk is full")

    before = state_of(invited)
    with monkeypatch.context() as patched:
        patched.setattr(registration, "our_credentials", broken)
        answer = invited.post(CREDENTIALS, listener.credentials())

    assert answer.codes == (500, 3000)
    assert state_of(invited) == before
    assert "disk" not in answer.text
    assert invited.post(CREDENTIALS, listener.credentials()).codes == (200, 1000)


# ---- what is stored


@pytest.mark.req("CRED-12", "CRED-13", "CRED-26", "SEC-02", "SEC-04", "PIT-03")
def test_after_a_registration_we_are_connected_and_use_token_b(invited: Person, listener: Listener) -> None:
    with_c = registered(invited, listener)

    platform = Platform.objects.get(pk=invited.id)
    assert (platform.state, platform.version, platform.connection) == ("REGISTERED", "2.2.1", "CONNECTED")
    assert platform.versions_url == listener.versions_url
    assert used_token(invited) == listener.token_for_us
    assert listener.token_for_us not in platform.token_out
    assert len(snapshot.current().platforms[invited.id].endpoints) == 15
    tokens = CredentialsToken.objects.filter(platform=platform)
    assert [(token.purpose, token.digest) for token in tokens] == [("CURRENT", secrets.digest(with_c.token))]


@pytest.mark.req("CRED-15", "SEC-08")
def test_token_a_is_good_for_one_registration(invited: Person, listener: Listener) -> None:
    registered(invited, listener)

    assert invited.post(CREDENTIALS, listener.credentials()).codes == (401, 2000)


@pytest.mark.req("CRED-56", "PIT-10", "TRN-046", "SEC-34")
def test_a_role_nobody_approved_is_pending_and_cannot_act(partner: Partner, listener: Listener) -> None:
    person = partner(name="new", state="INVITED", purpose="A", endpoints=())
    add_party(person.platform, "DE*EMS:EMSP", claimed=False)
    roles = [credentials_role("DE*EMS:EMSP"), credentials_role("NL*TNM:CPO")]

    with_c = registered(person, listener, roles=roles)

    found = {str(party): (party.approved, party.claimed) for party in Party.objects.filter(platform=person.platform)}
    assert found == {"DE*EMS:EMSP": (True, True), "NL*TNM:CPO": (False, True)}
    known = snapshot.current().platforms[person.id]
    assert [party.address.party_id for party in known.parties if party.active] == ["EMS"]
    assert with_c.get(LOCATIONS, sender="DE*EMS").codes == (200, 1000)
    assert with_c.get(LOCATIONS, sender="NL*TNM").codes == (200, 2001)


@pytest.mark.req("CRED-53", "CRED-52")
def test_a_party_that_is_active_elsewhere_is_pending_and_the_operator_hears_of_it(
    invited: Person, listener: Listener, partner: Partner, caplog: pytest.LogCaptureFixture
) -> None:
    holder = partner("DE*EMS:EMSP")

    with caplog.at_level(logging.ERROR, "ocpi.modules.claims"):
        registered(invited, listener, roles=[credentials_role("de*ems:EMSP"), credentials_role("DE*NEW:EMSP")])

    found = {str(party): party.approved for party in Party.objects.filter(platform=invited.platform)}
    assert found == {"de*ems:EMSP": False, "DE*NEW:EMSP": True}
    assert "active elsewhere" in caplog.text
    assert [party.platform_id for party in snapshot.current().at(holder.address)] == [holder.id]


@pytest.mark.req("CRED-53")
def test_nobody_becomes_one_of_our_own_parties(invited: Person, listener: Listener) -> None:
    registered(invited, listener, roles=[credentials_role("NL*HUB:HUB")])

    assert [party.approved for party in Party.objects.filter(platform=invited.platform)] == [False]


# ---- PUT


@pytest.fixture
def member(partner: Partner, listener: Listener) -> Person:
    """A registered platform that listens."""
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.mark.req("CRED-30", "CRED-31", "CRED-32", "CRED-39", "VER-21")
def test_put_fetches_the_endpoints_again_and_replaces_them_as_a_whole(member: Person, listener: Listener) -> None:
    listener.endpoints = [("locations", "RECEIVER")]

    answer = member.put(CREDENTIALS, listener.credentials("a-new-token-for-us"))

    assert answer.codes == (200, 1000)
    assert set(snapshot.current().platforms[member.id].endpoints) == {
        ("credentials", "SENDER"),
        ("locations", "RECEIVER"),
    }
    assert used_token(member) == "a-new-token-for-us"
    assert answer.data["token"] not in (member.token, "a-new-token-for-us")


@pytest.mark.req("CRED-30")
def test_put_may_keep_the_partners_token(member: Person, listener: Listener) -> None:
    answer = member.put(CREDENTIALS, listener.credentials())

    assert answer.codes == (200, 1000)
    assert used_token(member) == listener.token_for_us


@pytest.mark.req("CRED-37", "PIT-05")
def test_the_old_token_lives_on_for_a_minute_after_a_put(member: Person, listener: Listener) -> None:
    answer = member.put(CREDENTIALS, listener.credentials("a-new-token-for-us"))
    renewed = Person(token=answer.data["token"], parties=member.parties, platform=member.platform)

    assert renewed.get(LOCATIONS).codes == (200, 1000)
    assert member.get(LOCATIONS).codes == (200, 1000)
    assert member.get(CREDENTIALS).data["token"] == member.token
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert renewed.get(LOCATIONS).codes == (200, 1000)
        assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("CRED-38", "CRED-16")
@pytest.mark.parametrize("path", ["/ocpi/versions", "/ocpi/2.2.1"])
def test_a_put_whose_callback_fails_changes_nothing(member: Person, listener: Listener, path: str) -> None:
    before = state_of(member)
    listener.reply("GET", path, status=500)

    answer = member.put(CREDENTIALS, listener.credentials("a-new-token-for-us"))

    assert answer.codes == (200, 3001)
    assert state_of(member) == before
    assert used_token(member) == listener.token_for_us
    assert member.get(LOCATIONS).codes == (200, 1000)


@pytest.mark.req("TRN-013", "SEC-21")
def test_a_put_with_a_new_host_waits_for_an_operator(member: Person, listener: Listener) -> None:
    with Listener() as elsewhere:
        body = {**listener.credentials("a-new-token-for-us"), "url": elsewhere.versions_url}

        refused = member.put(CREDENTIALS, body)
        untouched = list(elsewhere.requests)
        Platform.objects.filter(pk=member.id).update(hosts=[listener.host, elsewhere.host])
        accepted = member.put(CREDENTIALS, body)

        assert refused.codes == (200, 3001)
        assert elsewhere.host in refused.message
        assert untouched == []
        assert accepted.codes == (200, 1000)


@pytest.mark.req("CRED-57")
def test_a_put_that_leaves_a_role_out_ends_its_party(partner: Partner, listener: Listener) -> None:
    person = partner("DE*EMS:EMSP", "DE*TWO:EMSP", listener=listener)
    assert person.get(LOCATIONS, sender="DE*TWO").codes == (200, 1000)

    answer = person.put(CREDENTIALS, listener.credentials())
    renewed = Person(token=answer.data["token"], parties=person.parties)

    assert renewed.get(LOCATIONS, sender="DE*TWO").codes == (200, 2001)
    assert renewed.get(LOCATIONS, sender="DE*EMS").codes == (200, 1000)
    assert not snapshot.current().at(person.parties[1])
    assert Party.objects.filter(platform=person.platform, party_id="TWO", claimed=False).exists()


@pytest.mark.req("CRED-57", "CRED-56")
def test_a_role_that_comes_back_is_still_approved(partner: Partner, listener: Listener) -> None:
    person = partner("DE*EMS:EMSP", "DE*TWO:EMSP", listener=listener)
    answer = person.put(CREDENTIALS, listener.credentials())

    both = listener.credentials(roles=["DE*EMS:EMSP", "DE*TWO:EMSP"])
    Person(token=answer.data["token"]).put(CREDENTIALS, both)

    assert snapshot.current().at(person.parties[1])


# ---- DELETE


@pytest.mark.req("CRED-40", "CRED-43")
def test_after_delete_neither_token_is_worth_anything_and_objects_stay(member: Person, listener: Listener) -> None:
    parties = Party.objects.filter(platform=member.platform).count()

    answer = member.delete(CREDENTIALS)

    platform = Platform.objects.get(pk=member.id)
    assert answer.codes == (200, 1000)
    assert (platform.state, platform.connection, platform.token_out) == ("UNREGISTERED", "OFFLINE", "")
    assert not snapshot.current().platforms[member.id].reachable
    assert used_token(member) == ""
    assert not Endpoint.objects.filter(platform=platform).exists()
    assert Party.objects.filter(platform=platform).count() == parties
    assert listener.requests == []


@pytest.mark.req("CRED-44", "CRED-34")
def test_registering_again_needs_a_new_token_a(member: Person, listener: Listener) -> None:
    from ocpi.modules import initiation  # noqa: PLC0415 what the command runs

    member.delete(CREDENTIALS)
    assert member.post(CREDENTIALS, listener.credentials()).codes == (401, 2000)

    again = Person(token=initiation.invite(name=str(member.platform)).token_a, platform=member.platform)
    assert member.put(CREDENTIALS, listener.credentials()).codes == (405, 2000)
    renewed = registered(again, listener)

    assert renewed.get(LOCATIONS, sender="DE*EMS").codes == (200, 1000)
    assert member.put(CREDENTIALS, listener.credentials()).codes == (401, 2000)


@pytest.mark.req("CRED-59", "TRN-057", "TRN-058")
def test_the_callbacks_carry_ids_and_no_routing_headers(invited: Person, listener: Listener) -> None:
    body = listener.credentials()

    invited.post(CREDENTIALS, body, headers={"X-Correlation-ID": "one-story"})

    first, second = listener.requests
    assert first.headers["x-correlation-id"] == second.headers["x-correlation-id"] == "one-story"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert not [name for name in first.headers if name.startswith("ocpi-")]
