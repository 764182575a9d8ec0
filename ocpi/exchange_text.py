"""Texts of an exchange as they are stored: cut to size, fit for PostgreSQL, credentials taken out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ocpi import secrets
from ocpi.headers import Received

BODY_LIMIT = 64 * 1024  # bytes of a body that are kept

_SECRET_HEADERS = frozenset(("authorization", "cookie", "set-cookie", "proxy-authorization"))
# What stands in nearly every message, and has no place for a token; the ids of requests have one.
_USUAL = (
    "Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Date", "Host", "Server",
    "X-Limit", "X-Total-Count", "OCPI-from-country-code", "OCPI-from-party-id", "OCPI-to-country-code",
    "OCPI-to-party-id",
)  # fmt: skip
USUAL_HEADERS = frozenset(spelled for name in _USUAL for spelled in (name, name.lower(), name.title()))

Hide = Callable[[str], str]


def header_lines(headers: Mapping[str, str] | Received | None, hide: Hide) -> str:
    """Return headers as lines; credentials are masked, and live tokens in what is unusual hidden."""
    if not headers:
        return ""
    lines = [
        f"{name}: {value if name in USUAL_HEADERS else header(name, value, hide)}" for name, value in headers.items()
    ]
    return text("\n".join(lines))


def header(name: str, value: str, hide: Hide) -> str:
    """Return the value of an unusual header as it is shown."""
    return secrets.mask(value) if name.lower() in _SECRET_HEADERS else hide(value)


def body_text(octets: bytes | None, *, secret: bool) -> str:
    """Return a body as text, cut to `BODY_LIMIT`; of a `secret` one the tokens masked, or nothing if that cannot be."""
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
    found = text(octets[:BODY_LIMIT].decode("utf-8", "replace"))
    return found if len(octets) <= BODY_LIMIT else f"{found} […]"


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


def text(given: str) -> str:
    """Return a text that PostgreSQL takes."""
    # PostgreSQL takes neither NUL nor half a surrogate pair.
    if "\0" in given:
        given = given.replace("\0", "�")
    return given if given.isascii() else given.encode("utf-8", "replace").decode()


def escaped(given: str) -> str:
    """Return a text as a field of COPY."""
    # To see that there is nothing takes a tenth of what `replace` takes to count that nothing.
    if "\\" in given:  # first, as the others are written with one
        given = given.replace("\\", "\\\\")
    if "\n" in given:
        given = given.replace("\n", "\\n")
    if "\r" in given:
        given = given.replace("\r", "\\r")
    if "\t" in given:
        given = given.replace("\t", "\\t")
    return given
