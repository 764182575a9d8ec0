"""A database that is away, full, overrun or a standby: everybody is told to come again, nothing is given up."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.conf import settings as configured
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError, connection, transaction
from django.test import Client
from psycopg import errors
from psycopg_pool import PoolTimeout
from pytest_django.fixtures import Settings

from cpo.api import charge_point_views
from hub import direct_versions, log_lines, metrics, session_store
from ocpi import database_trouble, door, envelope, exchange_waiting, exchanges, status
from tests.admin_world import operator_fixture as operator_fixture
from tests.fixtures import Partner
from tests.operation_api import api_fixture as api_fixture
from tests.operation_api import caller
from tests.troubles import raised_by

PASSING = [
    errors.ConnectionTimeout, errors.AdminShutdown, errors.CannotConnectNow, errors.TooManyConnections, errors.DiskFull,
    errors.ReadOnlySqlTransaction, errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable,
    errors.QueryCanceled, errors.TransactionTimeout, errors.IdleInTransactionSessionTimeout, psycopg.OperationalError,
    psycopg.InterfaceError,
]  # fmt: skip
LASTING = [
    errors.UniqueViolation, errors.UndefinedTable, errors.NumericValueOutOfRange, errors.RaiseException,
    errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.InFailedSqlTransaction,
]  # fmt: skip


@pytest.mark.parametrize("kind", PASSING)
def test_what_is_nobodys_fault_passes(kind: type[psycopg.Error]) -> None:
    assert database_trouble.passes(raised_by(kind))
    assert database_trouble.passes(kind("as the driver raises it"))


@pytest.mark.parametrize("kind", LASTING)
def test_what_would_be_said_again_does_not_pass(kind: type[psycopg.Error]) -> None:
    assert not database_trouble.passes(raised_by(kind))
    assert not database_trouble.passes(kind("as the driver raises it"))


def test_neither_a_pool_without_a_connection_nor_one_of_djangos_own_errors_is_a_fault_of_ours() -> None:
    assert [
        database_trouble.passes(error)
        for error in (PoolTimeout("none"), OperationalError("away"), InterfaceError("closed"), ValueError("odd"))
    ] == [True, True, True, False]


@pytest.mark.req("TRN-049", "REL-05", "REL-06")
@pytest.mark.parametrize(
    ("kind", "seconds"),
    [(errors.AdminShutdown, "5"), (errors.DiskFull, "5"), (errors.ReadOnlySqlTransaction, "5"),
     (errors.DeadlockDetected, "1")],
)  # fmt: skip
@pytest.mark.parametrize(("unexpected", "code"), [(status.ServerError, 3000), (status.HubError, 4000)])
def test_a_partner_is_told_when_to_come_again(
    kind: type[psycopg.Error], seconds: str, unexpected: type[status.OcpiError], code: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with caplog.at_level(logging.ERROR):
        answer = envelope.error(raised_by(kind), unexpected=unexpected)

    assert (answer.status_code, json.loads(answer.content)["status_code"]) == (503, code)
    assert answer.headers["Retry-After"] == seconds
    assert b"trouble" not in answer.content
    [record] = caplog.records
    assert ("in trouble" in record.message, bool(record.exc_info)) == (True, kind is errors.DeadlockDetected)


@pytest.mark.req("TRN-049", "TRN-058", "REL-06")
@pytest.mark.parametrize(("kind", "code"), [("hub", 4000), ("emsp", 3000)])
def test_every_door_answers_an_ocpi_request_in_the_same_way(
    kind: str, code: int, partner: Partner, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., None],
) -> None:  # fmt: skip
    request.getfixturevalue(f"{kind}_side")
    person = partner("NL*TNM:CPO")
    monkeypatch.setattr(door, "limit", fails)
    path = {"hub": "hub/2.2.1/receiver/tariffs/NL/TNM/T1", "emsp": "emsp/2.2.1/tariffs/NL/TNM/T1"}[kind]

    answer = person.get(path, to="NL*HUB" if kind == "hub" else "DE*EMS")

    assert (answer.http_status, answer.status_code) == (503, code)
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["X-Request-ID"]


@pytest.mark.django_db
def test_the_operation_api_says_the_same_in_its_own_words(
    api: None, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., None]
) -> None:
    somebody = caller()
    monkeypatch.setattr(charge_point_views.ChargePoints, "get", fails)

    answer = somebody.get("charge-points")

    assert answer.code == (503, "UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"


def test_a_page_says_so_too_and_other_failures_are_as_before(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., None]
) -> None:
    client = Client(raise_request_exception=False)
    monkeypatch.setattr(metrics, "Numbers", fails)
    away = client.get("/metrics")
    monkeypatch.setattr(metrics, "Numbers", lambda: 1 / 0)
    broken = client.get("/metrics")

    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
    assert b"trouble" not in away.content
    assert (broken.status_code, "Retry-After" in broken.headers) == (500, False)


@pytest.mark.django_db
def test_whom_a_standby_answers_is_not_ready(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "read only")


def test_whoever_is_logged_in_can_look_at_a_standby(operator: Client) -> None:
    with transaction.atomic():  # what is set in a savepoint ends with it
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        answer = operator.get("/admin/ocpi/platform/")
        transaction.set_rollback(True)

    assert answer.status_code == 200


def test_a_session_that_has_ended_meanwhile_is_not_kept(operator: Client) -> None:
    store = session_store.SessionStore(operator.cookies[configured.SESSION_COOKIE_NAME].value)
    store.load()
    Session.objects.all().delete()

    with pytest.raises(UpdateError):
        store.save()


@pytest.mark.parametrize("lines", [log_lines.TextLines(), log_lines.JsonLines()], ids=["text", "json"])
def test_it_is_logged_without_a_traceback_as_it_comes_with_each_piece_of_work(lines: logging.Formatter) -> None:
    found = []
    for error in (raised_by(errors.AdminShutdown), raised_by(errors.QueryCanceled), ZeroDivisionError("odd")):
        try:
            raise error
        except Exception:
            found.append(
                lines.format(logging.LogRecord("x", logging.ERROR, "", 1, "the sweep failed", (), sys.exc_info()))
            )

    away, slow, odd = found
    assert "OperationalError: said by a database in trouble" in away
    assert ["Traceback" in each for each in (away, slow, odd)] == [False, True, True]


@pytest.mark.req("REL-55")
def test_exchanges_that_wait_for_the_database_keep_their_limit_of_octets(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., None]
) -> None:
    settings.OCPI_EXCHANGES = True
    monkeypatch.setattr(exchange_waiting, "MOST_BYTES", 100_000)
    monkeypatch.setattr(exchanges._writer, "write", fails)
    exchanges._waiting.forget()

    try:
        for _ in range(12):
            exchanges.record(exchanges.Entry("IN", 0.0, "GET", "/", request_body=b"x" * 40_000))
            exchanges._writer._write_some()

        assert sum(each.octets for each in exchanges._waiting.take()) == 80_000
    finally:
        exchanges._waiting.forget()


@pytest.mark.req("PRI-98")
def test_a_hub_on_a_standby_does_not_take_a_cdr_for_kept(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., None]
) -> None:
    asked: Any = type("Asked", (), {"module": "cdrs", "interface": "RECEIVER", "method": "POST", "tail": ()})
    monkeypatch.setattr(direct_versions, "_write_down", fails)

    assert direct_versions.accepted(asked, None, query="", body=b"{}") is False  # type: ignore[arg-type]


@pytest.fixture(name="fails")
def fails_fixture() -> Callable[..., None]:
    """What a standby answers to whoever wants to change something."""

    def fails(*_arguments: object, **_named: object) -> None:
        raise raised_by(errors.ReadOnlySqlTransaction)

    return fails
