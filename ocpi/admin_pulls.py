"""Admin pages of pulls: how far each list is, pull it now, and the objects that could not be kept (TRN-105)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import RelatedDropdownFilter

from ocpi import pull_rows
from ocpi.admin_confirm import ask, button
from ocpi.admin_pages import MODULES, Pages, badge, known, party, pretty, read_only, without_keys
from ocpi.models import Platform, PullCursor, PulledInvalid

_FULL = "What the list does not hold is then no longer valid: Tariffs are hidden, Locations and Tokens not used."


@admin.register(PullCursor)
class PullCursorPage(Pages):
    """Lists that are read from platforms, and how far."""

    list_display = ("__str__", "platform", "show_result", "show_kind", "succeeded_at", "due_at", "read", "created",
                    "updated", "removed", "refused", "differences", "show_error")  # fmt: skip
    list_filter = ("result", "kind", known("module", MODULES), ("platform", RelatedDropdownFilter))
    list_select_related = ("platform",)
    search_fields = ("platform__name", "=to_party_id")
    ordering = ("platform__name", "module", "id")
    hidden = ("former_url", "claim")
    covered = ("page_url", "error")
    actions = ("pull_chosen", "pull_chosen_whole")
    actions_detail = ("pull_now", "pull_whole")
    show_to = party("to_country_code", "to_party_id", "to")

    @admin.display(description="result", ordering="result")
    def show_result(self, row: PullCursor) -> str:
        return badge("under way", "busy") if row.page_url and row.claim else badge(row.result or "not yet", "")

    @admin.display(description="kind", ordering="kind")
    def show_kind(self, row: PullCursor) -> str:
        return row.kind.lower() or "–"

    @admin.display(description="error")
    def show_error(self, row: PullCursor) -> str:
        return without_keys(row.error if len(row.error) <= 80 else f"{row.error[:79]}…")

    @button("Pull now", icon="download", variant="primary")
    def pull_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._ask_of_one(request, object_id, full=False)

    @button("Full pull now", icon="sync")
    def pull_whole(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._ask_of_one(request, object_id, full=True)

    @admin.action(description="Pull now", permissions=["operate"])
    def pull_chosen(self, request: HttpRequest, queryset: QuerySet[PullCursor]) -> HttpResponse:
        return self._ask_of_many(request, queryset, full=False)

    @admin.action(description="Full pull now", permissions=["operate"])
    def pull_chosen_whole(self, request: HttpRequest, queryset: QuerySet[PullCursor]) -> HttpResponse:
        return self._ask_of_many(request, queryset, full=True)

    def _ask_of_one(self, request: HttpRequest, object_id: str, *, full: bool) -> HttpResponse:
        row = get_object_or_404(PullCursor.objects.select_related("platform"), pk=object_id)
        return self._ask(request, [row], reverse("admin:ocpi_pullcursor_change", args=[object_id]), full=full)

    def _ask_of_many(self, request: HttpRequest, queryset: QuerySet[PullCursor], *, full: bool) -> HttpResponse:
        return self._ask(request, list(queryset.select_related("platform")), request.get_full_path(), full=full)

    def _ask(self, request: HttpRequest, rows: list[PullCursor], back: str, *, full: bool) -> HttpResponse:
        def do() -> str:
            number = pull_rows.ask([row.pk for row in rows], full=full)
            return f"{number} {'pull is' if number == 1 else 'pulls are'} due; a worker takes them within seconds."

        question = "Pull everything of these lists now?" if full else "Pull what changed in these lists now?"
        about = [f"{row} from {row.platform}" for row in rows]
        return ask(self, request, question=question, about=about, do=do, back=back, warning=_FULL if full else "")


@admin.register(PulledInvalid)
class PulledInvalidPage(Pages):
    """Objects of lists that could not be kept; a valid version takes them away."""

    list_display = ("key", "module", "platform", "field", "show_reason", "times", "last_at")
    list_filter = (known("module", MODULES), ("platform", RelatedDropdownFilter))
    list_select_related = ("platform",)
    search_fields = ("=key", "=request_id", "field")
    ordering = ("-last_at", "-id")
    hidden = ("document",)
    shown = ("pretty_document",)
    deferred = ("document",)
    show_reason = read_only("reason", lambda page, row: row.reason if len(row.reason) <= 80 else f"{row.reason[:79]}…")
    pretty_document = pretty("document", "as it came")


def links(platform: Platform) -> str:
    """Return links to what is pulled from a platform, and what of it could not be kept."""
    found: list[Any] = []
    for model, words in ((PullCursor, "pulls"), (PulledInvalid, "invalid objects")):
        number = model._default_manager.filter(platform=platform).count()
        url = f"{reverse(f'admin:ocpi_{model._meta.model_name}_changelist')}?platform__id__exact={platform.pk}"
        found.append(format_html('<a href="{}">{} {}</a>', url, number, words))
    return format_html("{}, {}", *found)
