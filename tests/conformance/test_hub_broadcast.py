"""Broadcast Push at the hub: kept, answered at once, one delivery per receiver (OCPI 2.2.1, Broadcast Push)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.models import SharedObject
from ocpi.models import Delivery
from tests.fixtures import Document
from tests.people import Person

LOCATION = "hub/2.2.1/receiver/locations/NL/TNM/LOC1"
pytestmark = pytest.mark.usefixtures("hub_side", "front_door")


@pytest.fixture
def location(document: Document) -> dict[str, object]:
    return dict(document("location", id="LOC1"))


def push_location(cpo: Person, location: dict[str, object]) -> None:
    assert cpo.put(LOCATION, location).codes == (201, 1000)
    Delivery.objects.all().delete()


def evse_of(location: dict[str, object]) -> str:
    evses = location["evses"]
    assert isinstance(evses, list)
    return str(evses[0]["uid"])


@pytest.mark.req("HUB-28", "HUB-31", "HUB-32", "HUB-33", "HUB-34", "HUB-37", "HUB-38")
def test_a_push_is_kept_and_left_for_each_receiver(
    cpo: Person, emsp: Person, second_emsp: Person, second_cpo: Person, location: dict[str, object]
) -> None:
    answer = cpo.put(LOCATION, location)

    assert answer.codes == (201, 1000)
    assert answer.headers["OCPI-from-party-id"] == "HUB"
    assert answer.headers["OCPI-to-party-id"] == "TNM"
    left = list(Delivery.objects.order_by("platform_id"))
    assert [(row.platform_id, row.to_party_id, row.from_party_id) for row in left] == [
        (emsp.id, "EMS", "HUB"), (second_emsp.id, "MSX", "HUB"),
    ]  # fmt: skip
    assert {row.path for row in left} == {"NL/TNM/LOC1"}


@pytest.mark.req("HUB-43")
def test_the_whole_fan_out_has_the_correlation_id_of_the_push(
    cpo: Person, emsp: Person, second_emsp: Person, location: dict[str, object]
) -> None:
    cpo.put(LOCATION, location, headers={"X-Correlation-ID": "one-business-action"})

    assert set(Delivery.objects.values_list("correlation_id", flat=True)) == {"one-business-action"}


@pytest.mark.req("HUB-20")
def test_a_status_patch_changes_the_kept_evse_and_leaves_its_time_stamp(
    cpo: Person, emsp: Person, location: dict[str, object]
) -> None:
    push_location(cpo, location)
    uid = evse_of(location)

    answer = cpo.patch(f"{LOCATION}/{uid}", {"status": "CHARGING", "last_updated": "2031-05-01T10:00:00Z"})

    assert answer.codes == (200, 1000)
    kept = SharedObject.objects.get(path=f"LOC1/{uid}")
    assert '"status":"CHARGING"' in kept.document
    assert '"last_updated":"2031-05-01T10:00:00Z"' in kept.document
    assert kept.container is not None
    assert '"last_updated":"2031-05-01T10:00:00Z"' in kept.container.document
    delivery = Delivery.objects.get()
    assert delivery.path == f"NL/TNM/LOC1/{uid}"
    assert set(delivery.fields or []) == {"status", "last_updated"}


@pytest.mark.req("HUB-44")
def test_two_changes_of_one_object_are_one_delivery(cpo: Person, emsp: Person, location: dict[str, object]) -> None:
    push_location(cpo, location)
    uid = evse_of(location)

    for second, state in enumerate(("CHARGING", "AVAILABLE")):
        cpo.patch(f"{LOCATION}/{uid}", {"status": state, "last_updated": f"2031-05-01T10:00:0{second}Z"})

    assert Delivery.objects.get().change == 2


@pytest.mark.req("HUB-44")
def test_a_location_and_its_parts_keep_one_order(cpo: Person, emsp: Person, location: dict[str, object]) -> None:
    cpo.put(LOCATION, location)
    cpo.patch(f"{LOCATION}/{evse_of(location)}", {"status": "CHARGING", "last_updated": "2031-05-01T10:00:00Z"})

    left = Delivery.objects.values_list("path", "order_key")
    assert len({path for path, _ in left}) == 2
    assert {order_key for _, order_key in left} == {"NL*TNM/LOC1"}


@pytest.mark.req("TRN-091", "LOC-31")
def test_an_evse_in_a_patch_of_its_location_that_is_older_than_the_kept_one_is_refused(
    cpo: Person, emsp: Person, location: dict[str, object]
) -> None:
    push_location(cpo, location)
    uid = evse_of(location)
    older = {"uid": uid, "status": "BLOCKED", "last_updated": "2001-01-01T00:00:00Z"}

    answer = cpo.patch(LOCATION, {"evses": [older], "last_updated": "2031-05-01T10:00:00Z"})

    assert answer.codes == (200, 2001)
    assert "BLOCKED" not in SharedObject.objects.get(path=f"LOC1/{uid}").document
    assert not Delivery.objects.exists()


@pytest.mark.req("HUB-32")
@pytest.mark.parametrize(("change", "field"), [
    ({"coordinates": None}, "coordinates"), ({"publish": "yes"}, "publish"), ({"id": "LOC2"}, "id"),
    ({"party_id": "XXX"}, "party_id"),
])  # fmt: skip
def test_what_breaks_its_table_is_refused_and_sent_to_nobody(
    cpo: Person, emsp: Person, document: Document, change: dict[str, object], field: str
) -> None:
    body = {**document("location", id="LOC1"), **change}
    body = {name: value for name, value in body.items() if value is not None}

    answer = cpo.put(LOCATION, body)

    assert answer.codes == (200, 2001)
    assert field in answer.message
    assert not SharedObject.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.req("HUB-10", "SEC-35")
def test_nobody_pushes_in_anothers_name(cpo: Person, second_cpo: Person, location: dict[str, object]) -> None:
    assert second_cpo.put(LOCATION, location).codes == (404, 2003)
    assert second_cpo.put(LOCATION, location, sender="NL*TNM").codes == (200, 2001)
    assert not SharedObject.objects.exists()


@pytest.mark.req("TRN-044", "TRN-052", "TRN-091")
def test_a_patch_needs_an_object_and_a_newer_time(cpo: Person, location: dict[str, object]) -> None:
    assert cpo.patch(LOCATION, {"name": "x", "last_updated": "2031-05-01T10:00:00Z"}).codes == (404, 2003)
    push_location(cpo, location)

    assert cpo.patch(LOCATION, {"name": "x"}).codes == (200, 2001)
    assert cpo.patch(LOCATION, {"name": "x", "last_updated": "2001-01-01T00:00:00Z"}).codes == (200, 2001)
    assert cpo.patch(LOCATION, {"name": "x", "last_updated": "2031-05-01T10:00:00Z"}).codes == (200, 1000)
    assert '"name":"x"' in SharedObject.objects.get(path="LOC1").document


@pytest.mark.req("TRN-091", "LOC-09", "LOC-11", "HUB-20")
def test_a_location_whose_newest_part_is_news_is_taken_although_its_own_stamp_is_older(
    cpo: Person, location: dict[str, Any]
) -> None:
    """Some CPOs stamp only the EVSE that has changed; what they send next as a whole is older only by its own stamp."""
    push_location(cpo, location)
    cpo.patch(f"{LOCATION}/{evse_of(location)}", {"status": "BLOCKED", "last_updated": "2025-10-01T10:00:00Z"})
    assert cpo.put(LOCATION, {**location, "name": "x"}).codes == (200, 2001)

    location["evses"][0] |= {"status": "CHARGING", "last_updated": "2025-10-01T11:00:00Z"}
    assert cpo.put(LOCATION, {**location, "name": "x"}).codes == (200, 1000)

    whole = SharedObject.objects.get(path="LOC1")
    assert whole.last_updated.isoformat() == "2025-10-01T11:00:00+00:00"
    assert json.loads(whole.document)["last_updated"] == location["last_updated"]
    assert '"CHARGING"' in SharedObject.objects.get(path=f"LOC1/{evse_of(location)}").document


@pytest.mark.req("HUB-57", "HUB-58", "HUB-59", "HUB-60", "HUB-61")
def test_get_all_answers_from_what_was_pushed(cpo: Person, emsp: Person, location: dict[str, object]) -> None:
    push_location(cpo, {**location, "vendor": {"kept": 1.50}})

    answer = emsp.get("hub/2.2.1/sender/locations")

    assert answer.codes == (200, 1000)
    assert answer.headers["X-Total-Count"] == "1"
    assert (answer.headers["OCPI-to-party-id"], answer.headers["OCPI-from-party-id"]) == ("EMS", "HUB")
    (found,) = answer.data
    assert found["party_id"] == "TNM"
    assert found["vendor"] == {"kept": 1.50}
    assert [evse["uid"] for evse in found["evses"]] == [evse["uid"] for evse in location["evses"]]  # type: ignore[attr-defined]


@pytest.mark.req("HUB-62")
def test_get_all_shows_nobody_what_is_not_for_its_role(cpo: Person, emsp: Person, document: Document) -> None:
    assert emsp.put("hub/2.2.1/receiver/tokens/DE/EMS/T1", document("token_rfid", uid="T1")).codes == (201, 1000)

    assert len(cpo.get("hub/2.2.1/sender/tokens").data) == 1
    assert emsp.get("hub/2.2.1/sender/tokens").codes == (200, 2001)
    assert cpo.get("hub/2.2.1/sender/cdrs").codes == (200, 2001)
    assert emsp.get("hub/2.2.1/sender/cdrs").data == []


def test_a_deleted_tariff_is_deleted_everywhere(cpo: Person, emsp: Person, document: Document) -> None:
    url = "hub/2.2.1/receiver/tariffs/NL/TNM/T1"
    assert cpo.put(url, document("tariff", id="T1")).codes == (201, 1000)
    Delivery.objects.all().delete()

    assert cpo.delete(url).codes == (200, 1000)

    assert Delivery.objects.get().deleted
    assert cpo.delete(url).codes == (404, 2000)


@pytest.mark.req("TOK-07", "TOK-08")
def test_the_type_of_a_token_is_in_its_url_or_in_its_body_and_never_two(
    cpo: Person, emsp: Person, document: Document
) -> None:
    url = "hub/2.2.1/receiver/tokens/DE/EMS/T1"

    assert emsp.put(url, document("token_app_user", uid="T1")).codes == (201, 1000)
    assert Delivery.objects.get().query == "type=APP_USER"
    assert SharedObject.objects.get().kind == "APP_USER"
    assert emsp.put(f"{url}?type=RFID", document("token_app_user", uid="T1")).codes == (200, 2001)
    assert emsp.put(f"{url}?type=APP_USER", document("token_app_user", uid="T1")).codes == (200, 1000)


@pytest.mark.req("TRN-115")
def test_values_of_enums_that_the_hub_does_not_know_pass_unchanged(
    cpo: Person, emsp: Person, location: dict[str, Any], document: Document
) -> None:
    [evse, *_] = location["evses"]
    evse["status"], evse["capabilities"] = "ON_FIRE", ["TELEPATHY"]
    evse["connectors"][0]["format"] = "WIRELESS"
    tariff = document("tariff", id="TAR1", type="BARTER")
    tariff["elements"][0]["restrictions"] = {"day_of_week": ["HOLIDAY"]}

    assert cpo.put(LOCATION, location).codes == (201, 1000)
    assert cpo.put("hub/2.2.1/receiver/tariffs/NL/TNM/TAR1", tariff).codes == (201, 1000)
    change = {"status": "MELTED", "last_updated": "2031-05-01T10:00:00Z"}
    assert cpo.patch(f"{LOCATION}/{evse['uid']}", change).codes == (200, 1000)
    broken = {"status": 5, "last_updated": "2031-05-01T10:00:00Z"}
    assert cpo.patch(f"{LOCATION}/{evse['uid']}", broken).status_code == 2001

    kept = json.loads(SharedObject.objects.get(path=f"LOC1/{evse['uid']}").document)
    assert (kept["status"], kept["capabilities"], kept["connectors"][0]["format"]) == (
        "MELTED", ["TELEPATHY"], "WIRELESS",
    )  # fmt: skip
    assert json.loads(SharedObject.objects.get(path="TAR1").document) == tariff
    assert {row.path.rpartition("/")[2] for row in Delivery.objects.filter(platform_id=emsp.id)} >= {"LOC1", "TAR1"}
