"""What an operator may do with a CDR that is wrong: take it back, and issue it anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from cpo.models import CDR
from cpo.modules import credits_operations as operations
from ocpi.admin_confirm import ask, button
from ocpi.admin_pages import badge

_OUT = "It goes to the eMSP like any CDR, and nothing that was sent can be changed or deleted."


def kind(row: CDR) -> str:
    """Return what a CDR is: a Credit CDR, one that was taken back, one issued in place of another."""
    if row.credit:
        return badge("credit", "odd")
    if hasattr(row, "credited_by"):
        return badge("taken back", "bad")
    return badge("issued anew", "busy") if row.replaces_id else ""


class Corrections:
    """Buttons of a CDR's page."""

    actions_detail = ("credit", "credit_and_reissue")

    @button("Credit", icon="undo", variant="danger")
    def credit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do(reason: str) -> str:
            return f"Credit CDR {operations.credit(int(object_id), reason=reason).object_id} is issued."

        return self._correct(request, object_id, "Take this CDR back?", do)

    @button("Credit and re-issue", icon="published_with_changes")
    def credit_and_reissue(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do(reason: str) -> str:
            pk = int(object_id)
            with transaction.atomic():
                if not CDR.objects.filter(original=pk).exists():
                    operations.credit(pk, reason=reason)
                anew = operations.reissue(pk, reason=reason)
            return f"It is taken back, and CDR {anew.object_id} is issued in its place."

        question = "Take this CDR back and issue it anew, from what is known of its session now?"
        return self._correct(request, object_id, question, do)

    def _correct(self, request: HttpRequest, object_id: str, question: str, do: Callable[[str], str]) -> HttpResponse:
        page: Any = self
        about = get_object_or_404(CDR, pk=object_id)
        back = reverse("admin:cpo_cdr_change", args=[object_id])
        return ask(
            page, request, question=question, about=[about], do=lambda: do(request.POST["reason"]), back=back,
            warning=_OUT, reason="Why? For our own records; it is not sent.", refusals=(operations.NotCorrected,),
        )  # fmt: skip
