"""An exchange as it is stored: cut to size, fit for PostgreSQL, and with credentials taken out."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from ocpi import exchange_objects, live_secrets, secrets
from ocpi.headers import Address, Received, Routing

BODY_LIMIT = 64 * 1024  # bytes of a body that are kept

COPY = (
    "COPY ocpi_exchange (id, at, direction, platform_id, method, url, module, object_path, request_id, correlation_id, "
    "from_party, to_party, http_status, status_code, milliseconds, error, request_headers, request_body, "
    "response_headers, response_body, owner, object_id) FROM STDIN"
)

_STATUS_CODE = re.compile(rb'"status_code"\s*:\s*"?(\d{4})\b')
_SECRET_HEADERS = frozenset(("authorization", "cookie", "set-cookie", "proxy-authorization"))
# What stands in nearly every message, and has no place for a token.
_USUAL = (
    "Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Date", "Host", "Server",
    "X-Correlation-ID", "X-Limit", "X-Request-ID", "X-Total-Count", "OCPI-from-country-code", "OCPI-from-party-id",
    "OCPI-to-country-code", "OCPI-to-party-id",
)  # fmt: skip
_USUAL_HEADERS = frozenset(spelled for name in _USUAL for spelled in (name, name.lower(), name.title()))
_NOT_IN_A_PATH = re.compile(r"[?#].*")
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


def columns(entry: Entry) -> tuple[Any, ...]:
    """Return what is stored of an exchange, in the order of COPY."""
    response = entry.response_body or b""
    found = _STATUS_CODE.search(response)
    routing = entry.routing or Routing()
    secret = entry.module == "credentials" or "/credentials" in entry.url
    below = _object_path(entry)
    owner, object_id = exchange_objects.about(
        entry.module, entry.method, entry.url, below, entry.request_body, response
    )
    return (
        int(entry.at * 1000) << 22 | (next(_numbers) & 0x3FFFFF),
        datetime.fromtimestamp(entry.at, UTC),
        entry.direction,
        entry.platform_id,
        entry.method[:7],
        live_secrets.hide(_text(entry.url)),
        entry.module[:50],
        below[:300],
        _text(entry.request_id)[:255],
        _text(entry.correlation_id)[:255],
        _party(routing.sender),
        _party(routing.to),
        entry.http_status,
        int(found[1]) if found else None,
        round(entry.elapsed * 1000, 3) if entry.elapsed is not None else None,
        live_secrets.hide(_text(entry.error)),
        _headers(entry.request_headers),
        live_secrets.hide(_body(entry.request_body, secret=secret)),
        _headers(entry.response_headers),
        live_secrets.hide(_body(response, secret=secret)),
        _text(owner),
        _text(object_id),
    )


def _party(address: Address | None) -> str:
    return _text("*".join(address.key))[:6] if address else ""


def _object_path(entry: Entry) -> str:
    """Return what follows the module in the URL: the object the exchange was about."""
    path = _NOT_IN_A_PATH.sub("", entry.url)
    _, found, below = path.partition(f"/{entry.module}/") if entry.module else ("", "", "")
    return _text(below.strip("/")) if found else ""


def _headers(headers: Mapping[str, str] | Received | None) -> str:
    if not headers:
        return ""
    return _text(
        "\n".join(
            [f"{name}: {value if name in _USUAL_HEADERS else _header(name, value)}" for name, value in headers.items()]
        )
    )


def _header(name: str, value: str) -> str:
    return secrets.mask(value) if name.lower() in _SECRET_HEADERS else live_secrets.hide(value)


def _body(octets: bytes | None, *, secret: bool) -> str:
    if not octets:
        return ""
    if secret:
        # What cannot be read cannot be masked, and a token in a log is worse than a gap.
        try:
            if len(octets) > BODY_LIMIT:
                raise ValueError("cut")
            octets = msgspec.json.encode(_masked(msgspec.json.decode(octets)))
        except (ValueError, RecursionError):
            return f"[{len(octets)} bytes, not kept: unreadable, and may hold a token]"
    text = _text(octets[:BODY_LIMIT].decode("utf-8", "replace"))
    return text if len(octets) <= BODY_LIMIT else f"{text} […]"


def _masked(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: secrets.mask(str(member)) if str(name).lower() == "token" else _masked(member)
                for name, member in value.items()
            }
        case list():
            return [_masked(member) for member in value]
        case _:
            return value


def _text(text: str) -> str:
    # PostgreSQL takes neither NUL nor half a surrogate pair.
    if "\0" in text:
        text = text.replace("\0", "�")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
