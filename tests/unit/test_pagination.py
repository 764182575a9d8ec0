"""Lists: what a client may ask, what comes back, and that a crawl sees each object once at an even cost."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from ocpi import list_sql, lists, pagination, status

URL = "https://hub.example/ocpi/2.2.1/locations"


@pytest.fixture(autouse=True)
def _pages_of_100(settings: Settings) -> None:
    settings.OCPI_PAGE_LIMIT = 100


def next_query(answer: Any) -> dict[str, str] | None:
    """Return the query of the `next` link."""
    link = answer.headers.get("Link")
    if link is None:
        return None
    match = re.fullmatch(r'<([^>]+)>; rel="next"', link)
    assert match is not None, link
    assert match[1].startswith(URL + "?")
    return dict(parse_qsl(urlsplit(match[1]).query))


def documents(count: int) -> list[str]:
    return [json.dumps({"id": str(number)}) for number in range(count)]


# ---- asked


@pytest.mark.req("TRN-064", "TRN-066", "TRN-067")
def test_everything_may_be_left_out() -> None:
    page = pagination.read({})

    assert (page.date_from, page.date_to, page.offset, page.limit) == (None, None, 0, 100)


@pytest.mark.req("TRN-064", "TRN-066", "TRN-067", "TRN-069", "TRN-073")
@pytest.mark.parametrize(("limit", "effective"), [("1", 1), ("99", 99), ("100", 100), ("101", 100), ("2000", 100)])
def test_the_limit_is_the_smaller_of_theirs_and_ours(limit: str, effective: int) -> None:
    page = pagination.read({"limit": limit, "offset": "7"})

    assert (page.offset, page.limit) == (7, effective)
    assert pagination.answer(page, [], total=0, last_key=None, url=URL).headers["X-Limit"] == str(effective)


@pytest.mark.req("TRN-079")
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "9" * 30}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "x"}, "offset"),
        ({"offset": "10000001"}, "offset"),
        ({"date_from": "yesterday"}, "date_from"),
        ({"date_from": "2026-02-30T00:00:00Z"}, "date_from"),
        ({"date_to": "2026-01-01"}, "date_to"),
        ({"date_from": "0001-01-01T00:00:00Z"}, "date_from"),
        ({"date_from": "2026-01-02T00:00:00Z", "date_to": "2026-01-01T00:00:00Z"}, "date_to"),
    ],
    ids=str,
)
def test_impossible_queries_are_refused_by_name(query: dict[str, str], field: str) -> None:
    with pytest.raises(status.InvalidParameters, match=field):
        pagination.read(query)


@pytest.mark.req("TRN-079")
def test_equal_dates_are_allowed() -> None:
    page = pagination.read({"date_from": "2026-01-01T00:00:00Z", "date_to": "2026-01-01T00:00:00Z"})

    assert page.date_from == page.date_to


@pytest.mark.req("TRN-081")
@pytest.mark.parametrize(
    "text",
    ["2026-01-31T08:30:00Z", "2026-01-31T08:30:00", "2026-01-31T08:30:00.000Z", "2026-01-31T09:30:00 01:00",
     "2026-01-31T09:30:00+01:00"],
)  # fmt: skip
def test_dates_are_read_with_and_without_z_fraction_and_offset(text: str) -> None:
    assert pagination.read({"date_from": text}).date_from == datetime(2026, 1, 31, 8, 30, tzinfo=UTC)


@pytest.mark.req("SES-02")
def test_date_from_can_be_required() -> None:
    with pytest.raises(status.InvalidParameters, match="date_from"):
        pagination.read({}, date_from_required=True)
    assert pagination.read({"date_from": "2026-01-01T00:00:00Z"}, date_from_required=True).date_from


# ---- answered


@pytest.mark.req("TRN-068", "TRN-069", "TRN-072", "TRN-071", "TRN-028", "PIT-23", "PIT-24", "PIT-25")
def test_an_empty_list_has_an_empty_array_and_its_headers() -> None:
    answer = pagination.answer(pagination.read({}), [], total=0, last_key=None, url=URL)

    assert json.loads(answer.content)["data"] == []
    assert (answer.headers["X-Total-Count"], answer.headers["X-Limit"]) == ("0", "100")
    assert "Link" not in answer.headers


@pytest.mark.req("TRN-070", "TRN-069", "TRN-068", "PIT-23", "PIT-24")
def test_the_link_keeps_the_filters_and_carries_the_next_offset_and_limit() -> None:
    query = {"date_from": "2026-01-01T00:00:00Z", "date_to": "2026-02-01T00:00:00Z", "offset": "10", "limit": "5"}

    answer = pagination.answer(pagination.read(query), documents(5), total=100, last_key=15, url=URL)

    followed = next_query(answer)
    assert followed is not None
    assert {**query, "offset": "15"}.items() <= followed.items()
    assert (answer.headers["X-Total-Count"], answer.headers["X-Limit"]) == ("100", "5")


@pytest.mark.req("TRN-071")
@pytest.mark.parametrize(("count", "total"), [(5, 15), (3, 13)])
def test_the_last_page_has_no_link(count: int, total: int) -> None:
    page = pagination.read({"offset": "10", "limit": "5"})

    assert next_query(pagination.answer(page, documents(count), total=total, last_key=9, url=URL)) is None
    assert next_query(pagination.answer(page, documents(5), total=16, last_key=9, url=URL)) is not None


@pytest.mark.req("TRN-069", "TRN-067")
def test_the_effective_limit_is_in_the_link() -> None:
    page = pagination.read({"limit": "2000"})

    followed = next_query(pagination.answer(page, documents(100), total=101, last_key=100, url=URL))

    assert followed is not None
    assert followed["limit"] == "100"
    assert followed["offset"] == "100"


def test_a_place_counts_only_with_the_offset_and_filters_it_was_made_for() -> None:
    page = pagination.read({"limit": "5", "date_from": "2026-01-01T00:00:00Z"})
    followed = next_query(pagination.answer(page, documents(5), total=50, last_key=77, url=URL))
    assert followed is not None

    assert pagination.read(followed).after == 77
    assert pagination.read(followed).total == 50
    for changed in ({"offset": "6"}, {"date_from": "2026-01-02T00:00:00Z"}, {"place": followed["place"] + "x"}):
        assert pagination.read({**followed, **changed}).after is None


# ---- from a table


@pytest.fixture
def things(db: None) -> lists.Listing:
    """Twelve objects, a minute apart, the later the older their id is not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE things (id bigint PRIMARY KEY, document text, last_updated timestamptz, scope text "
            "GENERATED ALWAYS AS (CASE WHEN id % 2 = 0 THEN 'even' ELSE 'odd' END) STORED) ON COMMIT DROP"
        )
        for statement in list_sql.keep_sql("things"):
            cursor.execute(statement)
        cursor.execute(
            "INSERT INTO things SELECT n, '{\"id\":\"' || n || '\"}', timestamptz '2026-01-01 00:00Z' "
            "+ interval '1 minute' * (13 - n) FROM generate_series(1, 12) AS n"
        )
    return lists.Listing(table="things", scopes=("even", "odd"))


