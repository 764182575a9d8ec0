"""Admin pages of a network as a whole: alarms, closings, local lists, each tenant's policy, and the log of frames."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import FieldTextFilter, RangeDateTimeFilter

from cpo.local_list_states import ListState
from cpo.models import Closing, ConnectorHistory, FrameLog, LocalList, StationAlarm, TenantPolicy
from cpo.modules import closings, local_lists_sending
from cpo.operator_models import ClosingState
from cpo.station_alarms import Kind
from ocpi import audit, clock
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import Pages, badge, badged, known, pretty, read_only
from ocpi.alarms import duration


class Period(RangeDateTimeFilter):  # type: ignore[misc]
    """From when until when, in UTC, each end by itself if only one is given; a day without a time is all of it."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for end, lookup, time in (("from", "gte", "00:00:00"), ("to", "lte", "23:59:59.999999")):
            day, given = (self.used_parameters.get(f"{self.parameter_name}_{end}_{part}") for part in (0, 1))
            try:
                at = datetime.fromisoformat(f"{day}T{given or time}") if day else None
            except ValueError:
                continue  # what is no date finds all, as an empty field does
            if at is not None:
                queryset = queryset.filter(**{f"{self.parameter_name}__{lookup}": at.replace(tzinfo=UTC)})
        return queryset


class Over(admin.SimpleListFilter):
    title = "over"
    parameter_name = "over"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "open"), ("yes", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(cleared_at__isnull=self.value() == "no") if self.value() in ("no", "yes") else queryset


@admin.register(StationAlarm)
class StationAlarmPage(Pages):
    """What had to be looked at, since when, and until when; an alarm is over by itself."""

    large = True
    list_display = ("raised_at", "charge_point", "show_kind", "subject", "text", "show_lasts", "cleared_at")
    list_filter = (Over, known("kind", [kind.value for kind in Kind]))
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=subject")
    ordering = ("-raised_at", "-id")
    show_kind = read_only("alarm", lambda page, row: badge(row.kind.replace("_", " "), "" if row.cleared_at else "bad"))

    @admin.display(description="lasts")
    def show_lasts(self, row: StationAlarm) -> str:
        until: datetime = row.cleared_at or clock.now()
        return duration((until - row.raised_at).total_seconds())


@admin.register(Closing)
class ClosingPage(Pages):
    """Times in which EVSEs are closed by us."""

    large = True
    list_display = ("since", "until", "evse", "show_state", "reason", "made_by", "made_at")
    list_filter = (known("state", ClosingState.values),)
    list_select_related = ("evse",)
    search_fields = ("=evse__uid", "=evse__charge_point__identity", "made_by")
    ordering = ("-since", "-id")
    actions_detail = ("lift",)
    show_state = badged("state")

    @button("End it", icon="check_circle")
    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(Closing, pk=object_id)

        def do() -> str:
            if not closings.lift_one(row.pk):
                return "It is over already: nothing is changed."
            return "It is ended; what the charge point says counts again."

        back = reverse("admin:cpo_closing_change", args=[object_id])
        return ask(self, request, question="End this closing?", about=[row], do=do, back=back)


@admin.register(LocalList)
class LocalListPage(Pages):
    """The local list of each charge point: what it holds, and what it should."""

    large = True
    list_display = ("charge_point", "show_state", "version", "held", "wanted", "capacity", "failures", "error",
                    "updated_at")  # fmt: skip
    list_filter = (known("state", [state.value for state in ListState]), "wished")
    list_select_related = ("charge_point", "held", "wanted")
    search_fields = ("=charge_point__identity",)
    ordering = ("id",)
    deferred = ("held__packed", "wanted__packed")
    actions = ("anew", "keep", "leave")
    show_state = badged("state")

    @admin.action(description="Send anew", permissions=["operate"])
    def anew(self, request: HttpRequest, queryset: QuerySet[LocalList]) -> HttpResponse:
        return self._each(request, queryset, "Send {} whole lists", local_lists_sending.start_again)

    @admin.action(description="Keep from now on", permissions=["operate"])
    def keep(self, request: HttpRequest, queryset: QuerySet[LocalList]) -> HttpResponse:
        def keep(pk: int) -> None:
            local_lists_sending.keep_or_leave(pk, wished=True)

        return self._each(request, queryset, "Keep {} lists from now on", keep)

    @admin.action(description="Leave alone", permissions=["operate"])
    def leave(self, request: HttpRequest, queryset: QuerySet[LocalList]) -> HttpResponse:
        def leave(pk: int) -> None:
            local_lists_sending.keep_or_leave(pk, wished=False)

        return self._each(request, queryset, "Leave {} lists as they are", leave)

    def _each(self, request: HttpRequest, queryset: QuerySet[LocalList], what: str, do_one: Any) -> HttpResponse:
        rows = list(queryset.select_related("charge_point"))

        def do() -> str:
            for row in rows:
                do_one(row.pk)
            return f"Done for {len(rows)}."

        return ask(
            self, request, question=f"{what.format(len(rows))}?", about=[row.charge_point for row in rows], do=do,
            back=reverse("admin:cpo_locallist_changelist"),
        )  # fmt: skip


@admin.register(TenantPolicy)
class TenantPolicyPage(ModelAdmin):  # type: ignore[misc]
    """What each tenant has chosen; who is not listed has the defaults."""

    list_display = ("__str__", "frame_days", "history_days", "reading_days", "offline_minutes", "reconnects_per_hour",
                    "clock_seconds", "stale_hours")  # fmt: skip

    def save_model(self, request: HttpRequest, obj: TenantPolicy, form: forms.ModelForm[Any], change: bool) -> None:
        super().save_model(request, obj, form, change)
        details = {name: str(form.cleaned_data[name]) for name in form.changed_data}
        audit.record("tenantpolicy.save", actor=actor(request), about=str(obj), details=details)

    def delete_model(self, request: HttpRequest, obj: TenantPolicy) -> None:
        audit.record("tenantpolicy.delete", actor=actor(request), about=str(obj), details={})
        super().delete_model(request, obj)


@admin.register(ConnectorHistory)
class ConnectorHistoryPage(Pages):
    """Every state that connectors were said to be in, late news included."""

    large = True
    list_display = ("at", "received_at", "charge_point", "evse", "connector", "show_status", "error_code")
    list_select_related = ("charge_point",)
    list_filter = (known("status", ("Available", "Occupied", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE",
                                    "Finishing", "Reserved", "Unavailable", "Faulted")),)  # fmt: skip
    search_fields = ("=charge_point__identity",)
    ordering = ("-id",)
    show_status = badged("status")


@admin.register(FrameLog)
class FrameLogPage(Pages):
    """Frames as they were on the wire, secrets masked; found by charge point, action and time (OCPP-29)."""

    large = True
    list_display = ("at", "charge_point", "show_direction", "action", "message_id", "show_begin")
    list_filter = ("outgoing", ("action", FieldTextFilter), ("at", Period))
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=message_id")
    search_help_text = "a charge point's identity, or the id of a message"
    hidden = ("text",)
    shown = ("pretty_text",)
    show_direction = read_only("direction", lambda page, row: badge("to it", "plain") if row.outgoing else "from it")
    show_begin = read_only("frame", lambda page, row: row.text[:90] + ("…" if len(row.text) > 90 else ""))
    pretty_text = pretty("text", "frame")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # Of one charge point the index is by time; of all of them the newest are the last rows.
        return ("-at", "-id") if request.GET.get("q") or "charge_point__id__exact" in request.GET else ("-id",)
