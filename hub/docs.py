"""The API documentation: OpenAPI of what this instance serves, and a page that shows it; all from this server."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from ocpi import openapi

# Swagger UI draws its arrows and locks from pictures in its own style sheet, and sets styles of its elements.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'; object-src 'none'"
)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the OCPI surface, or with `?api=ocpp` the operation API of a charge point owner."""
    operations = "/api/ocpp/v1/openapi.json" if "cpo" in settings.OCPI_SIDES else ""
    chosen = operations if operations and request.GET.get("api") == "ocpp" else reverse("openapi")
    context = {
        "name": settings.OCPI_BUSINESS_NAME,
        "sides": settings.OCPI_SIDES,
        "document": chosen,
        "operations": operations,
    }
    answer = render(request, "docs.html", context)
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


@require_safe
def document(request: HttpRequest) -> HttpResponse:
    """Give the OpenAPI document of this instance."""
    text = _document(tuple(settings.OCPI_SIDES), settings.OCPI_BASE_URL)
    return HttpResponse(text, content_type="application/json")


@lru_cache(maxsize=8)
def _document(sides: tuple[str, ...], base_url: str) -> str:
    return openapi.text(sides, server=f"{base_url}/ocpi")


urlpatterns = [path("", page, name="docs")]
