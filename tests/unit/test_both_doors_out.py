"""The door for threads and the one for an event loop keep the same rules, each at its own sockets."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from pytest_django.fixtures import Settings

from ocpi import address_guard, client, client_async, wire_async
from ocpi.connection import tls_context
from tests.unit.hostile_server import OK_BODY, Authority, HostileServer, Peer, Script, answer, keep_answering
from tests.unit.platform_calls import TOKEN, header, target
from tests.unit.platform_calls import loopback_fixture as loopback_fixture

PUBLIC = "192.31.196.1"  # of the net that swallows what asks for private addresses (RFC 7535)
Door = Callable[..., client.Answer]


def _in_a_loop(to: client.Target, method: str, url: str, **options: Any) -> client.Answer:
    async def ask() -> client.Answer:
        pool = wire_async.Pool()
        try:
            return await client_async.send(pool, to, method, url, **({"headers": {}} | options))
        finally:
            await pool.close()

    return uvloop.run(ask())


@pytest.fixture(params=[client.send, _in_a_loop], ids=["threads", "event loop"])
def send(request: pytest.FixtureRequest) -> Door:
    """Both doors, one after the other."""
    found: Door = request.param
    return found


def leads_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Let the names of partners lead to an address."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *more: Any, **options: Any) -> Any:
        return real(address if str(host).endswith(".example") else host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


# ---- hosts and redirects


@pytest.mark.req("SEC-21", "TRN-013")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "7.0.0.1", "127.0.0.1.example", "27.0.0.1"])
def test_a_host_that_is_not_approved_gets_nothing(send: Door, host: str) -> None:
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises((client.ForeignHost, client.AddressDenied)) as caught:
            send(target(), "GET", f"http://{host}:{server.port}/x", timeout=0.4)

        assert server.connections == 0
    assert TOKEN not in str(caught.value)


@pytest.mark.req("SEC-21", "TRN-013")
@pytest.mark.parametrize(
    "host",
    ["a.partner.example", "another-partner.example", "partner.example.b.example", "p.example", "partner_example"],
)
def test_a_name_that_is_much_like_an_approved_one_gets_nothing(
    send: Door, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    leads_to(monkeypatch, "127.0.0.1")
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises(client.ForeignHost):
            send(target("partner.example"), "GET", f"http://{host}:{server.port}/x", timeout=0.4)

        assert server.connections == 0


@pytest.mark.req("SEC-25", "SEC-22", "SEC-24")
@pytest.mark.parametrize(
    ("url", "leads"),
    [
        ("http://partner.example:9000/x", PUBLIC),  # http is for allowed networks
        ("https://partner.example/x", "10.0.0.1"),
        ("https://partner.example/x", "169.254.169.254"),
        ("https://partner.example/x", "::ffff:127.0.0.1"),  # another spelling of an allowed one
        ("https://partner.example:80/x", "127.0.0.1"),
    ],
)
def test_a_name_leads_to_no_address_that_is_denied(
    send: Door, monkeypatch: pytest.MonkeyPatch, url: str, leads: str
) -> None:
    leads_to(monkeypatch, leads)

    with pytest.raises(client.AddressDenied):
        send(target("partner.example"), "GET", url, timeout=2)


@pytest.mark.req("SEC-25")
@pytest.mark.parametrize(
    "rest",
    [
        *(
            "/a\\b",
            "/a b",
            "/a\tb",
            "/a\r\nX: y",
            "/a\x00",
            "/a\x7f",
            '/"a"',
            "/<a>",
            "/#a",
            "/\u00e9",
            "/?a\\b",
            "?a b",
        ),
        "/" + "x" * 2048,
    ],
    ids=repr,
)
def test_an_approved_host_is_not_called_at_a_url_out_of_order(send: Door, rest: str) -> None:
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises(client.AddressDenied):
            send(target(), "GET", f"{server.url}{rest}", timeout=2)

        assert server.connections == 0


@pytest.mark.req("SEC-25")
@pytest.mark.parametrize(
    "start", ["http://somebody@127.0.0.1", "http://127.0.0.1\\", "http:/127.0.0.1", "ftp://127.0.0.1"]
)
def test_an_approved_host_is_not_called_by_a_url_that_begins_otherwise(send: Door, start: str) -> None:
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises(client.AddressDenied):
            send(target(), "GET", f"{start}:{server.port}/x", timeout=2)

        assert server.connections == 0


@pytest.mark.req("SEC-25")
def test_a_url_has_two_thousand_and_forty_eight_characters_at_most(send: Door) -> None:
    with HostileServer(keep_answering(answer())) as server:
        longest = f"{server.url}/" + "x" * (2047 - len(server.url))
        assert send(target(), "GET", longest, timeout=2).ok
        with pytest.raises(client.AddressDenied):
            send(target(), "GET", longest + "x", timeout=2)

        assert len(server.requests) == 1


def redirects(*locations: str) -> Script:
    left = list(locations)

    def script(peer: Peer) -> None:
        while peer.request():
            further = f"Location: {left.pop(0)}" if left else ""
            peer.send(answer(b"", further, "Set-Cookie: a=b", status="302 Found") if further else answer())

    return script


@pytest.mark.req("SEC-26", "TRN-023")
@pytest.mark.parametrize(("number", "requests", "status"), [(1, 2, 200), (2, 3, 200), (3, 3, 302)])
def test_a_get_follows_two_redirects_and_no_third(send: Door, number: int, requests: int, status: int) -> None:
    with HostileServer(redirects(*(f"/{turn}" for turn in range(number)))) as server:
        found = send(target(), "GET", f"{server.url}/x", timeout=2)

    assert found.http_status == status
    assert len(server.requests) == requests
    assert len({header(request, "X-Request-ID") for request in server.requests}) == requests
    assert {header(request, "Cookie") for request in server.requests} == {None}


@pytest.mark.req("SEC-26", "TRN-023")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_but_a_get_follows_a_redirect(send: Door, method: str) -> None:
    with HostileServer(redirects("/y")) as server:
        assert send(target(), method, f"{server.url}/x", body=b"{}", timeout=2).http_status == 302

    assert len(server.requests) == 1


@pytest.mark.req("SEC-26", "SEC-21", "SEC-22", "TRN-023")
@pytest.mark.parametrize(
    ("location", "approved"),
    [
        ("http://localhost:{port}/y", ("127.0.0.1", "localhost")),  # approved, but another host
        ("http://127.0.0.1:{port}/y", ("127.0.0.1:{here}",)),  # the same host at a port that is not approved
        ("http://127.0.0.1:22/y", ("127.0.0.1",)),  # at a port that nobody is called at
        ("http://user@127.0.0.1:{port}/y", ("127.0.0.1",)),
        ("//localhost:{port}/y", ("127.0.0.1", "localhost")),
    ],
)
def test_a_redirect_to_another_place_is_not_followed(send: Door, location: str, approved: tuple[str, ...]) -> None:
    with HostileServer(keep_answering(answer())) as elsewhere, HostileServer(lambda peer: None) as server:
        server.script = redirects(location.format(port=elsewhere.port))
        to = target(*(host.format(here=server.port) for host in approved))
        try:
            assert send(to, "GET", f"{server.url}/x", timeout=2).http_status == 302
        except client.AddressDenied:
            assert ":22/" in location

        assert elsewhere.connections == 0
        assert len(server.requests) == 1


@pytest.mark.req("SEC-26", "SEC-25")
def test_a_redirect_does_not_lead_from_https_to_http(send: Door, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with HostileServer(keep_answering(answer())) as plain:
        location = f"http://localhost:{plain.port}/y"
        with HostileServer(redirects(location), tls=authority.server_context("localhost")) as server:
            to = target("localhost", authorities_pem=authority.pem)
            assert send(to, "GET", f"https://localhost:{server.port}/x", timeout=2).http_status == 302

        assert plain.connections == 0


# ---- time


def redirect_slowly(peer: Peer) -> None:
    """Take a moment for each step, all of which are too long together."""
    while peer.request():
        time.sleep(0.3)
        peer.send(answer(b"", "Location: /again", status="302 Found"))


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize(
    "script",
    [
        lambda peer: (peer.request(), peer.hang()),
        lambda peer: (peer.request(), peer.drip(answer(OK_BODY * 50), 0.05)),
        lambda peer: (peer.request(), [peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n", 0.05) for _ in range(100)]),
        redirect_slowly,
    ],
    ids=["silence", "dripping", "100 for ever", "redirects"],
)
def test_the_whole_exchange_has_one_deadline(send: Door, script: Script) -> None:
    with HostileServer(script) as server:
        began = time.monotonic()
        with pytest.raises(client.NoAnswer):
            send(target(), "GET", f"{server.url}/x", timeout=0.5)

        assert time.monotonic() - began < 3


def never_shake_hands(peer: Peer) -> None:
    peer.hang()


@pytest.mark.req("SEC-28")
def test_a_connection_has_its_own_limit(send: Door) -> None:
    with HostileServer(never_shake_hands) as server:
        began = time.monotonic()
        with pytest.raises(client.Unreachable):
            send(target(), "GET", f"https://127.0.0.1:{server.port}/x", timeout=20)

        assert time.monotonic() - began < 10


@pytest.mark.req("SEC-22", "SEC-28")
@pytest.mark.parametrize(("timeout", "most"), [(0.3, 1.8), (30.0, 12.0)])
def test_a_name_is_looked_up_in_two_seconds_and_within_the_deadline(
    send: Door, monkeypatch: pytest.MonkeyPatch, settings: Settings, timeout: float, most: float
) -> None:
    settings.OCPI_CONNECT_TIMEOUT = 30.0
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(15) and [])
    began = time.monotonic()
    with pytest.raises(client.Unreachable):
        send(target("hangs.example"), "GET", "https://hangs.example/x", timeout=timeout)

    assert time.monotonic() - began < most
    over.set()


@pytest.mark.req("SEC-22")
def test_a_look_up_alone_takes_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(15) and [])
    began = time.monotonic()
    with pytest.raises(address_guard.Unresolved):
        address_guard.resolve("hangs.example", 443, allowed_networks=[])

    assert time.monotonic() - began < 12
    over.set()


# ---- size


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize(("octets", "taken"), [(1 << 20, True), ((1 << 20) + 1, False)])
@pytest.mark.parametrize("framing", ["length", "chunks", "until the end"])
def test_an_answer_has_a_mebibyte_at_most(send: Door, framing: str, octets: int, taken: bool) -> None:
    body = OK_BODY + b" " * (octets - len(OK_BODY))
    whole = {
        "length": answer(body),
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (octets, body),
        "until the end": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body,
    }[framing]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(whole)

    with HostileServer(script) as server:
        if taken:
            assert len(send(target(), "PUT", f"{server.url}/x", body=b"{}", timeout=5).body) == octets
        else:
            with pytest.raises(client.Garbage):
                send(target(), "PUT", f"{server.url}/x", body=b"{}", timeout=5)


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize(("octets", "taken"), [(15_500, True), (16_500, False)])
@pytest.mark.parametrize("spread", [False, True], ids=["one header", "many"])
def test_the_headers_of_an_answer_have_sixteen_kibibytes_at_most(
    send: Door, octets: int, taken: bool, spread: bool
) -> None:
    lines = [f"X-{number:03}: {'x' * 91}" for number in range(octets // 100)] if spread else ["X-A: " + "x" * octets]
    with HostileServer(keep_answering(answer(OK_BODY, *lines))) as server:
        if taken:
            assert send(target(), "PUT", f"{server.url}/x", body=b"{}", timeout=5).ok
        else:
            with pytest.raises(client.Garbage):
                send(target(), "PUT", f"{server.url}/x", body=b"{}", timeout=5)


# ---- certificates


@pytest.mark.req("SEC-31")
def test_our_certificate_is_shown_as_it_is_now_also_after_it_was_renewed(send: Door, tmp_path: Path) -> None:
    (tmp_path / "unknown").mkdir()
    authority = Authority(tmp_path)
    file = Authority(tmp_path / "unknown").certificate_file("ours.example")
    context = authority.server_context("localhost", "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    with HostileServer(keep_answering(answer()), tls=context) as server:
        to = target(authorities_pem=authority.pem, certificate_file=str(file))
        with pytest.raises(client.ClientError):
            send(to, "GET", f"https://127.0.0.1:{server.port}/x", timeout=3)
        assert server.requests == []

        file.write_bytes(authority.certificate_file("ours.example").read_bytes())

        assert send(to, "GET", f"https://127.0.0.1:{server.port}/x", timeout=3).ok


@pytest.mark.req("SEC-31")
@pytest.mark.parametrize("name", ["localhost", "other.example"])
def test_a_server_is_checked_for_its_name_by_whom_we_trust(send: Door, tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    with HostileServer(keep_answering(answer()), tls=authority.server_context(name)) as server:
        url = f"https://localhost:{server.port}/x"
        trusting = target("localhost", authorities_pem=authority.pem)
        if name == "localhost":
            assert send(trusting, "GET", url, timeout=3).ok
        before = len(server.requests)
        for to in (target("localhost"), *([trusting] if name != "localhost" else [])):
            with pytest.raises(client.Unreachable):
                send(to, "GET", url, timeout=3)

        assert len(server.requests) == before


@pytest.mark.req("SEC-31")
@pytest.mark.parametrize("has_its_own", [True, False])
def test_a_platform_with_its_own_authority_is_trusted_by_no_other(
    send: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_its_own: bool
) -> None:
    (tmp_path / "own").mkdir()
    everybodys, own = Authority(tmp_path), Authority(tmp_path / "own")
    (tmp_path / "system.pem").write_text(everybodys.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    context = everybodys.server_context("localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=everybodys.pem)
    ours = str(everybodys.certificate_file("ours.example"))
    to = target("localhost", authorities_pem=own.pem if has_its_own else "", certificate_file=ours)
    assert len(tls_context(own.pem).get_ca_certs()) == 1
    with HostileServer(keep_answering(answer()), tls=context) as server:
        if has_its_own:
            with pytest.raises(client.Unreachable):
                send(to, "GET", f"https://localhost:{server.port}/x", timeout=3)
            assert server.requests == []
        else:
            assert send(to, "GET", f"https://localhost:{server.port}/x", timeout=3).ok


# ---- what is not taken from the environment


@pytest.mark.req("SEC-27")
def test_the_environment_names_no_proxy_and_no_password(
    send: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password hidden\ndefault login somebody password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    leads_to(monkeypatch, PUBLIC)
    with HostileServer(keep_answering(answer(OK_BODY, "Set-Cookie: a=b"))) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(client.ClientError):  # nobody is there, or nobody with that name
            send(target("partner.example"), "GET", "https://partner.example/x", timeout=0.3)
        assert proxy.connections == 0
    with HostileServer(keep_answering(answer(OK_BODY, "Set-Cookie: a=b"))) as server:
        for _ in range(2):
            assert send(target(token=""), "GET", f"{server.url}/x", timeout=2).ok
        for request in server.requests:
            assert header(request, "Authorization") is None
            assert header(request, "Cookie") is None


@pytest.mark.req("SEC-27", "SEC-22")
def test_the_proxy_of_the_settings_is_asked_for_a_checked_address(
    send: Door, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    leads_to(monkeypatch, PUBLIC)

    def refuse(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    with HostileServer(refuse) as proxy:
        settings.OCPI_EGRESS_PROXY = f"http://127.0.0.1:{proxy.port}"
        with pytest.raises(client.Unreachable):
            send(target("partner.example"), "GET", "https://partner.example/x", timeout=2)

        assert [request.partition(b"\r\n")[0] for request in proxy.requests] == [
            b"CONNECT %b:443 HTTP/1.1" % PUBLIC.encode()
        ]
        assert TOKEN.encode() not in b"".join(proxy.requests)


@pytest.mark.req("SEC-27")
def test_what_lies_in_an_allowed_network_is_called_without_the_proxy_of_the_settings(
    send: Door, settings: Settings
) -> None:
    with HostileServer(keep_answering(answer())) as server, HostileServer(never_shake_hands) as proxy:
        settings.OCPI_EGRESS_PROXY = f"http://127.0.0.1:{proxy.port}"

        assert send(target(), "GET", f"{server.url}/x", timeout=2).ok
        assert proxy.connections == 0
