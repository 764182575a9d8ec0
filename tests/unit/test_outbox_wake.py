"""What wakes a worker, and what it finds without being woken."""

from __future__ import annotations

import base64
import json
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import current_app
from django.db import connection, connections, transaction
from django.utils import timezone
from kombu import Producer
from pytest_django.fixtures import Settings

from ocpi import outbox, outbox_engine, outbox_outcomes, outbox_rows, outbox_wake, tasks
from ocpi.lanes import BorrowedLocks
from ocpi.models import Delivery, Platform
from ocpi.outbox_engine import Engine
from ocpi.outbox_rows import Outcome
from ocpi.outbox_sender import Sender
from tests.outbox_support import (
    SOURCE,
    Recorder,
    add_object,
    add_platform,
    eventually,
    mark,
    pending,
    recorder,
)

pytestmark = pytest.mark.django_db(transaction=True)

# What is different in each message of Celery, or says who wrote it and where to.
_CHANGING = {"id", "root_id", "expires", "argsrepr", "correlation_id", "reply_to", "delivery_tag", "delivery_info"}


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


def queued(queue: str) -> list[Any]:
    """Return the lanes of the messages in a queue, the oldest first."""
    messages = [json.loads(each) for each in outbox_wake._client().lrange(queue, 0, -1)]
    return [json.loads(base64.b64decode(message["body"]))[0][0] for message in reversed(messages)]


def names(message: dict[str, Any]) -> Iterator[str]:
    """Return the names of all members of a message of Celery."""
    for name, value in message.items():
        yield name
        if isinstance(value, dict) and name in ("headers", "properties"):
            yield from (f"{name}.{each}" for each in value)


@pytest.mark.req("REL-01")
def test_a_mark_outside_of_a_transaction_is_refused(emsp_platform: Platform) -> None:
    receivers = [outbox.Recipient(emsp_platform.pk)]
    marked = outbox.Marked(source_id=1, path="NL/TNM/T", order_key="T", recipients=receivers)
    with pytest.raises(transaction.TransactionManagementError):
        outbox.mark(receivers, module="tariffs", source=SOURCE, source_id=1, path="NL/TNM/T", order_key="T")
    with pytest.raises(transaction.TransactionManagementError):
        outbox.mark_all([marked], module="tariffs", source=SOURCE, fields=["currency"])
    with pytest.raises(transaction.TransactionManagementError):
        outbox.send_result(
            receivers[0], url="https://emsp.example/r", body=b"{}", module="commands", deadline_at=timezone.now(),
            correlation_id="c",
        )  # fmt: skip

    assert pending() == []


