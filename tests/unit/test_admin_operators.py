"""The admin pages of connections, lanes and dead letters: what they show, what it costs, and what their buttons do."""

from __future__ import annotations

import html
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ocpi import alarms, lanes, traffic
from ocpi.admin_pages import percent
from ocpi.models import AuditEntry, Delivery, FinishedDelivery, Platform
from tests.admin_world import EVIL
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.admin_world import world_fixture as world_fixture
from tests.fixtures import Partner

CONNECTIONS, LANES, DEAD = (reverse(f"admin:ocpi_{name}_changelist") for name in ("connection", "lane", "deadletter"))
NOW = datetime.now(UTC)


def _content(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return str(answer.content.decode())


def _rows(content: str) -> list[str]:
    """Return the rows of a list as text, without tags."""
    body = content[content.index('id="result_list"') : content.rindex("</table>")]
    plain = (html.unescape(re.sub(r"<[^>]+>", " ", row)) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL))
    return [" ".join(row.split()) for row in plain][1:]


def _written() -> list[tuple[str, str]]:
    """Return what the operator did, as the audit trail has it."""
    found = AuditEntry.objects.filter(actor="operator").exclude(action="login").order_by("id")
    return list(found.values_list("action", "about"))


def _failed(platform: Any, number: int, **columns: Any) -> FinishedDelivery:
    values = {"kind": "CDR", "state": "DEAD", "order_key": f"LOC{number}", "slot": 0, "module": "cdrs",
              "source": "hub.SharedObject", "source_id": number, "correlation_id": "c", **columns}  # fmt: skip
    return FinishedDelivery.objects.create(platform=platform, **values)


@pytest.mark.req("REL-38")
def test_connections_show_how_each_platform_is_doing(operator: Client, partner: Partner) -> None:
    now = datetime.now(UTC)
    good = partner("DE*EMS:EMSP", name="Good", average_ms=123.456789, last_heard_at=now - timedelta(minutes=5))
    partner("FR*AWY:CPO", name="Away", connection="OFFLINE", backoff_until=now + timedelta(seconds=100),
            last_error="no answer in 10 s")  # fmt: skip
    partner("BE*PSD:EMSP", name="Stopped", paused_reason="it refuses our token: HTTP 401")
    for ended in ("2xx", "2xx", "2xx", "5xx"):
        traffic.note(good.id, "OUT", ended, time.time(), 100.0)
    traffic.flush()

    stopped, away, fine = _rows(_content(operator, CONNECTIONS))

    assert "Away FR*AWY:CPO OFFLINE" in away
    assert re.search(r"open next probe in \d+ s", away)
    assert "no answer in 10 s" in away
    assert re.search(r"Good DE\*EMS:EMSP CONNECTED \d+ s \d+ min 123 ms 25.0 % · 25.0 % · 25.0 % closed –", fine)
    assert "123.4" not in fine
    assert "PAUSED" in stopped
    assert "paused – it refuses our token: HTTP 401" in stopped
    assert len(_rows(_content(operator, CONNECTIONS + "?status=PAUSED"))) == 1
    assert len(_rows(_content(operator, CONNECTIONS + "?role=EMSP"))) == 2


def test_since_when_is_kept_whoever_changes_the_connection(partner: Partner) -> None:
    pk = partner("DE*EMS:EMSP").id
    first = Platform.objects.get(pk=pk).connection_since
    Platform.objects.filter(pk=pk).update(failures=1)
    same = Platform.objects.get(pk=pk).connection_since
    Platform.objects.filter(pk=pk).update(connection="OFFLINE")

    assert first is not None
    assert first == same
    later = Platform.objects.get(pk=pk).connection_since
    assert later is not None
    assert later > first


@pytest.mark.parametrize("url", [CONNECTIONS, LANES, DEAD])
def test_many_platforms_cost_no_more_queries(operator: Client, partner: Partner, url: str) -> None:
    partner("DE*EMS:EMSP")
    _content(operator, url)
    with CaptureQueriesContext(connection) as few:
        _content(operator, url)
    platforms = Platform.objects.bulk_create(Platform(name=f"P{n:04}", state="REGISTERED", connection="CONNECTED")
                                             for n in range(1000))  # fmt: skip
    for platform in platforms[:60]:
        _failed(platform, platform.pk)
        traffic.note(platform.pk, "OUT", "2xx", time.time(), 5.0)
        Delivery.objects.create(platform=platform, kind="STATE", order_key="k", slot=0, module="locations", source="x",
                                source_id=platform.pk, correlation_id="c")  # fmt: skip
    traffic.flush()

    with CaptureQueriesContext(connection) as many:
        content = _content(operator, url)

    assert len(_rows(content)) == 50
    assert len(many) == len(few) <= 16, "\n".join(query["sql"][:150] for query in many)
    assert not any("ocpi_exchange" in query["sql"] for query in many)


