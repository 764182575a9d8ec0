"""Where every URL leads: probes, the pages for people, and what each active side serves, named as strings."""

from importlib import import_module
from importlib.util import find_spec

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from hub import docs

handler500 = "hub.entrance.failed"


def _patterns(module: str) -> list[URLPattern | URLResolver]:
    """Return a module's `urlpatterns`, a list or a function; nothing if this installation has no such module."""
    if find_spec(module) is None:
        return []
    patterns = import_module(module).urlpatterns
    return list(patterns() if callable(patterns) else patterns)


urlpatterns: list[URLPattern | URLResolver] = [
    *_patterns("ocpi.endpoints"),
    *_patterns("hub.health"),
    *(_patterns("cpo.operation_urls") if "cpo" in settings.OCPI_SIDES else []),
    *(_patterns("cpo.device_urls") if "cpo" in settings.OCPI_SIDES else []),
    *_patterns("hub.entrance"),
    path("admin/", admin.site.urls),
    path("live/", include(_patterns("hub.live"))),
    path("docs/", include(_patterns("hub.docs"))),
    path("openapi.json", docs.document, name="openapi"),
]
