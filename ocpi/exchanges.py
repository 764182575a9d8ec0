"""Every request and answer that went over the wire, kept for operators: gathered in memory, written in batches by COPY.

Recording costs the request a few microseconds; formatting, masking and writing are the work of one thread per process,
every 100 ms. What a killed process loses is the last 100 ms of this log, never data.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import random
import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse

from ocpi import client, secrets
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Ids, Routing

log = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024  # bytes of a body that are kept
MOST_WAITING = 10_000  # entries
MOST_BYTES = 64 << 20  # of bodies that wait
_FLUSH_SECONDS = 0.1
_PAUSE_SECONDS = 1.0
_AT_ONCE = 2_000

_STATUS_CODE = re.compile(rb'"status_code"\s*:\s*"?(\d{4})\b')
_SECRET_HEADERS = frozenset(("authorization", "cookie", "set-cookie", "proxy-authorization"))
_NOT_IN_A_PATH = re.compile(r"[?#].*")


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
    request_headers: Mapping[str, str] | None = None
    request_body: bytes | None = None
    response_headers: Mapping[str, str] | None = None
    response_body: bytes | None = None


_buffer: deque[Entry] = deque()
_waiting_bytes = 0
_lost = 0
_writing = threading.Lock()
_thread_of: int | None = None
_numbers = itertools.count(random.getrandbits(22))


def record(entry: Entry) -> None:
    """Keep one exchange; never raises, never waits. When too much waits, the oldest are dropped and counted."""
    global _waiting_bytes, _lost
    if not settings.OCPI_EXCHANGES:
        return
    if entry.request_body is not None:
        entry.request_body = bytes(entry.request_body[: BODY_LIMIT + 1])
        _waiting_bytes += len(entry.request_body)
    if entry.response_body is not None:
        entry.response_body = bytes(entry.response_body[: BODY_LIMIT + 1])
        _waiting_bytes += len(entry.response_body)
    _buffer.append(entry)
    while len(_buffer) > MOST_WAITING or (_waiting_bytes > MOST_BYTES and _buffer):
        try:
            dropped = _buffer.popleft()
        except IndexError:  # the writer was faster
            break
        _waiting_bytes -= len(dropped.request_body or b"") + len(dropped.response_body or b"")
        _lost += 1
    if _thread_of != os.getpid() and settings.OCPI_WAKE:
        _start()


def record_in(
    *,
    request: HttpRequest,
    answer: HttpResponse,
    ids: Ids,
    routing: Routing,
    platform_id: int | None,
    module: str,
    elapsed: float,
) -> None:
    """Keep a request to us and our answer."""
    record(
        Entry(
            "IN",
            time.time() - elapsed,
            request.method or "",
            request.get_full_path(),
            platform_id,
            module,
            ids.request_id,
            ids.correlation_id,
            routing,
            answer.status_code,
            elapsed,
            "",
            request.headers,
            getattr(request, "_body", None),
            answer.headers,
            answer.content,
        )
    )


def record_out(
    result: client.Answer | client.ClientError, *, platform_id: int | None, module: str, routing: Routing | None = None
) -> None:
    """Keep a request of ours and what came of it."""
    sent = result.sent
    entry = Entry("OUT", sent.started_at, sent.method, sent.url, platform_id, module)
    entry.request_id = sent.headers.get(REQUEST_ID, "")
    entry.correlation_id = sent.headers.get(CORRELATION_ID, "")
    entry.routing = routing
    entry.elapsed = sent.elapsed
    entry.request_headers, entry.request_body = sent.headers, sent.body
    if isinstance(result, client.ClientError):
        entry.error = f"{type(result).__name__}: {result}"
        if isinstance(result, client.Garbage):
            entry.response_body = result.excerpt.encode()
    else:
        entry.http_status = result.http_status
        entry.response_headers, entry.response_body = result.headers, result.body
    record(entry)


def flush() -> int:
    """Write what waits, now and in this thread; return how many were written. For tests and the end of a process."""
    written = 0
    with _writing:
        while batch := _take():
            _write(batch)
            written += len(batch)
    return written


def lost() -> int:
    """Return how many exchanges this process had to drop."""
    return _lost


def _take() -> list[Entry]:
    global _waiting_bytes
    batch: list[Entry] = []
    while len(batch) < _AT_ONCE:
        try:
            entry = _buffer.popleft()
        except IndexError:
            break
        _waiting_bytes -= len(entry.request_body or b"") + len(entry.response_body or b"")
        batch.append(entry)
    if not _buffer:
        _waiting_bytes = 0  # unsynchronised additions may have drifted
    return batch


def _write(batch: list[Entry]) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for entry in batch:
            copy.write_row(_columns(entry))


def _columns(entry: Entry) -> tuple[Any, ...]:
    response = entry.response_body or b""
    found = _STATUS_CODE.search(response)
    routing = entry.routing or Routing()
    secret = entry.module == "credentials" or "/credentials" in entry.url
    return (
        int(entry.at * 1000) << 22 | (next(_numbers) & 0x3FFFFF),
        datetime.fromtimestamp(entry.at, UTC),
        entry.direction,
        entry.platform_id,
        entry.method[:7],
        _text(entry.url),
        entry.module[:50],
        _object_path(entry)[:300],
        _text(entry.request_id)[:255],
        _text(entry.correlation_id)[:255],
        _text(str(routing.sender or ""))[:6],
        _text(str(routing.to or ""))[:6],
        entry.http_status,
        int(found[1]) if found else None,
        round(entry.elapsed * 1000, 3) if entry.elapsed is not None else None,
        _text(entry.error),
        _headers(entry.request_headers),
        _body(entry.request_body, secret=secret),
        _headers(entry.response_headers),
        _body(response, secret=secret),
    )


def _object_path(entry: Entry) -> str:
    """Return what follows the module in the URL: the object the exchange was about."""
    path = _NOT_IN_A_PATH.sub("", entry.url)
    _, found, below = path.partition(f"/{entry.module}/") if entry.module else ("", "", "")
    return _text(below.strip("/")) if found else ""


def _headers(headers: Mapping[str, str] | None) -> str:
    if not headers:
        return ""
    return _text(
        "\n".join(
            f"{name}: {secrets.mask(value) if name.lower() in _SECRET_HEADERS else value}"
            for name, value in headers.items()
        )
    )


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


def _start() -> None:
    """Start this process's writer, once; a fork starts its own."""
    global _thread_of
    with _writing:
        if _thread_of == os.getpid():
            return
        _thread_of = os.getpid()
    threading.Thread(target=_run, name="exchange-writer", daemon=True).start()
    atexit.register(_finish)


def _run() -> None:
    while True:
        time.sleep(_FLUSH_SECONDS)
        if not _buffer:
            continue
        with _writing:
            batch = _take()
            try:
                _write(batch)
                continue
            except Error as error:
                log.warning("%d exchanges wait, the database is away: %s", len(batch), error)
                _buffer.extendleft(reversed(batch))
            except Exception:
                log.exception("%d exchanges were lost", len(batch))
        connection.close()
        time.sleep(_PAUSE_SECONDS)


def _finish() -> None:
    if _thread_of == os.getpid():
        try:
            flush()
        except Exception as error:  # the end of a process is no place to fail
            log.warning("the last exchanges were lost: %s", error)


def _forget() -> None:
    global _writing, _waiting_bytes
    _writing, _waiting_bytes = threading.Lock(), 0
    _buffer.clear()


os.register_at_fork(after_in_child=_forget)

_COPY = (
    "COPY ocpi_exchange (id, at, direction, platform_id, method, url, module, object_path, request_id, correlation_id, "
    "from_party, to_party, http_status, status_code, milliseconds, error, request_headers, request_body, "
    "response_headers, response_body) FROM STDIN"
)
