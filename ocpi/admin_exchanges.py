"""Requests and answers as they went over the wire, and all legs of one message as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from ocpi.admin_exchange_search import ExchangeList
from ocpi.admin_pages import Pages, badge, pretty, read_only, without_keys
from ocpi.models import Exchange

MOST_LEGS = 60
_LANE, _LEFT, _TOP, _STEP = 230, 120, 64, 46  # px of the picture


@admin.register(Exchange)
class ExchangePage(Pages):
    """Partitioned by day and never counted; the form above the list says what is found."""

    large = True
    list_display = (
        "show_at",
        "direction",
        "platform",
        "method",
        "show_what",
        "show_parties",
        "show_outcome",
        "show_ms",
    )
    list_display_links = ("show_at",)
    list_before_template = "admin/exchange_search.html"
    sortable_by = ()
    ordering = ("-id",)
    change_form_outer_before_template = "admin/exchange_legs.html"
    deferred = ("request_headers", "request_body", "response_headers", "response_body")
    fieldsets = (
        (None, {"fields": (("at", "direction"), ("platform", "module"), ("method", "milliseconds"), "url",
                                      ("from_party", "to_party"), ("http_status", "status_code"), "error",
                                      "request_id", "correlation_id")}),
        ("Request", {"fields": ("show_request_headers", "pretty_request_body")}),
        ("Answer", {"fields": ("show_response_headers", "pretty_response_body")}),
    )  # fmt: skip
    pretty_request_body = pretty("request_body", "body")
    pretty_response_body = pretty("response_body", "body")
    show_request_headers = read_only("headers", lambda page, row: _block(row.request_headers))
    show_response_headers = read_only("headers", lambda page, row: _block(row.response_headers))
    covered = ("url", "error", "object_path")
    show_ms = read_only("ms", lambda page, row: "" if row.milliseconds is None else f"{row.milliseconds:.1f}")
    show_outcome = read_only("answer", lambda page, row: outcome(row))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        rows = [row for _, options in self.fieldsets for row in options["fields"]]
        return [name for row in rows for name in (row if isinstance(row, tuple) else (row,))]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ExchangeList]:
        return ExchangeList

    @admin.display(description="at")
    def show_at(self, row: Exchange) -> str:
        return f"{timezone.localtime(row.at):%m-%d %H:%M:%S.%f}"[:-3]

    @admin.display(description="what")
    def show_what(self, row: Exchange) -> str:
        return without_keys(f"{row.module}/{row.object_path}" if row.object_path else (row.module or row.url))[:120]

    @admin.display(description="from → to")
    def show_parties(self, row: Exchange) -> str:
        return f"{row.from_party or '–'} → {row.to_party or '–'}" if row.from_party or row.to_party else ""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {**(extra_context or {}), **self._legs(request, object_id or "")}
        return super().changeform_view(request, object_id, form_url, context)

    def _legs(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Return the picture of the message that this exchange belongs to: all with its correlation id."""
        if not object_id.isdecimal() or not self.has_view_permission(request):
            return {}
        exchanges = Exchange.objects.select_related("platform").defer(*self.deferred)
        row = exchanges.filter(pk=object_id).first()
        if row is None:
            return {}
        rows = [row]
        if row.correlation_id:
            rows = list(exchanges.filter(correlation_id=row.correlation_id).order_by("id")[:MOST_LEGS])
        return picture(rows, row.pk)


def outcome(row: Exchange) -> str:
    """Return how an exchange ended as a label: HTTP status and OCPI status code, or the error."""
    if row.http_status is None:
        return badge(row.error.partition(":")[0] or "no answer", "bad")
    good = row.http_status < 400 and (row.status_code or 1000) < 2000
    return badge(
        f"{row.http_status} / {row.status_code}" if row.status_code else row.http_status, "good" if good else "bad"
    )


@dataclass(slots=True)
class Leg:
    """One request between two columns of the picture."""

    row: Exchange
    number: int
    source: str
    target: str
    start: int
    end: int
    y: int
    offset_ms: float
    url: str
    current: bool
    outcome: str

    @property
    def request(self) -> str:
        return without_keys(f"{self.row.method} {self.row.url}")

    @property
    def about(self) -> str:
        return without_keys(f"{self.row.module}/{self.row.object_path}" if self.row.object_path else self.row.module)

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2

    @property
    def tip(self) -> str:
        """The points of the arrow's head."""
        back = -9 if self.end > self.start else 9
        return f"{self.end},{self.y} {self.end + back},{self.y - 5} {self.end + back},{self.y + 5}"


def picture(rows: Sequence[Exchange], current: int) -> dict[str, Any]:
    """Return what the template draws: a column for us and for each platform, and the legs in the order of time."""
    us = settings.OCPI_BUSINESS_NAME
    senders = [_name(row) for row in rows if row.direction == Exchange.Direction.IN]
    receivers = [_name(row) for row in rows if row.direction == Exchange.Direction.OUT]
    # Who asks stands left of us, who is asked right of us.
    names = list(dict.fromkeys([*senders, us, *receivers]))
    place = {name: _LEFT + number * _LANE for number, name in enumerate(names)}
    legs: list[Leg] = []
    for number, row in enumerate(rows):
        source, target = (_name(row), us) if row.direction == Exchange.Direction.IN else (us, _name(row))
        legs.append(
            Leg(
                row=row,
                number=number + 1,
                source=source,
                target=target,
                start=place[source],
                end=place[target],
                y=_TOP + 22 + number * _STEP,
                offset_ms=(row.at - rows[0].at).total_seconds() * 1000,
                url=reverse("admin:ocpi_exchange_change", args=[row.pk]),
                current=row.pk == current,
                outcome=outcome(row),
            )
        )
    height = _TOP + len(rows) * _STEP + 10
    return {
        "columns": [{"name": name, "x": x} for name, x in place.items()],
        "legs": legs,
        "width": _LEFT * 2 + (len(names) - 1) * _LANE,
        "height": height,
        "bottom": height - 6,
        "cut": len(rows) == MOST_LEGS,
    }


def _name(row: Exchange) -> str:
    return row.platform.name if row.platform else "a stranger"


def _block(text: str) -> str:
    return (
        format_html('<pre class="o-json">{}</pre>', without_keys(text))
        if text
        else format_html('<span class="o-muted">{}</span>', "none")
    )
