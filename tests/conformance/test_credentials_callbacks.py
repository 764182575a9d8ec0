"""What a partner hears of us while it registers, and what we make of its answers."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from ocpi import snapshot
from ocpi.models import CredentialsToken, Platform
from ocpi.modules import claims, discovery, initiation, registration, renewal
from tests.answers import OcpiAnswer
from tests.conformance.handshakes import CREDENTIALS, LOCATIONS, registered, state_of, used_token
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener, Received, Reply, eventually

pytestmark = pytest.mark.usefixtures("hub_side")

TOKEN = "one-token-for-two-platforms"


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
def test_of_several_versions_the_one_of_the_credentials_url_is_taken(
    invited: Person, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_VERSIONS = ["2.1.1", "2.2.1", "9.9"]
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
def test_without_credentials_or_a_common_module_it_is_3003(invited: Person, listener: Listener, kept: set[str]) -> None:
    before = state_of(invited)
    details = listener.version_details()
    details["endpoints"] = [entry for entry in details["endpoints"] if entry["identifier"] in kept]
    listener.reply("GET", "/ocpi/2.2.1", data=details)

    answer = invited.post(CREDENTIALS, listener.credentials())

    assert answer.codes == (200, 3003)
    assert state_of(invited) == before


@pytest.mark.req("VER-17", "PIT-11", "PIT-12", "VER-10", "TRN-123", "VER-07", "SEC-48")
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
            {"identifier": "tokens", "role": ["SENDER"], "url": f"{listener.url}/tokens"},
            {"identifier": ["tokens"], "role": "SENDER", "url": f"{listener.url}/tokens"},
            {"identifier": "tokens", "role": "SENDER", "url": {"href": f"{listener.url}/tokens"}},
            "tokens",
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
def test_outside_of_a_test_setting_urls_must_be_https(invited: Person, listener: Listener, settings: Settings) -> None:
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


@pytest.mark.req("CRED-23", "REL-49")
def test_a_registration_that_breaks_while_it_is_stored_leaves_nothing(
    invited: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
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


@pytest.mark.req("CRED-15", "CRED-23", "SEC-08")
def test_a_post_whose_callbacks_took_too_long_undoes_no_later_one(
    invited: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = discovery.discover
    later: list[OcpiAnswer] = []

    def overtaken(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(discovery, "discover", usual)
        claims.end_handshake(invited.id)  # its time is over
        later.append(invited.post(CREDENTIALS, listener.credentials("the-token-that-counts")))
        return usual(*args, **options)

    monkeypatch.setattr(discovery, "discover", overtaken)

    answer = invited.post(CREDENTIALS, listener.credentials("the-token-of-before"))

    assert [found.codes for found in later] == [(200, 1000)]
    assert answer.codes == (200, 2000)
    assert "registered by now" in answer.message
    assert used_token(invited) == "the-token-that-counts"


@pytest.mark.req("CRED-15", "CRED-23", "SEC-08", "REL-49")
@pytest.mark.django_db(transaction=True)
def test_a_token_a_that_is_replaced_during_the_callbacks_registers_nobody(invited: Person, listener: Listener) -> None:
    def invite_again(_: Received) -> Reply:
        initiation.invite(name="invited", any_role=True)
        connection.close()  # this thread's own
        return Reply(data=listener.version_details())

    listener.reply("GET", "/ocpi/2.2.1", using=invite_again, times=1)

    answer = invited.post(CREDENTIALS, listener.credentials())

    assert answer.codes == (401, 2000)
    assert Platform.objects.get(pk=invited.id).state == "INVITED"


@pytest.mark.req("CRED-40", "CRED-23", "REL-49")
@pytest.mark.django_db(transaction=True)
def test_a_platform_that_leaves_during_its_put_stays_away(partner: Partner, listener: Listener) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)

    def leave(_: Received) -> Reply:
        registration.unregister(platform_id=member.id)
        connection.close()
        return Reply(data=listener.version_details())

    listener.reply("GET", "/ocpi/2.2.1", using=leave, times=1)

    answer = member.put(CREDENTIALS, listener.credentials())

    assert answer.codes == (200, 2000)
    assert Platform.objects.get(pk=member.id).state == "UNREGISTERED"
    assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("SEC-07", "CRED-35")
@pytest.mark.django_db(transaction=True)
def test_who_is_shut_out_during_its_put_gets_no_new_token_for_it(partner: Partner, listener: Listener) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)

    def shut_out(_: Received) -> Reply:
        renewal.revoke(member.id)
        connection.close()
        return Reply(data=listener.version_details())

    listener.reply("GET", "/ocpi/2.2.1", using=shut_out, times=1)

    answer = member.put(CREDENTIALS, listener.credentials("the-token-they-bring-now"))

    assert answer.codes == (401, 2000)
    assert not CredentialsToken.objects.filter(platform=member.platform).exists()
    assert used_token(member) == member.token_out


@pytest.mark.req("SEC-06", "TRN-007")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_of_two_platforms_that_bring_one_token_at_the_same_moment_one_is_refused(
    method: str, partner: Partner, listener: Listener
) -> None:
    first = partner("DE*EMS:EMSP", listener=listener) if method == "PUT" else _invited(partner, "first")
    second = _invited(partner, "second")
    with Listener() as other:

        def meanwhile(_: Received) -> Reply:
            answers.append(Person(token=second.token, client=Client()).post(CREDENTIALS, other.credentials(TOKEN)))
            connection.close()
            return Reply(data=listener.version_details())

        answers: list[OcpiAnswer] = []
        listener.reply("GET", "/ocpi/2.2.1", using=meanwhile, times=1)
        before = state_of(first)

        answer = first.request(method, CREDENTIALS, listener.credentials(TOKEN))

    assert [found.codes for found in answers] == [(200, 1000)]
    assert answer.codes == (200, 2001)
    assert "token" in answer.message
    assert state_of(first) == before
    assert used_token(second) == TOKEN


@pytest.mark.req("SEC-06", "TRN-007")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("exchange", ["they register", "we register", "we renew"])
def test_credentials_wait_for_others_that_are_about_to_bring_the_same_token(
    partner: Partner, listener: Listener, exchange: str
) -> None:
    other = partner("NL*TNM:CPO")
    person = partner("DE*EMS:EMSP", listener=listener) if exchange == "we renew" else _invited(partner, "first")
    for method in ("POST", "PUT"):
        listener.reply(method, "/ocpi/2.2.1/credentials", data=listener.credentials(TOKEN))
    before = used_token(person)
    begun = threading.Event()

    def bring() -> None:
        with transaction.atomic():
            claims.lock()
            platform = Platform.objects.get(pk=other.id)
            claims.take_token(platform, TOKEN)
            platform.save()
            claims.announce()
            begun.set()
            with contextlib.suppress(AssertionError):  # nobody waits: it is seen below
                eventually(_somebody_waits, seconds=5)
        connection.close()

    thread = threading.Thread(target=bring)
    thread.start()
    begun.wait(10)
    if exchange == "they register":
        assert person.post(CREDENTIALS, listener.credentials(TOKEN)).codes == (200, 2001)
    elif exchange == "we register":
        with pytest.raises(initiation.HandshakeFailed, match="in use"):
            initiation.register_with(name="Elbe", versions_url=listener.versions_url, token_a="their-token-a-for-us")
    else:
        with pytest.raises(initiation.HandshakeFailed, match="in use"):
            initiation.update_at(person.id)
    thread.join(20)

    assert used_token(other) == TOKEN
    assert used_token(person) == before


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


def _invited(partner: Partner, name: str) -> Person:
    return partner(name=name, state="INVITED", purpose="A", endpoints=(), any_role=True)
