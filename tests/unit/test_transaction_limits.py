"""No transaction lasts longer than 30 s, so that nothing becomes visible too late for a puller (REL-54)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection, transaction
from pytest_django.fixtures import Settings

from ocpi import transaction_limits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.req("REL-54")]


@pytest.fixture
def limited(settings: Settings) -> Iterator[None]:
    """Connections as of an instance, but for a limit of a moment."""
    settings.OCPI_TRANSACTION_TIMEOUT = 0.5
    connection.close()
    connection.ensure_connection()
    assert connection.connection is not None
    if connection.connection.info.server_version < transaction_limits.KNOWN_SINCE:
        pytest.skip("this PostgreSQL limits statements and pauses, not the sum of them")
    yield
    connection.close()


def _shown(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


def _many_short_statements(seconds: float) -> None:
    until = time.monotonic() + seconds
    with transaction.atomic(), connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute("SELECT pg_sleep(0.05)")


def test_many_short_statements_do_not_make_a_long_transaction(limited: None) -> None:
    with pytest.raises(DatabaseError, match="transaction timeout"):
        _many_short_statements(10)

    connection.close()
    with connection.cursor() as cursor:  # the next request has a connection again
        cursor.execute("SELECT 1")


def test_statements_outside_of_a_transaction_are_not_added_up(limited: None) -> None:
    with connection.cursor() as cursor:
        for _ in range(15):
            cursor.execute("SELECT pg_sleep(0.05)")


def test_housekeeping_may_take_longer_and_the_next_transaction_may_not(limited: None) -> None:
    with transaction.atomic():
        transaction_limits.lift()
        _many_short_statements(0.8)

    with pytest.raises(DatabaseError, match="transaction timeout"):
        _many_short_statements(10)


def test_each_statement_and_each_pause_has_a_limit_of_its_own_everywhere() -> None:
    assert (_shown("statement_timeout"), _shown("idle_in_transaction_session_timeout")) == ("30s", "30s")


def test_the_limit_of_an_instance_is_thirty_seconds(settings: Settings) -> None:
    settings.OCPI_TRANSACTION_TIMEOUT = 30
    connection.close()
    if _server_version() >= transaction_limits.KNOWN_SINCE:
        assert _shown("transaction_timeout") == "30s"
    connection.close()


def _server_version() -> int:
    connection.ensure_connection()
    assert connection.connection is not None
    return int(connection.connection.info.server_version)
