"""The short way of the fast lane: what is remembered ends with what it was found by, and nothing gets past a rule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from hub import doors, fast_lane, fast_ways, permissions
from hub.models import Permission
from ocpi import exchanges, rate_limit, snapshot
from ocpi.models import CredentialsToken, Endpoint, Exchange, Party, Platform
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener
from tests.short_way import BODY, PREFERENCES, Answer, Client, Served, after_warming, here, logged_alike, request, run
from tests.short_way import served_fixture as served_fixture

pytestmark = pytest.mark.usefixtures("hub_side", "in_lane")


@pytest.fixture
def receiver(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


# ---- the same answer, and the same in the log


@pytest.mark.req("HUB-13", "HUB-14", "HUB-17")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", PREFERENCES, BODY),
        ("POST", "/ocpi/hub/2.2.1/sender/tokens/T1/authorize?type=RFID", b'{"location_id":"L","evse_uids":["1"]}'),
        ("POST", "/ocpi/hub/2.2.1/sender/tokens/T1/authorize", b""),
        ("GET", "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1", b""),
        ("PATCH", "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1", b'{"kwh":3,"status":"ACTIVE"}'),
        ("DELETE", "/ocpi/hub/2.2.1/receiver/chargingprofiles/S1", b""),
    ],
)
def test_both_ways_come_to_the_same(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings, method: str, path: str,
    body: bytes,
) -> None:  # fmt: skip
    settings.OCPI_EXCHANGES = True
    octets = request(cpo, method=method, path=path, body=body, User_Agent="x/1.0")

    async def both() -> list[Answer]:
        client = await served.client()
        return [await client.ask(octets), await client.ask(octets)]

    long, short = run(served, both)
    exchanges.flush()

    assert served.long == 1
    assert (short.http_status, short.headers) == (long.http_status, long.headers)
    assert short.codes == (200, 1000)
    first, second = listener.received(method)
    ids = ("x-request-id",)
    assert {n: v for n, v in second.headers.items() if n not in ids} == {
        n: v for n, v in first.headers.items() if n not in ids
    }
    assert (second.path, second.query, second.body) == (first.path, first.query, first.body)
    assert len({"r", first.headers["x-request-id"], second.headers["x-request-id"]}) == 3
    for direction in ("IN", "OUT"):
        one, two = logged_alike(direction)
        assert _names(two.request_headers) == _names(one.request_headers)
        assert _names(two.response_headers) == _names(one.response_headers)
        assert 0 <= (two.milliseconds or -1) < 60_000
    arrived, sent = Exchange.objects.order_by("at")[2:]
    assert (arrived.direction, sent.direction) == ("IN", "OUT")
    assert cpo.authorization not in arrived.request_headers


def _names(lines: str) -> dict[str, str]:
    found = dict(line.split(": ", 1) for line in lines.split("\n"))
    return {name: value for name, value in found.items() if name.lower() not in ("x-request-id", "date")}


@pytest.mark.req("HUB-12", "HUB-13", "SEC-40")
@pytest.mark.parametrize("to", ["BE*MSX", "BE*EMS", "DE*MSX"])
def test_another_object_and_another_party_on_the_same_connection(
    cpo: Person, receiver: Person, partner: Partner, listener: Listener, served: Served, to: str
) -> None:
    with Listener() as other:
        partner(f"{to}:EMSP", listener=other)
        answer, _ = after_warming(
            served, request(cpo), request(cpo, to=to, path=PREFERENCES.replace("S1", "S2"), ids=("r2", "c2"))
        )

        assert answer.codes == (200, 1000)
        assert (answer.headers["x-request-id"], answer.headers["x-correlation-id"]) == ("r2", "c2")
        assert f"{answer.headers['ocpi-from-country-code']}*{answer.headers['ocpi-from-party-id']}" == to
        assert other.received("PUT")[0].path.endswith("/S2/charging_preferences")


@pytest.mark.req("HUB-12", "HUB-13", "SEC-34")
@pytest.mark.parametrize("sender", ["BE*TNM", "NL*TN2", "BE*TN2"])
def test_another_party_that_asks_on_the_same_connection(
    partner: Partner, receiver: Person, listener: Listener, served: Served, sender: str
) -> None:
    asking = partner("NL*TNM:CPO", f"{sender}:CPO")
    country_code, party_id = sender.split("*")
    changed = request(asking, OCPI_from_country_code=country_code, OCPI_from_party_id=party_id)

    answer, _ = after_warming(served, request(asking), changed)

    assert answer.codes == (200, 1000)
    assert f"{answer.headers['ocpi-to-country-code']}*{answer.headers['ocpi-to-party-id']}" == sender
    got = listener.received("PUT")[-1].headers
    assert f"{got['ocpi-from-country-code']}*{got['ocpi-from-party-id']}" == sender


@pytest.mark.req("SEC-40")
def test_a_module_that_a_rule_denies_on_the_connection_of_one_that_passes(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    Permission.objects.create(effect="DENY", from_country_code="NL", module="tariffs")
    session, tariff = (f"/ocpi/hub/2.2.1/receiver/{module}/NL/TNM/1" for module in ("sessions", "tariffs"))
    body = b'{"currency":"EUR"}'

    answer, _ = after_warming(served, request(cpo, path=session, body=body), request(cpo, path=tariff, body=body))

    assert answer.codes == (200, 4001)
    assert {got.path.rsplit("/", 4)[1] for got in listener.received("PUT")} == {"sessions"}


@pytest.mark.req("SEC-40")
@pytest.mark.parametrize(
    ("method", "path", "body"), [("PUT", "sessions/NL/TNM/S1", b'{"kwh":3}'), ("DELETE", "chargingprofiles/S1", b"")]
)
def test_a_push_that_a_rule_denies_on_the_connection_of_a_pull_that_passes(
    cpo: Person, receiver: Person, listener: Listener, served: Served, method: str, path: str, body: bytes
) -> None:
    Permission.objects.create(effect="DENY", from_country_code="NL", direction="PUSH")
    at = f"/ocpi/hub/2.2.1/receiver/{path}"
    pull, push = (request(cpo, method=each, path=at, body=octets) for each, octets in (("GET", b""), (method, body)))

    answer, _ = after_warming(served, pull, push)

    assert answer.codes == (200, 4001)
    assert {got.method for got in listener.received()} == {"GET"}


# ---- what is remembered ends with what it was found by


@pytest.mark.req("SEC-40")
def test_a_rule_that_begins_holds_within_seconds(
    cpo: Person, receiver: Person, listener: Listener, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says that it begins, and ways are remembered: by either memory for no more than a moment."""
    moment = timezone.now() + timedelta(hours=1)
    Permission.objects.create(effect="DENY", from_country_code="NL", to_country_code="DE", valid_from=moment)

    def begin() -> None:
        monkeypatch.setattr(permissions, "time", SimpleNamespace(time=moment.timestamp))
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + 5, perf_counter=time.perf_counter)
        for memory in (fast_lane, fast_ways):
            monkeypatch.setattr(memory, "time", later)

    answer, _ = after_warming(served, request(cpo), request(cpo), begin)

    assert answer.codes == (200, 4001)
    assert len(listener.received("PUT")) == 2