@pytest.mark.req("REL-40")
def test_lanes_show_what_waits_for_whom_the_most_first(operator: Client, partner: Partner) -> None:
    partner("AT*AAA:EMSP", name="Idle", average_ms=5.0)
    busy = partner("DE*EMS:EMSP", name="Busy", average_ms=2000.0)
    common: dict[str, Any] = {"platform": busy.platform, "kind": "STATE", "slot": 1, "module": "locations",
                              "source": "x", "correlation_id": "c"}  # fmt: skip
    now = datetime.now(UTC)
    for number in range(3):
        Delivery.objects.create(source_id=number, order_key="k", due_at=now - timedelta(minutes=10), **common)
    Delivery.objects.create(source_id=7, order_key="p", due_at=now + timedelta(minutes=50), **common)
    Delivery.objects.create(source_id=8, order_key="m", state="MARKED", **common)
    _failed(busy.platform, 9)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lanes._FIRST_KEY + busy.id * lanes._KEYS_PER_PLATFORM + 1])
    try:
        first, second = _rows(_content(operator, LANES))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")

    assert re.search(r"Busy closed 4 1\d min 1 1 / 1 session \d+ 1 1", first)
    assert re.search(r"Idle closed – – – 0 / 4 – – –", second)


@pytest.mark.req("REL-40", "SEC-56")
@pytest.mark.parametrize(
    ("page", "action", "entry"),
    [
        ("connection", "pause", "platform.pause"),
        ("connection", "resume", "connection.resume"),
        ("connection", "probe_now", "lane.probe"),
        ("lane", "reopen_lane", "lane.reopen"),
        ("lane", "catch_up_now", "lane.catch_up"),
    ],
)
def test_each_button_asks_acts_and_is_written_down_once(
    operator: Client, viewer: Client, partner: Partner, page: str, action: str, entry: str
) -> None:
    connected = "OFFLINE" if action == "probe_now" else "CONNECTED"
    pk = partner("DE*EMS:EMSP", name="Drivers", connection=connected).id
    url = reverse(f"admin:ocpi_{page}_{action}", args=[pk])
    answer = {"confirmed": "yes", "reason": "they asked"}

    refused = viewer.post(url, answer).status_code
    asked = operator.get(url).status_code
    before = len(_written())
    done = operator.post(url, answer)

    assert (refused, asked, before, done.status_code) == (403, 200, 0, 302)
    assert _written() == [(entry, "Drivers")]


@pytest.mark.req("REL-40")
def test_dead_letters_are_retried_and_dropped_with_a_reason(operator: Client, partner: Partner) -> None:
    platform = partner("DE*EMS:EMSP").platform
    first, second, third = (_failed(platform, number) for number in range(3))
    _failed(platform, 4, state="DELIVERED")

    listed = _rows(_content(operator, DEAD))
    retry = {"action": "retry", "_selected_action": [str(first.pk)]}
    operator.post(DEAD, retry)
    still = FinishedDelivery.objects.filter(pk=first.pk).exists()
    operator.post(DEAD, {**retry, "confirmed": "yes"})
    drop = {"action": "drop", "_selected_action": [str(second.pk)], "confirmed": "yes"}
    operator.post(DEAD, drop)  # without a reason
    unmoved = FinishedDelivery.objects.get(pk=second.pk).state
    operator.post(DEAD, {**drop, "reason": "settled"})

    assert len(listed) == 3
    assert (still, FinishedDelivery.objects.filter(pk=first.pk).exists()) == (True, False)
    assert (unmoved, FinishedDelivery.objects.get(pk=second.pk).state) == ("DEAD", "DROPPED")
    assert FinishedDelivery.objects.get(pk=third.pk).state == "DEAD"
    assert Delivery.objects.get().source_id == 0
    assert [action for action, _ in _written()] == ["delivery.retry", "delivery.drop"]


