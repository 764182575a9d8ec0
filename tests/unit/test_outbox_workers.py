"""Several workers, dead ones and frozen ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from ocpi import lanes, outbox, outbox_engine, outbox_rows, outbox_sender, outbox_settle, outbox_wake
from ocpi.lanes import WorkerLocks
from ocpi.models import Delivery, FinishedDelivery, Platform, WorkerHeartbeat
from ocpi.outbox_engine import Engine, drain_now
from ocpi.outbox_rows import Ended, Outcome
from tests.outbox_support import (
    Recorder,
    Says,
    add_object,
    add_platform,
    change,
    eventually,
    mark,
    pending,
    recorder,
)

pytestmark = pytest.mark.django_db(transaction=True)

# A worker without Celery: its sweep is this loop.
WORKER = """
import time, django
django.setup()
from ocpi import outbox_engine, outbox_rows
while True:
    outbox_engine.engine().sender.wake(outbox_rows.waiting())
    time.sleep(0.1)
"""


@pytest.fixture
def emsp_server() -> Iterator[Recorder]:
    with recorder() as found:
        yield found


@pytest.fixture
def emsp_platform(emsp_server: Recorder) -> Platform:
    return add_platform("eMSP", emsp_server.url)


@pytest.fixture(autouse=True)
def _stepped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No engine sweeps by itself unless a test wants it; no connection stays."""
    monkeypatch.setattr(outbox_engine, "_SWEEP_SECONDS", 1000.0)
    yield
    connections.close_all()


@contextmanager
def engine() -> Iterator[Engine]:
    found = Engine()
    found.start()
    try:
        yield found
    finally:
        found.stop()


@contextmanager
def worker_process() -> Iterator[subprocess.Popen[bytes]]:
    place = connection.settings_dict
    user = quote(place["USER"]) + (f":{quote(place['PASSWORD'])}" if place["PASSWORD"] else "")
    url = f"postgresql://{user}@{quote(place['HOST'], safe='')}:{place['PORT']}/{place['NAME']}"
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", WORKER], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def lanes_of(*platforms: Platform) -> list[outbox_wake.Lane]:
    return [(platform.pk, slot) for platform in platforms for slot in range(outbox.SLOTS)]


def slow_once(server: Recorder, seconds: float) -> None:
    """Let the first request hang."""
    server.answers = [Says(after=seconds)]


