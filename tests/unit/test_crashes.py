"""A database that goes away: nothing is acknowledged that it does not have, and all goes on by itself after it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import current_app
from django.db import connection, connections
from pytest_django.fixtures import Settings

from cpo.models import Token as CpoToken
from hub.models import SharedObject
from ocpi import db_care, lanes, outbox_engine, tasks
from ocpi.models import Delivery
from ocpi.outbox_engine import Engine
from ocpi.postgresql import base
from tests.fixtures import Document, Partner
from tests.outbox_support import Recorder, Says, add_object, add_platform, eventually, mark, pending, recorder
from tests.people import Person

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_connection_stays() -> Iterator[None]:
    yield
    connections.close_all()


@pytest.fixture
def emsp_server() -> Iterator[Recorder]:
    with recorder() as found:
        yield found


@contextmanager
def commits_fail(*tables: str) -> Iterator[None]:
    """Have the commit fail, and not the statement before it, of everything that writes to a table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no disk'; END $$"
        )
        for table in tables:
            cursor.execute(
                f"CREATE CONSTRAINT TRIGGER no_commit AFTER INSERT OR UPDATE ON {table} "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no_commit()"
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_commit CASCADE")


@contextmanager
def _session_ends_at_first_update_of(table: str) -> Iterator[None]:
    """End the session of whoever first updates a table."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE first_update")
        cursor.execute(
            "CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF nextval('first_update') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; "
            "RETURN NEW; END $$"
        )
        cursor.execute(
            f"CREATE TRIGGER end_session BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION end_session()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION end_session CASCADE")
            cursor.execute("DROP SEQUENCE first_update")


def _end_all_sessions() -> None:
    """Do what a crash does to every client: its session is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )


@pytest.mark.req("REL-06", "REL-01")
def test_a_hub_acknowledges_no_push_that_was_not_committed(
    hub_side: None, partner: Partner, document: Document
) -> None:
    owner, _receiver = partner("NL*TNM:CPO"), partner("DE*EMS:EMSP")
    with commits_fail("ocpi_delivery"):
        answer = owner.put("hub/2.2.1/receiver/locations/NL/TNM/LOC1", document("location", id="LOC1"), to="NL*HUB")

    assert answer.codes == (500, 4000)
    assert not SharedObject.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.req("REL-06")
@pytest.mark.parametrize(
    ("method", "path", "name", "table"),
    [
        ("PUT", "locations/NL/TNM/LOC1", "location", "emsp_location"),
        ("PUT", "tariffs/NL/TNM/{id}", "tariff", "emsp_tariff"),
        ("PUT", "sessions/NL/TNM/{id}", "session", "emsp_session"),
        ("POST", "cdrs", "cdr", "emsp_cdr"),
    ],
)
def test_an_emsp_acknowledges_nothing_that_was_not_committed(
    emsp_side: None, cpo: Person, document: Document, method: str, path: str, name: str, table: str
) -> None:
    body = document(name, **({"id": "LOC1"} if name == "location" else {}))
    with commits_fail(table):
        answer = cpo.request(method, f"emsp/2.2.1/{path.format(**body)}", body)

    assert answer.codes == (500, 3000)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - names of this file
        assert cursor.fetchone()[0] == 0


@pytest.mark.req("REL-06")
def test_a_cpo_acknowledges_no_token_that_was_not_committed(cpo_side: None, emsp: Person, document: Document) -> None:
    with commits_fail("cpo_token"):
        answer = emsp.put("cpo/2.2.1/tokens/DE/EMS/1", document("token_rfid", uid="1"))

    assert answer.codes == (500, 3000)
    assert not CpoToken.objects.exists()


@pytest.mark.req("REL-05")
def test_an_engine_whose_sessions_all_ended_goes_on_by_itself(
    emsp_server: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_engine, "_SWEEP_SECONDS", 0.2)
    platform = add_platform("eMSP", emsp_server.url)
    engine = Engine()
    engine.start()
    try:
        for number in range(3):
            mark(add_object(f"LOC{number}"), platform)
            eventually(lambda: not pending(), seconds=30)
            _end_all_sessions()
        mark(add_object("LOC9"), platform)
        eventually(lambda: not pending(), seconds=30)
        assert engine._thread.is_alive()
    finally:
        engine.stop()

    assert emsp_server.lines[-1] == "PUT /locations/NL/TNM/LOC9"


@pytest.mark.req("REL-05")
def test_a_lane_is_given_back_though_the_session_ends_between_its_outcome_and_the_platforms_health(
    emsp_server: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_engine, "_SWEEP_SECONDS", 0.2)
    platform = add_platform("eMSP", emsp_server.url, average_ms=None)
    location = add_object()
    with _session_ends_at_first_update_of("ocpi_platform"):
        engine = Engine()
        engine.start()
        try:
            mark(location, platform)
            eventually(lambda: not pending(), seconds=30)
            eventually(lambda: not engine.sender.busy, seconds=10)
            mark(location, platform)
            eventually(lambda: not pending(), seconds=30)
        finally:
            engine.stop()

    assert len(emsp_server.got) == 2


