"""What the CDR pages of both sides show beside the document: its periods as a chart, and the lines of its price."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html

from ocpi import cdr_picture, tariff_pricing
from ocpi.admin_links import link
from ocpi.admin_pages import read_only
from ocpi.models import CdrReview


def review_of(row: Any) -> str:
    """Return a link to what was found about a CDR."""
    found = CdrReview.objects.filter(
        country_code__iexact=row.country_code, party_id__iexact=row.party_id, cdr_id__iexact=row.object_id
    ).first()
    return link(found) if found is not None else "–"


class CdrChart:
    """To be mixed into the admin page of a model whose rows have a CDR in `document`."""

    show_chart = read_only("periods", lambda page, row: _chart(row))
    show_lines = read_only("lines of the price", lambda page, row: _lines(row))


def _check(row: Any) -> tuple[dict[str, Any], tariff_pricing.Check]:
    """Return the document and its check, which a page that shows both chart and lines makes once."""
    kept: tuple[dict[str, Any], tariff_pricing.Check] | None = row.__dict__.get("_checked")
    if kept is None:
        document = tariff_pricing.loads(row.document)
        kept = row._checked = document, tariff_pricing.check(document, (), timezone=None)
    return kept


def _chart(row: Any) -> str:
    document, check = _check(row)
    return cdr_picture.chart(document, [line.as_json() for line in check.lines])


def _lines(row: Any) -> str:
    _, check = _check(row)
    if check.reason is not None:
        return format_html('<span class="o-muted">its own Tariffs give no price: {}</span>', check.reason)
    limits = [limit.as_json() for limit in check.computed.limits] if check.computed is not None else []
    return cdr_picture.lines_table([line.as_json() for line in check.lines], limits)
