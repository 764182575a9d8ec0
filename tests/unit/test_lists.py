"""Pages and totals from kept counts, held against all rows read one by one."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from ocpi import counts, lists, pagination
from ocpi.lists import Listing
from tests.statements import at_most

BASE = datetime(2026, 3, 1, tzinfo=UTC)
MINE, ALSO_MINE, FOREIGN = ("NL*TNM", "DE*EMS"), ("NL*TNM", "BE*MSX"), ("NL*TNM", "FR*XYZ")
pytestmark = pytest.mark.django_db


@dataclass
class Row:
    id: int
    scope: str
    moment: datetime


def insert(rows: list[Row]) -> None:
    """Put Sessions into the table in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cpo_session (id, country_code, party_id, object_id, last_updated, document, status, "
            "token_uid, start_date_time, emsp_country_code, emsp_party_id, location_id) "
            "SELECT id, 'nl', 'TNM', id::text, moment, id::text, 'ACTIVE', 'T', now(), "
            "split_part(split_part(scope, ' ', 2), '*', 1), split_part(scope, '*', 3), 'L' "
            "FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) each(id, scope, moment)",
            [[row.id for row in rows], [row.scope for row in rows], [row.moment for row in rows]],
        )


def scope(pair: tuple[str, str]) -> str:
    return " ".join(pair)


