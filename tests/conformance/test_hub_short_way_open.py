"""Requests without To headers in the fast lane: found in memory they go the short way; what changes takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django.fixtures import Settings

from hub import known_objects
from hub.models import KnownObject, Permission
from ocpi import exchanges, snapshot
from ocpi.models import CredentialsToken, Endpoint, Exchange, Party, Platform
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener
from tests.short_way import Answer, Served, after_warming, here, logged_alike, request, run
from tests.short_way import served_fixture as served_fixture

pytestmark = pytest.mark.usefixtures("hub_side", "in_lane", "hears")
AUTHORIZE = "/ocpi/hub/2.2.1/sender/tokens/T1/authorize"
SESSION = "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1"
PREFERENCES = "/ocpi/hub/2.2.1/sender/sessions/S9/charging_preferences"
HOLDER = b'{"cdr_token":{"country_code":"DE","party_id":"EMS","uid":"T1","type":"RFID","contract_id":"C"}}'


@pytest.fixture
def hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "hears", lambda: True)


@pytest.fixture
def receiver(partner: Partner, listener: Listener) -> Person:
    KnownObject.objects.create(kind="token", key="RFID/T1", owner="DE*EMS")
    KnownObject.objects.create(kind="session", key="S1", owner="NL*TNM", counterpart="DE*EMS")
    KnownObject.objects.create(kind="session", key="S9", owner="DE*EMS", counterpart="NL*TNM")
    return partner("DE*EMS:EMSP", listener=listener)


def unnamed(sender: Person, method: str = "POST", path: str = AUTHORIZE, body: bytes = b"", **more: str) -> bytes:
    """Return a request without To headers."""
    headers: Any = {"OCPI_to_country_code": "", "OCPI_to_party_id": ""} | more
    return request(sender, method=method, path=path, body=body, **headers)


@pytest.mark.req("HUB-48", "HUB-49", "HUB-51", "HUB-53", "HUB-56", "HUB-17")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", AUTHORIZE + "?type=RFID", b'{"location_id":"L","evse_uids":["1"]}'),
        ("POST", AUTHORIZE, b""),
        ("PATCH", SESSION, b'{"kwh":3,"status":"ACTIVE"}'),
        ("PUT", "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S2", HOLDER),
        ("GET", SESSION, b""),
        ("GET", "/ocpi/hub/2.2.1/receiver/tariffs/NL/TNM/X1", b""),  # nothing is known of it: there is only one party
    ],
)
def test_both_ways_come_to_the_same(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings, method: str, path: str,
    body: bytes,
) -> None:  # fmt: skip
    settings.OCPI_EXCHANGES = True
    octets = unnamed(cpo, method, path, body)

    async def both() -> list[Answer]:
        client = await served.client()
        return [await client.ask(octets), await client.ask(octets)]

    long, short = run(served, both)
    exchanges.flush()

    assert served.long == 1
    assert short.codes == (200, 1000)
    assert (short.http_status, short.headers) == (long.http_status, long.headers)
    assert (short.headers["ocpi-to-party-id"], short.headers["ocpi-from-party-id"]) == ("TNM", "EMS")
    first, second = listener.received(method)
    assert (second.path, second.query, second.body) == (first.path, first.query, first.body)
    one_id, two_id = (each.headers["x-request-id"] for each in (first, second))
    assert len({one_id, two_id, "r"}) == 3
    assert {**second.headers, "x-request-id": one_id} == first.headers
    assert second.headers["ocpi-to-party-id"] == "EMS"
    for direction, to in (("IN", ""), ("OUT", "DE*EMS")):
        _, two = logged_alike(direction)
        assert (two.from_party, two.to_party) == ("NL*TNM", to)


@pytest.mark.req("HUB-53")
def test_another_token_on_the_same_connection_goes_to_its_own_owner(
    cpo: Person, receiver: Person, partner: Partner, listener: Listener, served: Served
) -> None:
    KnownObject.objects.create(kind="token", key="RFID/T2", owner="BE*MSX")
    with Listener() as other:
        partner("BE*MSX:EMSP", listener=other)
        second = unnamed(cpo, path=AUTHORIZE.replace("T1", "T2"))

        async def work() -> list[str]:
            client, _ = await served.warm(unnamed(cpo))
            asked = [await client.ask(each) for each in (second, unnamed(cpo), second)]
            assert served.long == 2  # what was known of the second had to be read once
            return [each.headers["ocpi-from-party-id"] for each in asked]

        assert run(served, work) == ["MSX", "EMS", "MSX"]
        assert len(other.received("POST")) == 2


# ---- what changes


def _told() -> None:
    """Stand in for the triggers, which tell nothing before a test's transaction ends."""
    known_objects.heard("")


def _one_more_owner() -> None:
    KnownObject.objects.create(kind="token", key="RFID/T1", owner="NL*TNX")
    _told()


