"""Which Locations are shown to whom: to the public, and to the owner of a Token, from what CPOs have pushed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from emsp.models import EVSE, Location, Token
from emsp.modules import locations_showing as showing
from tests.emsp_support import EVSE_UID, LOCATION, run
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document
from tests.people import Person

PATH = f"emsp/2.2.1/locations/NL/TNM/{LOCATION}"
NOON = datetime(2025, 7, 7, 10, tzinfo=UTC)  # a Monday
# What the Token of the example documents has; each is right by itself.
UID = {"uid": "04c7a1e2b95d80", "type": "RFID"}
PRINTED = {"visual_number": "EMS 0000 4711", "issuer": "Elbe Mobil Service"}
GROUP = {"group_id": "ems-g00004711"}


@pytest.fixture
def location(cpo: Person, document: Document) -> Any:
    """Have the CPO push its example Location, members changed; return it as it is stored."""

    def push(**changes: Any) -> Location:
        assert cpo.put(PATH, document("location", **changes)).codes[1] == 1000
        return Location.objects.get(object_id=LOCATION)

    return push


def seen_by_all() -> list[str]:
    return [row.object_id for row in showing.public()]


def seen_by(token: Token) -> list[str]:
    return [row.object_id for row in showing.of_owner(token.document)]


@pytest.mark.req("LOC-34")
def test_a_published_location_is_shown_to_everybody(location: Any, token: Token) -> None:
    row = location(publish=True)

    assert seen_by_all() == [LOCATION]
    shown = showing.show(row, token=None, moment=NOON)
    assert shown is not None
    assert shown.public
    assert [evse.uid for evse in shown.evses] == [EVSE_UID, "TNM-UTR-0042-2"]


@pytest.mark.req("LOC-35")
def test_a_location_that_is_not_published_is_shown_to_nobody(location: Any, token: Token) -> None:
    row = location(publish=False)

    assert (seen_by_all(), seen_by(token)) == ([], [])
    assert showing.show(row, token=None, moment=NOON) is None
    assert showing.show(row, token=token.document, moment=NOON) is None


@pytest.mark.req("LOC-35", "LOC-37")
@pytest.mark.parametrize(
    "entry", [UID, PRINTED, GROUP, {**UID, **PRINTED, **GROUP}], ids=["uid", "card", "group", "all"]
)
def test_the_owner_of_a_token_that_matches_sees_it(location: Any, token: Token, entry: dict[str, str]) -> None:
    row = location(publish=False, publish_allowed_to=[{"uid": "SOMEBODY-ELSE", "type": "RFID"}, entry])

    assert (seen_by_all(), seen_by(token)) == ([], [LOCATION])
    assert showing.show(row, token=None, moment=NOON) is None
    shown = showing.show(row, token=token.document, moment=NOON)
    assert shown is not None
    assert not shown.public


@pytest.mark.req("LOC-37", "PIT-45")
@pytest.mark.parametrize(
    "entry",
    [
        {**UID, "group_id": "SOME-OTHER-GROUP"},
        {**GROUP, "uid": "SOME-OTHER-UID", "type": "RFID"},
        {**UID, "type": "APP_USER"},
        {**PRINTED, "issuer": "SOMEBODY ELSE"},
        {**PRINTED, "visual_number": "ems 0000 4711"},  # no CiString
        {**UID, **PRINTED, "group_id": "SOME-OTHER-GROUP"},
    ],
)
def test_one_field_of_an_entry_that_differs_is_enough(location: Any, token: Token, entry: dict[str, str]) -> None:
    row = location(publish=False, publish_allowed_to=[entry])

    assert seen_by(token) == []
    assert showing.show(row, token=token.document, moment=NOON) is None


@pytest.mark.req("LOC-38")
@pytest.mark.parametrize("entry", [{}, {"type": "RFID"}, {"issuer": "Elbe Mobil Service"}])
def test_an_entry_that_names_nobody_is_for_nobody(entry: dict[str, str], document: Document) -> None:
    assert not showing.matches(entry, document("token_rfid"))


@pytest.mark.req("LOC-36")
def test_whom_a_location_is_for_counts_only_if_it_is_not_published(document: Document) -> None:
    strangers = [{"uid": "SOMEBODY-ELSE", "type": "RFID"}]

    assert showing.may_see({"publish": True, "publish_allowed_to": strangers}, None)
    assert not showing.may_see({"publish": False, "publish_allowed_to": strangers}, document("token_rfid"))


@pytest.mark.req("LOC-39")
def test_a_token_of_another_emsp_may_match(location: Any, document: Document) -> None:
    row = location(publish=False, publish_allowed_to=[UID])
    foreign = json.dumps(document("token_rfid", party_id="XXX"))

    assert showing.show(row, token=foreign, moment=NOON) is not None


@pytest.mark.req("LOC-44")
def test_a_location_that_is_not_published_is_exchanged_all_the_same(location: Any, cpo: Person) -> None:
    location(publish=False)

    answer = cpo.get(PATH)

    assert answer.codes == (200, 1000)
    assert answer.data["publish"] is False
    assert seen_by_all() == []


@pytest.mark.req("LOC-34", "LOC-35")
def test_publishing_follows_a_patch(location: Any, cpo: Person) -> None:
    location(publish=True)

    hidden = cpo.patch(PATH, {"publish": False, "last_updated": "2035-01-01T00:00:00Z"})
    after_hiding = seen_by_all()
    cpo.patch(PATH, {"publish": True, "last_updated": "2035-01-02T00:00:00Z"})

    assert hidden.codes == (200, 1000)
    assert (after_hiding, seen_by_all()) == ([], [LOCATION])


@pytest.mark.req("LOC-16")
@pytest.mark.parametrize("how", ["removed", "left out"])
def test_a_location_without_a_valid_evse_is_not_displayed(
    location: Any, cpo: Person, document: Document, token: Token, how: str
) -> None:
    row = location(publish=True)
    if how == "removed":
        for uid in (EVSE_UID, "TNM-UTR-0042-2"):
            change = {"status": "REMOVED", "last_updated": "2035-01-01T00:00:00Z"}
            assert cpo.patch(f"{PATH}/{uid}", change).codes == (200, 1000)
    else:
        location(publish=True, evses=None)
    row.refresh_from_db()

    assert seen_by_all() == []
    assert showing.show(row, token=None, moment=NOON) is None
    assert cpo.get(PATH).codes == (200, 1000)


@pytest.mark.req("LOC-16")
def test_an_evse_that_is_removed_or_left_out_is_not_shown(location: Any, cpo: Person, document: Document) -> None:
    row = location(publish=True)
    cpo.patch(f"{PATH}/{EVSE_UID}", {"status": "REMOVED", "last_updated": "2035-01-01T00:00:00Z"})

    shown = showing.show(row, token=None, moment=NOON)
    assert shown is not None
    assert [evse.uid for evse in shown.evses] == ["TNM-UTR-0042-2"]
    EVSE.objects.filter(uid=EVSE_UID).update(status="AVAILABLE", deleted_at=NOON)
    again = showing.show(Location.objects.get(), token=None, moment=NOON)
    assert again is not None
    assert [evse.uid for evse in again.evses] == ["TNM-UTR-0042-2"]


@pytest.mark.req("LOC-52")
def test_an_operator_that_is_not_named_is_that_of_the_credentials(location: Any) -> None:
    named = showing.show(location(), token=None, moment=NOON)
    unnamed = showing.show(location(operator=None), token=None, moment=NOON)

    assert named is not None
    assert unnamed is not None
    assert named.operator["name"] == "Tulp Net Mobiliteit"
    assert unnamed.operator["name"] == "NL*TNM:CPO"  # as the CPO registered


@pytest.mark.req("LOC-53", "LOC-55")
def test_a_location_says_whether_it_is_open_and_one_may_charge(location: Any) -> None:
    night = NOON.replace(hour=2)
    cases = [
        (showing.show(location(charging_when_closed=value), token=None, moment=moment), open, may_charge)
        for value, moment, open, may_charge in (
            (False, NOON, True, True),
            (False, night, False, False),
            (True, night, False, True),
            (None, night, False, True),
        )
    ]

    assert all(shown and (shown.open, shown.may_charge) == (open, charge) for shown, open, charge in cases)


@pytest.mark.req("LOC-63")
def test_tariffs_are_found_whatever_the_case_and_unknown_ones_tolerated(
    location: Any, cpo: Person, second_cpo: Person, document: Document
) -> None:
    tariff = document("tariff")
    body = document("location")
    body["evses"][0]["connectors"][0]["tariff_ids"] = [tariff["id"].lower(), "NOT-SENT-YET"]
    del body["evses"][1:], body["evses"][0]["connectors"][1:]
    assert cpo.put(PATH, body).codes[1] == 1000
    shown = showing.show(Location.objects.get(), token=None, moment=NOON)
    assert shown is not None
    foreign = {**tariff, "country_code": "FR", "party_id": "CPX"}
    second_cpo.put(f"emsp/2.2.1/tariffs/FR/CPX/{tariff['id']}", foreign)

    before = showing.tariffs(shown)
    cpo.put(f"emsp/2.2.1/tariffs/NL/TNM/{tariff['id']}", tariff)
    after = showing.tariffs(shown)

    assert before == {tariff["id"].lower(): None, "NOT-SENT-YET": None}
    found = after[tariff["id"].lower()]
    assert found is not None
    assert (found.object_id, found.party_id) == (tariff["id"], "TNM")
    assert after["NOT-SENT-YET"] is None


@pytest.mark.req("LOC-34", "LOC-35", "LOC-37")
def test_the_command_line_lists_what_a_driver_sees(
    location: Any, token: Token, cpo: Person, document: Document
) -> None:
    location(publish=True)
    private = document("location", id="PRIVATE", publish=False, publish_allowed_to=[GROUP])
    cpo.put("emsp/2.2.1/locations/NL/TNM/PRIVATE", private)
    hidden = document("location", id="HIDDEN", publish=False)
    cpo.put("emsp/2.2.1/locations/NL/TNM/HIDDEN", hidden)

    everybody: Any = run("show_locations")
    driver: Any = run("show_locations", token=token.uid)

    assert [(row["id"], row["public"]) for row in everybody] == [(LOCATION, True)]
    assert [(row["id"], row["public"]) for row in driver] == [(LOCATION, True), ("PRIVATE", False)]
    assert everybody[0]["operator"] == "Tulp Net Mobiliteit"
    assert everybody[0]["evses"][0] == {"uid": EVSE_UID, "status": "AVAILABLE"}
