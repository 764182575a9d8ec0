"""A host that a platform names and that is not approved waits for an operator; no token goes there (SEC-21)."""

from __future__ import annotations

from typing import Any

import pytest

from ocpi import client, host_actions, hosts, outbox_request, response_urls, snapshot, status
from ocpi.models import Platform, RequestedHost
from ocpi.modules import initiation
from ocpi.outbox_rows import Ended
from ocpi.outbox_rows import Row as Due
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hub_side")]

Row = RequestedHost
CREDENTIALS = "/ocpi/2.2.1/credentials"


def result_row(person: Person, url: str) -> Due:
    return Due(
        fields=None, id=1, platform_id=person.id, slot=0, kind="RESULT", order_key="", module="commands", path="",
        query="", url=url, source="", source_id=None, body='{"result":"ACCEPTED"}', deleted=False, change=1,
        to_country_code="DE", to_party_id="EMS", from_country_code="NL", from_party_id="TNM", correlation_id="c",
        attempts=0, ambiguous=False, age=0.0, left=60.0,
    )  # fmt: skip


def waiting(person: Person) -> list[tuple[str, str, int]]:
    hosts.flush()
    rows = Row.objects.filter(platform_id=person.id, decision="WAITING").order_by("id")
    return [(row.host, row.named_in, row.count) for row in rows]


@pytest.fixture
def elsewhere() -> Any:
    with Listener() as other:
        yield other


@pytest.mark.req("SEC-21", "TRN-013")
def test_a_new_host_in_credentials_waits_and_is_taken_once_approved(
    partner: Partner, listener: Listener, elsewhere: Listener
) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)
    new = elsewhere.credentials("token-for-the-new-host")

    refused = member.put("2.2.1/credentials", new)

    assert refused.codes == (200, 3001)
    assert elsewhere.requests == []
    assert waiting(member) == [(elsewhere.host, f"GET {elsewhere.versions_url}", 1)]

    host_actions.approve_hosts([Row.objects.get().pk])

    assert member.put("2.2.1/credentials", new).codes == (200, 1000)
    assert elsewhere.received("GET")[0].token == "token-for-the-new-host"
    assert waiting(member) == []


@pytest.mark.req("SEC-21", "TRN-013")
def test_a_new_host_in_version_details_waits(partner: Partner, listener: Listener, elsewhere: Listener) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)
    details = listener.version_details()
    details["endpoints"][1]["url"] = elsewhere.endpoint("locations", "SENDER")
    listener.reply("GET", "/ocpi/2.2.1", data=details)

    refused = member.put("2.2.1/credentials", listener.credentials("next-token-for-this"))

    assert refused.codes == (200, 3001)
    assert [host for host, _, _ in waiting(member)] == [elsewhere.host]
    assert elsewhere.requests == []


@pytest.mark.req("SEC-21", "SEC-26", "SEC-30")
@pytest.mark.parametrize("named_in", ["Link", "Location"])
def test_a_new_host_in_a_link_or_a_redirect_waits_and_nothing_is_sent_there(
    partner: Partner, listener: Listener, elsewhere: Listener, named_in: str
) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)
    target = snapshot.current().platforms[member.id].target()
    host = elsewhere.host.replace("127.0.0.1", "localhost")
    there = f"http://{host}/x?token=1"
    if named_in == "Link":
        listener.reply("GET", "/x", data=[], headers={"Link": f'<{there}>; rel="next"'})
        with pytest.raises(client.ForeignHost):
            list(client.walk(target, f"{listener.url}/x", timeout=5))
    else:
        listener.reply("GET", "/x", status=302, headers={"Location": there})
        assert client.send(target, "GET", f"{listener.url}/x", timeout=5).http_status == 302

    assert waiting(member) == [(host, f"{named_in}: http://{host}/x", 1)]
    assert elsewhere.requests == []


