"""The one door out: what a platform gets to see of us."""

import socket
import threading
import time
import uuid
from pathlib import Path

import pytest
from pytest_django import Settings

from ocpi import client
from tests.unit.hostile_server import OK_BODY, Authority, HostileServer, Peer, Script, answer, keep_answering
from tests.unit.platform_calls import ENCODED, TOKEN, header, send, target
from tests.unit.platform_calls import loopback_fixture as loopback_fixture


@pytest.mark.req("TRN-003", "TRN-004", "TRN-017", "TRN-055", "TRN-057", "TRN-059", "SEC-27", "SEC-29")
def test_a_get_shows_token_and_ids_and_no_content_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with HostileServer(keep_answering(answer(OK_BODY, "Set-Cookie: a=b"))) as server:
        send(server, path="/x?a=b")
        send(server)
        first, second = server.requests

    assert first.startswith(b"GET /x?a=b HTTP/1.1\r\n")
    assert header(first, "Authorization") == f"Token {ENCODED}"
    assert header(first, "Accept") == "application/json"
    assert header(first, "Accept-Encoding") == "identity"
    assert header(first, "Host") == f"127.0.0.1:{server.port}"
    assert header(first, "Content-Type") is None
    assert header(first, "Content-Length") is None
    assert header(second, "Cookie") is None
    ids = [header(request, name) for request in (first, second) for name in ("X-Request-ID", "X-Correlation-ID")]
    assert len({str(uuid.UUID(value)) for value in ids}) == 4


@pytest.mark.req("TRN-006")
def test_a_platform_that_wants_it_raw_gets_the_token_raw() -> None:
    with HostileServer(keep_answering(answer())) as server:
        send(server, to=target(base64_token=False))

    assert header(server.requests[0], "Authorization") == f"Token {TOKEN}"


@pytest.mark.req("TRN-015", "TRN-016", "TRN-020")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_goes_out_as_json_unchanged(method: str) -> None:
    with HostileServer(keep_answering(answer())) as server:
        send(server, method, body=b'{"a": 1.10}')

    assert server.requests[0].startswith(method.encode())
    assert server.requests[0].endswith(b'\r\n\r\n{"a": 1.10}')
    assert header(server.requests[0], "Content-Type") == "application/json"
    assert header(server.requests[0], "Content-Length") == "11"


@pytest.mark.req("TRN-055", "TRN-062")
def test_the_callers_headers_are_kept_but_not_those_that_are_ours() -> None:
    headers = {
        "X-Request-ID": "request-1",
        "x-correlation-id": "correlation-1",
        "OCPI-to-party-id": "TNM",
        "accept": "application/xml",
        "authorization": "Token forged",
        "Content-Length": "0",
        "Transfer-Encoding": "chunked",
        "Host": "elsewhere.example",
    }
    with HostileServer(keep_answering(answer())) as server:
        send(server, "PUT", body=b"{}", headers=headers)

    request = server.requests[0]
    assert header(request, "X-Request-ID") == "request-1"
    assert header(request, "X-Correlation-ID") == "correlation-1"
    assert header(request, "OCPI-to-party-id") == "TNM"
    assert header(request, "Authorization") == f"Token {ENCODED}"
    assert header(request, "Content-Length") == "2"
    assert header(request, "Transfer-Encoding") is None
    assert header(request, "Host") == f"127.0.0.1:{server.port}"
    assert b"elsewhere" not in request


@pytest.mark.parametrize(
    ("method", "headers", "token"),
    [
        ("GET", {"X-Request-ID": "a\r\nX-Evil: b"}, TOKEN),
        ("GET", {"X-Request-ID": "a\nX-Evil: b"}, TOKEN),
        ("GET", {"X-Request-ID": "a\rb"}, TOKEN),
        ("GET", {"X-Request-ID": "a\0b"}, TOKEN),
        ("GET", {"X-Evil: a\r\nX": "b"}, TOKEN),
        ("GET", {"X-Request-ID": "漢"}, TOKEN),
        ("GET", {}, "raw\r\nX-Evil: b"),
        ("TRACE", {}, TOKEN),
        ("GET /y HTTP/1.1\r\nX-Evil: b\r\n\r\nGET", {}, TOKEN),
    ],
)
def test_nothing_can_be_smuggled_into_a_request(method: str, headers: dict[str, str], token: str) -> None:
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises(client.Unsendable):
            send(server, method, headers=headers, to=target(token=token, base64_token=False))

        assert server.connections == 0


@pytest.mark.req("TRN-013", "SEC-21")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "sub.127.0.0.1.example"])
def test_a_host_that_is_not_approved_is_not_even_connected_to(host: str) -> None:
    with HostileServer(keep_answering(answer())) as server:
        with pytest.raises(client.ForeignHost) as caught:
            client.send(target(), "GET", f"http://{host}:{server.port}/x", timeout=0.4)

        assert server.connections == 0
    assert TOKEN not in str(caught.value)


@pytest.mark.req("TRN-013")
def test_an_approval_for_one_port_is_none_for_another() -> None:
    with HostileServer(keep_answering(answer())) as server:
        assert send(server, to=target(f"127.0.0.1:{server.port}")).ok
        with pytest.raises(client.ForeignHost):
            send(server, to=target(f"127.0.0.1:{server.port + 1}"))

        assert server.connections == 1


