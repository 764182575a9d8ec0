"""One request of a connection while it is read, and what is read anew of one that offered another protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from hub.fast_message import Place, limit_of
from ocpi import status

_OFFER = frozenset((b"connection", b"upgrade", b"http2-settings"))


class Passing:
    """A request on the short way, in the place of uvicorn's cycle of request and response."""

    __slots__ = (
        "admission", "body", "disconnected", "headers", "is_bad", "is_first", "is_whole", "keep_alive", "limit",
        "method", "more_body", "path", "place", "query", "response_complete", "too_long",
    )  # fmt: skip

    def __init__(self, method: str, path: str, query: str, place: Place, headers: Any, keep_alive: bool) -> None:
        self.method, self.path, self.query, self.place, self.headers = method, path, query, place, headers
        self.keep_alive = keep_alive
        self.limit = limit_of(place)
        self.body: list[bytes] = []
        self.admission: status.TooManyRequests | Literal[True] | None = None
        self.more_body = True
        self.is_bad = self.is_first = self.is_whole = self.too_long = False
        self.response_complete = self.disconnected = False

    @property
    def message_event(self) -> Passing:
        return self

    def set(self) -> None:
        """Nobody waits for an event."""


def without_offer(headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Return header lines without the offer of another protocol; whether the connection is closed afterwards stays."""
    lines = [name + b": " + value for name, value in headers if name not in _OFFER]
    if any(name == b"connection" and b"close" in value.lower() for name, value in headers):
        lines.append(b"connection: close")
    return lines
