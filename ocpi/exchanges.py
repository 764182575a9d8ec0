"""Every request and answer that went over the wire, kept for operators: gathered in memory, written in batches by COPY.

Recording costs the request a few microseconds; formatting, masking and writing are the work of one thread per process,
every 100 ms. What a killed process loses is the last 100 ms of this log, never data.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse

from ocpi import client, exchange_rows, ours, traffic
from ocpi.background_writer import BackgroundWriter
from ocpi.exchange_columns import BODY_LIMIT, COPY, Entry
from ocpi.exchange_forward import Forwarded
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Ids, Received, Routing

__all__ = ["Entry", "flush", "lost", "record", "record_in", "record_out", "stop"]

log = logging.getLogger(__name__)

MOST_WAITING = 10_000  # entries
MOST_BYTES = 64 << 20  # of bodies that wait
_FLUSH_SECONDS = 0.1
_PAUSE_SECONDS = 1.0
_AT_ONCE = 2_000


_buffer: deque[Entry | Forwarded] = deque()
_waiting_bytes = 0
_lost = 0


def record(entry: Entry | Forwarded) -> None:
    """Keep one exchange; never raises, never waits. When too much waits, the oldest are dropped and counted."""
    global _waiting_bytes, _lost
    if not ours.known_settings().OCPI_EXCHANGES:
        return
    body, answer = entry.request_body, entry.response_body
    if body is not None:
        if len(body) > BODY_LIMIT or type(body) is not bytes:
            entry.request_body = body = bytes(body[: BODY_LIMIT + 1])
        _waiting_bytes += len(body)
    if answer is not None:
        if len(answer) > BODY_LIMIT or type(answer) is not bytes:
            entry.response_body = answer = bytes(answer[: BODY_LIMIT + 1])
        _waiting_bytes += len(answer)
    _buffer.append(entry)
    while len(_buffer) > MOST_WAITING or (_waiting_bytes > MOST_BYTES and _buffer):
        try:
            dropped = _buffer.popleft()
        except IndexError:  # the writer was faster
            break
        _waiting_bytes -= len(dropped.request_body or b"") + len(dropped.response_body or b"")
        number = 2 if isinstance(dropped, Forwarded) else 1
        _lost += number
        for _ in range(number):
            traffic.note_log("lost")
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
    """Write what waits, now and in this thread; return how many were written. For tests and the end of a process."""
    return _writer.flush()


def lost() -> int:
    """Return how many exchanges this process had to drop."""
    return _lost


def _take() -> list[Entry | Forwarded]:
    global _waiting_bytes
    batch: list[Entry | Forwarded] = []
    with suppress(IndexError):  # others dropped some; what was taken before that is in the batch
        batch.extend(_buffer.popleft() for _ in range(min(len(_buffer), _AT_ONCE)))
    _waiting_bytes -= _octets(batch)
    if not _buffer:
        _waiting_bytes = 0  # unsynchronised additions may have drifted
    return batch


def _octets(batch: Sequence[Entry | Forwarded]) -> int:
    return sum([len(entry.request_body or b"") + len(entry.response_body or b"") for entry in batch])


def _write(batch: Sequence[Entry | Forwarded]) -> None:
    parts, tallies = exchange_rows.lines(batch)
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for part in parts:
            copy.write(part)
    traffic.note_all(tallies)


def _write_one_by_one(batch: list[Entry | Forwarded]) -> None:
    """Write what can be written: one bad entry does not take its neighbors along."""
    global _lost
    for entry in _apart(batch):
        try:
            _write([entry])
        except Exception as error:
            _lost += 1
            traffic.note_log("lost")
            log.warning("an exchange with %s was lost: %s", entry.url[:200], error)


def _apart(batch: list[Entry | Forwarded]) -> Iterator[Entry]:
    for each in batch:
        if isinstance(each, Forwarded):
            yield from each.entries()
        else:
            yield each


def stop() -> None:
    """End this process's writer and write what it left; recording starts another one."""
    _writer.stop()


def _put_back(batch: list[Entry | Forwarded]) -> None:
    global _waiting_bytes
    _waiting_bytes += _octets(batch)
    _buffer.extendleft(reversed(batch))


def _forget() -> None:
    global _waiting_bytes
    _waiting_bytes = 0
    _buffer.clear()


_writer = BackgroundWriter(
    "exchanges", seconds=_FLUSH_SECONDS, pause=_PAUSE_SECONDS,
    take=_take, write=_write, put_back=_put_back, refused=_write_one_by_one,
)  # fmt: skip
os.register_at_fork(after_in_child=_forget)
