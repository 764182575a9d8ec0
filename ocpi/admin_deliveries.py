"""Admin pages of deliveries: what waits, and what has ended. Those that failed: `admin_dead_letters`."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import RelatedDropdownFilter

from ocpi import delivery_actions
from ocpi.admin_confirm import actor, ask
from ocpi.admin_pages import MODULES, Pages, badged, known, party, pretty, read_only, without_keys
from ocpi.models import Delivery, FinishedDelivery


class DeliveryPages(Pages):
    large = True
    list_select_related = ("platform",)
    search_fields = ("=correlation_id", "path", "=order_key")
    deferred = ("body",)
    hidden = ("body",)
    shown = ("pretty_body",)
    covered: ClassVar[tuple[str, ...]] = ("url", "error", "path")
    show_state = badged("state")
    show_kind = read_only("kind", lambda page, row: row.kind)
    show_to = party("to_country_code", "to_party_id", "to")
    pretty_body = pretty("body")
    show_answer = read_only(
        "answer", lambda page, row: " / ".join(str(code) for code in (row.http_status, row.status_code) if code)
    )

    @admin.display(description="object", ordering="path")
    def show_object(self, row: Any) -> str:
        return without_keys(f"{row.module} {row.path or row.url}")

    @admin.display(description="error")
    def show_error(self, row: Any) -> str:
        return row.error if len(row.error) <= 80 else f"{row.error[:79]}…"

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[Any], question: str, do: Any, warning: str, *,
        reason: str = "", back: str = "",
    ) -> HttpResponse:  # fmt: skip
        about = [without_keys(f"{one} to {one.platform}") for one in queryset.select_related("platform")[:20]]
        return ask(self, request, question=question, about=about, do=do, back=back or request.get_full_path(),
                   warning=warning, reason=reason, writes_down=True)  # fmt: skip


@admin.register(Delivery)
class DeliveryPage(DeliveryPages):
    """What waits, and what is only marked."""

    list_display = ("id", "platform", "show_state", "show_kind", "show_object", "show_to", "attempts", "due_at",
                    "show_answer", "show_error")  # fmt: skip
    list_filter = ("state", "kind", known("module", MODULES), ("platform", RelatedDropdownFilter))
    ordering = ("-id",)
    actions = ("send_again", "give_up")

    @admin.action(description="Send again", permissions=["operate"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True))
        return self._ask(
            request,
            queryset,
            f"Send {len(ids)} deliveries now?",
            lambda: f"{delivery_actions.send_again(ids, actor=actor(request))} deliveries are on their way.",
            "Each goes out as the current state of its object.",
        )

    @admin.action(description="Give up", permissions=["operate"])
    def give_up(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True))
        return self._ask(
            request,
            queryset,
            f"Give up {len(ids)} deliveries?",
            lambda: f"{delivery_actions.give_up(ids, actor=actor(request))} deliveries are given up.",
            "Their receivers do not get these objects until they change again. A CDR that is given up is not paid.",
        )


@admin.register(FinishedDelivery)
class FinishedDeliveryPage(DeliveryPages):
    """What was delivered, and what was not and why."""

    covered = ("url", "error", "path", "location")
    list_display = ("id", "platform", "show_state", "show_kind", "show_object", "show_to", "attempts", "finished_at",
                    "show_answer", "show_error")  # fmt: skip
    list_filter = ("state", "kind", known("module", MODULES), ("platform", RelatedDropdownFilter))
    ordering = ("-id",)
    actions = ("send_again",)

    @admin.action(description="Send again", permissions=["operate"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[FinishedDelivery]) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True))
        return self._ask(
            request,
            queryset,
            f"Send {len(ids)} finished deliveries again?",
            lambda: f"{delivery_actions.send_finished_again(ids, actor=actor(request))} deliveries are on their way.",
            "A result whose timeout has passed is left alone.",
        )
