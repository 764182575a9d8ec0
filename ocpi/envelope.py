"""The response format, and the one place that turns an exception into an answer (OCPI 2.2.1, Transport and format)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpResponse, UnreadablePostError
from rest_framework import exceptions as drf

from ocpi import database_trouble, status

log = logging.getLogger(__name__)

_INTERNAL = "Internal server error"
_UNAVAILABLE = "Temporarily unavailable, please try again"


def compose(
    status_code: int, message: str | None = None, data: str | bytes | None = None, *, at: datetime | None = None
) -> bytes:
    """Return the envelope as bytes; `data` is JSON text and is not parsed again."""
    moment = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    parts = [b'{"status_code":%d' % status_code]
    if message:
        parts.append(b',"status_message":' + json.dumps(message).encode())
    parts.append(b',"timestamp":"' + moment.encode() + b'"')
    if data is not None:
        parts.append(b',"data":' + (data.encode() if isinstance(data, str) else data))
    parts.append(b"}")
    return b"".join(parts)


class Response(HttpResponse):
    """An answer that can tell when it has been written out whole."""

    on_written: Callable[[], None] | None = None

    def written(self) -> None:
        """Say that the last byte went out; what follows from that never harms the answer."""
        do, self.on_written = self.on_written, None
        if do is not None:
            try:
                do()
            except Exception:
                log.exception("what follows from a written answer failed")

    def close(self) -> None:
        self.written()
        super().close()


def response(
    data: str | bytes | None = None,
    *,
    http_status: int = 200,
    status_code: int = 1000,
    message: str | None = "Success",
    headers: Mapping[str, str] | None = None,
    written: Callable[[], None] | None = None,
) -> Response:
    """Return an HTTP response that carries the envelope; `data` is JSON text, `written` runs once it is out."""
    answer = Response(
        compose(status_code, message, data), status=http_status, content_type="application/json", headers=headers
    )
    answer.on_written = written
    return answer


def error(exc: Exception, *, unexpected: type[status.OcpiError] = status.ServerError) -> HttpResponse:
    """Return the answer to what was raised. What we did not expect is logged and is a 3000, at a hub a 4000.

    While the database cannot do it, the same codes come with HTTP 503 and say when to come again.
    """
    known = _as_ocpi_error(exc)
    if known is None:
        if database_trouble.passes(exc):
            # What hits every request at once has no traceback for each.
            where = None if database_trouble.concerns_all(exc) else exc
            log.error("request failed, the database cannot do it now: %s", database_trouble.words(exc), exc_info=where)
            return response(
                http_status=503,
                status_code=unexpected.status_code,
                message=_UNAVAILABLE,
                headers=database_trouble.retry_after(exc),
            )
        log.error("request failed", exc_info=exc)
        return response(http_status=500, status_code=unexpected.status_code, message=_INTERNAL)
    return response(
        known.data,
        http_status=known.http_status,
        status_code=known.status_code,
        message=known.message,
        headers=known.headers,
    )


def for_operator(exc: Exception) -> str:
    """Return what our operator is to know of a refusal beyond what is answered."""
    return exc.for_operator if isinstance(exc, status.OcpiError) else ""


def _as_ocpi_error(exc: Exception) -> status.OcpiError | None:
    match exc:
        case status.OcpiError():
            return exc
        case Http404():
            return status.UnknownObject()
        case drf.ParseError():
            return status.NotJson(str(exc.detail))
        case RequestDataTooBig():
            return status.NotJson("The body is too large")
        case UnreadablePostError():  # whoever sent it has gone
            return status.NotJson("The body did not come to its end")
        case _:
            return None
