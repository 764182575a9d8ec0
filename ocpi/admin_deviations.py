"""The admin page of deviations: what each platform does wrong without harm, how often, since when, and where last."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import RelatedDropdownFilter

from ocpi.admin_pages import Pages
from ocpi.models import Deviation, Platform

_PREFIXES = (
    ("QRK", "QRK, habits of partners"),
    ("PIT", "PIT, pitfalls"),
    ("TRN", "TRN, transport"),
    ("TYP", "TYP, types"),
    ("other", "objects"),
)


class ByPrefix(admin.SimpleListFilter):
    """What the number of a kind begins with."""

    title = "group"
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, str], ...]:
        return _PREFIXES

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "other":
            return queryset.exclude(kind__regex="^(QRK|PIT|TRN|TYP)-")
        return queryset.filter(kind__startswith=f"{self.value()}-") if self.value() else queryset


@admin.register(Deviation)
class DeviationPage(Pages):
    """What is tolerated, per platform and kind."""

    list_display = ("kind", "platform", "count", "first_seen_at", "last_seen_at", "example")
    list_filter = (("platform", RelatedDropdownFilter), ByPrefix)
    list_select_related = ("platform",)
    search_fields = ("kind", "platform__name", "example")
    ordering = ("-last_seen_at", "-id")


def link_of(platform: Platform) -> str:
    """Return a link to the deviations of a platform, with how many there are."""
    found = Deviation.objects.filter(platform=platform).aggregate(kinds=Count("id"), times=Sum("count"))
    if not found["kinds"]:
        return "none"
    url = f"{reverse('admin:ocpi_deviation_changelist')}?platform__id__exact={platform.pk}"
    return format_html('<a href="{}">{} kinds, {} times</a>', url, found["kinds"], found["times"])
