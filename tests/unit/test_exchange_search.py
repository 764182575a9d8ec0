"""Finding exchanges: by what, in which order, page after page, and from indexes alone, whatever is looked for."""

from __future__ import annotations

import html
import itertools
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from ocpi import exchange_objects, exchange_search, exchanges, registry_sql
from ocpi.exchange_columns import Entry
from ocpi.exchange_search import Wanted, search
from ocpi.headers import Address, Routing
from tests.admin_world import operator_fixture as operator_fixture
from tests.fixtures import Partner

# Yesterday: it has passed at whatever hour the tests run.
NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
TNM, EMS = Address("nl", "tnm"), Address("DE", "EMS")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("vacuumed")]


@pytest.fixture(autouse=True)
def _kept(settings: Settings) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()


def keep(**columns: Any) -> None:
    given: dict[str, Any] = {
        "direction": "IN",
        "at": NOW.timestamp(),
        "method": "PUT",
        "url": "/ocpi/hub/2.2.1/locations/NL/TNM/LOC1",
        "module": "locations",
        "http_status": 200,
        "response_body": b'{"status_code":1000}',
        **columns,
    }
    exchanges.record(Entry(**given))
    exchanges.flush()


def found(**wanted: Any) -> list[str]:
    return [row.request_id for row in search(Wanted(**wanted)).rows]


@pytest.fixture
def kept() -> None:
    """Six exchanges, of two days and more, each known by its request id."""
    with connection.cursor() as cursor:
        for day in (NOW, NOW - timedelta(days=1)):
            cursor.execute(registry_sql.create_partition_sql(day.date()))
    keep(request_id="put", correlation_id="message-1", platform_id=1, routing=Routing(to=EMS, sender=TNM))
    keep(request_id="passed on", correlation_id="message-1", platform_id=2, direction="OUT", at=NOW.timestamp() + 1)
    keep(
        request_id="refused", url="/ocpi/hub/2.2.1/tokens/DE/EMS/U1", module="tokens", at=NOW.timestamp() + 2,
        response_body=b'{"status_code":2001}',
    )  # fmt: skip
    keep(request_id="missing", http_status=404, method="GET", module="cdrs", url="/x/cdrs/KEY", response_body=b"",
         at=NOW.timestamp() - 86_400)  # fmt: skip
    keep(request_id="silent", http_status=None, response_body=None, error="NoAnswer: x", at=NOW.timestamp() - 90_000)
    keep(request_id="long ago", at=NOW.timestamp() - 9 * 86_400)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "refused, passed on, put, missing, silent, long ago"),
        ({"any_id": "message-1"}, "passed on, put"),
        ({"any_id": "silent"}, "silent"),
        ({"any_id": "u1"}, "refused"),
        ({"correlation_id": "message-1", "direction": "OUT"}, "passed on"),
        ({"request_id": "put"}, "put"),
        ({"object_id": "loc1", "method": "PUT"}, "passed on, put, silent, long ago"),
        ({"party": "NL*TNM", "module": "locations"}, "passed on, put, silent, long ago"),
        ({"party": "de*ems"}, "refused, put"),
        ({"platform_id": 2}, "passed on"),
        ({"module": "tokens"}, "refused"),
        ({"failed": True}, "refused, missing, silent"),
        ({"unanswered": True}, "silent"),
        ({"http_status": (400, 499)}, "missing"),
        ({"status_code": (2001, 2001)}, "refused"),
        ({"since": NOW - timedelta(hours=1), "until": NOW + timedelta(seconds=2)}, "passed on, put"),
        ({"until": NOW - timedelta(days=2)}, "long ago"),
        ({"any_id": "nothing"}, ""),
        ({"party": "XX*XXX", "failed": True, "module": "cdrs"}, ""),
    ],
    ids=str,
)
def test_exchanges_are_found_by_everything_that_tells_them_apart(
    kept: None, wanted: dict[str, Any], expected: str
) -> None:
    assert ", ".join(found(**wanted)) == expected


def test_a_page_goes_on_where_the_last_one_ended_also_over_days(kept: None) -> None:
    seen: list[str] = []
    place = ""
    for _ in range(3):
        page = search(Wanted(), place=place, most=2)
        seen += [row.request_id for row in page.rows]
        place = page.next_place
    assert seen == found()
    assert place == ""


