"""How the database comes to a page: by indexes alone, and without touching more rows than a page and a block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cpo.modules.sessions_operations import of_emsps
from hub.shared_lists import Owners
from hub.shared_lists import listing as of_hub
from ocpi import counts, lists
from ocpi.headers import Address
from ocpi.lists import Listing
from ocpi.pagination import Page
from tests.people import Person

ROWS, LIMIT = 14_000, 50
BASE = datetime(2026, 3, 1, tzinfo=UTC)
OWNER, EMSP, SECOND = Address("NL", "TNM"), Address("DE", "EMS"), Address("BE", "MSX")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("vacuumed")]

_CDRS = """
INSERT INTO cpo_cdr (country_code, party_id, object_id, last_updated, document, token_uid, start_date_time, session_id,
                     emsp_country_code, emsp_party_id, reason)
SELECT 'NL', 'TNM', n::text, %s::timestamptz + n * interval '1 minute', '{}', 'T', now(), '', 'DE',
       CASE WHEN n %% 10 = 0 THEN 'TWO' ELSE 'EMS' END, ''
FROM generate_series(1, %s) n
"""
# Changed at any time, whatever their ids.
_SHARED = """
INSERT INTO hub_sharedobject (platform_id, module, country_code, party_id, path, kind, last_updated, received_at,
                              document)
SELECT %s, 'tariffs', 'NL', 'TNM', n::text, '', moment, moment, '{}'
FROM generate_series(1, %s) n, LATERAL (SELECT %s::timestamptz + (n * 7919 %% 14001) * interval '1 minute') m(moment)
"""


@pytest.fixture
def cdrs(db: None) -> Listing:
    """Rows for two eMSPs, one a minute, both of which the caller speaks for."""
    with connection.cursor() as cursor:
        cursor.execute(_CDRS, [BASE, ROWS])
    _settle("cpo_cdr")
    return of_emsps("cpo_cdr", OWNER, [EMSP, Address("DE", "TWO")])


@pytest.fixture
def shared(cpo: Person, emsp: Person) -> Listing:
    with connection.cursor() as cursor:
        cursor.execute(_SHARED, [cpo.id, ROWS, BASE])
    _settle("hub_sharedobject")
    return of_hub("tariffs", emsp.address, Owners())


def _settle(table: str) -> None:
    counts.compact()
    with connection.cursor() as cursor:
        for name in (table, "ocpi_objectcount", "ocpi_objectbucket", "ocpi_objectblock"):
            cursor.execute(f"ANALYZE {name}")


def minute(number: int) -> datetime:
    return BASE + timedelta(minutes=number)


FIRST = Page(date_from=None, date_to=None, offset=0, limit=LIMIT, filters=())
PAGES = {
    "first": FIRST,
    "by Link": replace(FIRST, offset=10_000, after=10_000, total=ROWS),
    "by offset": replace(FIRST, offset=ROWS - LIMIT),
    "old": replace(FIRST, date_from=minute(-10)),
    "old, by Link": replace(FIRST, date_from=minute(-10), offset=10_000, after=10_000, total=ROWS),
    "old, by offset": replace(FIRST, date_from=minute(-10), offset=ROWS - LIMIT),
    "half": replace(FIRST, date_from=minute(ROWS // 2)),
    "recent": replace(FIRST, date_from=minute(ROWS - 100)),
    "stretch": replace(FIRST, date_from=minute(5_000), date_to=minute(9_500)),
    "fraction": replace(FIRST, date_from=minute(5_000) + timedelta(milliseconds=1)),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explained(listing: Listing, page: Page) -> list[dict[str, Any]]:
    """Return every step the database takes for a page; without sequential scans, if there is any other way."""
    with CaptureQueriesContext(connection) as captured:
        found = lists.fetch(listing, page)
    assert found.documents
    assert len(captured) <= 4
    steps: list[dict[str, Any]] = []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in captured.captured_queries:
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query["sql"].replace("%", "%%"))
            [(plan,)] = cursor.fetchall()
            steps += nodes((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
        cursor.execute("SET LOCAL enable_seqscan = on")
    return steps


def touched(steps: list[dict[str, Any]], table: str) -> int:
    """Return how many rows of a table, or entries of its indexes, were looked at."""
    return sum(
        (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
        for step in steps
        if step.get("Relation Name") == table
    )


def check(listing: Listing, page: str, most: int) -> None:
    steps = explained(listing, PAGES[page])
    assert not [step for step in steps if step["Node Type"] == "Seq Scan"], page
    assert touched(steps, listing.table) <= most, page
    kept = sum(touched(steps, f"ocpi_object{name}") for name in ("count", "bucket", "block"))
    assert kept < 800


# A page and its documents, for each of two scopes; with an offset, the block in which that lies.
_PAGE, _BLOCK = 4 * LIMIT, 2 * lists.NEAR + 4 * LIMIT
_MOST = {
    "first": _PAGE,
    "by Link": _PAGE,
    "by offset": _BLOCK,
    "old": _PAGE,
    "old, by Link": _PAGE,
    "old, by offset": _BLOCK,
    "recent": _PAGE + 100,
}


@pytest.mark.req("PIT-60", "TRN-074")
def test_a_page_of_cdrs_touches_few_rows(cdrs: Listing) -> None:
    for page in PAGES:
        check(cdrs, page, _MOST.get(page, _BLOCK))


@pytest.mark.req("PIT-60", "HUB-60")
def test_a_page_of_what_the_hub_keeps_touches_few_rows(shared: Listing) -> None:
    for page in PAGES:
        # With changes spread over all ids, an offset of the client's own is counted from the beginning.
        spread = page in ("half", "stretch", "fraction")
        check(shared, page, _BLOCK if spread else _MOST[page])
