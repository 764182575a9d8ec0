"""What operators do with deliveries: again, given up, dropped, replayed, lanes reopened; all of it audited (REL-40)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from ocpi import dead_letters, delivery_actions, outbox_engine, platform_actions
from ocpi.dead_letters import Selection
from ocpi.models import AuditEntry, Delivery, FinishedDelivery, Platform
from tests import outbox_support as support
from tests.outbox_support import Recorder

pytestmark = pytest.mark.req("REL-40")
NOW = datetime.now(UTC)


@pytest.fixture(name="recorder")
def recorder_fixture(db: None) -> Iterator[Recorder]:
    with support.recorder() as found:
        yield found


def _finished(platform: Platform, number: int, **columns: Any) -> FinishedDelivery:
    values = {
        "kind": "STATE", "state": "DEAD", "order_key": f"LOC{number}", "slot": number % 4, "module": "locations",
        "path": f"NL/TNM/LOC{number}", "source": "hub.SharedObject", "source_id": number, "correlation_id": "c",
        **columns,
    }  # fmt: skip
    at = values.pop("finished_at", NOW)
    row = FinishedDelivery.objects.create(platform=platform, **values)
    FinishedDelivery.objects.filter(pk=row.pk).update(finished_at=at)
    return row


def _said(*arguments: Any, **options: Any) -> Any:
    out = StringIO()
    call_command("deliveries", *arguments, "--json", stdout=out, **options)
    return json.loads(out.getvalue())


def _audited(action: str) -> Any:
    return json.loads(AuditEntry.objects.get(action=action).details)


def test_all_of_a_filter_is_retried_and_nothing_else(recorder: Recorder) -> None:
    one, other = support.add_platform("one", recorder.url), support.add_platform("other", recorder.url)
    for number in range(3):
        _finished(one, number)
    _finished(one, 7, module="tariffs", path="NL/TNM/T7")
    _finished(one, 8, state="DROPPED")
    _finished(one, 9, finished_at=NOW - timedelta(days=2))
    _finished(other, 10)

    selection = Selection(one.pk, module="locations", since=NOW - timedelta(days=1))
    number = dead_letters.retry(selection, actor="alice")

    assert number == dead_letters.count(selection) + number == 3
    assert sorted(Delivery.objects.values_list("source_id", "state")) == [(n, "PENDING") for n in range(3)]
    assert FinishedDelivery.objects.count() == 4
    entry = AuditEntry.objects.get(action="delivery.retry_all")
    assert (entry.actor, entry.about) == ("alice", "one")
    assert _audited("delivery.retry_all.done")["number"] == 3


def test_a_thousand_failures_of_one_object_go_out_once(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_CHUNK", 3)
    platform = support.add_platform("one", recorder.url)
    for number in (1, 2, 1, 1, 3, 1, 2):
        _finished(platform, number)

    assert dead_letters.retry(Selection(platform.pk), actor="alice") == 3
    assert list(Delivery.objects.order_by("id").values_list("source_id", "change")) == [(1, 1), (2, 1), (3, 1)]
    assert not FinishedDelivery.objects.exists()


def test_of_several_failures_of_one_object_the_newest_goes_out(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    rows = [_finished(platform, 1, correlation_id=name) for name in ("old", "older than the last", "last")]

    assert delivery_actions.send_finished_again([row.pk for row in rows], actor="alice") == 1
    assert Delivery.objects.get().correlation_id == "last"


@pytest.mark.req("REL-16")
def test_a_retry_of_what_waits_already_makes_it_whole_and_due_once_more(recorder: Recorder) -> None:
    """Also if it is on its way just now: what comes of that try does not end it."""
    platform = support.add_platform("one", recorder.url)
    location = support.add_object("LOC1")
    support.mark(location, platform, fields=["status"])
    Delivery.objects.update(attempts=3, due_at=NOW + timedelta(hours=1))
    [waiting] = Delivery.objects.all()
    dead = _finished(platform, location.pk, path=waiting.path, order_key=waiting.order_key, slot=waiting.slot,
                     source=waiting.source, to_country_code="DE", to_party_id="EMS")  # fmt: skip

    assert delivery_actions.send_finished_again([dead.pk], actor="alice") == 1

    again = Delivery.objects.get()
    assert (again.pk, again.fields, again.attempts) == (waiting.pk, None, 0)
    assert again.change == waiting.change + 1
    assert again.due_at < waiting.due_at


def test_dropping_needs_a_reason_that_stays_with_the_delivery(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    dead, refused = _finished(platform, 1, error="HTTP 500"), _finished(platform, 2, state="REFUSED")
    delivered = _finished(platform, 3, state="DELIVERED")

    number = delivery_actions.drop([dead.pk, refused.pk, delivered.pk], actor="alice", reason="settled by letter")

    assert number == 2
    dead.refresh_from_db()
    assert (dead.state, dead.error) == ("DROPPED", "dropped by alice: settled by letter; HTTP 500")
    assert FinishedDelivery.objects.get(pk=delivered.pk).state == "DELIVERED"
    assert _audited("delivery.drop") == {
        "ids": sorted([dead.pk, refused.pk, delivered.pk]), "number": 2, "reason": "settled by letter",
    }  # fmt: skip


def test_an_action_and_its_entry_come_and_go_together(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    dead = _finished(platform, 1)

    with transaction.atomic():
        delivery_actions.drop([dead.pk], actor="alice", reason="x")
        transaction.set_rollback(True)

    assert FinishedDelivery.objects.get().state == "DEAD"
    assert not AuditEntry.objects.filter(action="delivery.drop").exists()


@pytest.mark.req("REL-14", "REL-15")
def test_a_replay_sends_each_object_once_as_it_is_now_and_in_order(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    location = support.add_object("LOC1", name="first")
    session = support.add_object("SES1", module="sessions")
    evse = support.add_object("LOC1/E1", parent=location)
    for row in (location, session):
        support.mark(row, platform, order_key="LOC1")
    outbox_engine.drain_now()
    support.change(location, name="second")
    support.mark(location, platform, order_key="LOC1")
    support.mark(evse, platform, order_key="LOC1")
    outbox_engine.drain_now()
    support.change(location, name="third")  # nobody was told of this one yet
    recorder.got.clear()

    found = dead_letters.replay(platform.pk, NOW - timedelta(minutes=5), actor="alice")
    outbox_engine.drain_now()

    assert found.objects == 3
    assert recorder.lines == [
        "PUT /locations/NL/TNM/LOC1", "PUT /sessions/NL/TNM/SES1", "PUT /locations/NL/TNM/LOC1/E1",
    ]  # fmt: skip
    assert recorder.got[0].document["name"] == "third"
    assert _audited("delivery.replay.done")["number"] == 3


def test_a_replay_keeps_to_its_period_and_leaves_late_results_alone(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    for number, age in ((1, 5), (2, 3), (3, 1)):
        _finished(platform, number, state="DELIVERED", finished_at=NOW - timedelta(hours=age))
    _finished(platform, 4, state="DELIVERED", kind="RESULT", source="", source_id=None, url="http://a/x",
              finished_at=NOW - timedelta(hours=3), deadline_at=NOW - timedelta(hours=3))  # fmt: skip

    found = dead_letters.replay(platform.pk, NOW - timedelta(hours=4), NOW - timedelta(hours=2), actor="alice")

    assert found.objects == 1
    assert Delivery.objects.get().source_id == 2
    assert found.oldest == pytest.approx(NOW - timedelta(hours=5), abs=timedelta(seconds=1))
    assert FinishedDelivery.objects.filter(state="DELIVERED").count() == 4  # they stay as a record


def test_a_replay_brings_what_was_taken_and_what_should_have_been(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    for number, state in enumerate(("DELIVERED", "DEAD", "REFUSED", "DROPPED")):
        _finished(platform, number, state=state)

    assert dead_letters.replay(platform.pk, NOW - timedelta(hours=1), actor="alice").objects == 3
    assert set(Delivery.objects.values_list("source_id", flat=True)) == {0, 1, 2}


@pytest.mark.req("REL-17")
def test_results_have_no_object_that_would_make_them_one_and_go_out_in_chunks(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_CHUNK", 2)
    platform = support.add_platform("one", recorder.url)
    for number in range(5):
        _finished(platform, number, kind="RESULT", source="", source_id=None, path="", body="{}",
                  url=f"{recorder.url}/{number}", deadline_at=NOW + timedelta(hours=1))  # fmt: skip
    chunks: list[int] = []
    put_back = delivery_actions.put_back

    def counted(ids: list[int]) -> int:
        chunks.append(len(ids))
        return put_back(ids)

    monkeypatch.setattr(delivery_actions, "put_back", counted)

    assert dead_letters.retry(Selection(platform.pk), actor="alice") == 5
    assert chunks == [2, 2, 1]
    assert sorted(Delivery.objects.values_list("url", flat=True)) == [f"{recorder.url}/{n}" for n in range(5)]


@pytest.mark.req("REL-35")
def test_a_replay_for_a_platform_that_is_away_leaves_marks(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url, connection="OFFLINE")
    _finished(platform, 1, state="DELIVERED")
    _finished(platform, 2, state="DELIVERED", kind="CDR", module="cdrs", path="")

    dead_letters.replay(platform.pk, NOW - timedelta(hours=1), actor="alice")

    assert sorted(Delivery.objects.values_list("kind", "state")) == [("CDR", "PENDING"), ("STATE", "MARKED")]


def test_marks_are_brought_forward_and_a_lane_is_reopened(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    support.mark(support.add_object("LOC1"), platform)
    support.mark(support.add_object("LOC2"), platform)
    Delivery.objects.update(due_at=NOW + timedelta(hours=1))
    Delivery.objects.filter(path__endswith="LOC1").update(state="MARKED")

    assert delivery_actions.catch_up_now(platform.pk, actor="alice") == 1
    assert delivery_actions.reopen_lane(platform.pk, actor="alice") == 1
    assert not Delivery.objects.filter(due_at__gt=datetime.now(UTC)).exists()
    assert _audited("lane.catch_up") == {"marks": 1}
    assert _audited("lane.reopen") == {"deliveries": 1}


def test_what_is_given_up_is_dead_and_written_down_with_its_reason(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    support.mark(support.add_object("LOC1"), platform)
    delivery = Delivery.objects.get()

    assert delivery_actions.give_up([delivery.pk], actor="alice", reason="settled by letter") == 1

    assert not Delivery.objects.exists()
    dead = FinishedDelivery.objects.get()
    assert (dead.state, dead.error) == ("DEAD", "given up by alice: settled by letter; ")
    assert AuditEntry.objects.get(action="delivery.give_up").actor == "alice"
    assert _audited("delivery.give_up") == {"ids": [delivery.pk], "number": 1, "reason": "settled by letter"}


def test_what_is_sent_again_goes_whole(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    support.mark(support.add_object("LOC1"), platform, fields=["status"])
    Delivery.objects.update(due_at=NOW + timedelta(hours=1), attempts=3)

    assert delivery_actions.send_again([Delivery.objects.get().pk], actor="alice") == 1
    outbox_engine.drain_now()

    assert recorder.lines == ["PUT /locations/NL/TNM/LOC1"]
    assert AuditEntry.objects.get(action="delivery.send_again").actor == "alice"


def test_reopening_a_lane_leaves_marks_to_their_grace(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    for name in ("LOC1", "LOC2"):
        support.mark(support.add_object(name), platform)
    soon = NOW + timedelta(hours=1)
    Delivery.objects.update(due_at=soon)
    Delivery.objects.filter(path__endswith="LOC1").update(state="MARKED")

    assert delivery_actions.reopen_lane(platform.pk, actor="alice") == 1

    assert Delivery.objects.get(due_at=soon).state == "MARKED"


def test_only_an_offline_platform_is_probed_before_its_time(recorder: Recorder) -> None:
    later = NOW + timedelta(minutes=5)
    away = support.add_platform("away", recorder.url, connection="OFFLINE", backoff_until=later)
    there = support.add_platform("there", recorder.url, backoff_until=later)

    assert delivery_actions.probe_now(away.pk, actor="alice")
    assert not delivery_actions.probe_now(there.pk, actor="alice")
    assert list(Platform.objects.order_by("name").values_list("backoff_until", flat=True)) == [None, later]


def test_an_operator_pauses_a_platform_once(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    support.mark(support.add_object("LOC1"), platform)

    first = platform_actions.pause(platform.pk, "they asked for it", actor="alice")
    second = platform_actions.pause(platform.pk, "again", actor="bob")
    outbox_engine.drain_now()

    assert (first, second, recorder.lines) == (True, False, [])
    assert Platform.objects.get().paused_reason == "by alice: they asked for it"
    assert _audited("platform.pause") == {"reason": "they asked for it"}


# ---------------------------------------------------------------- the command line


def test_the_command_line_lists_retries_and_drops(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    first, second, third = (_finished(platform, number) for number in range(3))

    listed = _said("list", "--platform", "one")
    asked = _said("drop", "--platform", "one", "--reason", "old")
    retried = _said("retry", str(first.pk))
    dropped = _said("drop", "--platform", "one", "--reason", "old", "--yes")

    assert [row["id"] for row in listed] == [third.pk, second.pk, first.pk]
    assert (listed[0]["object"], listed[0]["state"]) == ("locations NL/TNM/LOC2", "DEAD")
    assert (asked["number"], asked["done"]) == (3, False)
    assert (retried["number"], dropped["number"], dropped["done"]) == (1, 2, True)
    assert set(FinishedDelivery.objects.values_list("state", flat=True)) == {"DROPPED"}
    assert AuditEntry.objects.get(action="delivery.retry").actor.startswith("command line")


def test_the_command_line_replays_a_period(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    _finished(platform, 1, state="DELIVERED")
    since = (NOW - timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S")

    asked = _said("replay", "--platform", "one", "--since", since)
    done = _said("replay", "--platform", "one", "--since", since, "--yes")

    assert (asked["number"], asked["done"], Delivery.objects.count()) == (1, False, 1)
    assert done["number"] == 1
    assert "nothing is known" in done["came"]


def test_the_command_line_shows_and_opens_lanes(recorder: Recorder) -> None:
    platform = support.add_platform("one", recorder.url)
    support.mark(support.add_object("LOC1"), platform)

    paused = _said("pause", "--platform", "one", "--reason", "maintenance")
    [lane] = _said("lanes", "--platform", "one")
    _said("resume", "--platform", "one")
    reopened = _said("reopen", "--platform", "one")

    assert paused["done"]
    assert (lane["breaker"], lane["pending"], lane["slots"]) == ("paused", 1, 4)
    assert "over" in reopened["came"]
    assert _said("lanes")[0]["breaker"] == "closed"
    assert _said("catch-up", "--platform", "one")["number"] == 0
    assert "no probe is needed" in _said("probe", "--platform", "one")["came"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("retry",), "Name deliveries by their ids, or a selection"),
        (("list", "--platform", "nobody"), "no platform named nobody"),
        (("list", "--since", "yesterday"), "a time looks like"),
        (("list", "--since", "2026-02-31"), "yesterday|day"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(db: None, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("deliveries", *arguments, stdout=StringIO())
