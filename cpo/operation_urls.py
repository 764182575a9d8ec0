"""The URLs of the operation API, from its table, and its description."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, re_path
from django.views.decorators.http import require_safe

from cpo.api import openapi
from cpo.api.table import PREFIX, ROUTES, Route


@require_safe
def document(request: HttpRequest) -> HttpResponse:
    """Give the OpenAPI document of the operation API of this instance."""
    return HttpResponse(_document(settings.OCPI_BASE_URL), content_type="application/json")


@lru_cache(maxsize=4)
def _document(base_url: str) -> str:
    return openapi.text(server=f"{base_url}{openapi.SERVER}")


def nothing(request: HttpRequest) -> HttpResponse:
    """Say in JSON that there is nothing at this URL."""
    return JsonResponse({"error": "NOT_FOUND", "message": "there is nothing at this URL"}, status=404)


def _pattern(route: Route) -> URLPattern:
    view = route.view.as_view(**({"live": True} if route.live else {}))
    return path(f"{PREFIX}/{route.path}", view)


urlpatterns = [
    path(f"{PREFIX}/openapi.json", document, name="operation-openapi"),
    *(_pattern(route) for route in ROUTES),
    re_path(rf"^{PREFIX}/", nothing),
]
