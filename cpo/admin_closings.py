"""The buttons of an EVSE's page that close it and open it again (OCPP-63)."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from cpo.admin_station_actions import Close
from cpo.models import EVSE, Closing
from cpo.modules import closings
from ocpi import audit, clock
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import Rows, badged


class ClosingRows(Rows):
    model = Closing
    verbose_name_plural = "closings"
    fields = ("since", "until", "show_state", "reason", "made_by")
    ordering = ("-since",)
    per_page = 10
    show_state = badged("state")


class Closable:
    """What an operator may do with one EVSE."""

    @button("Close", icon="block")
    def close(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(EVSE, pk=object_id)
        back = reverse("admin:cpo_evse_change", args=[object_id])
        form = Close(request.POST or None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            try:
                closings.close(
                    [row.pk], since=given["since"] or clock.now(), until=given["until"], reason=given["reason"],
                    made_by=actor(request),
                )  # fmt: skip
            except closings.NotClosed as refusal:
                form.add_error(None, f"{refusal}.")
            else:
                details = {name: str(value) for name, value in given.items()}
                audit.record("evse.close", actor=actor(request), about=str(row), details=details)
                messages.success(request, "It is closed, or will be.")
                return HttpResponseRedirect(back)
        context = {**self.admin_site.each_context(request), "title": f"Close {row}", "opts": self.model._meta,
                   "form": form, "back": back}  # fmt: skip
        return TemplateResponse(request, "admin/send_form.html", context)

    @button("Open again", icon="check_circle")
    def open_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(EVSE, pk=object_id)
        return ask(
            self, request, question=f"End all closings of {row}, planned ones too?", about=[row],
            do=lambda: f"{closings.lift([row.pk])} closings are ended; what its charge point says counts again.",
            back=reverse("admin:cpo_evse_change", args=[object_id]),
        )  # fmt: skip
