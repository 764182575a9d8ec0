"""The threads of a CPO's web server: what their reader of HTTP cannot read is told to be so, in an envelope."""

from __future__ import annotations

import json
import logging
import socket

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

from hub import web_threads

START = b"GET /ocpi/versions HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.req("SEC-48", "TRN-035")
@pytest.mark.parametrize(
    ("octets", "http_status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (START + b"Transfer-Encoding: nobody-knows\r\n\r\n", 400),  # a 501 with gunicorn
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (START + b"X: 1\r\n" * 200 + b"\r\n", 431),
        (START + b"Expect: the unexpected\r\n\r\n", 417),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_what_cannot_be_read_is_a_4xx_in_an_envelope(octets: bytes, http_status: int) -> None:
    worker = object.__new__(web_threads.Worker)
    worker.log = logging.getLogger(__name__)
    with pytest.raises(ParseException) as caught:
        next(RequestParser(Config(), [octets], ("127.0.0.1", 1)))

    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker.handle_error(None, ours, ("127.0.0.1", 1), caught.value)
        ours.shutdown(socket.SHUT_WR)
        head, _, body = theirs.makefile("rb").read().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % http_status)
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert json.loads(body)["status_code"] == 2000
