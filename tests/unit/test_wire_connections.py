"""Connections of the HTTP client: kept, shared, encrypted, given up."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpi import address_guard, connection, wire
from tests.unit.hostile_server import OK_BODY, Authority, HostileServer, Peer, answer, keep_answering
from tests.unit.wire_calls import LIMIT, LOOPBACK, REQUEST, ask, never_read, nobody_accepts, once


@pytest.fixture(autouse=True)
def _empty_pool() -> Iterator[None]:
    wire.pool.clear()
    yield
    wire.pool.clear()


def test_a_connection_is_kept_and_used_again() -> None:
    with HostileServer(keep_answering(answer())) as server:
        bodies = [ask(server).body for _ in range(5)]

        assert bodies == [OK_BODY] * 5
        assert server.connections == 1
        assert len(server.requests) == 5


@pytest.mark.parametrize(
    "octets",
    [
        answer(b"a", "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        answer(b"a") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        answer(b"a") + b"surplus",
    ],
)
def test_a_connection_that_cannot_be_trusted_again_is_not_kept(octets: bytes) -> None:
    with HostileServer(keep_answering(octets)) as server:
        assert [ask(server).body for _ in range(3)] == [b"a"] * 3
        assert server.connections == 3


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(answer(b"%d" % len(peer.server.requests)))
            time.sleep(0.02)
            peer.send(answer(b"forged"))

    with HostileServer(script) as server:
        assert ask(server).body == b"1"
        time.sleep(0.05)
        assert ask(server).body == b"2"


def close_after_one(peer: Peer) -> None:
    peer.request()
    peer.send(answer())


def test_a_connection_closed_while_idle_is_noticed_before_sending() -> None:
    with HostileServer(close_after_one) as server:
        for _ in range(3):
            assert ask(server).status == 200
            time.sleep(0.02)

        assert server.connections == len(server.requests) == 3


def test_a_connection_closed_at_the_second_request_is_stale() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer())
        peer.request()

    with HostileServer(script) as server:
        ask(server)
        with pytest.raises(wire.Stale) as caught:
            ask(server)

    assert not caught.value.nothing_sent


def test_a_kept_connection_that_breaks_in_the_middle_of_an_answer_is_not_stale() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer())
        peer.request()
        peer.send(b"HTTP/1.1 200")

    with HostileServer(script) as server:
        ask(server)
        with pytest.raises(wire.Lost) as caught:
            ask(server)

    assert not isinstance(caught.value, wire.Stale)


def test_idle_connections_are_few_and_do_not_grow_old(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(12)

    def script(peer: Peer) -> None:
        peer.request()
        together.wait(5)
        peer.send(answer())
        peer.hang()

    with HostileServer(script) as server:

        def work() -> None:
            ask(server)

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        key = ("http", "127.0.0.1", server.port, tuple(LOOPBACK), None, None)
        assert server.connections == 12
        assert len(wire.pool._idle[key]) == 8

        later = time.monotonic() + 31
        monkeypatch.setattr("ocpi.wire.time.monotonic", lambda: later)
        assert wire.pool.take(key) is None


@pytest.mark.req("SEC-22")
def test_a_connection_made_under_one_guard_is_not_used_under_another() -> None:
    with HostileServer(keep_answering(answer())) as server:
        ask(server)
        url = address_guard.Url("http", "127.0.0.1", server.port, "/")
        with pytest.raises(address_guard.AddressDenied):
            wire.exchange(
                url,
                REQUEST,
                deadline=time.monotonic() + LIMIT,
                connect_timeout=LIMIT,
                max_body=10,
                allowed_networks=["10.0.0.0/8"],
            )


@pytest.mark.req("SEC-22", "SEC-25")
def test_http_to_a_name_with_a_public_address_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 9000))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [public])

    with HostileServer(keep_answering(answer())) as server, pytest.raises(address_guard.AddressDenied):
        ask(server, host="hub.example")


@pytest.mark.req("SEC-22")
def test_a_name_is_looked_up_once_per_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []
    real = socket.getaddrinfo

    def look_up(host: str, port: int, **options: int) -> object:
        looked_up.append(host)
        return real("127.0.0.1" if len(looked_up) == 1 else "10.0.0.1", port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    with HostileServer(keep_answering(answer())) as server:
        assert ask(server, host="hub.example").status == 200
        assert ask(server, host="hub.example").status == 200

    assert looked_up == ["hub.example"]


def test_sixteen_threads_share_the_pool_without_mixing_answers() -> None:
    def echo(peer: Peer) -> None:
        while request := peer.request():
            peer.send(answer(request.split()[1]))

    wrong: list[bytes] = []

    def work(number: int) -> None:
        for turn in range(40):
            path = b"/%d/%d" % (number, turn)
            body = ask(server, request=b"GET %s HTTP/1.1\r\n\r\n" % path).body
            if body != path:
                wrong.append(body)

    with HostileServer(echo) as server:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert wrong == []
    assert len(server.requests) == 640


def test_a_forked_process_starts_with_no_connections() -> None:
    with HostileServer(keep_answering(answer())) as server:
        ask(server)
        child = os.fork()
        if child == 0:
            os._exit(len(wire.pool._idle))
        assert os.waitpid(child, 0)[1] == 0
        assert ask(server).status == 200
        assert server.connections == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("certificates")))


@pytest.mark.req("SEC-22", "SEC-31")
def test_tls_checks_the_certificate_for_the_name_and_connects_by_address(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = connection.tls_context(authority.pem)
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **kw: real("127.0.0.1", port, **kw))

    with HostileServer(keep_answering(answer()), tls=authority.server_context("hub.example")) as server:
        for _ in range(3):
            assert ask(server, host="hub.example", context=context).body == OK_BODY
        assert server.connections == 1
        with pytest.raises(wire.NotConnected, match="certificate"):
            ask(server, host="other.example", context=context)

    assert len(server.requests) == 3


@pytest.mark.req("SEC-31")
def test_tls_with_an_unknown_authority_is_refused(authority: Authority) -> None:
    with (
        HostileServer(keep_answering(answer()), tls=authority.server_context("127.0.0.1")) as server,
        pytest.raises(wire.NotConnected, match="certificate"),
    ):
        ask(server)

    assert server.requests == []


def test_tls_reads_a_large_answer_whole(authority: Authority) -> None:
    body = os.urandom(300_000)
    context = connection.tls_context(authority.pem)

    with HostileServer(keep_answering(answer(body)), tls=authority.server_context("127.0.0.1")) as server:
        request = b"POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + body
        assert ask(server, request=request, max_body=400_000, context=context).body == body
        assert server.requests[0].endswith(body)


def test_tls_cut_off_without_goodbye_is_not_a_whole_body(authority: Authority) -> None:
    context = connection.tls_context(authority.pem)

    with (
        HostileServer(once(b"HTTP/1.1 200 OK\r\n\r\nhel"), tls=authority.server_context("127.0.0.1")) as server,
        pytest.raises(wire.Lost),
    ):
        ask(server, context=context)


@pytest.mark.req("SEC-28")
def test_a_server_that_never_shakes_hands_is_given_up() -> None:
    with HostileServer(never_read) as server:
        assert _seconds_until_given_up("https", server.port) < LIMIT + 1


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connecting_ends_with_its_own_limit(scheme: str) -> None:
    with nobody_accepts() as port:
        assert _seconds_until_given_up(scheme, port) < LIMIT + 2


def _seconds_until_given_up(scheme: str, port: int) -> float:
    url = address_guard.Url(scheme, "127.0.0.1", port, "/")
    started = time.monotonic()
    with pytest.raises(wire.NotConnected):
        wire.exchange(
            url,
            REQUEST,
            deadline=time.monotonic() + 8,
            connect_timeout=LIMIT,
            max_body=10,
            allowed_networks=LOOPBACK,
        )
    return time.monotonic() - started
