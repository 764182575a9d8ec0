"""Admin pages of the protocol: platforms and their parties, and what waits for them. Exchanges: `admin_exchanges`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import RelatedDropdownFilter

from ocpi import admin_audit as admin_audit  # registers its page
from ocpi import admin_cdr_reviews as admin_cdr_reviews  # registers its pages
from ocpi import admin_connections as admin_connections  # registers its pages
from ocpi import admin_dead_letters as admin_dead_letters  # registers its page
from ocpi import admin_deliveries as admin_deliveries  # registers its pages
from ocpi import admin_exchanges as admin_exchanges  # registers its page
from ocpi import admin_hosts as admin_hosts  # registers its page
from ocpi import admin_pulls, backlog, delivery_actions, health, platform_actions
from ocpi import admin_statements as admin_statements  # registers its pages
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_deviations import link_of
from ocpi.admin_forms import Habits, Invite
from ocpi.admin_pages import Pages, Rows, badge, badged, pretty, read_only
from ocpi.admin_security import Security
from ocpi.models import CredentialsToken, Endpoint, Party, Platform, WorkerHeartbeat


class PartyRows(Rows):
    model = Party
    verbose_name_plural = "parties"
    fields = ("country_code", "party_id", "role", "approved", "claimed", "through_hub", "status")
    show_change_link = True
    hide_title = False
    ordering = ("through_hub", "role", "country_code", "party_id")


class TokenRows(Rows):
    """Tokens that the platform shows us: only what tells them apart."""

    model = CredentialsToken
    verbose_name_plural = "tokens it shows us"
    fields = ("purpose", "last_four", "created_at", "expires_at")
    ordering = ("-id",)


class EndpointRows(Rows):
    model = Endpoint
    fields = ("identifier", "role", "url")
    ordering = ("identifier", "role")


@admin.register(Platform)
class PlatformPage(Security, Pages):
    """Connected systems; the lists' numbers come from two queries for the whole page."""

    list_display = ("name", "show_state", "show_connection", "version", "show_roles", "last_heard_at", "show_pending",
                    "show_marks", "show_dead")  # fmt: skip
    list_filter = ("state", "connection", "version")
    search_fields = ("name", "parties__party_id", "hosts")
    ordering = ("name",)
    hidden = ("token_out",)
    inlines = (PartyRows, TokenRows, EndpointRows)
    actions_list = ("invite",)
    actions_detail = (
        "suspend", "resume",
        {"title": "Manage", "icon": "settings", "items": ["habits", "reopen_lane", *Security.buttons]},
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("name", "show_state", "show_connection", "version", "versions_url", "show_waiting",
                           "show_pulls", "show_deviations")}),
        ("Health", {"fields": ("connection_since", "last_heard_at", "show_average_ms", "failures", "backoff_until",
                               "offline_since", "paused_reason", "last_error")}),
        ("Settings", {"fields": ("hosts", "show_hosts", "show_tls", "any_role", "base64_token", "detects_token",
                                 "late_authorization", "authorize_seconds", "longest_address", "catch_up",
                                 "offers_clients", "speaks_for_all", "created_at")}),
    )  # fmt: skip
    readonly_fields = (
        "connection_since",
        "show_average_ms",
        "show_waiting",
        "show_pulls",
        "show_deviations",
        "show_hosts",
        "show_tls",
    )
    show_deviations = read_only("deviations", lambda page, row: link_of(row))
    show_state = badged("state")
    show_average_ms = read_only(
        "average ms", lambda page, row: "–" if row.average_ms is None else round(row.average_ms)
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [name for _, options in self.fieldsets for name in options["fields"]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("token_out").prefetch_related("parties")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        waiting = backlog.by_platform()
        for row in found.result_list:
            row.waiting = waiting.get(row.pk, backlog.Backlog())
        return found

    @admin.display(description="connection", ordering="connection")
    def show_connection(self, row: Platform) -> str:
        return badge("PAUSED", "bad") if row.paused_reason else badge(row.connection)

    @admin.display(description="roles")
    def show_roles(self, row: Platform) -> str:
        own = [party for party in row.parties.all() if not party.through_hub]
        roles = [f"{party}{'' if party.approved else ' (not approved)'}" for party in own]
        return ", ".join(roles[:4]) + (f" and {len(roles) - 4} more" if len(roles) > 4 else "")

    show_pending = read_only("pending", lambda page, row: row.waiting.pending)
    show_marks = read_only("marks", lambda page, row: row.waiting.marks)
    show_dead = read_only("dead, refused", lambda page, row: _bad(row.waiting.dead + row.waiting.refused))

    @admin.display(description="waiting for it")
    def show_waiting(self, row: Platform) -> str:
        found = backlog.by_platform().get(row.pk, backlog.Backlog())
        return f"{found.pending} pending, {found.marks} marks, {found.dead} dead, {found.refused} refused"

    @admin.display(description="pulled from it")
    def show_pulls(self, row: Platform) -> str:
        return admin_pulls.links(row)

    def has_invite_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether somebody may invite, which approves roles in advance and needs that right, too (SEC-53)."""
        may_approve = getattr(request, "user").has_perm("ocpi.change_party")  # noqa: B009
        return bool(may_approve) and self.has_operate_permission(request)

    @button("Invite a platform", icon="person_add", variant="primary", permission="invite")
    def invite(self, request: HttpRequest) -> HttpResponse:
        if not self.has_invite_permission(request):
            raise PermissionDenied
        form = Invite(request.POST if request.method == "POST" else None)
        invitation = form.invite() if form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "title": "Invite a platform",
            "opts": self.model._meta,
            "form": form,
            "invitation": invitation,
            "days": settings.OCPI_TOKEN_A_DAYS,
            "back": reverse("admin:ocpi_platform_changelist"),
            "change_url": invitation and reverse("admin:ocpi_platform_change", args=[invitation.platform.pk]),
        }
        answer = TemplateResponse(request, "admin/invite_platform.html", context)
        answer.headers["Cache-Control"] = "no-store"  # it may show a token
        return answer

    @button("Suspend", icon="pause_circle", variant="danger")
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do() -> str:
            done = platform_actions.suspend(int(object_id))
            return "It is suspended: nothing is sent to it." if done else "Only a registered platform can be suspended."

        return self._ask(
            request, object_id, "Suspend this platform?", do, "Nothing is sent to it any more, until you resume it."
        )

    @button("Resume", icon="play_circle", variant="success")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do() -> str:
            done = platform_actions.resume(int(object_id))
            return "It is connected again." if done else "It is not registered, so there is nothing to resume."

        return self._ask(request, object_id, "Resume this platform?", do)

    @button("Reopen lane", icon="restart_alt")
    def reopen_lane(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do() -> str:
            health.resume(int(object_id))
            moved = delivery_actions.reopen_lane(int(object_id), actor=actor(request))
            return f"Its pause and back-off are over; {moved} deliveries were brought forward."

        return self._ask(
            request, object_id, "Reopen the lane of this platform?", do, "Its pause and back-off end; all is tried now."
        )

    @button("Habits", icon="tune")
    def habits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Choose what is done about its form of tokens, its late answers, and the addresses it takes."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(Platform, pk=object_id)
        back = reverse("admin:ocpi_platform_change", args=[object_id])
        form = Habits(request.POST if request.method == "POST" else None, instance=row)
        if form.is_valid():
            form.set(actor=actor(request))
            messages.success(request, "It is set.")
            return HttpResponseRedirect(back)
        context = {"title": f"Habits of {row}", "opts": self.model._meta, "form": form, "back": back}
        context |= self.admin_site.each_context(request)
        return TemplateResponse(request, "admin/platform_habits.html", context)

    def _ask(self, request: HttpRequest, object_id: str, question: str, do: Any, warning: str = "") -> HttpResponse:
        about = get_object_or_404(Platform, pk=object_id)
        back = reverse("admin:ocpi_platform_change", args=[object_id])
        return ask(self, request, question=question, about=[about], do=do, back=back, warning=warning)


def _bad(number: int) -> Any:
    return badge(number, "bad") if number else 0


@admin.register(Party)
class PartyPage(Pages):
    """Roles at addresses; an operator decides whether a platform may act in them (CRED-56)."""

    list_display = ("__str__", "platform", "show_claimed", "show_approved", "through_hub", "show_status",
                    "last_updated")  # fmt: skip
    list_filter = ("role", "approved", "claimed", "through_hub", ("platform", RelatedDropdownFilter))
    list_select_related = ("platform",)
    search_fields = ("party_id", "country_code", "platform__name")
    ordering = ("-claimed", "approved", "country_code", "party_id", "role")
    hidden = ("business_details",)
    shown = ("pretty_business_details",)
    actions = ("approve", "withdraw")
    show_status = badged("status")
    show_claimed = read_only("claimed", lambda page, row: "yes" if row.claimed else "no")
    show_approved = read_only(
        "approved", lambda page, row: badge("approved", "good") if row.approved else badge("not approved", "busy")
    )
    pretty_business_details = pretty("business_details")

    @admin.action(description="Approve", permissions=["operate"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Party]) -> HttpResponse:
        chosen = list(queryset.select_related("platform"))

        def do() -> str:
            approved, refused = platform_actions.approve([party.pk for party in chosen])
            elsewhere = f" Not approved, because active elsewhere: {', '.join(map(str, refused))}." if refused else ""
            return f"{len(approved)} approved.{elsewhere}"

        return self._ask(request, chosen, "Let these platforms act as these parties?", do)

    @admin.action(description="Withdraw approval", permissions=["operate"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Party]) -> HttpResponse:
        chosen = list(queryset.select_related("platform"))
        return self._ask(
            request,
            chosen,
            "Withdraw the approval of these parties?",
            lambda: f"{platform_actions.withdraw([party.pk for party in chosen])} approvals withdrawn.",
        )

    def _ask(self, request: HttpRequest, chosen: list[Party], question: str, do: Any) -> HttpResponse:
        about = [f"{party} on {party.platform}" for party in chosen]
        return ask(self, request, question=question, about=about, do=do, back=request.get_full_path())


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatPage(Pages):
    """Processes that send."""

    list_display = ("host", "backend_pid", "beat_at", "show_age")
    ordering = ("-beat_at",)
    show_age = read_only("silent for", lambda page, row: f"{(timezone.now() - row.beat_at).total_seconds():.0f} s")
