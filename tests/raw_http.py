"""Requests that no client library would send, to real servers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit


def status_of(url: str, headers: Iterable[tuple[str, str]], *, seconds: float = 60) -> int:
    """Send a GET with exactly these headers and Host; return the HTTP status."""
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in headers)]
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=seconds) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        while b"\r\n" not in answer:
            octets = connection.recv(4096)
            assert octets, "the connection was closed without an answer"
            answer += octets
    return int(answer.split(b" ", 2)[1])


def answer_to(url: str, octets: bytes, *, seconds: float = 60) -> tuple[int, bytes]:
    """Send these octets and nothing more; return the HTTP status and the body of an answer that ends the connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=seconds) as connection:
        connection.sendall(octets)
        answer = b""
        while found := connection.recv(4096):
            answer += found
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


NO_HTTP = (
    b"GARBAGE\r\n\r\n",
    b"GET /ocpi/versions HTTP/1.1\r\nHost x\r\n\r\n",
    b"PUT /ocpi/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
)


def refusals(url: str) -> list[tuple[int, int]]:
    """Return HTTP status and status_code of what is answered to three requests that are no HTTP."""
    found = [answer_to(url, octets) for octets in NO_HTTP]
    return [(http_status, json.loads(body)["status_code"]) for http_status, body in found]


def edges(url: str) -> list[int]:
    """Return the status for 100 headers and a line of 8,000 octets, 101 headers, and a line of 9 KiB (SEC-45).

    Host is one of the headers.
    """
    many = [(f"X-{number}", "x") for number in range(99)]
    return [
        status_of(url, [*many[:-1], ("X-Long", "x" * 8_000)]),
        status_of(url, [*many, ("X-One-More", "x")]),
        status_of(url, [("X-Long", "x" * (9 << 10))]),
    ]
