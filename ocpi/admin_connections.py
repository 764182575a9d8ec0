"""The admin pages of connections and of lanes: how each platform is doing, and what waits for it (REL-38, REL-40)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Case, IntegerField, Prefetch, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from ocpi import backlog, breaker, delivery_actions, health, lane_rows, platform_actions, traffic
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import badge, percent, read_only
from ocpi.admin_proxies import ProxyPages
from ocpi.alarms import duration
from ocpi.enums import Role
from ocpi.models import ConnectionStatus, Party, Platform
from ocpi.proxy_models import Connection, Lane

_TONES = {breaker.CLOSED: "good", breaker.FAILING: "odd", breaker.OPEN: "bad", breaker.PROBING: "busy",
          breaker.PAUSED: "bad", breaker.SUSPENDED: "bad"}  # fmt: skip
_BAD_RATE = 0.05  # from which on a share of errors is shown as bad
_SLOW_MS = 1000
_FIRST = 200  # platforms with the largest backlog that stand first on the page of lanes
_WHY = "Why? It stays with the platform, and in the audit trail."


class ByStatus(admin.SimpleListFilter):
    """How a platform is connected; paused is a state of its own here."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, status) for status in (*ConnectionStatus.values, "PAUSED", "FAILING")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "PAUSED":
            return queryset.exclude(paused_reason="")
        if self.value() == "FAILING":
            return queryset.filter(failures__gt=0)
        return queryset.filter(connection=self.value(), paused_reason="") if self.value() else queryset


class ByRole(admin.SimpleListFilter):
    """In which role it is connected."""

    title = "role"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(role.value, role.value) for role in Role]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        of_role = Party.objects.filter(role=self.value(), through_hub=False, claimed=True)
        return queryset.filter(pk__in=of_role.values("platform_id")) if self.value() else queryset


