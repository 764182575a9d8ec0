"""How a list is read: pages that shift, links that lead nowhere, platforms that want patience, processes that end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from emsp import models
from ocpi import defects, health, ours, pull, pull_plan, pull_rows, snapshot, tasks
from ocpi.models import Party, Platform, PullCursor
from tests.fixtures import Document, Partner, add_party
from tests.people import Person
from tests.platforms import Listener, Received, Reply
from tests.pull_support import Lists, cursor, later, run

EARLY = "2026-01-01T00:00:00Z"
Tariffs = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def lists(listener: Listener) -> Lists:
    return Lists(listener)


@pytest.fixture
def owner(emsp_side: None, partner: Partner, listener: Listener, lists: Lists) -> Person:
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture
def tariffs(document: Document) -> Tariffs:
    def make(*names: str, **changes: Any) -> list[dict[str, Any]]:
        return [document("tariff", id=name, **{"last_updated": EARLY, **changes}) for name in names]

    return make


def stored() -> list[str]:
    return sorted(models.Tariff.objects.filter(deleted_at=None).values_list("object_id", flat=True))


@pytest.mark.req("TRN-076")
def test_when_the_total_falls_the_former_page_is_read_again_one_earlier(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C", "D", "E", "F", "G", "H"))

    def one_goes(_request: Received, offset: int) -> None:
        if offset == 4 and len(lists.objects["tariffs"]) == 8:
            lists.objects["tariffs"].pop(0)  # E slips from the third page to the second

    lists.before = one_goes
    row = run(owner.id, "tariffs")

    offsets = [int(query.get("offset", 0)) for query in lists.queries("tariffs")]
    assert offsets == [0, 2, 4, 1, 3, 5]
    assert (row.result, row.repeats) == ("DONE", 1)
    assert stored() == ["A", "B", "C", "D", "E", "F", "G", "H"]


@pytest.mark.req("TRN-076")
def test_the_first_page_is_read_again_as_it_is(owner: Person, lists: Lists, tariffs: Tariffs) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C", "D"))

    def one_goes(_request: Received, offset: int) -> None:
        if offset == 2 and len(lists.objects["tariffs"]) == 4:
            lists.objects["tariffs"].pop(0)

    lists.before = one_goes
    run(owner.id, "tariffs")

    assert [int(query.get("offset", 0)) for query in lists.queries("tariffs")] == [0, 2, 0, 2]
    assert stored() == ["A", "B", "C", "D"]


@pytest.mark.req("TRN-076", "TRN-078")
def test_a_total_that_falls_again_and_again_does_not_keep_a_pull_for_ever(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.serve("tariffs", tariffs(*(f"T{number}" for number in range(10))))
    totals = iter(range(1000, 0, -1))

    def falling(request: Received, offset: int) -> Reply:
        found = lists.page("tariffs", offset, {})
        return Reply(data=found.data, headers={**found.headers, "X-Total-Count": str(next(totals))})

    lists.before = falling
    row = run(owner.id, "tariffs")

    assert row.result == "DONE"
    assert row.repeats == pull.MOST_REPEATS
    assert len(stored()) == 10


@pytest.mark.req("QRK-07")
def test_without_a_link_a_full_page_is_followed_by_offset(owner: Person, lists: Lists, tariffs: Tariffs) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C"))
    lists.before = lambda _request, offset: Reply(
        data=lists.objects["tariffs"][offset : offset + 2], headers={"X-Total-Count": "3", "X-Limit": "2"}
    )

    run(owner.id, "tariffs")

    assert stored() == ["A", "B", "C"]


@pytest.mark.req("QRK-07")
def test_a_total_that_is_only_the_size_of_the_page_does_not_end_the_list(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C", "D", "E"))

    def counts_the_page(_request: Received, offset: int) -> Reply:
        found = lists.objects["tariffs"][offset : offset + 2]
        return Reply(data=found, headers={"X-Total-Count": str(len(found)), "X-Limit": "2"})

    lists.before = counts_the_page
    row = run(owner.id, "tariffs")

    assert row.result == "DONE"
    assert stored() == ["A", "B", "C", "D", "E"]


@pytest.mark.req("QRK-07", "TRN-078")
@pytest.mark.parametrize(("total", "result"), [("9", "FAILED"), ("2", "DONE")])
def test_a_link_to_a_page_that_was_read_ends_the_pull(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener, total: str, result: str
) -> None:
    link = f'<{listener.endpoint("tariffs", "SENDER")}?offset=0>; rel="next"'
    lists.before = lambda _request, _offset: Reply(
        data=tariffs("A", "B"), headers={"X-Total-Count": total, "X-Limit": "2", "Link": link}
    )

    row = run(owner.id, "tariffs")

    assert len(lists.requests("tariffs")) <= 2
    assert row.result == result
    assert stored() == ["A", "B"]
    assert defects.count(owner.id, "QRK-07 repeated page") == 1


@pytest.mark.req("TRN-078", "TRN-013")
def test_a_link_to_another_host_ends_the_pull_and_the_page_is_kept(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.before = lambda _request, _offset: Reply(
        data=tariffs("A"), headers={"Link": '<http://10.0.0.1/tariffs?offset=1>; rel="next"'}
    )

    row = run(owner.id, "tariffs")

    assert (row.result, stored()) == ("FAILED", ["A"])
    assert "10.0.0.1" in row.error


@pytest.mark.req("TRN-078")
def test_a_list_without_end_is_left_after_so_many_pages(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "MOST_PAGES", 3)
    link = listener.endpoint("tariffs", "SENDER")
    lists.before = lambda _request, offset: Reply(
        data=tariffs(f"T{offset}"), headers={"Link": f'<{link}?offset={offset + 1}>; rel="next"'}
    )

    row = run(owner.id, "tariffs")

    assert row.result == "FAILED"
    assert len(lists.requests("tariffs")) == 3


@pytest.mark.req("QRK-08")
@pytest.mark.parametrize(("headers", "seconds"), [({}, 60), ({"Retry-After": "600"}, 600), ({"Retry-After": "5"}, 60)])
def test_a_platform_that_asks_for_patience_is_left_alone_and_read_on_later(
    owner: Person, lists: Lists, tariffs: Tariffs, headers: dict[str, str], seconds: int
) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C"))
    lists.before = lambda _request, offset: Reply(status=429, code=2000, headers=headers) if offset else None

    row = run(owner.id, "tariffs")

    assert (row.result, stored()) == ("WAITING", ["A", "B"])
    assert timedelta(0) <= row.due_at - datetime.now(UTC) - timedelta(seconds=seconds - 10) < timedelta(seconds=15)
    platform = Platform.objects.get(pk=owner.id)
    assert (platform.failures, platform.connection) == (0, "CONNECTED")
    assert pull.run(row.pk) is None  # not before it is due

    lists.before = lambda _request, _offset: None
    later(timedelta(seconds=seconds + 1))
    again = pull.run(row.pk)
    assert again is not None
    assert (again.result, stored()) == ("DONE", ["A", "B", "C"])
    assert [query.get("offset") for query in lists.queries("tariffs")] == [None, "2", "2"]


@pytest.mark.req("QRK-08")
def test_patience_grows_when_it_is_asked_for_again(owner: Person, lists: Lists) -> None:
    lists.before = lambda _request, _offset: Reply(status=429, code=2000)

    first = run(owner.id, "tariffs")
    second = run(owner.id, "tariffs")

    assert second.due_at - datetime.now(UTC) > timedelta(seconds=100)
    assert first.due_at < second.due_at


@pytest.mark.req("REL-37")
def test_a_pull_whose_process_ended_goes_on_at_the_next_page(owner: Person, lists: Lists, tariffs: Tariffs) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C", "D", "E"))

    class Killed(BaseException):
        """What nobody catches, as nobody catches SIGKILL."""

    def killed(_row: PullCursor) -> None:
        raise Killed

    with pytest.raises(Killed):
        run(owner.id, "tariffs", progress=killed)
    assert stored() == ["A", "B"]
    assert pull.run(cursor(owner.id, "tariffs").pk) is None  # the dead one's claim is still there
    later(timedelta(seconds=pull_rows.CLAIM_SECONDS + 1))

    row = pull.run(cursor(owner.id, "tariffs").pk)

    assert row is not None
    assert (row.result, row.pages, row.created) == ("DONE", 3, 5)
    assert [query.get("offset") for query in lists.queries("tariffs")] == [None, "2", "4"]
    assert stored() == ["A", "B", "C", "D", "E"]


@pytest.mark.req("REL-37", "REL-07")
def test_who_has_lost_its_claim_writes_nothing_more(owner: Person, lists: Lists, tariffs: Tariffs) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C"))

    def taken(_row: PullCursor) -> None:
        PullCursor.objects.update(claim="00000000-0000-0000-0000-000000000001")

    row = run(owner.id, "tariffs", progress=taken)

    assert stored() == ["A", "B"]
    assert row.pages == 1
    assert str(row.claim) == "00000000-0000-0000-0000-000000000001"


@pytest.mark.req("REL-20")
def test_a_long_list_is_read_in_slices_and_gives_its_place_back(owner: Person, lists: Lists, tariffs: Tariffs) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C"))

    first = run(owner.id, "tariffs", seconds=0)
    assert (first.pages, first.claim, bool(first.page_url)) == (1, None, True)
    second = pull.run(first.pk, seconds=0)

    assert second is not None
    assert (second.pages, second.result) == (2, "DONE")


@pytest.mark.req("TRN-103")
def test_pulls_come_hours_apart_and_never_all_at_once(
    owner: Person, lists: Lists, tariffs: Tariffs, settings: Settings
) -> None:
    settings.OCPI_PULL_INTERVAL = 10_000.0
    pauses = set()
    for _ in range(8):
        row = run(owner.id, "tariffs")
        assert row.finished_at
        PullCursor.objects.update(full_due_at=datetime(2100, 1, 1, tzinfo=UTC))
        row = run(owner.id, "tariffs")
        assert row.finished_at
        pauses.add(round((row.due_at - row.finished_at).total_seconds()))

    assert all(8_000 <= pause <= 12_000 for pause in pauses)
    assert len(pauses) > 4


def _failed_for(owner: Person, failures: int) -> None:
    """Let calls to a platform fail, ten minutes ago."""
    for _ in range(failures):
        health.failed(owner.id, "no answer")
        Platform.objects.filter(pk=owner.id).update(backoff_until=None)
    later(timedelta(minutes=10))


@pytest.mark.req("TRN-120", "TRN-121", "REL-37")
@pytest.mark.parametrize("failures", [1, 3])
def test_after_an_outage_everything_is_pulled_from_its_start_less_five_minutes(
    owner: Person, lists: Lists, failures: int
) -> None:
    modules = ("tariffs", "locations", "sessions", "cdrs")
    for module in modules:
        run(owner.id, module)
    before = Platform.objects.get(pk=owner.id)
    assert pull_rows.due(pull_plan.lists()) == []
    _failed_for(owner, failures)
    began = Platform.objects.get(pk=owner.id).failing_since
    assert began
    later(timedelta(hours=1))
    began -= timedelta(hours=1)
    assert pull_rows.due(pull_plan.lists()) == []

    owner.get("versions", to=None, sender=None)  # for an OFFLINE one: it is heard again
    health.succeeded(owner.id, 0.01, was_well=False)

    due = pull_rows.due(pull_plan.lists())
    assert sorted(PullCursor.objects.filter(pk__in=due).values_list("module", flat=True)) == sorted(modules)
    for pk in due:
        row = pull.run(pk)
        assert row is not None
        assert (row.kind, row.recover_from) == ("RECOVERY", None)
        asked = datetime.fromisoformat(lists.queries(row.module)[-1]["date_from"])
        assert abs(asked - (began - timedelta(minutes=5))) < timedelta(seconds=1)
    assert before.connection == Platform.objects.get(pk=owner.id).connection == "CONNECTED"
    assert Platform.objects.get(pk=owner.id).failing_since is None


@pytest.mark.req("REL-20")
def test_a_list_that_fails_for_ever_is_not_tried_whenever_another_succeeds(owner: Person, lists: Lists) -> None:
    for module in ("tariffs", "locations"):
        run(owner.id, module)
    lists.before = lambda request, _offset: Reply(status=500, code=3000) if "locations" in request.path else None
    failed = run(owner.id, "locations")
    Platform.objects.filter(pk=owner.id).update(backoff_until=None)

    assert run(owner.id, "tariffs").result == "DONE"

    assert Platform.objects.get(pk=owner.id).failing_since is None
    again = cursor(owner.id, "locations")
    assert (again.due_at, again.recover_from is None) == (failed.due_at, False)


@pytest.mark.req("TRN-121", "PIT-59")
def test_a_recovery_does_not_move_the_place_of_the_next_delta(owner: Person, lists: Lists) -> None:
    date_from = run(owner.id, "tariffs").date_from
    pull_rows.recover(owner.id, datetime.now(UTC))

    row = run(owner.id, "tariffs")

    assert row.kind == "RECOVERY"
    assert row.date_from == date_from
    assert run(owner.id, "tariffs").kind == "DELTA"


@pytest.mark.req("TRN-121")
def test_a_second_outage_during_a_recovery_starts_it_again(owner: Person, lists: Lists, tariffs: Tariffs) -> None:
    run(owner.id, "tariffs")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lists.serve("tariffs", tariffs("A", "B", "C", last_updated=now))
    first = datetime.now(UTC) - timedelta(hours=1)
    pull_rows.recover(owner.id, first)
    assert run(owner.id, "tariffs", seconds=0).page_url

    pull_rows.recover(owner.id, datetime.now(UTC))

    assert run(owner.id, "tariffs").pages == 2
    asked = [query.get("date_from") for query in lists.queries("tariffs")][1:]
    assert len(asked) == 3
    assert asked[0] == asked[1]


def test_a_platform_that_fails_is_noted_as_failing_and_one_that_refuses_our_token_is_paused(
    owner: Person, lists: Lists
) -> None:
    lists.before = lambda _request, _offset: Reply(status=503, code=3000)
    failed = run(owner.id, "tariffs")
    assert (failed.result, failed.failures) == ("FAILED", 1)
    assert Platform.objects.get(pk=owner.id).failures == 1

    lists.before = lambda _request, _offset: Reply(status=401, code=2000)
    run(owner.id, "tariffs")
    assert "401" in Platform.objects.get(pk=owner.id).paused_reason


def test_a_page_that_keeps_failing_is_left_and_the_list_begun_anew(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C"))
    lists.before = lambda _request, offset: Reply(code=2001) if offset else None
    for _ in range(pull.FAILURES_UNTIL_ANEW):
        row = run(owner.id, "tariffs")
    assert row.page_url == ""

    lists.before = lambda _request, _offset: None
    row = run(owner.id, "tariffs")

    assert (row.result, row.kind, row.created, row.unchanged) == ("DONE", "FULL", 1, 2)


@pytest.mark.req("REL-20", "TRN-101")
def test_every_list_is_due_once_and_one_platform_is_read_one_list_at_a_time(
    owner: Person, lists: Lists, partner: Partner
) -> None:
    other = partner("FR*CPX:CPO", listener=lists.listener)
    due = pull_rows.due(pull_plan.lists())
    rows = PullCursor.objects.filter(pk__in=due)
    assert {(row.platform_id, row.module) for row in rows} == {
        (platform_id, module)
        for platform_id in (owner.id, other.id)
        for module in ("locations", "tariffs", "sessions", "cdrs")
    }
    assert sorted(pull_rows.due(pull_plan.lists())) == sorted(due)

    first, second = (rows.filter(platform_id=owner.id).order_by("pk")[number].pk for number in (0, 1))
    held = pull_rows.claim(first)
    assert held is not None
    assert pull_rows.claim(first) is None
    assert pull_rows.claim(second) is None
    assert pull_rows.claim(rows.filter(platform_id=other.id)[0].pk) is not None


@pytest.mark.parametrize(
    "columns",
    [
        {"connection": "OFFLINE"},
        {"paused_reason": "it refuses our token"},
        {"backoff_until": datetime(2100, 1, 1, tzinfo=UTC)},
        {"state": "INVITED"},
    ],
)
def test_a_platform_that_may_not_be_called_is_not_pulled_from(
    owner: Person, lists: Lists, columns: dict[str, Any]
) -> None:
    Platform.objects.filter(pk=owner.id).update(**columns)
    snapshot.changed()

    assert pull_rows.due(pull_plan.lists()) == []


@pytest.mark.req("REL-07")
def test_the_tasks_carry_ids_and_may_run_twice(
    owner: Person, lists: Lists, tariffs: Tariffs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(
        tasks.run_pull, "apply_async", lambda args, **options: sent.extend(json.loads(json.dumps(args)))
    )
    lists.serve("tariffs", tariffs("A"))

    tasks.pulls()
    tasks.pulls()
    for pk in sent:
        tasks.run_pull(pk)

    assert len(sent) == 8
    assert {row.result for row in PullCursor.objects.all()} == {"DONE"}
    assert len(lists.requests("tariffs")) == 1


@pytest.mark.req("HUB-57")
def test_from_a_hub_locations_come_at_once_and_sessions_party_by_party(
    emsp_side: None, partner: Partner, listener: Listener, lists: Lists, document: Document
) -> None:
    everything = [*listener.endpoints, ("hubclientinfo", "SENDER")]
    hub = partner("BE*HUB:HUB", listener=listener, endpoints=everything)
    info = document("client_info", country_code="FR", party_id="CPX", role="CPO", status="CONNECTED")
    lists.serve("hubclientinfo", [{**info, "last_updated": EARLY}])
    assert run(hub.id, "hubclientinfo").created == 1
    plain = lists.requests("hubclientinfo")[0].headers
    assert "ocpi-to-party-id" not in plain

    run(hub.id, "tariffs")
    run(hub.id, "sessions")

    def to(module: str) -> str:
        headers = lists.requests(module)[0].headers
        return f"{headers['ocpi-to-country-code']}*{headers['ocpi-to-party-id']}"

    assert to("tariffs") == "BE*HUB"
    assert to("sessions") == "FR*CPX"


@pytest.mark.req("TRN-100", "TRN-106")
def test_a_hubs_list_speaks_for_the_parties_it_says_are_connected(
    emsp_side: None, partner: Partner, listener: Listener, lists: Lists, document: Document
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    add_party(hub.platform, "FR*CPX:CPO", through_hub=True)
    away = add_party(hub.platform, "FR*OFF:CPO", through_hub=True)
    direct = partner("NL*TNM:CPO")

    def tariff(country_code: str, party_id: str) -> Any:
        return document("tariff", id="1", country_code=country_code, party_id=party_id, last_updated=EARLY)

    assert direct.put("emsp/2.2.1/tariffs/NL/TNM/1", tariff("NL", "TNM")).ok
    lists.serve("tariffs", [tariff("FR", "CPX"), tariff("FR", "OFF"), tariff("IT", "WHO")])
    first = run(hub.id, "tariffs")
    assert (first.created, first.ignored) == (2, 1)
    Party.objects.filter(pk=away.pk).update(status="OFFLINE")
    snapshot.changed()
    lists.serve("tariffs", [])

    row = run(hub.id, "tariffs", full=True)

    assert row.removed == 1
    shown = models.Tariff.objects.filter(deleted_at=None).values_list("country_code", "party_id")
    assert sorted(shown) == [("FR", "OFF"), ("NL", "TNM")]


@pytest.mark.req("TRN-106", "HCI-01")
def test_a_party_that_the_hub_no_longer_lists_is_no_party_of_it(
    emsp_side: None, partner: Partner, listener: Listener, lists: Lists, document: Document
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener, endpoints=[("hubclientinfo", "SENDER")])
    info = document("client_info", country_code="FR", party_id="CPX", role="CPO", last_updated=EARLY)
    ours_too = {**info, "country_code": "DE", "party_id": "EMS", "role": "EMSP"}
    lists.serve("hubclientinfo", [info, ours_too])
    run(hub.id, "hubclientinfo")
    parties = Party.objects.filter(platform_id=hub.id, through_hub=True)
    assert [(party.party_id, party.claimed) for party in parties] == [("CPX", True)]
    assert run(hub.id, "hubclientinfo", full=True).unchanged == 2

    lists.serve("hubclientinfo", [])
    assert run(hub.id, "hubclientinfo", full=True).removed == 1
    assert not parties.get().claimed
    lists.serve("hubclientinfo", [info])
    run(hub.id, "hubclientinfo", full=True)
    assert parties.get().claimed


@pytest.mark.req("HCI-21")
def test_who_is_behind_a_hub_is_asked_at_the_start_at_night_and_in_doubt(
    emsp_side: None, partner: Partner, listener: Listener, lists: Lists
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener, endpoints=[("hubclientinfo", "SENDER")])
    row = run(hub.id, "hubclientinfo", asked=False)
    assert (row.result, row.due_at) == ("DONE", row.full_due_at)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert tomorrow <= row.due_at < tomorrow + timedelta(hours=6)

    pull_rows.recover(hub.id, datetime.now(UTC))

    assert cursor(hub.id, "hubclientinfo").due_at <= datetime.now(UTC)


@pytest.mark.req("TRN-121")
def test_a_party_behind_a_hub_that_is_connected_again_is_pulled_from(
    emsp_side: None, partner: Partner, listener: Listener, lists: Lists, document: Document
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    add_party(hub.platform, "FR*CPX:CPO", through_hub=True)
    add_party(hub.platform, "FR*OTH:CPO", through_hub=True)
    for found in pull_rows.of(pull_plan.lists(module="sessions")):
        pull.run(found.pk, asked=True)
    Party.objects.filter(through_hub=True).update(last_updated=datetime(2026, 1, 1, tzinfo=UTC))
    info = document("client_info", country_code="FR", party_id="CPX", role="CPO")
    for status, moment in (("OFFLINE", "2026-02-01T10:00:00Z"), ("CONNECTED", "2026-02-01T11:00:00Z")):
        assert hub.put("2.2.1/hubclientinfo/FR/CPX", {**info, "status": status, "last_updated": moment}).ok

    due = pull_rows.due(pull_plan.lists(module="sessions"))

    (row,) = PullCursor.objects.filter(pk__in=due)
    assert (row.to_party_id, row.recover_from) == ("CPX", datetime(2026, 2, 1, 9, 55, tzinfo=UTC))


def test_what_a_platform_does_not_offer_is_not_asked_for_again_and_again(
    owner: Person, lists: Lists, settings: Settings
) -> None:
    lists.before = lambda _request, _offset: Reply(code=2001, message="name the party")

    row = run(owner.id, "tariffs")

    assert row.result == "FAILED"
    assert row.due_at - datetime.now(UTC) > timedelta(seconds=settings.OCPI_PULL_INTERVAL - 60)


@pytest.mark.req("HUB-06")
def test_each_of_our_parties_asks_for_its_own_sessions(
    side: Callable[..., None], partner: Partner, listener: Listener, lists: Lists
) -> None:
    side("emsp", parties=["DE*EMS:EMSP", "BE*MSX:EMSP"])
    owner = partner("NL*TNM:CPO", listener=listener)

    asked = [(found.module, str(found.sender)) for found in pull_plan.lists(platform_id=owner.id)]

    assert sorted(asked) == [
        ("cdrs", "BE*MSX"), ("cdrs", "DE*EMS"), ("locations", "DE*EMS"), ("sessions", "BE*MSX"),
        ("sessions", "DE*EMS"), ("tariffs", "DE*EMS"),
    ]  # fmt: skip
    assert ours.parties()[0].address.party_id == "EMS"


def test_a_hub_pulls_nothing(hub_side: None, partner: Partner, listener: Listener) -> None:
    partner("NL*TNM:CPO", listener=listener)

    assert pull_plan.lists() == []


@pytest.mark.req("TRN-101")
def test_a_platform_that_registers_again_is_read_whole(owner: Person, lists: Lists) -> None:
    run(owner.id, "tariffs")
    assert run(owner.id, "tariffs").kind == "DELTA"

    pull_rows.start_anew(owner.id)

    assert run(owner.id, "tariffs", asked=False).kind == "FULL"


def test_a_claim_and_its_end_come_together(owner: Person, lists: Lists) -> None:
    found = cursor(owner.id, "tariffs")
    with pytest.raises(Exception, match="pull_claim_has_an_end"), connection.cursor() as sql:
        sql.execute("UPDATE ocpi_pullcursor SET claimed_until = now() WHERE id = %s", [found.pk])