@pytest.mark.req("REL-40", "REL-38")
def test_what_a_platform_refuses_is_counted_where_one_looks_for_trouble(operator: Client, partner: Partner) -> None:
    platform: Any = partner("DE*EMS:EMSP", name="Picky").platform
    _failed(platform, 1, state="REFUSED")
    _failed(platform, 2)
    _failed(platform, 3, state="DROPPED")

    lanes_page = _content(operator, LANES)
    url = html.unescape(
        re.findall(r'href="(/admin/ocpi/deadletter/[^"]+)"', lanes_page[lanes_page.index("Picky") :])[0]
    )

    assert [len(_rows(_content(operator, there))) for there in (url, f"{DEAD}?state=DROPPED")] == [2, 1]
    page = _content(operator, reverse("admin:ocpi_platform_change", args=[platform.pk]))
    assert "1 dead, 1 refused" in page
    assert 'ocpi_deliveries_refused{platform="Picky"} 1.0' in _content(operator, "/metrics")


@pytest.mark.req("REL-40")
def test_a_dead_letter_says_whether_its_object_came_through_since_then(operator: Client, partner: Partner) -> None:
    platform = partner("DE*EMS:EMSP").platform
    place = {"kind": "STATE", "to_country_code": "DE", "to_party_id": "EMS"}
    _failed(platform, 1, state="DELIVERED", **place)  # before
    for number in (1, 2, 3):
        _failed(platform, number, state="REFUSED", **place)
    _failed(platform, 1, state="DELIVERED", **place)
    _failed(platform, 2, state="DELIVERED", **{**place, "to_party_id": "MSX"})
    _failed(platform, 3, state="REFUSED", **place)

    listed = _rows(_content(operator, DEAD))

    assert ["delivered" in row for row in listed] == [False, False, False, True]


@pytest.mark.req("REL-40")
def test_the_page_of_a_dead_letter_retries_and_drops_it(operator: Client, viewer: Client, partner: Partner) -> None:
    platform = partner("DE*EMS:EMSP").platform
    first, second = (_failed(platform, number) for number in range(2))
    delivered = _failed(platform, 4, state="DELIVERED")
    retry, _ = urls = [reverse(f"admin:ocpi_deadletter_{name}_one", args=[first.pk]) for name in ("retry", "drop")]
    drop = reverse("admin:ocpi_deadletter_drop_one", args=[second.pk])
    answer = {"confirmed": "yes"}

    page = _content(operator, reverse("admin:ocpi_deadletter_change", args=[first.pk]))
    refused = [viewer.post(url, {**answer, "reason": "mine"}).status_code for url in urls]
    asked = operator.get(retry).content.decode()
    untouched = FinishedDelivery.objects.filter(pk=first.pk, state="DEAD").exists()
    operator.post(drop, answer)  # without a reason
    unmoved = FinishedDelivery.objects.get(pk=second.pk).state
    done = [operator.post(retry, answer), operator.post(drop, {**answer, "reason": "settled"})]
    again = operator.post(reverse("admin:ocpi_deadletter_drop_one", args=[delivered.pk]), {**answer, "reason": "odd"})

    assert [url in page for url in urls] == [True, True]
    assert (refused, untouched, unmoved) == ([403, 403], True, "DEAD")
    assert "Send 1 failed delivery again?" in asked
    assert [each.headers["Location"] for each in done] == [DEAD, DEAD]
    assert again.status_code == 404
    assert Delivery.objects.get().source_id == 0
    assert FinishedDelivery.objects.get(pk=second.pk).state == "DROPPED"
    assert "settled" in FinishedDelivery.objects.get(pk=second.pk).error
    assert [action for action, _ in _written()] == ["delivery.retry", "delivery.drop"]


@pytest.mark.req("REL-40")
def test_all_of_a_filter_is_counted_before_it_is_retried(operator: Client, partner: Partner) -> None:
    platform, other = partner("DE*EMS:EMSP").platform, partner("FR*EMS:EMSP").platform
    assert platform
    for number in range(3):
        _failed(platform, number)
    _failed(other, 9)
    url = reverse("admin:ocpi_deadletter_by_filter")
    form = {"do": "retry", "platform": str(platform.pk), "state": "", "kind": "CDR", "module": ""}

    wrong = operator.post(url, {**form, "since": "2026-01-02T00:00", "until": "2026-01-01T00:00"}).content.decode()
    asked = operator.post(url, form).content.decode()
    untouched = Delivery.objects.count()
    operator.post(url, {**form, "confirmed": "yes"})

    assert "must be later than since" in wrong
    assert "Retry 3 failed deliveries?" in asked
    assert (untouched, Delivery.objects.count(), FinishedDelivery.objects.count()) == (0, 3, 1)