class _PlatformRows(ProxyPages):
    """What both pages have in common: columns about the platform, and actions in its row."""

    list_display_links = None
    list_per_page = 50
    search_fields = ("name", "parties__party_id", "hosts")
    ordering = ("name",)
    hidden = ("token_out", "average_ms")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        own = Party.objects.filter(through_hub=False, claimed=True).order_by("role", "country_code", "party_id")
        return super().get_queryset(request).defer("token_out").prefetch_related(Prefetch("parties", own, "own"))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        self.add_numbers(request, list(found.result_list))
        return found

    @abstractmethod
    def add_numbers(self, request: HttpRequest, rows: list[Any]) -> None:
        """Give each row of the page its numbers, read for all of them together."""

    @admin.display(description="platform", ordering="name")
    def show_name(self, row: Platform) -> str:
        url = reverse("admin:ocpi_platform_change", args=[row.pk])
        return format_html('<a class="o-link" href="{}">{}</a>', url, row.name)

    @admin.display(description="breaker")
    def show_breaker(self, row: Platform) -> str:
        found = breaker.of_row(row, timezone.now())
        label = badge(found.state, _TONES.get(found.state, "plain"))
        if found.until is None:
            return label
        what = "next probe" if found.state == breaker.OPEN else "tried again"
        return below(label, format_html("{} in {}", what, ago(found.until, ahead=True)))

    @admin.display(description="what is wrong")
    def show_wrong(self, row: Platform) -> str:
        wrong = row.paused_reason or row.last_error
        return format_html('<span class="o-error o-cut" title="{}">{}</span>', wrong, wrong) if wrong else ""

    # ------------------------------------------------ actions in a row

    @button("Resume", icon="play_circle")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do(row: Platform) -> str:
            done = platform_actions.resume(row.pk)
            return f"{row} is connected again." if done else f"{row} is not registered: there is nothing to resume."

        return self._ask(request, object_id, "Resume this platform?", do, "Its pause ends, or its being OFFLINE.")

    @button("Pause", icon="pause_circle")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do(row: Platform) -> str:
            done = platform_actions.pause(row.pk, request.POST.get("reason", "").strip(), actor=actor(request))
            return f"Nothing is sent to {row} until it is resumed." if done else f"{row} is paused already."

        return self._ask(
            request, object_id, "Send nothing to this platform until it is resumed?", do,
            "What is due for it waits. It may still ask us for things.", reason=_WHY, writes_down=True,
        )  # fmt: skip

    @button("Reopen lane", icon="restart_alt")
    def reopen_lane(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do(row: Platform) -> str:
            health.resume(row.pk)
            moved = delivery_actions.reopen_lane(row.pk, actor=actor(request))
            return f"The pause and back-off of {row} are over; {moved} deliveries were brought forward."

        return self._ask(
            request, object_id, "Reopen the lane of this platform?", do,
            "Its pause and back-off end, and parked objects are tried again now.", writes_down=True,
        )  # fmt: skip

    @button("Probe now", icon="network_ping")
    def probe_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do(row: Platform) -> str:
            due = delivery_actions.probe_now(row.pk, actor=actor(request))
            return f"{row} is probed in the next seconds." if due else f"{row} is not OFFLINE: no probe is needed."

        return self._ask(request, object_id, "Probe this platform now?", do, "A GET of its versions.", writes_down=True)

    @button("Catch up now", icon="fast_forward")
    def catch_up_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def do(row: Platform) -> str:
            moved = delivery_actions.catch_up_now(row.pk, actor=actor(request))
            return f"{moved} marks of {row} are sent from now on, twenty a second."

        return self._ask(
            request, object_id, "Send what is only marked for this platform?", do,
            "It does not get the time to pull first.", writes_down=True,
        )  # fmt: skip

    def _ask(
        self, request: HttpRequest, object_id: str, question: str, do: Callable[[Platform], str], warning: str,
        *, reason: str = "", writes_down: bool = False,
    ) -> HttpResponse:  # fmt: skip
        row = get_object_or_404(Platform.objects.defer("token_out"), pk=object_id)
        back = reverse(f"admin:ocpi_{self.model._meta.model_name}_changelist")
        return ask(self, request, question=question, about=[row], do=lambda: do(row), back=back, warning=warning,
                   reason=reason, writes_down=writes_down)  # fmt: skip


@admin.register(Connection)
class ConnectionPage(_PlatformRows):
    """How each platform is reachable, how fast it answers and how often it fails; those in trouble first."""

    list_display = ("show_name", "show_status", "show_seen", "show_answer", "show_rates", "show_breaker",
                    "show_flight", "show_wrong")  # fmt: skip
    list_filter = (ByStatus, ByRole, "version")
    shown = ("show_answer",)
    actions_row = ("resume", "pause", "probe_now")

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        trouble = (~Q(paused_reason=""), Q(connection=ConnectionStatus.OFFLINE), Q(failures__gt=0))
        places = [When(condition, then=Value(place)) for place, condition in enumerate(trouble)]
        return (Case(*places, default=Value(len(places)), output_field=IntegerField()), "name")

    def add_numbers(self, request: HttpRequest, rows: list[Any]) -> None:
        found = traffic.three_rates([row.pk for row in rows])
        held = lane_rows.in_flight()
        for row in rows:
            row.rates, row.in_flight = found[row.pk], held.get(row.pk, 0)

    @admin.display(description="platform", ordering="name")
    def show_name(self, row: Any) -> str:
        return below(super().show_name(row), roles(row))

    @admin.display(description="status, since", ordering="connection")
    def show_status(self, row: Platform) -> str:
        status = badge(row.state) if row.state != "REGISTERED" else badge(row.connection)
        return below(badge("PAUSED", "bad") if row.paused_reason else status, ago(row.connection_since))

    show_seen = read_only("last seen", lambda page, row: ago(row.last_heard_at))
    show_answer = read_only("answer", lambda page, row: milliseconds(row.average_ms))
    show_rates = read_only("errors 5 min · 1 h · 24 h", lambda page, row: rates(row.rates))
    show_flight = read_only("in flight", lambda page, row: row.in_flight or "–")


@admin.register(Lane)
class LanePage(_PlatformRows):
    """What waits for each platform, who drains it, and what keeps it; the largest backlog first."""

    list_display = ("show_name", "show_breaker", "show_pending", "show_oldest", "show_marks", "show_flight",
                    "show_workers", "show_parked", "show_dead", "show_wrong")  # fmt: skip
    list_filter = (ByStatus, ByRole)
    actions_row = ("reopen_lane", "probe_now", "catch_up_now", "pause", "resume")

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        waiting = sorted(_backlog(request).items(), key=lambda item: (-item[1].pending, -item[1].marks))
        places = [When(pk=pk, then=Value(place)) for place, (pk, _) in enumerate(waiting[:_FIRST])]
        if not places:
            return ("name",)
        return (Case(*places, default=Value(_FIRST), output_field=IntegerField()), "name")

    def add_numbers(self, request: HttpRequest, rows: list[Any]) -> None:
        found = lane_rows.of(rows, _backlog(request))
        for row in rows:
            row.lanes = found[row.pk]

    show_pending = read_only(
        "pending", lambda page, row: counted(row.lanes.waiting.pending, "delivery", row, "&state__exact=PENDING")
    )
    show_marks = read_only(
        "marks", lambda page, row: counted(row.lanes.waiting.marks, "delivery", row, "&state__exact=MARKED")
    )
    show_dead = read_only(
        "dead, refused",
        lambda page, row: counted(
            row.lanes.waiting.dead + row.lanes.waiting.refused, "deadletter", row, "&state=OPEN", bad=True
        ),
    )
    show_flight = read_only("in flight / slots", lambda page, row: f"{row.lanes.in_flight} / {row.lanes.slots}")
    show_workers = read_only("drained by", lambda page, row: ", ".join(sorted(set(row.lanes.holders))) or "–")
    show_parked = read_only("parked", lambda page, row: row.lanes.parked or "–")

    @admin.display(description="oldest due for")
    def show_oldest(self, row: Any) -> str:
        oldest = row.lanes.waiting.oldest
        if not row.lanes.waiting.pending or oldest < 1:
            return "–"
        return badge(duration(oldest), "bad") if oldest > 60 and breaker.of_row(
            row, timezone.now()).state == breaker.CLOSED else duration(oldest)  # fmt: skip


def _backlog(request: HttpRequest) -> dict[int, backlog.Backlog]:
    """Return the backlog, read once for a page: its order and its numbers come from it."""
    found: dict[int, backlog.Backlog] | None = getattr(request, "_backlog", None)
    if found is None:
        found = backlog.by_platform()
        setattr(request, "_backlog", found)  # noqa: B010
    return found


def ago(at: datetime | None, *, ahead: bool = False) -> str:
    """Return how long ago something was, the time itself when pointed at; or how far ahead it is."""
    if at is None:
        return "–"
    seconds = (timezone.now() - at).total_seconds() * (-1 if ahead else 1)
    return format_html(
        '<span class="o-nowrap" title="{}">{}</span>', f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}",
        duration(max(0.0, seconds)),
    )  # fmt: skip


