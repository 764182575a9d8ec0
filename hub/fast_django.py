"""Everything but Direct requests: Django's WSGI entrance on a few threads, behind the event loop of the web server.

Django's own ASGI handler costs five times as much (a thread per request, a chain of adapters), and `hub/wsgi.py` has
all that an OCPI request needs. The body is read before a thread is taken, so that nobody who sends slowly holds one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.http import HttpResponse

from hub.fast_threads import Threads
from hub.wsgi import application

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_AT_ONCE = 256 << 10  # octets of a file that one visit to a thread reads


@dataclass(slots=True)
class _Answered:
    """What Django gave; `more` holds what is still to be asked for."""

    http_status: int
    headers: list[tuple[str, str]]
    octets: bytes
    more: Iterator[bytes] | None


class DjangoDoor:
    """Answers requests with Django, on threads."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def answer(self, scope: Scope, receive: Receive, send: Send, body: IO[bytes], length: int) -> None:
        """Answer one request whose body was read."""
        found = await self._threads.run(_answered, environ_of(scope, body, length))
        lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in found.headers]
        await send({"type": "http.response.start", "status": found.http_status, "headers": lines})
        octets, more = found.octets, found.more
        try:
            while more is not None:
                await send({"type": "http.response.body", "body": octets, "more_body": True})
                if await _is_gone(receive):
                    return
                octets = await self._threads.run(_next, more)
                if not octets:
                    more = None
            await send({"type": "http.response.body", "body": octets, "more_body": False})
        finally:
            if found.more is not None:
                await self._threads.run(_close, found.more)


def environ_of(scope: Scope, body: IO[bytes], length: int) -> dict[str, Any]:
    """Return the WSGI environment of an ASGI request."""
    path = scope.get("raw_path", b"") or scope["path"].encode()
    host, port = scope.get("server") or ("", None)
    query = scope.get("query_string", b"").decode("latin-1")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": path.decode("latin-1") + (f"?{query}" if query else ""),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 80),
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for octets, value in scope["headers"]:
        # An underscore would become what a dash becomes: one could pass for the other.
        if b"_" not in octets and octets not in _FRAMING:
            name = octets.decode("latin-1").upper().replace("-", "_")
            name = name if name == "CONTENT_TYPE" else f"HTTP_{name}"
            text = value.decode("latin-1")
            environ[name] = f"{environ[name]},{text}" if name in environ else text
    environ["CONTENT_LENGTH"] = str(length)
    return environ


# The body was read and is as long as it is.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def _answered(environ: dict[str, Any]) -> _Answered:
    begun: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], None]:
        begun[:] = [int(status[:3]), headers]
        return lambda _octets: None

    found: Any = application(environ, start_response)
    if isinstance(found, list) or (isinstance(found, HttpResponse) and not found.streaming):
        octets = b"".join(found)
        _close(found)
        if not any(name.lower() == "content-length" for name, _ in begun[1]):
            begun[1].append(("Content-Length", str(len(octets))))
        return _Answered(begun[0], begun[1], octets, None)
    more = found if isinstance(found, Generator) else _Blocks(found)
    return _Answered(begun[0], begun[1], _next(more), more)


class _Blocks:
    """A file in larger pieces than it comes in."""

    def __init__(self, answer: Iterable[bytes]) -> None:
        self._answer, self._parts = answer, iter(answer)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        parts, length = [], 0
        for part in self._parts:
            parts.append(part)
            length += len(part)
            if length >= _AT_ONCE:
                break
        if not parts:
            raise StopIteration
        return b"".join(parts)

    def close(self) -> None:
        _close(self._answer)


def _next(more: Iterator[bytes]) -> bytes:
    """Return the next piece; to ask for it says that the one before was written out."""
    return next((piece for piece in more if piece), b"")


def _close(found: Any) -> None:
    close = getattr(found, "close", None)
    if close is not None:
        close()


async def _is_gone(receive: Receive) -> bool:
    """Say whether the client has closed the connection, without waiting for that."""
    try:
        async with asyncio.timeout(0):
            return bool((await receive())["type"] == "http.disconnect")
    except TimeoutError:
        return False
