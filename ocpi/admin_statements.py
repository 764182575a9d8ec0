"""Admin pages of statements: what is due, issued ones as page, PDF and CSV, and the terms they are made by."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin

from ocpi import clock, statement_papers, statements
from ocpi.admin_confirm import actor, ask, button
from ocpi.admin_pages import Pages, party, read_only
from ocpi.models import Statement, StatementTerms

_MOST_SHOWN = 500


class Month(forms.Form):
    """Which month, and between whom."""

    month = forms.RegexField(r"^\d{4}-(0[1-9]|1[0-2])$", help_text="such as 2026-10 (UTC)", label="month")
    pair = forms.ChoiceField(required=False, label="between")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        due = statements.pairs(clock.now())
        self.pairs = {_name(pair): pair for pair in due}
        self.fields["pair"].choices = [  # type: ignore[attr-defined]
            ("", "all parties"), *((name, name) for name in self.pairs)
        ]  # fmt: skip
        since, _ = statements.month_before(clock.now())
        self.fields["month"].initial = f"{since:%Y-%m}"

    def clean_month(self) -> str:
        text = str(self.cleaned_data["month"])
        if self.period(text)[1] > clock.now():
            raise forms.ValidationError("is not over yet")
        return text

    @staticmethod
    def period(text: str) -> tuple[Any, Any]:
        return statements.month(int(text[:4]), int(text[5:]))


@admin.register(Statement)
class StatementPage(Pages):
    """What eMSPs owe CPOs; issued statements never change."""

    list_display = ("number", "show_from_to", "show_period", "show_incl", "cdrs", "credits", "left_out", "issued_at",
                    "issued_by")  # fmt: skip
    search_fields = ("=number", "=party_id", "=emsp_party_id")
    ordering = ("-id",)
    fields = ("number", "show_said", "show_sums", "show_fee", "show_items", "digest")
    actions_list = ("issue",)
    actions_detail = ("pdf", "csv", "compare")
    show_from_to = read_only("owes, is owed", lambda page, row: f"{row.debtor} → {row.creditor}")
    show_period = read_only("period", lambda page, row: f"{row.since:%Y-%m-%d} – {row.until:%Y-%m-%d}")
    show_incl = read_only("incl. VAT", lambda page, row: f"{row.incl_vat:,.2f} {row.currency}")
    show_said = read_only("what it says", lambda page, row: format_html_join("", "<p>{}</p>", _texts(row)))
    show_sums = read_only("sums", lambda page, row: _table(statement_papers.sums(json.loads(row.figures))))
    show_fee = read_only("fee", lambda page, row: _fee(row))
    show_items = read_only("CDRs", lambda page, row: _items(row))

    @button("Issue statements", icon="request_quote")
    def issue(self, request: HttpRequest) -> HttpResponse:
        """Show what is due for a month, and issue it after a question."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        form = Month(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            context = {**self.admin_site.each_context(request), "title": "Issue statements", "form": form,
                       "opts": self.model._meta, "back": self._list(), "answer": "Show what is due"}  # fmt: skip
            return TemplateResponse(request, "admin/ask_form.html", context)
        since, until = form.period(form.cleaned_data["month"])
        named = form.cleaned_data["pair"]
        due = statements.with_terms([form.pairs[named]] if named else statements.pairs(until))

        if not due:
            messages.info(request, f"Nothing is due for {form.cleaned_data['month']}.")
            return HttpResponseRedirect(self._list())

        def do() -> str:
            found = [row for pair in due if (row := _issued(*pair, since, until, actor(request))) is not None]
            return f"{len(found)} issued: {', '.join(row.number for row in found[:20]) or 'nothing was due'}."

        return ask(
            self, request, question=f"Issue statements for {form.cleaned_data['month']}: {len(due)}?",
            about=[_due(pair, terms, until) for pair, terms in due], do=do, back=self._list(), writes_down=True,
            warning="An issued statement never changes. What is wrong with a CDR of it is taken back by a Credit CDR, "
            "which is in the next one.",
        )  # fmt: skip

    @button("PDF", icon="picture_as_pdf", permission="view")
    def pdf(self, request: HttpRequest, object_id: int) -> HttpResponse:
        row = self._row(request, object_id)
        return HttpResponse(
            statement_papers.as_pdf(row),
            content_type="application/pdf",
            headers={"Content-Disposition": f'attachment; filename="statement-{row.number}.pdf"'},
        )

    @button("CSV", icon="table", permission="view")
    def csv(self, request: HttpRequest, object_id: int) -> StreamingHttpResponse:
        row = self._row(request, object_id)
        return StreamingHttpResponse(
            statement_papers.as_csv(row),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="statement-{row.number}.csv"'},
        )

    @button("Check against the CDRs", icon="fact_check", permission="view")
    def compare(self, request: HttpRequest, object_id: int) -> HttpResponse:
        row = self._row(request, object_id)
        odd = statements.differences(row)
        context = {**self.admin_site.each_context(request), "title": f"Statement {row.number}", "number": row.number,
                   "differences": odd[:200], "more": max(0, len(odd) - 200), "items": row.cdrs + row.credits,
                   "opts": self.model._meta,
                   "back": reverse("admin:ocpi_statement_change", args=[object_id])}  # fmt: skip
        return TemplateResponse(request, "admin/statement_check.html", context)

    def _row(self, request: HttpRequest, pk: int) -> Statement:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return Statement.objects.get(pk=pk)

    def _list(self) -> str:
        return reverse("admin:ocpi_statement_changelist")