def _remove() -> None:
    KnownObject.objects.all().delete()
    _told()


def _deny() -> None:
    Permission.objects.create(effect="DENY", from_country_code="NL", to_country_code="DE")
    snapshot.changed()


def _end_party() -> None:
    Party.objects.filter(party_id="EMS").update(approved=False)
    snapshot.changed()


def _offline() -> None:
    Platform.objects.filter(parties__party_id="EMS").update(connection="OFFLINE")
    snapshot.changed()


def _no_endpoint() -> None:
    Endpoint.objects.filter(platform__parties__party_id="EMS", identifier="tokens").delete()
    snapshot.changed()


def _revoke() -> None:
    CredentialsToken.objects.filter(platform__parties__party_id="TNM").delete()
    snapshot.changed()


@pytest.mark.req("HUB-51", "HUB-53", "HUB-64", "HUB-66", "HUB-67", "SEC-07", "SEC-40")
@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (_one_more_owner, (200, 4001)),
        (_remove, (200, 4001)),
        (_deny, (200, 4001)),
        (_end_party, (200, 4001)),
        (_offline, (200, 4003)),
        (_no_endpoint, (200, 4000)),
        (_revoke, (401, 2000)),
    ],
)
def test_a_change_takes_effect_with_the_next_request(
    cpo: Person, receiver: Person, partner: Partner, listener: Listener, served: Served, change: Callable[[], None],
    codes: tuple[int, int],
) -> None:  # fmt: skip
    partner("NL*TNX:EMSP")

    answer, _ = after_warming(served, unnamed(cpo), unnamed(cpo), change)

    assert answer.codes == codes
    assert len(listener.received("POST")) == 2


@pytest.mark.req("HUB-53")
def test_a_token_that_changes_its_owner_goes_to_the_new_one(
    cpo: Person, receiver: Person, partner: Partner, served: Served
) -> None:
    def move() -> None:
        KnownObject.objects.filter(kind="token").update(owner="BE*MSX")
        _told()

    with Listener() as other:
        partner("BE*MSX:EMSP", listener=other)
        answer, _ = after_warming(served, unnamed(cpo), unnamed(cpo), move)

        assert (answer.codes, answer.headers["ocpi-from-party-id"]) == ((200, 1000), "MSX")
        assert len(other.received("POST")) == 1


@pytest.mark.req("HUB-53")
def test_a_token_just_pushed_is_found_though_it_was_unknown_a_moment_ago(
    cpo: Person, receiver: Person, served: Served, document: Any
) -> None:
    octets = unnamed(cpo, path=AUTHORIZE.replace("T1", "NEW"))

    async def work() -> list[tuple[int, int]]:
        client = await served.client()
        found = [(await client.ask(octets)).codes, (await client.ask(octets)).codes]
        pushed = await here(
            lambda: receiver.put("hub/2.2.1/receiver/tokens/DE/EMS/NEW", document("token_rfid", uid="NEW"), to="NL*HUB")
        )
        assert pushed.status_code == 1000
        return [*found, (await client.ask(octets)).codes]

    assert run(served, work) == [(200, 4001), (200, 4001), (200, 1000)]


