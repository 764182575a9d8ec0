"""The asynchronous client at hostile servers: the rules of the blocking one, in an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from ocpi import address_guard, connection, wire
from ocpi.egress import Proxy
from ocpi.http_answer import Response
from ocpi.wire_async import _LOOKUPS, Pool
from tests.unit.hostile_server import OK_BODY, Authority, HostileServer, Peer, answer, keep_answering
from tests.unit.wire_calls import CHUNKED, LIMIT, LOOPBACK, REQUEST, never_read, nobody_accepts, once

Ask = Callable[..., Awaitable[Response]]


def calls(server: HostileServer, *, host: str = "127.0.0.1", count: int = 1, pause: float = 0.0, **options: object):  # type: ignore[no-untyped-def]
    """Ask so often, one after the other, and return the answers; in the event loop that a hub's web server has."""

    async def all_of_them() -> list[Response]:
        pool = Pool()
        url = address_guard.Url("https" if server.tls else "http", host, server.port, "/")
        try:
            found = []
            for _ in range(count):
                found.append(
                    await pool.exchange(
                        url, REQUEST, deadline=time.monotonic() + LIMIT, connect_timeout=LIMIT, max_body=10_000,
                        allowed_networks=tuple(LOOPBACK), **options,  # type: ignore[arg-type]
                    )
                )  # fmt: skip
                await asyncio.sleep(pause)
            return found
        finally:
            await pool.close()

    return uvloop.run(all_of_them())


def test_a_connection_is_kept_and_used_again() -> None:
    with HostileServer(keep_answering(answer())) as server:
        assert [got.body for got in calls(server, count=5)] == [OK_BODY] * 5
        assert server.connections == 1


