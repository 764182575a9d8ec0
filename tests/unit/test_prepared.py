"""Statements that go straight to libpq: what arrives, what comes back, and what is raised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, connection, transaction

from ocpi import prepared
from ocpi.models import Platform

MOMENT = datetime(2026, 1, 31, 8, 30, 0, 123456, tzinfo=UTC)
TEXT = "quotes \"', backslash \\, 100 % of ünïcode €, {braces}\n"


@pytest.fixture
def no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it noticed when a statement takes a cursor."""

    def refuse(*_: Any) -> prepared.Rows:
        raise AssertionError("a cursor was taken")

    monkeypatch.setattr(prepared, "_by_cursor", refuse)


@pytest.mark.django_db
@pytest.mark.req("REL-06")
def test_plain_values_arrive_as_they_are(no_cursor: None) -> None:
    Platform.objects.exists()  # the transaction has begun
    values = {
        "text": TEXT,
        "number": -(2**40),
        "yes": True,
        "nothing": None,
        "moment": MOMENT,
        "many": [TEXT, None, ""],
    }
    sql = (
        "SELECT %(text)s::text, %(number)s, %(yes)s, %(nothing)s::text, %(moment)s, %(many)b::text[], "
        "cardinality(%(none)b::text[]), %(moments)b::timestamptz[], 7 %% 4, %(text)s::text = %(text)s"
    )
    moments = [
        MOMENT,
        None,
        MOMENT + timedelta(microseconds=1),
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=2))),
    ]

    rows = prepared.fetch_all(sql, {**values, "none": [], "moments": moments})

    assert rows == [(TEXT, -(2**40), True, None, MOMENT, [TEXT, None, ""], 0, moments, 3, True)]


@pytest.mark.django_db
def test_the_types_of_one_statement_may_change(no_cursor: None) -> None:
    Platform.objects.exists()

    found = [prepared.fetch_all("SELECT coalesce(%s, 5::bigint)", [value]) for value in (None, 3, None, 2**33)]

    assert found == [[(5,)], [(3,)], [(5,)], [(2**33,)]]


@pytest.mark.django_db
def test_other_values_take_a_cursor() -> None:
    assert prepared.fetch_all("SELECT %s::numeric[]", [[1, 2]]) == [([1, 2],)]


@pytest.mark.django_db
@pytest.mark.req("SEC-46")
def test_a_nul_is_refused_and_not_the_end_of_a_text() -> None:
    Platform.objects.exists()
    for value in ("a\0b", ["a\0b"]):
        with pytest.raises(DataError, match="NUL"):
            prepared.fetch_all("SELECT %s", [value])


@pytest.mark.django_db
def test_refusals_are_djangos_own() -> None:
    Platform.objects.exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        prepared.fetch_all("INSERT INTO django_content_type (id, app_label, model) VALUES (%s, %s, %s)", [1, "a", None])

    assert prepared.fetch_all("SELECT %s::text", ["well"]) == [("well",)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.req("REL-01", "REL-06")
def test_the_first_statement_of_a_transaction_is_in_it() -> None:
    connection.ensure_connection()
    with transaction.atomic():
        prepared.fetch_all("CREATE TABLE prepared_trial AS SELECT %s::text AS value", ["x"])
        prepared.fetch_all("INSERT INTO prepared_trial VALUES (%s)", ["y"])
        transaction.set_rollback(True)

    assert prepared.fetch_all("SELECT to_regclass(%s)::text", ["prepared_trial"]) == [(None,)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.req("REL-05")
def test_a_rollback_or_a_look_by_cursor_forgets_nothing() -> None:
    for value in ("a", "b"):
        with transaction.atomic():
            assert prepared.fetch_all("SELECT %s::text", [value]) == [(value,)]
            assert prepared.fetch_all("SELECT %s::numeric[]", [[1, 2]]) == [([1, 2],)]
            transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("forget", ["DEALLOCATE ALL", "ALTER TABLE prepared_change ALTER value TYPE text"])
def test_what_the_database_has_forgotten_is_prepared_again(forget: str, inside: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE prepared_change AS SELECT 7 AS value")
        try:
            sql = "SELECT value::text, value FROM prepared_change WHERE %s"
            assert prepared.fetch_all(sql, [True]) == [("7", 7)]
            cursor.execute(forget)
            if inside:
                with pytest.raises(DatabaseError), transaction.atomic():
                    prepared.fetch_all(sql, [True])

            assert prepared.fetch_all(sql, [True])[0][0] == "7"
        finally:
            cursor.execute("DROP TABLE prepared_change")


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_is_an_operational_error_and_the_next_one_works() -> None:
    connection.ensure_connection()
    with psycopg.connect(**_address(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        with pytest.raises(OperationalError):
            prepared.fetch_all("SELECT %s::text", ["lost"])
    connection.close()

    assert prepared.fetch_all("SELECT %s::text", ["back"]) == [("back",)]


def _address() -> dict[str, Any]:
    given = connection.get_connection_params()
    return {name: given[name] for name in ("dbname", "host", "port", "user", "password") if given.get(name)}
