"""What only the fast lane can do or get wrong: many that wait, bodies in pieces, clients that leave, the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError, connection
from pytest_django.fixtures import Settings

from hub import asgi, forwarding
from hub.fast_django import DjangoDoor
from ocpi import authentication, exchanges, snapshot
from ocpi.headers import Address
from ocpi.models import CredentialsToken, Delivery, Exchange, Platform
from tests import front_doors
from tests.fixtures import Document, Partner
from tests.front_doors import LaneAnswer, LaneClient
from tests.people import Person
from tests.platforms import Listener

SESSION = "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1"
BROADCAST = "hub/2.2.1/receiver/locations/NL/TNM/LOC1"
BODY = b'{"kwh":12.5,"last_updated":"2026-01-01T00:00:00Z"}'
MARK = b"\xef\xbb\xbf"
pytestmark = pytest.mark.usefixtures("hub_side", "in_lane")


@pytest.fixture
def receiver(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


def lines(sender: Person, to: str = "DE*EMS", **more: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request."""
    country_code, party_id = to.split("*")
    found = {
        "authorization": sender.authorization,
        "content-type": "application/json",
        "x-request-id": "r",
        "x-correlation-id": "c",
        "ocpi-from-country-code": sender.address.country_code,
        "ocpi-from-party-id": sender.address.party_id,
        "ocpi-to-country-code": country_code,
        "ocpi-to-party-id": party_id,
        **more,
    }
    return [(name.encode(), value.encode()) for name, value in found.items()]


def ask(*requests: Awaitable[LaneAnswer]) -> list[LaneAnswer]:
    """Send requests at once and return their answers."""

    async def together() -> list[LaneAnswer]:
        return await asyncio.gather(*requests)

    return async_to_sync(together)()


def codes(answer: LaneAnswer) -> tuple[int, int]:
    return answer.status_code, json.loads(answer.content)["status_code"]


@pytest.mark.req("REL-24")
def test_one_platform_holds_so_many_requests_and_the_next_is_answered_at_once(
    cpo: Person, receiver: Person, partner: Partner, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_FORWARDS_PER_PLATFORM = 2
    listener.reply("PATCH", "/", delay=0.5)
    with Listener() as other_listener:
        partner("BE*MSX:EMSP", listener=other_listener)
        application = asgi.Application()

        async def all_at_once() -> list[LaneAnswer]:
            waiting = [
                asyncio.ensure_future(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application))
                for _ in range(2)
            ]
            while application.waiting() < 2:
                await asyncio.sleep(0.01)
            late = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
            other = await front_doors.ask("PATCH", SESSION, lines(cpo, "BE*MSX"), [BODY], application=application)
            assert not any(task.done() for task in waiting)
            found = [late, other, *await asyncio.gather(*waiting)]
            again = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
            await application.close()
            return [*found, again]

        late, other, *waited = async_to_sync(all_at_once)()

    assert codes(late) == (200, 4003)
    assert codes(other) == (200, 1000)
    assert [codes(answer) for answer in waited] == [(200, 1000)] * 3
    assert len(listener.received("PATCH")) == 3
    assert Platform.objects.get(pk=receiver.id).failures == 0, "waiting for others is no failure of the platform"


@pytest.mark.req("REL-24")
def test_all_platforms_together_hold_so_many(
    cpo: Person, receiver: Person, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_FORWARDS = 1
    listener.reply("PATCH", "/", delay=0.3)
    application = asgi.Application()

    async def both() -> list[LaneAnswer]:
        first = asyncio.ensure_future(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application))
        while not application.waiting():
            await asyncio.sleep(0.01)
        second = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
        found = [await first, second]
        await application.close()
        return found

    assert [codes(answer) for answer in async_to_sync(both)()] == [(200, 1000), (200, 4003)]


