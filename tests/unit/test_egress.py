"""A proxy for the way out is used only if the settings name it, and only for tunnels to checked addresses (SEC-27)."""

from __future__ import annotations

import base64
import select
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop
from pytest_django.fixtures import Settings

from ocpi import address_guard, checks, egress, wire, wire_async
from ocpi.connection import tls_context
from tests.unit.hostile_server import Authority, HostileServer, Peer, Script, answer
from tests.unit.wire_calls import LOOPBACK

NAME = "partner.example"
REQUEST = b"GET /x HTTP/1.1\r\nHost: partner.example\r\n\r\n"
PUBLIC = "93.184.216.34"


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name lead to these addresses, except those that are addresses themselves."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *more: Any, **options: Any) -> Any:
        if host == NAME:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
        return real(host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def opens(target: HostileServer) -> Script:
    """Return the script of a proxy that opens a tunnel to one server, whatever it is asked for."""

    def script(peer: Peer) -> None:
        peer.request()
        with socket.create_connection(("127.0.0.1", target.port)) as onward:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pump(peer.sock, onward)

    return script


def _pump(left: socket.socket, right: socket.socket) -> None:
    while True:
        for sock in select.select([left, right], [], [])[0]:
            octets = sock.recv(65536)
            if not octets:
                return
            (right if sock is left else left).sendall(octets)


@pytest.fixture(params=["threads", "event loop"])
def door(request: pytest.FixtureRequest) -> str:
    """Both doors out, one after the other."""
    return str(request.param)


def exchange(door: str, place: str, through: str, *, authority: Authority | None = None, timeout: float = 2.0) -> bytes:
    """Fetch a public place through a proxy, in threads or in an event loop, and return the body."""
    url = address_guard.check_url(place, allowed_networks=[], tls_required=True)
    context = tls_context(authority.pem) if authority else None
    options: dict[str, Any] = {
        "deadline": time.monotonic() + timeout, "connect_timeout": timeout, "max_body": 1000,
        "allowed_networks": (), "context": context, "proxy": egress.proxy(through), "fresh": True,
    }  # fmt: skip
    if door == "threads":
        return wire.exchange(url, REQUEST, **options).body

    async def ask() -> bytes:
        pool = wire_async.Pool()
        try:
            return (await pool.exchange(url, REQUEST, **options)).body
        finally:
            await pool.close()

    return uvloop.run(ask())


def proxy_at(server: HostileServer) -> str:
    return f"http://user:pass%20word@127.0.0.1:{server.port}"


def once(octets: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(octets)

    return script


@pytest.mark.req("SEC-27", "SEC-22")
def test_a_proxy_is_asked_for_the_checked_address_and_tls_is_checked_for_the_name(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    leads_to(monkeypatch, PUBLIC)
    partner = HostileServer(once(answer(b"hello")), tls=authority.server_context(NAME))
    with partner, HostileServer(opens(partner)) as server:
        body = exchange(door, f"https://{NAME}/x", proxy_at(server), authority=authority)

        asked = server.requests[0].decode()
        assert body == b"hello"
        assert asked.startswith(f"CONNECT {PUBLIC}:443 HTTP/1.1\r\n")
        assert "Basic " + base64.b64encode(b"user:pass word").decode() in asked
        assert partner.requests[0].startswith(b"GET /x ")


@pytest.mark.req("SEC-27", "SEC-31")
def test_a_proxy_that_leads_elsewhere_gets_no_token(door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    leads_to(monkeypatch, PUBLIC)
    elsewhere = HostileServer(once(answer()), tls=authority.server_context("elsewhere.example"))
    with elsewhere, HostileServer(opens(elsewhere)) as server:
        with pytest.raises(wire.NotConnected):
            exchange(door, f"https://{NAME}/x", proxy_at(server), authority=authority)

        assert elsewhere.requests == []


@pytest.mark.req("SEC-27", "SEC-22")
def test_behind_a_proxy_a_denied_address_stays_denied(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, PUBLIC, "169.254.169.254")
    with HostileServer(once(b"")) as server:
        with pytest.raises(address_guard.AddressDenied):
            exchange(door, f"https://{NAME}/x", proxy_at(server))

        assert server.connections == 0


def _drip(peer: Peer) -> None:
    peer.request()
    peer.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000)


@pytest.mark.req("SEC-27", "SEC-28")
@pytest.mark.parametrize(
    "script",
    [
        once(b"HTTP/1.1 403 Forbidden\r\n\r\n"),
        once(b"HTTP/1.1 200 OK\r\n\r\nand more"),
        once(b"SSH-2.0-nothing\r\n\r\n"),
        once(b"X" * 10_000),
        once(b""),
        Peer.hang,
        _drip,
    ],
    ids=["refuses", "speaks first", "no HTTP", "endless", "closes", "silent", "dripping"],
)
def test_a_proxy_that_opens_no_tunnel_is_given_up_in_time(
    door: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, PUBLIC)
    with HostileServer(script) as server:
        started = time.monotonic()
        with pytest.raises(wire.NotConnected):
            exchange(door, f"https://{NAME}/x", proxy_at(server), timeout=0.4)

        assert time.monotonic() - started < 5


@pytest.mark.req("SEC-27", "SEC-28")
def test_the_name_of_a_proxy_is_looked_up_within_the_limit(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    leads_to(monkeypatch, PUBLIC)
    quick = socket.getaddrinfo

    def look_up(host: str, port: int, *more: Any, **options: Any) -> Any:
        return over.wait(5) and [] if host == "proxy.example" else quick(host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    started = time.monotonic()
    with pytest.raises(wire.NotConnected):
        exchange(door, f"https://{NAME}/x", "http://proxy.example:3128", timeout=0.3)

    assert time.monotonic() - started < 2
    over.set()


@pytest.mark.req("SEC-27")
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "opened no tunnel: 403"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://a.example/\r\n\r\n", "opened no tunnel: 302"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x15\x03\x03", "opened no tunnel: 200"),
        (b"SSH-2.0-nothing\r\n\r\n", "opened no tunnel"),
        (b"ICY 200 OK\r\n\r\n", "opened no tunnel"),
    ],
)
def test_nothing_is_said_to_a_proxy_that_opens_no_tunnel(
    door: str, said: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, PUBLIC)
    behind: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(said)
        behind.append(peer.sock.recv(1000))

    with HostileServer(script) as server, pytest.raises(wire.NotConnected, match=words):
        exchange(door, f"https://{NAME}/x", proxy_at(server))

    assert behind in ([b""], [])


@pytest.mark.req("SEC-27")
@pytest.mark.parametrize("octets", [b"", b"X" * 9000])
def test_a_proxy_that_closes_or_talks_without_end_is_left_at_once(octets: bytes) -> None:
    tunnel = egress.Tunnel(egress.Proxy("proxy.example", 3128), (socket.AF_INET, (PUBLIC, 443)))

    with pytest.raises(egress.ProxyRefused, match="no answer"):
        tunnel.feed(octets)


@pytest.mark.req("SEC-27")
def test_what_lies_in_an_allowed_network_is_called_without_the_proxy() -> None:
    with HostileServer(once(answer(b"direct"))) as partner, HostileServer(once(b"")) as server:
        url = address_guard.check_url(f"{partner.url}/x", allowed_networks=LOOPBACK, tls_required=False)
        found = wire.exchange(
            url,
            b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
            deadline=time.monotonic() + 2,
            connect_timeout=2,
            max_body=1000,
            allowed_networks=LOOPBACK,
            proxy=egress.proxy(f"http://127.0.0.1:{server.port}"),
        )

        assert found.body == b"direct"
        assert server.connections == 0


@pytest.mark.req("SEC-27", "SEC-52")
@pytest.mark.parametrize(
    "url",
    [
        *("https://u:secret@proxy.example", "proxy:secret", "http://", "http://u:secret@a/path", "socks5://a:1"),
        *("http://u:secret/word@proxy.example:3128", "http://u:[secret@a", "http://u:secret℀@a", "http://a:99999"),
    ],
)
def test_a_proxy_setting_that_is_none_is_found_by_the_check_and_not_shown(url: str, settings: Settings) -> None:
    settings.OCPI_EGRESS_PROXY = url

    found = [error for error in checks.addresses(None) if error.id == "ocpi.E015"]

    assert len(found) == 1
    assert "secret" not in str(found[0])
