"""Credentials with us as the Sender: we renew our token, and leave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from django.db import connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from ocpi import secrets, snapshot, tasks
from ocpi.models import CredentialsToken, Platform
from ocpi.modules import registration, renewal
from ocpi.modules.initiation import HandshakeFailed, OutcomeUnknown, unregister_at, update_at
from tests.fixtures import Partner, Side
from tests.people import Person
from tests.platforms import Listener, Received, Reply

pytestmark = [pytest.mark.usefixtures("hub_side"), pytest.mark.django_db]

LOCATIONS = "hub/2.2.1/sender/locations"
TOKEN_A = "their-token-A-for-us"
POST = ("POST", "/ocpi/2.2.1/credentials")
PUT = ("PUT", "/ocpi/2.2.1/credentials")


def used_token(platform_id: int) -> str:
    return snapshot.current().platforms[platform_id].target().token


def purposes() -> list[str]:
    return [token.purpose for token in CredentialsToken.objects.order_by("id")]


@pytest.fixture
def member(partner: Partner, listener: Listener) -> Person:
    """A registered platform that listens."""
    return partner("DE*EMS:EMSP", listener=listener)


# ---- renewing


@pytest.mark.req("CRED-35", "CRED-36", "CRED-30", "CRED-32", "VER-21", "SEC-07", "CRED-26")
def test_a_renewal_puts_a_new_token_and_takes_the_partners_new_one(listener: Listener, member: Person) -> None:
    listener.reply(*PUT, data=listener.credentials("the-next-token-for-us"))

    update_at(member.id)

    sent = listener.received("PUT")[0]
    assert sent.path == PUT[1]
    assert sent.token == member.token_out
    assert sent.json["token"] != member.token
    assert used_token(member.id) == "the-next-token-for-us"
    assert Person(token=sent.json["token"], parties=member.parties).get(LOCATIONS).codes == (200, 1000)


@pytest.mark.req("CRED-37", "PIT-05")
def test_the_old_token_ends_with_the_first_request_that_uses_the_new_one(listener: Listener, member: Person) -> None:
    update_at(member.id)
    renewed = Person(token=listener.received("PUT")[0].json["token"], parties=member.parties)

    assert member.get(LOCATIONS).codes == (200, 1000)
    assert member.get("versions").codes == (200, 1000)
    assert renewed.get("versions").codes == (200, 1000)
    assert member.get(LOCATIONS).codes == (401, 2000)
    assert renewed.get(LOCATIONS).codes == (200, 1000)


@pytest.mark.req("CRED-37")
def test_an_old_token_ends_after_an_hour_at_the_latest(listener: Listener, member: Person) -> None:
    update_at(member.id)
    now = timezone.now()

    with time_machine.travel(now + timedelta(minutes=59)):
        assert member.get(LOCATIONS).codes == (200, 1000)
    with time_machine.travel(now + timedelta(minutes=61)):
        assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("CRED-37", "PIT-05")
@pytest.mark.django_db(transaction=True)
def test_both_tokens_are_good_while_the_put_is_open(
    listener: Listener, live_server: LiveServer, side: Side, partner: Partner
) -> None:
    side("hub", parties=["NL*HUB:HUB"], base_url=live_server.url)
    member = partner("DE*EMS:EMSP", listener=listener)
    seen: list[int] = []

    def call_back(request: Received) -> Reply:
        for token, path in ((request.json["token"], "versions"), (request.json["token"], "2.2.1"),
                            (member.token, "versions"), (member.token, "2.2.1/credentials")):  # fmt: skip
            headers = {"Authorization": secrets.authorization(token, base64_token=True)}
            seen.append(requests.get(f"{live_server.url}/ocpi/{path}", headers=headers, timeout=5).status_code)
        return Reply(data=listener.credentials("the-next-token-for-us"))

    listener.reply(*PUT, using=call_back)

    update_at(member.id)

    assert seen == [200, 200, 200, 200]


@pytest.mark.req("CRED-38", "CRED-37", "CRED-28", "SEC-07")
@pytest.mark.parametrize("reply", [{"code": 3001}, {"status": 500, "code": 3000}, {"status": 405, "code": 2000}, {}])
def test_a_refused_renewal_leaves_everything_as_it_was(
    listener: Listener, member: Person, reply: dict[str, Any]
) -> None:
    listener.reply(*PUT, **reply)

    with pytest.raises(HandshakeFailed):
        update_at(member.id)

    new = Person(token=listener.received("PUT")[0].json["token"], parties=member.parties)
    assert used_token(member.id) == member.token_out
    assert purposes() == ["CURRENT"]
    assert member.get(LOCATIONS).codes == (200, 1000)
    assert new.get("versions").codes == (401, 2000)


@pytest.mark.req("CRED-37", "PIT-05")
def test_after_an_unanswered_renewal_both_tokens_stay_until_the_new_one_is_used(
    listener: Listener, member: Person
) -> None:
    listener.reply(*PUT, close=True)

    with pytest.raises(OutcomeUnknown):
        update_at(member.id)

    renewed = Person(token=listener.received("PUT")[0].json["token"], parties=member.parties)
    assert renewed.get("versions").codes == (200, 1000)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert member.get(LOCATIONS).codes == (200, 1000)
        assert renewed.get(LOCATIONS).codes == (200, 1000)
        assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("CRED-37")
def test_a_second_unanswered_renewal_locks_nobody_out(listener: Listener, member: Person) -> None:
    listener.reply(*PUT, close=True, times=2)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            update_at(member.id)

    assert member.get(LOCATIONS).codes == (200, 1000)
    update_at(member.id)
    assert used_token(member.id) == listener.token_for_us


@pytest.mark.req("CRED-43", "SEC-07")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("refuses", [True, False])
def test_a_partner_that_leaves_while_we_renew_its_token_stays_away(
    listener: Listener, member: Person, refuses: bool
) -> None:
    def leave(_: Received) -> Reply:
        registration.unregister(platform_id=member.id)
        connection.close()  # this thread's own
        return Reply(status=500) if refuses else Reply(data=listener.credentials("the-next-token-for-us"))

    listener.reply(*PUT, using=leave)

    with pytest.raises(HandshakeFailed):
        update_at(member.id)

    new = Person(token=listener.received("PUT")[0].json["token"], parties=member.parties)
    assert [person.get(LOCATIONS).codes for person in (member, new)] == [(401, 2000)] * 2
    assert Platform.objects.get(pk=member.id).token_out == ""


@pytest.mark.req("SEC-06", "TRN-007")
@pytest.mark.parametrize("whose", ["ours", "another's"])
def test_a_renewal_that_brings_somebody_s_token_is_refused(
    listener: Listener, member: Person, partner: Partner, whose: str
) -> None:
    other = partner("NL*TNM:CPO")
    taken = other.token if whose == "ours" else other.token_out
    listener.reply(*PUT, data=listener.credentials(taken))

    with pytest.raises(HandshakeFailed, match="token"):
        update_at(member.id)

    assert used_token(member.id) == member.token_out
    assert member.get(LOCATIONS).codes == (200, 1000)


# ---- leaving


@pytest.mark.req("CRED-40", "CRED-43", "CRED-06")
@pytest.mark.parametrize("reply", [{}, {"status": 405, "code": 2000}, {"status": 401, "code": 2000}], ids=str)
def test_leaving_tells_the_partner_and_ends_both_tokens(
    listener: Listener, member: Person, reply: dict[str, Any]
) -> None:
    listener.reply("DELETE", "/ocpi/2.2.1/credentials", **reply)

    unregister_at(member.id)

    (sent,) = listener.requests
    assert (sent.method, sent.path, sent.token) == ("DELETE", "/ocpi/2.2.1/credentials", member.token_out)
    assert sent.body == b""
    assert Platform.objects.get(pk=member.id).state == "UNREGISTERED"
    assert used_token(member.id) == ""
    assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("CRED-40")
@pytest.mark.parametrize("reply", [{"status": 500, "code": 3000}, {"code": 2000}, {"close": True}], ids=str)
def test_a_partner_that_cannot_be_told_stays_registered(
    listener: Listener, member: Person, reply: dict[str, Any]
) -> None:
    listener.reply("DELETE", "/ocpi/2.2.1/credentials", **reply)

    with pytest.raises(HandshakeFailed):
        unregister_at(member.id)

    assert member.get(LOCATIONS).codes == (200, 1000)


@pytest.mark.req("CRED-43")
def test_a_platform_that_is_not_registered_is_neither_updated_nor_left(invited: Person) -> None:
    for operation in (update_at, unregister_at):
        with pytest.raises(HandshakeFailed, match="not registered"):
            operation(invited.id)


# ---- when


@pytest.mark.req("CRED-36", "SEC-07", "REL-07")
def test_tokens_are_renewed_after_a_month_and_not_before(listener: Listener, member: Person) -> None:
    tasks.renew_token(member.id)
    assert renewal.due() == []
    assert listener.requests == []

    CredentialsToken.objects.update(created_at=timezone.now() - timedelta(days=30, seconds=1))

    assert renewal.due() == [member.id]
    tasks.renew_token(member.id)
    tasks.renew_token(member.id)
    assert len(listener.received("PUT")) == 1
    assert renewal.due() == []


@pytest.mark.req("SEC-07")
def test_how_long_a_token_lives_is_a_setting(member: Person, settings: Settings) -> None:
    CredentialsToken.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert renewal.due() == []

    settings.OCPI_TOKEN_DAYS = 7

    assert renewal.due() == [member.id]
    assert "ocpi.tasks.renew_tokens" in settings.CELERY_BEAT_SCHEDULE


@pytest.mark.req("CRED-36", "SEC-07", "REL-07", "REL-20")
def test_each_renewal_is_a_task_of_its_own_so_that_none_waits_for_another(
    listener: Listener,
    member: Person,
    partner: Partner,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    lives: list[float] = []

    def apply_async(args: Any, *, expires: float, retry: bool) -> None:
        asked.append(args[0])
        lives.append(expires)

    monkeypatch.setattr(tasks.renew_token, "apply_async", apply_async)
    with Listener() as broken:
        refusing = partner("NL*TNM:CPO", listener=broken)
        broken.reply(*PUT, status=500)
        CredentialsToken.objects.update(created_at=timezone.now() - timedelta(days=31))

        tasks.renew_tokens()
        renewed = [renewal.renew(platform_id) for platform_id in (member.id, refusing.id)]

    assert sorted(asked) == sorted([member.id, refusing.id])
    assert all(0 < seconds <= 3600 for seconds in lives)  # until the next round
    assert renewed == [True, False]
    assert "was not renewed" in caplog.text


@pytest.mark.req("CRED-35", "SEC-07")
def test_a_revoked_token_is_unknown_at_once_and_an_update_brings_a_new_one(listener: Listener, member: Person) -> None:
    renewal.revoke(member.id)

    assert member.get(LOCATIONS).codes == (401, 2000)
    update_at(member.id)
    renewed = Person(token=listener.received("PUT")[0].json["token"], parties=member.parties)
    assert renewed.get(LOCATIONS).codes == (200, 1000)
    assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("SEC-07", "CRED-34")
def test_revoking_takes_every_token_that_lets_in_and_leaves_what_keeps_one_out(member: Person) -> None:
    tokens = {
        purpose: CredentialsToken.objects.create(
            platform_id=member.id, digest=secrets.digest(f"a-token-{purpose}"), purpose=purpose, last_four="xxxx"
        )
        for purpose in ("OLD", "PENDING", "A", "TOMBSTONE")
    }

    renewal.revoke(member.id)

    assert list(CredentialsToken.objects.filter(platform_id=member.id)) == [tokens["TOMBSTONE"]]


@pytest.mark.req("SEC-07")
@pytest.mark.django_db(transaction=True)
def test_what_was_read_while_a_token_was_being_revoked_is_not_remembered(member: Person) -> None:
    digest = secrets.digest(member.token)

    def known_to_others() -> bool:
        try:
            return digest in snapshot.current().tokens
        finally:
            connection.close()

    with transaction.atomic():
        renewal.revoke(member.id)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(known_to_others).result()

    assert digest not in snapshot.current().tokens
    assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("SEC-07", "CRED-36")
@pytest.mark.parametrize(
    "columns", [{"state": "UNREGISTERED"}, {"connection": "OFFLINE"}, {"paused_reason": "an operator's"}]
)
def test_who_cannot_be_asked_is_not_renewed(member: Person, columns: dict[str, str]) -> None:
    CredentialsToken.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert renewal.due() == [member.id]

    Platform.objects.update(**columns)

    assert renewal.due() == []


@pytest.mark.req("SEC-07")
def test_the_oldest_token_is_renewed_first(member: Person, partner: Partner) -> None:
    other = partner("NL*TNM:CPO")
    for days, platform_id in ((40, member.id), (50, other.id)):
        rows = CredentialsToken.objects.filter(platform_id=platform_id)
        rows.update(created_at=timezone.now() - timedelta(days=days))

    assert renewal.due() == [other.id, member.id]
