"""The HTTP client below OCPI, against servers that do everything wrong."""

import gzip
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpi import address_guard, connection, wire
from ocpi.http_answer import AnswerReader, NotHttp, Response
from tests.unit.hostile_server import OK_BODY, Authority, HostileServer, Peer, Script, answer, keep_answering

LOOPBACK = ["127.0.0.0/8", "::1/128"]
LIMIT = 0.4
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _empty_pool() -> Iterator[None]:
    wire.pool.clear()
    yield
    wire.pool.clear()


def ask(
    server: HostileServer, *, request: bytes = REQUEST, max_body: int = 10_000, host: str = "127.0.0.1", **options: object
) -> Response:
    url = address_guard.Url("https" if server.tls else "http", host, server.port, "/")
    return wire.exchange(
        url,
        request,
        deadline=time.monotonic() + LIMIT,
        connect_timeout=LIMIT,
        max_body=max_body,
        allowed_networks=LOOPBACK,
        **options,  # type: ignore[arg-type]
    )


def once(*pieces: bytes) -> Script:
    """Return a script that answers with the pieces and closes."""

    def script(peer: Peer) -> None:
        peer.request()
        for piece in pieces:
            peer.send(piece)
            time.sleep(0.005)

    return script


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([answer(b"hello")], b"hello"),
        ([answer(b"")], b""),
        ([bytes([octet]) for octet in answer(b"hello")], b"hello"),
        ([CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"], b"hello"),
        ([CHUNKED, b"2\r\nhe\r\n", b"3;a=b\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"], b"hello"),
        ([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"], b"hello"),
        ([b"HTTP/1.0 200 OK\r\n\r\nhello"], b"hello"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(b"hello")], b"hello"),
        ([b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"], b""),
        ([answer(b"hello", "Content-Encoding: identity")], b"hello"),
    ],
)
def test_a_body_is_read_whichever_way_it_is_framed(pieces: list[bytes], body: bytes) -> None:
    with HostileServer(once(*pieces)) as server:
        response = ask(server)

    assert response.body == body
    assert response.status in (200, 204)
    assert "link" not in response.headers


@pytest.mark.req("TRN-011")
def test_header_names_are_lower_case_and_repeated_ones_are_joined() -> None:
    with HostileServer(once(answer(b"", "X-LIMIT: 10", "Link: <a>", "link: <b>"))) as server:
        response = ask(server)

    assert response.headers["x-limit"] == "10"
    assert response.headers["link"] == "<a>, <b>"


def drip_headers(peer: Peer) -> None:
    peer.request()
    peer.drip(answer(b"x" * 1000))


def drip_body(peer: Peer) -> None:
    peer.request()
    peer.send(answer(b"", length=1000))
    peer.drip(b"x" * 1000)


def drip_chunks(peer: Peer) -> None:
    peer.request()
    peer.send(CHUNKED)
    while not peer.server.stopped.wait(0.02):
        peer.send(b"1\r\nx\r\n")


def continue_for_ever(peer: Peer) -> None:
    peer.request()
    while not peer.server.stopped.wait(0.02):
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def say_nothing(peer: Peer) -> None:
    peer.request()
    peer.hang()


def never_read(peer: Peer) -> None:
    peer.hang()


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize("script", [drip_headers, drip_body, drip_chunks, continue_for_ever, say_nothing])
def test_the_deadline_holds_whatever_the_server_does_to_stretch_it(script: Script) -> None:
    with HostileServer(script) as server:
        started = time.monotonic()
        with pytest.raises(wire.Lost):
            ask(server)
        took = time.monotonic() - started

    assert took < LIMIT + 1


@pytest.mark.req("SEC-28")
def test_the_deadline_holds_while_a_server_does_not_read() -> None:
    with HostileServer(never_read) as server:
        started = time.monotonic()
        with pytest.raises(wire.Lost):
            ask(server, request=b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000)
        took = time.monotonic() - started

    assert took < LIMIT + 1


def flood_chunks(peer: Peer) -> None:
    peer.request()
    peer.send(CHUNKED)
    while not peer.server.stopped.is_set():
        peer.send(b"400\r\n" + b"x" * 1024 + b"\r\n")


def flood_small_chunks(peer: Peer) -> None:
    peer.request()
    peer.send(CHUNKED)
    while not peer.server.stopped.is_set():
        peer.send((b"1;" + b"e" * 500 + b"\r\nx\r\n") * 20)


def flood_headers(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\n")
    while not peer.server.stopped.is_set():
        peer.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")


def flood_trailers(peer: Peer) -> None:
    peer.request()
    peer.send(CHUNKED + b"0\r\n")
    while not peer.server.stopped.is_set():
        peer.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")


def flood_interim(peer: Peer) -> None:
    peer.request()
    while not peer.server.stopped.is_set():
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)


def flood_until_close(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not peer.server.stopped.is_set():
        peer.send(b"x" * 1000)


@pytest.mark.req("SEC-29", "REL-28")
@pytest.mark.parametrize(
    "script",
    [
        flood_chunks,
        flood_small_chunks,
        flood_headers,
        flood_trailers,
        flood_interim,
        flood_until_close,
        once(answer(b"x" * 10_001)),
        once(answer(b"", length=10_001)),
        once(answer(b"", length=10**30)),
        once(answer(b"x", "X-Big: " + "x" * 17_000)),
        once(answer(b"x", *(f"X-{n}: {'x' * 90}" for n in range(200)))),
    ],
)
def test_reading_stops_where_the_answer_is_too_big(script: Script) -> None:
    with HostileServer(script) as server, pytest.raises(wire.NotAnAnswer):
        ask(server)


@pytest.mark.req("SEC-29")
def test_an_answer_of_exactly_the_limit_is_taken() -> None:
    with HostileServer(keep_answering(answer(b"x" * 10_000))) as server:
        assert len(ask(server).body) == 10_000


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize(
    "headers",
    [["Content-Encoding: gzip"], ["Content-Encoding: br"], ["Content-Encoding: identity, deflate"]],
)
def test_a_compressed_answer_is_refused_as_we_never_asked_for_one(headers: list[str]) -> None:
    bomb = gzip.compress(b"x" * 1_000_000)

    with HostileServer(once(answer(bomb, *headers))) as server, pytest.raises(wire.NotAnAnswer):
        ask(server)


@pytest.mark.req("REL-28")
@pytest.mark.parametrize(
    "octets",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"<html>not even HTTP</html>",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxxx",
        CHUNKED + b"zz\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    ],
)
def test_what_is_not_http_is_garbage_and_its_beginning_is_kept(octets: bytes) -> None:
    with HostileServer(once(octets)) as server, pytest.raises(wire.NotAnAnswer) as caught:
        ask(server)

    assert caught.value.beginning == octets[:2048]


@pytest.mark.req("REL-28")
def test_the_reader_never_raises_anything_but_its_own_error() -> None:
    valid = answer(b"hello", "Link: <x>; rel=next") + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"
    for position in range(len(valid)):
        for octet in (0, 10, 13, 32, 58, 128, 255):
            reader = AnswerReader()
            reader.expect(100)
            try:
                reader.feed(valid[:position] + bytes([octet]) + valid[position:])
                reader.end()
            except NotHttp:
                assert not reader.keep_alive or not reader.complete


@pytest.mark.parametrize(
    "pieces",
    [[], [b"HTTP/1.1 200 OK\r\n"], [answer(b"hel", length=5)], [CHUNKED + b"5\r\nhel"], [CHUNKED + b"5\r\nhello\r\n"]],
)
def test_an_answer_that_breaks_off_is_lost(pieces: list[bytes]) -> None:
    with HostileServer(once(*pieces)) as server, pytest.raises(wire.Lost):
        ask(server)


def reset(peer: Peer) -> None:
    peer.request()
    peer.reset()


def test_a_connection_that_is_reset_is_lost() -> None:
    with HostileServer(reset) as server, pytest.raises(wire.Lost):
        ask(server)


def answer_without_reading(peer: Peer) -> None:
    peer.send(answer(b"too much", status="413 Content Too Large"))
    peer.sock.shutdown(socket.SHUT_WR)
    peer.sock.recv(1000)
    peer.hang()


def test_an_early_answer_is_read_and_its_connection_not_kept() -> None:
    with HostileServer(answer_without_reading) as server:
        assert ask(server).status == 413
        assert wire.pool.take(("http", "127.0.0.1", server.port, tuple(LOOPBACK), None)) is None


def test_nobody_listening_means_nothing_was_sent() -> None:
    with HostileServer(keep_answering(answer())) as server:
        pass

    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    del server
    with pytest.raises(wire.NotConnected):
        wire.exchange(
            address_guard.Url("http", "127.0.0.1", port, "/"),
            REQUEST,
            deadline=time.monotonic() + LIMIT,
            connect_timeout=LIMIT,
            max_body=10,
            allowed_networks=LOOPBACK,
        )


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
    with HostileServer(keep_answering(answer())) as server:
        gate = threading.Barrier(12)

        def work() -> None:
            gate.wait(5)
            ask(server)

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        key = ("http", "127.0.0.1", server.port, tuple(LOOPBACK), None)
        assert 1 <= len(wire.pool._idle[key]) <= 8

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
        with pytest.raises(wire.NotConnected, match="(?i)certificate"):
            ask(server, host="other.example", context=context)

    assert len(server.requests) == 3


@pytest.mark.req("SEC-31")
def test_tls_with_an_unknown_authority_is_refused(authority: Authority) -> None:
    with (
        HostileServer(keep_answering(answer()), tls=authority.server_context("127.0.0.1")) as server,
        pytest.raises(wire.NotConnected, match="(?i)certificate"),
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
        url = address_guard.Url("https", "127.0.0.1", server.port, "/")
        started = time.monotonic()
        with pytest.raises(wire.NotConnected):
            wire.exchange(
                url,
                REQUEST,
                deadline=time.monotonic() + 5,
                connect_timeout=LIMIT,
                max_body=10,
                allowed_networks=LOOPBACK,
            )

    assert time.monotonic() - started < LIMIT + 1
