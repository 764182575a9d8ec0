"""Admin pages of what the operation API keeps: its tokens, id tags of our own, templates and reports."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from cpo.models import ApiToken, ChargingProfileTemplate, IdTag, Report, ReportPart
from cpo.modules import api_tokens
from cpo.operation_models import ReportState
from ocpi import clock, ours
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import Pages, Rows, badge, known, party, pretty, read_only
from ocpi.enums import Role
from ocpi.headers import Address

_TONES = {"WAITING": "busy", "PARTIAL": "busy", "COMPLETE": "good", "OVERDUE": "bad"}
_ALL = ""


class NewToken(forms.Form):
    """Whom a token is for, and what it may do."""

    name = forms.CharField(max_length=100, help_text="Who or what uses it.")
    tenant = forms.ChoiceField(required=False, help_text="Charge points of others do not exist for it.")
    scopes = forms.MultipleChoiceField(
        choices=[
            ("read", "read"),
            ("operate", "operate: operations, id tags, templates"),
            ("manage", "manage: charge points"),
        ],
        widget=forms.CheckboxSelectMultiple,
        label="rights",
    )
    days = forms.IntegerField(
        required=False, min_value=1, max_value=3650, help_text="Days until it expires, if it does."
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        tenants = [(str(each), str(each)) for each in ours.addresses(Role.CPO)]
        self.fields["tenant"].choices = [(_ALL, "every tenant"), *tenants]  # type: ignore[attr-defined]

    def make(self, by: str) -> tuple[ApiToken, str]:
        told = self.cleaned_data
        country_code, _, party_id = told["tenant"].partition("*")
        return api_tokens.make(
            told["name"],
            tenant=Address(country_code, party_id) if told["tenant"] else None,
            scopes=told["scopes"],
            by=by,
            expires_at=None if told["days"] is None else clock.now() + timedelta(days=told["days"]),
        )


@admin.register(ApiToken)
class ApiTokenPage(Pages):
    """Who may use the operation API; a token is shown once, when it is made."""

    list_display = ("name", "show_ending", "show_tenant", "show_scopes", "show_good", "last_used_at", "expires_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "=ending", "=party_id")
    ordering = ("-id",)
    hidden = ("digest", "ending", "scopes")
    shown = ("show_ending", "show_scopes", "show_good")
    actions_list = ("make_token",)
    actions_detail = ("revoke",)
    show_ending = read_only("token", lambda page, row: f"…{row.ending}")
    show_tenant = read_only(
        "tenant", lambda page, row: f"{row.country_code}*{row.party_id}" if row.country_code else "every tenant"
    )
    show_scopes = read_only("rights", lambda page, row: ", ".join(row.scopes))

    @admin.display(description="state")
    def show_good(self, row: ApiToken) -> str:
        if row.revoked_at is not None:
            return badge("revoked", "bad")
        over = row.expires_at is not None and row.expires_at <= clock.now()
        return badge("expired", "odd") if over else badge("good", "good")

    @button("Make a token", icon="key")
    def make_token(self, request: HttpRequest) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        form = NewToken(request.POST if request.method == "POST" else None)
        made = form.make(actor(request)) if form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "title": "A token of the operation API",
            "opts": self.model._meta,
            "form": form,
            "made": made and made[0],
            "token": made and made[1],
            "back": reverse("admin:cpo_apitoken_changelist"),
        }
        answer = TemplateResponse(request, "admin/api_token.html", context)
        answer.headers["Cache-Control"] = "no-store"  # it may show a token
        return answer

    @button("Revoke", icon="block", variant="danger")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ApiToken, pk=object_id)
        by = actor(request)

        def do() -> str:
            return "It is revoked." if api_tokens.revoke(row.pk, by=by) else "It was revoked before."

        back = reverse("admin:cpo_apitoken_change", args=[object_id])
        question = "Revoke this token at once?"
        return ask(self, request, question=question, about=[row], do=do, back=back, writes_down=True)


@admin.register(IdTag)
class IdTagPage(Pages):
    """Tags that a tenant lets in by itself; they are written over the operation API."""

    list_display = ("id_tag", "show_party", "show_status", "expires_at", "parent_id_tag", "max_transactions", "note")
    list_filter = (known("status", IdTag.Status.values),)
    search_fields = ("=id_tag", "=parent_id_tag", "=party_id", "note")
    ordering = ("-id",)
    large = True
    show_party = party(title="tenant")
    show_status = read_only("status", lambda page, row: badge(row.status, "good" if row.status == "valid" else "bad"))


@admin.register(ChargingProfileTemplate)
class ChargingProfileTemplatePage(Pages):
    """Charging profiles to be sent to any charge point; they are written over the operation API."""

    list_display = ("description", "show_party", "changed_at")
    search_fields = ("description", "=party_id")
    ordering = ("description", "id")
    hidden = ("document",)
    shown = ("pretty_document",)
    deferred = ("document",)
    show_party = party(title="tenant")
    pretty_document = pretty("document", "profile")


class ReportPartRows(Rows):
    model = ReportPart
    verbose_name_plural = "parts"
    fields = ("number", "last", "received_at", "show_payload")
    ordering = ("number",)
    per_page = 20
    show_payload = pretty("payload")


@admin.register(Report)
class ReportPage(Pages):
    """What charge points report in parts: complete, partial or overdue."""

    large = True
    list_display = ("created_at", "charge_point", "action", "request_id", "show_state", "completed_at")
    list_filter = (known("state", ReportState.values), known("action", (
        "NotifyReport", "NotifyMonitoringReport", "NotifyEvent", "NotifyCustomerInformation", "NotifyDisplayMessages",
        "ReportChargingProfiles",
    )))  # fmt: skip
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=request_id")
    ordering = ("-id",)
    inlines = (ReportPartRows,)
    show_state = read_only("state", lambda page, row: badge(row.state, _TONES.get(row.state, "")))