@pytest.mark.parametrize(
    "octets",
    [
        answer(b"a", "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        answer(b"a") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    ],
)
def test_a_connection_that_cannot_be_trusted_again_is_not_kept(octets: bytes) -> None:
    with HostileServer(keep_answering(octets)) as server:
        assert [got.body for got in calls(server, count=3)] == [b"a"] * 3
        assert server.connections == 3


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(answer(b"%d" % len(peer.server.requests)))
            time.sleep(0.02)
            peer.send(answer(b"forged"))

    with HostileServer(script) as server:
        assert [got.body for got in calls(server, count=2, pause=0.1)] == [b"1", b"2"]


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize(
    "script",
    [
        never_read,
        lambda peer: (peer.request(), peer.hang()),
        lambda peer: (peer.request(), peer.drip(answer(b"x" * 2000), 0.05)),
        lambda peer: (peer.request(), [peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n", 0.05) for _ in range(100)]),
    ],
)
def test_every_wait_ends_with_the_deadline(script: Callable[[Peer], None]) -> None:
    with HostileServer(script) as server:
        began = time.monotonic()
        with pytest.raises(wire.Lost):
            calls(server)
        assert time.monotonic() - began < LIMIT + 2


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connecting_ends_with_its_own_limit(scheme: str) -> None:
    with nobody_accepts() as port:
        assert seconds_until_given_up(scheme, port) < LIMIT + 2


@pytest.mark.req("SEC-28")
def test_a_server_that_never_shakes_hands_is_given_up() -> None:
    with HostileServer(never_read) as server:
        assert seconds_until_given_up("https", server.port) < LIMIT + 2


@pytest.mark.req("SEC-28", "SEC-22")
@pytest.mark.parametrize("proxy", [None, Proxy("proxy.example", 3128)], ids=["of a partner", "of the proxy"])
def test_a_name_that_waits_for_other_names_to_be_looked_up_is_given_up(proxy: Proxy | None) -> None:
    over = threading.Event()

    async def ask() -> None:
        pool = Pool()
        for _ in range(_LOOKUPS):  # as many as there are threads for it
            pool._lookups.submit(over.wait, 10)
        url = address_guard.Url("https", "93.184.216.34" if proxy else "partner.example", 443, "/")
        try:
            await pool.exchange(
                url, REQUEST, deadline=time.monotonic() + 8, connect_timeout=LIMIT, max_body=10, allowed_networks=(),
                proxy=proxy,
            )  # fmt: skip
        finally:
            over.set()
            await pool.close()

    began = time.monotonic()
    with pytest.raises(wire.NotConnected):
        uvloop.run(ask())

    assert time.monotonic() - began < 5


def seconds_until_given_up(scheme: str, port: int) -> float:
    async def ask() -> None:
        pool = Pool()
        try:
            url = address_guard.Url(scheme, "127.0.0.1", port, "/")
            await pool.exchange(
                url, REQUEST, deadline=time.monotonic() + 8, connect_timeout=LIMIT, max_body=10,
                allowed_networks=tuple(LOOPBACK),
            )  # fmt: skip
        finally:
            await pool.close()

    began = time.monotonic()
    with pytest.raises(wire.NotConnected):
        uvloop.run(ask())
    return time.monotonic() - began


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize(
    "octets",
    [
        answer(length=10_001),
        CHUNKED + b"5000\r\n" + b"x" * 0x5000,
        b"HTTP/1.1 200 OK\r\n" + b"X-A: y\r\n" * 3000 + b"\r\n",
        answer(b"x", "Content-Encoding: gzip"),
        b"<html>",
    ],
)
def test_what_is_too_big_or_no_http_is_refused(octets: bytes) -> None:
    with HostileServer(once(octets)) as server, pytest.raises(wire.NotAnAnswer):
        calls(server)


@pytest.mark.req("REL-30")
def test_a_cut_answer_is_lost_and_nothing_is_sent_twice() -> None:
    with HostileServer(once(answer(b"12345", length=99))) as server:
        with pytest.raises(wire.Lost):
            calls(server)
        assert len(server.requests) == 1


@pytest.mark.req("SEC-22")
def test_a_denied_address_is_not_dialled() -> None:
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises(address_guard.AddressDenied):
            _to(server, ())
        assert server.connections == 0


def _to(server: HostileServer, networks: tuple[str, ...]) -> None:
    async def ask() -> None:
        pool = Pool()
        try:
            url = address_guard.Url("https", "127.0.0.1", server.port, "/")
            await pool.exchange(
                url, REQUEST, deadline=time.monotonic() + 1, connect_timeout=1, max_body=10, allowed_networks=networks
            )
        finally:
            await pool.close()

    uvloop.run(ask())


@pytest.mark.req("SEC-22", "SEC-31")
def test_the_certificate_is_checked_for_the_name_by_the_platforms_own_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = connection.tls_context(authority.pem)
    with HostileServer(keep_answering(answer()), tls=authority.server_context("localhost")) as server:
        assert [got.body for got in calls(server, host="localhost", context=context, count=2)] == [OK_BODY] * 2
        with pytest.raises(wire.NotConnected):
            calls(server, host="localhost")  # the system's authorities do not know ours
    other = HostileServer(keep_answering(answer()), tls=authority.server_context("other.example"))
    with other as server, pytest.raises(wire.NotConnected):
        calls(server, host="localhost", context=context)


@pytest.mark.parametrize("ends", ["reset", "closed"])
def test_a_body_that_ends_with_a_cut_connection_is_not_whole(tmp_path: Path, ends: str) -> None:
    authority = Authority(tmp_path)
    context = connection.tls_context(authority.pem)

    def cut(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
        time.sleep(0.05)
        if ends == "reset":
            peer.reset()  # otherwise closed, without the farewell of TLS

    with HostileServer(cut, tls=authority.server_context("localhost")) as server, pytest.raises(wire.Lost):
        calls(server, host="localhost", context=context)


def test_a_body_may_end_with_the_connection_where_nobody_pretends_to_guard_it() -> None:
    with HostileServer(once(b"HTTP/1.1 200 OK\r\n\r\nwhole")) as server:
        assert [got.body for got in calls(server)] == [b"whole"]
