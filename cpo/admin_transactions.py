"""Admin pages of transactions and of stops that fit none; what an operator may do about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from cpo.models import InboxMessage, MeterReading, Transaction, UnmatchedStop
from cpo.modules import pausing, stops_by_hand, transactions
from cpo.ocpp import calls
from ocpi import audit
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import Pages, Rows, badge, badged, known, pretty, read_only

_TIMEOUT = 60.0


class MeterReadingRows(Rows):
    model = MeterReading
    fields = ("at", "context", "register_wh", "power_w", "current_a", "state_of_charge", "flag")
    ordering = ("-at", "-id")
    per_page = 20


@admin.register(Transaction)
class TransactionPage(Pages):
    """What was metered, and what is odd about it."""

    large = True
    list_display = ("transaction_id", "charge_point", "connector_id", "id_tag", "started_at", "stopped_at", "show_kwh",
                    "reason", "show_flags", "session")  # fmt: skip
    list_filter = ("authorised", "held", "synthetic", ("stopped_at", admin.EmptyFieldListFilter))
    list_select_related = ("charge_point", "session")
    search_fields = ("=transaction_id", "=id_tag", "=charge_point__identity", "=session__object_id")
    ordering = ("-id",)
    hidden = ("snapshot", "phases", "flags")
    shown = ("show_pause", "pretty_flags", "pretty_phases", "pretty_snapshot")
    deferred = ("snapshot",)
    inlines = (MeterReadingRows,)
    actions_detail = ("stop", "pause", "resume", "close", "release", "discard")
    pretty_flags = pretty("flags")
    pretty_phases = pretty("phases")
    pretty_snapshot = pretty("snapshot", "as at its start")

    @admin.display(description="kWh")
    def show_kwh(self, row: Transaction) -> str:
        return "–" if row.meter_stop is None else f"{(row.meter_stop - row.meter_start) / 1000:.3f}"

    @admin.display(description="odd")
    def show_flags(self, row: Transaction) -> str:
        flags = [*row.flags, *(["held"] if row.held else [])]
        return badge(", ".join(str(flag) for flag in flags), "odd") if flags else ""

    @admin.display(description="pause")
    def show_pause(self, row: Transaction) -> str:
        if row.session is None or row.stopped_at is not None:
            return "–"
        found = pausing.state_of(row.session)
        return f"{found.state}{f', {found.why}' if found.why else ''}"

    @button("Stop", icon="stop_circle")
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Transaction.objects.select_related("charge_point"), pk=object_id)

        def do() -> str:
            if row.stopped_at is not None:
                return "It is over: nothing is asked."
            if not row.charge_point.online:
                raise calls.NotAsked("The charge point is offline")
            calls.remote_stop(row, asked_by=actor(request), key=f"by hand {uuid4()}", timeout=_TIMEOUT)
            return "The charge point is being asked; its answer is among the operations."

        return self._ask(request, row, "Ask the charge point to end this session?", do)

    @button("Pause", icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Transaction.objects.select_related("session"), pk=object_id)
        warning = "The driver's car gets no power until you resume. The session, and parking, go on."
        return self._ask(request, row, "Pause this session?", lambda: _paused(row, request), warning=warning)

    @button("Resume", icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Transaction.objects.select_related("session"), pk=object_id)
        return self._ask(request, row, "Resume this session?", lambda: _resumed(row, request))

    @button("Close it", icon="event_busy", variant="danger")
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Transaction, pk=object_id)

        def do() -> str:
            if not transactions.close(row.pk):
                return "It is over already: nothing is changed."
            return "It is closed with its last reading. A real stop that still comes takes the place of ours."

        warning = "For transactions whose charge point has forgotten them. Its CDR waits a day for the real stop."
        return self._ask(request, row, "Close this transaction with its last reading?", do, warning=warning)

    @button("Release", icon="task_alt")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Transaction, pk=object_id)

        def do() -> str:
            if not row.held or row.stopped_at is None:
                return "It is not held: nothing is changed."
            transactions.release(row.pk)
            return "It is released: its session is complete and its CDR made, if it has a price."

        why = ", ".join(str(flag) for flag in row.flags) or "nothing"
        return self._ask(request, row, "Bill this transaction as it is?", do, warning=f"Odd about it: {why}.")

    @button("Discard", icon="delete", variant="danger")
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Transaction, pk=object_id)

        def do() -> str:
            if not row.held:
                return "It is not held: nothing is changed."
            transactions.discard(row.pk)
            return "It is discarded: its session is INVALID and nobody pays it."

        return self._ask(request, row, "Discard this transaction?", do, warning="It will never be billed.")

    def _ask(
        self, request: HttpRequest, row: Transaction, question: str, do: Callable[[], str], *, warning: str = ""
    ) -> HttpResponse:
        back = reverse("admin:cpo_transaction_change", args=[row.pk])
        return ask(
            self, request, question=question, about=[row], do=do, back=back, warning=warning,
            refusals=(calls.NotAsked, pausing.NotNow),
        )  # fmt: skip


def _paused(row: Transaction, request: HttpRequest) -> str:
    if row.session is None:
        return "Nobody is charged for it: there is no session to pause."
    pausing.pause(row.session, by=actor(request))
    return "The charge point is being asked to give nothing."


def _resumed(row: Transaction, request: HttpRequest) -> str:
    if row.session is None:
        return "Nobody is charged for it: there is no session to resume."
    pausing.resume(row.session, by=actor(request))
    return "The charge point is being asked to charge on."


class Assign(forms.Form):
    transaction = forms.IntegerField(
        min_value=1,
        help_text="The number of the transaction that this stop ends; it has to be of the same charge point.",
    )


@admin.register(UnmatchedStop)
class UnmatchedStopPage(Pages):
    """Stops that fit no transaction: for an operator to look at."""

    large = True
    list_display = ("at", "charge_point", "transaction", "message")
    list_select_related = ("charge_point", "transaction", "message")
    search_fields = ("=charge_point__identity",)
    ordering = ("-id",)
    shown = ("show_said",)
    actions_detail = ("assign", "put_aside")
    show_said = read_only("what it says", lambda page, row: pretty("payload")(page, row.message))

    @button("Assign", icon="link")
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(UnmatchedStop, pk=object_id)
        form = Assign(request.POST or None)
        if request.method == "POST" and form.is_valid():
            number = form.cleaned_data["transaction"]
            try:
                stops_by_hand.assign(row.pk, number)
            except stops_by_hand.NotDone as refusal:
                form.add_error("transaction", f"{refusal}.")
            else:
                audit.record("unmatchedstop.assign", actor=actor(request), about=str(row), details={"to": number})
                messages.success(request, f"Transaction {number} has its stop.")
                return HttpResponseRedirect(reverse("admin:cpo_transaction_changelist") + f"?q={number}")
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": "Assign this stop", "opts": self.model._meta, "form": form,
            "back": reverse("admin:cpo_unmatchedstop_change", args=[object_id]), "answer": "Assign",
        }  # fmt: skip
        return TemplateResponse(request, "admin/ask_form.html", context)

    @button("Put aside", icon="delete", variant="danger")
    def put_aside(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(UnmatchedStop, pk=object_id)

        def do() -> str:
            stops_by_hand.put_aside(row.pk)
            return "It is put aside: no transaction is changed."

        return ask(
            self, request, question="Decide that this stop means nothing?", about=[row], do=do,
            back=reverse("admin:cpo_unmatchedstop_changelist"),
        )  # fmt: skip


@admin.register(InboxMessage)
class InboxMessagePage(Pages):
    """What charge points said; FAILED is parked for an operator."""

    large = True
    list_display = ("id", "received_at", "charge_point", "action", "show_state", "attempts", "transaction_id",
                    "show_error")  # fmt: skip
    list_filter = (known("state", ("NEW", "DONE", "FAILED")), "gave_up")
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=message_id", "=transaction_id")
    ordering = ("-id",)
    hidden = ("payload", "answer", "payload_hash", "start_key")
    shown = ("pretty_payload", "pretty_answer")
    deferred = ("payload", "answer")
    actions = ("try_again", "leave")
    show_state = badged("state")
    show_error = read_only("error", lambda page, row: row.error[:80])
    pretty_payload = pretty("payload")
    pretty_answer = pretty("answer")

    @admin.action(description="Try again", permissions=["operate"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[InboxMessage]) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True))
        return ask(
            self, request, question=f"Apply {len(ids)} parked messages once more?", about=queryset,
            do=lambda: f"{stops_by_hand.try_again(ids)} messages are tried again, in their order.",
            back=reverse("admin:cpo_inboxmessage_changelist"),
        )  # fmt: skip

    @admin.action(description="Leave as it is", permissions=["operate"])
    def leave(self, request: HttpRequest, queryset: QuerySet[InboxMessage]) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True))
        return ask(
            self, request, question=f"Take {len(ids)} parked messages as done, without applying them?", about=queryset,
            do=lambda: f"{stops_by_hand.leave(ids)} messages are put aside.",
            back=reverse("admin:cpo_inboxmessage_changelist"), warning="What they say is lost to sessions and bills.",
        )  # fmt: skip
