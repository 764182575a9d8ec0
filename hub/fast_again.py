"""Requests of one connection whose heads came before: read without a parser (see `ocpi.same_head`). Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from ocpi.same_head import LENGTH, Head, Said

REQUEST_ID, CORRELATION_ID = b"x-request-id", b"x-correlation-id"
TO = (b"ocpi-to-country-code", b"ocpi-to-party-id")
FROM = (b"ocpi-from-country-code", b"ocpi-from-party-id")
ADDRESSES = (*TO, *FROM)
_CHANGING = frozenset((LENGTH, REQUEST_ID, CORRELATION_ID, *ADDRESSES))
_NEEDED = frozenset((REQUEST_ID, CORRELATION_ID, *FROM))
_END = b"\r\n\r\n"
_MOST_MISSES = 4  # then its heads are too different to remember them
# No escapes, no empty segments, no dots in front: such a path means what it says, and needs no quoting to be sent on.
_LINE = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE) (/ocpi/hub/2\.2\.1/(sender|receiver)/([a-z]+)"
    rb"((?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*){0,5}))(?:\?([A-Za-z0-9_.~:=&,*-]*))? HTTP/1\.1"
)


class Again(NamedTuple):
    """A request that was read so."""

    method: str
    path: str
    interface: str  # as in the path
    module: str
    tail: str  # what follows the module, with its slash
    query: str
    said: Said
    body: bytes

    @property
    def names_receiver(self) -> bool:
        """Say whether it has To headers; its head has both or none."""
        return TO[0] in self.said.head.slots


class SameRequests:
    """What one connection remembers."""

    __slots__ = ("_misses", "known")

    def __init__(self) -> None:
        self.known: Head | None = None
        self._misses = 0

    def again(self, data: bytes) -> Again | None:
        """Return the request that these octets are, if they are one whole request with the same head as before."""
        head = self.known
        found = head.read(data) if head is not None else None
        if head is None or found is None:
            return None
        (method, path, interface, module, tail, query), values, body = found
        length = head.slots.get(LENGTH)
        if body if length is None else values[length] != b"%d" % len(body):
            return None
        self._misses = 0
        if method is None or path is None or interface is None or module is None or tail is None:
            return None
        return Again(
            method.decode(), path.decode(), interface.decode(), module.decode(), tail.decode(), (query or b"").decode(),
            Said(head, values), body,
        )  # fmt: skip

    def learn(self, data: bytes) -> None:
        """Remember the head of a request that a parser found good, and after which the connection is kept."""
        if self._misses >= _MOST_MISSES:
            return
        self._misses += 1
        self.known = None
        lines = data.partition(_END)[0].split(b"\r\n")
        try:
            head = Head(lines, _CHANGING, first=_LINE, spelled=str.title, between=",")
        except ValueError:
            return
        to = [name in head.slots for name in TO]
        if head.slots.keys() >= _NEEDED and to[0] == to[1] and _LINE.fullmatch(lines[0]):
            self.known = head
