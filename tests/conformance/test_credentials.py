"""Credentials with us as the Receiver, through the front door, with a partner that listens."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone
from pytest_django.fixtures import Settings

from ocpi import ours, secrets, snapshot
from ocpi.models import AuditEntry, CredentialsToken, Endpoint, Party, Platform
from ocpi.modules import initiation
from tests.conformance.handshakes import CREDENTIALS, LOCATIONS, registered, state_of, used_token
from tests.fixtures import Partner
from tests.people import Person, at
from tests.platforms import Listener, credentials_role

pytestmark = pytest.mark.usefixtures("hub_side")


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


@pytest.mark.req("SEC-05", "TRN-010", "CRED-25", "CRED-34")
@pytest.mark.parametrize(
    ("purpose", "versions", "get", "post", "put", "modules"),
    [
        ("A", 200, 401, 200, 405, 401),
        ("PENDING", 200, 401, 401, 401, 401),
        ("CURRENT", 200, 200, 405, 200, 200),
        ("OLD", 200, 200, 405, 200, 200),
        ("TOMBSTONE", 401, 401, 401, 405, 401),
        ("theirs for us", 401, 401, 401, 401, 401),
    ],
)
def test_a_token_opens_the_doors_of_its_purpose_and_no_others(
    partner: Partner, listener: Listener, purpose: str, versions: int, get: int, post: int, put: int, modules: int
) -> None:
    is_theirs = purpose == "theirs for us"
    state = "REGISTERED" if purpose in ("CURRENT", "OLD") or is_theirs else "INVITED"
    known = partner("DE*EMS:EMSP", listener=listener, state=state, purpose="CURRENT" if is_theirs else purpose)
    caller = Person(token=known.token_out, parties=known.parties) if is_theirs else known

    found = [
        [caller.get("versions").http_status, caller.get("2.2.1").http_status],
        caller.get(CREDENTIALS).http_status,
        caller.post(CREDENTIALS, {}).http_status,
        [caller.get(LOCATIONS).http_status, caller.get("hub/2.2.1/sender/tariffs").http_status],
        caller.put(CREDENTIALS, {}).http_status,
    ]

    assert found == [[versions] * 2, get, post, [modules] * 2, put]


@pytest.mark.req("CRED-01", "CRED-58", "PIT-07", "SEC-02")
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


@pytest.mark.req("CRED-33", "CRED-34", "CRED-41", "PIT-06", "SEC-05")
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


@pytest.mark.req("CRED-11", "TRN-010", "SEC-05")
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

    assert [str(party) for party in Party.objects.filter(approved=True, claimed=True).order_by("id")] == roles


@pytest.mark.req("TRN-007", "SEC-06")
def test_a_token_that_is_somebodys_already_is_refused(invited: Person, listener: Listener, partner: Partner) -> None:
    other = partner("NL*TNM:CPO")

    for token in (other.token, other.token_out, invited.token):
        answer = invited.post(CREDENTIALS, listener.credentials(token))

        assert answer.codes == (200, 2001)
        assert "token" in answer.message
        assert token not in answer.text
    assert invited.post(CREDENTIALS, listener.credentials("nobody-elses-token")).ok


@pytest.mark.req("SEC-01", "SEC-02", "CRED-45")
@pytest.mark.django_db
def test_every_token_we_make_is_43_characters_of_our_own_and_stored_nowhere(listener: Listener) -> None:
    made = [initiation.invite(name="theirs", any_role=True).token_a for _ in range(2)]
    invitation = Person(token=made[-1], platform=Platform.objects.get(name="theirs"))
    with_c = registered(invitation, listener)
    put = with_c.put(CREDENTIALS, listener.credentials("the-second-token-for-us")).data["token"]
    listener.forget()
    initiation.update_at(invitation.id)
    with Listener(roles=["NL*TNM:CPO"]) as other:
        for number in range(2):
            initiation.register_with(
                name=f"ours {number}", versions_url=other.versions_url, token_a=f"their-token-a-{number}"
            )
            other.token_for_us = "another-token-for-us"
        sent = [*other.received("POST"), *listener.received("PUT")]
    made += [with_c.token, put, *(request.json["token"] for request in sent)]

    assert len(set(made)) == len(made) == 7
    stored = str([list(model.objects.values()) for model in (CredentialsToken, Platform, Endpoint, AuditEntry)])
    for token in made:
        assert len(token) == 43
        assert len(base64.urlsafe_b64decode(token + "=")) == 32
        assert token not in stored
        assert token[:20] not in stored
    assert CredentialsToken.objects.get(platform=invitation.platform, purpose="CURRENT").last_four == made[-1][-4:]


@pytest.mark.req("SEC-02", "SEC-06")
def test_one_digest_is_there_once(cpo: Person, emsp: Person) -> None:
    with pytest.raises(IntegrityError):
        CredentialsToken.objects.create(platform_id=emsp.id, digest=secrets.digest(cpo.token), purpose="CURRENT")


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


# ---- DELETE


@pytest.fixture
def member(partner: Partner, listener: Listener) -> Person:
    """A registered platform that listens."""
    return partner("DE*EMS:EMSP", listener=listener)


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


@pytest.mark.req("CRED-44", "CRED-34", "SEC-05")
def test_registering_again_needs_a_new_token_a(member: Person, listener: Listener) -> None:
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
