"""The root of the site and its icon: browsers and people ask for both without being told to."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponseRedirect
from django.urls import path, reverse
from django.views.decorators.http import require_safe

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


urlpatterns = [path("", root, name="root"), path("favicon.ico", icon, name="icon")]
