"""Locations, Receiver interface: the Location itself, and what it has in common with every module."""

from __future__ import annotations

from typing import Any

import pytest

from emsp.models import EVSE, Location
from tests.conformance.suites import LATER, LATEST, ClientOwnedObjectSuite, PatchSuite, Subject
from tests.fixtures import Document
from tests.people import Person

URL = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"


class TestLocations(ClientOwnedObjectSuite, PatchSuite):
    place, owner, other = "emsp_side", "cpo", "second_cpo"
    path, document = "emsp/2.2.1/locations", "location"
    required, optional = "city", "parking_type"
    unknown = 2003

    @pytest.mark.req("LOC-06")
    def test_there_is_no_list_of_what_we_received(self, subject: Subject) -> None:
        assert subject.owner.get(self.path).codes == (404, 2000)


@pytest.fixture
def stored(emsp_side: None, cpo: Person, document: Document) -> dict[str, Any]:
    body: dict[str, Any] = document("location")
    assert cpo.put(URL, body).codes == (201, 1000)
    return body


def evse_of(location: dict[str, Any], uid: str) -> dict[str, Any]:
    found: dict[str, Any] = next(evse for evse in location["evses"] if evse["uid"] == uid)
    return found


@pytest.mark.req("LOC-22", "LOC-24", "LOC-26", "TRN-083")
def test_put_replaces_the_whole_tree_and_keeps_a_record(stored: dict[str, Any], cpo: Person) -> None:
    kept = stored["evses"][1]

    cpo.put(URL, {**stored, "evses": [kept], "last_updated": LATER})

    assert cpo.get(URL).data["evses"] == [kept]
    assert cpo.get(f"{URL}/TNM-UTR-0042-1").codes == (404, 2003)
    assert cpo.patch(f"{URL}/TNM-UTR-0042-1", {"status": "BLOCKED", "last_updated": LATER}).codes == (404, 2003)
    assert EVSE.objects.get(uid="TNM-UTR-0042-1").deleted_at is not None


@pytest.mark.req("LOC-22")
def test_an_evse_comes_back_with_the_next_put(stored: dict[str, Any], cpo: Person) -> None:
    cpo.put(URL, {**stored, "evses": stored["evses"][:1], "last_updated": LATER})

    cpo.put(URL, {**stored, "last_updated": LATEST})

    assert cpo.get(URL).data == {**stored, "last_updated": LATEST}
    assert EVSE.objects.count() == 2


@pytest.mark.req("LOC-22", "TRN-109")
def test_a_location_may_have_no_evses(stored: dict[str, Any], cpo: Person) -> None:
    stored.pop("evses")
    cpo.put(URL, {**stored, "last_updated": LATER})

    assert "evses" not in cpo.get(URL).data


@pytest.mark.req("LOC-12")
def test_a_location_is_never_older_than_its_parts(emsp_side: None, cpo: Person, document: Document) -> None:
    body = document("location")
    body["evses"][1]["connectors"][0]["last_updated"] = LATER

    cpo.put(URL, body)

    found = cpo.get(URL).data
    assert found["last_updated"] == found["evses"][1]["last_updated"] == LATER
    assert found["evses"][0]["last_updated"] == body["evses"][0]["last_updated"]


@pytest.mark.req("LOC-31", "PIT-51")
def test_patched_evses_are_merged_by_uid(stored: dict[str, Any], cpo: Person) -> None:
    named = {"uid": "tnm-utr-0042-2", "status": "BLOCKED", "last_updated": LATER}

    assert cpo.patch(URL, {"evses": [named], "last_updated": LATER}).codes == (200, 1000)

    found = cpo.get(URL).data
    assert evse_of(found, "TNM-UTR-0042-1") == stored["evses"][0]
    assert evse_of(found, "TNM-UTR-0042-2") == {**stored["evses"][1], "status": "BLOCKED", "last_updated": LATER}
    assert EVSE.objects.get(uid="TNM-UTR-0042-2").status == "BLOCKED"