@pytest.mark.req("REL-01", "REL-08")
def test_nobody_is_woken_before_the_change_is_committed(
    emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[Any] = []
    monkeypatch.setattr(outbox_wake, "wake", woken.append)
    location = add_object()

    with transaction.atomic():
        mark(location, emsp_platform)
        assert woken == []
        transaction.set_rollback(True)
    assert woken == []

    with transaction.atomic():
        mark(location, emsp_platform)
        assert woken == []
    assert woken == [{(emsp_platform.pk, outbox.slot_of("LOC1"))}]


@pytest.mark.req("REL-02", "REL-08")
def test_the_sweep_alone_is_enough(emsp_server: Recorder, emsp_platform: Platform) -> None:
    other = add_platform("another", emsp_server.url)
    for number in range(4):
        mark(add_object(f"LOC{number}"), emsp_platform, other)  # nothing woke anybody: OCPI_WAKE is off
    with engine() as ours:
        ours.sweep()  # finds all lanes at once
        eventually(lambda: not pending(), seconds=10)


@pytest.mark.req("REL-04", "REL-08")
def test_a_worker_to_whom_no_task_comes_sweeps_by_itself(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_engine, "_SWEEP_SECONDS", 0.2)
    mark(add_object(), emsp_platform)
    with engine():
        eventually(lambda: not pending(), seconds=2)


@pytest.mark.req("REL-08")
def test_a_commit_wakes_each_lane_once_until_it_is_read(
    emsp_platform: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OCPI_WAKE = True
    settings.CELERY_TASK_DEFAULT_QUEUE = queue = f"ocpi {uuid.uuid4()}"
    location = add_object()
    lane = (emsp_platform.pk, outbox.slot_of("LOC1"))
    outbox_wake.awake([lane])

    for _ in range(20):
        mark(location, emsp_platform)

    def sent_by_now(count: int) -> bool:
        """Mark again and again: the thread may still be resting from a test in which the broker was away."""
        mark(location, emsp_platform)
        return len(queued(queue)) == count

    eventually(lambda: sent_by_now(1))
    time.sleep(0.1)
    assert queued(queue) == [[list(lane)]]

    outbox_wake.awake([lane])
    eventually(lambda: sent_by_now(2))
    outbox_wake._client().delete(queue)


@pytest.mark.req("REL-08")
def test_a_lane_whose_message_is_lost_is_soon_woken_again(settings: Settings) -> None:
    settings.CELERY_TASK_DEFAULT_QUEUE = queue = f"ocpi {uuid.uuid4()}"
    lane = (10_000_007, 0)
    client = outbox_wake._client()
    outbox_wake.awake([lane])

    outbox_wake.publish([lane])
    client.delete(queue)  # nobody reads it

    assert 0 < client.pttl(outbox_wake._flag(lane)) <= 1000
    client.pexpire(outbox_wake._flag(lane), 0)
    outbox_wake.publish([lane])
    assert queued(queue) == [[list(lane)]]
    outbox_wake.awake([lane])
    client.delete(queue)


@pytest.mark.req("REL-07", "REL-08")
def test_a_drain_is_written_as_celery_writes_it_and_names_whom_nothing_has_woken(settings: Settings) -> None:
    settings.CELERY_TASK_DEFAULT_QUEUE = queue = f"ocpi {uuid.uuid4()}"
    lanes = [(10_000_000 + number, 0) for number in range(3)]
    outbox_wake.awake(lanes)
    outbox_wake.publish(lanes[:1])
    outbox_wake.publish(lanes)
    outbox_wake.publish(lanes)
    client = outbox_wake._client()
    with current_app.connection_for_write() as broker, broker.channel() as channel, Producer(channel) as producer:
        current_app.send_task(
            "ocpi.tasks.drain", args=[lanes[:1]], expires=10, retry=False, ignore_result=True, producer=producer,
            exchange="", routing_key=queue,
        )  # fmt: skip
    theirs, *_, ours = [json.loads(each) for each in client.lrange(queue, 0, -1)]

    assert queued(queue) == [[list(lanes[0])], [list(lane) for lane in lanes[1:]], [list(lanes[0])]]
    assert sorted(names(ours)) == sorted(names(theirs))
    for name in ("body", "content-encoding", "content-type"):
        assert ours[name] == theirs[name]
    for part in ("headers", "properties"):
        left, right = ({name: each[part][name] for name in each[part].keys() - _CHANGING} for each in (ours, theirs))
        assert left == right
    client.delete(queue)


@pytest.mark.req("REL-04", "REL-08")
def test_a_process_that_sends_wakes_its_own_sender(
    emsp_platform: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OCPI_WAKE = True
    woken: list[set[outbox_wake.Lane]] = []
    told: list[Any] = []
    monkeypatch.setattr(Sender, "wake", lambda _sender, lanes: woken.append(set(lanes)))
    monkeypatch.setattr(outbox_wake, "publish", told.append)
    location = add_object()
    lane = (emsp_platform.pk, outbox.slot_of("LOC1"))

    with engine():
        mark(location, emsp_platform)
        assert woken == [{lane}]
        assert told == []
    mark(location, emsp_platform)

    eventually(lambda: told == [[lane]])
    assert woken == [{lane}]


@pytest.mark.req("REL-07", "REL-08")
def test_a_worker_takes_a_drain_where_it_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[Any] = []
    acknowledged: list[Any] = []
    monkeypatch.setattr(outbox_wake, "awake", lambda lanes: woken.append(("read", lanes)))
    monkeypatch.setattr(
        outbox_engine, "engine", lambda: SimpleNamespace(sender=SimpleNamespace(wake=lambda lanes: woken.append(lanes)))
    )
    consumer = SimpleNamespace(connection_errors=(OSError,))
    received = tasks.drain.start_strategy(current_app, consumer)

    def comes(payload: Any, body: Any = None) -> None:
        received(SimpleNamespace(payload=payload), body, lambda *said: acknowledged.append(said), None, [])

    comes([[[[1, 0], [2, 3]]], {}, {}])
    comes("no list of arguments")
    comes([[[[4, 1]]], {}, {}])

    assert woken == [("read", [(1, 0), (2, 3)]), [(1, 0), (2, 3)], ("read", [(4, 1)]), [(4, 1)]]
    assert len(acknowledged) == 3


@pytest.mark.req("REL-03", "REL-20")
def test_the_threads_of_a_worker_take_turns_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = sys.getswitchinterval()
    swept: list[bool] = []
    monkeypatch.setattr(outbox_engine, "engine", lambda: SimpleNamespace(sweep_soon=lambda: swept.append(True)))
    try:
        tasks._start()
        assert sys.getswitchinterval() <= 0.001
    finally:
        sys.setswitchinterval(usual)
    assert swept == [True]


@pytest.mark.req("REL-12", "REL-21")
def test_lanes_of_a_platform_that_has_only_one_at_a_time_follow_each_other_without_another_wake_up(
    emsp_platform: Platform,
) -> None:
    Platform.objects.update(average_ms=None)
    for number in range(8):
        mark(add_object(f"LOC{number}"), emsp_platform)
    assert len({row.slot for row in pending()}) > 1
    sender = Sender(BorrowedLocks(), lambda run: run(), threads=1)

    sender.wake(outbox_rows.waiting())
    sender.step(0.0)
    while sender.busy:
        sender.step(0.0)

    assert pending() == []


@pytest.mark.req("REL-20")
def test_what_is_due_in_a_free_lane_is_sent_before_what_came_of_others_is_written_down(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorder() as other_server:
        other = add_platform("another", other_server.url)
        sender = Sender(BorrowedLocks(), lambda run: run(), threads=1)
        write, seen = outbox_outcomes.write, []

        def noted(outcomes: list[Outcome]) -> set[int]:
            seen.append((len(emsp_server.got), len(other_server.got)))
            return write(outcomes)

        monkeypatch.setattr(outbox_outcomes, "write", noted)
        mark(add_object(), emsp_platform)
        sender.wake(outbox_rows.waiting())
        sender.step(0.0)  # the first is sent, and its outcome waits to be written
        mark(add_object("LOC2"), other)
        sender.wake(outbox_rows.waiting())
        while sender.busy:
            sender.step(0.0)

    assert seen == [(1, 1), (1, 1)]
    assert pending() == []


@pytest.mark.req("REL-04")
def test_a_request_does_not_feel_that_redis_is_away(
    emsp_platform: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OCPI_WAKE = True
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(outbox_wake, "_redis", None)
    monkeypatch.setattr(outbox_wake, "_BREAK_SECONDS", 0.1)
    location = add_object()

    longest = 0.0
    for _ in range(30):
        started = time.monotonic()
        mark(location, emsp_platform)
        longest = max(longest, time.monotonic() - started)

    assert longest < 0.2
    assert Delivery.objects.get().change == 30
    time.sleep(0.5)  # the thread that wakes is through with it


@pytest.mark.req("REL-04")
def test_a_publish_to_a_broker_that_is_away_fails_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(outbox_wake, "_redis", None)
    started = time.monotonic()

    with pytest.raises(redis.ConnectionError):
        outbox_wake.publish([(1, 0)])
    outbox_wake.awake([(1, 0)])

    assert time.monotonic() - started < 0.5


@pytest.mark.req("REL-19")
def test_due_rows_are_found_by_an_ordered_index_scan(emsp_server: Recorder) -> None:
    platforms = [add_platform(f"P{number}", emsp_server.url) for number in range(20)]
    for number in range(20):
        mark(add_object(f"L{number}"), *platforms)
    with connection.cursor() as cursor:
        names = {str(field.column) for field in Delivery._meta.concrete_fields} - {"id", "source_id"}
        columns = ", ".join(sorted(names))
        cursor.execute(
            f"INSERT INTO ocpi_delivery (source_id, {columns}) "  # noqa: S608
            f"SELECT 1000000 + d.id * 50 + n, {columns} FROM ocpi_delivery d, generate_series(1, 25) n"
        )
        cursor.execute("ANALYZE ocpi_delivery")
        # As a prepared statement sees it that has been planned for any values.
        values = {"platform_ids": "$1", "slots": "$2", "limit": "$3"}
        text = outbox_rows.DUE % values
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE due_rows (bigint[], smallint[], bigint) AS {text}")
        listed = ",".join(str(platform.pk) for platform in platforms[:5])
        cursor.execute(f"EXPLAIN EXECUTE due_rows ('{{{listed}}}', '{{1,1,1,1,1}}', 20)")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Index Scan using delivery_lane" in plan
    assert "Seq Scan on ocpi_delivery" not in plan
    assert "Sort Key: d.id" not in plan
