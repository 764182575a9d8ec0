"""Every request and answer that went over the wire, kept for operators: gathered in memory, written in batches by COPY.

Recording costs the request a few microseconds; formatting, masking and writing are the work of one thread per process,
every 100 ms. What a killed process loses is the last 100 ms of this log, never data.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse

from ocpi import client
from ocpi.exchange_columns import BODY_LIMIT, COPY, Entry, columns
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Ids, Received, Routing

__all__ = ["Entry", "flush", "lost", "record", "record_in", "record_out", "stop"]

log = logging.getLogger(__name__)

MOST_WAITING = 10_000  # entries
MOST_BYTES = 64 << 20  # of bodies that wait
_FLUSH_SECONDS = 0.1
_PAUSE_SECONDS = 1.0
_STOP_SECONDS = 5.0
_AT_ONCE = 2_000


_buffer: deque[Entry] = deque()
_waiting_bytes = 0
_lost = 0
_writing = threading.Lock()
_ending = threading.Event()
_thread: threading.Thread | None = None
_thread_of: int | None = None


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
            Received(request.META),
            getattr(request, "_body", None),
            answer.headers,
            getattr(answer, "content", b""),
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
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for entry in batch:
            copy.write_row(columns(entry))


def _write_one_by_one(batch: list[Entry]) -> None:
    """Write what can be written: one bad entry does not take its neighbors along."""
    global _lost
    for entry in batch:
        try:
            _write([entry])
        except Exception as error:
            _lost += 1
            log.warning("an exchange with %s was lost: %s", entry.url[:200], error)


def stop() -> None:
    """End this process's writer and write what it left; recording starts another one."""
    global _thread, _thread_of
    thread, _thread = _thread, None
    if thread is None or _thread_of != os.getpid():
        return
    _thread_of = None
    _ending.set()
    thread.join(_STOP_SECONDS)
    try:
        flush()
    except Exception as error:  # the end of a process is no place to fail
        log.warning("the last exchanges were lost: %s", error)


def _start() -> None:
    """Start this process's writer, once; a fork starts its own."""
    global _thread, _thread_of
    with _writing:
        if _thread_of == os.getpid():
            return
        _thread_of = os.getpid()
        _ending.clear()
        _thread = threading.Thread(target=_run, name="exchange-writer", daemon=True)
    _thread.start()
    atexit.register(stop)


def _run() -> None:
    while not _ending.wait(_FLUSH_SECONDS):
        if not _buffer:
            continue
        with _writing:
            batch = _take()
            try:
                _write(batch)
                continue
            except (OperationalError, InterfaceError) as error:
                log.warning("%d exchanges wait, the database is away: %s", len(batch), error)
                _buffer.extendleft(reversed(batch))
            except Exception:
                log.exception("one of %d exchanges cannot be stored", len(batch))
                _write_one_by_one(batch)
        connection.close()
        _ending.wait(_PAUSE_SECONDS)
    connection.close()


def _forget() -> None:
    global _writing, _waiting_bytes, _thread
    _writing, _waiting_bytes, _thread = threading.Lock(), 0, None
    _buffer.clear()


os.register_at_fork(after_in_child=_forget)