@pytest.mark.req("SEC-21", "CMD-04", "PIT-64")
def test_a_new_host_in_a_response_url_waits_and_nothing_is_sent_there(
    partner: Partner, listener: Listener, elsewhere: Listener
) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)
    known = snapshot.current().platforms[member.id]

    for _ in range(3):
        with pytest.raises(status.InvalidParameters):
            response_urls.check(f"{elsewhere.url}/commands/results?token=1", known)

    assert waiting(member) == [(elsewhere.host, f"response_url: {elsewhere.url}/commands/results", 3)]
    outcome = outbox_request.deliver(
        result_row(member, f"{elsewhere.url}/commands/results"), None, outbox_request.Receiver(known.target(), {})
    )
    assert outcome.ended is Ended.REFUSED
    assert elsewhere.requests == []

    host_actions.approve_hosts([Row.objects.get().pk])

    response_urls.check(f"{elsewhere.url}/commands/results", snapshot.current().platforms[member.id])


@pytest.mark.req("SEC-21")
def test_what_was_refused_stays_refused_and_an_approval_can_be_taken_back(
    partner: Partner, listener: Listener, elsewhere: Listener
) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)
    target = snapshot.current().platforms[member.id].target()
    with pytest.raises(client.ForeignHost):
        client.send(target, "GET", f"{elsewhere.url}/x", timeout=1)
    hosts.flush()
    row = Row.objects.get()
    host_actions.approve_hosts([row.pk])
    target = snapshot.current().platforms[member.id].target()
    assert client.send(target, "GET", f"{elsewhere.url}/x", timeout=5).ok

    host_actions.refuse_hosts([row.pk])

    target = snapshot.current().platforms[member.id].target()
    with pytest.raises(client.ForeignHost):
        client.send(target, "GET", f"{elsewhere.url}/x", timeout=1)
    assert waiting(member) == []
    assert Row.objects.get().decision == "REFUSED"
    assert Row.objects.get().count == 2
    assert Platform.objects.get(pk=member.id).hosts == [listener.host]


@pytest.mark.req("SEC-21")
def test_an_invitation_opens_no_host_that_was_refused_for_the_platform(invited: Person, listener: Listener) -> None:
    hosts.note(invited.id, listener.host, "x")
    hosts.flush()
    host_actions.refuse_hosts([Row.objects.get().pk])

    refused = invited.post("2.2.1/credentials", listener.credentials())

    assert refused.codes == (200, 3001)
    assert listener.requests == []
    assert listener.host not in Platform.objects.get(pk=invited.id).hosts
    host_actions.approve_hosts([Row.objects.get().pk])
    assert invited.post("2.2.1/credentials", listener.credentials()).codes == (200, 1000)


@pytest.mark.req("SEC-21")
def test_who_names_a_new_host_in_every_message_fills_no_table(partner: Partner) -> None:
    member = partner("DE*EMS:EMSP")
    for number in range(hosts.MOST_WAITING + 20):
        hosts.note(member.id, f"host{number}.example:443", "x")
        if number % 10 == 9:
            hosts.flush()

    assert len(waiting(member)) <= hosts.MOST_WAITING + 10


@pytest.mark.req("SEC-21")
def test_a_host_is_kept_without_the_secrets_of_its_url(partner: Partner) -> None:
    member = partner("DE*EMS:EMSP")
    key = "k" * 30 + "abcd"

    hosts.note(member.id, "A.Example:443", f"response_url: https://a.example/commands/START_SESSION/{key}?token=secret")

    [(host, place, _)] = waiting(member)
    assert host == "a.example:443"
    assert key not in place
    assert "secret" not in place


@pytest.mark.req("SEC-21", "CRED-24")
def test_a_partner_we_register_with_gets_no_token_at_another_host(listener: Listener, elsewhere: Listener) -> None:
    answer = [{"version": "2.2.1", "url": f"{elsewhere.url}/ocpi/2.2.1"}]
    listener.reply("GET", "/ocpi/versions", data=answer)

    with pytest.raises(initiation.HandshakeFailed):
        initiation.register_with(name="Them", versions_url=listener.versions_url, token_a="their-token-a-for-us")

    hosts.flush()
    assert elsewhere.requests == []
    assert Row.objects.get().host == elsewhere.host


@pytest.mark.req("SEC-25")
def test_a_versions_url_that_is_too_long_to_be_kept_is_refused_in_words() -> None:
    with pytest.raises(initiation.HandshakeFailed, match="longer than 255"):
        initiation.register_with(name="Them", versions_url=f"https://a.example/{'x' * 300}", token_a="their-token-a")
