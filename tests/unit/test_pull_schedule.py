"""When a list is read and from whom: by itself, after outages, through hubs, one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from pytest_django.fixtures import Settings

from emsp import models
from ocpi import clock, health, ours, pull, pull_plan, pull_rows, secrets, snapshot, tasks
from ocpi.models import CredentialsToken, Party, Platform, PullCursor
from tests.fixtures import Document, Partner, add_party
from tests.people import Person
from tests.platforms import Listener, Received, Reply
from tests.pull_support import EARLY, Lists, Tariffs, cursor, later, run
from tests.pull_support import lists_fixture as lists_fixture
from tests.pull_support import owner_fixture as owner_fixture
from tests.pull_support import tariffs_fixture as tariffs_fixture


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
    """Let calls to a platform fail, ten minutes ago; between two of them lie another ten."""
    for _ in range(failures):
        health.failed(owner.id, "no answer")
        Platform.objects.filter(pk=owner.id).update(
            backoff_until=None, failing_since=F("failing_since") - timedelta(minutes=10)
        )
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


@pytest.mark.req("TRN-121", "PIT-59", "REL-37")
def test_a_recovery_does_not_move_the_place_of_the_next_delta(owner: Person, lists: Lists) -> None:
    date_from = run(owner.id, "tariffs").date_from
    pull_rows.recover(owner.id, datetime.now(UTC))

    row = run(owner.id, "tariffs")

    assert row.kind == "RECOVERY"
    assert row.date_from == date_from
    assert run(owner.id, "tariffs").kind == "DELTA"


@pytest.mark.req("REL-37")
def test_what_an_operator_asks_for_does_not_move_the_place_of_the_next_delta(owner: Person, lists: Lists) -> None:
    date_from = run(owner.id, "tariffs").date_from

    row = run(owner.id, "tariffs", since=datetime.now(UTC))

    assert (row.kind, row.date_from) == ("SINCE", date_from)


@pytest.mark.req("TRN-121", "REL-37")
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
    assert Platform.objects.get(pk=owner.id).paused_reason == "", "it may not know our token yet"
    CredentialsToken.objects.update(created_at=clock.now() - timedelta(seconds=6))
    run(owner.id, "tariffs")
    assert "401" in Platform.objects.get(pk=owner.id).paused_reason


@pytest.mark.req("QRK-01", "REL-25")
def test_who_takes_our_token_in_its_other_form_is_not_paused_and_read_with_it_the_next_time(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener
) -> None:
    Platform.objects.filter(pk=owner.id).update(base64_token=False)
    snapshot.changed()
    expected = secrets.authorization(owner.token_out, base64_token=True)

    def refusal(request: Received) -> Reply | None:
        return None if request.headers["authorization"] == expected else Reply(status=401, code=2000)

    listener.reply("GET", "/ocpi/versions", using=lambda request: refusal(request) or Reply(data=[]))
    lists.before = lambda request, _offset: refusal(request)
    lists.serve("tariffs", tariffs("A"))

    assert run(owner.id, "tariffs").result == "FAILED"
    assert Platform.objects.get(pk=owner.id).paused_reason == ""
    assert run(owner.id, "tariffs").read == 1


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


@pytest.mark.req("REL-20", "REL-07", "TRN-101")
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
    assert pull_rows.claim(first, asked=True) is None  # nobody reads one list twice at a time, asked or not
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
    said: list[dict[str, Any]] = []

    def apply_async(args: Any, **options: Any) -> None:
        sent.extend(json.loads(json.dumps(args)))
        said.append(options)

    monkeypatch.setattr(tasks.run_pull, "apply_async", apply_async)
    lists.serve("tariffs", tariffs("A"))

    tasks.pulls()
    tasks.pulls()
    assert len(sent) == 8
    for pk in sent[:]:
        tasks.run_pull(pk)

    assert {row.result for row in PullCursor.objects.all()} == {"DONE"}
    assert len(lists.requests("tariffs")) == 1
    assert len(said) > 8  # also those that follow
    for options in said:  # none waits for its time, none is run long after it
        assert 0 < options["expires"] <= 10
        assert (options["retry"], options.keys() & {"eta", "countdown"}) == (False, set())


def test_one_list_of_a_platform_at_a_time_but_the_next_follows_without_waiting_for_the_round(
    owner: Person, lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks.run_pull, "apply_async", lambda args, **options: sent.extend(args))
    tasks.pulls()
    del sent[1:]

    for pk in sent:  # it grows
        tasks.run_pull(pk)

    assert len(sent) == 4
    assert {(row.module, row.result) for row in PullCursor.objects.all()} == {
        (module, "DONE") for module in ("tariffs", "locations", "sessions", "cdrs")
    }


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


@pytest.mark.req("HUB-57")
def test_behind_a_hub_that_names_nobody_the_owners_of_what_it_brought_are_asked(
    emsp_side: None, partner: Partner, listener: Listener, lists: Lists, document: Document
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    elsewhere = partner("NL*TNM:CPO")

    def asked() -> list[tuple[str, str]]:
        found = pull_plan.lists(platform_id=hub.id)
        return [(each.module, str(each.to)) for each in found if each.module in ("sessions", "cdrs")]

    def location(party_id: str, number: int) -> Any:
        return document("location", id=f"L{number}", country_code="FR", party_id=party_id, last_updated=EARLY)

    assert elsewhere.put("emsp/2.2.1/locations/NL/TNM/L1", document("location", id="L1")).ok
    assert asked() == []
    assert pull_rows.due(pull_plan.lists(module="sessions", platform_id=hub.id)) == []
    lists.serve("locations", [location(party_id, number) for party_id in ("CPY", "CPX") for number in range(2)])
    assert run(hub.id, "locations").created == 4
    assert hub.put("emsp/2.2.1/locations/IT/WHO/L1", {**location("WHO", 1), "country_code": "IT"}).ok
    assert asked() == [(each, to) for each in ("sessions", "cdrs") for to in ("FR*CPX", "FR*CPY", "IT*WHO")]

    partner("FR*CPY:CPO")  # this one connects to us itself

    assert asked() == [(each, to) for each in ("sessions", "cdrs") for to in ("FR*CPX", "IT*WHO")]

    add_party(hub.platform, "FR*CPX:CPO", through_hub=True)  # now its ClientInfo says who is there

    assert asked() == [("sessions", "FR*CPX"), ("cdrs", "FR*CPX")]
    Party.objects.filter(through_hub=True).update(status="OFFLINE")
    snapshot.changed()
    assert asked() == []


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
