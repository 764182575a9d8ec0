"""What time alone brings about: catching up at its rate, marks of who went away, dead rows, Retry-After."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from ocpi import outbox, outbox_care, snapshot
from ocpi.models import Delivery, FinishedDelivery, Party, Platform
from ocpi.outbox_engine import drain_now
from tests.outbox_support import Recorder, Says, add_object, add_platform, later, mark, pending, recorder

pytestmark = pytest.mark.django_db


@pytest.fixture
def emsp_server() -> Iterator[Recorder]:
    with recorder() as found:
        yield found


@pytest.fixture
def emsp_platform(emsp_server: Recorder) -> Platform:
    return add_platform("eMSP", emsp_server.url)


def _marks(platform: Platform, count: int) -> None:
    for number in range(count):
        mark(add_object(f"LOC{number}"), platform)
    Delivery.objects.filter(platform=platform).update(state="MARKED")


def _in_state(state: str, platform: Platform) -> int:
    return Delivery.objects.filter(state=state, platform=platform).count()


def _seconds_pass(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ocpi_platform SET caught_up_at = caught_up_at - make_interval(secs => %s)", [seconds])


@pytest.mark.req("REL-36")
def test_marks_become_pushes_at_their_rate_however_many_workers_sweep(
    emsp_server: Recorder, emsp_platform: Platform, settings: Settings
) -> None:
    settings.OCPI_CATCH_UP_PER_SECOND = 4
    other = add_platform("another eMSP", emsp_server.url)
    _marks(emsp_platform, 60)
    mark(add_object("LOC99"), other)
    Delivery.objects.filter(platform=other).update(state="MARKED")

    began = time.monotonic()
    for _ in range(5):
        outbox_care.sweep()
    first = _in_state("PENDING", emsp_platform)
    assert 4 <= first <= 4 + 4 * (time.monotonic() - began)
    assert _in_state("PENDING", other) == 1

    _seconds_pass(0.6)
    for _ in range(5):
        outbox_care.sweep()
    second = _in_state("PENDING", emsp_platform)
    assert first + 2 <= second <= 6 + math.ceil(4 * (time.monotonic() - began + 0.5))

    _seconds_pass(3600)  # what was not used does not gather
    outbox_care.sweep()
    assert _in_state("PENDING", emsp_platform) <= second + 4


@pytest.mark.req("REL-36")
def test_the_rate_is_twenty_a_second_unless_an_operator_says_otherwise() -> None:
    assert configured.OCPI_CATCH_UP_PER_SECOND == 20


@pytest.mark.req("REL-35")
def test_a_change_written_while_its_platform_went_offline_is_a_mark_a_second_later(emsp_platform: Platform) -> None:
    mark(add_object("LOC1"), emsp_platform, fields=["status"])
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")
    Platform.objects.update(connection="OFFLINE")  # seen by nobody who wrote these

    outbox_care.sweep()

    assert [(row.kind, row.state, row.fields) for row in pending()] == [
        ("STATE", "MARKED", None), ("CDR", "PENDING", None)
    ]  # fmt: skip


@pytest.mark.req("REL-35")
def test_however_often_objects_change_there_is_one_mark_for_each_and_platform(emsp_server: Recorder) -> None:
    platforms = [
        add_platform(f"away {number}", emsp_server.url, connection=connection)
        for number, connection in enumerate(("OFFLINE", "SUSPENDED", "OFFLINE"))
    ]
    rows = [add_object(f"LOC{number}") for number in range(4)]

    for _ in range(5):
        for row in rows:
            mark(row, *platforms, fields=["status"])

    assert Delivery.objects.count() == len(rows) * len(platforms)
    assert {(row.state, row.fields, row.body) for row in pending()} == {("MARKED", None, "")}


@pytest.mark.req("REL-19")
def test_dead_rows_of_the_hot_table_are_removed_at_two_thousand() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'ocpi_delivery'")
        options = dict(option.split("=") for option in cursor.fetchone()[0])

    assert options["autovacuum_vacuum_scale_factor"] == "0"
    assert options["autovacuum_vacuum_threshold"] == "2000"


@pytest.mark.req("REL-26")
@pytest.mark.parametrize("http_status", [429, 503])
def test_who_asks_for_time_gets_it_for_all_its_objects(
    emsp_server: Recorder, emsp_platform: Platform, http_status: int
) -> None:
    emsp_server.answers = [Says(http_status, 3000, headers={"Retry-After": "120"})]
    mark(add_object("LOC1"), emsp_platform)
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR", order_key="LOC1")
    drain_now()
    asked = len(emsp_server.got)

    later(110)
    drain_now()
    assert len(emsp_server.got) == asked == 1

    later(15)
    drain_now()
    assert "POST /cdrs" in emsp_server.lines


@pytest.mark.req("REL-26")
def test_nobody_is_left_alone_for_longer_than_an_hour(emsp_server: Recorder, emsp_platform: Platform) -> None:
    emsp_server.answers = [Says(429, 3000, headers={"Retry-After": "999999"})]
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")
    drain_now()

    later(3599)
    drain_now()
    assert len(emsp_server.got) == 1

    later(2)
    drain_now()
    assert len(emsp_server.got) == 2


@pytest.mark.req("REL-33")
@pytest.mark.parametrize("http_status", [200, 409])
@pytest.mark.parametrize(("members", "state"), [({}, "DELIVERED"), ({"total": 99}, "REFUSED")])
def test_a_cdr_that_is_there_already_with_the_same_content_is_confirmed(
    emsp_server: Recorder, emsp_platform: Platform, http_status: int, members: dict[str, Any], state: str
) -> None:
    cdr = add_object("CDR1", module="cdrs", total=1)
    kept = json.dumps({"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z",
                       "data": {**json.loads(cdr.document), **members}})  # fmt: skip
    emsp_server.always = lambda got: (
        Says(body=kept.encode())
        if got.method == "GET"
        else Says(http_status, 2001, headers={"Location": f"{emsp_server.url}/cdrs/CDR1"})
    )
    mark(cdr, emsp_platform, kind="CDR")

    drain_now()

    assert emsp_server.lines == ["POST /cdrs", "GET /cdrs/CDR1"]
    assert FinishedDelivery.objects.get().state == state


@pytest.mark.req("REL-33", "SEC-21")
def test_where_a_refused_cdr_is_said_to_be_is_only_asked_on_hosts_of_its_platform(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    with recorder() as other:
        elsewhere = other.url.replace("127.0.0.1", "127.0.0.2")
        emsp_server.always = lambda _got: Says(409, 2001, headers={"Location": f"{elsewhere}/cdrs/CDR1"})
        mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")

        drain_now()

        assert other.got == []
    assert FinishedDelivery.objects.get().state == "REFUSED"


@pytest.mark.req("SEC-28")
@pytest.mark.parametrize("silent", ["POST", "GET"])
def test_a_push_waits_as_long_as_the_settings_say_and_so_does_a_look_where_its_cdr_is(
    emsp_server: Recorder, emsp_platform: Platform, settings: Settings, silent: str
) -> None:
    settings.OCPI_REQUEST_TIMEOUT = 0.3
    refused = Says(409, 2001, headers={"Location": f"{emsp_server.url}/cdrs/CDR1"})
    emsp_server.always = lambda got: Says(after=5) if got.method == silent else refused
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")
    began = time.monotonic()

    drain_now()

    assert time.monotonic() - began < 4
    assert emsp_server.lines == ["POST /cdrs", "GET /cdrs/CDR1"][: 1 + (silent == "GET")]


@pytest.mark.req("REL-33")
def test_no_cdr_is_sent_while_its_party_behind_a_hub_is_away(emsp_server: Recorder, emsp_platform: Platform) -> None:
    party = Party.objects.create(
        platform=emsp_platform, country_code="DE", party_id="EMS", role="EMSP", approved=True, through_hub=True,
        status="OFFLINE",
    )  # fmt: skip
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")
    drain_now()
    assert emsp_server.got == []

    Party.objects.filter(pk=party.pk).update(status="CONNECTED")
    snapshot.changed()
    later(3600)
    drain_now()

    assert emsp_server.lines == ["POST /cdrs"]


@pytest.mark.req("REL-34")
@pytest.mark.parametrize("columns", [{"connection": "OFFLINE"}, {"paused_reason": "it refuses our token"}])
def test_a_result_whose_time_is_over_is_dropped_and_noted_also_where_nothing_is_sent(
    emsp_server: Recorder, emsp_platform: Platform, columns: dict[str, str]
) -> None:
    with transaction.atomic():
        outbox.send_result(
            outbox.Recipient(emsp_platform.pk), url=f"{emsp_server.url}/results/77", body=b"{}", module="commands",
            deadline_at=datetime.now(UTC) + timedelta(seconds=30), correlation_id="the command's",
        )  # fmt: skip
    Platform.objects.update(**columns)
    later(40)
    outbox_care.sweep()
    assert _in_state("PENDING", emsp_platform) == 1  # a try that began in time may still be under way

    later(6)
    outbox_care.sweep()

    assert pending() == []
    finished = FinishedDelivery.objects.get()
    assert (finished.state, finished.error) == ("DROPPED", "the announced timeout has passed")


@pytest.mark.req("REL-36")
@pytest.mark.parametrize(("catch_up", "state"), [("never", "MARKED"), ("after_grace", "PENDING")])
def test_who_wants_no_catching_up_keeps_its_marks(emsp_platform: Platform, catch_up: str, state: str) -> None:
    _marks(emsp_platform, 1)
    Platform.objects.update(catch_up=catch_up)

    later(3600)
    outbox_care.sweep()

    assert pending()[0].state == state


@pytest.mark.req("REL-51")
def test_of_too_much_that_waits_the_newest_become_marks(
    emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_care, "MOST_PENDING", 3)
    monkeypatch.setattr(outbox_care, "AT_ONCE", 2)
    for number in range(4):
        mark(add_object(f"LOC{number}"), emsp_platform)

    outbox_care.limit_backlog()

    assert [found.state for found in pending()] == ["PENDING", "PENDING", "MARKED", "MARKED"]


@pytest.mark.req("REL-55")
def test_what_ended_is_kept_for_seven_days_and_what_died_for_ninety(emsp_platform: Platform) -> None:
    for number in range(4):
        mark(add_object(f"LOC{number}"), emsp_platform)
    drain_now()
    ids = list(FinishedDelivery.objects.order_by("pk").values_list("pk", flat=True))
    for pk, state, days in zip(ids, ("DELIVERED", "DELIVERED", "DEAD", "DEAD"), (6, 8, 89, 91), strict=True):
        ended = datetime.now(UTC) - timedelta(days=days)
        FinishedDelivery.objects.filter(pk=pk).update(state=state, finished_at=ended)

    assert outbox_care.forget_finished() == 2

    assert list(FinishedDelivery.objects.order_by("pk").values_list("pk", flat=True)) == [ids[0], ids[2]]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


@pytest.mark.req("REL-08", "OCPP-113")
@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (outbox_care._EXPIRE, {"time_to_live": 60, "grace": 60}),
        (outbox_care._DROP_LATE, {}),
        (outbox_care._GIVE_UP_CDRS, {"lifetime": 60}),
        (outbox_care._LIMIT, {"most": 5, "at_once": 10, "grace": 60}),
    ],
)
def test_the_sweep_looks_once_however_little_the_planner_knows(sql: str, values: dict[str, Any]) -> None:
    platform = add_platform("eMSP", "http://127.0.0.1:9")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ocpi_delivery")  # as it is nearly always: empty
        for number in range(40):
            mark(add_object(path=f"L{number}"), platform)
        later(3600)
        cursor.execute("SET LOCAL enable_hashjoin = off")
        cursor.execute("SET LOCAL enable_mergejoin = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)
        [(found,)] = cursor.fetchall()

    looked = [node["Actual Loops"] for node in _nodes(found[0]["Plan"]) if node["Node Type"] == "Limit"]
    assert looked
    assert max(looked) <= 1
