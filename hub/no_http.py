"""What is no HTTP is refused before any view is asked, and in an envelope all the same (TRN-035)."""

from __future__ import annotations

from http import HTTPStatus

from ocpi import envelope, status
from ocpi.headers import Ids, new_id


def refusal(http_status: HTTPStatus, message: str, *, usual: bytes = b"") -> bytes:
    """Return a whole answer to what cannot be read; it says nothing of what came, and closes the connection.

    `usual` are header lines that a server adds to each of its answers.
    """
    body = envelope.compose(status.GenericClientError.status_code, message)
    headers = {
        "Content-Type": "application/json", **Ids(new_id(), new_id()).as_headers(), "Connection": "close",
        "Content-Length": str(len(body)),
    }  # fmt: skip
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    start = f"HTTP/1.1 {http_status.value} {http_status.phrase}\r\n"
    return b"".join((start.encode(), usual, lines.encode(), b"\r\n", body))