def test_what_comes_in_meanwhile_moves_no_page(kept: None) -> None:
    first = search(Wanted(), most=2)
    keep(request_id="newer", at=NOW.timestamp() + 60)

    second = search(Wanted(), most=2, place=first.next_place)

    assert [row.request_id for row in (*first.rows, *second.rows)] == ["refused", "passed on", "put", "missing"]


def test_a_search_that_takes_too_long_says_how_far_it_came_and_goes_on(kept: None) -> None:
    page = search(Wanted(object_id="nothing"), seconds=-1)
    assert page.looked_back_to == NOW.replace(hour=0)  # one day at least, that it gets on

    assert search(Wanted(request_id="long ago"), place=page.next_place).rows[0].request_id == "long ago"


@pytest.mark.parametrize("place", ["x", "1-", "-", "1e300-5", "nan-1", "253402300799.9999-5", "-62135596800-1"])
def test_a_place_that_was_not_made_here_is_refused(place: str) -> None:
    with pytest.raises(exchange_search.BadPlace):
        search(Wanted(), place=place)


@pytest.mark.parametrize(
    ("module", "method", "url", "body", "answer", "owner", "object_id"),
    [
        ("locations", "PATCH", "/ocpi/x/2.2.1/locations/nl/tnm/Loc1/3256/1?x=y", b"{}", b"", "NL*TNM", "LOC1"),
        ("locations", "GET", "/ocpi/cpo/2.2.1/locations/LOC1/3256", None, b"", "", "LOC1"),
        ("locations", "GET", "/ocpi/cpo/2.2.1/locations?offset=2", None, b"", "", ""),
        ("locations", "PUT", "https://a.example/locations/NL/TNM/a%2Fb", b"{}", b"", "NL*TNM", "A/B"),
        ("sessions", "PUT", "/ocpi/cpo/2.2.1/sessions/S1/charging_preferences", b"{}", b"", "", "S1"),
        ("tokens", "POST", "/ocpi/emsp/2.2.1/tokens/U1/authorize", b"{}", b"", "", "U1"),
        ("cdrs", "POST", "/x/cdrs", b'{"tariffs":[{"id":"T"}],"country_code":"NL","party_id":"TNM","id":"C1"}', b"",
         "NL*TNM", "C1"),
        ("cdrs", "GET", "/x/cdrs/kkkkkkkkkkkkkkkkkkkkkkk", None, b'{"data":{"id":"C1"}}', "", "C1"),
        ("cdrs", "GET", "/x/cdrs/kkkkkkkkkkkkkkkkkkkkkkk", None, b'{"data":[{"id":"C1"}]}', "", ""),
        ("cdrs", "POST", "/x/cdrs", b'{"id":', b"", "", ""),
        ("commands", "POST", "/x/commands/STOP_SESSION", b'{"session_id":"S1"}', b"", "", "S1"),
        ("commands", "POST", "/x/commands/START_SESSION", b'{"location_id":"L1","token":{"uid":"U"}}', b"", "", "L1"),
        ("commands", "POST", "/x/commands/CANCEL_RESERVATION", b'{"reservation_id":"R1"}', b"", "", "R1"),
        ("chargingprofiles", "PUT", "/x/chargingprofiles/S1", b"{}", b"", "", "S1"),
        ("hubclientinfo", "PUT", "/x/hubclientinfo/NL/TNM", b"{}", b"", "NL*TNM", ""),
        ("credentials", "POST", "/x/credentials", b'{"id":"no"}', b"", "", ""),
        ("", "GET", "/ocpi/versions", None, b"", "", ""),
    ],
)  # fmt: skip
def test_the_object_of_an_exchange_is_in_its_path_or_its_body(
    module: str, method: str, url: str, body: bytes | None, answer: bytes, owner: str, object_id: str
) -> None:
    keep(module=module, method=method, url=url, request_body=body, response_body=answer)

    [row] = search(Wanted()).rows
    assert (row.owner, row.object_id) == (owner, object_id)


def test_a_result_has_the_id_of_the_url_it_was_asked_to_go_to() -> None:
    keep(module="commands", method="POST", url="/ocpi/hub/2.2.1/callbacks/abc", request_body=b'{"result":"ACCEPTED"}')

    wanted = exchange_objects.result_id("https://hub.example/ocpi/hub/2.2.1/callbacks/abc")
    assert len(found(object_id=wanted)) == 1
    assert "abc" not in wanted