@admin.register(StatementTerms)
class StatementTermsPage(ModelAdmin):  # type: ignore[misc]
    """How statements are made: monthly or not, disputes in or out, the hub operator's fee."""

    list_display = ("show_cpo", "show_emsp", "monthly", "include_disputed", "fee_per_cdr", "fee_per_kwh", "fee_payer")
    show_cpo = party(title="CPO")
    show_emsp = party("emsp_country_code", "emsp_party_id", title="eMSP")


def _issued(pair: statements.Pair, terms: StatementTerms, since: Any, until: Any, by: str) -> Statement | None:
    try:
        return statements.issue(pair, since, until, by=by, terms=terms)
    except statements.NothingToBill:
        return None


def _name(pair: statements.Pair) -> str:
    return f"{pair.emsp} → {pair.cpo}, {pair.currency}"


def _due(pair: statements.Pair, terms: StatementTerms, until: Any) -> str:
    found = statements.preview(pair, until, terms=terms)
    left = f"; {found.left_out} disputed left out" if found.left_out else ""
    return (
        f"{pair.emsp} owes {pair.cpo} {found.figures.incl_vat:,.2f} {pair.currency} for {found.figures.cdrs} CDRs and "
        f"{found.figures.credits} credits{left}"
    )


def _texts(row: Statement) -> list[tuple[str]]:
    return [(text,) for text in statement_papers.said(row)]


def _fee(row: Statement) -> str:
    fee = json.loads(row.figures)["fee"]
    return statement_papers.fee_text(fee) if fee else "–"


def _table(rows: list[list[str]]) -> str:
    head, *lines = rows
    return format_html(
        '<div class="o-scroll"><table class="o-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        format_html_join("", "<th>{}</th>", ((cell,) for cell in head)),
        format_html_join(
            "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in line)),) for line in lines)
        ),
    )


def _items(row: Statement) -> str:
    head = [name.replace("_", " ") for name in statement_papers.COLUMNS]
    shown = [
        ["" if cell is None else str(cell) for cell in line]
        for _, line in zip(range(_MOST_SHOWN), statement_papers.rows(row), strict=False)
    ]
    table = _table([head, *shown])
    more = row.cdrs + row.credits - len(shown)
    return format_html("{}<p class='o-muted'>{} more are in the CSV</p>", table, more) if more > 0 else table
