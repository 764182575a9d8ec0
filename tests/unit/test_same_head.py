"""Heads that come again: only what differs in nothing but its ids goes without a parser."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.fast_again import SameRequests
from ocpi.http_answer import AnswerReader
from ocpi.same_answer import SameAnswers

REQUEST = (
    b"PUT /ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1?a=b HTTP/1.1\r\nHost: hub.example\r\n"
    b"Authorization: Token c2VjcmV0\r\nAccept: */*\r\nX-Request-ID: r-1\r\nX-Correlation-ID: c-1\r\n"
    b"OCPI-from-country-code: NL\r\nOCPI-from-party-id: TNM\r\nOCPI-to-country-code: DE\r\nOCPI-to-party-id: EMS\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: x\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-Request-ID: r-1\r\n"
    b"X-Correlation-ID: c-1\r\nContent-Length: 2\r\n\r\n{}"
)


def requests(first: bytes = REQUEST, *, often: bool = False) -> SameRequests:
    """Return what is remembered of a request, `often`: that has come again so often that a pattern was made of it."""
    found = SameRequests()
    found.learn(first)
    if often and found.known:
        found.known.make_pattern()
    return found


def answers(first: bytes = ANSWER, *, often: bool = False) -> SameAnswers:
    found = SameAnswers()
    found.learn(first)
    if often and found.known:
        found.known.make_pattern()
    return found


_REQUESTS = {often: requests(often=often) for often in (False, True)}
_ANSWERS = {often: answers(often=often) for often in (False, True)}


@pytest.mark.req("SEC-45")
@pytest.mark.parametrize("often", [False, True])
def test_a_request_with_other_ids_path_and_body_is_read(often: bool) -> None:
    found = requests(often=often).again(
        REQUEST.replace(b"r-1", b"r-2").replace(b"/S1?a=b", b"/S2").replace(b"2\r\n\r\n{}", b"7\r\n\r\n" + b'{"a":1}')
    )

    assert found is not None
    again, body = found
    assert (again.method, again.interface, again.module, again.tail, again.query, body) == (
        "PUT", "receiver", "sessions", "/NL/TNM/S2", "", b'{"a":1}',
    )  # fmt: skip
    assert (again.get(b"x-request-id"), again.get(b"ocpi-to-party-id")) == (b"r-2", b"EMS")
    assert again.pairs()["X-Request-Id"] == "r-2"
    assert again.pairs()["Authorization"] == "Token c2VjcmV0"


@pytest.mark.req("SEC-45", "SEC-47")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Host: hub.example", b"Host: hub.exampl"),
        (b"Authorization: Token c2VjcmV0", b"Authorization: Token c2VjcmV1"),
        (b"X-Request-ID", b"X-request-ID"),
        (b"X-Request-ID: r-1", b"X-Request-ID:r-1"),
        (b"X-Request-ID: r-1", b"X-Request-ID:  r-1"),
        (b"X-Request-ID: r-1", b"X-Request-ID: "),
        (b"X-Request-ID: r-1", b"X-Request-ID: r\n1"),
        (b"X-Request-ID: r-1", b"X-Request-ID: r 1"),
        (b"X-Request-ID: r-1", b"X-Request-ID: \xff"),
        (b"X-Request-ID: r-1", b"X-Request-ID: " + b"r" * 256),
        (b"X-Request-ID: r-1\r\n", b""),
        (b"X-Request-ID: r-1\r\n", b"X-Request-ID: r-1\r\nX-Request-ID: r-1\r\n"),
        (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"),
        (b"Content-Length: 2", b"Content-Length: 02"),
        (b"Content-Length: 2", b"Content-Length: +2"),
        (b"Content-Length: 2", b"Content-Length: 1"),
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"\r\n\r\n{}", b"\r\n\r\n{}GET / HTTP/1.1\r\n\r\n"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"PUT /", b"PUT  /"),
        (b"PUT /", b"HEAD /"),
        (b"PUT /", b"put /"),
        (b"/S1", b"/S%31"),
        (b"/S1", b"//S1"),
        (b"/S1", b"/.."),
        (b"/S1", b"/S1/"),
        (b"/S1", b"/1/2/3/4"),
        (b"?a=b", b"?a=%20"),
        (b"?a=b", b"?a=b#c"),
        (b"/ocpi/hub", b"/ocpi/cpo"),
    ],
)
@pytest.mark.parametrize("often", [False, True])
def test_whatever_else_differs_is_for_the_parser(old: bytes, new: bytes, often: bool) -> None:
    found = requests(often=often)

    assert old in REQUEST
    assert found.again(REQUEST.replace(old, new, 1)) is None
    assert found.again(REQUEST) is not None


@pytest.mark.req("SEC-45")
@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c",
        b"Expect: 100-continue", b"X-Request-ID: another", b"OCPI-to-party-id: MSX", b"X-Empty:", b"X-Odd : 1",
    ],
)  # fmt: skip
def test_what_frames_a_message_otherwise_is_not_remembered(line: bytes) -> None:
    assert requests(REQUEST.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")).known is None


@pytest.mark.req("SEC-45")
@given(st.binary(max_size=40), st.integers(0, len(REQUEST)), st.integers(0, 40), st.booleans())
def test_it_never_reads_what_a_parser_would_read_otherwise(octets: bytes, place: int, length: int, often: bool) -> None:
    """Whatever is put in somewhere: what is taken for a request is one to the parser, with the same parts."""
    changed = REQUEST[:place] + octets + REQUEST[place + length :]
    found = _REQUESTS[often].again(changed)
    if found is None:
        return
    again, body = found
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(changed)

    assert seen.complete == 1
    assert (seen.url, seen.body) == (again.first[1], body)
    assert again.first[1].decode() == again.path + (f"?{again.query}" if again.query else "")
    assert parser.get_method().decode() == again.method
    assert {name.decode().title(): value.decode() for name, value in seen.headers} == again.pairs()
    assert parser.should_keep_alive()


class _Seen:
    def __init__(self) -> None:
        self.url = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


@pytest.mark.req("SEC-45")
@given(st.binary(max_size=40), st.integers(0, len(ANSWER)), st.integers(0, 40), st.booleans())
@example(b"Date:  Fri", ANSWER.index(b"Date"), len(b"Date: Thu"), False)
@example(b"Date:  Fri", ANSWER.index(b"Date"), len(b"Date: Thu"), True)
def test_nor_an_answer(octets: bytes, place: int, length: int, often: bool) -> None:
    changed = ANSWER[:place] + octets + ANSWER[place + length :]
    again = _ANSWERS[often].again(changed, 1000)
    if again is None:
        return
    reader = AnswerReader()
    reader.expect(1000)
    reader.feed(changed)

    assert reader.complete
    assert reader.keep_alive
    assert reader.response == again.written_out()


@pytest.mark.req("SEC-45", "SEC-29")
def test_an_answer_over_the_limit_is_for_the_reader_which_refuses_it() -> None:
    assert answers().again(ANSWER, 2) is not None
    assert answers().again(ANSWER, 1) is None


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize("line", [b"Transfer-Encoding: chunked", b"Connection: close", b"Content-Encoding: gzip"])
def test_an_answer_that_is_framed_otherwise_is_not_remembered(line: bytes) -> None:
    assert answers(ANSWER.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")).known is None


def test_a_pattern_is_made_of_what_comes_often() -> None:
    found = requests()

    read = [found.again(REQUEST.replace(b"r-1", b"r-%d" % number)) for number in range(40)]

    assert found.known is not None
    assert found.known._pattern is not None
    assert [each and each[0].get(b"x-request-id") for each in read] == [b"r-%d" % number for number in range(40)]


def test_heads_that_differ_each_time_are_given_up() -> None:
    found = SameRequests()
    for number in range(9):
        found.learn(REQUEST.replace(b"*/*", b"%d" % number))

    assert found.known is not None
    assert found.again(REQUEST.replace(b"*/*", b"8")) is None


def test_a_head_that_is_known_is_not_looked_at_again() -> None:
    found = requests()
    known, data = found.known, REQUEST.replace(b"r-1", b"r-2")
    assert found.again(data) is not None

    found.learn(data)  # it was left to others, who found it good

    assert found.known is known
    found.learn(REQUEST.replace(b"*/*", b"text/html"))
    assert found.known is not known