def _revoke(cpo: Person) -> None:
    CredentialsToken.objects.filter(platform_id=cpo.id).delete()


def _part(cpo: Person) -> None:
    Permission.objects.create(effect="DENY", from_country_code="NL", to_country_code="DE")


def _set_offline(cpo: Person) -> None:
    Platform.objects.exclude(pk=cpo.id).update(connection="OFFLINE")


def _pause(cpo: Person) -> None:
    Platform.objects.exclude(pk=cpo.id).update(paused_reason="an operator")


def _lose_the_party(cpo: Person) -> None:
    Party.objects.filter(platform_id=cpo.id).update(approved=False)


def _lose_the_host(cpo: Person) -> None:
    Platform.objects.exclude(pk=cpo.id).update(hosts=["elsewhere.example:443"])


def _lose_the_endpoint(cpo: Person) -> None:
    Endpoint.objects.exclude(platform_id=cpo.id).filter(identifier="sessions").delete()


@pytest.mark.req("SEC-07", "SEC-21", "SEC-40", "REL-25", "HUB-66", "SEC-34")
@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (_revoke, (401, 2000)),
        (_part, (200, 4001)),
        (_set_offline, (200, 4003)),
        (_pause, (200, 4003)),
        (_lose_the_party, (200, 2001)),
        (_lose_the_endpoint, (200, 4000)),
        (_lose_the_host, (200, 4000)),
    ],
)
def test_a_change_of_the_registry_is_seen_at_once(
    cpo: Person, receiver: Person, listener: Listener, served: Served, change: Callable[[Person], None],
    codes: tuple[int, int],
) -> None:  # fmt: skip
    def between() -> None:
        change(cpo)
        snapshot.changed()

    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(request(cpo))
        await here(between)
        return [(await client.ask(request(cpo))).codes for _ in range(3)]  # by no way that is found anew either

    assert run(served, work) == [codes] * 3
    assert len(listener.received("PUT")) == 2