@pytest.mark.req("REL-40")
def test_a_period_is_replayed_after_a_question(operator: Client, partner: Partner) -> None:
    platform = partner("DE*EMS:EMSP").platform
    assert platform
    _failed(platform, 1, state="DELIVERED")
    url = reverse("admin:ocpi_deadletter_replay")
    since = (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    form = {"platform": str(platform.pk), "since": since, "until": "", "module": ""}

    wrong = operator.post(url, {**form, "until": "2020-01-01T00:00"}).content.decode()
    asked = operator.post(url, form).content.decode()
    untouched = Delivery.objects.count()
    operator.post(url, {**form, "confirmed": "yes"})

    assert "must be later than since" in wrong
    assert "Replay 1 deliveries" in asked
    assert (untouched, Delivery.objects.get().source_id) == (0, 1)
    assert AuditEntry.objects.filter(action="delivery.replay", actor="operator").exists()


@pytest.mark.req("SEC-53", "REL-40")
def test_who_may_only_look_sees_pages_and_no_buttons(viewer: Client, world: dict[str, Any]) -> None:
    assert "Owner" in html.unescape(_content(viewer, CONNECTIONS))
    assert "Owner" in html.unescape(_content(viewer, LANES))
    assert viewer.get(DEAD).status_code == 403  # this one may not see finished deliveries
    for url in (reverse("admin:ocpi_deadletter_replay"), reverse("admin:ocpi_deadletter_by_filter")):
        assert viewer.post(url, {"confirmed": "yes"}).status_code == 403
    assert reverse("admin:ocpi_lane_pause", args=[world["owner"].id]) not in _content(viewer, LANES)


@pytest.mark.django_db
@pytest.mark.parametrize("about", ["user", "group"])
def test_rights_of_an_account_cost_whoever_may_only_look_a_few_queries(viewer: Client, about: str) -> None:
    rights = Permission.objects.filter(codename__startswith="view_")
    group = Group.objects.create(name="Viewers")
    group.permissions.set(rights)
    person = User.objects.create_user("somebody", is_staff=True)
    person.user_permissions.set(rights)
    User.objects.get(username="viewer").user_permissions.add(*rights.filter(content_type__app_label="auth"))
    page = reverse(f"admin:auth_{about}_change", args=[{"user": person, "group": group}[about].pk])
    viewer.get(page)

    with CaptureQueriesContext(connection) as queries:
        assert "view tariff" in _content(viewer, page)

    assert len(rights) > 50
    assert len(queries) < 20


@pytest.mark.req("SEC-55")
@pytest.mark.parametrize(
    ("part", "shown"),
    [(0, "0 %"), (0.0004, "<0.1 %"), (0.0714, "7.1 %"), (0.5, "50.0 %"), (0.99999, "99.9 %"), (1, "100 %")],
)
def test_a_share_has_one_digit_and_all_is_only_said_of_all(part: float, shown: str) -> None:
    assert percent(part) == shown


@pytest.mark.parametrize("url", [CONNECTIONS, LANES, DEAD])
def test_names_of_partners_show_as_text(operator: Client, world: dict[str, Any], url: str) -> None:
    content = _content(operator, url)

    assert EVIL not in content
    assert EVIL in html.unescape(content)


@pytest.mark.req("REL-51", "REL-59")
def test_the_first_page_shows_alarms_connections_traffic_and_dead_letters(operator: Client, partner: Partner) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_reset()")  # the dead rows of all tests before are no news of this one
    calm, quiet = _content(operator, "/admin/"), alarms.current()
    good = partner("DE*EMS:EMSP", name="Good", average_ms=12.0)
    partner("BE*PSD:EMSP", name=f"Stopped {EVIL}", paused_reason="it refuses our token")
    _failed(good.platform, 1, error="HTTP 500")
    _failed(good.platform, 2, error="HTTP 400", state="REFUSED")
    for ended in ("2xx", "5xx"):
        traffic.note(good.id, "OUT", ended, time.time(), 100.0)
    traffic.flush()

    content = _content(operator, "/admin/")

    assert "No alarms: nothing needs you right now." in calm, quiet
    assert "No alarms" not in content
    text = html.unescape(content)
    for words in ("1 CDRs were given up unconfirmed", "Nothing is sent to Stopped", "it refuses our token",
                  "2 exchanges, 50.0 % failed", "All 2 connections"):  # fmt: skip
        assert words in text
    assert content.index("Stopped &lt;script&gt;") < content.index(">Good<")
    assert content.count('class="o-bar-failed"') == 1
    assert "nothing needs you" not in content
    assert re.search(r"<strong>2</strong><span>Dead letters</span>", content)  # a refused one counts as one given up
    assert EVIL not in content
    for url in re.findall(r'class="o-(?:button o-quiet|link)" href="([^"]+)"', content):
        assert operator.get(html.unescape(url)).status_code == 200, url


def test_the_first_page_costs_the_same_with_a_thousand_platforms(operator: Client, partner: Partner) -> None:
    partner("DE*EMS:EMSP")
    _content(operator, "/admin/")
    with CaptureQueriesContext(connection) as few:
        _content(operator, "/admin/")
    Platform.objects.bulk_create(Platform(name=f"P{n:04}", state="REGISTERED", connection="CONNECTED", failures=n % 2)
                                 for n in range(1000))  # fmt: skip

    with CaptureQueriesContext(connection) as many:
        _content(operator, "/admin/")

    assert len(many) == len(few) <= 22, "\n".join(query["sql"][:150] for query in many)


def test_who_may_see_no_platforms_sees_no_panels(viewer: Client, partner: Partner) -> None:
    partner("DE*EMS:EMSP", name="Drivers", paused_reason="x")
    User.objects.get(username="viewer").user_permissions.clear()

    content = _content(viewer, "/admin/")

    assert "Drivers" not in content
    assert "o-panels" not in content
    assert "Deliveries pending" not in content


@pytest.mark.req("SEC-53")
def test_the_first_page_leads_nobody_to_a_refusal(viewer: Client, partner: Partner) -> None:
    partner("DE*EMS:EMSP")

    content = _content(viewer, "/admin/")
    main = content[content.index("o-cards") :]

    assert "Invite a platform" not in main
    for url in re.findall(r'href="(/[^"]+)"', main):
        assert viewer.get(html.unescape(url)).status_code == 200, url
    refused = viewer.get(DEAD)
    assert (refused.status_code, 'href="/admin/"' in refused.content.decode()) == (403, True)


@pytest.mark.req("SEC-48")
@pytest.mark.parametrize("page", ["connection", "lane", "platform", "deadletter", "exchange", "pullcursor"])
def test_what_names_no_row_is_not_found(page: str, operator: Client, world: dict[str, Any]) -> None:
    changelist = reverse(f"admin:ocpi_{page}_changelist")
    buttons = {"connection": "pause", "lane": "reopen-lane", "platform": "suspend", "deadletter": "retry-one",
               "exchange": "replay", "pullcursor": "pull-now"}  # fmt: skip
    texts = ["abc", "1.5", "-", "²", "%FF", "9999-12-31T23:59:59", "9" * 30]
    operator.raise_request_exception = False

    answers = [operator.post(f"{changelist}{text}/{buttons[page]}/", {"confirmed": "yes"}) for text in texts]

    assert [answer.status_code for answer in answers] == [404] * len(texts)


@pytest.mark.req("SEC-48")
@pytest.mark.parametrize("text", ["abc", "", "\0", "1,2", "²"])
def test_an_action_on_what_names_no_row_is_not_found(text: str, operator: Client, world: dict[str, Any]) -> None:
    operator.raise_request_exception = False

    answer = operator.post(DEAD, {"action": "drop", "_selected_action": text, "confirmed": "yes", "reason": "x"})

    assert answer.status_code == 404
    assert not FinishedDelivery.objects.filter(state="DROPPED").exists()


@pytest.mark.req("SEC-48")
@pytest.mark.parametrize(
    "url",
    [
        f"{CONNECTIONS}?status=%00", f"{LANES}?role=CPO%00", f"{DEAD}?state=%00&kind=CDR", f"{DEAD}?%00=1",
        "/admin/hub/permission/?effect=%00", "/admin/hub/clientinfo/?status=%00", f"{CONNECTIONS}%00/pause/",
        "/admin/ocpi/exchange/message/?id=a%00b",
    ],
)  # fmt: skip
def test_a_url_with_a_nul_in_it_leads_nowhere(url: str, operator: Client, world: dict[str, Any]) -> None:
    operator.raise_request_exception = False

    assert operator.get(url).status_code == 404
