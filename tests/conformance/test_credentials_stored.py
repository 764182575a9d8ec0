"""What a registration leaves in the registry, and what an update changes there."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from ocpi import defects, secrets, snapshot
from ocpi.models import CredentialsToken, Party, Platform
from tests.conformance.handshakes import CREDENTIALS, LOCATIONS, registered, state_of, used_token
from tests.fixtures import Partner, add_party
from tests.people import Person
from tests.platforms import Listener, credentials_role

pytestmark = pytest.mark.usefixtures("hub_side")


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


@pytest.mark.req("TRN-006", "PIT-02")
def test_a_partner_set_to_raw_tokens_gets_and_shows_them_raw(partner: Partner, listener: Listener) -> None:
    person = partner(name="raw", state="INVITED", purpose="A", endpoints=(), any_role=True, raw=True)

    registered(person, listener, token="a-raw-token-for-our-calls")

    assert {request.headers["authorization"] for request in listener.requests} == {"Token a-raw-token-for-our-calls"}


@pytest.mark.req("SEC-04")
def test_a_token_whose_key_is_gone_keeps_nobody_from_registering(
    invited: Person, listener: Listener, partner: Partner
) -> None:
    other = partner("NL*TNM:CPO")
    Platform.objects.filter(pk=other.id).update(token_out="00000000.AAAA")
    snapshot.changed()

    registered(invited, listener)


@pytest.mark.req("SEC-06")
@pytest.mark.parametrize(("length", "flagged"), [(5, True), (15, True), (16, False)])
def test_a_short_token_is_taken_and_flagged(
    invited: Person, listener: Listener, caplog: pytest.LogCaptureFixture, length: int, flagged: bool
) -> None:
    registered(invited, listener, token="shortest-of-them"[:length])

    assert (f"only {length} characters" in caplog.text) is flagged
    assert (defects.count(invited.id, "SEC-06 token under 16 characters") > 0) is flagged


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


@pytest.mark.req("CRED-30", "SEC-06")
def test_put_may_keep_the_partners_token(member: Person, listener: Listener) -> None:
    answer = member.put(CREDENTIALS, listener.credentials())

    assert answer.codes == (200, 1000)
    assert used_token(member) == listener.token_for_us


@pytest.mark.req("CRED-37", "PIT-05", "SEC-07")
def test_the_old_token_lives_on_for_a_minute_after_a_put(member: Person, listener: Listener) -> None:
    answer = member.put(CREDENTIALS, listener.credentials("a-new-token-for-us"))
    renewed = Person(token=answer.data["token"], parties=member.parties, platform=member.platform)

    assert renewed.get(LOCATIONS).codes == (200, 1000)
    assert member.get(LOCATIONS).codes == (200, 1000)
    assert member.get(CREDENTIALS).data["token"] == member.token
    with time_machine.travel(timezone.now() + timedelta(seconds=50)):
        assert member.get(LOCATIONS).codes == (200, 1000)
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert renewed.get(LOCATIONS).codes == (200, 1000)
        assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("CRED-37", "PIT-05", "SEC-07")
def test_who_did_not_get_the_answer_to_its_put_repeats_it_with_the_old_token(
    member: Person, listener: Listener
) -> None:
    lost, again = (member.put(CREDENTIALS, listener.credentials("a-new-token-for-us")) for _ in range(2))

    assert (lost.codes, again.codes) == ((200, 1000), (200, 1000))
    renewed = Person(token=again.data["token"], parties=member.parties, platform=member.platform)
    assert renewed.get(LOCATIONS).codes == (200, 1000)


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