@pytest.mark.req("LOC-31")
def test_patched_connectors_are_merged_by_id(stored: dict[str, Any], cpo: Person) -> None:
    connector = {"id": "2", "max_amperage": 16, "last_updated": LATER}
    named = {"uid": "TNM-UTR-0042-1", "connectors": [connector], "last_updated": LATER}

    cpo.patch(URL, {"evses": [named], "last_updated": LATER})

    found = evse_of(cpo.get(URL).data, "TNM-UTR-0042-1")["connectors"]
    assert found == [stored["evses"][0]["connectors"][0], {**stored["evses"][0]["connectors"][1], **connector}]


@pytest.mark.req("LOC-31")
def test_an_unknown_evse_in_a_patch_must_be_complete(stored: dict[str, Any], cpo: Person, document: Document) -> None:
    half = {"uid": "NEW", "status": "AVAILABLE", "last_updated": LATER}
    whole = document("evse", uid="NEW")

    refused = cpo.patch(URL, {"evses": [half], "last_updated": LATER})
    taken = cpo.patch(URL, {"evses": [whole], "last_updated": LATER})

    assert refused.codes == (200, 2001)
    assert "evses[0].connectors" in refused.message
    assert taken.codes == (200, 1000)
    assert [evse["uid"] for evse in cpo.get(URL).data["evses"]] == ["TNM-UTR-0042-1", "TNM-UTR-0042-2", "NEW"]


@pytest.mark.req("LOC-31", "TRN-088")
def test_other_lists_are_replaced_and_nothing_half_stored(stored: dict[str, Any], cpo: Person) -> None:
    cpo.patch(URL, {"facilities": ["AIRPORT"], "last_updated": LATER})
    bad = {"uid": "TNM-UTR-0042-1", "status": "NO_SUCH_STATUS"}

    refused = cpo.patch(URL, {"facilities": ["HOTEL"], "evses": [bad], "last_updated": LATEST})

    assert refused.codes == (200, 2001)
    assert cpo.get(URL).data == {**stored, "facilities": ["AIRPORT"], "last_updated": LATER}


@pytest.mark.req("LOC-36", "TRN-089")
def test_a_patch_is_checked_on_the_merged_location(stored: dict[str, Any], cpo: Person) -> None:
    allowed = [{"group_id": "G1"}]

    refused = cpo.patch(URL, {"publish_allowed_to": allowed, "last_updated": LATER})
    taken = cpo.patch(URL, {"publish_allowed_to": allowed, "publish": False, "last_updated": LATER})

    assert (refused.codes, taken.codes) == ((200, 2001), (200, 1000))


@pytest.mark.req("TRN-115", "PIT-44")
def test_an_unknown_standard_does_not_lose_the_location(emsp_side: None, cpo: Person, document: Document) -> None:
    body = document("location")
    body["evses"][0]["connectors"][0]["standard"] = "MCS"
    body["evses"][0]["capabilities"].append("TELEPORT")

    assert cpo.put(URL, body).codes == (201, 1000)

    body["evses"][0]["capabilities"].remove("TELEPORT")
    assert cpo.get(URL, documented=False).data == body
    assert cpo.patch(f"{URL}/TNM-UTR-0042-1", {"status": "BLOCKED", "last_updated": LATER}).codes == (200, 1000)
    assert cpo.get(URL, documented=False).data["evses"][0]["connectors"][0]["standard"] == "MCS"


@pytest.mark.req("PIT-43")
def test_numbers_keep_their_digits(emsp_side: None, cpo: Person, document: Document) -> None:
    cpo.put(URL, document("location", x_price=1.10, x_big=10000000000000001))

    assert "10000000000000001" in cpo.get(URL).text


@pytest.mark.req("LOC-31", "TRN-088")
def test_null_for_evses_takes_them_away(stored: dict[str, Any], cpo: Person) -> None:
    cpo.patch(URL, {"evses": [], "last_updated": LATER})
    before = cpo.get(URL).data
    cpo.patch(URL, {"evses": None, "last_updated": LATER})

    assert before["evses"] == stored["evses"]
    assert "evses" not in cpo.get(URL).data


@pytest.mark.req("LOC-10")
def test_the_time_stamp_is_the_last_member_so_that_sql_finds_it(stored: dict[str, Any]) -> None:
    assert Location.objects.get().document.endswith(f'"last_updated":"{stored["last_updated"]}"}}')
