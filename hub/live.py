"""The live page: what this instance does right now, polled each second. What it shows is in `live_state`."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hub import live_state


def _may_see(request: HttpRequest) -> bool:
    user = request.user
    return bool(settings.LIVE_PUBLIC or settings.DEBUG or (user.is_active and user.is_staff))


@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    if not _may_see(request):
        return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
    return render(request, "live.html", {"name": settings.OCPI_BUSINESS_NAME, "sides": settings.OCPI_SIDES})


@require_safe
@never_cache
def state(request: HttpRequest) -> HttpResponse:
    if not _may_see(request):
        return JsonResponse({"error": "log in first"}, status=403)
    return JsonResponse(live_state.current())


urlpatterns = [
    path("", page, name="live"),
    path("state.json", state, name="live-state"),
]
