"""Days of the exchange log: made ahead, emptied, kept within the budget, dropped; and nobody waits for it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from ocpi import exchange_partitions, exchanges, registry_sql, traffic
from ocpi.exchange_columns import Entry
from ocpi.models import Exchange

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
pytestmark = [pytest.mark.django_db, pytest.mark.req("REL-55")]


@pytest.fixture(autouse=True)
def _kept(settings: Settings) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()


def keep(days_ago: float, **columns: Any) -> None:
    given: dict[str, Any] = {
        "direction": "IN", "at": (NOW - timedelta(days=days_ago)).timestamp(), "method": "PUT", "url": "/x",
        "module": "locations", "request_body": b'{"a":1}', "response_body": b'{"status_code":1000}', **columns,
    }  # fmt: skip
    exchanges.record(Entry(**given))
    exchanges.flush()


def tables() -> list[str]:
    return [day.name for day in exchange_partitions._days()]


def make(*days_ago: int) -> None:
    with connection.cursor() as cursor:
        for days in days_ago:
            cursor.execute(registry_sql.create_partition_sql((NOW - timedelta(days=days)).date()))


def test_days_are_made_ahead_with_all_indexes_and_take_what_came_before() -> None:
    keep(0)
    keep(-1)

    exchange_partitions.care(NOW)

    assert tables() == [registry_sql.partition_name((NOW + timedelta(days=n)).date()) for n in range(8)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ocpi_exchange_default")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass AND indisvalid", [tables()[0]])
        assert cursor.fetchone() == (5,)
        # All of them belong to those of the whole table: none is made twice.
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'exchange_in_time'::regclass")
        assert cursor.fetchone() == (9,)
    assert Exchange.objects.count() == 2


def test_a_day_that_was_left_half_made_is_finished() -> None:
    keep(0)
    name = registry_sql.partition_name(NOW.date())
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} (LIKE ocpi_exchange INCLUDING ALL)")
        cursor.execute(f"INSERT INTO {name} SELECT * FROM ocpi_exchange_default")  # noqa: S608
        cursor.execute("DELETE FROM ocpi_exchange_default")
    assert Exchange.objects.count() == 0

    exchange_partitions.care(NOW)

    assert Exchange.objects.count() == 1


def test_old_days_are_dropped_and_days_in_force_are_not(settings: Settings) -> None:
    settings.OCPI_EXCHANGE_DAYS = 3
    make(4, 3)
    keep(4)
    keep(3)
    keep(50)

    exchange_partitions.care(NOW)

    assert [row.at for row in Exchange.objects.all()] == [NOW - timedelta(days=3)]


def test_bodies_of_tokens_and_cdrs_go_after_a_week_to_the_hour() -> None:
    make(9, 7)
    for days in (9, 7.1, 6.9):
        for module in ("tokens", "cdrs", "locations"):
            keep(days, module=module)

    exchange_partitions.care(NOW)

    emptied = {(row.module, (NOW - row.at).days) for row in Exchange.objects.filter(request_body="", response_body="")}
    assert emptied == {("tokens", 9), ("cdrs", 9), ("tokens", 7), ("cdrs", 7)}
    assert {day.done != "" for day in exchange_partitions._days() if day.end <= NOW - timedelta(days=7)} == {True}


def test_what_was_only_read_of_tokens_and_cdrs_goes_as_well() -> None:
    make(9)
    for module in ("tokens", "cdrs"):
        keep(9, module=module, method="GET", request_body=b"")

    exchange_partitions.care(NOW)

    assert list(Exchange.objects.values_list("response_body", flat=True)) == ["", ""]


def _over(settings: Settings, monkeypatch: pytest.MonkeyPatch, budget: int, *sizes: int) -> None:
    """Have the days of the past take so many megabytes each, a tenth of that without bodies."""
    settings.OCPI_EXCHANGE_BUDGET_MB = budget
    days = exchange_partitions._days

    def sized() -> list[exchange_partitions.Day]:
        found = days()
        past = [day for day in found if day.end <= NOW]
        size = dict(zip([day.name for day in past], sizes[-len(past) or None :], strict=False))
        return [
            exchange_partitions.Day(
                day.name, day.start, (size.get(day.name, 0) << 20) // (10 if "budget" in day.done else 1), day.done
            )
            for day in found
        ]

    monkeypatch.setattr(exchange_partitions, "_days", sized)
    monkeypatch.setattr(exchange_partitions, "_octets", lambda table: 0)


def test_over_the_budget_the_bodies_of_the_oldest_days_go_and_an_operator_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(0, 1, 2, 3)
    for days in range(4):
        keep(days)
    _over(settings, monkeypatch, 250, 100, 100, 100)
    noted: list[str] = []
    monkeypatch.setattr(traffic, "note_log", noted.append)

    exchange_partitions.care(NOW)

    kept = {(NOW - row.at).days: (bool(row.request_body), bool(row.response_body)) for row in Exchange.objects.all()}
    assert kept == {3: (False, False), 2: (True, True), 1: (True, True), 0: (True, True)}
    assert noted == ["budget"]
    room = exchange_partitions.room()
    assert (room.is_over, room.without_bodies) == (False, 1)
    # What was emptied is found as before.
    assert len(tables()) == 11


def test_if_bodies_are_not_enough_the_oldest_days_go(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make(0, 1, 2)
    for days in range(3):
        keep(days)
    _over(settings, monkeypatch, 15, 100, 100)

    exchange_partitions.care(NOW)

    assert sorted((NOW - row.at).days for row in Exchange.objects.all()) == [0, 1]


def test_without_a_budget_nothing_goes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make(1)
    keep(1)
    _over(settings, monkeypatch, 0, 100)

    exchange_partitions.care(NOW)

    assert Exchange.objects.exclude(request_body="").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_is_not_to_be_had_is_left_for_later_and_holds_up_no_writer() -> None:
    place = connection.get_connection_params()
    keep_only = {name: place[name] for name in ("dbname", "host", "port", "user", "password") if place.get(name)}
    make(40)
    try:
        with psycopg.connect(**keep_only) as reading:
            reading.execute("SELECT count(*) FROM ocpi_exchange")  # and stays in its transaction
            caring = threading.Thread(target=_care_elsewhere)
            caring.start()
            waited = 0.0
            while caring.is_alive():
                started = time.monotonic()
                keep(0)
                waited = max(waited, time.monotonic() - started)
                time.sleep(0.01)
            caring.join()
            assert registry_sql.partition_name((NOW - timedelta(days=40)).date()) in tables()
        assert waited < 5  # a lock is waited for for 0.3 s at most; the rest is for a slow machine

        exchange_partitions.care(NOW)

        assert registry_sql.partition_name((NOW - timedelta(days=40)).date()) not in tables()
    finally:
        with connection.cursor() as cursor:
            for name in tables():
                cursor.execute(f"DROP TABLE {name}")
            cursor.execute("TRUNCATE ocpi_exchange")


def _care_elsewhere() -> None:
    try:
        exchange_partitions.care(NOW)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_one_process_at_a_time() -> None:
    place = connection.get_connection_params()
    keep_only = {name: place[name] for name in ("dbname", "host", "port", "user", "password") if place.get(name)}
    with psycopg.connect(autocommit=True, **keep_only) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [exchange_partitions._LOCK_KEY])

        exchange_partitions.care(NOW)

    assert tables() == []