@pytest.fixture(params=["few are sorted", "all are walked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to find a filtered page, whatever the number of rows."""
    if request.param == "all are walked":
        monkeypatch.setattr(lists, "FEW", 0)
        monkeypatch.setattr(lists, "NEAR", 0)
        monkeypatch.setattr(lists, "MERGED", 2)
        monkeypatch.setattr(lists, "_EDGE", 1)
    return str(request.param)


class Store:
    """Rows in the table, and the same in memory."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows: dict[int, Row] = {}

    def moment(self) -> datetime:
        # Much in one second, some of it in one instant; the rest over days or years.
        spread = self.random.choice([0.0, 0.9, 70.0, 5_000.0, 900_000.0, 9e7])
        return BASE + timedelta(seconds=round(self.random.uniform(0, spread), self.random.choice([0, 3])))

    def grow(self, count: int) -> None:
        start = max(self.rows, default=0)
        ids = self.random.sample(range(start + 1, start + 1 + count * 400), count)
        added = [Row(each, scope(self.random.choice([MINE, MINE, ALSO_MINE, FOREIGN])), self.moment()) for each in ids]
        insert(added)
        self.rows |= {row.id: row for row in added}

    def change(self) -> None:
        changed = self.random.sample(sorted(self.rows), 12)
        with connection.cursor() as cursor:
            for each in changed[:8]:
                row = self.rows[each]
                row.moment = self.moment()
                cursor.execute("UPDATE cpo_session SET last_updated = %s WHERE id = %s", [row.moment, each])
            for each in changed[8:]:
                self.rows[each].scope = scope(ALSO_MINE)
            cursor.execute(
                "UPDATE cpo_session SET emsp_country_code = 'be', emsp_party_id = 'MSX' WHERE id = ANY(%s)",
                [changed[8:]],
            )
            gone = self.random.sample(sorted(self.rows), 5)
            cursor.execute("DELETE FROM cpo_session WHERE id = ANY(%s)", [gone])
        self.rows = {key: row for key, row in self.rows.items() if key not in gone}

    def matching(self, pairs: list[tuple[str, str]], low: datetime | None, high: datetime | None) -> list[str]:
        scopes = {scope(pair) for pair in pairs}
        return [
            str(key)
            for key, row in sorted(self.rows.items())
            if row.scope in scopes and (low is None or row.moment >= low) and (high is None or row.moment < high)
        ]

    def span(self) -> tuple[datetime | None, datetime | None]:
        moments = [row.moment for row in self.rows.values()]
        found = sorted(self.random.choice(moments) + timedelta(milliseconds=self.random.choice([-1, 0, 1]))
                       for _ in range(2))  # fmt: skip
        return self.random.choice([(found[0], found[1]), (found[0], None), (None, found[1]), (None, None)])


def page(low: datetime | None, high: datetime | None, offset: int, limit: int) -> pagination.Page:
    return pagination.Page(date_from=low, date_to=high, offset=offset, limit=limit, filters=())


@pytest.mark.req("TRN-064", "TRN-065", "TRN-066", "TRN-067", "TRN-068", "TRN-074", "TRN-075", "PIT-60")
@pytest.mark.parametrize("seed", range(4))
def test_pages_and_totals_are_those_of_reading_every_row(way: str, seed: int) -> None:
    store = Store(seed)
    for _ in range(4):
        store.grow(60)
        store.change()
        if store.random.random() < 0.5:
            counts.compact(batch=store.random.choice([7, 1000]))
        for _ in range(12):
            pairs = store.random.choice([[MINE], [MINE, ALSO_MINE], [FOREIGN, ALSO_MINE, MINE]])
            low, high = store.span()
            expected = store.matching(pairs, low, high)
            listing = Listing("cpo_session", scopes=tuple(scope(pair) for pair in pairs))
            limit, offset = store.random.randint(1, 40), store.random.randint(0, len(expected) + 2)

            with at_most(4):
                found = lists.fetch(listing, page(low, high, offset, limit))

            assert (found.total, found.documents) == (len(expected), expected[offset : offset + limit])
            crawled: list[str] = []
            asked = page(low, high, 0, limit)
            while len(crawled) < len(expected):
                found = lists.fetch(listing, asked)
                crawled += found.documents
                assert found.last_key is not None
                asked = asked.next(last_key=found.last_key, total=found.total)
            assert crawled == expected


@pytest.mark.parametrize("seed", range(3))
def test_ranges_make_up_exactly_the_seconds_between(seed: int) -> None:
    numbers = random.Random(seed)
    for _ in range(300):
        low = numbers.randint(-200, 1 << numbers.randint(1, 34))
        high = low + numbers.randint(-2, 1 << numbers.randint(1, 34))

        parts = counts.ranges(low, high)

        pieces = sorted((begin << 6 * level, end << 6 * level) for level, begin, end in parts)
        assert sum(end - begin for begin, end in pieces) == max(high - low, 0)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(pieces))
        assert not pieces or pieces[0][0] == low
        assert all(end - begin <= 126 for level, begin, end in parts if level < counts.TOP)


def test_what_is_summed_up_leaves_nothing_behind_when_the_rows_go() -> None:
    insert([Row(number, scope(MINE), BASE + timedelta(seconds=number)) for number in range(1, 50)])
    counts.compact()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM cpo_session")
        counts.compact()
        cursor.execute("SELECT (SELECT COUNT(*) FROM ocpi_objectcount), (SELECT COUNT(*) FROM ocpi_objectbucket), "
                       "(SELECT COUNT(*) FROM ocpi_objectblock)")  # fmt: skip
        assert cursor.fetchone() == (0, 0, 0)


def test_a_change_within_one_second_is_not_noted() -> None:
    insert([Row(1, scope(MINE), BASE)])
    counts.compact()

    with connection.cursor() as cursor:
        cursor.execute("UPDATE cpo_session SET last_updated = %s", [BASE + timedelta(milliseconds=10)])
        cursor.execute("SELECT COUNT(*) FROM ocpi_objectcount")
        assert cursor.fetchone() == (0,)


@pytest.mark.req("TRN-068")
@pytest.mark.parametrize("low", [0.2, 0.5, 0.7])
def test_very_many_rows_in_one_instant_are_not_counted_one_by_one(monkeypatch: pytest.MonkeyPatch, low: float) -> None:
    monkeypatch.setattr(lists, "_EDGE", 10)
    insert([Row(number, scope(MINE), BASE + timedelta(seconds=0.5)) for number in range(1, 500)])
    counts.compact()

    with at_most(2):
        found = lists.fetch(Listing("cpo_session", (scope(MINE),)), page(BASE + timedelta(seconds=low), None, 0, 5))

    assert found.total == (0 if low > 0.5 else 499)


@pytest.mark.req("PIT-59", "TRN-074", "TRN-075")
def test_rows_that_change_during_a_filtered_crawl_shift_no_page(way: str) -> None:
    insert([Row(number, scope(MINE), BASE + timedelta(hours=number % 7)) for number in range(1, 31)])
    listing, asked = Listing("cpo_session", (scope(MINE),)), page(BASE, None, 0, 10)
    seen: list[str] = []
    for _ in range(3):
        found = lists.fetch(listing, asked)
        assert found.last_key is not None
        seen += found.documents
        asked = asked.next(last_key=found.last_key, total=found.total)
        with connection.cursor() as cursor:  # some that were seen, some that were not
            cursor.execute("UPDATE cpo_session SET last_updated = last_updated + interval '9 days' WHERE id % 3 = 0")

    assert seen == [str(number) for number in range(1, 31)]


@pytest.mark.req("TRN-068")
@pytest.mark.django_db(transaction=True)
def test_the_total_is_exact_at_every_moment_while_others_write_and_sum_up() -> None:
    insert([Row(number, scope(MINE), BASE + timedelta(seconds=number)) for number in range(1, 60)])
    kept, since = counts.Kept("cpo_session", (scope(MINE),)), 20
    sql, values = counts.total_sql(kept, int(BASE.timestamp()) + since, None)
    exact = "(SELECT COUNT(*) FROM cpo_session WHERE scope = %(mine)s AND last_updated >= %(since)s)"
    done = threading.Event()

    def repeat(step: Callable[[int], object]) -> None:
        try:
            for number in itertools.count():
                if done.is_set():
                    return
                step(number)
        finally:
            connection.close()

    def change(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE cpo_session SET last_updated = %s WHERE id = %s",
                [BASE + timedelta(seconds=number * 13 % 60), 1 + number * 7 % 59],
            )

    def come_and_go(number: int) -> None:
        insert([Row(1000 + number, scope(MINE), BASE + timedelta(seconds=number % 60))])
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM cpo_session WHERE id > 1000 AND id % 3 = 0")

    threads = [
        threading.Thread(target=repeat, args=[step])
        for step in (change, come_and_go, lambda _: counts.compact(batch=20))
    ]
    for thread in threads:
        thread.start()
    try:
        with connection.cursor() as cursor:
            for _ in range(150):  # both numbers in one statement, and so of one moment
                cursor.execute(
                    f"SELECT {sql}, {exact}",
                    {**values, "mine": scope(MINE), "since": BASE + timedelta(seconds=since)},
                )
                found, wanted = cursor.fetchone()
                assert found == wanted
    finally:
        done.set()
        for thread in threads:
            thread.join()
