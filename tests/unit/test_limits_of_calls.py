"""The limits of a call to a platform, at both doors: the time to connect, to look a name up, in all; the octets."""

from __future__ import annotations

import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from pytest_django.fixtures import Settings

from ocpi import address_guard, client, client_async, wire, wire_async
from ocpi.attempts import Attempt
from ocpi.connection import tls_context
from tests.unit.hostile_server import OK_BODY, Authority, HostileServer, Peer, Script, answer, keep_answering
from tests.unit.platform_calls import target
from tests.unit.wire_calls import REQUEST, nobody_accepts

Send = Callable[..., client.Answer]
_NEVER = 8.0  # seconds; whoever waits so long has no limit


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> Iterator[None]:
    settings.OCPI_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.OCPI_TLS_REQUIRED = False
    settings.OCPI_CONNECT_TIMEOUT = 0.4
    wire.pool.clear()
    yield
    wire.pool.clear()


def in_an_event_loop(*arguments: Any, times: int = 1, **options: Any) -> client.Answer:
    async def ask() -> client.Answer:
        pool = wire_async.Pool()
        try:
            for _ in range(times):
                found = await client_async.send(pool, *arguments, headers={}, **options)
            return found
        finally:
            await pool.close()

    return uvloop.run(ask())


def in_threads(*arguments: Any, times: int = 1, **options: Any) -> client.Answer:
    for _ in range(times):
        found = client.send(*arguments, **options)
    return found


@pytest.fixture(params=[in_threads, in_an_event_loop], ids=["threads", "event loop"])
def send(request: pytest.FixtureRequest) -> Send:
    """Both doors out, one after the other."""
    found: Send = request.param
    return found


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connecting_has_the_limit_of_the_settings(send: Send, scheme: str) -> None:
    began = time.monotonic()
    with nobody_accepts() as port, pytest.raises(client.Unreachable):
        send(target(), "GET", f"{scheme}://127.0.0.1:{port}/x", timeout=_NEVER)

    assert time.monotonic() - began < 2.5


@pytest.mark.req("SEC-22", "SEC-28")
@pytest.mark.parametrize(("limit", "longest"), [(_NEVER, 4.5), (0.4, 1.9)])
def test_a_name_server_that_says_nothing_is_given_up(
    send: Send, limit: float, longest: float, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OCPI_CONNECT_TIMEOUT = limit
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: over.wait(_NEVER) and [])
    began = time.monotonic()
    try:
        with pytest.raises(client.Unreachable):
            send(target("partner.example"), "GET", "https://partner.example/x", timeout=_NEVER)
        took = time.monotonic() - began
    finally:
        over.set()

    assert took < longest


@pytest.mark.req("SEC-28", "SEC-26")
def test_all_steps_of_a_redirect_share_one_limit(send: Send) -> None:
    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.request()
            if peer.server.stopped.wait(0.8):
                return
            peer.send(answer(b"", "Location: /y", status="302 Found"))

    began = time.monotonic()
    with HostileServer(script) as server, pytest.raises(client.NoAnswer):
        send(target(), "GET", f"{server.url}/x", timeout=1.2)

    assert time.monotonic() - began < 1.59


@pytest.mark.req("SEC-29")
def test_an_answer_has_one_mebibyte_unless_it_is_a_page(send: Send) -> None:
    longest = OK_BODY + b" " * ((1 << 20) - len(OK_BODY))
    with HostileServer(keep_answering(answer(longest))) as server:
        assert len(send(target(), "GET", f"{server.url}/x", timeout=_NEVER).body) == 1 << 20
    with HostileServer(keep_answering(answer(longest + b" "))) as server, pytest.raises(client.Garbage):
        send(target(), "GET", f"{server.url}/x", timeout=_NEVER)


def say_nothing(peer: Peer) -> None:
    peer.request()
    peer.hang()


def repeated(then: Script) -> Script:
    """Close a kept connection at its second request, which comes again on a new one."""

    def script(peer: Peer) -> None:
        if peer.number > 1:
            then(peer)
        elif peer.request():
            peer.send(answer())
            peer.request()

    return script


@pytest.mark.req("SEC-28")
def test_a_request_that_comes_again_on_a_new_connection_has_no_time_of_its_own(send: Send) -> None:
    began = time.monotonic()
    with HostileServer(repeated(say_nothing)) as server, pytest.raises(client.NoAnswer):
        send(target(), "GET", f"{server.url}/x", timeout=0.8, times=2)

    assert time.monotonic() - began < 5
    assert len(server.requests) == 3


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize("step", ["redirect", "repeat"])
def test_the_answer_to_a_further_step_has_the_same_limit(send: Send, step: str) -> None:
    too_long = answer(OK_BODY + b" " * (1 << 20))

    def redirect(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b"", "Location: /y", status="302 Found"))
        peer.request()
        peer.send(too_long)

    script = redirect if step == "redirect" else repeated(keep_answering(too_long))
    with HostileServer(script) as server, pytest.raises(client.Garbage):
        send(target(), "GET", f"{server.url}/x", timeout=_NEVER, times=1 if step == "redirect" else 2)

    assert len(server.requests) == (2 if step == "redirect" else 3)