@pytest.mark.req("SEC-07")
def test_a_token_that_another_process_revokes_is_refused_by_one_that_hears_nothing(
    cpo: Person, receiver: Person, listener: Listener, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def between() -> None:
        _revoke(cpo)  # nothing says so in this process
        monkeypatch.setattr(snapshot, "_deaf_since", time.monotonic() - 1.1)

    answer, _ = after_warming(served, request(cpo), request(cpo), between)

    assert answer.codes == (401, 2000)
    assert len(listener.received("PUT")) == 2


@pytest.mark.req("REL-25")
def test_a_breaker_that_opens_is_seen_at_once(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    async def work() -> tuple[int, int]:
        client, _ = await served.warm(request(cpo))
        listener.reply("PUT", "/", status=401, code=2001)
        listener.reply("GET", "/ocpi/versions", status=401, code=2001)
        refused = await client.ask(request(cpo))
        assert refused.codes == (200, 4003)
        listener.restore()
        return (await client.ask(request(cpo))).codes

    assert run(served, work) == (200, 4003)
    assert len(listener.received("PUT")) <= 3


def test_a_party_that_moves_is_found_where_it_is_now(
    cpo: Person, receiver: Person, partner: Partner, listener: Listener, served: Served
) -> None:
    with Listener() as other:
        new = partner("DE*NEW:EMSP", listener=other)

        def move() -> None:
            Party.objects.filter(platform_id=new.id).update(party_id="OLD")
            Party.objects.filter(platform_id=receiver.id).update(platform_id=new.id)
            snapshot.changed()

        answer, _ = after_warming(served, request(cpo), request(cpo), move)

        assert answer.codes == (200, 1000)
        assert len(other.received("PUT")) == 1


# ---- what is not as before is for the parser


@pytest.mark.req("TRN-056", "HUB-05", "SEC-45", "SEC-46")
@pytest.mark.parametrize(
    ("make", "codes"),
    [
        (lambda octets: octets.replace(b"OCPI-to-party-id", b"ocpi-TO-party-id"), (200, 1000)),
        (lambda octets: octets.replace(b"X-Request-ID: r\r\n", b""), (200, 1000)),
        (lambda octets: octets.replace(b"\r\n\r\n", b"\r\nOCPI-to-party-id: EMS\r\n\r\n"), (200, 2001)),
        (lambda octets: octets.replace(b"X-Request-ID: r", b"X-Request-ID:   r"), (200, 1000)),
        (lambda octets: octets.replace(b"application/json", b"text/plain"), (415, 2000)),
        (lambda octets: octets.replace(BODY, b"{" + BODY[1:-1] + b"]"), (400, 2000)),
        (lambda octets: octets.replace(b'"energy_need":12.5}', b'"profile_type":1.5}'), (400, 2000)),
        (lambda octets: octets.replace(b"Token ", b"token  "), (200, 1000)),
        (lambda octets: octets.replace(b"sessions/S1", b"sessions/S%31"), (200, 1000)),
        (lambda octets: octets.replace(b"sessions/S1", b"sessions//S1"), (200, 1000)),
        (lambda octets: octets.replace(b"PUT /", b"PUT http://hub.example/"), (200, 1000)),
    ],
)
def test_a_request_that_differs_is_read_as_any_other(
    cpo: Person, receiver: Person, listener: Listener, served: Served, make: Any, codes: tuple[int, int]
) -> None:
    octets = request(cpo)

    answer, long = after_warming(served, octets, make(octets))

    assert answer.http_status == codes[0], answer
    assert answer.codes == codes
    assert long == 1
    assert len(listener.received("PUT")) == (3 if codes[1] == 1000 else 2)


@pytest.mark.req("SEC-45")
@pytest.mark.parametrize("more", [{"Content_Type": "text/plain"}, {"Content_Encoding": "gzip"}])
def test_what_is_no_plain_json_is_refused_each_time(
    cpo: Person, receiver: Person, listener: Listener, served: Served, more: dict[str, Any]
) -> None:
    octets = request(cpo, **more)

    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(request(cpo))
        return [(await client.ask(octets)).codes for _ in range(3)]

    assert run(served, work) == [(415, 2000)] * 3
    assert len(listener.received("PUT")) == 2


def _chunked(octets: bytes) -> bytes:
    head = octets.partition(b"\r\n\r\n")[0].replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
    return b"%b\r\n\r\n%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, 5, BODY[:5], len(BODY) - 5, BODY[5:])


@pytest.mark.req("SEC-45")
def test_chunks_after_and_before_the_usual(cpo: Person, receiver: Person, listener: Listener, served: Served) -> None:
    octets = request(cpo)

    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(octets)
        return [(await client.ask(each)).codes for each in (_chunked(octets), octets, _chunked(octets), octets)]

    assert run(served, work) == [(200, 1000)] * 4
    assert [each.body for each in listener.received("PUT")] == [BODY] * 6


@pytest.mark.req("SEC-32", "SEC-34")
@pytest.mark.parametrize(
    "path", [PREFERENCES, "/ocpi/hub/2.2.1/receiver/locations/NL/TNM/L1", "/ocpi/2.2.1/credentials"]
)
@pytest.mark.parametrize("left_out", ["", "Authorization"])
def test_what_stands_behind_a_chunked_body_is_no_header(
    cpo: Person, receiver: Person, listener: Listener, served: Served, path: str, left_out: str
) -> None:
    """Front servers judge the headers in front of a body; a trailer gets past them."""
    to = "DE*EMS" if path == PREFERENCES else "NL*HUB"
    octets = request(cpo, path=path, to=to)
    if left_out:
        octets = octets.replace(f"{left_out}: {cpo.authorization}\r\n".encode(), b"")
    more = f"Authorization: {cpo.authorization}\r\nX-Request-ID: other\r\nOCPI-to-party-id: XXX\r\n".encode()
    chunked = _chunked(octets)[: -len(b"\r\n")] + more + b"\r\n"

    async def work() -> list[Answer]:
        return [await (await served.client()).ask(each) for each in (chunked, _chunked(octets))]

    found, usual = run(served, work)
    assert (found.http_status, found.headers) == (usual.http_status, usual.headers)
    assert found.codes[1] == usual.codes[1]
    assert found.headers["x-request-id"] == "r"
    if left_out:
        assert found.codes == (401, 2000)


@pytest.mark.req("SEC-45")
def test_a_length_that_is_not_the_bodys_makes_no_second_request(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    """Whatever stands behind a body is the next request, on its own and with its own token."""
    octets = request(cpo)
    hidden = request(cpo, path=PREFERENCES.replace("S1", "HIDDEN")).replace(cpo.authorization.encode(), b"Token bad=")

    async def work() -> list[int]:
        client, _ = await served.warm(octets)
        client.send(octets + hidden)
        return [(await client.answer()).http_status, (await client.answer()).http_status]

    assert run(served, work) == [200, 401]
    assert not [each for each in listener.received("PUT") if "HIDDEN" in each.path]


@pytest.mark.parametrize("cut", [10, 200, -1, -20])
def test_a_request_in_two_pieces_is_one(
    cpo: Person, receiver: Person, listener: Listener, served: Served, cut: int
) -> None:
    octets = request(cpo)

    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(octets)
        client.send(octets[:cut])
        await asyncio.sleep(0.05)
        return [(await client.ask(octets[cut:])).codes, (await client.ask(octets)).codes]

    assert run(served, work) == [(200, 1000)] * 2
    assert [each.body for each in listener.received("PUT")] == [BODY] * 4


@pytest.mark.req("TRN-018")
def test_a_byte_order_mark_means_nothing(cpo: Person, receiver: Person, listener: Listener, served: Served) -> None:
    answer, _ = after_warming(served, request(cpo), request(cpo, body=b"\xef\xbb\xbf" + BODY))

    assert answer.codes == (200, 1000)
    assert [each.body for each in listener.received("PUT")] == [BODY] * 3


def test_requests_sent_ahead_are_answered_in_order(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    async def work() -> list[str]:
        client, _ = await served.warm(request(cpo))
        listener.reply("PUT", "/", delay=0.2, times=1)
        client.send(request(cpo, ids=("1", "1")))
        await asyncio.sleep(0.05)
        client.send(request(cpo, ids=("2", "2")) + request(cpo, ids=("3", "3")))
        return [(await client.answer()).headers["x-request-id"] for _ in range(3)]

    assert run(served, work) == ["1", "2", "3"]


@pytest.mark.req("TRN-034")
@pytest.mark.parametrize(("method", "http_status"), [("HEAD", 405), ("OPTIONS", 405), ("PROPFIND", 405)])
def test_other_methods_are_djangos(
    cpo: Person, receiver: Person, listener: Listener, served: Served, method: str, http_status: int
) -> None:
    octets = request(cpo, body=b"", method="GET", path="/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1")

    async def work() -> int:
        client, _ = await served.warm(octets)
        client.send(octets.replace(b"GET", method.encode()))
        head = await asyncio.wait_for(client._reader.readuntil(b"\r\n\r\n"), 30)
        return int(head.split()[1])

    assert run(served, work) == http_status


@pytest.mark.req("SEC-45")
def test_a_body_over_the_cap_is_refused(cpo: Person, receiver: Person, listener: Listener, served: Served) -> None:
    async def work() -> tuple[tuple[int, int], bool]:
        client, _ = await served.warm(request(cpo))
        answer = await client.ask(request(cpo, body=b'{"a":"' + b"x" * (1 << 20) + b'"}'))
        return answer.codes, await client.is_closed()

    assert run(served, work) == ((400, 2000), True)


# ---- limits


@pytest.mark.req("SEC-28", "HUB-69", "HUB-65")
def test_no_answer_within_the_limit_is_4002(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings
) -> None:
    def between() -> None:
        settings.OCPI_FORWARD_TIMEOUT = 0.3
        listener.reply("PUT", "/", delay=12)

    began = time.monotonic()
    answer, _ = after_warming(served, request(cpo), request(cpo), between)

    assert answer.codes == (200, 4002)
    assert time.monotonic() - began < 10


@pytest.mark.req("HUB-69")
def test_an_authorize_has_its_own_limit(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings
) -> None:
    path = "/ocpi/hub/2.2.1/sender/tokens/T1/authorize"

    def between() -> None:
        settings.OCPI_AUTHORIZE_TIMEOUT, settings.OCPI_FORWARD_TIMEOUT = 0.3, 25
        listener.reply("POST", "/", delay=12)

    listener.reply("POST", "/", data={"allowed": "ALLOWED"})
    question = request(cpo, method="POST", path=path, body=b'{"location_id":"LOC1"}')
    answer, _ = after_warming(served, question, question, between)

    assert answer.codes == (200, 4002)


@pytest.mark.req("SEC-28", "HUB-69")
def test_the_limit_holds_for_the_first_that_waits_after_a_while_in_which_nobody_did(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings
) -> None:
    async def work() -> tuple[int, int]:
        client, _ = await served.warm(request(cpo))
        await served.quiet()
        settings.OCPI_FORWARD_TIMEOUT = 0.3
        listener.reply("PUT", "/", delay=12)
        before = served.long
        answer = await client.ask(request(cpo))
        assert served.long == before
        return answer.codes

    began = time.monotonic()

    assert run(served, work) == (200, 4002)
    assert time.monotonic() - began < 10


@pytest.mark.req("SEC-29")
def test_an_answer_over_the_limit_is_not_passed_back(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    def between() -> None:
        right = b'{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}'  # but for its length
        listener.reply("PUT", "/", raw=right + b" " * (1 << 20))

    answer, _ = after_warming(served, request(cpo), request(cpo), between)

    assert answer.codes == (200, 4000)
    assert len(answer.body) < 1000


@pytest.mark.req("SEC-28", "SEC-29")
@pytest.mark.parametrize("reply", [{"delay": 12}, {"raw": b'{"status_code":1000}' + b" " * 3000}], ids=["late", "long"])
def test_what_comes_again_on_a_new_connection_keeps_its_limits(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings,
    monkeypatch: pytest.MonkeyPatch, reply: dict[str, Any],
) -> None:  # fmt: skip
    monkeypatch.setattr(doors, "_PAGE_OCTETS", 3000)
    octets = request(cpo, method="GET", path="/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1", body=b"", Content_Type="")

    def between() -> None:
        settings.OCPI_FORWARD_TIMEOUT = 0.5
        listener.reply("GET", "/", **reply)
        listener.reply("GET", "/", close=True, times=1)

    began = time.monotonic()
    answer, long = after_warming(served, octets, octets, between)

    assert (answer.codes, long) == ((200, 4002 if "delay" in reply else 4000), 0)
    assert len(listener.received("GET", "/ocpi/2.2.1/receiver/sessions")) == 4
    assert time.monotonic() - began < 10


@pytest.mark.req("REL-50")
def test_the_rate_limit_counts_each_request_once(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings
) -> None:
    settings.OCPI_RATE_PER_PLATFORM, settings.OCPI_RATE_BURST = 0.001, 5
    rate_limit.forget()

    async def work() -> list[int]:
        client, _ = await served.warm(request(cpo))
        listener.down()  # the kept connection is gone: what goes the short way first goes on by the long one
        listener.up()
        return [(await client.ask(request(cpo))).http_status for _ in range(5)]

    try:
        found = run(served, work)
        assert found == [200, 200, 200, 429, 429]
        assert rate_limit._refusals == {str(cpo.id): 2}
    finally:
        rate_limit.forget()


@pytest.mark.req("HUB-79")
def test_a_loop_is_found_whichever_way_it_comes(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(request(cpo))
        other, _ = await served.warm(request(cpo))
        listener.reply("PUT", "/", delay=0.4, times=1)
        client.send(request(cpo, ids=("a", "loop")))
        await asyncio.sleep(0.1)
        again = await other.ask(request(cpo, ids=("b", "loop")))
        found = [again.codes, (await client.answer()).codes, (await other.ask(request(cpo, ids=("b", "loop")))).codes]
        assert served.application.waiting() == 0
        return found

    assert run(served, work) == [(200, 4000), (200, 1000), (200, 1000)]


@pytest.mark.req("REL-24")
def test_one_platform_holds_so_many_requests(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings
) -> None:
    async def work() -> list[tuple[int, int]]:
        client, _ = await served.warm(request(cpo))
        other, _ = await served.warm(request(cpo))
        listener.reply("PUT", "/", delay=0.4, times=2)
        client.send(request(cpo, ids=("a", "0")))
        other.send(request(cpo, ids=("b", "0b")))
        assert [(await each.answer()).codes for each in (client, other)] == [(200, 1000)] * 2
        assert served.application.waiting() == 0
        settings.OCPI_FORWARDS_PER_PLATFORM = 1  # from now on, when there are two connections to the receiver
        listener.reply("PUT", "/", delay=0.4, times=1)
        client.send(request(cpo, ids=("a", "1")))
        await asyncio.sleep(0.1)
        late = await other.ask(request(cpo, ids=("b", "2")))
        first = await client.answer()
        assert served.application.waiting() == 0
        return [late.codes, first.codes, (await other.ask(request(cpo))).codes]

    assert run(served, work) == [(200, 4003), (200, 1000), (200, 1000)]


# ---- answers that are not as usual


@pytest.mark.req("HUB-67", "REL-25", "HUB-74", "PIT-26", "SEC-46")
@pytest.mark.parametrize(
    "reply",
    [
        {"status": 500, "code": 3000},
        {"status": 404, "code": 2003},
        {"status": 200, "code": 2002},
        {"status": 201},
        {"raw": b"<html>"},
        {"raw": b""},
        {"raw": b'{"status_code":"1000","timestamp":"2026-01-01T00:00:00Z"}'},
        {"raw": b'{"status_code":1000}'},
        {"raw": b'{"status_code":1000,"status_code":2000,"timestamp":"2026-01-01T00:00:00Z"}'},
        {"raw": b'[{"status_code":1000}]'},
        {"status": 401, "code": 2001},
        {"status": 302, "headers": {"Location": "/elsewhere"}},
        {"headers": {"Retry-After": "7", "X-Limit": "3"}},
        {"headers": {"OCPI-from-party-id": "XXX", "OCPI-to-party-id": "TNM", "OCPI-to-country-code": "NL",
                     "OCPI-from-country-code": "DE"}},
        {"headers": {"X-Request-ID": "another"}},
        {"data": {"big": "x" * 10_000}},
        {"data": [{"a": [1, 2, {"b": 1}]}]},
        {"close": True},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_receiver_says_comes_back_as_by_the_long_way(
    cpo: Person, receiver: Person, listener: Listener, served: Served, reply: dict[str, Any], settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True

    def looked_at_and_reset() -> tuple[Any, ...]:
        found = Platform.objects.values_list("failures", "connection", "paused_reason").get(pk=receiver.id)
        Platform.objects.filter(pk=receiver.id).update(
            failures=0, backoff_until=None, connection="CONNECTED", paused_reason=""
        )
        snapshot.changed()
        exchanges.flush()
        rows = Exchange.objects.exclude(url__endswith="/versions").values_list(
            "direction", "http_status", "status_code", "error"
        )
        log = sorted(map(str, rows))
        Exchange.objects.all().delete()
        return (*found, log)

    async def work() -> None:
        client, _ = await served.warm(request(cpo))
        exchanges._waiting.forget()
        listener.reply("PUT", "/", **reply)
        before, short = served.long, await client.ask(request(cpo))
        assert served.long == before
        await served.application.settled()
        after_short = await here(looked_at_and_reset)
        other = await served.client()
        before, long = served.long, await other.ask(request(cpo))
        assert served.long == before + 1
        await served.application.settled()
        after_long = await here(looked_at_and_reset)
        assert (short.http_status, short.headers) == (long.http_status, long.headers)
        assert _timeless(short.body) == _timeless(long.body)
        assert after_short == after_long

    run(served, work)


def _timeless(body: bytes) -> bytes:
    return body.partition(b'"timestamp"')[0]


@pytest.mark.req("REL-30", "HUB-70")
@pytest.mark.parametrize(("method", "codes", "times"), [("PUT", (200, 4002), 1), ("GET", (200, 1000), 2)])
def test_a_kept_connection_that_breaks_repeats_nothing_but_a_get(
    cpo: Person, receiver: Person, listener: Listener, served: Served, method: str, codes: tuple[int, int], times: int
) -> None:
    octets = request(
        cpo, method=method, path="/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1", body=b"" if method == "GET" else BODY
    )

    async def work() -> tuple[tuple[int, int], int]:
        client, _ = await served.warm(octets)
        before = len(listener.received(method))
        listener.reply(method, "/", close=True, times=1)
        answer = await client.ask(octets)
        return answer.codes, len(listener.received(method)) - before

    assert run(served, work) == (codes, times)


@pytest.mark.req("REL-56")
def test_who_still_waits_at_the_end_is_answered(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    async def work() -> tuple[int, int]:
        client, _ = await served.warm(request(cpo))
        listener.reply("PUT", "/", delay=2.0, times=1)
        client.send(request(cpo))
        while not served.application.waiting():
            await asyncio.sleep(0.01)
        for task in served.state.tasks:  # as uvicorn does when its patience ends
            task.cancel(msg="the end")
        found = (await client.answer()).codes
        assert not served.state.tasks
        return found

    assert run(served, work) == (200, 4002)
    assert Platform.objects.get(pk=receiver.id).failures == 0


def test_a_client_that_leaves_does_not_stop_what_was_sent(
    cpo: Person, receiver: Person, listener: Listener, served: Served, settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True

    async def work() -> None:
        client, _ = await served.warm(request(cpo))
        listener.reply("PUT", "/", delay=0.2, times=1)
        client.send(request(cpo, ids=("x", "gone")))
        while not served.application.waiting():
            await asyncio.sleep(0.01)
        client.close()
        while served.application.waiting():
            await asyncio.sleep(0.01)

    run(served, work)
    exchanges.flush()

    assert sorted(Exchange.objects.filter(correlation_id="gone").values_list("direction", "status_code")) == [
        ("IN", 1000), ("OUT", 1000),
    ]  # fmt: skip


def test_a_quiet_connection_is_closed_and_a_busy_one_is_not(
    cpo: Person, receiver: Person, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        client, _ = await served.warm(request(cpo))
        (connection,) = served.state.connections
        connection.timeout_keep_alive = 0.3  # type: ignore[union-attr]
        connection._look_whether_quiet()  # type: ignore[union-attr]
        for _ in range(5):
            await asyncio.sleep(0.1)
            assert (await client.ask(request(cpo))).codes == (200, 1000)
        assert await client.is_closed()

    run(served, work)


def test_the_long_way_is_open_to_a_client_that_says_something_new_each_time(
    cpo: Person, receiver: Person, served: Served
) -> None:
    async def work() -> list[tuple[int, int]]:
        client: Client = await served.client()
        return [(await client.ask(request(cpo, X_Trace=f"t{number}"))).codes for number in range(7)]

    assert run(served, work) == [(200, 1000)] * 7
    assert served.long == 7
