"""A party gives its platform rights once an operator has approved it, and as long as it claims it (SEC-35)."""

from __future__ import annotations

import pytest

from ocpi import snapshot
from ocpi.models import Party
from tests.fixtures import Document, Partner

TARIFFS = {"emsp_side": "emsp/2.2.1/tariffs", "hub_side": "hub/2.2.1/receiver/tariffs"}


@pytest.mark.req("SEC-35", "SEC-39", "CRED-56")
@pytest.mark.parametrize("place", TARIFFS)
@pytest.mark.parametrize("missing", ["approved", "claimed"])
def test_nobody_speaks_for_a_party_that_is_not_approved_or_no_longer_claimed(
    request: pytest.FixtureRequest, partner: Partner, document: Document, place: str, missing: str
) -> None:
    request.getfixturevalue(place)
    both = partner("NL*TNM:CPO", "NL*PEN:CPO")
    tariff = document("tariff", party_id="PEN", id="T1")
    where = f"{TARIFFS[place]}/NL/PEN/T1"
    assert both.put(where, tariff, sender="NL*TNM").codes == (201, 1000)

    Party.objects.filter(party_id="PEN").update(**{missing: False})
    snapshot.changed()

    refused = both.put(where, {**tariff, "last_updated": "2030-01-01T00:00:00Z"}, sender="NL*TNM")
    assert refused.codes == (404, 2000)
    foreign = both.put(f"{TARIFFS[place]}/XX/XXX/T1", document("tariff", country_code="XX", party_id="XXX", id="T1"))
    assert (refused.codes, refused.message) == (foreign.codes, foreign.message)
    own = document("tariff", id="T2")
    assert both.put(f"{TARIFFS[place]}/NL/TNM/T2", own, sender="NL*TNM").codes == (201, 1000)


@pytest.mark.req("SEC-35", "CRED-56")
@pytest.mark.parametrize("missing", ["approved", "claimed"])
def test_nor_posts_a_cdr_of_it(emsp_side: None, partner: Partner, document: Document, missing: str) -> None:
    both = partner("NL*TNM:CPO", "NL*PEN:CPO")
    assert both.post("emsp/2.2.1/cdrs", document("cdr", party_id="PEN", id="C1"), sender="NL*TNM").codes == (201, 1000)

    Party.objects.filter(party_id="PEN").update(**{missing: False})
    snapshot.changed()

    refused = both.post("emsp/2.2.1/cdrs", document("cdr", party_id="PEN", id="C2"), sender="NL*TNM")
    assert refused.codes == (200, 2001)
    assert both.post("emsp/2.2.1/cdrs", document("cdr", id="C3"), sender="NL*TNM").codes == (201, 1000)


@pytest.mark.req("SEC-35", "SEC-39")
@pytest.mark.parametrize("place", TARIFFS)
def test_a_party_owns_what_is_its_roles(
    request: pytest.FixtureRequest, partner: Partner, document: Document, place: str
) -> None:
    request.getfixturevalue(place)
    platform = partner("NL*TNM:CPO", "NL*DRV:EMSP")
    where = f"{TARIFFS[place]}/NL/DRV/T1"

    refused = platform.put(where, document("tariff", party_id="DRV", id="T1"), sender="NL*TNM")

    assert refused.codes == (404, 2000)
    assert platform.put(f"{TARIFFS[place]}/NL/TNM/T1", document("tariff", id="T1"), sender="NL*TNM").codes == (
        201,
        1000,
    )


@pytest.mark.req("SEC-35", "TRN-097")
@pytest.mark.parametrize("place", TARIFFS)
def test_case_makes_no_other_owner_nor_object_and_the_first_spelling_stays(
    request: pytest.FixtureRequest, partner: Partner, document: Document, place: str
) -> None:
    request.getfixturevalue(place)
    cpo = partner("NL*TNM:CPO")
    first = document("tariff", id="Tariff")
    assert cpo.put(f"{TARIFFS[place]}/NL/TNM/Tariff", first).codes == (201, 1000)

    again = {**first, "country_code": "nl", "party_id": "Tnm", "id": "TARIFF", "last_updated": "2030-01-01T00:00:00Z"}
    assert cpo.put(f"{TARIFFS[place]}/nl/tnm/tariff", again).codes == (200, 1000)

    if place == "emsp_side":
        kept = cpo.get(f"{TARIFFS[place]}/NL/TNM/tariff").data
        assert {name: kept[name] for name in ("country_code", "party_id", "id")} == {
            "country_code": "NL", "party_id": "TNM", "id": "Tariff"
        }  # fmt: skip


@pytest.mark.req("SEC-35", "PIT-78", "CRED-53")
def test_a_hub_that_speaks_for_all_does_not_speak_for_who_is_connected_itself(
    emsp_side: None, partner: Partner, document: Document
) -> None:
    hub, cpo = partner("BE*HUB:HUB", url="http://127.0.0.1:2222"), partner("NL*TNM:CPO")
    where = "emsp/2.2.1/tariffs"
    unnamed = document("tariff", country_code="FR", party_id="CPX", id="T1")
    assert hub.put(f"{where}/FR/CPX/T1", unnamed, sender="BE*HUB").codes == (201, 1000)
    assert cpo.put(f"{where}/NL/TNM/T1", document("tariff", id="T1")).codes == (201, 1000)

    later = document("tariff", id="T1", last_updated="2030-01-01T00:00:00Z")
    refused = hub.put(f"{where}/NL/TNM/T1", later, sender="BE*HUB")

    assert refused.codes == (404, 2000)
    assert cpo.get(f"{where}/NL/TNM/T1").data == document("tariff", id="T1")
