"""Answers whose heads came before, on one connection: read without a parser (see `same_head`)."""

from __future__ import annotations

import re

from ocpi.http_answer import Response
from ocpi.same_head import DATE, LENGTH, Head, Said

_CHANGING = frozenset((
    LENGTH, DATE, b"x-request-id", b"x-correlation-id", b"ocpi-to-country-code", b"ocpi-to-party-id",
    b"ocpi-from-country-code", b"ocpi-from-party-id",
))  # fmt: skip
_LINE = re.compile(rb"HTTP/1\.1 200 [ -~]*\r\n")
_END = b"\r\n\r\n"
_MOST_MISSES = 4  # then its heads are too different to remember them
_NONE: dict[str, str] = {}


class SameAnswers:
    """What one connection remembers."""

    __slots__ = ("_misses", "known")

    def __init__(self) -> None:
        self.known: Head | None = None
        self._misses = 0

    def again(self, data: bytes, max_body: int) -> Response | None:
        """Return the answer that these octets are, if they are one whole answer with the same head as before."""
        head = self.known
        found = head.read(data) if head is not None else None
        if head is None or found is None:
            return None
        _, values, body = found
        if len(body) > max_body or values[head.slots[LENGTH]] != b"%d" % len(body):
            return None
        self._misses = 0
        return Response(200, _NONE, body, Said(head, values))

    def learn(self, data: bytes) -> None:
        """Remember the head of an answer that a parser found good, whole and followed by nothing."""
        if self._misses >= _MOST_MISSES or _LINE.match(data) is None:
            return
        self._misses += 1
        lines = data.partition(_END)[0].split(b"\r\n")
        try:
            first = re.compile(re.escape(lines[0]))
            head = Head(lines, _CHANGING, first=first, spelled=str, between=", ")
        except ValueError:
            self.known = None
            return
        if LENGTH not in head.slots or head.constant.get("content-encoding", "identity").lower() != "identity":
            self.known = None
            return
        self.known = head