@pytest.mark.req("REL-05")
@pytest.mark.parametrize("whose", ["of a request", "beside Django's"])
def test_a_database_that_is_gone_without_a_word_is_noticed_in_twenty_seconds(whose: str) -> None:
    """TCP by itself sends again for a quarter of an hour, and looks after an idle connection every two hours."""
    connection.ensure_connection()
    assert connection.connection is not None
    opened = connection.connection if whose == "of a request" else psycopg.connect(**db_care.own_parameters())
    try:
        with socket.socket(fileno=os.dup(opened.fileno())) as found:
            if found.family == socket.AF_UNIX:
                pytest.skip("a database on this machine")
            idle, pause, tries = (
                found.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert idle + pause * tries <= 20
            assert 0 < found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 20_000
    finally:
        opened.close()


@pytest.mark.req("REL-05")
def test_a_thread_whose_session_ended_between_two_requests_has_a_new_one_for_the_next() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        before = cursor.fetchone()
    other = connection.copy()
    with contextlib.closing(other), other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", before)  # and wait until it is gone

    connection.close_if_unusable_or_obsolete()  # as at the end and the beginning of each request

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone() != before


@pytest.mark.req("REL-05")
def test_a_server_that_is_back_is_connected_to_within_five_seconds() -> None:
    assert connection.settings_dict["OPTIONS"]["connect_timeout"] <= 5  # an attempt that began before it was
    assert base.SECONDS <= 1  # without an attempt
    assert lanes._RECONNECT_SECONDS <= 1
    assert outbox_engine._IDLE_SECONDS <= 1


@pytest.mark.req("REL-05")
def test_a_connection_beside_djangos_is_opened_as_the_address_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"sslmode": "require", "sslcert": "/c", "options": "-c x"})

    found = db_care.own_parameters(connect_timeout=3)

    assert (found["sslmode"], found["sslcert"], found["connect_timeout"]) == ("require", "/c", 3)
    assert found["password"] == connection.settings_dict["PASSWORD"]
    assert not {"options", "context", "cursor_factory"} & found.keys()


@pytest.mark.req("REL-15", "REL-10")
def test_a_lane_whose_session_ended_is_sent_to_no_more_also_when_there_is_a_new_session(
    emsp_server: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_engine, "_SWEEP_SECONDS", 1000.0)
    platform = add_platform("eMSP", emsp_server.url)
    first, second = add_object("LOC1/E1"), add_object("LOC1/E2")
    emsp_server.answers = [Says(after=2.0)]
    mark(first, platform)
    mark(second, platform)
    ours, other = Engine(), Engine()
    ours.start()
    try:
        ours.sender.wake([(platform.pk, pending()[0].slot)])
        eventually(lambda: emsp_server.got)
        lost = ours.locks._session
        _end_all_sessions()
        eventually(lambda: ours.locks._session not in (None, lost) and ours.locks.trusted)
        other.locks.start()
        assert other.locks.acquire([(platform.pk, pending()[0].slot)], slow_ms=1000)

        eventually(lambda: not ours.sender.busy)  # the call in flight was answered long ago

        assert [line.rpartition("/")[2] for line in emsp_server.lines] == ["E1"]
    finally:
        ours.stop()
        other.locks.stop()


@pytest.mark.req("REL-11", "REL-15")
def test_the_end_of_a_session_is_seen_at_once_and_not_at_the_next_heartbeat(
    emsp_server: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = add_platform("eMSP", emsp_server.url)
    mark(add_object(), platform)
    lane = (platform.pk, pending()[0].slot)
    engine = Engine()
    engine.locks._beat()
    assert engine.locks.acquire([lane], slow_ms=1000)
    assert engine.locks.holds(lane)

    _end_all_sessions()

    eventually(lambda: not engine.locks.holds(lane))
    assert engine.locks.trusted  # no heartbeat has failed yet
    engine.locks.stop()


@pytest.mark.req("REL-05")
def test_what_is_acknowledged_waits_for_the_disk(settings: Settings) -> None:
    """`synchronous_commit` is switched off by the embedded servers of tests and the demo, and for a moment in time.

    That moment, when an operation was on the wire, is told to whoever asks; its claim before is on the disk.
    """
    options = settings.DATABASES["default"]["OPTIONS"]["options"]
    assert "synchronous_commit" not in options
    named = [
        path.relative_to(ROOT).as_posix()
        for package in ("hub", "ocpi", "cpo", "emsp")
        for path in (ROOT / package).rglob("*.py")
        if re.search("synchronous_commit", path.read_text())
    ]
    assert sorted(named) == ["cpo/gateway/operation_runner.py", "hub/embedded_keeper.py"]


@pytest.mark.req("REL-04", "REL-07", "REL-08")
def test_a_lost_task_costs_nothing_and_an_old_one_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    found = current_app.conf
    assert not found.task_acks_late
    assert found.task_ignore_result
    assert not found.result_backend
    assert not found.task_publish_retry
    limits = found.broker_transport_options
    assert limits["socket_timeout"] <= 0.5
    assert limits["socket_connect_timeout"] <= 0.5
    assert all(0 < entry["options"]["expires"] <= 3600 for entry in found.beat_schedule.values())
    assert {entry["task"] for entry in found.beat_schedule.values()} <= set(found_tasks())
    assert found.beat_schedule["ocpi.tasks.sweep"]["schedule"] <= 1.0


def found_tasks() -> dict[str, Any]:
    current_app.loader.import_default_modules()
    return dict(current_app.tasks)


@pytest.mark.req("REL-07")
def test_a_drain_for_lanes_with_nothing_due_may_come_at_any_time(
    emsp_server: Recorder, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(outbox_engine, "_SWEEP_SECONDS", 1000.0)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    platform = add_platform("eMSP", emsp_server.url)
    mark(add_object(), platform)
    lane = [platform.pk, pending()[0].slot]
    try:
        for _ in range(3):
            tasks.drain([lane, [999_999, 0]])
        eventually(lambda: not pending())
        started = time.monotonic()
        tasks.drain([lane])
        assert time.monotonic() - started < 5
    finally:
        outbox_engine.stop()

    assert len(emsp_server.got) == 1
