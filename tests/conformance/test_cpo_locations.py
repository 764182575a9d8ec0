"""Locations, Sender interface, and what a status of a charge point does to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.models import EVSE, ChargePoint, ChargePointConnector, Location
from cpo.modules import locations_operations as operations
from ocpi.models import Delivery
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.suites import ListSuite, at_most
from tests.cpo_support import BASE, EVSE_UID, LOCATION, SECOND_EVSE_UID, Point, add_location, add_point
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/locations"
pytestmark = pytest.mark.usefixtures("cpo_side")


@pytest.fixture
def location(db: None, document: Document) -> Location:
    return add_location(document("location"))


@pytest.fixture
def point(location: Location) -> Point:
    return add_point(location, evses=(EVSE_UID, SECOND_EVSE_UID))


class TestLocationsList(ListSuite):
    place, reader, path = "cpo_side", "emsp", PATH

    @pytest.fixture(autouse=True)
    def _example(self, document: Document) -> None:
        self.example = document

    def make(self, index: int, moment: datetime) -> str:
        text = format_datetime(moment)
        found = self.example("location", id=f"LOC{index}", last_updated=text)
        for evse in found["evses"]:
            evse["last_updated"] = text
            for connector in evse["connectors"]:
                connector["last_updated"] = text
        add_location(found)
        return f"LOC{index}"


@pytest.mark.req("LOC-14", "LOC-01")
def test_a_list_has_whole_locations(emsp: Person, location: Location, document: Document) -> None:
    answer = emsp.get(PATH)

    [found] = answer.data
    expected = document("location")
    assert found == {**expected, "last_updated": found["last_updated"]}
    assert len(found["evses"]) == len(expected["evses"]) > 1


@pytest.mark.req("LOC-02", "LOC-08")
def test_a_location_an_evse_and_a_connector_have_their_own_url(
    emsp: Person, location: Location, document: Document
) -> None:
    evse = document("location")["evses"][0]

    whole = emsp.get(f"{PATH}/{LOCATION.lower()}")
    one = emsp.get(f"{PATH}/{LOCATION}/{EVSE_UID}")
    connector = emsp.get(f"{PATH}/{LOCATION}/{EVSE_UID}/2")

    assert whole.data["id"] == LOCATION
    assert one.data == evse
    assert connector.data == evse["connectors"][1]


@pytest.mark.req("TRN-040", "LOC-02")
@pytest.mark.parametrize("tail", ["NOPE", f"{LOCATION}/NOPE", f"{LOCATION}/{EVSE_UID}/9", f"NOPE/{EVSE_UID}"])
def test_what_is_not_there_is_404_with_2003(emsp: Person, location: Location, tail: str) -> None:
    assert emsp.get(f"{PATH}/{tail}").codes == (404, 2003)


@pytest.mark.req("LOC-06")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_written_on_the_sender_interface(emsp: Person, location: Location, method: str) -> None:
    assert emsp.request(method, f"{PATH}/{LOCATION}", {}).http_status == 405


@pytest.mark.req("LOC-15")
def test_a_removed_location_is_only_in_a_delta(emsp: Person, location: Location) -> None:
    since = format_datetime(datetime.now(UTC) - timedelta(minutes=1))
    for evse in location.evses.all():
        operations.set_status(evse.pk, "REMOVED")

    unfiltered, delta = emsp.get(PATH), emsp.get(PATH, query={"date_from": since})

    assert (unfiltered.data, unfiltered.headers["X-Total-Count"]) == ([], "0")
    assert [found["id"] for found in delta.data] == [LOCATION]
    assert {evse["status"] for evse in delta.data[0]["evses"]} == {"REMOVED"}


@pytest.mark.req("LOC-13", "LOC-09", "LOC-12")
def test_a_status_change_stamps_evse_and_location_and_shows_in_a_delta(
    emsp: Person, location: Location, point: Point
) -> None:
    since = format_datetime(datetime.now(UTC) - timedelta(seconds=30))
    assert emsp.get(PATH, query={"date_from": since}).data == []

    point.status("Charging")

    [found] = emsp.get(PATH, query={"date_from": since}).data
    evse = found["evses"][0]
    row, stored = Location.objects.get(), EVSE.objects.get(uid=EVSE_UID)
    assert evse["status"] == stored.status == "CHARGING"
    assert found["last_updated"] == evse["last_updated"] == format_datetime(row.last_updated)
    assert stored.last_updated == row.last_updated


@pytest.mark.req("LOC-09", "LOC-11")
def test_a_parents_time_stamp_never_goes_backwards(emsp: Person, document: Document) -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(hours=1))
    point = add_point(add_location(document("location", last_updated=ahead)))

    point.status("Charging")

    found = emsp.get(f"{PATH}/{LOCATION}").data
    assert found["last_updated"] == ahead
    assert found["evses"][0]["status"] == "CHARGING"


@pytest.mark.req("LOC-32", "REL-01", "OCPP-59")
def test_a_status_change_is_pushed_as_a_patch_of_the_evse(
    location: Location, point: Point, partner: Partner, listener: Listener
) -> None:
    partner("DE*EMS:EMSP", listener=listener)

    point.status("Charging")
    drain_now()

    [got] = listener.received()
    assert (got.method, got.path) == (
        "PATCH",
        f"/ocpi/2.2.1/receiver/locations/NL/TNM/{LOCATION}/{EVSE_UID}",
    )
    assert set(got.json) == {"status", "last_updated"}
    assert got.json["status"] == "CHARGING"
    assert got.headers["ocpi-to-party-id"] == "EMS"
    assert got.headers["ocpi-from-party-id"] == "TNM"


@pytest.mark.req("HUB-28")
def test_a_hub_gets_a_status_change_as_a_broadcast(
    location: Location, point: Point, partner: Partner, listener: Listener
) -> None:
    partner("BE*HUB:HUB", listener=listener)

    point.status("Faulted")
    drain_now()

    [got] = listener.received("PATCH")
    assert (got.headers["ocpi-to-country-code"], got.headers["ocpi-to-party-id"]) == ("BE", "HUB")
    assert got.json["status"] == "OUTOFORDER"


@pytest.mark.req("HUB-28")
def test_an_emsp_with_our_own_address_gets_our_locations(location: Location, point: Point, partner: Partner) -> None:
    sister = partner("NL*TNM:EMSP")

    point.status("Charging")

    assert [(row.platform_id, row.to_party_id) for row in Delivery.objects.all()] == [(sister.id, "TNM")]


@pytest.mark.req("OCPP-59")
def test_the_same_status_again_is_no_change(location: Location, point: Point, emsp: Person) -> None:
    point.status("Charging")
    Delivery.objects.all().delete()
    before = Location.objects.get().last_updated

    point.status("SuspendedEV")

    assert Location.objects.get().last_updated == before
    assert not Delivery.objects.exists()


@pytest.mark.req("OCPP-58")
def test_an_old_status_does_not_replace_a_newer_one(location: Location, point: Point) -> None:
    point.status("Charging", at=BASE + timedelta(minutes=5))

    point.status("Available", at=BASE)

    assert EVSE.objects.get(uid=EVSE_UID).status == "CHARGING"
    assert ChargePointConnector.objects.get(connector_id=1).status == "Charging"


@pytest.mark.req("OCPP-59")
def test_connector_0_speaks_for_all_evses(location: Location, point: Point) -> None:
    point.status("Available", connector=1)
    point.status("Available", connector=2)

    point.status("Unavailable", connector=0)

    assert set(EVSE.objects.filter(charge_point=point.row).values_list("status", flat=True)) == {"INOPERATIVE"}


@pytest.mark.req("OCPP-60")
def test_a_silent_charge_point_is_unknown_and_comes_back(location: Location, point: Point) -> None:
    point.status("Available")
    rows = ChargePoint.objects.filter(pk=point.row.pk)
    rows.update(online=False, last_seen_at=datetime.now(UTC) - timedelta(minutes=4))
    operations.refresh_due()
    assert EVSE.objects.get(uid=EVSE_UID).status == "AVAILABLE"

    rows.update(last_seen_at=datetime.now(UTC) - timedelta(minutes=6))
    operations.refresh_due()
    gone = EVSE.objects.get(uid=EVSE_UID).status
    rows.update(online=True, last_seen_at=datetime.now(UTC))
    operations.refresh_due()

    assert gone == "UNKNOWN"
    assert EVSE.objects.get(uid=EVSE_UID).status == "AVAILABLE"


def test_a_plugged_car_that_does_not_charge_blocks_the_evse_after_a_while(location: Location, point: Point) -> None:
    point.status("Preparing")
    at_first = EVSE.objects.get(uid=EVSE_UID).status
    ChargePointConnector.objects.update(status_at=datetime.now(UTC) - timedelta(minutes=6))

    operations.refresh_due()

    assert at_first == "AVAILABLE"
    assert EVSE.objects.get(uid=EVSE_UID).status == "BLOCKED"


def test_a_page_of_whole_locations_takes_few_statements(
    emsp: Person, document: Document, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for number in range(10):
        add_location(document("location", id=f"LOC{number}"))
    emsp.get(PATH)

    with at_most(4):
        answer = emsp.get(PATH)

    assert len(answer.data) == 10


@pytest.mark.req("SEC-35")
def test_each_party_of_ours_has_its_own_list(side: Callable[..., None], emsp: Person, location: Location) -> None:
    side("cpo", parties=["NL*TNM:CPO", "NL*TWO:CPO"])

    own, other = emsp.get(PATH, to="NL*TNM"), emsp.get(PATH, to="NL*TWO")

    assert [len(own.data), len(other.data)] == [1, 0]
    assert emsp.get(f"{PATH}/{LOCATION}", to="NL*TWO").codes == (404, 2003)


@pytest.mark.req("LOC-17")
def test_push_all_sends_every_location_to_one_platform(
    location: Location, partner: Partner, listener: Listener, emsp: Person
) -> None:
    newcomer = partner("BE*NEW:EMSP", listener=listener)

    count = operations.push_all(newcomer.id)
    drain_now()

    assert count == 1
    [got] = listener.received("PUT")
    assert got.path == f"/ocpi/2.2.1/receiver/locations/NL/TNM/{LOCATION}"
    assert len(got.json["evses"]) == 2
    assert not Delivery.objects.filter(platform_id=emsp.id).exists()
