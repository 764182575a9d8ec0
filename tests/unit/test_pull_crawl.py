"""How a list is read: pages that shift, links that lead nowhere, platforms that want patience, processes that end."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from emsp import models
from ocpi import defects, pull, pull_rows
from ocpi.models import Platform, PullCursor
from tests.people import Person
from tests.platforms import Listener, Received, Reply
from tests.pull_support import Lists, Tariffs, cursor, later, run
from tests.pull_support import lists_fixture as lists_fixture
from tests.pull_support import owner_fixture as owner_fixture
from tests.pull_support import tariffs_fixture as tariffs_fixture


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


@pytest.mark.req("QRK-07", "TRN-078", "SEC-30")
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


@pytest.mark.req("TRN-078", "TRN-013", "SEC-30", "SEC-21")
def test_a_link_to_another_host_ends_the_pull_and_the_page_is_kept(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.before = lambda _request, _offset: Reply(
        data=tariffs("A"), headers={"Link": '<http://10.0.0.1/tariffs?offset=1>; rel="next"'}
    )

    row = run(owner.id, "tariffs")

    assert (row.result, stored()) == ("FAILED", ["A"])
    assert "10.0.0.1" in row.error


@pytest.mark.req("SEC-30", "TRN-078")
@pytest.mark.parametrize("circle", [1, 2, 3])
def test_links_that_go_in_a_circle_end_the_pull(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener, circle: int
) -> None:
    link = listener.endpoint("tariffs", "SENDER")
    lists.before = lambda _request, offset: Reply(  # each page is another one than the one before
        data=tariffs(f"T{len(lists.requests('tariffs'))}"),
        headers={"Link": f'<{link}?offset={offset % circle + 1}>; rel="next"'},
    )

    row = run(owner.id, "tariffs")

    assert row.result == "FAILED"
    assert "was read before" in row.error
    assert len(lists.requests("tariffs")) == circle + 1


@pytest.mark.req("SEC-30", "QRK-07")
def test_links_that_are_new_each_time_and_lead_to_the_same_page_end_the_pull(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener
) -> None:
    link = listener.endpoint("tariffs", "SENDER")
    lists.before = lambda _request, offset: (
        Reply(data=tariffs("A"), headers={"Link": f'<{link}?offset={offset + 1}>; rel="next"'})
        if offset < 9
        else Reply(data=[])
    )

    row = run(owner.id, "tariffs")

    assert row.result == "FAILED"
    assert len(lists.requests("tariffs")) == 2


@pytest.mark.req("SEC-30", "TRN-078")
@pytest.mark.parametrize(("before", "circle"), [(0, 1), (0, 2), (0, 3), (1, 1), (3, 4), (5, 2), (2, 7)])
def test_a_circle_of_links_is_seen_in_slices_of_one_page(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener, before: int, circle: int
) -> None:
    link = listener.endpoint("tariffs", "SENDER")

    def answer(_request: Received, offset: int) -> Reply:
        following = offset + 1 if offset + 1 < before + circle else before
        data = tariffs(f"T{len(lists.requests('tariffs'))}")  # each page is another one than the one before
        return Reply(data=data, headers={"Link": f'<{link}?offset={following}>; rel="next"'})

    lists.before = answer
    row = None
    for _ in range(3 * (before + circle) + 2):
        row = pull.run(cursor(owner.id, "tariffs").pk, seconds=0.0, asked=True)
        if row is not None and row.result == "FAILED":
            break

    assert row is not None
    assert row.result == "FAILED"
    assert "was read before" in row.error


@pytest.mark.req("TRN-076", "SEC-30")
def test_a_page_that_is_read_again_as_the_list_shrinks_is_no_circle_in_slices(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C", "D", "E", "F"))
    results = []
    for number in range(9):
        if number == 2:
            lists.serve("tariffs", tariffs("B", "C", "D", "E", "F"))
        row = pull.run(cursor(owner.id, "tariffs").pk, seconds=0.0, asked=True)
        results.append(row.result if row else None)
        if results[-1] == "DONE":
            break

    assert results[-1] == "DONE"
    assert "FAILED" not in results


@pytest.mark.req("SEC-30")
def test_a_pull_in_slices_has_one_limit_of_time_and_pages(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "MOST_PAGES", 3)
    link = listener.endpoint("tariffs", "SENDER")
    lists.before = lambda _request, offset: Reply(
        data=tariffs(f"T{offset}"), headers={"Link": f'<{link}?offset={offset + 1}>; rel="next"'}
    )
    found = [pull.run(cursor(owner.id, "tariffs").pk, seconds=0.0, asked=True) for _ in range(3)]

    assert [row.result if row else None for row in found][-1] == "FAILED"
    assert len(lists.requests("tariffs")) == 3


@pytest.mark.req("SEC-28")
def test_a_page_that_does_not_come_is_given_up(owner: Person, lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "PAGE_SECONDS", 0.3)
    lists.before = lambda _request, _offset: Reply(delay=12)
    began = time.monotonic()

    row = run(owner.id, "tariffs")

    assert (row.result, row.failures) == ("FAILED", 1)
    assert time.monotonic() - began < 10


@pytest.mark.req("SEC-30")
def test_a_list_without_end_is_left_after_so_much_time(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = listener.endpoint("tariffs", "SENDER")
    lists.before = lambda _request, offset: Reply(
        data=tariffs(f"T{offset}"), headers={"Link": f'<{link}?offset={offset + 1}>; rel="next"'}, delay=0.15
    )
    monkeypatch.setattr(pull, "MOST_SECONDS", 0.3)

    row = run(owner.id, "tariffs")

    assert row.result == "FAILED"
    assert "took longer than" in row.error
    assert 1 <= len(lists.requests("tariffs")) <= 2
    assert row.seconds >= 0.3
    assert len(stored()) == len(lists.requests("tariffs"))  # what came in time is kept


@pytest.mark.req("TRN-078", "SEC-30")
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


@pytest.mark.req("SEC-30", "REL-37")
@pytest.mark.parametrize("limit", ["MOST_PAGES", "MOST_SECONDS"])
def test_a_list_that_was_too_long_is_left_alone_until_the_next_pull_which_begins_anew(
    owner: Person, lists: Lists, tariffs: Tariffs, listener: Listener, monkeypatch: pytest.MonkeyPatch,
    settings: Settings, limit: str,
) -> None:  # fmt: skip
    settings.OCPI_PULL_INTERVAL = 10_000.0
    monkeypatch.setattr(pull, limit, {"MOST_PAGES": 2, "MOST_SECONDS": 0.0}[limit])
    link = listener.endpoint("tariffs", "SENDER")
    lists.before = lambda _request, offset: Reply(
        data=tariffs(f"T{offset}"), headers={"Link": f'<{link}?offset={offset + 1}>; rel="next"'}
    )
    row = run(owner.id, "tariffs")
    assert row.result == "FAILED"
    later(timedelta(seconds=9_900))
    assert pull.run(row.pk) is None
    monkeypatch.setattr(pull, limit, 1_000)
    lists.serve("tariffs", tariffs("A", "B", "C"))
    lists.before = lambda _request, _offset: None
    read = len(lists.requests("tariffs"))

    later(timedelta(seconds=101))
    again = pull.run(row.pk)

    assert again is not None
    assert (again.result, again.pages) == ("DONE", 2)
    assert [query.get("offset") for query in lists.queries("tariffs")][read:] == [None, "2"]


@pytest.mark.req("SEC-30")
def test_a_page_whose_link_leads_away_is_asked_for_less_and_less_often(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.before = lambda _request, _offset: Reply(
        data=tariffs("A"), headers={"Link": '<http://10.0.0.1/tariffs?offset=1>; rel="next"'}
    )
    row = run(owner.id, "tariffs")
    later(timedelta(seconds=61))
    again = pull.run(row.pk)

    assert again is not None
    assert again.failures == 2
    later(timedelta(seconds=61))
    assert pull.run(row.pk) is None  # two minutes are asked for now
    later(timedelta(seconds=61))
    assert pull.run(row.pk) is not None


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


@pytest.mark.req("REL-37", "PIT-59")
def test_the_next_pull_asks_for_what_changed_while_a_long_one_was_read(
    owner: Person, lists: Lists, tariffs: Tariffs
) -> None:
    lists.serve("tariffs", tariffs("A", "B", "C"))
    assert run(owner.id, "tariffs", seconds=0).page_url
    later(timedelta(hours=1))

    row = run(owner.id, "tariffs")

    assert row.started_at
    assert row.started_at < datetime.now(UTC) - timedelta(minutes=59)
    assert row.date_from == row.started_at - timedelta(minutes=5)


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
