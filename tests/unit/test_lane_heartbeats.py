"""When a process may send, and when another ends its session: by heartbeats, each second (REL-11)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.utils import timezone

from ocpi import db_care, lanes, tallies
from ocpi.lanes import WorkerLocks
from ocpi.models import WorkerHeartbeat

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.req("REL-11")]
LANE = (1, 2)


@pytest.fixture
def locks() -> Iterator[WorkerLocks]:
    """Those of a process whose heart is beaten by hand; it holds a lane."""
    found = WorkerLocks()
    found._beat()
    found.held.add(LANE)
    yield found
    found.stop()


def aged(seconds: float) -> None:
    WorkerHeartbeat.objects.update(beat_at=timezone.now() - timedelta(seconds=seconds))


def test_it_beats_each_second_is_trusted_for_five_and_given_up_after_ten() -> None:
    assert (lanes.BEAT_SECONDS, lanes.TRUST_SECONDS, lanes.SILENT_SECONDS) == (1.0, 5.0, 10.0)


@pytest.mark.req("REL-10")
@pytest.mark.parametrize(("age", "may_send"), [(4.5, True), (5.1, False)])
def test_nothing_is_sent_when_the_last_renewal_is_older_than_five_seconds(
    locks: WorkerLocks, age: float, may_send: bool
) -> None:
    locks._renewed_at = time.monotonic() - age

    assert locks.holds(LANE) is may_send
    assert not locks.holds((1, 3))  # which is not ours at any time


def test_a_renewal_renews_the_row_and_the_trust(locks: WorkerLocks) -> None:
    aged(60)
    locks._renewed_at = time.monotonic() - 60

    locks._beat()

    assert locks.trusted
    assert timezone.now() - WorkerHeartbeat.objects.get(pk=locks.id).beat_at < timedelta(seconds=5)


def test_trust_counts_from_before_the_renewal_however_long_that_took(locks: WorkerLocks) -> None:
    """Who judges us looks at the row, which may have been written at once and answered late."""
    with psycopg.connect(**db_care.own_parameters()) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT 1 FROM ocpi_workerheartbeat WHERE id = %s FOR UPDATE", [locks.id])
        began = time.monotonic()
        beating = pool.submit(locks._beat)
        time.sleep(0.6)
        other.rollback()
        beating.result()

    assert locks.trusted
    assert locks._renewed_at - began < 0.5


@pytest.mark.parametrize(("silent", "ended"), [(8.0, 0), (10.5, 1)])
def test_the_session_of_a_process_silent_for_ten_seconds_is_ended(
    locks: WorkerLocks, silent: float, ended: int
) -> None:
    aged(silent)

    assert lanes.end_silent() == ended

    assert WorkerHeartbeat.objects.count() == 1 - ended
    if ended:
        deadline = time.monotonic() + 10
        while locks.holds(LANE) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert locks.holds(LANE) is not bool(ended)


@pytest.mark.req("REL-11", "REL-59")
def test_a_backend_that_is_somebody_elses_by_now_is_left_alone() -> None:
    parameters = db_care.own_parameters(application_name="somebody else")
    with psycopg.connect(autocommit=True, **parameters) as other:
        pid = other.info.backend_pid
        WorkerHeartbeat.objects.create(id=uuid4(), backend_pid=pid, host="gone", beat_at=timezone.now())
        aged(11)

        before = tallies.read()[tallies.LANES_TAKEN_OVER]
        assert lanes.end_silent() == 1
        assert tallies.read()[tallies.LANES_TAKEN_OVER] == before + 1

        time.sleep(0.2)
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert not WorkerHeartbeat.objects.exists()


def test_a_new_session_of_a_process_is_the_one_that_would_be_ended(locks: WorkerLocks) -> None:
    before = WorkerHeartbeat.objects.get(pk=locks.id).backend_pid
    locks._lose()
    assert not locks.trusted
    assert not locks.held

    locks._beat()

    assert WorkerHeartbeat.objects.get(pk=locks.id).backend_pid != before


def test_a_process_that_ends_leaves_no_heartbeat() -> None:
    found = WorkerLocks()
    found.start()
    assert WorkerHeartbeat.objects.filter(pk=found.id).exists()

    found.stop()

    assert not WorkerHeartbeat.objects.exists()


def test_the_locks_of_a_vanished_host_are_free_within_twenty_five_seconds(locks: WorkerLocks) -> None:
    session: Any = locks._session
    ours = socket.socket(fileno=os.dup(session.fileno()))
    try:
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle, pause, tries = (ours.getsockopt(socket.IPPROTO_TCP, option) for option in options)
    finally:
        ours.close()
    assert idle + pause * tries <= 25
    shown = [session.execute(f"SHOW tcp_keepalives_{name}").fetchone()[0] for name in ("idle", "interval", "count")]
    idle, pause, tries = (int(text) for text in shown)
    assert 0 < idle + pause * tries <= 25