@pytest.mark.req("REL-30", "HUB-70")
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET"])
def test_a_request_without_an_answer_is_sent_once(
    cpo: Person, receiver: Person, listener: Listener, method: str
) -> None:
    listener.reply(method, "/", close=True)
    path = "/ocpi/hub/2.2.1/receiver/tariffs/NL/TNM/T1" if method == "DELETE" else SESSION

    answer = LaneClient().generic(method, path, BODY, headers=dict(as_text(lines(cpo))))

    assert codes(answer) == (200, 4002)
    assert b"the connection was closed before the answer was complete" in answer.content
    assert len(listener.received(method)) == 1
    said = Platform.objects.get(pk=receiver.id).last_error  # what is wrong, in words for an operator
    assert said == "the connection was closed before the answer was complete"


def as_text(found: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in found if name != b"content-type"]


@pytest.mark.req("HUB-69", "SEC-28")
def test_an_authorize_has_a_shorter_time_limit(
    cpo: Person, receiver: Person, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_AUTHORIZE_TIMEOUT, settings.OCPI_FORWARD_TIMEOUT = 0.2, 5.0
    listener.reply("POST", "/", delay=0.8, data={"allowed": "ALLOWED"})

    answer = cpo.post("hub/2.2.1/sender/tokens/T1/authorize", to="DE*EMS")
    command = cpo.post("hub/2.2.1/receiver/cdrs", {"id": "1"}, to="DE*EMS")

    assert answer.codes == (200, 4002)
    assert command.codes == (200, 1000)


@pytest.mark.req("SEC-45")
def test_a_body_in_pieces_is_one_body(cpo: Person, receiver: Person, listener: Listener) -> None:
    (answer,) = ask(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY[:7], b"", BODY[7:]]))

    assert codes(answer) == (200, 1000)
    assert listener.received("PATCH")[0].body == BODY


@pytest.mark.req("TRN-018", "HUB-21")
def test_a_byte_order_mark_is_taken_and_passed_on_neither_way(
    cpo: Person, receiver: Person, listener: Listener
) -> None:
    said = b'{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}'
    listener.reply("PATCH", "/", raw=MARK + said)

    (answer,) = ask(front_doors.ask("PATCH", SESSION, lines(cpo), [MARK + BODY]))

    assert (answer.status_code, answer.content) == (200, said)
    assert listener.received("PATCH")[0].body == BODY


@pytest.mark.req("SEC-45")
@pytest.mark.parametrize(("path", "limit"), [(SESSION, 1 << 20), (SESSION.replace("sessions", "locations"), 4 << 20)])
def test_a_body_that_is_too_long_is_not_read_to_its_end(
    cpo: Person, receiver: Person, listener: Listener, path: str, limit: int
) -> None:
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        while read < 4 * limit:
            read += 1 << 16
            yield b" " * (1 << 16)

    (answer,) = ask(front_doors.ask("PUT", path, lines(cpo), pieces()))

    assert codes(answer) == (400, 2000)
    assert limit < read <= limit + (1 << 18)
    assert listener.received("PUT") == []


