"""Requests of one connection whose heads came before: read without a parser (see `ocpi.same_head`). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import itemgetter

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
    rb"(GET|POST|PUT|PATCH|DELETE) ((/ocpi/hub/2\.2\.1/(?:sender|receiver)/[a-z]+)"
    rb"((?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*){0,5})(?:\?([A-Za-z0-9_.~:=&,*-]+))?) HTTP/1\.1"
)


class RequestHead(Head):
    """The head of a request, and what is looked at in each like it."""

    __slots__ = ("authorization", "ids_and_addresses", "is_json", "length", "names_receiver")

    def __init__(self, lines: list[bytes]) -> None:
        """Remember a head.

        :raises ValueError: as `Head`, or if ids or addresses are missing.
        """
        super().__init__(lines, _CHANGING, first=_LINE, spelled=str.title, between=",")
        slots, constant = self.slots, self.constant
        to = [name in slots for name in TO]
        if not slots.keys() >= _NEEDED or to[0] != to[1]:
            raise ValueError("not all of what a forward needs")
        self.names_receiver = to[0]
        addresses = ADDRESSES if self.names_receiver else FROM
        self.ids_and_addresses = itemgetter(*[slots[name] for name in (REQUEST_ID, CORRELATION_ID, *addresses)])
        self.length = slots.get(LENGTH)
        self.authorization = constant.get("authorization")
        self.is_json = constant.get("content-type") == "application/json" and "content-encoding" not in constant


@dataclass(slots=True)
class Again(Said):
    """The head of a request that was read so; all octets of the first line's parts are printable ASCII."""

    head: RequestHead
    first: tuple[bytes, ...]  # method, path and query, path up to the module, what follows it, query

    @property
    def method(self) -> str:
        return self.first[0].decode()

    @property
    def path(self) -> str:
        return (self.first[2] + self.first[3]).decode()

    @property
    def interface(self) -> str:
        """The interface as in the path."""
        return self.path.split("/")[4]

    @property
    def module(self) -> str:
        return self.path.split("/")[5]

    @property
    def tail(self) -> str:
        """What follows the module, with its slash."""
        return self.first[3].decode()

    @property
    def query(self) -> str:
        return self.first[4].decode()


class SameRequests:
    """What one connection remembers."""

    __slots__ = ("_misses", "_read", "known")

    def __init__(self) -> None:
        self.known: RequestHead | None = None
        self._misses = 0
        self._read = b""  # the octets that were read last

    def again(self, data: bytes) -> tuple[Again, bytes] | None:
        """Return the request that these octets are and its body, if they are one whole one with the head of before."""
        head = self.known
        found = head.read(data) if head is not None else None
        if head is None or found is None:
            return None
        first, values, body = found
        length = head.length
        if body if length is None else values[length] != b"%d" % len(body):
            return None
        self._misses, self._read = 0, data
        return Again(head, values, first), body

    def learn(self, data: bytes) -> None:
        """Remember the head of a request that a parser found good, and after which the connection is kept."""
        if data is self._read:  # it has the head that is known, and was left to others
            self._read = b""
            return
        if self._misses >= _MOST_MISSES:
            return
        self._misses += 1
        self.known = None
        lines = data.partition(_END)[0].split(b"\r\n")
        if _LINE.fullmatch(lines[0]) is None:
            return
        try:
            self.known = RequestHead(lines)
        except ValueError:
            return