@pytest.mark.req("SEC-22", "SEC-24", "SEC-25")
def test_a_private_address_is_denied_unless_its_network_is_allowed(settings: Settings) -> None:
    with HostileServer(keep_answering(answer())) as server:
        assert send(server).ok
        settings.OCPI_ALLOWED_NETWORKS = []
        for scheme in ("http", "https"):
            with pytest.raises(client.AddressDenied):
                client.send(target(), "GET", f"{scheme}://127.0.0.1:{server.port}/x", timeout=0.4)
            with pytest.raises(client.AddressDenied):
                client.send(target("localhost"), "GET", f"{scheme}://localhost:{server.port}/x", timeout=0.4)

        assert server.connections == 1


def drip(peer: Peer) -> None:
    peer.request()
    peer.drip(answer(OK_BODY * 10))


def say_nothing(peer: Peer) -> None:
    peer.request()
    peer.hang()


def reset(peer: Peer) -> None:
    peer.request()
    peer.reset()


def speak_ssh(peer: Peer) -> None:
    peer.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    peer.request()


@pytest.mark.req("SEC-28", "SEC-29", "REL-28")
@pytest.mark.parametrize(
    ("script", "error"),
    [
        (drip, client.NoAnswer),
        (say_nothing, client.NoAnswer),
        (reset, client.NoAnswer),
        (keep_answering(b""), client.NoAnswer),
        (speak_ssh, client.Garbage),
        (keep_answering(answer(b"x" * 2000)), client.Garbage),
        (keep_answering(answer(OK_BODY, "Content-Encoding: gzip")), client.Garbage),
    ],
)
def test_each_way_to_fail_has_its_error_with_the_request_in_it(script: Script, error: type[client.ClientError]) -> None:
    before = time.time()

    with HostileServer(script) as server, pytest.raises(error) as caught:
        send(server, "PUT", body=b"{}", max_body=1000)

    sent = caught.value.sent
    assert (sent.method, sent.url, sent.body) == ("PUT", f"{server.url}/x", b"{}")
    assert sent.headers["X-Request-ID"]
    assert before - 1 < sent.started_at < time.time() + 1
    assert 0 < sent.elapsed < 1.4


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_platform_that_cannot_be_reached_got_nothing(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    with pytest.raises(client.Unreachable):
        client.send(target(host), "PUT", f"http://{host}:{port}/x", body=b"{}", timeout=0.4)


@pytest.mark.req("TRN-014", "SEC-50")
def test_the_token_is_nowhere_in_what_is_kept_of_a_request() -> None:
    with HostileServer(keep_answering(answer())) as server:
        got = send(server)
    with HostileServer(reset) as server, pytest.raises(client.NoAnswer) as caught:
        send(server)

    for kept in (got, got.sent, caught.value, caught.value.sent, target()):
        assert TOKEN not in repr(kept)
        assert ENCODED not in repr(kept)
    assert got.sent.headers["Authorization"] == "Token …ngth"


def close_at_second(peer: Peer) -> None:
    """Answer one request per connection, and close when the next has arrived."""
    peer.request()
    peer.send(answer())
    peer.request()


@pytest.mark.req("TRN-062")
def test_a_get_on_a_connection_that_had_gone_is_repeated_once_under_a_new_id() -> None:
    with HostileServer(close_at_second) as server:
        send(server)
        assert send(server, headers={"X-Request-ID": "request-2", "X-Correlation-ID": "correlation-2"}).ok

    assert server.connections == 2
    assert len(server.requests) == 3
    assert header(server.requests[1], "X-Request-ID") == "request-2"
    assert header(server.requests[2], "X-Request-ID") not in (None, "request-2")
    assert header(server.requests[2], "X-Correlation-ID") == "correlation-2"


@pytest.mark.req("HUB-70", "REL-30")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_may_have_taken_effect_is_not_repeated(method: str) -> None:
    with HostileServer(close_at_second) as server:
        send(server)
        with pytest.raises(client.NoAnswer):
            send(server, method)

    assert len(server.requests) == 2


@pytest.mark.req("SEC-31", "SEC-22")
def test_a_platform_with_its_own_authority_is_called_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusting = target("localhost", authorities_pem=authority.pem)

    with HostileServer(keep_answering(answer()), tls=authority.server_context("localhost")) as server:
        url = f"https://localhost:{server.port}/x"
        assert client.send(trusting, "GET", url, timeout=0.4).ok
        with pytest.raises(client.Unreachable):
            client.send(target("localhost"), "GET", url, timeout=0.4)
    with HostileServer(keep_answering(answer()), tls=authority.server_context("other.example")) as server:
        with pytest.raises(client.Unreachable):
            client.send(trusting, "GET", f"https://localhost:{server.port}/x", timeout=0.4)

        assert server.requests == []


@pytest.mark.req("SEC-31")
def test_an_authority_that_is_none_is_an_error_of_that_platform_alone() -> None:
    with pytest.raises(client.Unsendable):
        client.send(target(authorities_pem="nonsense"), "GET", "https://127.0.0.1:9000/", timeout=0.4)


def test_threads_share_the_door() -> None:
    failures: list[object] = []

    def work() -> None:
        for _ in range(20):
            got = send(server, "PUT", body=b"{}", timeout=2)
            if not got.ok:
                failures.append(got)

    with HostileServer(keep_answering(answer())) as server:
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections <= 16 * 20

    assert failures == []
    assert len(server.requests) == 320
