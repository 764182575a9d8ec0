"""What a receiver's own pull settles: marks of objects it was shown as they are, CDRs it says it has (REL-33, REL-36).

A page is read together with the marks of its objects, in one statement and so at one moment; when the page has been
written out whole, those marks go, unless their object has changed since. A platform without marks costs one look-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.db import connection
from django.http import HttpResponse

from ocpi import outbox_settle, pagination
from ocpi.headers import Address
from ocpi.lists import Found, Listing
from ocpi.pagination import Page
from ocpi.snapshot import KnownPlatform


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a list. A platform reads for all its parties; a hub only for the one that asks, or for itself."""

    platform_id: int
    parties: tuple[Address, ...] | None  # None = whatever waits for the platform

    @classmethod
    def of(cls, platform: KnownPlatform, sender: Address | None) -> Reader:
        if not platform.is_hub:
            return cls(platform.id, None)
        if sender is not None:
            return cls(platform.id, (sender,))
        return cls(platform.id, tuple(party.address for party in platform.parties if party.role == "HUB"))

    def values(self) -> dict[str, Any]:
        keys = None if self.parties is None else ["*".join(party.key) for party in self.parties]
        return {"reader": self.platform_id, "reader_parties": keys}


def noted(listing: Listing, reader: Reader, source: str) -> Listing:
    """Return the listing so that each row comes with the reader's marks of it; `source` is the model's label."""
    return replace(listing, note=_note(source), parameters={**listing.parameters, **reader.values()})


def answer(page: Page, found: Found, *, url: str, reader: Reader, source: str) -> HttpResponse:
    """Return a page of a list that was read with `noted`, and settle what it settles once it is written out."""

    def written() -> None:
        _clear(reader.platform_id, filter(None, found.notes))
        if page.date_from and not page.offset and _has_cdrs(source):
            _confirm(reader, source, page)

    return pagination.answer(
        page, found.documents, total=found.total, last_key=found.last_key, url=url, written=written
    )


def _clear(platform_id: int, notes: Iterable[str]) -> None:
    marks = [mark.split(":") for note in notes for mark in note.split(" ")]
    if not marks:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM ocpi_delivery d USING unnest(%s::bigint[], %s::int[]) AS mark(id, change) "
            "WHERE d.id = mark.id AND d.change = mark.change AND d.state = 'MARKED' AND d.platform_id = %s",
            [[int(pk) for pk, _ in marks], [int(change) for _, change in marks], platform_id],
        )


def _confirm(reader: Reader, source: str, page: Page) -> None:
    """End the CDRs that the reader must have: it asks only for later ones (REL-33)."""
    table = apps.get_model(source)._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(_CONFIRM.format(table=table), {**reader.values(), "source": source, "date_from": page.date_from})


def _has_cdrs(source: str) -> bool:
    return source.endswith(".CDR")


@lru_cache(maxsize=16)
def _note(source: str) -> str:
    """Return the SQL of a row's marks, as "id:change id:change"; those of its parts (EVSEs) included."""
    model = apps.get_model(source)
    each = [f"d.source = '{source}' AND d.source_id = o.id"]
    parts: Any = getattr(model, "parts", None)
    if parts:
        _, label, column = parts
        table = apps.get_model(label)._meta.db_table
        each.append(f"d.source = '{label}' AND d.source_id IN (SELECT e.id FROM {table} e WHERE e.{column} = o.id)")  # noqa: S608 - our own names, values are parameters
    found = " UNION ALL ".join(
        f"SELECT d.id, d.change FROM ocpi_delivery d WHERE d.platform_id = %(reader)s AND d.kind = 'STATE' "  # noqa: S608
        f"AND d.state = 'MARKED' AND {_FOR_READER} AND {condition}"
        for condition in each
    )
    return (
        "CASE WHEN EXISTS (SELECT FROM ocpi_delivery WHERE platform_id = %(reader)s AND state = 'MARKED') "  # noqa: S608
        f"THEN (SELECT string_agg(m.id || ':' || m.change, ' ') FROM ({found}) m) END"
    )


_FOR_READER = (
    "(%(reader_parties)s::text[] IS NULL "
    "OR UPPER(d.to_country_code || '*' || d.to_party_id) = ANY(%(reader_parties)s::text[]))"
)
_CONFIRMED = outbox_settle.ALL_COLUMNS.replace("state,", "'DELIVERED',").replace("error", "'confirmed by a later pull'")
_CONFIRM = f"""
WITH gone AS (
    DELETE FROM ocpi_delivery WHERE id = ANY(ARRAY(  -- chosen once, whatever the planner takes the table for
        SELECT d.id FROM ocpi_delivery d JOIN {{table}} c ON c.id = d.source_id
        WHERE d.platform_id = %(reader)s AND d.kind = 'CDR' AND d.source = %(source)s AND {_FOR_READER}
          AND c.last_updated < %(date_from)s
        ORDER BY d.id FOR UPDATE OF d SKIP LOCKED))
    RETURNING *
)
INSERT INTO ocpi_finisheddelivery ({outbox_settle.ALL_COLUMNS}, location) SELECT {_CONFIRMED}, '' FROM gone
"""  # noqa: S608 - constants only
