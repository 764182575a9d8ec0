"""The admin page of hosts that platforms have named: no token goes there until somebody has said yes (SEC-21)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import RelatedDropdownFilter

from ocpi import host_actions
from ocpi.admin_confirm import ask
from ocpi.admin_pages import Pages, badge, read_only
from ocpi.models import Platform, RequestedHost

_TONES = {"WAITING": "busy", "APPROVED": "good", "REFUSED": "bad"}


@admin.register(RequestedHost)
class RequestedHostPage(Pages):
    """What was named, by whom, where, and what was decided."""

    list_display = ("host", "platform", "show_decision", "named_in", "count", "first_seen_at", "last_seen_at")
    list_filter = ("decision", ("platform", RelatedDropdownFilter))
    list_select_related = ("platform",)
    search_fields = ("host", "platform__name")
    ordering = ("-decision", "-last_seen_at", "-id")
    actions = ("approve", "refuse")
    show_decision = read_only("decision", lambda page, row: badge(row.decision, _TONES[row.decision]))

    @admin.action(description="Approve", permissions=["operate"])
    def approve(self, request: HttpRequest, queryset: QuerySet[RequestedHost]) -> HttpResponse:
        return self._ask(
            request,
            queryset,
            "Let our tokens for these platforms go to these hosts?",
            lambda ids: f"{host_actions.approve_hosts(ids)} hosts approved.",
            "Who answers there gets the token and can act as us towards the platform. What was refused because of the "
            "host is not repeated by itself.",
        )

    @admin.action(description="Refuse", permissions=["operate"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[RequestedHost]) -> HttpResponse:
        return self._ask(
            request,
            queryset,
            "Keep our tokens from these hosts?",
            lambda ids: f"{host_actions.refuse_hosts(ids)} hosts refused.",
            "One that was approved before is called no more from the next request on.",
        )

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[RequestedHost], question: str, do: Any, warning: str
    ) -> HttpResponse:
        chosen = list(queryset.select_related("platform"))
        return ask(
            self,
            request,
            question=question,
            about=[f"{row} for {row.platform}, named in {row.named_in}" for row in chosen],
            do=lambda: do([row.pk for row in chosen]),
            back=request.get_full_path(),
            warning=warning,
        )


def link_of(platform: Platform) -> str:
    """Return a link to the hosts of a platform that wait for a decision."""
    waiting = RequestedHost.objects.filter(platform=platform, decision=RequestedHost.Decision.WAITING).count()
    if not waiting:
        return "none"
    url = f"{reverse('admin:ocpi_requestedhost_changelist')}?platform__id__exact={platform.pk}"
    return format_html('<a href="{}">{}</a>', url, waiting)