# ---------------------------------------------------------------- plans

_FILL = """
INSERT INTO ocpi_exchange (id, at, direction, platform_id, method, url, module, object_path, request_id, correlation_id,
                           from_party, to_party, http_status, status_code, milliseconds, error, request_headers,
                           request_body, response_headers, response_body, owner, object_id)
SELECT (extract(epoch FROM moment) * 1000)::bigint << 22, moment, 'IN', n %% 20, 'PUT', '/x', 'locations', '',
       'r' || n, 'm' || n / 4, 'NL*TNM', 'DE*EMS', 200, 1000, 1, '', repeat('h', 300), repeat('b', 300), '', '',
       'NL*TNM', 'LOC' || n %% 300
FROM generate_series(1, %s) n, LATERAL (SELECT %s::timestamptz + n * interval '1 second' AS moment) moments
"""
ROWS = 6_000
_LOOKED_FOR: dict[str, dict[str, Any]] = {
    "the latest": {},
    "a party": {"party": "NL*TNM"},
    "nobody": {"party": "XX*XXX"},
    "a platform": {"platform_id": 3},
    "no module": {"module": "nothing"},
    "failed": {"failed": True},
    "a status": {"http_status": (500, 599)},
    "a code": {"status_code": (2001, 2001)},
    "times": {"since": NOW + timedelta(minutes=5), "until": NOW + timedelta(minutes=6)},
    "much, and nothing": {"party": "NL*TNM", "module": "locations", "method": "GET", "direction": "IN"},
}
_IDS: dict[str, dict[str, Any]] = {
    "a message": {"correlation_id": "m7"},
    "a request": {"request_id": "r7"},
    "an object": {"object_id": "LOC7"},
    "any id": {"any_id": "r7"},
    "no id": {"any_id": "nothing", "party": "NL*TNM", "failed": True},
    "an object that failed": {"object_id": "LOC7", "failed": True},
}


