"""The threads of a CPO's web server: gunicorn's, but what is no HTTP is refused with an envelope, too (TRN-035)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from hub import one_cpu
from hub.no_http import refusal

_NO_HTTP = "This is no HTTP request that is understood here"
_OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
# What a client sends is never a 5xx (SEC-48).
_STATUSES: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """One process of the server."""

    def init_process(self) -> None:
        """Begin to serve."""
        from django.conf import settings

        if settings.ON_ONE_CPU:
            one_cpu.stay()
        super().init_process()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what could not be read; the connection is closed then."""
        if not isinstance(exc, errors.ParseException) or isinstance(exc, _OURS):
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("a request from %s is no HTTP: %s", (addr or ("",))[0], type(exc).__name__)
        try:
            write_nonblock(client, refusal(_STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST), _NO_HTTP))
        except OSError:
            self.log.debug("nobody waits for the refusal")
