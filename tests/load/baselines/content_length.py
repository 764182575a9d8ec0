"""The one middleware of the baselines: the length of an answer, so that it is sent in one piece."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def add(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the handler with a Content-Length on its answers."""

    def handle(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Length"] = str(len(response.content))
        return response

    return handle
