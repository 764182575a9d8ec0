"""Which object an exchange was about, and whose it is: from the path, or from the body if the path names none. Pure.

It is worked out by the thread that writes exchanges, not while anybody waits. The ids are kept in capitals: CiStrings
are found in any case (TYP-12).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from urllib.parse import unquote, urlsplit

import msgspec

LONGEST_ID, LONGEST_OWNER = 100, 6
_ASKING = ("commands", "chargingprofiles")
_BY_PATH = frozenset(("locations", "sessions", "tariffs", "tokens", "chargingprofiles"))  # their object is in the path
_OWNED = ("locations", "sessions", "cdrs", "tariffs", "tokens", "hubclientinfo")


class _Named(msgspec.Struct):
    """Members of bodies that name an object; all others are skipped over."""

    country_code: str = ""
    party_id: str = ""
    id: str = ""
    session_id: str | None = None
    location_id: str | None = None
    reservation_id: str | None = None


class _Answer(msgspec.Struct):
    data: _Named | None = None


_named = msgspec.json.Decoder(_Named)
_answer = msgspec.json.Decoder(_Answer)


def about(module: str, method: str, url: str, below: str, body: bytes | None, answer: bytes) -> tuple[str, str]:
    """Return (owner, object id) of an exchange, each empty if it is about none; `below` follows the module in the URL.

    The result of a command or charging profile has the id of its URL (`result_id`), which is in the request as well.
    """
    if method != "POST" and module in _BY_PATH:
        return _by_path(module, below)
    if is_result(module, method, url, body):
        return "", result_id(url)
    owner, parts = _named_in(module, below)
    match module:
        case "cdrs":
            # The last part of a CDR's own URL is a key, not its id (CDR-07).
            found = _read(_named, body) if method == "POST" else _read_answer(answer) if method == "GET" else None
            return _fit(_owner(found) or owner, found.id if found else "")
        case "commands":
            return _fit("", _of_command(parts[0] if parts else "", _read(_named, body)))
    return _by_path(module, below)


@lru_cache(maxsize=4096)
def _by_path(module: str, below: str) -> tuple[str, str]:
    owner, parts = _named_in(module, below)
    return _fit(owner, parts[0] if parts and module in _BY_PATH else "")


def _named_in(module: str, below: str) -> tuple[str, list[str]]:
    """Return the owner that a path names, if it does, and what follows in it."""
    parts = below.split("/") if below else []
    if "%" in below:
        parts = [unquote(part) for part in parts]
    owner = ""
    if module in _OWNED and len(parts) > 1 and len(parts[0]) == 2 and parts[0].isalpha() and len(parts[1]) <= 3:
        owner, parts = f"{parts[0]}*{parts[1]}", parts[2:]
    return owner, parts


def is_result(module: str, method: str, url: str, body: bytes | None) -> bool:
    """Say whether a request brings the result of a command or charging profile."""
    if method != "POST" or not body:
        return False
    return "/callbacks/" in url or (module in _ASKING and b'"result"' in body)


def result_id(url: str) -> str:
    """Return the id that a request and its result share: of the response_url, which is a secret itself (SEC-41)."""
    parts = urlsplit(url)
    return "~" + hashlib.sha256(f"{parts.path}?{parts.query}".encode("utf-8", "replace")).hexdigest()[:20].upper()


def _of_command(command: str, found: _Named | None) -> str:
    if found is None:
        return ""
    if command == "STOP_SESSION":
        return found.session_id or ""
    if command == "CANCEL_RESERVATION":
        return found.reservation_id or ""
    return found.location_id or found.session_id or found.reservation_id or ""


def _owner(found: _Named | None) -> str:
    return f"{found.country_code}*{found.party_id}" if found and found.country_code and found.party_id else ""


def _read(decoder: msgspec.json.Decoder[_Named], octets: bytes | None) -> _Named | None:
    try:
        return decoder.decode(octets) if octets else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None  # cut, or no such object: then it is about none that we know


def _read_answer(octets: bytes) -> _Named | None:
    try:
        return _answer.decode(octets).data if octets else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _fit(owner: str, object_id: str) -> tuple[str, str]:
    return owner.upper()[:LONGEST_OWNER], object_id.upper()[:LONGEST_ID]
