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


def button(
    title: str, *, icon: str, variant: str = "default", permission: str = "operate"
) -> Callable[[_Function], _Function]:
    """Make a method a button of a page; who lacks the permission (to operate on the rows) does not see it."""

    def decorate(function: _Function) -> _Function:
        for name, value in {
            "short_description": title,
            "allowed_permissions": [permission],
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
    reason: str = "",
    refusals: tuple[type[Exception], ...] = (),
) -> HttpResponse:
    """Ask; once the answer is yes, do it, say what came of it and go back.

    `do` returns a sentence for the operator, or raises one of the `refusals`. The fields of the form that led here are
    sent once more with the answer. With `reason`, a question for one, nothing is done without a text in the field of
    this name.

    :raises PermissionDenied: if whoever asks may not operate on these rows.
    """
    if not page.has_operate_permission(request):
        raise PermissionDenied
    confirmed = request.method == "POST" and request.POST.get("confirmed") == "yes"
    if confirmed and (not reason or request.POST.get("reason", "").strip()):
        try:
            messages.success(request, do())
        except refusals as refusal:
            messages.error(request, f"{refusal}.")
        return HttpResponseRedirect(back)
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in ("csrfmiddlewaretoken", "confirmed", *(["reason"] if reason else []))
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
        "reason": reason,
        "back": back,
        "opts": page.model._meta,
    }
    return TemplateResponse(request, "admin/confirm.html", context)
