"""Links between the rows of admin pages, and long ids cut short in lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from ocpi.admin_pages import read_only

_LONGEST = 20


def short(text: object) -> str:
    """Return an id for a list: the beginning of a long one, all of it when pointed at."""
    whole = str(text or "")
    if not whole:
        return "–"
    return format_html(
        '<span class="o-id" title="{}">{}</span>', whole, whole if len(whole) <= _LONGEST else f"{whole[:8]}…"
    )


def shortened(field: str, title: str = "") -> Callable[[Any, Any], Any]:
    """Return a column with an id, cut short if it is long."""
    return read_only(title or field.replace("_", " "), lambda page, row: short(getattr(row, field)))


def link(row: Model, words: object = "") -> str:
    """Return a link to the page of a row."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}" class="text-primary-600 dark:text-primary-500">{}</a>', url, words or row)


def links(rows: Iterable[Model]) -> str:
    """Return links to rows, one a line."""
    return format_html_join("", "<div>{}</div>", ((link(row),) for row in rows)) or "–"
