"""A worker that is told to end: the call in flight finishes, nothing new begins, and what it held is free (REL-56)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery import current_app
from django.db import connection, connections
from kombu import Connection

from hub.management.commands import run as run_command
from ocpi import lanes
from ocpi.models import FinishedDelivery, PullCursor, WorkerHeartbeat
from tests import instances, template
from tests.fixtures import Document, Partner
from tests.outbox_support import Recorder, Says, add_object, add_platform, eventually, mark, pending, recorder
from tests.platforms import Listener, Received, Reply
from tests.pull_support import Lists, cursor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.req("REL-56")]
_LOADS_SECONDS = 90  # on a busy machine
_ENDS_SECONDS = 15


@pytest.fixture
def emsp_server() -> Iterator[Recorder]:
    with recorder() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_connection_stays() -> Iterator[None]:
    yield
    connections.close_all()


def broker_url() -> str:
    """Return a broker that nobody else of this test run uses."""
    redis = urlsplit(os.environ["REDIS_URL"])
    return urlunsplit(redis._replace(path=f"/{instances._queues(next(instances._numbers))}"))


@contextmanager
def process_of(
    command: Sequence[str], broker: str, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on the database of this test."""
    place = {"DATABASE_URL": template.url_of(connection.settings_dict["NAME"]), "REDIS_URL": broker}
    process = subprocess.Popen(command, cwd=instances.ROOT, env={**os.environ, **place, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def end(process: subprocess.Popen[bytes]) -> int:
    """Tell a process to end as an operator does; return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(_ENDS_SECONDS)


def test_the_delivery_on_its_way_is_settled_and_no_other_begins(emsp_server: Recorder) -> None:
    platform = add_platform("eMSP", emsp_server.url)
    emsp_server.answers = [Says(after=1.5)]  # shorter than a lane is held
    for number in range(3):
        mark(add_object(f"LOC1/E{number}"), platform)
    command = [sys.executable, "manage.py", "run", "--no-migrate", "--only", "worker"]
    with process_of(command, broker_url(), {}) as process:
        eventually(lambda: emsp_server.got, seconds=_LOADS_SECONDS)

        assert end(process) == 0

    assert [line.rpartition("/")[2] for line in emsp_server.lines] == ["E0"]
    assert [(row.path, row.state) for row in FinishedDelivery.objects.all()] == [("NL/TNM/LOC1/E0", "DELIVERED")]
    assert [row.attempts for row in pending()] == [0, 0]
    assert not WorkerHeartbeat.objects.exists()
    assert lanes.holders() == []


def test_a_pull_ends_after_the_page_it_is_at_and_meanwhile_nothing_else_begins(
    emsp_side: None, partner: Partner, listener: Listener, document: Document, emsp_server: Recorder
) -> None:
    owner, lists = partner("NL*TNM:CPO", listener=listener), Lists(listener)
    lists.serve("tariffs", [document("tariff", id=name) for name in "ABCDE"])

    def slowly(_request: Received, _offset: int) -> Reply | None:
        time.sleep(4)
        return None

    lists.before = slowly
    broker, found = broker_url(), cursor(owner.id, "tariffs")
    platform, waiting = add_platform("eMSP", emsp_server.url), add_object()
    PullCursor.objects.filter(pk=found.pk).update(due_at=found.due_at - timedelta(hours=1))
    environment = {"OCPI_SIDES": "emsp", "OCPI_PARTIES": "DE*EMS:EMSP"}
    with process_of(run_command.worker().command, broker, environment) as process:
        eventually(WorkerHeartbeat.objects.exists, seconds=_LOADS_SECONDS)
        with Connection(broker) as to_worker:
            current_app.send_task("ocpi.tasks.run_pull", args=(found.pk,), queue="ocpi", connection=to_worker)
        eventually(lambda: lists.requests("tariffs"), seconds=_LOADS_SECONDS)

        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # a signal takes a moment on a busy machine; the page takes longer
        mark(waiting, platform)
        assert process.wait(_ENDS_SECONDS) == 0
        assert not FinishedDelivery.objects.exists()

    row = PullCursor.objects.get(pk=found.pk)
    assert len(lists.requests("tariffs")) == 1
    assert (row.read, row.failures) == (2, 0)
    assert "offset=2" in row.page_url
    assert row.claimed_until is None
