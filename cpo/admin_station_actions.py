"""What an operator may do to charge points: buttons on the page of one, and the same for many in the list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from cpo.models import EVSE, ChargePoint
from cpo.modules import closings, service, station_actions
from cpo.modules.local_lists_sending import start_again
from cpo.ocpp.calls import NotAsked
from ocpi import audit, clock
from ocpi.admin_confirm import actor, ask, button

_LIST = "admin:cpo_chargepoint_changelist"
_GONE = (
    "Its EVSEs are shown as REMOVED for good; it is let in no more. What it has metered stays. There is no way back."
)


class _When(forms.DateTimeInput):
    def __init__(self) -> None:
        super().__init__(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class Start(forms.Form):
    """Whom to let charge, and where."""

    id_tag = forms.CharField(
        max_length=36, label="id tag", help_text="Whether it may charge is decided as for every start."
    )
    connector = forms.IntegerField(
        required=False, min_value=1, help_text="Its number at the charge point; empty: the charge point chooses."
    )


class Unlock(forms.Form):
    connector = forms.IntegerField(min_value=1, initial=1, help_text="Many charge points end a session by unlocking.")


class Close(forms.Form):
    """From when until when EVSEs are closed, and why."""

    since = forms.DateTimeField(required=False, widget=_When(), help_text="UTC; empty: from now on.")
    until = forms.DateTimeField(required=False, widget=_When(), help_text="UTC; empty: until somebody opens it again.")
    reason = forms.CharField(max_length=200, required=False, help_text="For your colleagues; it is not published.")


class Actions:
    """The buttons of a charge point's page and the actions of the list."""

    bulk: ClassVar[tuple[str, ...]] = (
        "reset_soft", "reset_hard", "make_operative", "make_inoperative", "trigger", "close_many", "open_many",
    )  # fmt: skip
    asking: ClassVar[tuple[str, ...]] = ("reset", "unlock", "trigger_one", "list_anew")
    deciding: ClassVar[tuple[str, ...]] = ("close_evses", "open_evses", "into_operation", "decommission")

    # ---- one

    @button("Reset", icon="restart_alt")
    def reset(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)
        return self._ask_one(
            request, row, f"Restart {row}?", lambda: station_actions.reset(row, kind="soft", by=actor(request)),
            warning="Sessions that run are ended first, or the restart waits for them, as the charge point thinks fit.",
        )  # fmt: skip

    @button("Ask its state", icon="help")
    def trigger_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)
        return self._ask_one(
            request, row, f"Ask {row} for the states of its connectors?",
            lambda: station_actions.trigger_status(row, by=actor(request)),
        )  # fmt: skip

    @button("Start a session", icon="play_arrow")
    def start_session(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)

        def send(form: forms.Form) -> str:
            given = form.cleaned_data
            station_actions.start(row, connector=given["connector"], id_tag=given["id_tag"], by=actor(request))
            return "It is being asked; the session appears when it has started."

        return self._form(request, row, Start(request.POST or None), f"Start a session at {row}", send)

    @button("Unlock", icon="lock_open")
    def unlock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)

        def send(form: forms.Form) -> str:
            station_actions.unlock(row, connector=form.cleaned_data["connector"], by=actor(request))
            return "It is being asked; its answer is among the operations."

        return self._form(request, row, Unlock(request.POST or None), f"Unlock a connector of {row}", send)

    @button("Close", icon="block")
    def close_evses(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)
        return self._close(request, row, _evses([row]), f"Close the EVSEs of {row}")

    @button("Open again", icon="check_circle")
    def open_evses(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)
        return self._ask(
            request, [row], f"End all closings at {row}, planned ones too?",
            lambda: f"{closings.lift(_evses([row]))} closings are ended; what the charge point says counts again.",
            _page(row),
        )  # fmt: skip

    @button("Send the local list anew", icon="badge")
    def list_anew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)

        def do() -> str:
            found = getattr(row, "local_list", None)
            if found is None:
                return "It has never been connected: nothing is sent."
            start_again(found.pk)
            return "It is asked what it takes, and gets the whole list."

        return self._ask(request, [row], f"Send {row} its whole local list?", do, _page(row))

    @button("Put into operation", icon="rocket_launch")
    def into_operation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)
        return self._ask(
            request, [row], f"Put the planned EVSEs of {row} into operation?",
            lambda: f"{service.put_into_operation(row.pk)} EVSEs are in operation.", _page(row),
        )  # fmt: skip

    @button("Take out of service", icon="delete_forever", variant="danger")
    def decommission(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePoint, pk=object_id)
        return self._ask(
            request, [row], f"Take {row} out of service for good?",
            lambda: f"{service.decommission(row.pk)} EVSEs are removed.", _page(row), warning=_GONE,
            refusals=(service.StillCharging,),
        )  # fmt: skip

    # ---- many

    @admin.action(description="Restart when it suits", permissions=["operate"])
    def reset_soft(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> HttpResponse:
        send = partial(station_actions.reset, kind=station_actions.SOFT, by=actor(request))
        return self._ask_many(request, queryset, "Restart", send)

    @admin.action(description="Restart at once", permissions=["operate"])
    def reset_hard(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> HttpResponse:
        send = partial(station_actions.reset, kind=station_actions.HARD, by=actor(request))
        return self._ask_many(request, queryset, "Restart at once", send, "Sessions that run are cut off.")

    @admin.action(description="Make operative", permissions=["operate"])
    def make_operative(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> HttpResponse:
        send = partial(station_actions.change_availability, operative=True, by=actor(request))
        return self._ask_many(request, queryset, "Make operative:", send)

    @admin.action(description="Make inoperative", permissions=["operate"])
    def make_inoperative(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> HttpResponse:
        send = partial(station_actions.change_availability, operative=False, by=actor(request))
        return self._ask_many(request, queryset, "Make inoperative:", send, "Cars that charge may finish.")

    @admin.action(description="Ask the states of connectors", permissions=["operate"])
    def trigger(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> HttpResponse:
        send = partial(station_actions.trigger_status, by=actor(request))
        return self._ask_many(request, queryset, "Ask the states of", send)

    @admin.action(description="Close their EVSEs", permissions=["operate"])
    def close_many(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> HttpResponse:
        found = list(queryset)

        def do() -> str:
            closed = closings.close(
                _evses(found), since=clock.now(), until=None, reason="closed in the list", made_by=actor(request)
            )
            return f"{closed} EVSEs are closed until somebody opens them again."

        return self._ask(
            request, found, f"Close the EVSEs of {len(found)} charge points?", do, reverse(_LIST),
            refusals=(closings.NotClosed,),
        )  # fmt: skip

    @admin.action(description="Open their EVSEs again", permissions=["operate"])
    def open_many(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> HttpResponse:
        found = list(queryset)
        return self._ask(
            request, found, f"End the closings at {len(found)} charge points?",
            lambda: f"{closings.lift(_evses(found))} closings are ended.", reverse(_LIST),
        )  # fmt: skip

    # ---- how

    def _ask(
        self, request: HttpRequest, about: Iterable[object], question: str, do: Callable[[], str], back: str, *,
        warning: str = "", refusals: tuple[type[Exception], ...] = (NotAsked,),
    ) -> HttpResponse:  # fmt: skip
        return ask(self, request, question=question, about=about, do=do, back=back, warning=warning, refusals=refusals)

    def _ask_one(
        self, request: HttpRequest, row: ChargePoint, question: str, send: Callable[[], object], *, warning: str = ""
    ) -> HttpResponse:
        def do() -> str:
            send()
            return "It is being asked; its answer is among the operations."

        return self._ask(request, [row], question, do, _page(row), warning=warning)

    def _ask_many(
        self, request: HttpRequest, queryset: QuerySet[ChargePoint], what: str, send: Callable[[ChargePoint], object],
        warning: str = "",
    ) -> HttpResponse:  # fmt: skip
        found = list(queryset)
        return self._ask(
            request, found, f"{what} {len(found)} charge points?", lambda: station_actions.of_many(found, send),
            reverse(_LIST), warning=warning,
        )  # fmt: skip

    def _close(self, request: HttpRequest, row: ChargePoint, evses: list[int], title: str) -> HttpResponse:
        def send(form: forms.Form) -> str:
            given = form.cleaned_data
            since: datetime = given["since"] or clock.now()
            closed = closings.close(
                evses, since=since, until=given["until"], reason=given["reason"], made_by=actor(request)
            )
            return f"{closed} EVSE{'s are' if closed != 1 else ' is'} closed, or will be."

        return self._form(request, row, Close(request.POST or None), title, send)

    def _form(
        self: Any, request: HttpRequest, row: ChargePoint, form: forms.Form, title: str,
        send: Callable[[forms.Form], str],
    ) -> HttpResponse:  # fmt: skip
        if not self.has_operate_permission(request):
            raise PermissionDenied
        if request.method == "POST" and form.is_valid():
            try:
                came = send(form)
            except (NotAsked, closings.NotClosed) as refusal:
                form.add_error(None, f"{refusal}.")
            else:
                given = {name: str(value) for name, value in form.cleaned_data.items()}
                audit.record(
                    f"chargepoint.{_name(request)}", actor=actor(request), about=str(row),
                    details={"came": came, **given},
                )  # fmt: skip
                messages.success(request, came)
                return HttpResponseRedirect(_page(row))
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.model._meta,
            "form": form,
            "back": _page(row),
        }
        return TemplateResponse(request, "admin/send_form.html", context)


def _name(request: HttpRequest) -> str:
    match = request.resolver_match
    return str(match.url_name).removeprefix("cpo_chargepoint_") if match is not None else ""


def _page(row: ChargePoint) -> str:
    return reverse("admin:cpo_chargepoint_change", args=[row.pk])


def _evses(points: Iterable[ChargePoint]) -> list[int]:
    rows = EVSE.objects.filter(charge_point__in=list(points)).exclude(status="REMOVED")
    return list(rows.order_by("pk").values_list("pk", flat=True))
