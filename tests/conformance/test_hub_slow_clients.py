"""Who is slow, or says too much, is cut off by the hub's web server before it costs anything (SEC-45)."""

from __future__ import annotations

import asyncio
import time

import pytest

from hub import asgi, fast_protocol
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener
from tests.short_way import BODY, Client, Served, request, run
from tests.short_way import served_fixture as served_fixture

pytestmark = [pytest.mark.usefixtures("hub_side", "in_lane"), pytest.mark.req("SEC-45")]
DJANGOS = "/ocpi/2.2.1/credentials"  # not for the fast lane
_NEVER = 8.0  # seconds; whoever is listened to for so long has no limit


@pytest.fixture
def receiver(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


async def _is_closed(client: Client) -> bool:
    try:
        return await client.is_closed()
    except ConnectionResetError:  # something of ours was on its way
        return True


async def drip(client: Client, octets: bytes) -> float:
    """Send one octet after the other until the server closes; return after how many seconds it did."""
    began, closed = time.monotonic(), asyncio.create_task(_is_closed(client))
    for place in range(len(octets)):
        if closed.done() or time.monotonic() - began > _NEVER:
            break
        client.send(octets[place : place + 1])
        await asyncio.sleep(0.02)
    assert await closed
    return time.monotonic() - began


def test_the_limits_are_those_of_the_requirement() -> None:
    assert (fast_protocol.HEAD_SECONDS, fast_protocol.BODY_SECONDS, asgi._BODY_SECONDS) == (10, 30, 30)
    assert (fast_protocol.MOST_HEADERS, fast_protocol.LONGEST_HEADER) == (100, 8192)
    assert (asgi._MOST_HEADERS, asgi._LONGEST_HEADER) == (100, 8192)


@pytest.mark.parametrize("after", ["nothing", "a request", "a request on the short way"])
def test_headers_that_drip_are_cut_off(
    cpo: Person, receiver: Person, served: Served, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    monkeypatch.setattr(fast_protocol, "HEAD_SECONDS", 0.5)
    octets = request(cpo)

    async def work() -> float:
        client = await served.client()
        for _ in range({"nothing": 0, "a request": 1}.get(after, 2)):
            assert (await client.ask(octets)).codes == (200, 1000)
        return await drip(client, octets[:30] * 100)

    assert run(served, work) < 4


def test_who_connects_and_says_nothing_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_protocol, "HEAD_SECONDS", 0.3)

    async def work() -> bool:
        client = await served.client()
        async with asyncio.timeout(_NEVER):
            return await client.is_closed()

    assert run(served, work)


def test_a_body_that_drips_is_cut_off(
    cpo: Person, receiver: Person, listener: Listener, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_protocol, "BODY_SECONDS", 0.5)
    octets = request(cpo, body=b" " * 1000 + BODY)
    head = octets.index(b"\r\n\r\n") + 4

    async def work() -> float:
        client = await served.client()
        client.send(octets[:head])
        return await drip(client, octets[head:])

    assert run(served, work) < 4
    assert listener.received("PUT") == []


def test_nor_is_a_body_for_django_waited_for(cpo: Person, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "_BODY_SECONDS", 0.5)
    octets = request(cpo, path=DJANGOS, body=b" " * 1000 + BODY)

    async def work() -> tuple[int, int]:
        client = await served.client()
        client.send(octets[:-1000])
        async with asyncio.timeout(_NEVER):
            return (await client.answer()).codes

    assert run(served, work) == (408, 2000)


@pytest.mark.parametrize("path", ["", DJANGOS])
def test_a_header_has_eight_kibibytes_and_there_are_a_hundred(
    cpo: Person, receiver: Person, listener: Listener, served: Served, path: str
) -> None:
    named = {"path": path, "to": "NL*HUB", "method": "GET", "body": b""} if path else {}
    usual = request(cpo, **named).partition(b"\r\n\r\n")[0].count(b"\r\n")  # type: ignore[arg-type]

    def asks(long: int, lines: int) -> bytes:
        octets = request(cpo, **named, X_Long="x" * long)  # type: ignore[arg-type]
        more = b"".join(b"X-%d: 1\r\n" % number for number in range(lines - usual - 1))
        return octets.replace(b"X-Long:", more + b"X-Long:")

    async def work() -> list[int]:
        sizes = [(8192, 100), (8193, 100), (8192, 101)]
        return [(await (await served.client()).ask(asks(*size))).http_status for size in sizes]

    assert run(served, work) == [200, 431, 431]
    assert len(listener.received("PUT")) == (0 if path else 1)


def test_headers_end_after_so_many_octets(cpo: Person, served: Served) -> None:
    head = request(cpo).partition(b"\r\n\r\n")[0]

    async def work() -> int:
        client = await served.client()
        client.send(head + b"\r\n" + b"".join(b"X-%d: %b\r\n" % (number, b"y" * 1000) for number in range(40)))
        await asyncio.sleep(0.05)
        client.send(b"".join(b"X-More-%d: %b\r\n" % (number, b"y" * 1000) for number in range(40)))
        async with asyncio.timeout(_NEVER):
            return (await client.answer()).http_status

    assert run(served, work) == 400
