"""A statement on paper: as PDF, and its CDRs as CSV (one line each, streamed)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from django.conf import settings

from ocpi import statement_figures, statement_text
from ocpi.models import Party, Statement, StatementItem

COLUMNS = ("position", "cdr_id", "credit_of", "session_id", "start", "end", "location", "evse", "token", "kwh",
           "excl_vat", "vat", "incl_vat", "rates")  # fmt: skip
_AT_ONCE = 2000
_MOST_LINES = 5000  # on paper; the CSV has all
_WIDTHS = (9, 52, 25, 33, 15, 16, 12, 16)  # mm, of the columns of the CDRs: an id of 36 characters fits
_PADDING = 3  # pt
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(statement: Statement) -> Iterator[tuple[object, ...]]:
    """Yield the CDRs of a statement in their order, as `COLUMNS` says."""
    items = StatementItem.objects.filter(statement=statement).select_related("review").order_by("position")
    for item in items.iterator(chunk_size=_AT_ONCE):
        cdr = item.review
        yield (
            item.position, cdr.cdr_id, cdr.credit_reference_id, cdr.session_id, f"{cdr.start_at:%FT%TZ}",
            f"{cdr.end_at:%FT%TZ}", cdr.location_id, cdr.evse_uid, cdr.token_uid, item.energy, item.excl_vat, item.vat,
            item.excl_vat + item.vat, _rates(item.rates),
        )  # fmt: skip


def as_csv(statement: Statement) -> Iterator[str]:
    """Yield the lines of a statement's CSV; what a partner wrote is no formula in a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for number, row in enumerate(rows(statement), 1):
        writer.writerow([_harmless(cell) for cell in row])
        if number % 500 == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def as_pdf(statement: Statement) -> bytes:
    """Return a statement as PDF: who owes whom what, the sums per VAT rate, the fee, and its CDRs."""
    # Half a second and thirty megabytes: only where somebody asks for paper.
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.lib.units import mm
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, Table

    for font in statement_text.CID_FONTS:
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    styles = getSampleStyleSheet()
    small = styles["Normal"].clone("small", fontSize=7, leading=8.5)

    widths = [width * mm for width in _WIDTHS]

    def cell(value: object, width: float) -> Any:
        text = str(value)
        if statement_text.is_plain(text) and pdfmetrics.stringWidth(text, "Helvetica", 7) <= width - 2 * _PADDING:
            return text  # a Paragraph costs a hundred times as much
        return Paragraph(statement_text.markup(text), small)

    line = [("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey), ("FONTSIZE", (0, 0), (-1, -1), 7),
            ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"), ("VALIGN", (0, 0), (-1, -1), "TOP")]  # fmt: skip
    figures, texts = json.loads(statement.figures), said(statement)
    story: list[Any] = [
        Paragraph(escape(f"Statement {statement.number}"), styles["Title"]),
        *(Paragraph(statement_text.markup(text), styles["Normal"]) for text in texts),
        *([Paragraph(f"<i>{statement_text.NOTE}</i>", small)] if any(map(statement_text.is_rewritten, texts)) else []),
        Spacer(1, 6 * mm),
        Table(sums(figures), style=[*line, ("FONTSIZE", (0, 0), (-1, -1), 9), ("ALIGN", (1, 0), (-1, -1), "RIGHT")],
              hAlign="LEFT"),
    ]  # fmt: skip
    if figures["fee"]:
        story += [Spacer(1, 4 * mm), Paragraph(statement_text.markup(fee_text(figures["fee"])), styles["Normal"])]
    story.append(Spacer(1, 8 * mm))
    shown = [list(map(cell, row, widths)) for _, row in zip(range(_MOST_LINES), _short_rows(statement), strict=False)]
    head = ["", "CDR", "start (UTC)", "EVSE", "kWh", "excl. VAT", "VAT", "incl. VAT"]
    style = [*line, ("ALIGN", (4, 0), (-1, -1), "RIGHT"), ("LEFTPADDING", (0, 0), (-1, -1), _PADDING),
             ("RIGHTPADDING", (0, 0), (-1, -1), _PADDING)]  # fmt: skip
    story.append(LongTable([head, *shown], style=style, colWidths=widths, repeatRows=1))
    if statement.cdrs + statement.credits > _MOST_LINES:
        story.append(Paragraph(f"The CSV has all {statement.cdrs + statement.credits} CDRs.", styles["Normal"]))
    paper = io.BytesIO()
    template = SimpleDocTemplate(
        paper, pagesize=A4, leftMargin=16 * mm, rightMargin=16 * mm, topMargin=16 * mm, bottomMargin=16 * mm,
        title=f"Statement {statement.number}", author=settings.OCPI_BUSINESS_NAME, invariant=1,
    )  # fmt: skip

    def foot(canvas: Any, document: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.drawString(16 * mm, 9 * mm, f"{statement.number}  ·  SHA-256 {statement.digest}")
        canvas.drawRightString(A4[0] - 16 * mm, 9 * mm, f"page {document.page}")

    template.build(story, onFirstPage=foot, onLaterPages=foot)
    return paper.getvalue()


def said(statement: Statement) -> list[str]:
    """Return what a statement says in words."""
    texts = [
        f"{_named(statement.emsp_country_code, statement.emsp_party_id)} owes "
        f"{_named(statement.country_code, statement.party_id)} {_amount(statement.incl_vat)} {statement.currency} "
        f"including {_amount(statement.vat)} {statement.currency} VAT.",
        f"Charging sessions that ended before {statement.until:%Y-%m-%d %H:%M} UTC; period from "
        f"{statement.since:%Y-%m-%d}. {statement.cdrs} CDRs, {statement.credits} credits, {statement.energy:f} kWh.",
        f"Issued on {statement.issued_at:%Y-%m-%d %H:%M} UTC at {settings.OCPI_BUSINESS_NAME} ({statement.issued_by}).",
    ]
    if statement.left_out:
        texts.append(
            f"Left out because they are disputed: {statement.left_out} CDRs, "
            f"{_amount(statement.left_out_excl_vat)} {statement.currency} excluding VAT."
        )
    if statement.disputed_in:
        texts.append("Disputed CDRs are in it, too.")
    return [*texts, *([statement.note] if statement.note else [])]


def sums(figures: dict[str, Any]) -> list[list[str]]:
    """Return the table of sums per VAT rate, with its head and its total."""
    rates = [
        ["VAT not stated" if each["rate"] is None else f"{each['rate']} % VAT", each["excl_vat"], each["vat"],
         str(Decimal(each["excl_vat"]) + Decimal(each["vat"]))]
        for each in figures["rates"]
    ]  # fmt: skip
    total = ["Total", figures["excl_vat"], figures["vat"], figures["incl_vat"]]
    return [[figures["currency"], "excl. VAT", "VAT", "incl. VAT"], *rates, total]


def fee_text(fee: dict[str, Any]) -> str:
    """Return what a fee says in words; it is owed to the hub operator, not to the CPO."""
    parts = [f"{fee['per_cdr']} per CDR × {fee['cdrs']}" if Decimal(fee["per_cdr"]) else "",
             f"{fee['per_kwh']} per kWh × {fee['energy']}" if Decimal(fee["per_kwh"]) else ""]  # fmt: skip
    return (
        f"Fee of {settings.OCPI_BUSINESS_NAME}, to be paid by the {'eMSP' if fee['payer'] == 'EMSP' else 'CPO'}: "
        f"{' + '.join(part for part in parts if part)} = {fee['excl_vat']} {fee['currency']}, plus {fee['rate']} % VAT "
        f"{fee['vat']}: {fee['incl_vat']} {fee['currency']}."
    )


def _short_rows(statement: Statement) -> Iterator[tuple[object, ...]]:
    for row in rows(statement):
        position, cdr_id, credit_of, _, start, _, _, evse, _, kwh, excl, vat, incl, _ = row
        name = f"{cdr_id} (takes back {credit_of})" if credit_of else cdr_id
        yield position, name, str(start)[:16].replace("T", " "), evse, kwh, excl, vat, incl


def _named(country_code: str, party_id: str) -> str:
    party = Party.objects.filter(country_code__iexact=country_code, party_id__iexact=party_id).first()
    name = str(party.business_details.get("name") or "") if party is not None else ""
    return f"{name} ({country_code}*{party_id})" if name else f"{country_code}*{party_id}"


def _rates(text: str) -> str:
    return " ".join("?" if rate is None else f"{rate:f}%" for rate, _, _ in statement_figures.read(text))


def _amount(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