@pytest.mark.req("SEC-28", "SEC-29")
@pytest.mark.parametrize(
    ("script", "error"),
    [
        (say_nothing, client.NoAnswer),
        (keep_answering(answer(OK_BODY + b" " * (1 << 20))), client.Garbage),
    ],
    ids=["silence", "too long"],
)
def test_what_went_a_short_way_and_comes_again_has_the_limits_it_had(
    script: Script, error: type[client.ClientError]
) -> None:
    began = time.monotonic()

    async def go_on(url: str) -> None:
        pool, gone = wire_async.Pool(), wire.Stale("it was closed", nothing_sent=False)
        attempt = Attempt(target(), "GET", url, None, {})
        try:
            await client_async.resume(pool, target(), attempt, gone, headers={}, deadline=time.monotonic() + 0.6)
        finally:
            await pool.close()

    with HostileServer(script) as server:
        with pytest.raises(error):
            uvloop.run(go_on(f"{server.url}/x"))

        assert len(server.requests) == 1
    assert time.monotonic() - began < 5


def test_an_address_where_nobody_answers_leaves_time_for_the_next(
    send: Send, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OCPI_CONNECT_TIMEOUT = 0.6
    with HostileServer(keep_answering(answer())) as server, nobody_accepts("127.0.0.2", server.port):
        places = [(address, server.port) for address in ("127.0.0.2", "127.0.0.1")]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)

        assert send(target("partner.example"), "GET", f"http://partner.example:{server.port}/x", timeout=_NEVER).ok


def in_turn(door: str, *calls: dict[str, Any]) -> None:
    """Ask one thing after the other, by connections that are kept in between."""

    async def in_a_loop() -> None:
        pool = wire_async.Pool()
        try:
            for call in calls:
                await pool.exchange(**call)
        finally:
            await pool.close()

    if door == "event loop":
        uvloop.run(in_a_loop())
        return
    for call in calls:
        wire.exchange(**call)


def call_of(url: str, **changes: Any) -> dict[str, Any]:
    place = address_guard.split(url)
    found: dict[str, Any] = {
        "url": place, "request": REQUEST, "deadline": time.monotonic() + _NEVER, "connect_timeout": 2.0,
        "max_body": 1000, "allowed_networks": ("127.0.0.0/8",),
    }  # fmt: skip
    return found | changes


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize("door", ["threads", "event loop"])
def test_each_request_on_a_kept_connection_has_the_limit_of_its_own(door: str) -> None:
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises(wire.NotAnAnswer):
            in_turn(door, call_of(server.url), call_of(server.url, max_body=10))

        assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.req("SEC-22", "SEC-21", "SEC-31")
@pytest.mark.parametrize("door", ["threads", "event loop"])
@pytest.mark.parametrize("other", ["scheme", "port", "networks", "authorities"])
def test_a_kept_connection_is_used_for_nothing_but_what_it_was_made_for(door: str, other: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = {"context": tls_context(authority.pem)}
    context = None if other == "scheme" else authority.server_context("localhost")
    with (
        HostileServer(keep_answering(answer()), tls=context) as server,
        HostileServer(keep_answering(answer())) as elsewhere,
    ):
        plain, secret = (f"{scheme}://localhost:{server.port}/" for scheme in ("http", "https"))
        second = {
            "scheme": call_of(secret, **ours),
            "port": call_of(f"https://localhost:{elsewhere.port}/", **ours),
            "networks": call_of(secret, **ours, allowed_networks=()),
            "authorities": call_of(secret),
        }[other]
        with pytest.raises((wire.NotConnected, address_guard.AddressDenied)):
            in_turn(door, call_of(plain) if other == "scheme" else call_of(secret, **ours), second)

        assert [len(each.requests) for each in (server, elsewhere)] == [1, 0]


@pytest.mark.req("SEC-29")
def test_what_goes_on_after_a_kept_connection_has_the_same_limit() -> None:
    limits = {inspect.signature(each).parameters["max_body"].default for each in (client_async.resume, client.send)}

    assert limits == {1 << 20}


@pytest.mark.req("SEC-29")
def test_a_page_has_sixteen_mebibytes() -> None:
    longest = OK_BODY + b" " * ((16 << 20) - len(OK_BODY))
    with HostileServer(keep_answering(answer(longest))) as server:
        assert client.page(target(), f"{server.url}/x", timeout=_NEVER)[0].ok
    with HostileServer(keep_answering(answer(longest + b" "))) as server, pytest.raises(client.Garbage):
        client.page(target(), f"{server.url}/x", timeout=_NEVER)
