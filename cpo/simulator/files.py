"""What a simulated charge point fetches and leaves over HTTP, at the addresses its central system has told it."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import quote, urlsplit

LARGEST = 64 * 1024 * 1024  # bytes of a firmware
_SECONDS = 30.0


class NoTransfer(Exception):
    """A file did not get through, and why."""


def fetch(url: str) -> bytes:
    """Return the file at an address.

    :raises NoTransfer: if it cannot be had, or is too large.
    """
    status, body = _ask("GET", url, None)
    if status != http.client.OK:
        raise NoTransfer(f"HTTP {status}")
    if len(body) > LARGEST:
        raise NoTransfer(f"more than {LARGEST:,} bytes")
    return body


def leave(url: str, name: str, content: bytes) -> None:
    """Put a file at an address; one that ends with a slash is a folder.

    :raises NoTransfer: if it is not taken.
    """
    status, _ = _ask("PUT", url + quote(name) if url.endswith("/") else url, content)
    if not 200 <= status < 300:
        raise NoTransfer(f"HTTP {status}")


def _ask(method: str, url: str, content: bytes | None) -> tuple[int, bytes]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise NoTransfer(f"no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise NoTransfer("only http and https are known here")
    link = (
        http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=_SECONDS)
    )
    try:
        link.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body=content)
        answer = link.getresponse()
        return answer.status, answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoTransfer(str(error) or type(error).__name__) from error
    finally:
        link.close()
