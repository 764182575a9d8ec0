"""A question before something that matters is done, answered by a POST of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.enums import ActionVariant

from ocpi import audit
from ocpi.admin_pages import require_id

_MOST_NAMED = 50  # rows in one entry of the audit trail

_Function = TypeVar("_Function", bound=Callable[..., Any])


def button(
    title: str, *, icon: str, variant: str = "default", permission: str = "operate"
) -> Callable[[_Function], _Function]:
    """Make a method a button of a page; who lacks the permission (to operate on the rows) does not see it.

    What names no row, because it is no number where one is due, is not found like a row that is gone.
    """

    def decorate(function: _Function) -> _Function:
        @wraps(function)
        def view(page: Any, request: HttpRequest, *arguments: Any, **named: Any) -> Any:
            if "object_id" in named:
                require_id(page, named["object_id"])
            return function(page, request, *arguments, **named)

        for name, value in {
            "short_description": title,
            "allowed_permissions": [permission],
            "url_path": function.__name__.replace("_", "-"),
            "icon": icon,
            "attrs": {},
            "dialog": None,
            "variant": ActionVariant(variant),
        }.items():
            setattr(view, name, value)
        return cast("_Function", view)

    return decorate


def actor(request: HttpRequest) -> str:
    """Return the name that an operator's actions carry."""
    return str(getattr(request, "user").get_username())  # noqa: B009


def _write_down(page: Any, request: HttpRequest, about: list[str], came: str) -> None:
    meta = page.model._meta
    match = request.resolver_match
    asked = match.url_name.removeprefix(f"{meta.app_label}_{meta.model_name}_") if match and match.url_name else ""
    details: dict[str, object] = {"came": came, "about": about[:_MOST_NAMED]}
    if given := request.POST.get("reason", "").strip():
        details["reason"] = given[:300]
    audit.record(
        f"{meta.model_name}.{request.POST.get('action') or asked}",
        actor=actor(request),
        about=about[0] if len(about) == 1 else f"{len(about)} {meta.verbose_name_plural}",
        details=details,
    )


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
    writes_down: bool = False,
) -> HttpResponse:
    """Ask; once the answer is yes, do it, say what came of it and go back.

    `do` returns a sentence for the operator, or raises one of the `refusals`; what came of it is audited. The fields
    of the form that led here are sent once more with the answer. With `reason`, a question for one, nothing is done
    without a text in the field of this name. `writes_down` says that `do` writes its own entry into the audit trail.

    :raises PermissionDenied: if whoever asks may not operate on these rows.
    """
    if not page.has_operate_permission(request):
        raise PermissionDenied
    confirmed = request.method == "POST" and request.POST.get("confirmed") == "yes"
    named = [str(one) for one in about]
    if confirmed and (not reason or request.POST.get("reason", "").strip()):
        try:
            came = do()
            messages.success(request, came)
        except refusals as refusal:
            came = f"refused: {refusal}"
            messages.error(request, f"{refusal}.")
        except Exception as error:
            if writes_down:
                raise
            _write_down(page, request, named, f"failed: {type(error).__name__}")
            raise
        if not writes_down:
            _write_down(page, request, named, came)
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
        "about": named,
        "fields": fields,
        "answer": answer,
        "reason": reason,
        "back": back,
        "opts": page.model._meta,
    }
    return TemplateResponse(request, "admin/confirm.html", context)
