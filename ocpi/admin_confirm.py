"""A question before something that matters is done, answered by a POST of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.enums import ActionVariant

_Function = TypeVar("_Function", bound=Callable[..., Any])


def button(title: str, *, icon: str, variant: str = "default") -> Callable[[_Function], _Function]:
    """Make a method a button of a page; who may not operate on the rows does not see it."""

    def decorate(function: _Function) -> _Function:
        for name, value in {
            "short_description": title,
            "allowed_permissions": ["operate"],
            "url_path": function.__name__.replace("_", "-"),
            "icon": icon,
            "attrs": {},
            "dialog": None,
            "variant": ActionVariant(variant),
        }.items():
            setattr(function, name, value)
        return function

    return decorate


def ask(
    page: Any,
    request: HttpRequest,
    *,
    question: str,
    about: Iterable[object],
    do: Callable[[], str],
    back: str,
    warning: str = "",
    answer: str = "Yes, do it",
) -> HttpResponse:
    """Ask; once the answer is yes, do it, say what came of it and go back.

    `do` returns a sentence for the operator. The fields of the form that led here are sent once more with the answer.

    :raises PermissionDenied: if whoever asks may not operate on these rows.
    """
    if not page.has_operate_permission(request):
        raise PermissionDenied
    if request.method == "POST" and request.POST.get("confirmed") == "yes":
        messages.success(request, do())
        return HttpResponseRedirect(back)
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in ("csrfmiddlewaretoken", "confirmed")
        for value in values
    ]
    context = {
        **page.admin_site.each_context(request),
        "title": question,
        "question": question,
        "warning": warning,
        "about": [str(one) for one in about],
        "fields": fields,
        "answer": answer,
        "back": back,
        "opts": page.model._meta,
    }
    return TemplateResponse(request, "admin/confirm.html", context)