@pytest.mark.req("SEC-46", "SEC-45")
@pytest.mark.parametrize(
    ("body", "more", "http"),
    [
        (b"{", {}, 400),
        (b'{"a":1,"a":2}', {}, 400),
        (b'{"a":"\\ud800"}', {}, 400),
        (b"[" * 40 + b"]" * 40, {}, 400),
        (b"", {}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-encoding": "gzip"}, 415),
    ],
)
def test_a_bad_body_is_refused_before_it_goes_anywhere(
    cpo: Person, receiver: Person, listener: Listener, body: bytes, more: dict[str, str], http: int
) -> None:
    (answer,) = ask(front_doors.ask("PUT", SESSION, lines(cpo, **more), [body]))

    assert codes(answer) == (http, 2000)
    assert answer.headers["ocpi-to-party-id"] == "TNM"
    assert listener.received("PUT") == []


@pytest.mark.req("SEC-45")
def test_too_many_headers_are_refused(cpo: Person) -> None:
    many = {f"x-{number}": "1" for number in range(101)}

    answers = ask(
        front_doors.ask("GET", SESSION, lines(cpo, **many), [b""]),
        front_doors.ask("GET", SESSION, lines(cpo, long="x" * 9000), [b""]),
    )

    assert [answer.status_code for answer in answers] == [431, 431]


@pytest.mark.req("TRN-008")
def test_a_stranger_is_answered_by_the_same_door_as_everywhere(stranger: Person, receiver: Person) -> None:
    assert stranger.patch(SESSION, {}, to="DE*EMS").codes == (401, 2000)


@pytest.mark.req("SEC-07")
def test_a_token_that_is_revoked_is_refused_at_once(cpo: Person, receiver: Person, listener: Listener) -> None:
    application = asgi.Application()

    async def before_and_after() -> list[LaneAnswer]:
        first = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
        again = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
        await sync_to_async(revoke, thread_sensitive=True)()
        last = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
        await application.close()
        return [first, again, last]

    def revoke() -> None:
        CredentialsToken.objects.filter(platform_id=cpo.id).delete()
        snapshot.changed()

    assert [answer.status_code for answer in async_to_sync(before_and_after)()] == [200, 200, 401]


@pytest.mark.req("SEC-07")
def test_a_token_that_another_process_revokes_is_refused_by_one_that_hears_nothing(
    cpo: Person, receiver: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = asgi.Application()

    async def before_and_after() -> list[LaneAnswer]:
        first = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
        await sync_to_async(revoke, thread_sensitive=True)()
        last = await front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application)
        await application.close()
        return [first, last]

    def revoke() -> None:
        CredentialsToken.objects.filter(platform_id=cpo.id).delete()  # nothing says so in this process
        monkeypatch.setattr(snapshot, "_deaf_since", time.monotonic() - 1.1)

    assert [answer.status_code for answer in async_to_sync(before_and_after)()] == [200, 401]


def test_a_known_caller_needs_no_database_and_no_thread(
    cpo: Person, receiver: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = asgi.Application()
    preferences = "/ocpi/hub/2.2.1/sender/sessions/S1/charging_preferences"  # passed on and not kept

    async def twice() -> LaneAnswer:
        await front_doors.ask("PUT", preferences, lines(cpo), [BODY], application=application)
        await application.settled()
        before = await sync_to_async(count, thread_sensitive=True)()
        monkeypatch.setattr(authentication, "authenticate", None)
        answer = await front_doors.ask("PUT", preferences, lines(cpo), [BODY], application=application)
        await application.settled()
        assert await sync_to_async(count, thread_sensitive=True)() == before
        await application.close()
        return answer

    def count() -> int:
        return len(connection.queries_log)

    connection.force_debug_cursor = True
    try:
        assert codes(async_to_sync(twice)()) == (200, 1000)
    finally:
        connection.force_debug_cursor = False


@pytest.mark.req("HUB-28")
def test_a_push_for_all_is_kept_and_marked_without_django(
    cpo: Person, receiver: Person, document: Document, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DjangoDoor, "answer", None)
    settings.OCPI_EXCHANGES = True
    location = document("location", id="LOC1")
    evse = f"{BROADCAST}/{location['evses'][0]['uid']}"

    put = cpo.put(BROADCAST, location, to=Address("NL", "HUB"))
    patch = cpo.patch(evse, {"status": "CHARGING", "last_updated": "2026-05-01T10:00:00Z"}, to=Address("NL", "HUB"))
    older = cpo.patch(evse, {"status": "CHARGING", "last_updated": "2001-05-01T10:00:00Z"}, to=Address("NL", "HUB"))

    assert [each.codes for each in (put, patch, older)] == [(201, 1000), (200, 1000), (200, 2001)]
    assert patch.headers["OCPI-from-party-id"] == "HUB"
    assert Delivery.objects.filter(platform_id=receiver.id).count() == 2
    exchanges.flush()
    assert list(Exchange.objects.order_by("id").values_list("status_code", flat=True)) == [1000, 1000, 2001]


@pytest.mark.req("HUB-13")
def test_both_legs_are_kept(cpo: Person, receiver: Person, settings: Settings) -> None:
    settings.OCPI_EXCHANGES = True

    cpo.patch(SESSION, json.loads(BODY), to="DE*EMS", headers={"X-Correlation-ID": "corr"})
    exchanges.flush()

    arrived, sent = Exchange.objects.filter(correlation_id="corr").order_by("direction")
    assert (arrived.direction, arrived.platform_id, arrived.status_code) == ("IN", cpo.id, 1000)
    assert (arrived.module, arrived.object_path, arrived.from_party, arrived.to_party) == (
        "sessions", "NL/TNM/S1", "NL*TNM", "DE*EMS",
    )  # fmt: skip
    assert (sent.direction, sent.platform_id, sent.status_code) == ("OUT", receiver.id, 1000)
    assert cpo.authorization not in arrived.request_headers
    assert json.loads(arrived.request_body) == json.loads(BODY)


@pytest.mark.req("REL-56")
def test_who_still_waits_at_the_end_is_answered(cpo: Person, receiver: Person, listener: Listener) -> None:
    listener.reply("PATCH", "/", delay=1.0)
    application = asgi.Application()

    async def cut_short() -> LaneAnswer:
        task = asyncio.ensure_future(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], application=application))
        while not listener.received("PATCH"):
            await asyncio.sleep(0.01)
        task.cancel()  # as uvicorn does when its patience ends
        answer = await task
        await application.close()
        return answer

    assert codes(async_to_sync(cut_short)()) == (200, 4002)
    assert Platform.objects.get(pk=receiver.id).failures == 0


