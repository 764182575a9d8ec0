"""An exchange as it is stored: cut to size, fit for PostgreSQL, and with credentials taken out."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ocpi import exchange_objects, live_secrets
from ocpi.exchange_text import BODY_LIMIT, Hide, body_text, header_lines, text
from ocpi.headers import Address, Received, Routing

__all__ = ["BODY_LIMIT", "COPY", "Entry", "columns", "new_id", "object_path", "party_text"]

COPY = (
    "COPY ocpi_exchange (id, at, direction, platform_id, method, url, module, object_path, request_id, correlation_id, "
    "from_party, to_party, http_status, status_code, milliseconds, error, request_headers, request_body, "
    "response_headers, response_body, owner, object_id) FROM STDIN"
)

_STATUS_CODE = re.compile(rb'"status_code"\s*:\s*"?(\d{4})\b')
_numbers = itertools.count(random.getrandbits(22))  # tells entries of one millisecond apart


@dataclass(slots=True)
class Entry:
    """One request and its answer, as plain values; what is not known stays empty."""

    direction: str  # IN or OUT
    at: float  # seconds since 1970, when it began
    method: str
    url: str
    platform_id: int | None = None
    module: str = ""
    request_id: str = ""
    correlation_id: str = ""
    routing: Routing | None = None
    http_status: int | None = None
    elapsed: float | None = None  # seconds
    error: str = ""
    request_headers: Mapping[str, str] | Received | None = None
    request_body: bytes | None = None
    response_headers: Mapping[str, str] | None = None
    response_body: bytes | None = None

    @property
    def exchanges(self) -> int:
        """Itself."""
        return 1

    @property
    def octets(self) -> int:
        """How long its bodies are."""
        return len(self.request_body or b"") + len(self.response_body or b"")


def columns(entry: Entry, hide: Hide = live_secrets.hide) -> tuple[Any, ...]:
    """Return what is stored of an exchange, in the order of COPY; `hide` masks live tokens in a text."""
    response = entry.response_body or b""
    found = _STATUS_CODE.search(response)
    routing = entry.routing or Routing()
    secret = entry.module == "credentials" or "/credentials" in entry.url
    url = hide(text(entry.url))
    below = object_path(entry.module, url)
    owner, object_id = exchange_objects.about(
        entry.module, entry.method, entry.url, below, entry.request_body, response
    )
    return (
        new_id(entry.at),
        datetime.fromtimestamp(entry.at, UTC),
        entry.direction,
        entry.platform_id,
        entry.method[:7],
        url,
        entry.module[:50],
        below[:300],
        hide(text(entry.request_id)[:255]),
        hide(text(entry.correlation_id)[:255]),
        party_text(routing.sender),
        party_text(routing.to),
        entry.http_status,
        int(found[1]) if found else None,
        round(entry.elapsed * 1000, 3) if entry.elapsed is not None else None,
        hide(text(entry.error)),
        header_lines(entry.request_headers, hide),
        hide(body_text(entry.request_body, secret=secret)),
        header_lines(entry.response_headers, hide),
        hide(body_text(response, secret=secret)),
        hide(text(owner)),
        hide(text(object_id)),
    )


def new_id(at: float) -> int:
    """Return the id of an exchange: in the order of time, and its own in all processes."""
    return id_of(int(at * 1000))


def id_of(milliseconds: int) -> int:
    """Return the id of an exchange that began so many milliseconds after 1970 did."""
    return milliseconds << 22 | (next(_numbers) & 0x3FFFFF)


def party_text(address: Address | None) -> str:
    """Return a party as it is stored and looked for."""
    return text("*".join(address.key))[:6] if address else ""


def object_path(module: str, url: str) -> str:
    """Return what follows the module in a URL: the object that an exchange was about."""
    path = url.partition("?")[0].partition("#")[0]
    _, found, below = path.partition(f"/{module}/") if module else ("", "", "")
    return text(below.strip("/")) if found else ""
