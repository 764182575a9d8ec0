"""Admin pages of charge points: the list by state, and of each one what it is, says and is asked (OCPP-107)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse

from cpo import admin_station_rows as rows
from cpo.admin_chargingprofiles import AbilityRows, Limits, ProfileRows
from cpo.admin_device_buttons import DEVICE_BUTTONS, DEVICE_HIDDEN, DEVICE_ROWS, DeviceButtons
from cpo.admin_operations import Operating
from cpo.admin_station_actions import Actions
from cpo.admin_station_options import OptionsButton
from cpo.models import ChargePoint, ChargePointConnector, FrameLog, StationAlarm, Transaction
from cpo.modules import network_page, station_page
from ocpi.admin_confirm import button
from ocpi.admin_pages import Pages, badge, known, pretty, read_only


class ByCondition(admin.SimpleListFilter):
    """What one looks for among many charge points."""

    title = "condition"
    parameter_name = "condition"
    conditions = {
        "offline": ("offline", Q(online=False, decommissioned_at=None)),
        "faulted": ("faulted", Q(faulted=True, decommissioned_at=None)),
        "alarm": ("with an alarm", Q(alarmed=True)),
        "pending": ("pending", Q(boot_status="Pending")),
        "charging": ("charging", Q(running__isnull=False)),
        "online": ("online", Q(online=True)),
        "out": ("out of service", Q(decommissioned_at__isnull=False)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ChargePoint]) -> QuerySet[ChargePoint]:
        chosen = self.conditions.get(str(self.value()))
        return queryset.filter(chosen[1]) if chosen else queryset


@admin.register(ChargePoint)
class ChargePointPage(Actions, Operating, Limits, DeviceButtons, OptionsButton, Pages):
    """Charge points and all about them; a password is only known by its hash, and not shown at all."""

    list_display = ("identity", "show_condition", "show_party", "location_id", "protocol", "show_transaction",
                    "show_alarm", "last_seen_at")  # fmt: skip
    list_filter = (
        ByCondition, known("boot_status", ("Accepted", "Pending", "Rejected")),
        known("protocol", ("1.6", "2.0.1", "2.1")),
    )  # fmt: skip
    search_fields = ("identity", "location_id", "=party_id", "=address")
    search_help_text = "an identity, a Location, a party or an address"
    ordering = ("identity",)
    large = True
    hidden = ("id", "password_digest", "boot_data", "protocols", *DEVICE_HIDDEN)
    shown = ("pretty_protocols", "pretty_boot_data")
    deferred = ("boot_data", "password_digest")
    inlines = (
        rows.ConnectorRows, rows.OpenTransactionRows, rows.OperationRows, rows.AlarmRows, rows.ConnectionRows,
        rows.LocalListRows, rows.WantedRows, rows.ConfigurationRows, AbilityRows, ProfileRows, rows.DeviationRows,
        rows.MissingFeatureRows, *DEVICE_ROWS,
    )  # fmt: skip
    change_form_outer_before_template = "admin/station.html"
    actions = Actions.bulk
    actions_detail = (
        "live_frames",
        {"title": "Ask it", "icon": "settings_remote",
         "items": ["start_session", *Actions.asking, "set_limit", "send_operation"]},
        DEVICE_BUTTONS,
        {"title": "Service", "icon": "build", "items": ["options", *Actions.deciding]},
    )  # fmt: skip
    show_party = read_only("party", lambda page, row: f"{row.country_code}*{row.party_id}")
    pretty_protocols = pretty("protocols")
    pretty_boot_data = pretty("boot_data")

    def get_urls(self) -> list[Any]:
        wrapped = self.admin_site.admin_view(self.network)
        return [path("network/", wrapped, name="cpo_chargepoint_network"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChargePoint]:
        running = Transaction.objects.filter(charge_point=OuterRef("pk"), stopped_at=None).order_by("-id")
        faulted = ChargePointConnector.objects.filter(charge_point=OuterRef("pk"), status="Faulted")
        alarms = StationAlarm.objects.filter(charge_point=OuterRef("pk"), cleared_at=None).order_by("raised_at")
        found: QuerySet[ChargePoint] = super().get_queryset(request)
        return found.annotate(
            running=Subquery(running.values("transaction_id")[:1]),
            faulted=Exists(faulted),
            alarmed=Exists(alarms),
            alarm=Subquery(alarms.values("kind")[:1]),
        )

    @admin.display(description="condition", ordering="online")
    def show_condition(self, row: Any) -> str:
        if row.decommissioned_at is not None:
            return badge("out of service", "plain")
        if not row.online:
            return badge("offline") if row.last_seen_at else badge("never seen", "odd")
        if row.boot_status != "Accepted":
            return badge(row.boot_status)
        return badge("Faulted") if row.faulted else badge("online")

    @admin.display(description="open transaction")
    def show_transaction(self, row: Any) -> str:
        return badge(f"transaction {row.running}", "busy") if row.running else "–"

    @admin.display(description="alarm")
    def show_alarm(self, row: Any) -> str:
        return badge(row.alarm.replace("_", " "), "bad") if row.alarm else ""

    def change_view(self, request: HttpRequest, object_id: str, *arguments: Any, **more: Any) -> HttpResponse:
        row = ChargePoint.objects.filter(pk=object_id).first() if object_id.isdigit() else None
        context = {"station": station_page.more(row) if row is not None else None, "row": row}
        more["extra_context"] = {**(more.get("extra_context") or {}), **context}
        answer: HttpResponse = super().change_view(request, object_id, *arguments, **more)
        return answer

    @button("Live frames", icon="sensors", permission="view")
    def live_frames(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show frames as they come; the stream is that of the operation API, with its limit of viewers (OCPP-124)."""
        row = get_object_or_404(ChargePoint, pk=object_id)
        frames = FrameLog.objects.filter(charge_point=row).order_by("-at", "-id")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Frames of {row}",
            "opts": self.model._meta,
            "row": row,
            "frames": list(frames[:50]),
            "stream": f"/api/ocpp/v1/charge-points/{quote(row.identity, safe='')}/frames/stream",
            "back": reverse("admin:cpo_chargepoint_change", args=[object_id]),
        }
        return TemplateResponse(request, "admin/station_frames.html", context)

    def network(self, request: HttpRequest) -> HttpResponse:
        """Show all charge points together: how they are, what they give, what is wrong."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        context = {
            **self.admin_site.each_context(request),
            "title": "Network",
            "opts": self.model._meta,
            "network": network_page.read(),
        }
        return TemplateResponse(request, "admin/network.html", context)
