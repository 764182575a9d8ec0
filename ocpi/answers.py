"""What came of a request to a platform: its answer, or one family of errors that each carry what was sent."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ocpi import json_text, status

EXCERPT_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it went out, fit for a log: the token is masked."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    started_at: float  # seconds since 1970
    elapsed: float  # seconds, until the answer or error was there


class ClientError(Exception):
    """A request to a platform that brought no answer."""

    def __init__(self, message: str, sent: Sent) -> None:
        super().__init__(message)
        self.sent = sent


class Unsendable(ClientError):
    """The request cannot be written as HTTP, for example a line break in a header; nothing was sent."""


class AddressDenied(ClientError):
    """The URL or the address behind it is one we do not call; nothing was sent."""


class ForeignHost(ClientError):
    """The URL's host is not approved for the platform; nothing was sent, no token left."""


class Unreachable(ClientError):
    """No address, no connection or no TLS; nothing was sent."""


class NoAnswer(ClientError):
    """The request was sent and no complete answer came in time: nobody knows whether it took effect."""


class Garbage(ClientError):
    """What came is not HTTP, is too big, or does not hold what was asked for."""

    def __init__(self, message: str, sent: Sent, beginning: bytes = b"") -> None:
        super().__init__(message, sent)
        self.excerpt = excerpt(beginning)


class Refused(ClientError):
    """The platform answered a page of a list with a failure."""

    def __init__(self, message: str, answer: "Answer") -> None:
        super().__init__(message, answer.sent)
        self.answer = answer


class WalkStopped(ClientError):
    """A list went on without end: a repeated link, too many pages, or too long."""


class Envelope(msgspec.Struct):
    """OCPI's wrapping of an answer; each member as its text, since partners bend their types."""

    status_code: msgspec.Raw = msgspec.Raw()
    status_message: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    timestamp: msgspec.Raw = msgspec.Raw()


_envelopes = msgspec.json.Decoder(Envelope)
_UNREAD = Envelope()


@dataclass(slots=True, eq=False)
class Answer:
    """A platform's answer; the envelope is read when it is first asked for."""

    http_status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    elapsed: float  # seconds
    sent: Sent
    _envelope: Envelope | None = field(default=_UNREAD, init=False, repr=False)

    @property
    def envelope(self) -> Envelope | None:
        """Return the envelope, or nothing if the body is none."""
        if self._envelope is _UNREAD:
            try:
                self._envelope = _envelopes.decode(json_text.read(self.body, limit=len(self.body)))
            except (status.NotJson, msgspec.DecodeError):
                self._envelope = None
        return self._envelope

    def read_loosely(self) -> None:
        """Accept an envelope that breaks a rule of `json_text` somewhere inside: one bad object of a list must not take
        the others along (TRN-104). Whoever keeps an object of it reads that strictly.
        """
        if self.envelope is None:
            with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                self._envelope = _envelopes.decode(self.body)

    @property
    def status_code(self) -> int | None:
        """Return OCPI's status code, also if it came as a string."""
        envelope = self.envelope
        digits = bytes(envelope.status_code) if envelope else b""
        if digits[:1] == b'"':
            digits = digits[1:-1]
        return int(digits) if digits.isdigit() and len(digits) <= 9 else None

    @property
    def status_message(self) -> str | None:
        """Return OCPI's status message."""
        text = bytes(self.envelope.status_message) if self.envelope else b""
        if text[:1] != b'"':
            return None
        try:
            return msgspec.json.decode(text, type=str)
        except msgspec.DecodeError:
            return None

    @property
    def ok(self) -> bool:
        """Tell whether the call succeeded: HTTP and OCPI both have to say so."""
        return 200 <= self.http_status < 300 and 1000 <= (self.status_code or 0) <= 1999

    @property
    def excerpt(self) -> str:
        """Return the beginning of the body, for people."""
        return excerpt(self.body)

    def data_text(self) -> bytes | None:
        """Return the JSON text of `data`, or nothing if it is absent or null."""
        text = bytes(self.envelope.data) if self.envelope else b""
        return None if text in (b"", b"null") else text

    def object_text(self) -> bytes | None:
        """Return the JSON text of `data` where one object is due; a list of one stands for the one (QRK-06)."""
        text = self.data_text()
        if text is None or text[:1] != b"[":
            return text
        elements: list[msgspec.Raw] = self.data(list[msgspec.Raw])
        return bytes(elements[0]) if len(elements) == 1 else text

    def data(self, type: Any = Any) -> Any:
        """Return `data` read as the type.

        :raises Garbage: if it is not of that type.
        """
        try:
            return msgspec.json.decode(self.data_text() or b"null", type=type)
        except msgspec.DecodeError as error:
            raise Garbage(f"data: {error}", self.sent, self.body) from error


def excerpt(octets: bytes) -> str:
    """Return the beginning of a body as text that can be stored."""
    return octets[:EXCERPT_BYTES].decode("utf-8", "replace").replace("\0", "�")
