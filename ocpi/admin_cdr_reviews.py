"""Admin pages of CDR reviews: what was found, how the price comes about, disputes, exports, and who bills well."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from import_export.admin import ExportMixin
from import_export.fields import Field
from import_export.formats import base_formats
from import_export.resources import ModelResource
from unfold.contrib.import_export.forms import ExportForm

from ocpi import cdr_disputes, cdr_finders, cdr_firewall, cdr_picture, tariff_pricing
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_links import link, shortened
from ocpi.admin_pages import Pages, Rows, badge, known, party, pretty, read_only
from ocpi.models import CdrFinding, CdrNote, CdrReview, MeterKey, StatementItem

_TONES = {"good": "good", "noted": "plain", "suspect": "odd", "wrong": "bad", "verified": "good", "invalid": "bad",
          "unverified": "plain", "OPEN": "bad", "AGREED": "busy", "CREDITED": "good", "WITHDRAWN": "plain"}  # fmt: skip
_SEVERITIES = {1: ("note", "plain"), 2: ("suspect", "odd"), 3: ("wrong", "bad")}
_MOST_PARTIES = 200


def toned(word: str, otherwise: str = "–") -> str:
    """Return a verdict as a label."""
    return badge(word, _TONES.get(word, "plain")) if word else otherwise


class ByCode(admin.SimpleListFilter):
    """A filter by what was found."""

    title = "finding"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.code, kind.code.replace("_", " ")) for kind in cdr_firewall.KINDS.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CdrReview]) -> QuerySet[CdrReview]:
        return queryset.filter(findings__code=self.value()).distinct() if self.value() else queryset


class FindingRows(Rows):
    """What was found, the worst first."""

    model = CdrFinding
    verbose_name_plural = "findings"
    hide_title = False
    fields = ("show_severity", "show_text", "field", "claimed", "expected")
    ordering = ("-severity", "id")
    show_severity = read_only("", lambda page, row: badge(*_SEVERITIES[row.severity]))
    show_text = read_only("what", lambda page, row: cdr_firewall.KINDS[row.code].text)


class NoteRows(Rows):
    """What people wrote about it."""

    model = CdrNote
    verbose_name_plural = "notes"
    hide_title = False
    fields = ("at", "by", "show_dispute", "text")
    ordering = ("id",)
    show_dispute = read_only("dispute", lambda page, row: toned(row.dispute, ""))


class ReviewResource(ModelResource):  # type: ignore[misc]
    """The columns of an export."""

    codes = Field(column_name="findings")

    class Meta:
        model = CdrReview
        chunk_size = 1000
        fields = ("country_code", "party_id", "cdr_id", "emsp_country_code", "emsp_party_id", "session_id", "token_uid",
                  "location_id", "evse_uid", "start_at", "end_at", "energy", "currency", "total_excl_vat",
                  "total_incl_vat", "computed_excl_vat", "verdict", "codes", "signed_verdict", "dispute",
                  "credit_reference_id", "taken_back", "received_at")  # fmt: skip
        export_order = fields

    def dehydrate_codes(self, row: CdrReview) -> str:
        return " ".join(dict.fromkeys(each.code for each in row.findings.all()))

    def filter_export(self, queryset: QuerySet[CdrReview], **named: Any) -> QuerySet[CdrReview]:
        return queryset.prefetch_related("findings")


class Word(forms.Form):
    """A word about a CDR."""

    text = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 4}), label="what there is to say")


@admin.register(CdrReview)
class CdrReviewPage(ExportMixin, Pages):  # type: ignore[misc]
    """CDRs in figures with our opinion beside them; the CDRs themselves are never changed."""

    large = True
    resource_classes = (ReviewResource,)
    export_form_class = ExportForm
    formats = (base_formats.CSV, base_formats.XLSX)
    list_display = ("show_id", "show_parties", "start_at", "energy", "show_total", "show_computed", "show_verdict",
                    "show_codes", "show_signed_verdict", "show_dispute")  # fmt: skip
    list_filter = (
        known("verdict", CdrReview.Verdict.values), ByCode,
        known("dispute", [each for each in CdrReview.Dispute.values if each]),
        known("signed_verdict", ("verified", "invalid", "unverified"), "signed meter data"),
    )  # fmt: skip
    search_fields = ("=cdr_id", "=session_id", "=token_uid", "=party_id", "=emsp_party_id", "=location_id")
    search_help_text = "the id of a CDR, a session, a Token, a Location, or a party"
    ordering = ("-id",)
    deferred = ("check_result", "signed")
    fields = ("show_whole_id", "show_parties", "show_verdict", "show_dispute", "show_total", "show_computed", "energy",
              "start_at", "end_at", "show_chart", "show_lines", "session_id", "token_uid", "location_id", "evse_uid",
              "connector_id", "credit_reference_id", "show_taken_back", "show_billed", "received_at", "reviewed_at",
              "show_signed_verdict", "pretty_signed", "pretty_check_result")  # fmt: skip
    inlines = (FindingRows, NoteRows)
    actions_list = ("by_party",)
    actions_detail = (
        "review_again", "write", {"title": "Dispute", "icon": "gavel", "items": ["dispute", "agree", "withdraw"]},
    )  # fmt: skip
    pretty_check_result = pretty("check_result", "how it was priced")
    pretty_signed = pretty("signed", "signed meter data")
    show_id = shortened("cdr_id", "CDR")
    show_whole_id = read_only("CDR", lambda page, row: row.cdr_id)
    show_taken_back = read_only("taken back", lambda page, row: "by a Credit CDR" if row.taken_back else "–")
    show_parties = read_only("from, to", lambda page, row: _parties(row))
    show_total = read_only("excl. VAT", lambda page, row: f"{row.total_excl_vat:.2f} {row.currency}")
    show_computed = read_only("computed", lambda page, row: _difference(row))
    show_verdict = read_only("verdict", lambda page, row: toned(row.verdict, badge("not reviewed yet", "busy")))
    show_signed_verdict = read_only("signed", lambda page, row: toned(row.signed_verdict))
    show_dispute = read_only("dispute", lambda page, row: toned(row.dispute))
    show_codes = read_only("findings", lambda page, row: _codes(row))
    show_billed = read_only("billed in", lambda page, row: _billed(row))
    show_lines = read_only("lines of the price", lambda page, row: _lines(row))
    show_chart = read_only("periods", lambda page, row: _chart(row))

    def get_queryset(self, request: HttpRequest) -> QuerySet[CdrReview]:
        found: QuerySet[CdrReview] = super().get_queryset(request)
        return found.prefetch_related("findings")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    @button("By party", icon="groups", permission="view")
    def by_party(self, request: HttpRequest) -> HttpResponse:
        """Show how each CPO bills each eMSP."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": "CDRs by party", "opts": self.model._meta,
                   "rows": by_party(), "back": reverse("admin:ocpi_cdrreview_changelist")}  # fmt: skip
        return TemplateResponse(request, "admin/cdr_parties.html", context)

    @button("Review again", icon="fact_check")
    def review_again(self, request: HttpRequest, object_id: int) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        CdrReview.objects.filter(pk=object_id).update(verdict="")
        self.message_user(request, "It is reviewed again within seconds.")
        return HttpResponseRedirect(_page(object_id))

    @button("Dispute", icon="gavel", variant="danger")
    def dispute(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._move(request, object_id, CdrReview.Dispute.OPEN, "Dispute this CDR?", "What is wrong with it?")

    @button("Agreed: to be taken back", icon="handshake")
    def agree(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._move(
            request, object_id, CdrReview.Dispute.AGREED, "Has the CPO agreed to take it back?", "Who agreed, and when?"
        )

    @button("Withdraw the dispute", icon="undo")
    def withdraw(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._move(request, object_id, CdrReview.Dispute.WITHDRAWN, "Withdraw the dispute?", "Why is it right?")

    @button("Write a note", icon="edit_note")
    def write(self, request: HttpRequest, object_id: int) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        form = Word(request.POST or None)
        if request.method == "POST" and form.is_valid():
            cdr_disputes.note(object_id, by=actor(request), text=form.cleaned_data["text"])
            return HttpResponseRedirect(_page(object_id))
        context = {**self.admin_site.each_context(request), "title": "Write a note", "opts": self.model._meta,
                   "form": form, "back": _page(object_id), "answer": "Write it down"}  # fmt: skip
        return TemplateResponse(request, "admin/ask_form.html", context)

    def _move(self, request: HttpRequest, pk: int, to: str, question: str, reason: str) -> HttpResponse:
        row = CdrReview.objects.get(pk=pk)
        why = request.POST.get("reason", "")

        def do() -> str:
            cdr_disputes.move(pk, to, by=actor(request), text=why)
            return f"{row}: {CdrReview.Dispute(to).label}."

        return ask(
            self, request, question=question, about=[row], do=do, back=_page(pk), reason=reason, writes_down=True,
            refusals=(cdr_disputes.NotPossible,),
        )  # fmt: skip


@admin.register(MeterKey)
class MeterKeyPage(Pages):
    """Public keys of meters: signed meter data is verified with these first."""

    list_display = ("serial", "show_party", "show_key", "note", "created_at")
    search_fields = ("=serial", "=party_id")
    fields = ("country_code", "party_id", "serial", "public_key", "note")
    show_party = party()
    show_key = read_only("key", lambda page, row: f"{row.public_key[:24]}…")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(admin.ModelAdmin.has_add_permission(self, request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(admin.ModelAdmin.has_change_permission(self, request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(admin.ModelAdmin.has_delete_permission(self, request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ()


def by_party() -> list[dict[str, Any]]:
    """Return how CPOs bill eMSPs: counts and amounts per pair and currency, those with most to look at first."""
    wrong, suspect = Q(verdict="wrong"), Q(verdict="suspect")
    rows = (
        CdrReview.objects.values("country_code", "party_id", "emsp_country_code", "emsp_party_id", "currency")
        .annotate(
            number=Count("id"),
            wrong=Count("id", filter=wrong),
            suspect=Count("id", filter=suspect),
            open=Count("id", filter=Q(dispute__in=["OPEN", "AGREED"])),
            credits=Count("id", filter=~Q(credit_reference_id="")),
            energy=Sum("energy", filter=Q(credit_reference_id="")),
            total=Sum("total_excl_vat"),
            disputed=Sum("total_excl_vat", filter=Q(dispute__in=["OPEN", "AGREED"])),
        )
        .order_by("-wrong", "-suspect", "-number")[:_MOST_PARTIES]
    )
    url = reverse("admin:ocpi_cdrreview_changelist")
    return [{**row, "list": f"{url}?q={row['party_id']}&verdict=wrong"} for row in rows]


def _page(pk: object) -> str:
    return reverse("admin:ocpi_cdrreview_change", args=[pk])


def _parties(row: CdrReview) -> str:
    return f"{row.country_code}*{row.party_id} → {row.emsp_country_code}*{row.emsp_party_id}"


def _difference(row: CdrReview) -> str:
    if row.computed_excl_vat is None:
        return "–"
    claimed = abs(row.total_excl_vat) if row.credit_reference_id else row.total_excl_vat
    apart = claimed - row.computed_excl_vat
    tone = "bad" if "price_differs" in {each.code for each in row.findings.all()} else "plain"
    return badge(f"{row.computed_excl_vat:.2f}" + (f" ({apart:+.2f})" if abs(apart) >= Decimal("0.005") else ""), tone)


def _codes(row: CdrReview) -> str:
    found = {each.code: each.severity for each in row.findings.all()}
    return format_html_join(
        " ", "{}", ((badge(code.replace("_", " "), _SEVERITIES[severity][1]),) for code, severity in found.items())
    )


def _checked(row: CdrReview) -> dict[str, Any]:
    return json.loads(row.check_result) if row.check_result else {}


def _lines(row: CdrReview) -> str:
    found = _checked(row)
    computed = found.get("computed") or {}
    return cdr_picture.lines_table(found.get("lines") or [], computed.get("limits") or [])


def _billed(row: CdrReview) -> str:
    item = StatementItem.objects.select_related("statement").filter(review=row).first()
    return link(item.statement) if item is not None else "no statement yet"


def _chart(row: CdrReview) -> str:
    document = cdr_finders.document_of(row)
    if document is None:
        return format_html('<span class="o-muted">{}</span>', "the CDR is not kept here")
    return cdr_picture.chart(tariff_pricing.loads(document), _checked(row).get("lines") or [])
