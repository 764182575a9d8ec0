"""Admin pages of devices: boots, events of note, how they are set and are to be set, DataTransfer."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from unfold.admin import ModelAdmin

from cpo import provisioning_states as states
from cpo.admin_device_forms import Plan
from cpo.models import (
    BootRecord,
    DataTransfer,
    ProvisioningPlan,
    ProvisioningResult,
    ProvisioningRun,
    StationEvent,
)
from cpo.modules import provisioning_plans, station_log
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import Pages, Rows, badge, badged, known, pretty, read_only

_TONES = {"Accepted": "good", "Same": "good", "Rejected": "bad", "NotSupported": "odd", "RebootRequired": "busy",
          "Unanswered": "bad", "WAITING": "busy", "READING": "busy", "SETTING": "busy", "DONE": "good",
          "FAILED": "bad"}  # fmt: skip


def toned(word: str) -> str:
    return badge(word, _TONES.get(word, "plain"))


@admin.register(BootRecord)
class BootRecordPage(Pages):
    """What charge points said of themselves, each run of equal boots once."""

    large = True
    list_display = ("last_at", "charge_point", "vendor", "model", "serial", "firmware", "protocol", "reason", "boots",
                    "first_at")  # fmt: skip
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=serial", "=box_serial", "=firmware", "=model")
    search_help_text = "an identity, a serial number, a firmware or a model"
    ordering = ("-last_at", "-id")


class ByAlarm(admin.SimpleListFilter):
    """Whether an event is an alarm that nobody has seen."""

    title = "alarm"
    parameter_name = "alarm"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "not seen yet"), ("all", "critical ones")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StationEvent]) -> QuerySet[StationEvent]:
        if not self.value():
            return queryset
        critical = queryset.filter(critical=True)
        return critical.filter(seen_at=None) if self.value() == "open" else critical


@admin.register(StationEvent)
class StationEventPage(Pages):
    """Security events of charge points and at the door, other firmware, another serial; critical ones until seen."""

    large = True
    list_display = ("received_at", "show_point", "show_kind", "source", "info", "show_seen")
    list_filter = (ByAlarm, known("source", StationEvent.Source.values))
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=identity", "=kind")
    ordering = ("-id",)
    actions = ("seen",)
    actions_detail = ("seen_one",)
    show_point = read_only("charge point", lambda page, row: row.charge_point or row.identity or "–")
    show_kind = read_only("kind", lambda page, row: badge(row.kind, "bad" if row.critical else "plain"))

    @admin.display(description="seen")
    def show_seen(self, row: StationEvent) -> str:
        if not row.critical:
            return ""
        return row.seen_by if row.seen_at else badge("not yet", "bad")

    @admin.action(description="Seen: end their alarms", permissions=["operate"])
    def seen(self, request: HttpRequest, queryset: QuerySet[StationEvent]) -> None:
        ended = station_log.see(list(queryset.values_list("pk", flat=True)[:500]), by=actor(request))
        self.message_user(request, f"{ended} alarms are ended.")

    @button("Seen", icon="visibility")
    def seen_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(StationEvent, pk=object_id)

        def do() -> str:
            return "Its alarm is ended." if station_log.see([row.pk], by=actor(request)) else "It is no open alarm."

        back = reverse("admin:cpo_stationevent_change", args=[object_id])
        return ask(self, request, question="Have you looked at it?", about=[row], do=do, back=back, writes_down=True)


class BootRows(Rows):
    model = BootRecord
    verbose_name_plural = "boots"
    fields = ("last_at", "vendor", "model", "serial", "firmware", "reason", "boots", "first_at")
    ordering = ("-last_at",)
    per_page = 10


@admin.register(ProvisioningPlan)
class ProvisioningPlanPage(ModelAdmin):  # type: ignore[misc]
    """How charge points are to be set; a change counts from their next boot on."""

    form = Plan
    list_display = ("name", "show_party", "protocol", "show_for", "show_settings", "show_active")
    list_filter = ("active", "protocol")
    list_select_related = ("charge_point",)
    list_per_page = 50
    list_fullwidth = True
    list_filter_submit = True
    search_fields = ("name", "=party_id", "=charge_point__identity")
    ordering = ("name",)
    raw_id_fields = ("charge_point",)
    fieldsets = (
        (None, {"fields": ("name", ("country_code", "party_id"), "protocol", "active")}),
        ("for", {"fields": (("vendor", "model"), "charge_point"),
                 "description": "Where two plans name a key, the nearer one wins: this charge point, then its model, "
                                "its vendor, all."}),
        ("settings", {"fields": ("lines",)}),
    )  # fmt: skip
    show_party = read_only("party", lambda page, row: f"{row.country_code}*{row.party_id}")
    show_active = read_only("", lambda page, row: badge("active", "good") if row.active else badge("off", "odd"))
    show_settings = read_only("settings", lambda page, row: len(row.settings.all()))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProvisioningPlan]:
        found: QuerySet[ProvisioningPlan] = super().get_queryset(request).prefetch_related("settings")
        return found

    @admin.display(description="for")
    def show_for(self, row: ProvisioningPlan) -> str:
        if row.charge_point is not None:
            return str(row.charge_point)
        return f"{row.vendor} {row.model}".strip() or "all"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        provisioning_plans.keep(form.instance, form.instance.wanted, by=actor(request))


class ByDifference(admin.SimpleListFilter):
    """Whether a setting is as wanted."""

    title = "difference"
    parameter_name = "differs"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "not as wanted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProvisioningResult]) -> QuerySet[ProvisioningResult]:
        if self.value() != "yes":
            return queryset
        return queryset.exclude(status__in=(states.SAME, states.ACCEPTED)).filter(
            Q(actual=None) | ~Q(actual=F("wanted"))
        )


@admin.register(ProvisioningResult)
class ProvisioningResultPage(Pages):
    """What became of the wanted settings since each charge point's last boot."""

    large = True
    list_display = ("charge_point", "key", "wanted", "show_actual", "show_status", "attempts", "error", "changed_at")
    list_filter = (ByDifference, known("status", states.SETTINGS))
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=key")
    ordering = ("charge_point", "key")
    show_status = read_only("status", lambda page, row: toned(row.status))
    show_actual = read_only("actual", lambda page, row: "not said" if row.actual is None else row.actual)


@admin.register(ProvisioningRun)
class ProvisioningRunPage(Pages):
    """How far setting each charge point as planned is."""

    large = True
    list_display = ("charge_point", "show_state", "booted_at", "attempts", "ended_at")
    list_filter = (known("state", states.RUNS),)
    list_select_related = ("charge_point", "operation")
    search_fields = ("=charge_point__identity",)
    ordering = ("-booted_at",)
    show_state = read_only("state", lambda page, row: toned(row.state))


@admin.register(DataTransfer)
class DataTransferPage(Pages):
    """What charge points sent in messages of their vendors, and how it was answered."""

    large = True
    list_display = ("received_at", "charge_point", "vendor_id", "message_id", "show_status")
    list_filter = (known("status", ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId")),)
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=vendor_id", "=message_id")
    ordering = ("-id",)
    hidden = ("data", "answer")
    shown = ("pretty_data", "pretty_answer")
    deferred = ("data", "answer")
    show_status = badged("status")
    pretty_data = pretty("data")
    pretty_answer = pretty("answer")
