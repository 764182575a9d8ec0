"""What charge points fetch and leave over HTTP: firmware out, logs and diagnostics in (OCPP-85).

No account, no session: the secret in the URL is all there is. The content type means nothing, a name behind the secret
is only shown to people, and every refusal looks the same.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from cpo.modules import device_files, device_jobs
from cpo.modules.device_files import Claimed, Empty, NoLink, TooLarge

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


@csrf_exempt
@require_http_methods(["GET", "HEAD", "PUT", "POST"])
def file(request: HttpRequest, secret: str, name: str = "") -> HttpResponseBase:
    """Hand a file out, or take one in."""
    upload = request.method in ("PUT", "POST")
    try:
        claimed = device_files.claim(secret, upload=upload, address=request.META.get("REMOTE_ADDR") or "")
    except NoLink:
        return HttpResponse(status=404)
    return _take(request, claimed, name) if upload else _give(request, claimed)


# ------------------------------------------------------------ in


def _take(request: HttpRequest, claimed: Claimed, name: str) -> HttpResponse:
    limit = settings.OCPP_UPLOAD_BYTES
    try:
        announced = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        announced = 0
    try:
        if announced > limit:
            raise TooLarge(f"more than {limit:,} bytes")
        kept = device_files.store(_chunks(request), name=name or claimed.job.filename, limit=limit)
    except TooLarge as error:
        log.warning("upload for job %s refused: %s", claimed.job.pk, error)
        device_files.give_back(claimed)
        return HttpResponse(f"{error}\n", status=413, content_type="text/plain")
    except Empty:
        device_files.give_back(claimed)
        return HttpResponse("nothing was sent\n", status=400, content_type="text/plain")
    except OSError:
        # The connection broke off, or the disk is full: the charge point may try again.
        log.exception("upload for job %s failed", claimed.job.pk)
        device_files.give_back(claimed)
        return HttpResponse(status=503)
    with transaction.atomic():
        device_jobs.note_file(claimed.job.pk, kept.pk)
    return HttpResponse(status=201)


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    if (request.content_type or "").lower() == "multipart/form-data":
        yield from _form(request)
        return
    # Django reads as much as Content-Length says, which a body in chunks has none of.
    chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    source = request.META["wsgi.input"] if chunked and "wsgi.input" in request.META else request
    while chunk := source.read(_CHUNK):
        yield chunk


def _form(request: HttpRequest) -> Iterator[bytes]:
    """Yield the file in a form: some charge points upload like a browser. It goes through a temporary file of Django's.

    :raises TooLarge: before more than the limit is written.
    """
    request.upload_handlers.insert(0, _Limit(request))
    for part in request.FILES.values():
        yield from part.chunks(_CHUNK) if not isinstance(part, list) else ()
        return


class _Limit(FileUploadHandler):
    """Stops a form that grows too large."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self._seen = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._seen += len(raw_data)
        if self._seen > settings.OCPP_UPLOAD_BYTES:
            raise TooLarge(f"more than {settings.OCPP_UPLOAD_BYTES:,} bytes")
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


# ------------------------------------------------------------ out


def _give(request: HttpRequest, claimed: Claimed) -> HttpResponseBase:
    image = claimed.job.image
    if image is None or image.file is None:
        return HttpResponse(status=404)
    first, last, status = 0, image.file.size - 1, 200
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is not None:
        first, status = int(asked[1]), 206
        last = min(last, int(asked[2])) if asked[2] else last
        if first > last:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{image.file.size}"})
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{image.file.stored_as}.bin"',
        "Content-Length": str(last - first + 1),
        "Accept-Ranges": "bytes",
        "ETag": f'"{image.file.sha256}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{last}/{image.file.size}"
    if request.method == "HEAD":
        device_files.give_back(claimed)
        return HttpResponse(status=status, headers=headers)
    path = device_files.path_of(image.file)
    if not path.is_file():
        log.error("firmware %s is not where it should be", image)
        return HttpResponse(status=404)
    return StreamingHttpResponse(_part(path, first, last), status=status, headers=headers)


def _part(path: Path, first: int, last: int) -> Iterator[bytes]:
    with path.open("rb") as opened:
        opened.seek(first)
        left = last - first + 1
        while left > 0 and (chunk := opened.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
