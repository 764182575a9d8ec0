"""OCPI requests meet no middleware; pages for people get Django's whole stack, built when first asked for."""

import threading
from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string

Handler = Callable[[HttpRequest], HttpResponseBase]

# Machines only: partners, charge point operations, probes. Sessions and cookies mean nothing there.
_MACHINES = frozenset({"ocpi", "ocpp", "api", "livez", "readyz", "metrics"})


def _for_machines(request: HttpRequest) -> bool:
    return request.path_info[1:].partition("/")[0] in _MACHINES


class PagesOnly:
    """The middleware of PAGES_MIDDLEWARE, run for every path that people open."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response
        self._pages: Handler | None = None
        self._view_hooks: list[Callable[..., HttpResponseBase | None]] = []
        self._building = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if _for_machines(request):
            return self._get_response(request)
        return self._stack()(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], arguments: list[Any], names: dict[str, Any]
    ) -> HttpResponseBase | None:
        """Let the stack's own view hooks (csrf) look at a page's view."""
        if _for_machines(request):
            return None
        for hook in self._view_hooks:
            if response := hook(request, view, arguments, names):
                return response
        return None

    def _stack(self) -> Handler:
        if self._pages is None:
            with self._building:
                if self._pages is None:
                    self._pages = self._build()
        return self._pages

    def _build(self) -> Handler:
        handler = self._get_response
        hooks: list[Callable[..., HttpResponseBase | None]] = []
        for path in reversed(settings.PAGES_MIDDLEWARE):
            middleware = import_string(path)(handler)
            if hook := getattr(middleware, "process_view", None):
                hooks.insert(0, hook)
            handler = cast(Handler, convert_exception_to_response(middleware))
        self._view_hooks = hooks
        return handler


class ContentSecurityPolicy:
    """Only our own scripts, styles and pictures; no framing.

    The admin's theme writes styles into its elements and evaluates expressions in its attributes (Alpine), so
    its pages get exactly these two exceptions and no others.
    """

    _POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
    _THEME = "; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        themed = request.path_info.startswith("/admin/")
        response.headers.setdefault("Content-Security-Policy", self._POLICY + (self._THEME if themed else ""))
        return response
