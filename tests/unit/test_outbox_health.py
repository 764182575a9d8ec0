"""How a platform goes OFFLINE and comes back, and what it gets then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ocpi import health, outbox_care, outbox_policy, outbox_probe
from ocpi.models import Platform
from ocpi.outbox_engine import drain_now
from tests.outbox_support import Recorder, Says, add_object, add_platform, change, later, mark, pending, recorder

pytestmark = pytest.mark.django_db

UNAVAILABLE = Says(503)


@pytest.fixture
def emsp_server() -> Iterator[Recorder]:
    with recorder() as found:
        yield found


@pytest.fixture
def emsp_platform(emsp_server: Recorder) -> Platform:
    return add_platform("eMSP", emsp_server.url)


def answer_always(server: Recorder, says: Says) -> None:
    server.always = lambda _got: says


@pytest.mark.req("REL-26")
def test_any_success_ends_a_back_off(emsp_server: Recorder, emsp_platform: Platform) -> None:
    mark(add_object(), emsp_platform)
    emsp_server.answers = [UNAVAILABLE, UNAVAILABLE]

    for _ in range(3):
        drain_now()
        later(3)

    emsp_platform.refresh_from_db()
    assert (emsp_platform.failures, emsp_platform.backoff_until) == (0, None)
    assert pending() == []


@pytest.mark.req("REL-38", "REL-35")
def test_three_failures_in_a_row_make_a_platform_offline_and_leave_marks_and_cdrs(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    answer_always(emsp_server, UNAVAILABLE)
    location, cdr = add_object(), add_object("CDR1", module="cdrs")
    mark(location, emsp_platform, fields=["status"])
    mark(cdr, emsp_platform, kind="CDR", order_key="LOC1")

    for _ in range(3):
        drain_now()
        later(6)

    emsp_platform.refresh_from_db()
    assert emsp_platform.connection == "OFFLINE"
    assert [(found.kind, found.state, found.fields) for found in pending()] == [
        ("STATE", "MARKED", None), ("CDR", "PENDING", None)
    ]  # fmt: skip
    assert all(found.body == "" for found in pending())
    later(3600)
    tries = len(emsp_server.got)
    drain_now()
    assert len(emsp_server.got) == tries


@pytest.mark.req("REL-38")
def test_failures_of_calls_side_by_side_count_once(emsp_platform: Platform) -> None:
    for _ in range(4):
        health.failed(emsp_platform.pk, "no answer")

    emsp_platform.refresh_from_db()
    assert (emsp_platform.failures, emsp_platform.connection) == (1, "CONNECTED")


@pytest.mark.req("REL-38", "REL-36", "REL-33")
def test_a_good_probe_connects_a_platform_and_cdrs_go_at_once_marks_after_the_grace(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    answer_always(emsp_server, UNAVAILABLE)
    location, cdr = add_object(), add_object("CDR1", module="cdrs")
    mark(location, emsp_platform)
    mark(cdr, emsp_platform, kind="CDR")
    for _ in range(3):
        drain_now()
        later(6)
    assert outbox_probe.probe() == 0  # its turn is ten seconds after it went OFFLINE
    emsp_server.always = lambda _got: None
    emsp_server.got.clear()

    later(10)
    assert outbox_probe.probe() == 1
    outbox_care.sweep()
    drain_now()
    assert emsp_server.lines == ["GET /versions", "POST /cdrs"]

    change(location, status="BLOCKED")
    later(601)
    outbox_care.sweep()
    drain_now()
    assert emsp_server.lines[2:] == ["PUT /locations/NL/TNM/LOC1"]
    assert emsp_server.got[2].document["status"] == "BLOCKED"
    emsp_platform.refresh_from_db()
    assert emsp_platform.connection == "CONNECTED"


@pytest.mark.req("REL-36")
@pytest.mark.parametrize(("catch_up", "sent"), [("at_once", 1), ("after_grace", 0), ("never", 0)])
def test_a_platform_chooses_when_it_gets_what_it_missed(
    emsp_server: Recorder, emsp_platform: Platform, catch_up: str, sent: int
) -> None:
    Platform.objects.update(catch_up=catch_up, connection="OFFLINE")
    mark(add_object(), emsp_platform)
    assert [found.state for found in pending()] == ["MARKED"]

    health.resume(emsp_platform.pk)
    outbox_care.sweep()
    drain_now()

    assert len(emsp_server.got) == sent


@pytest.mark.req("REL-38")
def test_a_valid_request_of_a_platform_connects_it(emsp_platform: Platform) -> None:
    Platform.objects.update(connection="OFFLINE", failures=4)

    health.heard_from(emsp_platform.pk)

    emsp_platform.refresh_from_db()
    assert (emsp_platform.connection, emsp_platform.failures) == ("CONNECTED", 0)


@pytest.mark.req("REL-26")
def test_a_success_ends_a_back_off_also_if_the_platform_was_heard_a_moment_ago(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    mark(add_object(), emsp_platform)
    drain_now()  # a success, just written down
    Platform.objects.update(failures=2)  # by another process
    health.heard_from(emsp_platform.pk)
    mark(add_object("LOC2"), emsp_platform)

    drain_now()

    emsp_platform.refresh_from_db()
    assert emsp_platform.failures == 0


@pytest.mark.req("REL-38", "REL-39")
def test_a_platform_that_was_silent_for_five_minutes_is_probed(emsp_server: Recorder, emsp_platform: Platform) -> None:
    Platform.objects.update(last_heard_at=datetime.now(UTC) - timedelta(minutes=4))
    assert (outbox_probe.probe(), emsp_server.got) == (0, [])

    Platform.objects.update(last_heard_at=datetime.now(UTC) - timedelta(minutes=6))
    assert outbox_probe.probe() == 1
    assert outbox_probe.probe() == 0
    assert emsp_server.lines == ["GET /versions"]


@pytest.mark.req("REL-38")
def test_a_failed_probe_waits_longer_each_time() -> None:
    assert [outbox_policy.pause(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 8, 20)] == [
        0.5, 1, 10, 20, 40, 80, 160, 300, 300
    ]  # fmt: skip
