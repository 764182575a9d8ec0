"""A request as the fast lane sees it: no Django request, no WSGI environment; made from what ASGI gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from hub.routing import leads_out
from ocpi import endpoints, status
from ocpi.enums import FUNCTIONAL_MODULES, InterfaceRole
from ocpi.headers import Received
from ocpi.views import MAX_BODY, MAX_LOCATION_BODY

_MODULES = {str(module): str(module) for module in FUNCTIONAL_MODULES}
_INTERFACES = {role.lower(): str(role) for role in InterfaceRole}
_LONGEST_TAIL = 5
_WITH_BODY = ("PUT", "PATCH", "POST")
CALLBACKS = "callbacks"  # in the place of an interface

HeaderLines = Iterable[tuple[bytes, bytes]]


class Headers(Received):
    """The headers of a request as ASGI gives them, found by name whatever its case."""

    __slots__ = ("_found",)

    def __init__(self, lines: HeaderLines) -> None:
        found: dict[str, str] = {}
        for octets, value in lines:  # names come in lower case
            name, text = octets.decode("latin-1"), value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
        self._found = found

    def get(self, name: str) -> str | None:
        """Return the value of a header, of several lines joined by commas."""
        return self._found.get(_lower(name))

    def items(self) -> Iterator[tuple[str, str]]:
        """Return names, as they are usually spelled, and values."""
        return ((_spelled(name), value) for name, value in self._found.items())


@lru_cache(maxsize=256)
def _lower(name: str) -> str:
    return name.lower()


@lru_cache(maxsize=1024)
def _spelled(name: str) -> str:
    return name.title()


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names: an interface of a module and what follows it, or a URL that stands for a partner's."""

    module: str
    interface: str
    tail: tuple[str, ...]


@dataclass(slots=True)
class Message:
    """One request, its body read."""

    method: str
    path: str  # undecoded
    query: str
    headers: Headers
    place: Place
    body: bytes
    # Whether its platform may ask now, if somebody has counted it already.
    admission: status.TooManyRequests | Literal[True] | None = None

    @property
    def content(self) -> bytes:
        """The body that is read and passed on: there is none of a GET or DELETE, whatever came with it (TRN-017)."""
        return self.body if self.method in _WITH_BODY else b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    http_status: int
    headers: dict[str, str]
    body: bytes
    for_operator: str = ""  # what only the exchange says


def limit_of(place: Place) -> int:
    """Return how long a body may be, in octets (SEC-45)."""
    return MAX_LOCATION_BODY if place.module == "locations" else MAX_BODY


def place_of(path: str) -> Place | None:
    """Return what an undecoded path names; nothing if it is for Django."""
    segments = endpoints.segments_of(path)
    if segments is None or segments[:3] != ["ocpi", "hub", endpoints.VERSION] or len(segments) > 5 + _LONGEST_TAIL:
        return None
    if leads_out(tail := tuple(segments[5:])):
        return None
    if len(segments) == 5 and segments[3] == CALLBACKS:
        return Place("", CALLBACKS, (segments[4],))
    module = _MODULES.get(segments[4]) if len(segments) > 4 else None
    interface = _INTERFACES.get(segments[3]) if module else None
    return Place(module, interface, tail) if module and interface else None
