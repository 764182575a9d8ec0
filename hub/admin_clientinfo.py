"""The admin page of the hub's clients: who is in which state since when, who was told, and how it changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter

from hub.clientinfo_models import ClientInfo, ClientInfoChange, ToldClientInfo
from ocpi.admin_pages import Pages, Rows, badge, badged, known, read_only
from ocpi.enums import Role
from ocpi.models import ConnectionStatus

_CHANGES = 50


class ChangeRows(Rows):
    """The last changes, newest first."""

    model = ClientInfoChange
    verbose_name_plural = f"the last {_CHANGES} changes"
    fields = ("at", "show_status", "reason")
    show_status = badged("status")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ClientInfoChange]:
        found: QuerySet[ClientInfoChange] = super().get_queryset(request)
        info = request.resolver_match.kwargs.get("object_id", "") if request.resolver_match else ""
        if not info.isdigit():
            return found.none()
        newest = found.filter(info_id=int(info)).order_by("-at", "-id").values_list("pk", flat=True)[:_CHANGES]
        return found.filter(pk__in=list(newest)).order_by("-at", "-id")


class ToldRows(Rows):
    """What each platform is told of it."""

    model = ToldClientInfo
    verbose_name_plural = "who is told"
    fields = ("platform", "show_told", "last_updated", "pushed")
    ordering = ("platform__name",)
    show_told = read_only("told", lambda page, row: "hidden" if row.hidden else badge(row.status))


@admin.register(ClientInfo)
class ClientInfoPage(Pages):
    """Everybody this hub leads to, and the state that is published of it."""

    list_display = ("__str__", "show_status", "show_since", "show_waiting", "show_reason", "platform", "through_hub",
                    "show_told")  # fmt: skip
    list_filter = (
        known("status", [str(value) for value in ConnectionStatus.values]),
        known("role", [str(role) for role in Role if role != Role.HUB]),
        "through_hub",
        ("platform", RelatedDropdownFilter),
    )
    list_select_related = ("platform",)
    search_fields = ("=party_id", "=country_code", "platform__name")
    ordering = ("country_code", "party_id", "role")
    hidden = ("waiting", "was_connected")
    shown = ("show_waiting",)
    inlines = (ChangeRows, ToldRows)
    show_status = badged("status")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        told = Count("told", filter=Q(told__hidden=False))
        found: QuerySet[Any] = super().get_queryset(request).annotate(told_count=told)
        return found

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the last reason of every row of the page with one query."""
        found = super().get_changelist_instance(request)
        rows = list(found.result_list)
        changes = ClientInfoChange.objects.filter(info__in=rows).order_by("info_id", "-at", "-id").distinct("info_id")
        reasons = dict(changes.values_list("info_id", "reason"))
        for row in found.result_list:
            row.last_reason = reasons.get(row.pk, "")
        return found

    @admin.display(description="since", ordering="last_updated")
    def show_since(self, row: ClientInfo) -> Any:
        return row.last_updated

    @admin.display(description="why")
    def show_reason(self, row: Any) -> str:
        return str(row.last_reason)

    show_waiting = read_only("waits for its minute", lambda page, row: badge(row.waiting) if row.waiting else "")
    show_told = read_only("told", lambda page, row: row.told_count)
