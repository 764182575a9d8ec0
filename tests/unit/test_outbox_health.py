"""How a platform goes OFFLINE and comes back, and what it gets then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from ocpi import health, outbox_care, outbox_outcomes, outbox_policy, outbox_probe, outbox_rows, secrets, snapshot
from ocpi.models import CredentialsToken, Platform
from ocpi.outbox_engine import drain_now
from ocpi.outbox_rows import Ended, Outcome
from tests.outbox_support import (
    Got,
    Recorder,
    Says,
    add_object,
    add_platform,
    change,
    eventually,
    later,
    mark,
    pending,
    recorder,
)

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


@pytest.mark.req("REL-26", "REL-38")
@pytest.mark.parametrize(
    ("came", "failures", "rests"),
    [("+-", 1, True), ("-+", 0, False), ("-+-", 1, True), ("--", 3, True), ("++", 0, False), ("+r+", 1, True)],
)
def test_a_success_in_the_same_moment_resets_the_count(
    emsp_platform: Platform, came: str, failures: int, rests: bool
) -> None:
    """Two failures went before; what is gathered from the slots of a platform is read in the order in which it came."""
    mark(add_object(), emsp_platform)
    [row] = outbox_rows.due([(emsp_platform.pk, slot) for slot in range(4)], limit=1).popitem()[1]
    for _ in range(2):
        health.failed(emsp_platform.pk, "no answer")
        later(5)
    outcomes = {
        "+": Outcome(row, Ended.DELIVERED, elapsed=0.01),
        "-": Outcome(row, Ended.FAILED, error="HTTP 503", elapsed=0.01),
        "r": Outcome(row, Ended.FAILED, error="HTTP 429", elapsed=0.01, retry_after=7.0),
    }

    outbox_outcomes.report_health([outcomes[one] for one in came], unwell=set())

    emsp_platform.refresh_from_db()
    assert (emsp_platform.failures, emsp_platform.backoff_until is not None) == (failures, rests)
    assert emsp_platform.connection == ("OFFLINE" if failures == 3 else "CONNECTED")


@pytest.mark.req("REL-26")
def test_a_success_beside_a_failure_is_written_down_although_one_was_a_moment_ago(emsp_platform: Platform) -> None:
    mark(add_object(), emsp_platform)
    [row] = outbox_rows.due([(emsp_platform.pk, slot) for slot in range(4)], limit=1).popitem()[1]
    health.succeeded(emsp_platform.pk, 0.01)
    until = datetime.now(UTC) + timedelta(seconds=1)
    Platform.objects.update(failures=1, backoff_until=until)  # by another process

    outbox_outcomes.report_health(
        [Outcome(row, Ended.FAILED, error="HTTP 503", elapsed=0.01), Outcome(row, Ended.DELIVERED, elapsed=0.01)],
        unwell=set(),
    )

    emsp_platform.refresh_from_db()
    assert (emsp_platform.failures, emsp_platform.backoff_until) == (0, None)


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


@pytest.mark.req("REL-26")
def test_a_platform_that_fails_again_and_again_is_left_alone_for_longer(emsp_platform: Platform) -> None:
    waits = []
    for _ in range(5):
        health.failed(emsp_platform.pk, "no answer")
        emsp_platform.refresh_from_db()
        assert emsp_platform.backoff_until is not None
        assert emsp_platform.failing_since is not None
        waits.append((emsp_platform.backoff_until - emsp_platform.failing_since).total_seconds())
        # That pause is over; what is counted from then on is the next failure's own moment.
        Platform.objects.update(backoff_until=None, failing_since=None)

    assert waits == [0.5, 1, 10, 20, 40]


@pytest.mark.req("REL-26", "REL-38")
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


@pytest.mark.req("REL-20", "REL-38")
def test_each_of_many_platforms_that_failed_together_is_noted(emsp_platform: Platform) -> None:
    other = add_platform("other", "http://127.0.0.1:9")
    mark(add_object(), emsp_platform, other)
    lanes = [(platform.pk, slot) for platform in (emsp_platform, other) for slot in range(4)]
    rows = [row for found in outbox_rows.due(lanes, limit=1).values() for row in found]

    outbox_outcomes.report_health([Outcome(row, Ended.FAILED, error="HTTP 503") for row in rows], unwell=set())

    assert list(Platform.objects.values_list("failures", flat=True)) == [1, 1]


@pytest.mark.req("REL-22")
def test_the_average_of_a_platform_follows_its_answers(emsp_platform: Platform) -> None:
    Platform.objects.update(average_ms=100.0)

    for _ in range(5):
        health.succeeded(emsp_platform.pk, 3.0, was_well=False)

    assert 1000 < (Platform.objects.get().average_ms or 0) < 3000


@pytest.mark.req("REL-38")
def test_who_is_suspended_stays_so_however_it_does(emsp_platform: Platform) -> None:
    Platform.objects.update(connection="SUSPENDED", failures=7)

    health.failed(emsp_platform.pk, "no answer")
    after_a_failure = Platform.objects.get().connection
    health.succeeded(emsp_platform.pk, 0.01, was_well=False)

    assert (after_a_failure, Platform.objects.get().connection) == ("SUSPENDED", "SUSPENDED")


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


@pytest.mark.req("REL-38", "REL-39")
def test_a_platform_that_was_never_heard_of_is_probed_five_minutes_after_it_was_made(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    for minutes, probed in ((4, 0), (6, 1)):
        Platform.objects.update(last_heard_at=None, created_at=datetime.now(UTC) - timedelta(minutes=minutes))
        assert outbox_probe.probe() == probed


@pytest.mark.req("REL-26")
def test_a_shorter_rest_does_not_end_a_longer_one(emsp_platform: Platform) -> None:
    for seconds in (600.0, 5.0):
        health.rest(emsp_platform.pk, seconds)

    emsp_platform.refresh_from_db()
    assert emsp_platform.backoff_until is not None
    assert emsp_platform.backoff_until > datetime.now(UTC) + timedelta(seconds=500)


@pytest.mark.req("REL-38")
def test_a_failed_probe_waits_longer_each_time() -> None:
    assert [outbox_policy.pause(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 8, 20)] == [
        0.5, 1, 10, 20, 40, 80, 160, 300, 300
    ]  # fmt: skip


def _silent(minutes: float) -> None:
    Platform.objects.update(last_heard_at=datetime.now(UTC) - timedelta(minutes=minutes))


@pytest.mark.req("HUB-84", "HUB-85", "HCI-22")
@pytest.mark.parametrize(
    ("says", "connection", "failures"),
    [
        (Says(200, 1000), "CONNECTED", 0),
        (Says(200, 2000), "CONNECTED", 0),
        (Says(200, 3000), "CONNECTED", 0),
        (Says(404, 2000), "CONNECTED", 0),
        (Says(404, body=b"<html>not here</html>"), "CONNECTED", 0),
        (Says(429, 2000), "CONNECTED", 0),
        (Says(500, 3000), "OFFLINE", 6),
        (Says(503, body=b"<html>away</html>"), "OFFLINE", 6),
        (Says(hangs_up=True), "OFFLINE", 6),
    ],
    ids=str,
)
def test_any_http_answer_but_5xx_says_that_somebody_is_there(
    emsp_server: Recorder, emsp_platform: Platform, says: Says, connection: str, failures: int
) -> None:
    answer_always(emsp_server, says)
    Platform.objects.update(connection="OFFLINE", failures=5)

    assert outbox_probe.probe() == (connection == "CONNECTED")

    emsp_platform.refresh_from_db()
    assert (emsp_platform.connection, emsp_platform.failures) == (connection, failures)


@pytest.mark.req("HUB-85", "REL-38")
def test_nobody_at_the_address_is_a_failed_probe(emsp_server: Recorder, emsp_platform: Platform) -> None:
    emsp_server.close()
    _silent(minutes=6)

    assert outbox_probe.probe() == 0

    emsp_platform.refresh_from_db()
    assert (emsp_platform.connection, emsp_platform.failures) == ("CONNECTED", 1)


@pytest.mark.req("REL-25", "HUB-85")
@pytest.mark.parametrize("http_status", [401, 403])
def test_a_probe_that_is_refused_our_token_pauses_the_platform(
    emsp_server: Recorder, emsp_platform: Platform, http_status: int
) -> None:
    answer_always(emsp_server, Says(http_status, 2000))
    _silent(minutes=6)

    assert outbox_probe.probe() == 0
    emsp_platform.refresh_from_db()
    assert emsp_platform.paused_reason
    later(3600)
    assert (outbox_probe.probe(), len(emsp_server.got)) == (0, 2)  # until an operator or new credentials end it


@pytest.mark.req("QRK-01", "REL-25", "HUB-85")
def test_a_probe_that_is_answered_when_our_token_is_in_its_other_form_finds_somebody_there(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    Platform.objects.update(base64_token=False)
    snapshot.changed()
    expected = secrets.authorization(snapshot.current().platforms[emsp_platform.pk].target().token, base64_token=True)
    emsp_server.always = lambda got: None if got.headers["authorization"] == expected else Says(401, 2000)
    _silent(minutes=6)

    assert outbox_probe.probe() == 1

    emsp_platform.refresh_from_db()
    assert (emsp_platform.paused_reason, emsp_platform.base64_token) == ("", True)


@pytest.mark.req("TRN-006", "REL-25")
def test_a_probe_uses_no_other_form_of_token_than_an_operator_has_set(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    Platform.objects.update(detects_token=False)
    answer_always(emsp_server, Says(401, 2000))
    _silent(minutes=6)

    assert (outbox_probe.probe(), len(emsp_server.got)) == (0, 1)

    emsp_platform.refresh_from_db()
    assert emsp_platform.paused_reason


@pytest.mark.req("REL-25")
def test_a_probe_pauses_nobody_who_has_just_exchanged_credentials_with_us(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    CredentialsToken.objects.create(platform=emsp_platform, digest="d", last_four="dddd", purpose="CURRENT")
    answer_always(emsp_server, Says(401, 2000))
    _silent(minutes=6)

    assert outbox_probe.probe() == 0

    emsp_platform.refresh_from_db()
    assert (emsp_platform.paused_reason, emsp_platform.failures) == ("", 0)


@pytest.mark.req("REL-39", "REL-38", "HUB-84")
def test_a_silent_platform_that_is_gone_is_offline_within_the_sixth_minute(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    answer_always(emsp_server, UNAVAILABLE)
    _silent(minutes=5.01)

    seconds = 0
    while Platform.objects.get().connection == "CONNECTED":
        outbox_probe.probe()  # as the task does
        later(5)
        seconds += 5
        assert seconds <= 25  # and three that hang for ten seconds each: less than a minute

    assert len(emsp_server.got) == 3


@pytest.mark.req("REL-39", "SEC-28")
def test_a_probe_that_hangs_is_given_up_and_three_of_them_in_a_minute(
    emsp_server: Recorder, emsp_platform: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 3 * outbox_probe._LONGEST + outbox_policy.pause(1) + outbox_policy.pause(2) < 60
    settings.OCPI_REQUEST_TIMEOUT = 60.0
    monkeypatch.setattr(outbox_probe, "_LONGEST", 0.2)
    answer_always(emsp_server, Says(after=5))
    _silent(minutes=6)
    began = time.monotonic()

    assert outbox_probe.probe() == 0
    assert time.monotonic() - began < 4
    assert Platform.objects.get().failures == 1


@pytest.mark.req("REL-39")
def test_one_that_fails_and_is_sent_little_is_probed_before_five_minutes_are_over(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    answer_always(emsp_server, UNAVAILABLE)
    Platform.objects.update(last_heard_at=datetime.now(UTC))
    health.failed(emsp_platform.pk, "no answer")
    later(2)
    assert (outbox_probe.probe(), emsp_server.got) == (0, [])

    Platform.objects.update(failing_since=datetime.now(UTC) - timedelta(seconds=6))
    outbox_probe.probe()
    later(3)
    outbox_probe.probe()

    assert Platform.objects.get().connection == "OFFLINE"


@pytest.mark.req("REL-38", "REL-03")
def test_a_probe_that_is_under_way_is_not_begun_again_until_its_process_must_be_dead(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    _silent(minutes=6)
    Platform.objects.update(probed_at=datetime.now(UTC) - timedelta(seconds=20))
    assert (outbox_probe.probe(), emsp_server.got) == (0, [])

    Platform.objects.update(probed_at=datetime.now(UTC) - timedelta(seconds=31))

    assert outbox_probe.probe() == 1


@pytest.mark.req("REL-20", "REL-38")
def test_one_that_hangs_does_not_keep_the_probe_of_another_waiting(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorder() as hanging:
        add_platform("hangs", hanging.url, connection="OFFLINE")
        Platform.objects.update(connection="OFFLINE")
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        Platform.objects.filter(pk=emsp_platform.pk).update(probed_at=long_ago)  # so its turn comes after the other's
        noted: list[str] = []
        original = health.succeeded

        def succeeded(platform_id: int, elapsed: float, **options: bool) -> None:
            noted.append(Platform.objects.get(pk=platform_id).name)
            original(platform_id, elapsed, **options)

        def hangs(_got: Got) -> Says:
            eventually(lambda: noted, seconds=8)  # it answers once the other one is noted
            return Says()

        monkeypatch.setattr(health, "succeeded", succeeded)
        hanging.always = hangs

        assert outbox_probe.probe() == 2
    assert noted == ["eMSP", "hangs"]


@pytest.mark.req("REL-38", "REL-39")
def test_what_is_offline_is_probed_after_10_20_40_seconds_and_at_least_every_5_minutes(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    answer_always(emsp_server, UNAVAILABLE)
    for _ in range(3):
        health.failed(emsp_platform.pk, "no answer")
        later(5)
    later(-5)
    pauses = []
    for _ in range(7):
        seconds = 0
        before = len(emsp_server.got)
        while len(emsp_server.got) == before:
            later(5)
            seconds += 5
            outbox_probe.probe()
        pauses.append(seconds)

    assert pauses == [10, 20, 40, 80, 160, 300, 300]


@pytest.mark.req("REL-39", "REL-38")
def test_a_dead_platform_with_traffic_is_offline_within_a_minute(
    emsp_server: Recorder, emsp_platform: Platform, settings: Settings
) -> None:
    emsp_server.close()
    mark(add_object(), emsp_platform)

    seconds = 0.0
    while Platform.objects.get().connection == "CONNECTED":
        drain_now()
        later(0.5)
        seconds += 0.5
        assert seconds < 60

    # Also if each of the three hangs for as long as it may.
    assert seconds + 3 * settings.OCPI_REQUEST_TIMEOUT < 60


@pytest.mark.req("REL-39", "REL-38")
def test_whoever_comes_back_is_connected_with_its_first_request(emsp_platform: Platform) -> None:
    health.heard_from(emsp_platform.pk)  # written down a moment ago: the next is not, unless it says something new
    for _ in range(3):
        health.failed(emsp_platform.pk, "no answer")
        later(5)
    assert Platform.objects.get().connection == "OFFLINE"

    health.heard_from(emsp_platform.pk)

    assert Platform.objects.get().connection == "CONNECTED"


@pytest.mark.req("REL-26", "REL-38")
def test_a_hundred_platforms_that_answered_are_written_down_in_one_statement() -> None:
    platforms = [add_platform(f"eMSP {number}", "http://127.0.0.1:1") for number in range(100)]
    away = platforms[7]
    Platform.objects.update(average_ms=None)
    Platform.objects.filter(pk=away.pk).update(connection="OFFLINE", failures=3, failing_since=datetime.now(UTC))
    health.forget_written()

    with CaptureQueriesContext(connection) as asked:
        health.all_succeeded({platform.pk: 0.25 for platform in platforms if platform != away})

    assert [query["sql"].split()[0] for query in asked if "SAVEPOINT" not in query["sql"]] == ["UPDATE"]
    health.all_succeeded({away.pk: 0.5}, unwell=[away.pk])
    found = {row.pk: (row.connection, row.failures, row.average_ms) for row in Platform.objects.all()}
    assert found == {platform.pk: ("CONNECTED", 0, 500.0 if platform == away else 250.0) for platform in platforms}