@pytest.mark.req("REL-03", "REL-10", "REL-32")
def test_what_a_killed_worker_was_sending_is_taken_over_within_two_seconds(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    slow_once(emsp_server, 30)
    location = add_object()
    mark(location, emsp_platform)
    with worker_process() as process, engine() as ours:
        eventually(lambda: emsp_server.got, seconds=90)  # it has to load first
        ours.sender.wake(lanes_of(emsp_platform))
        time.sleep(0.3)
        assert len(emsp_server.got) == 1  # the lane is somebody's

        process.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        while pending():
            ours.sender.wake(outbox_rows.waiting())  # the sweep
            time.sleep(0.05)

    assert time.monotonic() - killed_at < 2
    assert len(emsp_server.got) == 2
    assert FinishedDelivery.objects.get().state == "DELIVERED"


@pytest.mark.req("REL-03", "REL-11")
def test_the_lanes_of_a_frozen_worker_are_taken_from_it(emsp_server: Recorder, emsp_platform: Platform) -> None:
    slow_once(emsp_server, 30)
    mark(add_object(), emsp_platform)
    with worker_process() as process:
        eventually(lambda: emsp_server.got, seconds=90)  # it has to load first
        process.send_signal(signal.SIGSTOP)
        assert lanes.end_silent() == 0
        assert drain_now() == 0  # its session still holds the lane

        with connection.cursor() as cursor:
            cursor.execute("UPDATE ocpi_workerheartbeat SET beat_at = beat_at - interval '11 s'")
        assert lanes.end_silent() == 1

        eventually(lambda: drain_now() == 1)
    assert not WorkerHeartbeat.objects.exists()
    assert pending() == []


@pytest.mark.req("REL-03")
def test_a_sweep_takes_the_lanes_of_whoever_fell_silent_and_a_worker_begins_with_one(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    with engine() as ours:
        gone = WorkerHeartbeat.objects.create(id=uuid4(), backend_pid=0, host="gone", beat_at=timezone.now())
        WorkerHeartbeat.objects.filter(pk=gone.pk).update(beat_at=timezone.now() - timedelta(seconds=11))
        mark(add_object(), emsp_platform)

        ours.sweep_soon()

        eventually(lambda: not pending(), seconds=10)
        assert not WorkerHeartbeat.objects.filter(pk=gone.pk).exists()


@pytest.mark.req("REL-11")
def test_a_process_that_could_not_renew_for_five_seconds_sends_nothing(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(add_object(), emsp_platform)
    with engine() as ours:
        ours.locks._stopping.set()  # the heart stops
        monkeypatch.setattr(lanes, "TRUST_SECONDS", 0.0)

        ours.sender.wake(lanes_of(emsp_platform))
        time.sleep(0.5)
        assert emsp_server.got == []

        monkeypatch.setattr(lanes, "TRUST_SECONDS", 60.0)
        ours.sender.wake(lanes_of(emsp_platform))
        eventually(lambda: not pending())


@pytest.mark.req("REL-11")
def test_the_heartbeat_is_renewed_before_nobody_trusts_it_any_more() -> None:
    locks = WorkerLocks()
    locks.start()
    try:
        first = WorkerHeartbeat.objects.get(pk=locks.id).beat_at
        eventually(lambda: WorkerHeartbeat.objects.get(pk=locks.id).beat_at > first, seconds=lanes.TRUST_SECONDS + 1)
        assert locks.trusted
    finally:
        locks.stop()


@pytest.mark.req("REL-05", "REL-11")
def test_a_worker_whose_session_was_ended_begins_again_by_itself(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "BEAT_SECONDS", 0.05)
    with engine() as ours:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(backend_pid) FROM ocpi_workerheartbeat WHERE id = %s", [ours.locks.id]
            )
        eventually(lambda: not ours.locks.trusted)
        eventually(lambda: ours.locks.trusted)
        mark(add_object(), emsp_platform)

        ours.sender.wake(lanes_of(emsp_platform))
        eventually(lambda: not pending())


@pytest.mark.req("REL-10", "REL-15")
def test_two_workers_never_send_in_one_lane_at_a_time(emsp_server: Recorder, emsp_platform: Platform) -> None:
    rows = [add_object(f"LOC1/E{number}") for number in range(40)]
    under_way, most = 0, 0
    guard = threading.Lock()

    def watch(_got: Any) -> None:
        nonlocal under_way, most
        with guard:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.003)
        with guard:
            under_way -= 1

    emsp_server.always = watch
    for row in rows:
        mark(row, emsp_platform)
    with engine() as ours, engine() as theirs:
        while pending():
            ours.sender.wake(lanes_of(emsp_platform))
            theirs.sender.wake(lanes_of(emsp_platform))
            time.sleep(0.01)

    assert most == 1
    assert [got.path.rpartition("/")[2] for got in emsp_server.got] == [f"E{number}" for number in range(40)]


@pytest.mark.req("REL-21")
@pytest.mark.parametrize(("average_ms", "failures", "most"), [(5.0, 0, 4), (None, 0, 1), (5000.0, 0, 1), (5.0, 1, 1)])
def test_only_a_platform_known_to_be_healthy_uses_more_than_one_slot(
    emsp_server: Recorder, emsp_platform: Platform, average_ms: float | None, failures: int, most: int
) -> None:
    Platform.objects.update(average_ms=average_ms, failures=failures)
    for number in range(40):
        mark(add_object(f"LOC{number}"), emsp_platform)
    locks = WorkerLocks()
    locks.start()
    try:
        assert len(locks.acquire(lanes_of(emsp_platform), slow_ms=1000)) == most
        assert locks.acquire(lanes_of(emsp_platform), slow_ms=1000) == []
    finally:
        locks.stop()


@pytest.mark.req("REL-20", "REL-22")
def test_platforms_that_hang_do_not_keep_the_others_waiting(emsp_server: Recorder, settings: Settings) -> None:
    settings.OCPI_SEND_THREADS = 8
    with recorder() as hanging:
        hanging.always = lambda _got: Says(after=2.2)
        hangs = [add_platform(f"hangs {number}", hanging.url) for number in range(6)]
        well = [add_platform(f"well {number}", emsp_server.url) for number in range(10)]
        mark(add_object(), *hangs, *well)
        with engine() as ours:
            started = time.monotonic()
            ours.sender.wake(lanes_of(*hangs, *well))
            eventually(lambda: len(emsp_server.got) == 10, seconds=2.1)
            assert time.monotonic() - started < 2

            # Now they are known to be slow: only a quarter of the threads is for them.
            Platform.objects.filter(pk__in=[found.pk for found in hangs]).update(average_ms=4000)
            eventually(lambda: not Delivery.objects.filter(state="PENDING").exists())
            hanging.got.clear()
            mark(add_object("LOC2"), *hangs)
            ours.sender.wake(lanes_of(*hangs))
            time.sleep(1)
            assert len(hanging.got) == 2
            hanging.always = lambda _got: None


@pytest.mark.req("REL-20", "REL-22")
def test_platforms_that_fall_silent_together_hold_nobody_up_until_they_count_as_slow(
    emsp_server: Recorder, emsp_platform: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sender, "SLOW_SECONDS", 1000.0)
    settings.OCPI_SEND_THREADS = 4
    with recorder() as silent:
        silent.always = lambda _got: Says(after=5)
        platforms = [add_platform(f"silent {number}", silent.url) for number in range(6)]
        mark(add_object(), *platforms)
        with engine() as ours:
            ours.sender.wake(lanes_of(*platforms))
            eventually(lambda: len(silent.got) >= 4)
            mark(add_object("LOC2"), emsp_platform)
            ours.sender.wake(lanes_of(emsp_platform))
            eventually(lambda: len(emsp_server.got) == 1, seconds=4)
            assert not FinishedDelivery.objects.exclude(platform=emsp_platform).exists()  # all of them wait still


@pytest.mark.req("REL-23")
def test_a_slot_is_given_back_after_a_while_of_sending(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outbox_sender.SLOT_SECONDS == 2
    monkeypatch.setattr(outbox_sender, "SLOT_SECONDS", 0.05)
    emsp_server.always = lambda _got: Says(after=0.03)
    for number in range(8):
        mark(add_object(f"LOC1/E{number}"), emsp_platform)
    with engine() as ours:
        taken: list[int] = []
        acquire = ours.locks.acquire

        def count(wanted: Any, *, slow_ms: float) -> Any:
            found = acquire(wanted, slow_ms=slow_ms)
            taken.extend(1 for _ in found)
            return found

        monkeypatch.setattr(ours.locks, "acquire", count)
        ours.sender.wake(lanes_of(emsp_platform))
        eventually(lambda: not pending())

    assert len(taken) >= 3


@pytest.mark.req("REL-12", "REL-18", "REL-15")
def test_a_change_while_its_object_is_on_its_way_is_sent_after_it_without_another_wake_up(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object(status="CHARGING")
    slow_once(emsp_server, 0.4)
    mark(location, emsp_platform)
    with engine() as ours:
        ours.sender.wake(lanes_of(emsp_platform))
        eventually(lambda: emsp_server.got)
        change(location, status="AVAILABLE")
        mark(location, emsp_platform)
        eventually(lambda: not pending())

    assert [got.document["status"] for got in emsp_server.got] == ["CHARGING", "AVAILABLE"]


@pytest.mark.req("REL-13")
def test_no_transaction_is_open_during_a_call(emsp_server: Recorder, emsp_platform: Platform) -> None:
    slow_once(emsp_server, 4.0)
    mark(add_object(), emsp_platform)
    with engine() as ours, connection.cursor() as cursor:

        def others() -> int:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            return int(cursor.fetchone()[0])

        ours.sender.wake(lanes_of(emsp_platform))
        eventually(lambda: emsp_server.got)
        eventually(lambda: others() == 0, seconds=3)  # a heartbeat may be under way
        assert pending()  # and the call still is
        eventually(lambda: not pending())


@pytest.mark.req("REL-15", "REL-18")
def test_a_row_that_somebody_is_changing_is_settled_after_that_change(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object(status="CHARGING")
    mark(location, emsp_platform)
    with engine() as ours:
        with transaction.atomic():
            Delivery.objects.select_for_update().get()
            ours.sender.wake(lanes_of(emsp_platform))
            eventually(lambda: emsp_server.got)
            time.sleep(0.2)
            change(location, status="AVAILABLE")
            mark(location, emsp_platform)
        eventually(lambda: not pending())

    assert [got.document["status"] for got in emsp_server.got] == ["CHARGING", "AVAILABLE"]


@pytest.mark.req("REL-20")
def test_settling_many_rows_never_waits_for_one_that_is_locked(emsp_platform: Platform) -> None:
    mark(add_object("LOC1"), emsp_platform)
    mark(add_object("LOC2"), emsp_platform)
    rows = [row for found in outbox_rows.due(lanes_of(emsp_platform), limit=5).values() for row in found]
    outcomes = [Outcome(row, Ended.DELIVERED) for row in sorted(rows, key=lambda row: row.id)]
    left: list[Outcome] = []

    def settle() -> None:
        left.extend(outbox_settle.settle(outcomes))
        connections.close_all()

    with transaction.atomic():
        Delivery.objects.select_for_update().get(pk=outcomes[1].row.id)
        thread = threading.Thread(target=settle)
        thread.start()
        thread.join(2)
        assert not thread.is_alive()

    assert left == [outcomes[1]]
    assert [found.pk for found in pending()] == [outcomes[1].row.id]


@pytest.mark.req("REL-56")
def test_a_call_in_flight_finishes_when_the_worker_stops(emsp_server: Recorder, emsp_platform: Platform) -> None:
    slow_once(emsp_server, 0.5)
    mark(add_object(), emsp_platform)
    with engine() as ours:
        ours.sender.wake(lanes_of(emsp_platform))
        eventually(lambda: emsp_server.got)

    assert FinishedDelivery.objects.get().state == "DELIVERED"
    assert not WorkerHeartbeat.objects.exists()
    assert lanes.holders() == []


@pytest.mark.req("REL-38", "REL-04", "REL-07")
def test_the_engine_probes_who_is_offline_also_while_celery_brings_nothing(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    Platform.objects.update(connection="OFFLINE", failures=3, backoff_until=None)

    with engine():
        assert eventually(lambda: Platform.objects.get().connection == "CONNECTED")

    assert emsp_server.lines == ["GET /versions"]
