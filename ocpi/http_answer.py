"""One HTTP/1.1 answer taken from bytes, within limits; no socket here.

The same reader serves a blocking and an asynchronous client.
"""

from typing import NamedTuple

import httptools

from ocpi.same_head import Said

HEADER_LIMIT = 16 * 1024
# Of chunks; some stream a large list in pieces of a few octets, and none of those that do so is larger than this.
_FRAMING_LIMIT = 1 << 20
# A body is kept in pieces of this size at least, and joined once it is whole: one that grew in place would leave holes
# of its size in the memory of every thread.
_PIECE = 32 * 1024
_SWITCHING_PROTOCOLS = 101
_BODILESS = (204, 304)


class Response(NamedTuple):
    """An answer as it came: status, headers by lower-case name, body; or, for headers, a head that was said before."""

    status: int
    headers: dict[str, str]
    body: bytes
    said: Said | None = None

    def written_out(self) -> "Response":
        """Return the same with its headers."""
        return Response(self.status, self.said.pairs(), self.body) if self.said else self


class NotHttp(Exception):
    """What came is not HTTP, is too big, or is encoded although we asked for it plain."""


class AnswerReader:
    """Reads the answers of one connection, one after the other."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.expect(0)

    def expect(self, max_body: int) -> None:
        """Get ready for the next answer."""
        self.complete = False
        self.keep_alive = False
        self.started = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._small = bytearray()
        self._headers_done = False
        self._until_close = False
        self._header_size = self._body_size = self._raw_size = 0
        self._max_body = max_body
        self._problem: str | None = None
        self._first = b""

    def forget(self) -> None:
        """Let go of what was read: an error that somebody keeps, or a connection that waits, must not hold a body."""
        self._pieces, self._small = [], bytearray()
        self._first, self._headers = b"", {}

    @property
    def response(self) -> Response:
        """Return the answer, once it is complete."""
        self._gather()
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        return Response(self._status, self._headers, body)

    @property
    def beginning(self) -> bytes:
        """Return as much of what came as an operator needs to see."""
        return (b"".join(self._pieces[:1]) + self._small)[:2048] or self._first

    def feed(self, octets: bytes) -> None:
        """Take what the socket gave.

        :raises NotHttp: if it cannot become an answer within the limits.
        """
        self.started = True
        self._first = self._first or octets[:2048]
        self._raw_size += len(octets)
        try:
            self._parser.feed_data(octets)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # Behind a complete answer nothing more matters than that the connection is not used again.
            self.keep_alive = False
            if not self.complete:
                raise NotHttp(self._problem or f"the answer is not HTTP/1.1: {error}") from None
        if self._problem:
            raise NotHttp(self._problem)
        # Neither endless headers, interim answers, trailers nor chunks of one octet get past this.
        framing = self._raw_size - self._body_size
        allowed = _FRAMING_LIMIT + self._body_size // 4 if self._headers_done else HEADER_LIMIT
        if framing > allowed and not self.complete:
            raise NotHttp(f"the answer has more than {HEADER_LIMIT} octets of headers or framing")

    def end(self) -> bool:
        """Note that the connection was closed; return whether that completes the answer."""
        if self._headers_done and self._until_close:
            self.complete = True
        return self.complete

    def on_message_begin(self) -> None:
        """Parser's call: a further message behind the complete one makes the connection unusable."""
        if self.complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser's call."""
        if self._headers_done:  # a trailer, or the next message
            return
        self._header_size += len(name) + len(value) + 4
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Parser's call: decide how the body ends, and refuse what will be too big."""
        if self._headers_done:
            return
        status = self._parser.get_status_code()
        if self._header_size > HEADER_LIMIT:
            self._refuse(f"the headers are longer than {HEADER_LIMIT} octets")
        if status == _SWITCHING_PROTOCOLS or not 100 <= status <= 599:
            self._refuse(f"the answer has status {status}")
        if status < 200:  # 100 Continue and its like: the answer is still to come
            self._headers = {}
            return
        headers = self._headers
        self._status, self._headers_done = status, True
        self.keep_alive = self._parser.should_keep_alive()
        if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            self._refuse("the answer is compressed although we asked for identity")
        transfer = headers.get("transfer-encoding")
        if transfer is not None and transfer.lower() != "chunked":
            self._refuse(f"the answer has Transfer-Encoding {transfer[:40]!r}")
        length = headers.get("content-length")
        if length is not None and int(length) > self._max_body:
            self._refuse(f"the answer is longer than {self._max_body} octets")
        self._until_close = length is None and transfer is None and status not in _BODILESS

    def on_body(self, octets: bytes) -> None:
        """Parser's call."""
        if self.complete:
            return
        self._body_size += len(octets)
        if self._body_size > self._max_body:
            self._refuse(f"the answer is longer than {self._max_body} octets")
        if len(octets) < _PIECE:
            # A million chunks of two octets must not be a million objects.
            self._small += octets
            if len(self._small) >= _PIECE:
                self._gather()
            return
        self._gather()
        self._pieces.append(octets)

    def _gather(self) -> None:
        if self._small:
            self._pieces.append(bytes(self._small))
            self._small.clear()

    def on_message_complete(self) -> None:
        """Parser's call: also for interim answers, which complete nothing."""
        if self._headers_done:
            self.complete = True

    def _refuse(self, problem: str) -> None:
        self._problem = self._problem or problem
        raise NotHttp(problem)
