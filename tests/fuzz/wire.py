"""Sends an attempt byte for byte over a connection that is kept, and reads what comes back; without an HTTP client."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.fuzz.generator import Attempt

_SECONDS = 40.0


class Headers(Mapping[str, str]):
    """Headers of an answer, whatever the case of a name."""

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        self._found = {name.lower(): value for name, value in lines}

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; status 0 if nothing did."""

    http_status: int
    headers: Headers
    body: bytes


_NOTHING = Reply(0, Headers([]), b"")


class Connection:
    """One connection to an instance, opened again when the server has closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._host = parts.netloc
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, attempt: Attempt) -> Reply:
        """Send a request and return its answer; a connection that turns out to be closed is replaced, once."""
        octets = self._octets(attempt)
        for _ in range(2):
            fresh = self._socket is None
            reply = self._exchange(octets, has_body=attempt.method != "HEAD")
            if reply.http_status or fresh:
                return reply
        return reply

    def _exchange(self, octets: bytes, *, has_body: bool) -> Reply:
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=_SECONDS)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has read all
                self._socket.sendall(octets)
            reply, reusable = self._read(self._socket, has_body=has_body)
        except TimeoutError:
            self.close()
            raise
        except OSError:
            reply, reusable = _NOTHING, False
        if not reusable:
            self.close()
        return reply

    def _octets(self, attempt: Attempt) -> bytes:
        headers = {"Host": self._host, **attempt.headers}
        if attempt.body or attempt.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(attempt.body))
        lines = [f"{attempt.method} ".encode() + attempt.target.encode() + b" HTTP/1.1"]
        lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in headers.items()]
        return b"\r\n".join(lines) + b"\r\n\r\n" + attempt.body

    def _read(self, connection: socket.socket, *, has_body: bool) -> tuple[Reply, bool]:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return _NOTHING, False
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        headers = Headers(pairs)
        length = int(headers.get("Content-Length", -1)) if has_body else 0
        chunked = "chunked" in headers.get("Transfer-Encoding", "")
        while (length < 0 or len(body) < length) and not (chunked and body.endswith(b"0\r\n\r\n")):
            piece = connection.recv(65536)
            if not piece:
                break
            body += piece
        if chunked:
            return Reply(int(first.split(" ")[1]), headers, _joined(body)), True
        reusable = length >= 0 and headers.get("Connection", "").lower() != "close"
        return Reply(int(first.split(" ")[1]), headers, body), reusable


def _joined(chunks: bytes) -> bytes:
    """Put the chunks of a body together."""
    found = b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        length = int(size, 16)
        found, chunks = found + chunks[:length], chunks[length + 2 :]
        if not length:
            break
    return found
