"""Answers whose heads came before, on one connection: read without a parser (see `same_head`)."""

from __future__ import annotations

from ocpi.http_answer import Response
from ocpi.same_head import DATE, LENGTH, Head, Said

_CHANGING = frozenset((
    LENGTH, DATE, b"x-request-id", b"x-correlation-id", b"ocpi-to-country-code", b"ocpi-to-party-id",
    b"ocpi-from-country-code", b"ocpi-from-party-id",
))  # fmt: skip
_LINE = b"HTTP/1.1 200 "
_END = b"\r\n\r\n"
_MOST_MISSES = 4  # then its heads are too different to remember them
_NONE: dict[str, str] = {}


class SameAnswers:
    """What one connection remembers."""

    __slots__ = ("_misses", "_start", "known")

    def __init__(self) -> None:
        self.known: Head | None = None
        self._start = b""
        self._misses = 0

    def again(self, data: bytes, max_body: int) -> Response | None:
        """Return the answer that these octets are, if they are one whole answer with the same head as before."""
        head = self.known
        end = data.find(_END)
        if head is None or end < 0:
            return None
        lines = data[:end].split(b"\r\n")
        if lines[0] != self._start:
            return None
        values = head.values(lines)
        body = data[end + 4 :]
        if values is None or len(body) > max_body or values[head.slots[LENGTH]] != b"%d" % len(body):
            return None
        self._misses = 0
        return Response(200, _NONE, body, Said(head, values))

    def learn(self, data: bytes) -> None:
        """Remember the head of an answer that a parser found good, whole and followed by nothing."""
        if self._misses >= _MOST_MISSES or not data.startswith(_LINE):
            return
        self._misses += 1
        lines = data.partition(_END)[0].split(b"\r\n")
        try:
            head = Head(lines, _CHANGING, spelled=str, between=", ")
        except ValueError:
            self.known = None
            return
        if LENGTH not in head.slots or head.constant.get("content-encoding", "identity").lower() != "identity":
            self.known = None
            return
        self.known, self._start = head, lines[0]
