"""Whose fault a failure is, when it is tried again, and what becomes of a platform that does not answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, transaction

from hub import settings_celery
from ocpi import (
    alarms,
    clock,
    delivery_actions,
    health,
    outbox,
    outbox_care,
    outbox_policy,
    outbox_request,
    outbox_settle,
    secrets,
    snapshot,
    tasks,
)
from ocpi.headers import Address
from ocpi.models import CredentialsToken, Delivery, FinishedDelivery, Platform
from ocpi.outbox_engine import drain_now
from ocpi.outbox_rows import Outcome
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


def seconds_until_due(delivery: Delivery) -> float:
    assert delivery.tried_at is not None
    return (delivery.due_at - delivery.tried_at).total_seconds()


@pytest.mark.req("REL-31", "REL-33", "REL-34")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("STATE", [1, 2, 5, 10, 20, 20]),
        ("CDR", [1, 5, 30, 120, 600, 1800, 3600, 3600]),
        ("RESULT", [1, 2, 5, 10, 20, 20]),
    ],
)
def test_tries_follow_the_table_of_their_kind(kind: str, expected: list[float]) -> None:
    assert [outbox_policy.delay(kind, attempts, 0.5) for attempts in range(1, len(expected) + 1)] == expected


@pytest.mark.req("REL-31")
def test_pauses_vary_by_a_fifth_so_that_tries_do_not_meet() -> None:
    assert outbox_policy.delay("STATE", 3, 0.0) == pytest.approx(4.0)
    assert outbox_policy.delay("STATE", 3, 1.0) == pytest.approx(6.0)


@pytest.mark.req("REL-31", "HUB-45")
@pytest.mark.parametrize(
    ("age", "wait", "state"), [(39.0, 20.0, None), (41.0, 20.0, "MARKED"), (59.0, 2.0, "MARKED"), (61.0, 0.0, "MARKED")]
)
def test_no_try_is_planned_that_would_come_after_the_time_to_live(age: float, wait: float, state: str | None) -> None:
    assert outbox_policy.ending("STATE", age=age, wait=wait, time_to_live=60, left=None) == state


@pytest.mark.req("REL-34")
@pytest.mark.parametrize(("wait", "state"), [(4.0, None), (6.0, "DROPPED")])
def test_no_try_of_a_result_is_planned_after_its_timeout(wait: float, state: str | None) -> None:
    assert outbox_policy.ending("RESULT", age=1.0, wait=wait, time_to_live=60, left=5.0) == state


@pytest.mark.req("REL-27")
def test_every_fifth_refusal_parks_an_object_again() -> None:
    assert [number for number in range(17) if outbox_policy.parks(number)] == [5, 10, 15]


@pytest.mark.req("REL-26")
@pytest.mark.parametrize(("asked", "waits"), [(30.0, 30.0), (0.0, 1.0), (99_999.0, 3600.0)])
def test_retry_after_is_obeyed_up_to_an_hour(asked: float, waits: float) -> None:
    assert outbox_policy.delay("STATE", 1, 0.5, asked) == waits


@pytest.mark.req("REL-26")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("17", 17.0), ("", None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("-5", None), ("1e9", None),
        (f"Thu, 01 Jan {10**20} 00:00:00 GMT", None), (f"Thu, 01 Jan 2030 {10**20}:00:00 GMT", None),
        (f"Thu, {10**20} Jan 2030 00:00:00 GMT", None), (f"Thu, 01 Jan 2030 00:00:00 +{10**21}", None),
        ("9" * 5000, 999_999_999.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert outbox_request.retry_after(text) == seconds


@pytest.mark.req("REL-25", "REL-26", "REL-28")
@pytest.mark.parametrize("http_status", [429, 503])
def test_a_date_that_is_none_in_retry_after_is_the_platforms_fault_like_the_rest_of_its_answer(
    emsp_server: Recorder, emsp_platform: Platform, http_status: int
) -> None:
    answer_always(emsp_server, Says(http_status, headers={"Retry-After": f"Thu, 01 Jan {10**20} 00:00:00 GMT"}))
    mark(add_object("LOC1"), emsp_platform)

    drain_now()

    emsp_platform.refresh_from_db()
    assert emsp_platform.failures == 1
    assert pending()[0].http_status == http_status


@pytest.mark.req("REL-16", "REL-31", "REL-32")
def test_a_change_after_a_failed_try_goes_on_with_its_tries_and_is_sent_whole(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object()
    emsp_server.answers = [Says(429)]
    mark(location, emsp_platform, fields=["status"])
    drain_now()

    change(location, name="Harbour")
    mark(location, emsp_platform, fields=["name"])
    [waits] = pending()
    later(5, platform=emsp_platform)
    drain_now()

    assert waits.attempts == 1
    assert emsp_server.lines == ["PATCH /locations/NL/TNM/LOC1", "PUT /locations/NL/TNM/LOC1"]
    assert emsp_server.got[1].document["name"] == "Harbour"


@pytest.mark.req("REL-16")
@pytest.mark.parametrize("refusal", [Says(200, 2001), Says(400, 2000), Says(302)], ids=["2001", "400", "a redirect"])
def test_after_a_refusal_the_whole_object_is_due_until_it_is_taken(
    refusal: Says, emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object()
    mark(location, emsp_platform, fields=["status"])
    emsp_server.answers = [refusal]
    drain_now()
    change(location, name="Harbour")
    mark(location, emsp_platform, fields=["name"])
    drain_now()
    change(location, name="Market")
    mark(location, emsp_platform, fields=["name"])

    drain_now()

    pushes = [got for got in emsp_server.got if got.method != "GET"]  # it is asked whether it lacks the object
    assert [got.method for got in pushes] == ["PATCH", "PUT", "PATCH"]
    assert {"status", "name"} <= pushes[1].document.keys()


@pytest.mark.req("REL-16")
def test_a_refusal_by_one_party_is_none_by_another_or_of_another_object(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    refused, taken = add_object("LOC1"), add_object("LOC2")
    emsp_server.answers = [Says(200, 2001)]
    mark(refused, emsp_platform, fields=["status"])
    drain_now()
    FinishedDelivery.objects.update(to_party_id="XYZ")

    mark(refused, emsp_platform, fields=["status"])
    mark(taken, emsp_platform, fields=["status"])
    drain_now()

    assert [got.method for got in emsp_server.got if got.method != "GET"] == ["PATCH"] * 3


@pytest.mark.req("REL-25", "REL-28")
@pytest.mark.parametrize(
    "says",
    [
        Says(500), Says(502, body=b"<html>Bad gateway</html>"), Says(408), Says(429), Says(200, 3000), Says(200, None),
        Says(body=b"<html>Welcome</html>"), Says(body=b'{"status_code":'), Says(body=b"[1000]"), Says(body=b'"ok"'),
        Says(body=b'{"status_code":"abc"}'), Says(body=b"x" * 2_000_000), Says(body=b"\xff\xfe\0"), Says(hangs_up=True),
        Says(body=b'{"status_code":99999999}'), Says(200, 4000),
    ],
)  # fmt: skip
def test_what_is_the_platforms_fault_makes_it_back_off_as_a_whole(
    emsp_server: Recorder, emsp_platform: Platform, says: Says
) -> None:
    answer_always(emsp_server, says)
    mark(add_object("LOC1"), emsp_platform)
    mark(add_object("LOC2"), emsp_platform, order_key="LOC1")

    drain_now()

    emsp_platform.refresh_from_db()
    assert emsp_platform.failures == 1
    assert emsp_platform.backoff_until is not None
    assert len(emsp_server.got) == 1
    assert [found.state for found in pending()] == ["PENDING", "PENDING"]
    tried = pending()[0]
    assert tried.attempts == 1
    assert 0 < len(tried.error) <= 2000


@pytest.mark.req("REL-25", "REL-26", "REL-33")
def test_who_cannot_be_reached_backs_off_and_loses_nothing() -> None:
    with recorder() as gone:
        platform = add_platform("gone", gone.url)
    mark(add_object("CDR1", module="cdrs"), platform, kind="CDR")

    drain_now()

    platform.refresh_from_db()
    assert platform.failures == 1
    assert [(found.state, found.attempts) for found in pending()] == [("PENDING", 1)]


@pytest.mark.req("REL-28", "REL-33")
def test_a_cdr_is_delivered_however_long_its_location_is(emsp_server: Recorder, emsp_platform: Platform) -> None:
    emsp_server.answers = [Says(201, headers={"Location": f"{emsp_server.url}/cdrs/{'x' * 3000}"})]
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")

    drain_now()

    assert [found.state for found in FinishedDelivery.objects.all()] == ["DELIVERED"]
    assert emsp_server.lines == ["POST /cdrs"]


@pytest.mark.req("REL-25")
@pytest.mark.parametrize("says", [Says(200, 2000), Says(200, 2001), Says(400, 2001), Says(413), Says(404, 2000)])
def test_what_is_the_messages_fault_is_refused_and_the_lane_goes_on(
    emsp_server: Recorder, emsp_platform: Platform, says: Says
) -> None:
    emsp_server.answers = [says]
    mark(add_object("LOC1"), emsp_platform)
    mark(add_object("S1", module="sessions"), emsp_platform, order_key="LOC1")

    drain_now()

    assert sorted(FinishedDelivery.objects.values_list("state", flat=True)) == ["DELIVERED", "REFUSED"]
    assert FinishedDelivery.objects.get(state="REFUSED").error
    emsp_platform.refresh_from_db()
    assert emsp_platform.failures == 0


@pytest.mark.req("REL-25")
@pytest.mark.parametrize("body", [None, b"", b"<html>Moved</html>"])
def test_a_redirect_of_a_push_is_refused_and_not_followed(
    body: bytes | None, emsp_server: Recorder, emsp_platform: Platform
) -> None:
    emsp_server.answers = [Says(307, body=body, headers={"Location": f"{emsp_server.url}/elsewhere"})]
    mark(add_object(), emsp_platform)

    drain_now()

    assert len(emsp_server.got) == 1
    assert FinishedDelivery.objects.get().state == "REFUSED"


@pytest.mark.req("REL-25")
@pytest.mark.parametrize("http_status", [401, 403])
def test_a_platform_that_refuses_our_token_is_paused_and_loses_nothing(
    emsp_server: Recorder, emsp_platform: Platform, http_status: int
) -> None:
    answer_always(emsp_server, Says(http_status, 2000))
    mark(add_object("LOC1"), emsp_platform)
    mark(add_object("LOC2"), emsp_platform)

    drain_now()
    later(3600)
    drain_now()

    emsp_platform.refresh_from_db()
    assert "refuses our token" in emsp_platform.paused_reason
    assert len([line for line in emsp_server.lines if not line.endswith("/versions")]) <= 2
    assert {found.attempts for found in pending()} == {0}  # it is not their fault
    tries = len(emsp_server.got)
    answer_always(emsp_server, Says())

    health.resume(emsp_platform.pk)
    drain_now()

    assert len(emsp_server.got) == tries + 2


@pytest.mark.req("QRK-01", "REL-25")
def test_who_takes_our_token_in_its_other_form_is_not_paused(emsp_server: Recorder, emsp_platform: Platform) -> None:
    """Once it showed its token raw, or somebody tried it so with curl; it expects Base64 as before."""
    Platform.objects.filter(pk=emsp_platform.pk).update(base64_token=False)
    snapshot.changed()
    known = snapshot.current().platforms[emsp_platform.pk].target()
    expected = secrets.authorization(known.token, base64_token=True)
    emsp_server.always = lambda got: None if got.headers["authorization"] == expected else Says(401, 2000)
    mark(add_object(), emsp_platform)

    drain_now()
    later(60)
    drain_now()

    emsp_platform.refresh_from_db()
    assert (emsp_platform.paused_reason, emsp_platform.base64_token) == ("", True)
    assert list(FinishedDelivery.objects.values_list("state", flat=True)) == ["DELIVERED"]


@pytest.mark.req("QRK-01", "REL-25")
def test_who_takes_our_token_in_either_form_and_refuses_what_is_our_own_is_paused(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    """The form stays as it is: it is not what was refused."""
    emsp_server.always = lambda got: None if got.path == "/versions" else Says(403, 2000)
    _send_result(emsp_server, emsp_platform)

    drain_now()

    emsp_platform.refresh_from_db()
    assert "refuses our token" in emsp_platform.paused_reason
    assert emsp_platform.base64_token
    assert emsp_server.lines == ["POST /commands/1", "GET /versions"]


def _send_result(server: Recorder, platform: Platform) -> None:
    """Send what has no content of anybody else's."""
    with transaction.atomic():
        outbox.send_result(
            outbox.Recipient(platform.pk, Address("DE", "EMS"), Address("NL", "TNM")),
            url=f"{server.url}/commands/1", body=b'{"result":"ACCEPTED"}', module="commands",
            deadline_at=clock.now() + timedelta(minutes=10), correlation_id="c",
        )  # fmt: skip


