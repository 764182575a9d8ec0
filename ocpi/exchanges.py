"""Every request and answer that went over the wire, kept for operators: gathered in memory, written in batches by COPY.

Recording costs the request a few microseconds; formatting, masking and writing are the work of one thread per process,
every 100 ms, but for what a busy hub passes on (`exchange_waiting`). What a killed process loses is the last 100 ms of
this log, never data.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse

from ocpi import client, exchange_rows, ours, traffic
from ocpi.background_writer import BackgroundWriter
from ocpi.exchange_columns import COPY, Entry
from ocpi.exchange_forward import Forwarded
from ocpi.exchange_rows import Lines
from ocpi.exchange_waiting import Waiting, Waits
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Ids, Received, Routing

__all__ = ["Entry", "flush", "lost", "record", "record_in", "record_out", "stop"]

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 0.1
_PAUSE_SECONDS = 1.0

_waiting = Waiting()
_lost = 0


def record(entry: Entry | Forwarded) -> None:
    """Keep one exchange; never raises, never waits. When too much waits, the oldest are dropped and counted."""
    if not ours.known_settings().OCPI_EXCHANGES:
        return
    if dropped := _waiting.add(entry):
        _note_lost(dropped)
    if not _writer.is_running and settings.OCPI_WAKE:
        _writer.start()


def record_in(
    *,
    request: HttpRequest,
    answer: HttpResponse,
    ids: Ids,
    routing: Routing,
    platform_id: int | None,
    module: str,
    elapsed: float,
    error: str = "",
) -> None:
    """Keep a request to us and our answer; `error` is what our operator is to know of a refusal."""
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
            error,
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
    """Write what waits, now and in this thread; return how much that was: lines made before count as one.

    For tests and the end of a process.
    """
    return _writer.flush()


def lost() -> int:
    """Return how many exchanges this process had to drop."""
    return _lost


def _note_lost(number: int) -> None:
    global _lost
    _lost += number
    for _ in range(number):
        traffic.note_log("lost")


def _write(batch: Sequence[Waits]) -> None:
    parts, tallies = exchange_rows.lines(batch)
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for part in parts:
            copy.write(part)
    traffic.note_all(tallies)


def _write_one_by_one(batch: list[Waits]) -> None:
    """Write what can be written: one bad entry does not take its neighbors along."""
    for entry in _apart(batch):
        try:
            _write([entry])
        except Exception as error:
            _note_lost(1)
            log.warning("an exchange with %s was lost: %s", entry.url[:200], error)


def _apart(batch: list[Waits]) -> Iterator[Entry | Lines]:
    for each in batch:
        if isinstance(each, Entry):
            yield each
        elif isinstance(each, Forwarded):
            yield from each.entries()
        else:
            traffic.note_all(each.tallies)
            yield from each.apart()


def stop() -> None:
    """End this process's writer and write what it left; recording starts another one."""
    _writer.stop()


_writer = BackgroundWriter(
    "exchanges", seconds=_FLUSH_SECONDS, pause=_PAUSE_SECONDS,
    take=_waiting.take, write=_write, put_back=_waiting.put_back, refused=_write_one_by_one,
)  # fmt: skip
os.register_at_fork(after_in_child=_waiting.forget)