def milliseconds(number: float | None) -> str:
    """Return an answer time for people."""
    if number is None:
        return "–"
    text = f"{number:.0f} ms" if number >= 1 else "<1 ms"
    return badge(text, "bad") if number > _SLOW_MS else format_html('<span class="o-nowrap">{}</span>', text)


def rates(found: tuple[traffic.Rate, ...]) -> str:
    """Return shares of errors, each with what it is a share of when pointed at."""
    return format_html_join(
        mark_safe(' <span class="o-muted">·</span> '), '<span class="o-rate {}" title="{} of {}">{}</span>',
        (("o-error" if (one.error_rate or 0) >= _BAD_RATE else "", f"{one.failed:,}", f"{one.number:,}", share(one))
         for one in found),
    )  # fmt: skip


def share(found: traffic.Rate) -> str:
    """Return a share of errors in words."""
    if found.error_rate is None:
        return "–"
    return percent(found.error_rate)


def roles(row: Any) -> str:
    """Return the roles a platform is connected in."""
    found = [f"{party}{'' if party.approved else ' (not approved)'}" for party in row.own]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def below(first: str, second: str) -> str:
    """Return one thing with a quieter one below it."""
    return format_html('{}<div class="o-below">{}</div>', first, second) if second else first


def counted(number: int, page: str, row: Platform, more: str, *, bad: bool = False) -> str:
    """Return a number that leads to the rows it counts."""
    if not number:
        return format_html('<span class="o-muted">{}</span>', "–")
    url = f"{reverse(f'admin:ocpi_{page}_changelist')}?platform__id__exact={row.pk}{more}"
    shown = badge(f"{number:,}", "bad") if bad else f"{number:,}"
    return format_html('<a class="o-link" href="{}">{}</a>', url, shown)
