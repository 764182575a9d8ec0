"""The headers of every OCPI message: X-Request-ID, X-Correlation-ID, and the four routing headers. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ocpi import status

REQUEST_ID = "X-Request-ID"
CORRELATION_ID = "X-Correlation-ID"
TO_COUNTRY_CODE = "OCPI-to-country-code"
TO_PARTY_ID = "OCPI-to-party-id"
FROM_COUNTRY_CODE = "OCPI-from-country-code"
FROM_PARTY_ID = "OCPI-from-party-id"

MAX_ID_LENGTH = 255
_NOT_ECHOED = re.compile(r"[^\x20-\x7e]")

_UNPREFIXED = frozenset(("CONTENT_TYPE", "CONTENT_LENGTH"))

_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # of a UUID, by a random digit

# Takes a header's name, whatever its case, and gives its value.
Getter = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Address:
    """A party's address. Two spellings are one party (HUB-04)."""

    country_code: str
    party_id: str
    # In capitals, what addresses are compared by; kept, since a broadcast looks at those of every party.
    key: tuple[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.country_code.upper(), self.party_id.upper()))

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id}"


@dataclass(frozen=True, slots=True)
class Ids:
    """X-Request-ID and X-Correlation-ID of one message, and which of them its sender left out (TRN-061)."""

    request_id: str
    correlation_id: str
    missing: tuple[str, ...] = ()

    def as_headers(self) -> dict[str, str]:
        return {REQUEST_ID: self.request_id, CORRELATION_ID: self.correlation_id}


@dataclass(frozen=True, slots=True)
class Routing:
    """Who a message is for and whom it is from; either may be absent (HUB-05)."""

    to: Address | None = None
    sender: Address | None = None

    def as_headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.to:
            found[TO_COUNTRY_CODE] = self.to.country_code
            found[TO_PARTY_ID] = self.to.party_id
        if self.sender:
            found[FROM_COUNTRY_CODE] = self.sender.country_code
            found[FROM_PARTY_ID] = self.sender.party_id
        return found

    def answered_by(self, party: Address | None) -> Routing:
        """Return the routing of the response: the pair swapped, From = the party that answers (HUB-08)."""
        return Routing(to=self.sender, sender=party or self.to)


class Received:
    """The headers of a request straight from WSGI's environment; Django's own mapping is built from all of them."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        return self._environ.get(_variable(name))

    def items(self) -> Iterator[tuple[str, str]]:
        """Return names, as they are usually spelled, and values."""
        for variable, value in list(self._environ.items()):
            name = _spelled(variable)
            if name:
                yield name, value


@lru_cache(maxsize=256)
def _variable(name: str) -> str:
    variable = name.upper().replace("-", "_")
    return variable if variable in _UNPREFIXED else f"HTTP_{variable}"


@lru_cache(maxsize=1024)
def _spelled(variable: str) -> str:
    if variable in _UNPREFIXED:
        return variable.replace("_", "-").title()
    return variable[5:].replace("_", "-").title() if variable.startswith("HTTP_") else ""


def read_ids(get: Getter) -> Ids:
    """Return the message's ids as opaque text (TRN-060); a missing one is made up (TRN-061)."""
    request_id, correlation_id = _opaque(get(REQUEST_ID)), _opaque(get(CORRELATION_ID))
    if request_id and correlation_id:
        return Ids(request_id, correlation_id)
    given = {REQUEST_ID: request_id, CORRELATION_ID: correlation_id}
    return Ids(
        request_id=given[REQUEST_ID] or new_id(),
        correlation_id=given[CORRELATION_ID] or new_id(),
        missing=tuple(name for name, value in given.items() if not value),
    )


def read_routing(get: Getter) -> Routing:
    """Return the routing headers.

    :raises InvalidParameters: if a pair is only half there or an id is too long (HUB-05, PIT-89).
    """
    return _routing(get(TO_COUNTRY_CODE), get(TO_PARTY_ID), get(FROM_COUNTRY_CODE), get(FROM_PARTY_ID))


def read_sender(get: Getter) -> Address | None:
    """Return whom a request comes from if that can be read, whatever else is wrong with its addresses."""
    try:
        return _address(FROM_COUNTRY_CODE, get(FROM_COUNTRY_CODE), FROM_PARTY_ID, get(FROM_PARTY_ID))
    except status.InvalidParameters:
        return None


def new_id() -> str:
    """Return a fresh X-Request-ID or X-Correlation-ID (TRN-059): a UUID of version 4, unique and no secret."""
    digits = "%032x" % random.getrandbits(128)  # noqa: UP031 - half the time of an f-string
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"


def _opaque(value: str | None) -> str:
    if value and len(value) <= MAX_ID_LENGTH and value.isascii() and value.isprintable():
        return value.strip()
    return _NOT_ECHOED.sub("", value or "")[:MAX_ID_LENGTH].strip()


# A hub reads the same pairs of addresses all day.
@lru_cache(maxsize=4096)
def _routing(to_country: str | None, to_party: str | None, from_country: str | None, from_party: str | None) -> Routing:
    return Routing(
        to=_address(TO_COUNTRY_CODE, to_country, TO_PARTY_ID, to_party),
        sender=_address(FROM_COUNTRY_CODE, from_country, FROM_PARTY_ID, from_party),
    )


def _address(country_header: str, country: str | None, party_header: str, party: str | None) -> Address | None:
    country_code, party_id = (country or "").strip(), (party or "").strip()
    if not country_code and not party_id:
        return None
    for name, value, length in ((country_header, country_code, 2), (party_header, party_id, 3)):
        if not value:
            raise status.InvalidParameters(name, "is required when its other half is given")
        if len(value) != length and (length == 2 or len(value) > length):
            raise status.InvalidParameters(name, f"must have {length} characters")
        if not value.isascii() or not value.isprintable():
            raise status.InvalidParameters(name, "must be printable ASCII")
    return Address(country_code, party_id)
