"""Lists of Sender interfaces: pages, totals, filters, order, and the objects in them (Transport, Pagination)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.conformance.external.cases import OURS, SHOULD
from tests.conformance.external.tables import faults, unset
from tests.conformance.external.target import Answer, Interface, Target, join

KINDS = {"locations": "Location", "sessions": "Session", "cdrs": "CDR", "tariffs": "Tariff", "tokens": "Token",
         "hubclientinfo": "ClientInfo"}  # fmt: skip
_IDENTITY = ("country_code", "party_id", "id", "uid", "role")
BEGINNING = "2000-01-01T00:00:00Z"
_MOST_PAGES = 50


class List:
    """One list, as it can be asked."""

    def __init__(self, target: Target, module: str) -> None:
        self.target, self.module = target, module
        self.interface: Interface = (module, "SENDER")
        if self.interface not in target.endpoints:
            pytest.skip(f"{module} SENDER is not advertised")
        self.url = target.endpoints[self.interface]

    def get(self, **query: Any) -> Answer:
        asked = {name: str(value) for name, value in query.items()}
        if self.module == "sessions":
            asked.setdefault("date_from", BEGINNING)
        return self.target.get(self.url, interface=self.interface, query=asked)

    def page(self, **query: Any) -> Answer:
        answer = self.get(**query)
        assert (answer.http, answer.code) == (200, 1000), answer.shown
        assert isinstance(answer.data, list), answer.shown
        return answer

    def follow(self, url: str) -> Answer:
        return self.target.get(url, interface=self.interface)

    def needs(self, count: int) -> list[Any]:
        """Return the first page, if the list has so many objects."""
        answer = self.page()
        if int(answer.headers.get("X-Total-Count", 0)) < count:
            pytest.skip(f"the list of {self.module} has less than {count} objects")
        data: list[Any] = answer.data
        return data

    def key(self, each: Any) -> tuple[str, ...]:
        return tuple(str(each.get(name, "")).upper() for name in _IDENTITY)

    def crawl(self, limit: int) -> list[Any]:
        found: list[Any] = []
        answer = self.page(limit=limit)
        for _ in range(_MOST_PAGES):
            found += answer.data
            link = next_of(answer)
            if not link:
                return found
            answer = self.follow(link)
            assert (answer.http, answer.code) == (200, 1000), answer.shown
        pytest.skip(f"more than {_MOST_PAGES} pages of {limit}")


def next_of(answer: Answer) -> str:
    """Return the URL of the next page, or nothing."""
    for link in answer.headers.get("Link", "").split(","):
        url, _, relation = link.partition(";")
        if 'rel="next"' in relation.replace(" ", ""):
            return url.strip().strip("<>")
    return ""


@pytest.fixture(
    params=[
        pytest.param("locations", marks=pytest.mark.req("LOC-01")),
        pytest.param("sessions", marks=pytest.mark.req("SES-01")),
        pytest.param("cdrs", marks=pytest.mark.req("CDR-01")),
        pytest.param("tariffs", marks=pytest.mark.req("TAR-01")),
        pytest.param("tokens", marks=pytest.mark.req("TOK-01")),
        "hubclientinfo",
    ]
)
def listed(request: pytest.FixtureRequest, target: Target) -> List:
    return List(target, request.param)


@pytest.mark.req("TRN-063", "TRN-072", "TRN-028")
def test_a_list_says_how_much_there_is_and_how_much_fits(listed: List) -> None:
    answer = listed.page()

    assert int(answer.headers["X-Total-Count"]) >= len(answer.data)
    assert int(answer.headers["X-Limit"]) >= len(answer.data)


@pytest.mark.req("TRN-068", "PIT-23")
def test_the_total_does_not_depend_on_the_page(listed: List) -> None:
    listed.needs(2)

    totals = {listed.page(**query).headers["X-Total-Count"] for query in ({}, {"limit": 1}, {"limit": 1, "offset": 1})}

    assert len(totals) == 1, totals


@pytest.mark.req("TRN-067")
def test_no_page_is_longer_than_was_asked(listed: List) -> None:
    listed.needs(2)

    assert len(listed.page(limit=1).data) == 1


@pytest.mark.req("TRN-069", "PIT-24")
def test_x_limit_is_the_most_a_page_may_have_also_on_a_short_one(listed: List) -> None:
    huge, short = listed.page(limit=1_000_000), listed.page(limit=1_000_000, offset=10_000)

    assert int(huge.headers["X-Limit"]) < 1_000_000
    assert huge.headers["X-Limit"] == short.headers["X-Limit"]


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-073")
def test_x_limit_follows_a_smaller_limit(listed: List) -> None:
    assert listed.page(limit=1).headers["X-Limit"] == "1"


@pytest.mark.req("TRN-064", "TRN-066")
def test_offset_leaves_out_the_first(listed: List) -> None:
    data = listed.needs(2)

    assert listed.key(listed.page(offset=1, limit=1).data[0]) == listed.key(data[1])
    assert listed.key(listed.page(offset=0, limit=1).data[0]) == listed.key(data[0])


@pytest.mark.req("TRN-028", "TRN-072", "PIT-25")
def test_behind_the_end_there_is_an_empty_list(listed: List) -> None:
    total = listed.page().headers["X-Total-Count"]

    answer = listed.page(offset=total)

    assert answer.data == []
    assert answer.headers["X-Total-Count"] == total
    assert answer.headers["X-Limit"]
    assert not next_of(answer)


@pytest.mark.req("TRN-070", "PIT-23")
def test_the_link_is_absolute_and_keeps_the_filters(listed: List) -> None:
    listed.needs(2)

    link = next_of(listed.page(limit=1, date_from=BEGINNING, date_to="2100-01-01T00:00:00Z"))

    assert link.startswith(("https://", "http://")), link
    for word in ("offset=1", "limit=1", "date_from=2000-01-01", "date_to=2100-01-01"):
        assert word in link, link
    assert listed.key(listed.follow(link).data[0]) == listed.key(listed.page(offset=1, limit=1).data[0])


@pytest.mark.req("TRN-071")
def test_the_last_page_has_no_link(listed: List) -> None:
    total = int(listed.page().headers["X-Total-Count"])
    if not total:
        pytest.skip("the list is empty")

    assert next_of(listed.page(offset=total - 1, limit=1)) == ""


@pytest.mark.level(SHOULD)
@pytest.mark.req("TRN-075", "TRN-074")
def test_following_the_links_gives_every_object_once_and_in_the_same_order(listed: List) -> None:
    listed.needs(2)

    first, again = listed.crawl(2), listed.crawl(3)

    keys = [listed.key(each) for each in first]
    assert len(keys) == len(set(keys))
    assert keys == [listed.key(each) for each in again]
    assert len(keys) == int(listed.page().headers["X-Total-Count"])


@pytest.mark.req("TRN-065")
def test_date_from_is_inclusive_and_date_to_exclusive(listed: List) -> None:
    each = listed.needs(1)[0]
    moment = each["last_updated"]
    at = datetime.fromisoformat(moment)
    after = (at + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def keys(**query: Any) -> list[tuple[str, ...]]:
        return [listed.key(one) for one in listed.page(limit=1000, **query).data]

    assert listed.key(each) in keys(date_from=moment, date_to=after)
    assert listed.key(each) not in keys(date_from="2000-01-01T00:00:00Z", date_to=moment)
    assert listed.key(each) not in keys(date_from=after, date_to="2100-01-01T00:00:00Z")


@pytest.mark.req("TRN-068")
def test_the_total_counts_what_the_filters_leave(listed: List) -> None:
    listed.needs(1)

    answer = listed.page(date_from="2000-01-01T00:00:00Z", date_to="2000-01-02T00:00:00Z")

    assert (answer.data, answer.headers["X-Total-Count"]) == ([], "0")


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-079")
def test_equal_dates_give_an_empty_list(listed: List) -> None:
    moment = "2026-01-01T00:00:00Z"

    assert listed.page(date_from=moment, date_to=moment).data == []


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-079")
@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": -1}, {"limit": "many"}, {"offset": -1}, {"offset": "1.5"}, {"date_from": "yesterday"},
     {"date_to": "2026-13-01T00:00:00Z"}, {"date_from": "2026-02-01T00:00:00Z", "date_to": "2026-01-01T00:00:00Z"}],
    ids=str,
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(listed: List, query: dict[str, Any]) -> None:
    answer = listed.get(**query)

    assert (answer.http, answer.code) == (200, 2001), answer.shown


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-081")
@pytest.mark.parametrize("moment", ["2000-01-01T00:00:00", "2000-01-01T00:00:00.5Z", "2000-01-01T00:00:00.123Z"])
def test_dates_have_a_z_or_not_and_fractions_or_not(listed: List, moment: str) -> None:
    assert listed.page(date_from=moment).headers["X-Total-Count"] == listed.page().headers["X-Total-Count"]


@pytest.mark.level(OURS)
@pytest.mark.req("SES-02")
def test_sessions_are_listed_only_since_a_date(target: Target) -> None:
    sessions = List(target, "sessions")

    answer = target.get(sessions.url, interface=sessions.interface)

    assert (answer.http, answer.code) == (200, 2001), answer.shown
    assert "date_from" in answer.text


@pytest.mark.req("TRN-031", "TRN-116", "TRN-117", "TYP-15")
def test_every_object_keeps_its_table(listed: List) -> None:
    found = [fault for each in listed.page().data for fault in faults(KINDS[listed.module], each)]

    assert not found, f"{len(found)} faults, the first: {found[:5]}"


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-110")
def test_what_is_not_set_is_left_out(listed: List) -> None:
    found = [fault for each in listed.page().data for fault in unset(each)]

    assert not found, f"{len(found)} members, the first: {found[:5]}"


@pytest.mark.req("TRN-098")
def test_objects_name_their_owner(target: Target, listed: List) -> None:
    owners = {(str(each["country_code"]).upper(), str(each["party_id"]).upper()) for each in listed.page().data}

    if target.roles and all(role.role != "HUB" for role in target.roles):
        assert owners <= {(role.country_code.upper(), role.party_id.upper()) for role in target.roles}


@pytest.mark.level(OURS)
@pytest.mark.req("CDR-15", "TRN-080")
@pytest.mark.parametrize("module", ["cdrs", "sessions"])
def test_only_what_concerns_our_drivers_is_listed(target: Target, module: str) -> None:
    ours = {(party.country_code.upper(), party.party_id.upper()) for party in target.parties}
    if not ours:
        pytest.skip("needs --ocpi-party")

    tokens = [each["cdr_token"] for each in List(target, module).page().data]

    assert {(token["country_code"].upper(), token["party_id"].upper()) for token in tokens} <= ours


# ---- Locations, one by one and as a whole


@pytest.mark.req("LOC-12")
def test_no_location_is_older_than_its_parts(target: Target) -> None:
    for location in List(target, "locations").page().data:
        for evse in location.get("evses", []):
            assert location["last_updated"] >= evse["last_updated"], location["id"]
            assert all(evse["last_updated"] >= each["last_updated"] for each in evse["connectors"]), evse["uid"]


@pytest.mark.req("LOC-45", "LOC-46")
def test_ids_are_unique_where_they_have_to_be(target: Target) -> None:
    locations = List(target, "locations").page().data
    evses = [evse for location in locations for evse in location.get("evses", [])]

    assert len({each["id"].upper() for each in locations}) == len(locations)
    assert len({each["uid"].upper() for each in evses}) == len(evses)
    for evse in evses:
        assert len({each["id"].upper() for each in evse["connectors"]}) == len(evse["connectors"]), evse["uid"]


@pytest.mark.req("LOC-02", "LOC-08")
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("spelled", ["as it is", pytest.param("in lower case", marks=pytest.mark.level(OURS))])
def test_a_location_an_evse_or_a_connector_can_be_had_alone(target: Target, depth: int, spelled: str) -> None:
    locations = List(target, "locations")
    location = next((each for each in locations.needs(1) if each.get("evses")), None)
    if location is None:
        pytest.skip("no Location with an EVSE")
    evse = location["evses"][0]
    connector = evse["connectors"][0]
    segments = [location["id"], evse["uid"], connector["id"]][:depth]
    path = "/".join(segments) if spelled == "as it is" else "/".join(segments).lower()

    answer = target.get(join(locations.url, path), interface=locations.interface)

    assert (answer.http, answer.code) == (200, 1000), answer.shown
    assert answer.data == (location, evse, connector)[depth - 1]


@pytest.mark.level(SHOULD)
@pytest.mark.req("TRN-040", "TRN-041")
@pytest.mark.parametrize("path", ["NOT-THERE", "NOT-THERE/1", "NOT-THERE/1/1"])
def test_a_location_that_is_not_there_is_not_found(target: Target, path: str) -> None:
    locations = List(target, "locations")

    answer = target.get(join(locations.url, path), interface=locations.interface)

    assert (answer.http, answer.code) == (404, 2003), answer.shown
