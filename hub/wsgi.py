"""The web server's entrance: OCPI requests go straight to their view, everything else through Django's handler."""

import gc
import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

_django = get_wsgi_application()

from ocpi.db_care import care_for_connection, leave_connection  # noqa: E402 - needs the applications
from ocpi.endpoints import entrance  # noqa: E402
from ocpi.views import MAX_LOCATION_BODY  # noqa: E402

# What was loaded stays for ever; collections need not look at it again.
gc.freeze()
gc.set_threshold(50_000, 20, 50)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request. No URL resolver, signals or exception layers on the OCPI path: its view has its own."""
    if not environ["PATH_INFO"].lstrip("/").startswith("ocpi/"):  # some join with two slashes
        return _django(environ, start_response)
    care_for_connection()
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        # Django reads as much as Content-Length says, which such a request has none of; one byte more than the
        # largest body is enough for its view to refuse it.
        body = environ["wsgi.input"].read(MAX_LOCATION_BODY + 1)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    response = entrance(WSGIRequest(environ))
    leave_connection()
    headers = [*response.items(), *(("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values())]
    if "Content-Length" not in response.headers:
        headers.append(("Content-Length", str(len(response.content))))
    start_response(f"{response.status_code} {response.reason_phrase}", headers)
    if getattr(response, "on_written", None) is not None:
        return _until_written(response)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.content]


def _until_written(response: Any) -> Iterator[bytes]:
    """Yield the body; who asks for more has written it out. If that fails, nobody asks."""
    yield response.content
    response.written()
    leave_connection()
