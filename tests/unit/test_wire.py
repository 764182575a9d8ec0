"""The HTTP client below OCPI, against servers that do everything wrong."""

import gzip
import socket
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from ocpi import address_guard, connection, wire
from ocpi.http_answer import AnswerReader, NotHttp
from tests.unit.hostile_server import HostileServer, Peer, Script, answer, keep_answering
from tests.unit.wire_calls import CHUNKED, LIMIT, LOOPBACK, REQUEST, ask, never_read, once


@pytest.fixture(autouse=True)
def _empty_pool() -> Iterator[None]:
    wire.pool.clear()
    yield
    wire.pool.clear()


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
        (
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(b"hello")],
            b"hello",
        ),
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


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize("script", [drip_headers, drip_body, drip_chunks, continue_for_ever, say_nothing])
def test_the_deadline_holds_whatever_the_server_does_to_stretch_it(script: Script) -> None:
    with HostileServer(script) as server:
        started = time.monotonic()
        with pytest.raises(wire.Lost):
            ask(server)
        took = time.monotonic() - started

    assert took < LIMIT + 5


@pytest.mark.req("SEC-28")
def test_the_deadline_holds_while_a_server_does_not_read() -> None:
    with HostileServer(never_read) as server:
        started = time.monotonic()
        with pytest.raises(wire.Lost):
            ask(server, request=b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000)
        took = time.monotonic() - started

    assert took < LIMIT + 5


@pytest.mark.req("SEC-28")
def test_the_deadline_holds_while_a_server_never_pauses() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"HTTP/1.1 200 OK\r\n")

        with pytest.raises(TimeoutError):
            connection.Connection(ours).receive(time.monotonic())


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
        once(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_001),
        once(CHUNKED + b"2711\r\n" + b"x" * 10_001 + b"\r\n0\r\n\r\n"),
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


@pytest.mark.req("REL-28", "SEC-29")
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


def answer_and_close_half(peer: Peer) -> None:
    peer.send(answer(b"too much", status="413 Content Too Large"))
    peer.sock.shutdown(socket.SHUT_WR)
    peer.hang()


def test_an_early_answer_is_read_although_the_server_is_closing() -> None:
    with HostileServer(answer_and_close_half) as server:
        for _ in range(2):
            assert ask(server).status == 413
            time.sleep(0.02)

        assert server.connections == 2


def test_nobody_listening_means_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    with pytest.raises(wire.NotConnected):
        wire.exchange(
            address_guard.Url("http", "127.0.0.1", port, "/"),
            REQUEST,
            deadline=time.monotonic() + LIMIT,
            connect_timeout=LIMIT,
            max_body=10,
            allowed_networks=LOOPBACK,
        )


@pytest.mark.req("SEC-29")
def test_a_body_in_tiny_chunks_takes_no_more_memory_than_its_size() -> None:
    reader = AnswerReader()
    reader.expect(1 << 20)
    reader.feed(CHUNKED)
    tiny = b"2\r\n[]\r\n" * 1000
    tracemalloc.start()
    try:
        for _ in range(150):
            reader.feed(tiny)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20


@pytest.mark.req("SEC-29")
def test_a_page_in_tiny_chunks_is_not_read_to_its_end() -> None:
    reader = AnswerReader()
    reader.expect(16 << 20)
    reader.feed(CHUNKED)
    for _ in range(150):  # about 1 MiB of framing
        reader.feed(b"2\r\n[]\r\n" * 1000)

    with pytest.raises(NotHttp, match="framing"):
        reader.feed(b"2\r\n[]\r\n" * 100_000)


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize("piece", [b"X-More: " + b"x" * 1000 + b"\r\n", b"\r\nHTTP/1.1 100 Continue\r\nX: x\r\n" * 25])
def test_headers_that_have_no_end_are_read_for_sixteen_kibibytes(piece: bytes) -> None:
    reader = AnswerReader()
    reader.expect(1 << 20)
    reader.feed(b"HTTP/1.1 100 Continue\r\n")
    for _ in range(14_000 // len(piece)):
        reader.feed(piece)

    with pytest.raises(NotHttp):
        reader.feed(piece * (1 + 4_000 // len(piece)))


@pytest.mark.req("SEC-29")
def test_a_large_page_in_chunks_of_an_object_each_is_read() -> None:
    reader = AnswerReader()
    reader.expect(16 << 20)
    reader.feed(CHUNKED)
    for _ in range(160):  # a good MiB of framing in a page of 7 MiB
        reader.feed((b"2c\r\n" + b"x" * 0x2C + b"\r\n") * 1200)
    reader.feed(b"0\r\n\r\n")

    assert len(reader.response.body) == 160 * 1200 * 0x2C
