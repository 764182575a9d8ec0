"""Requests and answers as they went over the wire: the list, the page of each one, and the way of a whole message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from ocpi import (
    admin_exchange_picture,
    admin_messages,
    exchange_compare,
    exchange_curl,
    exchange_message,
    exchange_replay,
    exchange_search,
)
from ocpi.admin_confirm import ask, button
from ocpi.admin_exchange_picture import outcome, what
from ocpi.admin_exchange_search import ExchangeList
from ocpi.admin_pages import Pages, pretty, read_only, without_keys
from ocpi.exchange_message import Message
from ocpi.models import Exchange


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
        "show_picture",
    )
    list_display_links = ("show_at",)
    list_before_template = "admin/exchange_search.html"
    sortable_by = ()
    ordering = ("-id",)
    change_form_outer_before_template = "admin/message_picture.html"
    change_form_after_template = "admin/exchange_curl.html"
    actions_detail = ("replay",)
    deferred = exchange_search.BODIES
    fieldsets = (
        (None, {"fields": (("show_moment", "direction"), ("platform", "module"), ("method", "milliseconds"), "url",
                                      ("from_party", "to_party"), ("http_status", "status_code"), "error",
                                      "request_id", "show_message")}),
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
    show_what = read_only("what", lambda page, row: what(row))
    show_picture = read_only("message", lambda page, row: admin_messages.picture_link(row.correlation_id))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        rows = [row for _, options in self.fieldsets for row in options["fields"]]
        return [name for row in rows for name in (row if isinstance(row, tuple) else (row,))]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ExchangeList]:
        return ExchangeList

    class Media:
        js = ("hub/copy.js",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("message/", view(self.message), name="ocpi_exchange_message"),
            path("<int:before>/compare/<int:after>/", view(self.compare), name="ocpi_exchange_compare"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description="at")
    def show_at(self, row: Exchange) -> str:
        return f"{timezone.localtime(row.at):%m-%d %H:%M:%S.%f}"[:-3]

    @admin.display(description="at")
    def show_moment(self, row: Exchange) -> str:
        return f"{timezone.localtime(row.at):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"

    @admin.display(description="from → to")
    def show_parties(self, row: Exchange) -> str:
        return f"{row.from_party or '–'} → {row.to_party or '–'}" if row.from_party or row.to_party else ""

    def message(self, request: HttpRequest) -> HttpResponse:
        """Show the way of one message, which the query names by its correlation id."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = exchange_message.read(request.GET.get("id", ""), deliveries=_sees_deliveries(request))
        context = {
            **self.admin_site.each_context(request),
            **admin_exchange_picture.context(found),
            "title": f"Message: {_title(found)}",
            "opts": self.model._meta,
        }
        return TemplateResponse(request, "admin/message.html", context)

    def compare(self, request: HttpRequest, before: int, after: int) -> HttpResponse:
        """Show what differs between the answers of two exchanges."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        old, new = (get_object_or_404(Exchange, pk=number) for number in (before, after))
        found = exchange_compare.differences(old.response_body, new.response_body)
        context = {
            **self.admin_site.each_context(request),
            "title": "Two answers",
            "opts": self.model._meta,
            "before": old,
            "after": new,
            "before_url": reverse("admin:ocpi_exchange_change", args=[before]),
            "after_url": reverse("admin:ocpi_exchange_change", args=[after]),
            "before_outcome": outcome(old),
            "after_outcome": outcome(new),
            "differences": [tuple(without_keys(text) for text in one) for one in found],
            "cut": len(found) == exchange_compare.MOST,
        }
        return TemplateResponse(request, "admin/exchange_compare.html", context)

    @button("Send again", icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether what an exchange was about is to be sent again, then show what came of it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(Exchange.objects.select_related("platform"), pk=object_id)
        back = reverse("admin:ocpi_exchange_change", args=[row.pk])
        try:
            planned = exchange_replay.plan(row)
        except exchange_replay.CannotReplay as error:
            messages.error(request, f"It is not sent again: {without_keys(str(error))}.")
            return HttpResponseRedirect(back)
        sent: list[exchange_replay.Replayed] = []

        def do() -> str:
            sent.append(exchange_replay.replay(row, planned))
            return without_keys(sent[0].words)

        answer = ask(
            self,
            request,
            question="Send this again?",
            about=[without_keys(str(row)), planned.does],
            do=do,
            back=back,
            warning=planned.warning,
            answer="Yes, send it again",
            reason="Why is it to be carried out again?" if planned.executes else "",
            refusals=(exchange_replay.CannotReplay,),
        )
        again = exchange_search.of_request(sent[0].request_id) if sent else None
        if again is None:
            return answer
        return HttpResponseRedirect(reverse("admin:ocpi_exchange_compare", args=[row.pk, again.pk]))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {**(extra_context or {}), **self._picture(request, object_id or "")}
        return super().changeform_view(request, object_id, form_url, context)

    def _picture(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Return the picture of the message that this exchange belongs to."""
        if not object_id.isdecimal() or not self.has_view_permission(request):
            return {}
        row = Exchange.objects.select_related("platform").filter(pk=object_id).first()
        if row is None:
            return {}
        curl = {"curl": exchange_curl.curl(row, base_url=settings.OCPI_BASE_URL)}
        if not row.correlation_id:
            return {**curl, **admin_exchange_picture.context(Message("", [row]), current=row.pk)}
        found = exchange_message.read(row.correlation_id, deliveries=_sees_deliveries(request))
        context = admin_exchange_picture.context(found, current=row.pk)
        return {**curl, **context, "picture_link": admin_messages.picture_url(row.correlation_id)}


def _sees_deliveries(request: HttpRequest) -> bool:
    user: Any = getattr(request, "user")  # noqa: B009
    return bool(user.has_perm("ocpi.view_delivery") and user.has_perm("ocpi.view_finisheddelivery"))


def _title(found: Message) -> str:
    if found.rows:
        return f"{found.rows[0].method} {what(found.rows[0])}"
    return "looking took too long" if found.looked_back_to else "nothing is kept of it"


def _block(text: str) -> str:
    return (
        format_html('<pre class="o-json">{}</pre>', without_keys(text))
        if text
        else format_html('<span class="o-muted">{}</span>', "none")
    )
