"""Admin pages of an eMSP: what it is told, its drivers' tokens, and the commands it sent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import RelatedDropdownFilter

from emsp.admin_cdrs import kind, with_credits
from emsp.admin_links import RequestRows, cdrs_of, commands_of, session_named, session_started
from emsp.admin_sending import LocationActions, SessionActions, seconds
from emsp.models import CDR, EVSE, Authorization, Command, Location, Session, Tariff, Token
from emsp.modules import locations_showing as showing
from emsp.modules import tokens_blocking
from emsp.unknown_values import marks
from ocpi import json_html, status
from ocpi.admin_cdr_chart import CdrChart, review_of
from ocpi.admin_confirm import ask, button
from ocpi.admin_links import shortened
from ocpi.admin_pages import (
    EVSE_STATUSES,
    SESSION_STATUSES,
    TOKEN_TYPES,
    Documents,
    Pages,
    Rows,
    badge,
    badged,
    known,
    member,
    party,
    pretty,
    read_only,
)
from ocpi.admin_tariffs import TariffPictures

COMMANDS = ("START_SESSION", "STOP_SESSION", "RESERVE_NOW", "CANCEL_RESERVATION", "UNLOCK_CONNECTOR")


class EVSERows(Rows):
    model = EVSE
    fields = ("uid", "show_status", "last_updated", "show_unknown")
    ordering = ("id",)
    show_change_link = True
    show_status = badged("status")
    show_unknown = read_only("unknown", lambda page, row: marks(row.document))


@admin.register(Location)
class LocationPage(LocationActions, Documents):
    """Locations of CPOs; their EVSEs have pages of their own."""

    deferred = ()  # its name and city are read from it
    list_display = ("object_id", "show_party", "show_name", "show_city", "show_public", "last_updated",
                    "show_gone")  # fmt: skip
    list_filter = ("publish", ("gone_at", admin.EmptyFieldListFilter))
    search_fields = ("=object_id", "=party_id", "document__icontains")
    search_help_text = "an id, a party, or any text of the Location"
    inlines = (EVSERows,)
    show_name = read_only("name", lambda page, row: member(row.document, "name"))
    show_city = read_only("city", lambda page, row: member(row.document, "city"))
    show_gone = read_only("gone", lambda page, row: badge("not in its list", "odd") if row.gone_at else "")
    show_public = read_only(
        "shown to the public", lambda page, row: badge("yes", "good") if row.shown else badge("no", "odd")
    )
    shown = ("show_public", *Documents.shown)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request).annotate(shown=showing.is_public())
        return found


@admin.register(EVSE)
class EVSEPage(Documents):
    list_display = ("uid", "location", "show_status", "last_updated")
    list_filter = (known("status", EVSE_STATUSES),)
    list_select_related = ("location",)
    search_fields = ("=uid", "=location__object_id", "document__icontains")
    search_help_text = "a uid, a Location's id, an EVSE id such as NL*TNM*E000001*1, or any text of the EVSE"
    shown = ("show_unknown", *Documents.shown)
    show_status = badged("status")
    show_unknown = read_only("unknown", lambda page, row: marks(row.document) or "–")


@admin.register(Tariff)
class TariffPage(TariffPictures, Documents):
    deferred = ()
    locations = Location
    shown = ("show_week", "show_findings", *Documents.shown)
    actions_detail = ("try_charge",)
    list_display = ("object_id", "show_party", "show_currency", "show_type", "last_updated", "show_deleted")
    list_filter = (("deleted_at", admin.EmptyFieldListFilter),)
    show_currency = read_only("currency", lambda page, row: member(row.document, "currency"))
    show_type = read_only("type", lambda page, row: member(row.document, "type"))
    show_deleted = read_only("deleted", lambda page, row: badge("deleted", "odd") if row.deleted_at else "")


@admin.register(Session)
class SessionPage(SessionActions, Documents):
    deferred = ()
    list_display = ("object_id", "show_party", "show_status", "token_uid", "start_date_time", "show_kwh", "show_cost",
                    "last_updated")  # fmt: skip
    list_filter = (known("status", SESSION_STATUSES), ("platform", RelatedDropdownFilter))
    list_select_related = ("platform",)
    search_fields = ("=object_id", "=party_id", "=token_uid")
    show_status = badged("status")
    inlines = (RequestRows,)
    shown = ("show_commands", "show_cdrs", *Documents.shown, "show_active_profile", "show_preferences")
    show_commands = read_only("commands", lambda page, row: commands_of(row))
    show_cdrs = read_only("CDR", lambda page, row: cdrs_of(row))
    show_active_profile = read_only("active charging profile", lambda page, row: kept(row, "active_profile"))
    show_preferences = read_only("charging preferences", lambda page, row: kept(row, "preferences"))
    show_kwh = read_only("kWh", lambda page, row: member(row.document, "kwh"))
    show_cost = read_only("cost excl. VAT", lambda page, row: cost(row.document))


@admin.register(CDR)
class CDRPage(CdrChart, Documents):
    """CDRs as they were posted, with our own opinion beside them."""

    deferred = ("key",)
    hidden = ("document", "key", "digest", "check_result", "session_id")
    shown = ("show_session", "show_review", "show_chart", "show_lines", "pretty_document", "pretty_check_result")
    show_review = read_only("review", lambda page, row: review_of(row))
    show_session = read_only("session", lambda page, row: session_named(row))
    list_display = ("object_id", "show_party", "start_date_time", "show_kwh", "show_cost", "show_computed",
                    "show_verdict", "show_kind", "token_uid")  # fmt: skip
    list_filter = ("verdict", ("platform", RelatedDropdownFilter))
    list_select_related = ("platform",)
    search_fields = ("=object_id", "=party_id", "=session_id", "=token_uid")
    pretty_check_result = pretty("check_result", "how it was checked")
    show_kind = read_only("kind", lambda page, row: kind(row))

    def get_queryset(self, request: HttpRequest) -> QuerySet[CDR]:
        found: QuerySet[CDR] = with_credits(super().get_queryset(request))
        return found

    show_kwh = read_only("kWh", lambda page, row: member(row.document, "total_energy"))
    show_cost = read_only("total excl. VAT", lambda page, row: cost(row.document))
    show_computed = read_only("as we compute it", lambda page, row: row.computed_cost or "–")
    show_verdict = read_only(
        "verdict", lambda page, row: badge(row.verdict) if row.verdict else badge("not checked yet", "busy")
    )


@admin.register(Token)
class TokenPage(Documents):
    list_display = ("uid", "type", "show_party", "contract_id", "show_valid", "whitelist", "last_updated")
    list_filter = (
        known("type", TOKEN_TYPES),
        "valid",
        known("whitelist", ("ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER")),
    )
    search_fields = ("=uid", "=contract_id", "=party_id")
    actions_detail = ("block", "unblock")
    show_valid = read_only("valid", lambda page, row: badge("valid", "good") if row.valid else badge("invalid", "bad"))

    @button("Block", icon="block", variant="danger")
    def block(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let nobody charge with a card that was lost, say (TOK-12)."""
        return self._set_valid(
            request, object_id, "Block this Token?", "It is blocked, and every CPO is told.", "It was blocked already.",
            "Nobody charges with it any more; Sessions that run go on. Every CPO is told now, those that are away "
            "when they are back.", valid=False,
        )  # fmt: skip

    @button("Unblock", icon="check_circle", variant="success")
    def unblock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let its driver charge again."""
        return self._set_valid(
            request, object_id, "Let this Token in again?", "It is valid, and every CPO is told.",
            "It was valid already.", "", valid=True,
        )  # fmt: skip

    def _set_valid(
        self, request: HttpRequest, object_id: str, question: str, done: str, not_done: str, warning: str, *,
        valid: bool,
    ) -> HttpResponse:  # fmt: skip
        row = get_object_or_404(Token, pk=object_id)
        back = reverse("admin:emsp_token_change", args=[object_id])
        return ask(
            self, request, question=question, about=[row], back=back, warning=warning,
            do=lambda: done if tokens_blocking.set_valid(row.pk, valid=valid) else not_done,
            refusals=(status.InvalidParameters,),
        )  # fmt: skip


@admin.register(Authorization)
class AuthorizationPage(Pages):
    """Real-time authorizations we gave."""

    large = True
    list_display = ("at", "show_allowed", "token", "platform", "location_id", "reference")
    list_filter = (
        known("allowed", ("ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED")),
        ("platform", RelatedDropdownFilter),
    )
    list_select_related = ("token", "platform")
    search_fields = ("=reference", "=token__uid", "=location_id")
    ordering = ("-id",)
    show_allowed = badged("allowed")


@admin.register(Command)
class CommandPage(Pages):
    """Commands we sent, and what came of them; the key of the response_url is a secret and not shown."""

    large = True
    list_display = ("created_at", "command", "show_state", "show_to", "response", "result", "show_answered",
                    "show_result_after", "short_session", "asked_by", "platform")  # fmt: skip
    list_filter = (known("command", COMMANDS), "state", ("platform", RelatedDropdownFilter))
    list_select_related = ("platform",)
    search_fields = ("=correlation_id", "=session_id", "=authorization_reference")
    ordering = ("-id",)
    hidden = ("key", "request", "session_id")
    shown = ("show_named", "show_session", "pretty_request")
    deferred = ("key", "request")
    show_state = badged("state")
    show_answered = read_only("answered after", lambda page, row: seconds(row.created_at, row.answered_at))
    show_result_after = read_only("result after", lambda page, row: seconds(row.created_at, row.result_at))
    short_session = shortened("session_id", "session")
    show_named = read_only("session that it names", lambda page, row: session_named(row))
    show_session = read_only("session that it started", lambda page, row: session_started(row))
    show_to = party(title="to")
    pretty_request = pretty("request")


def cost(document: str) -> str:
    """Return the total cost of a Session or CDR as it stands in it, with its currency."""
    excluding = member(document, "total_cost", "excl_vat")
    return f"{excluding} {member(document, 'currency') or ''}" if excluding is not None else "–"


def kept(session: Session, name: str) -> str:
    """Return what is kept beside a Session as laid out JSON, with the CPO's answer if there was one."""
    row: Any = getattr(session, name, None)
    if row is None:
        return "–"
    answer = getattr(row, "response", "") or getattr(row, "message", "")
    return format_html("{}{}", badge(answer), json_html.pretty(row.document))