@pytest.mark.req("REL-25")
@pytest.mark.parametrize("http_status", [401, 403])
def test_what_another_party_sent_may_be_refused_and_the_others_go_on(
    emsp_server: Recorder, emsp_platform: Platform, http_status: int
) -> None:
    odd = Says(http_status, 2000)
    emsp_server.always = lambda got: odd if got.path.endswith("/ODD") else None
    mark(add_object("ODD"), emsp_platform, order_key="same")
    mark(add_object("LOC1"), emsp_platform, order_key="same")

    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/ODD", "GET /versions", "PUT /locations/NL/TNM/LOC1"]
    assert sorted(FinishedDelivery.objects.values_list("path", "state")) == [
        ("NL/TNM/LOC1", "DELIVERED"), ("NL/TNM/ODD", "REFUSED")
    ]  # fmt: skip
    emsp_platform.refresh_from_db()
    assert (emsp_platform.paused_reason, emsp_platform.failures) == ("", 0)


@pytest.mark.req("REL-25")
@pytest.mark.parametrize("http_status", [401, 403])
def test_who_has_just_exchanged_credentials_with_us_is_not_paused_for_a_moment(
    emsp_server: Recorder, emsp_platform: Platform, http_status: int
) -> None:
    token = CredentialsToken.objects.create(platform=emsp_platform, digest="d", last_four="dddd", purpose="CURRENT")
    answer_always(emsp_server, Says(http_status, 2000))
    _send_result(emsp_server, emsp_platform)

    drain_now()

    emsp_platform.refresh_from_db()
    assert emsp_platform.paused_reason == ""
    CredentialsToken.objects.filter(pk=token.pk).update(created_at=clock.now() - timedelta(seconds=6))
    later(60)
    drain_now()
    emsp_platform.refresh_from_db()
    assert "token" in emsp_platform.paused_reason


