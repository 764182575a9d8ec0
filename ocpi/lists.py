"""Stored documents as text: whole ones by key, and pages of them, at a cost that does not grow with the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from ocpi.pagination import Page


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of documents as a Sender interface shows it. All parts are SQL of ours, never a partner's text."""

    table: str
    text: str = "o.document"  # the JSON text of row `o`
    where: str = "TRUE"  # which rows the requester may see
    parameters: tuple[Any, ...] = ()
    count_scope: str | None = None  # the ObjectCount scope that equals `where`; None = count the rows
    moment: str = "o.last_updated"  # what date_from and date_to are held against


@dataclass(frozen=True, slots=True)
class Found:
    documents: list[str]
    total: int
    last_key: int | None


def fetch(listing: Listing, page: Page) -> Found:
    """Return one page, oldest first (TRN-074, TRN-075), and the number of all that match (TRN-068)."""
    conditions, parameters = [listing.where], list(listing.parameters)
    if page.date_from:
        conditions.append(f"{listing.moment} >= %s")
        parameters.append(page.date_from)
    if page.date_to:
        conditions.append(f"{listing.moment} < %s")
        parameters.append(page.date_to)
    where = " AND ".join(conditions)
    filtered = bool(page.date_from or page.date_to)
    with connection.cursor() as cursor:
        total = page.total
        if total is None:
            total = _count(cursor, listing, where, parameters, filtered=filtered)
        rows = _rows(cursor, listing, where, parameters, page) if page.offset < total else []
    return Found([text for _, text in rows], total, rows[-1][0] if rows else None)


def _count(cursor: Any, listing: Listing, where: str, parameters: Sequence[Any], *, filtered: bool) -> int:
    if listing.count_scope is not None and not filtered:
        cursor.execute(
            "SELECT COALESCE(SUM(amount), 0) FROM ocpi_objectcount WHERE relation = %s AND scope = %s",
            [listing.table, listing.count_scope],
        )
    else:
        cursor.execute(f"SELECT COUNT(*) FROM {listing.table} o WHERE {where}", parameters)  # noqa: S608
    return int(cursor.fetchone()[0])


def _rows(cursor: Any, listing: Listing, where: str, parameters: Sequence[Any], page: Page) -> list[tuple[int, str]]:
    table, text = listing.table, listing.text
    if page.after is not None:
        sql = f"SELECT o.id, {text} FROM {table} o WHERE {where} AND o.id > %s ORDER BY o.id LIMIT %s"  # noqa: S608
        values = [*parameters, page.after, page.limit]
    else:
        # Ids first: skipped rows are read from an index and their documents are never touched.
        sql = (
            f"WITH page AS MATERIALIZED (SELECT o.id FROM {table} o WHERE {where} ORDER BY o.id "  # noqa: S608
            f"OFFSET %s LIMIT %s) SELECT o.id, {text} FROM page JOIN {table} o ON o.id = page.id ORDER BY o.id"
        )
        values = [*parameters, page.offset, page.limit]
    cursor.execute(sql, values)
    return list(cursor.fetchall())