def ids(found: lists.Found) -> list[int]:
    return [int(json.loads(text)["id"]) for text in found.documents]


def crawl(listing: lists.Listing, query: dict[str, str]) -> tuple[list[int], list[int]]:
    """Follow `Link` to the end; return the ids in the order they came, and the totals."""
    seen: list[int] = []
    totals: list[int] = []
    while True:
        page = pagination.read(query)
        found = lists.fetch(listing, page)
        answer = pagination.answer(page, found.documents, total=found.total, last_key=found.last_key, url=URL)
        seen += ids(found)
        totals.append(int(answer.headers["X-Total-Count"]))
        followed = next_query(answer)
        if followed is None:
            return seen, totals
        query = followed


@pytest.mark.req("TRN-063", "TRN-066", "TRN-067", "TRN-068", "TRN-070", "TRN-074", "TRN-075", "PIT-23")
@pytest.mark.parametrize("limit", ["1", "4", "5", "12", "100"])
def test_a_crawl_sees_each_object_once_and_oldest_first(things: lists.Listing, limit: str) -> None:
    seen, totals = crawl(things, {"limit": limit})

    assert seen == list(range(1, 13))
    assert set(totals) == {12}


@pytest.mark.req("TRN-065", "TRN-068", "PIT-23")
def test_date_from_is_included_and_date_to_is_not(things: lists.Listing) -> None:
    query = {"date_from": "2026-01-01T00:03:00Z", "date_to": "2026-01-01T00:08:00Z", "limit": "2"}

    seen, totals = crawl(things, query)

    assert seen == [6, 7, 8, 9, 10]
    assert totals == [5, 5, 5]


@pytest.mark.req("TRN-079")
def test_equal_dates_give_an_empty_list(things: lists.Listing) -> None:
    moment = "2026-01-01T00:03:00Z"

    assert crawl(things, {"date_from": moment, "date_to": moment}) == ([], [0])


@pytest.mark.req("TRN-066")
def test_a_clients_own_offset_works_and_beyond_the_end_is_empty(things: lists.Listing) -> None:
    assert ids(lists.fetch(things, pagination.read({"offset": "9", "limit": "2"}))) == [10, 11]
    beyond = lists.fetch(things, pagination.read({"offset": "12"}))
    assert (beyond.documents, beyond.total) == ([], 12)


@pytest.mark.req("TRN-068", "TRN-080")
def test_only_what_the_client_may_see_is_listed_and_counted(things: lists.Listing) -> None:
    visible = lists.Listing(table="things", scopes=("even",))

    seen, totals = crawl(visible, {"limit": "4"})

    assert seen == [2, 4, 6, 8, 10, 12]
    assert totals == [6, 6]


@pytest.mark.req("TRN-075")
def test_objects_that_appear_during_a_crawl_move_nothing(things: lists.Listing) -> None:
    page = pagination.read({"limit": "10"})
    first = lists.fetch(things, page)
    answer = pagination.answer(page, first.documents, total=first.total, last_key=first.last_key, url=URL)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM things WHERE id IN (1, 2)")

    followed = next_query(answer)
    assert followed is not None
    second = lists.fetch(things, pagination.read(followed))

    assert ids(first) + ids(second) == list(range(1, 13))


def test_the_place_in_the_link_is_opaque_and_single() -> None:
    answer = pagination.answer(pagination.read({"limit": "1"}), documents(1), total=2, last_key=1, url=URL)

    assert all(len(values) == 1 for values in parse_qs(urlsplit(answer.headers["Link"]).query).values())