@pytest.mark.req("REL-25", "HUB-42")
def test_who_has_just_exchanged_credentials_with_us_may_refuse_an_object_all_the_same(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    CredentialsToken.objects.create(platform=emsp_platform, digest="d", last_four="dddd", purpose="CURRENT")
    emsp_server.always = lambda got: None if got.path == "/versions" else Says(403, 2000)
    mark(add_object(), emsp_platform)

    drain_now()

    assert list(FinishedDelivery.objects.values_list("state", flat=True)) == ["REFUSED"]


@pytest.mark.req("REL-25", "REL-31")
def test_a_refusal_waits_while_it_cannot_be_told_what_is_refused(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    emsp_server.always = lambda got: UNAVAILABLE if got.path == "/versions" else Says(403, 2000)
    mark(add_object(), emsp_platform)

    drain_now()

    emsp_platform.refresh_from_db()
    assert emsp_platform.paused_reason == ""
    assert [(row.state, row.attempts) for row in pending()] == [("PENDING", 1)]


@pytest.mark.req("REL-20", "HUB-42")
def test_a_failing_platform_does_not_keep_the_others_waiting(emsp_server: Recorder, emsp_platform: Platform) -> None:
    with recorder() as broken:
        answer_always(broken, UNAVAILABLE)
        mark(add_object(), add_platform("broken", broken.url), emsp_platform)

        drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1"]


@pytest.mark.req("REL-31", "REL-36", "TRN-118", "TRN-119", "HUB-45")
def test_after_its_time_to_live_only_a_mark_without_a_body_stays(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    emsp_server.answers = [Says(status_code=4003)] * 50
    mark(add_object(), emsp_platform, fields=["status"])

    for _ in range(8):
        drain_now()
        later(12)

    [mark_left] = pending()
    assert (mark_left.state, mark_left.fields, mark_left.body) == ("MARKED", None, "")
    assert 400 < seconds_until_due(mark_left) <= 600  # so long it may pull
    tries = len(emsp_server.got)
    drain_now()
    assert len(emsp_server.got) == tries


@pytest.mark.req("REL-31")
def test_the_sweep_leaves_a_mark_of_what_failed_and_is_too_old(emsp_server: Recorder, emsp_platform: Platform) -> None:
    mark(add_object(), emsp_platform)
    emsp_server.answers = [UNAVAILABLE]
    drain_now()

    later(61)
    outbox_care.sweep()

    assert pending()[0].state == "MARKED"


@pytest.mark.req("REL-04", "REL-31", "TRN-119", "HUB-45")
def test_what_nobody_tried_for_long_is_sent_as_the_current_whole(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    mark(add_object(), emsp_platform, fields=["status"])

    later(300)
    outbox_care.sweep()
    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1"]


@pytest.mark.req("REL-33")
def test_a_cdr_is_tried_for_seven_days_and_then_dead(emsp_server: Recorder, emsp_platform: Platform) -> None:
    answer_always(emsp_server, Says(status_code=4003))
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")
    drain_now()
    assert seconds_until_due(pending()[0]) == pytest.approx(1, abs=0.3)
    later(1.3)
    drain_now()
    assert seconds_until_due(pending()[0]) == pytest.approx(5, abs=1.3)

    later(6 * 86_400)
    drain_now()
    assert [found.state for found in pending()] == ["PENDING"]

    later(86_400)
    drain_now()
    assert pending() == []
    assert FinishedDelivery.objects.get().state == "DEAD"


@pytest.mark.req("REL-33")
def test_the_seven_days_of_a_cdr_begin_once_although_an_operator_sends_it_again(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    answer_always(emsp_server, Says(status_code=4003))
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")
    later(6 * 86_400)
    delivery_actions.send_again([pending()[0].pk])
    later(86_400)

    drain_now()

    assert FinishedDelivery.objects.get().state == "DEAD"


@pytest.mark.req("REL-27")
def test_after_five_refusals_in_a_row_an_object_is_parked_and_others_go_on(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    poison, good = add_object("LOC1"), add_object("LOC1/E1")
    emsp_server.always = lambda got: Says(200, 2001) if got.path.endswith("LOC1") else None
    for _ in range(5):
        mark(poison, emsp_platform)
        drain_now()
    assert len(emsp_server.got) == 5
    assert pending()[0].attempts == 0  # after its hour it is tried as often as any other
    assert 3500 < seconds_until_due(pending()[0]) <= 3600

    mark(poison, emsp_platform)
    mark(good, emsp_platform)
    drain_now()
    assert emsp_server.lines[5:] == ["PUT /locations/NL/TNM/LOC1/E1"]

    emsp_server.always = lambda _got: None
    later(3601)
    drain_now()
    assert len(emsp_server.got) == 7
    assert FinishedDelivery.objects.filter(state="REFUSED").count() == 5


@pytest.mark.req("REL-27")
@pytest.mark.parametrize("before", [1, 2, 3, 4])
def test_refusals_count_from_the_last_success_on(before: int, emsp_server: Recorder, emsp_platform: Platform) -> None:
    row = add_object()
    for answers in ([Says(200, 2001)] * before, [Says()], [Says(200, 2001)] * 4):
        for answer in answers:
            emsp_server.answers = [answer]
            mark(row, emsp_platform)
            drain_now()

    assert pending() == []
    assert len(emsp_server.got) == before + 5


@pytest.mark.req("REL-27")
def test_what_another_platform_refuses_parks_nothing_here(emsp_server: Recorder, emsp_platform: Platform) -> None:
    other, row = add_platform("other", emsp_server.url), add_object()
    for platform in [other] * 4 + [emsp_platform]:
        emsp_server.answers = [Says(200, 2001)]
        mark(row, platform)
        drain_now()

    assert pending() == []


@pytest.mark.req("REL-27")
def test_a_cdr_that_is_refused_is_never_parked_but_an_operators_to_settle(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    answer_always(emsp_server, Says(200, 2001))
    cdr = add_object("CDR1", module="cdrs")
    for _ in range(5):
        mark(cdr, emsp_platform, kind="CDR")
        drain_now()

    assert pending() == []
    assert list(FinishedDelivery.objects.values_list("state", flat=True)) == ["REFUSED"] * 5


@pytest.mark.req("REL-28")
def test_an_answer_that_cannot_be_stored_keeps_only_its_own_row_waiting(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = outbox_settle.settle

    def refuses_teapots(outcomes: Sequence[Outcome]) -> list[Outcome]:
        if any(outcome.http_status == 418 for outcome in outcomes):
            raise DataError("there is no column for tea")
        return settle(outcomes)

    monkeypatch.setattr(outbox_settle, "settle", refuses_teapots)
    emsp_server.always = lambda got: Says(418) if got.path.endswith("LOC1") else None
    mark(add_object("LOC1"), emsp_platform)
    mark(add_object("LOC1/E1"), emsp_platform)

    drain_now()

    assert [(found.path, found.error) for found in pending()] == [("NL/TNM/LOC1", "the answer cannot be stored")]
    assert FinishedDelivery.objects.get().state == "DELIVERED"


@pytest.mark.req("REL-20", "REL-28")
def test_an_error_of_ours_with_one_delivery_leaves_it_waiting_and_the_lane_goes_on(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = outbox_request.deliver

    def stumble(row: Any, *more: Any) -> Outcome:
        if row.path.endswith("LOC1"):
            raise ZeroDivisionError("a mistake")
        return usual(row, *more)

    monkeypatch.setattr(outbox_request, "deliver", stumble)
    for name in ("LOC1", "LOC2"):
        mark(add_object(name), emsp_platform)

    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC2"]
    assert [(row.path, row.error) for row in pending()] == [
        ("NL/TNM/LOC1", "our own error: ZeroDivisionError: a mistake")
    ]
    assert Platform.objects.get().failures == 0


@pytest.mark.req("REL-51")
def test_too_much_pending_for_one_platform_becomes_marks(
    emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outbox_care.MOST_PENDING == alarms.MOST_PENDING_OF_ONE == 10_000
    assert settings_celery.schedule([], pulls=False)["ocpi.tasks.limit_backlog"]["schedule"] <= 60
    monkeypatch.setattr(outbox_care, "MOST_PENDING", 2)
    other = add_platform("other", "http://127.0.0.1:9")
    for number in range(4):
        mark(add_object(f"LOC{number}"), emsp_platform, *([other] if number < 2 else []))
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")

    tasks.limit_backlog()

    found = [(row.platform_id == other.pk, row.kind, row.state) for row in pending()]
    assert sorted(found) == [
        (False, "CDR", "PENDING"), *[(False, "STATE", "MARKED")] * 4, *[(True, "STATE", "PENDING")] * 2,
    ]  # fmt: skip
