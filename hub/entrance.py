"""The root of the site, its icon, and what is shown where a page fails: nobody asks for these on purpose."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.views import defaults
from django.views.decorators.http import require_safe

from ocpi import database_trouble

log = logging.getLogger(__name__)

_ICON = Path(__file__).parent / "static" / "hub" / "icon.svg"


@require_safe
def root(request: HttpRequest) -> HttpResponseRedirect:
    """Lead to the live page where everybody may see it, otherwise to the admin."""
    return HttpResponseRedirect(reverse("live") if settings.LIVE_PUBLIC or settings.DEBUG else reverse("admin:index"))


@require_safe
def icon(request: HttpRequest) -> FileResponse:
    answer = FileResponse(_ICON.open("rb"), content_type="image/svg+xml")
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


def failed(request: HttpRequest) -> HttpResponse:
    """Answer where a page, or whatever charge points and probes ask for, has failed (Django's `handler500`)."""
    error = sys.exc_info()[1]
    if error is None or not database_trouble.passes(error):
        return defaults.server_error(request)
    log.error("%s failed, the database cannot do it now: %s", request.path, database_trouble.words(error))
    said = "The database is away for the moment. Please try again."
    headers = database_trouble.retry_after(error)
    return HttpResponse(f"{said}\n", status=503, content_type="text/plain", headers=headers)


urlpatterns = [path("", root, name="root"), path("favicon.ico", icon, name="icon")]