@pytest.fixture
def many() -> None:
    with connection.cursor() as cursor:
        for day in (NOW, NOW - timedelta(days=1)):
            cursor.execute(registry_sql.create_partition_sql(day.date()))
            cursor.execute(_FILL, [ROWS, day])
        cursor.execute("ANALYZE ocpi_exchange")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def steps(**wanted: Any) -> list[dict[str, Any]]:
    """Return each step of each statement that looks for ids."""
    with CaptureQueriesContext(connection) as captured:
        search(Wanted(**wanted))
    found: list[dict[str, Any]] = []
    with connection.cursor() as cursor:
        for sql in (query["sql"] for query in captured.captured_queries):
            assert "COUNT(" not in sql.upper()
            if not sql.startswith("SELECT id FROM ocpi_exchange"):
                continue
            bitmaps = "on" if Wanted(**wanted).has_id else "off"  # as the search says
            cursor.execute(f"SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = {bitmaps}")
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql.replace("%", "%%"))
            [(plan,)] = cursor.fetchall()
            found += nodes((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
    return found


@pytest.mark.parametrize("wanted", _LOOKED_FOR.values(), ids=_LOOKED_FOR)
def test_what_has_no_id_is_found_in_the_narrow_index_alone(many: None, wanted: dict[str, Any]) -> None:
    taken = steps(**wanted)

    kinds = {step["Node Type"] for step in taken}
    assert kinds <= {"Limit", "Index Only Scan"}, kinds
    # One partition at a time: none is merged with, or sorted into, the others.
    assert all(len(step.get("Plans", ())) <= 1 for step in taken)


@pytest.mark.parametrize("wanted", _IDS.values(), ids=_IDS)
def test_what_has_an_id_is_found_by_its_index(many: None, wanted: dict[str, Any]) -> None:
    taken = steps(**wanted)

    assert "Bitmap Index Scan" in {step["Node Type"] for step in taken} or all(
        "Index Cond" in step for step in taken if step["Node Type"] == "Index Scan"
    )
    looked_at = sum(
        (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
        for step in taken
        if "Relation Name" in step
    )
    assert looked_at <= 100


def test_a_full_page_asks_no_further_day(many: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        page = search(Wanted(party="NL*TNM"))

    asked = [query for query in captured.captured_queries if query["sql"].startswith("SELECT id FROM ocpi_exchange")]
    assert len(page.rows) == exchange_search.PAGE
    assert asked
    midnight = f"{page.rows[0].at:%Y-%m-%d}"
    assert all(f"at >= '{midnight}" in query["sql"] for query in asked)


def test_a_search_that_finds_nothing_stops_after_its_time_and_goes_on_where_it_stopped(
    many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now.__setitem__(0, now[0] + 0.15) or now[0])
    monkeypatch.setattr(exchange_search, "time", clock)
    lacking = Wanted(party="XX*XXX")
    place, seen, pages = "", [], 0

    while pages < 100:
        with CaptureQueriesContext(connection) as captured:
            page = search(lacking, place=place)
        asked = [one["sql"] for one in captured.captured_queries if one["sql"].startswith("SELECT id FROM ocpi_ex")]
        assert len(asked) <= 6  # of 0.8 s, each takes 0.15 s
        seen += asked
        pages += 1
        assert page.rows == []
        if not (place := page.next_place):
            break
        assert page.looked_back_to is not None

    assert pages > 1
    bounds = [re.findall(r"at >?<? ?=? ?'([^']+)'", sql)[:2] for sql in seen]
    # Nothing between is left out and nothing is looked at twice.
    assert all(later[0] == earlier[1] for later, earlier in itertools.pairwise(bounds) if later[0] > earlier[0])


def test_pages_that_end_in_the_middle_of_a_day_leave_nothing_out(many: None, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted(party="NL*TNM")
    at_once = [row.pk for row in search(wanted, most=100_000).rows]
    monkeypatch.setattr(exchange_search, "_FIRST_STRETCH", timedelta(hours=3))
    found, place = [], ""
    while True:
        page = search(wanted, place=place, most=700, seconds=0.0001)
        found += [row.pk for row in page.rows]
        if not (place := page.next_place):
            break

    assert found == at_once


def test_bodies_stay_in_the_database_until_one_is_opened(many: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        search(Wanted(object_id="LOC7"))

    assert not any("response_body" in query["sql"] for query in captured.captured_queries)


# ---------------------------------------------------------------- the page


def _list(client: Client, query: str) -> str:
    answer = client.get("/admin/ocpi/exchange/" + query)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_the_form_of_the_admin_finds_and_pages(
    operator: Client, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_search.search, "__kwdefaults__", {"place": "", "most": 3, "seconds": 8.0})
    person = partner("NL*TNM:CPO")
    for number in range(5):
        keep(request_id=f"r{number}", platform_id=person.id, at=NOW.timestamp() + number,
             url=f"/ocpi/hub/2.2.1/locations/NL/TNM/PLACE{number}")  # fmt: skip
    keep(request_id="other", url="/ocpi/hub/2.2.1/tariffs/NL/TNM/ELSE", module="tariffs", at=NOW.timestamp() - 9)

    content = _list(operator, f"?party=nl-tnm&module=locations&outcome=2xx&platform={person.id}")
    following = content[content.index('rel="next"') - 200 : content.index('rel="next"')].rpartition('href="')[2]
    second = _list(operator, following.partition('"')[0])

    assert [f"PLACE{number}" in content for number in range(5)] == [False, False, True, True, True]
    assert "more than 3" in content
    assert [f"PLACE{number}" in second for number in range(5)] == [True, True, False, False, False]
    assert "2 more" in second
    assert "ELSE" not in content + second


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?party=Nobody", "such as NL*TNM"),
        ("?outcome=maybe", "HTTP status (404, 5xx)"),
        ("?since=yesterday", "valid date/time"),
        ("?place=nonsense", "search again"),
        ("?module=none", "valid choice"),
    ],
)
def test_the_form_says_what_it_did_not_understand(operator: Client, query: str, error: str) -> None:
    keep(url="/ocpi/hub/2.2.1/locations/NL/TNM/PLACE")

    content = _list(operator, query)

    assert error in content
    assert "PLACE" not in content.replace("PLACEHOLDER", "")


def test_unknown_parameters_are_left_alone(operator: Client) -> None:
    keep(url="/ocpi/hub/2.2.1/locations/NL/TNM/PLACE")

    assert "PLACE" in _list(operator, "?request_body__startswith=x&o=1&p=3")


def test_looking_for_what_is_not_there_costs_few_queries(operator: Client, many: None) -> None:
    started = time.monotonic()
    with CaptureQueriesContext(connection) as captured:
        _list(operator, "?party=XX*XXX&outcome=failed")

    assert len(captured) <= 30, time.monotonic() - started
