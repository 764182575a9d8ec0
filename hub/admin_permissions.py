"""The admin page of who may deal with whom; the only table of the hub that operators write by hand."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.admin import ModelAdmin

from hub.permission_model import Permission
from ocpi import audit
from ocpi.admin_confirm import actor
from ocpi.admin_pages import badge, known, read_only

_SHOWN_CHANGES = 20
_EXPLAINED = (
    "Denying wins over allowing. What no rule names is as the setting OCPI_HUB_DEFAULT_PERMISSION says. "
    "Whoever is denied a party is answered as if nobody were there (4001)."
)


class ByValidity(admin.SimpleListFilter):
    """Whether a rule says anything now."""

    title = "validity"
    parameter_name = "validity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "valid now"), ("later", "not yet"), ("over", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Permission]) -> QuerySet[Permission]:
        now = timezone.now()
        begun, going_on = Q(valid_from=None) | Q(valid_from__lte=now), Q(valid_until=None) | Q(valid_until__gt=now)
        match self.value():
            case "now":
                return queryset.filter(begun, going_on)
            case "later":
                return queryset.filter(valid_from__gt=now)
            case "over":
                return queryset.filter(valid_until__lte=now)
        return queryset


@admin.register(Permission)
class PermissionPage(ModelAdmin):  # type: ignore[misc]
    """Rules of party × party × module × direction; each change is kept with who made it and when."""

    list_display = ("id", "show_effect", "show_from", "show_way", "show_to", "show_module", "direction",
                    "show_validity", "valid_until", "note")  # fmt: skip
    list_display_links = ("id", "show_effect")
    list_filter = (
        "effect",
        ByValidity,
        known("module", [str(value) for value, _ in Permission._MODULES]),
        "direction",
        "mutual",
    )
    search_fields = ("=from_party_id", "=to_party_id", "=from_country_code", "=to_country_code", "note")
    search_help_text = "a party id, a country code, or a word of the note"
    ordering = ("-id",)
    list_per_page = 50
    list_fullwidth = True
    list_filter_submit = True
    fieldsets = (
        (None, {"fields": ("effect",), "description": _EXPLAINED}),
        ("Requests from", {"fields": ("from_country_code", "from_party_id", "from_role")}),
        ("to", {"fields": ("to_country_code", "to_party_id", "to_role", "mutual")}),
        ("about", {"fields": ("module", "direction", "broadcast")}),
        ("for as long as", {"fields": ("valid_from", "valid_until", "note")}),
        ("Changes", {"fields": ("show_changes",)}),
    )  # fmt: skip
    readonly_fields = ("show_changes",)

    show_effect = read_only("effect", lambda page, row: badge(row.effect, "good" if row.effect == "ALLOW" else "bad"))
    show_from = read_only("from", lambda page, row: row.first)
    show_way = read_only("", lambda page, row: "↔" if row.mutual else "→")
    show_to = read_only("to", lambda page, row: row.second)
    show_module = read_only("module", lambda page, row: row.module or "every module")

    def save_model(self, request: HttpRequest, obj: Permission, form: Any, change: bool) -> None:
        with audit.acting(actor(request)):  # the database writes into the audit trail what changes (SEC-56)
            super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Permission) -> None:
        with audit.acting(actor(request)):
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Permission]) -> None:
        with audit.acting(actor(request)):
            super().delete_queryset(request, queryset)

    @admin.display(description="validity")
    def show_validity(self, row: Permission) -> str:
        now = timezone.now()
        if row.valid_until and row.valid_until <= now:
            return badge("over", "odd")
        return badge("not yet", "busy") if row.valid_from and row.valid_from > now else badge("valid", "good")

    @admin.display(description="who changed what, latest first")
    def show_changes(self, row: Permission) -> str:
        kind = ContentType.objects.get_for_model(Permission)
        entries = LogEntry.objects.filter(content_type=kind, object_id=row.pk).select_related("actor")
        return format_html_join(
            "",
            "<div>{} {} {}: {}</div>",
            (
                (f"{entry.timestamp:%Y-%m-%d %H:%M:%S} UTC", _by(entry), entry.get_action_display(), _changes(entry))
                for entry in entries.order_by("-timestamp")[:_SHOWN_CHANGES]
            ),
        )


def _by(entry: LogEntry) -> str:
    return str(entry.actor or (entry.additional_data or {}).get("by") or "somebody")


def _changes(entry: LogEntry) -> str:
    changes = entry.changes or {}
    return ", ".join(f"{name} {old} → {new}" for name, (old, new) in changes.items() if name != "id")