@pytest.mark.req("HUB-53")
def test_many_that_ask_at_once_are_read_with_few_queries(
    cpo: Person, receiver: Person, listener: Listener, served: Served, monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:  # fmt: skip
    settings.OCPI_FORWARDS_PER_PLATFORM = 20
    keys = [f"M{number}" for number in range(20)]
    KnownObject.objects.bulk_create(KnownObject(kind="token", key=f"RFID/{key}", owner="DE*EMS") for key in keys)
    reads: list[int] = []
    usual = known_objects.find_all

    def counted(questions: Any) -> Any:
        reads.append(len(questions))
        return usual(questions)

    monkeypatch.setattr(known_objects, "find_all", counted)

    async def work() -> list[tuple[int, int]]:
        await served.warm(unnamed(cpo))
        reads.clear()
        clients = [await served.client() for _ in keys]
        asked = [
            client.ask(unnamed(cpo, path=AUTHORIZE.replace("T1", key)))
            for client, key in zip(clients, keys, strict=True)
        ]
        return [each.codes for each in await asyncio.gather(*asked)]

    assert run(served, work) == [(200, 1000)] * len(keys)
    assert sum(reads) == len(keys)
    assert len(reads) < len(keys) / 2


@pytest.mark.req("HUB-51", "HUB-67")
def test_if_nothing_can_be_read_each_that_asked_is_told_so(
    cpo: Person, receiver: Person, listener: Listener, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_questions: Any) -> Any:
        raise OperationalError("the database is away")

    async def work() -> list[tuple[int, int]]:
        clients = [await served.client() for _ in range(3)]
        await clients[0].ask(unnamed(cpo))
        known_objects.heard("")
        with monkeypatch.context() as patched:
            patched.setattr(known_objects, "find_all", broken)
            found = [each.codes for each in await asyncio.gather(*[each.ask(unnamed(cpo)) for each in clients])]
        return [*found, (await clients[0].ask(unnamed(cpo))).codes]

    assert run(served, work) == [(503, 4000)] * 3 + [(200, 1000)]
    assert len(listener.received("POST")) == 2


# ---- what is not as usual


@pytest.mark.req("HUB-05", "HUB-10", "HUB-55", "HUB-64", "TRN-056", "SEC-35", "SEC-46")
@pytest.mark.parametrize(
    ("then", "codes"),
    [
        (lambda cpo: unnamed(cpo, path=AUTHORIZE.replace("T1", "T9")), (200, 4001)),
        (lambda cpo: unnamed(cpo, path=AUTHORIZE + "?type=APP_USER"), (200, 4001)),
        (lambda cpo: unnamed(cpo, method="GET", path="/ocpi/hub/2.2.1/sender/tokens"), (200, 2001)),
        (lambda cpo: unnamed(cpo, OCPI_from_party_id="XXX"), (200, 2001)),
        (lambda cpo: unnamed(cpo, OCPI_to_party_id="EMS"), (200, 2001)),
        (lambda cpo: unnamed(cpo, body=b"{]"), (400, 2000)),
        (lambda cpo: unnamed(cpo, body=b'{"a":1,"a":2}'), (400, 2000)),
        (lambda cpo: unnamed(cpo, method="PATCH", path=SESSION.replace("NL/TNM", "FR/CPX"), body=b"{}"), (404, 2000)),
        (lambda cpo: unnamed(cpo, method="DELETE"), (405, 2000)),
        (lambda cpo: request(cpo, method="POST", path=AUTHORIZE, body=b"", to="NL*HUB"), (200, 4001)),
        (lambda cpo: unnamed(cpo, method="PUT", path=SESSION, body=HOLDER.replace(b"EMS", b"ZZZ")), (200, 4001)),
        (lambda cpo: unnamed(cpo, method="PUT", path=SESSION, body=HOLDER.replace(b"EMS", b"Z" * 99)), (200, 4001)),
    ],
)
def test_what_is_refused_by_the_long_way_is_refused(
    cpo: Person, receiver: Person, listener: Listener, served: Served, then: Callable[[Person], bytes],
    codes: tuple[int, int],
) -> None:  # fmt: skip
    """Over a warm connection, and again: what was found out is remembered, too."""

    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(unnamed(cpo))
        return [(await client.ask(then(cpo))).codes for _ in range(3)]

    assert run(served, work) == [codes] * 3
    assert len(listener.received()) == 2


@pytest.mark.req("HUB-65", "HUB-67", "REL-25", "HUB-22")
@pytest.mark.parametrize(
    "reply",
    [{"status": 500, "code": 3000}, {"status": 404, "code": 2003}, {"raw": b"<html>"}, {"close": True}],
    ids=str,
)
def test_what_the_receiver_says_comes_back_as_by_the_long_way(
    cpo: Person, receiver: Person, listener: Listener, served: Served, reply: dict[str, Any], settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True

    def log() -> list[str]:
        exchanges.flush()
        rows = Exchange.objects.values_list(
            "direction", "from_party", "to_party", "http_status", "status_code", "error", "correlation_id"
        )
        found = sorted(map(str, rows))
        Exchange.objects.all().delete()
        return found

    async def work() -> None:
        client, _ = await served.warm(unnamed(cpo))
        await here(log)
        listener.reply("POST", "/", **reply)
        before, short = served.long, await client.ask(unnamed(cpo))
        assert served.long == before
        await served.application.settled()
        after_short = await here(log)
        other = await served.client()
        long = await other.ask(unnamed(cpo))
        await served.application.settled()
        assert (short.http_status, short.headers) == (long.http_status, long.headers)
        assert short.codes == long.codes
        assert await here(log) == after_short
        assert len(after_short) == 2

    run(served, work)


@pytest.mark.req("HUB-79")
def test_a_loop_is_found_whether_it_names_its_receiver_or_not(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(unnamed(cpo))
        other, _ = await served.warm(request(cpo, method="POST", path=AUTHORIZE, body=b""))
        listener.reply("POST", "/", delay=0.4, times=1)
        client.send(unnamed(cpo).replace(b"X-Request-ID: r", b"X-Request-ID: a").replace(b"ID: c\r", b"ID: loop\r"))
        while not served.application.waiting():
            await asyncio.sleep(0.01)
        again = await other.ask(request(cpo, method="POST", path=AUTHORIZE, body=b"", ids=("b", "loop")))
        return [again.codes, (await client.answer()).codes]

    assert run(served, work) == [(200, 4000), (200, 1000)]