def test_a_client_that_leaves_does_not_stop_what_was_sent(
    cpo: Person, receiver: Person, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True
    listener.reply("PATCH", "/", delay=0.2)

    async def gone(_message: Any) -> None:
        """uvicorn drops what is sent to nobody."""

    ask(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY], send=gone))
    exchanges.flush()

    assert sorted(Exchange.objects.values_list("direction", "status_code")) == [("IN", 1000), ("OUT", 1000)]


def test_a_client_that_leaves_in_the_middle_of_its_body_sends_nothing(
    cpo: Person, receiver: Person, listener: Listener
) -> None:
    answered = ask(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY[:9]], whole=False))

    assert answered == [LaneAnswer(0, {}, b"")]
    assert listener.received("PATCH") == []


@pytest.mark.parametrize("path", ["/livez", "/admin/login/", "/static/hub/admin.css", "/openapi.json"])
def test_what_people_and_machines_open_is_there(db: None, settings: Settings, path: str) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]

    answer = LaneClient().generic("GET", path, headers={"Host": "127.0.0.1"})

    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"])


def test_a_header_with_an_underscore_is_not_one_with_a_dash(cpo: Person, receiver: Person) -> None:
    found = [(name.replace(b"-", b"_"), value) for name, value in lines(cpo)]

    (answer,) = ask(front_doors.ask("GET", "/ocpi/hub/2.2.1/sender/locations", found, [b""]))

    assert answer.status_code == 200
    assert codes(answer)[1] == 2001


def test_there_is_no_websocket() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async_to_sync(asgi.Application())({"type": "websocket"}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1000}]


def test_it_begins_and_ends_with_its_server() -> None:
    sent: list[str] = []
    events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(events)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async_to_sync(asgi.Application())({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_what_nobody_expected_is_4000_and_not_a_traceback(
    cpo: Person, receiver: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(forwarding, "_url", fail)

    (answer,) = ask(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY]))

    assert codes(answer) == (500, 4000)
    assert b"secret" not in answer.content


@pytest.mark.req("HUB-67")
def test_who_cannot_be_recognized_while_the_database_is_away_gets_an_answer(
    cpo: Person, receiver: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is closed without an answer would look as if the request could have been done."""

    def away() -> None:
        raise OperationalError("secret")

    snapshot.changed()
    monkeypatch.setattr(snapshot, "load", away)

    (answer,) = ask(front_doors.ask("PATCH", SESSION, lines(cpo), [BODY]))

    assert codes(answer) == (503, 4000)
    assert b"secret" not in answer.content
    assert not listener.received("PATCH")
