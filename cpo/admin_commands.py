"""Admin pages of what eMSPs ask of our charge points: commands with their timing, and reservations."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import RelatedDropdownFilter

from cpo import reservation_states
from cpo.models import Command, Reservation
from cpo.modules import reservations_operations as reservations
from ocpi.admin_confirm import ask, button
from ocpi.admin_links import shortened
from ocpi.admin_pages import Pages, Rows, badge, badged, known, party, pretty, read_only
from ocpi.v2_2_1.commands import CommandResultType

COMMANDS = ("START_SESSION", "STOP_SESSION", "RESERVE_NOW", "CANCEL_RESERVATION", "UNLOCK_CONNECTOR")


@admin.register(Command)
class CommandPage(Pages):
    """Commands of eMSPs and what came of them, and when: asked, answered, its result, and by when that was due."""

    large = True
    list_display = ("created_at", "command", "show_state", "show_emsp", "charge_point", "evse", "show_result",
                    "show_timing", "short_session")  # fmt: skip
    list_filter = (
        known("command", COMMANDS),
        "state",
        known("result", CommandResultType),
        ("platform", RelatedDropdownFilter),
    )
    list_select_related = ("platform", "charge_point", "evse", "operation")
    search_fields = ("=correlation_id", "=session_id", "=charge_point__identity", "=reservation__reservation_id")
    ordering = ("-id",)
    covered = ("response_url",)
    hidden = ("digest", "request", "response")
    shown = ("show_timing", "pretty_request", "pretty_response")
    deferred = ("request", "response", "response_url")
    show_state = badged("state")
    show_result = read_only("result", lambda page, row: badge(row.result, _tone(row.result)) if row.result else "–")
    show_emsp = party(title="eMSP")
    short_session = shortened("session_id", "session")
    pretty_request = pretty("request")
    pretty_response = pretty("response")

    @admin.display(description="timing")
    def show_timing(self, row: Command) -> str:
        """Return when the charge point was asked and answered and the result was given, in seconds since it came."""
        moments = [
            ("asked", row.operation.sent_at if row.operation else None),
            ("answered", row.operation.ended_at if row.operation else None),
            ("result", row.result_at),
        ]
        told = [f"{name} +{_seconds(row.created_at, at):.1f} s" for name, at in moments if at is not None]
        return ", ".join([*told, f"due +{_seconds(row.created_at, row.deadline_at):.0f} s"]) if told else "–"


class ReservationCommandRows(Rows):
    model = Command
    fk_name = "reservation"
    verbose_name_plural = "commands about it"
    fields = ("created_at", "command", "state", "result", "result_at")
    ordering = ("-id",)
    show_change_link = True


@admin.register(Reservation)
class ReservationPage(Pages):
    """What is kept free for whom, until when, and how it ended."""

    large = True
    list_display = ("reservation_id", "show_state", "show_emsp", "charge_point", "show_evse", "id_tag", "started_at",
                    "expires_at", "show_left", "ended_by")  # fmt: skip
    list_filter = (known("state", reservation_states.STATES), known("ended_by", reservation_states.ENDERS))
    list_select_related = ("charge_point", "evse")
    search_fields = ("=reservation_id", "=party_id", "=id_tag", "=charge_point__identity", "=session__object_id")
    ordering = ("-id",)
    hidden = ("snapshot",)
    shown = ("show_left", "pretty_snapshot")
    deferred = ("snapshot",)
    inlines = (ReservationCommandRows,)
    actions_detail = ("cancel",)
    show_state = badged("state")
    show_emsp = party(title="eMSP")
    show_evse = read_only("EVSE", lambda page, row: row.evse or "whichever is free")
    pretty_snapshot = pretty("snapshot", "as when it was made")

    @admin.display(description="time left")
    def show_left(self, row: Reservation) -> str:
        if row.state != reservation_states.ACCEPTED:
            return "–"
        return f"{max(_seconds(timezone.now(), row.expires_at), 0) / 60:.0f} min"

    @button("Cancel", icon="event_busy", variant="danger")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Reservation, pk=object_id)

        def do() -> str:
            if not reservations.cancel(row.pk):
                return "It was over already: nothing is changed."
            return "It is cancelled: the eMSP is told, and the charge point frees the EVSE."

        back = reverse("admin:cpo_reservation_change", args=[object_id])
        warning = "The driver counts on it. Nobody pays for a reservation that we end."
        return ask(self, request, question="Cancel this reservation?", about=[row], do=do, back=back, warning=warning)


def _seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()


def _tone(result: str) -> str:
    return "good" if result == CommandResultType.ACCEPTED else "bad"
