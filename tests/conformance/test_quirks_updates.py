"""What real partners do wrong with ids, PUT and PATCH: who owns what, and what an update leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from emsp.models import EVSE, Location
from tests.conformance.suites import LATER, LATEST
from tests.deviations import counted
from tests.fixtures import Document
from tests.people import Person

URL = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
Body = dict[str, Any]
Change = Callable[[Body], Any]
req = pytest.mark.req
pytestmark = pytest.mark.usefixtures("emsp_side")


def evse(body: Body) -> Body:
    return body["evses"][0]  # type: ignore[no-any-return]


def connector(body: Body) -> Body:
    return evse(body)["connectors"][0]  # type: ignore[no-any-return]


@pytest.mark.req("QRK-20", "TYP-11", "TYP-12", "LOC-45")
def test_ids_that_differ_in_case_are_one_and_the_first_spelling_stays(cpo: Person, document: Document) -> None:
    sent = document("location")
    cpo.put(URL, sent)
    other = json.loads(json.dumps(sent).replace("LOC-UTR-0042", "loc-utr-0042").replace("TNM-UTR", "tnm-utr"))

    answer = cpo.put(URL.replace("LOC-UTR-0042", "loc-utr-0042"), {**other, "last_updated": LATER})

    assert answer.codes == (200, 1000)
    assert (Location.objects.count(), EVSE.objects.count()) == (1, 2)
    found = cpo.get(URL.lower().replace("emsp/2.2.1", "emsp/2.2.1")).data
    assert (found["id"], [each["uid"] for each in found["evses"]]) == (sent["id"], [e["uid"] for e in sent["evses"]])
    assert counted(cpo) == {"QRK-20 identity in another case": 1}


@pytest.mark.req("QRK-22", "TRN-096")
def test_ids_are_one_partys_own(cpo: Person, second_cpo: Person, document: Document) -> None:
    ours, theirs = document("location"), document("location", country_code="FR", party_id="CPX", city="Paris")
    url = URL.replace("NL/TNM", "FR/CPX")

    cpo.put(URL, ours)
    second_cpo.put(url, theirs)
    second_cpo.patch(f"{url}/{evse(theirs)['uid']}", {"status": "BLOCKED", "last_updated": LATER})

    assert cpo.get(URL).data == ours
    assert evse(second_cpo.get(url).data)["status"] == "BLOCKED"
    assert EVSE.objects.count() == 4


# ---------------------------------------------------------------- QRK-24, QRK-25: PUT and PATCH


@pytest.mark.req("QRK-24")
def test_a_patch_of_what_was_never_put_asks_for_a_put(cpo: Person, document: Document) -> None:
    sent = document("location")

    patched = cpo.patch(URL, {"name": "new", "last_updated": LATER})
    below = cpo.patch(f"{URL}/{evse(sent)['uid']}", {"status": "BLOCKED", "last_updated": LATER})
    put = cpo.put(URL, sent)

    assert (patched.codes, below.codes, put.codes) == ((404, 2003), (404, 2003), (201, 1000))


@pytest.mark.req("QRK-24", "LOC-31")
def test_a_patch_with_some_evses_leaves_the_others_alone(cpo: Person, document: Document) -> None:
    sent = document("location")
    cpo.put(URL, sent)
    part = {"uid": evse(sent)["uid"], "status": "OUTOFORDER"}

    assert cpo.patch(URL, {"evses": [part], "last_updated": LATER}).codes == (200, 1000)

    found = cpo.get(URL).data["evses"]
    assert found == [{**evse(sent), "status": "OUTOFORDER", "last_updated": LATER}, sent["evses"][1]]


@pytest.mark.req("QRK-24", "TRN-085", "LOC-05")
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_patch_without_last_updated_is_refused_and_counted(cpo: Person, document: Document, level: int) -> None:
    sent = document("location")
    cpo.put(URL, sent)
    path = "/".join([URL, evse(sent)["uid"], connector(sent)["id"]][: level + 1])
    changes: list[Body] = [{"name": "new"}, {"status": "BLOCKED"}, {"max_amperage": 16}]
    change = changes[level]

    refused, unchanged = cpo.patch(path, change), cpo.get(URL).data
    taken = cpo.patch(path, {**change, "last_updated": LATER})

    assert (refused.codes, unchanged) == ((200, 2001), sent)
    assert taken.codes == (200, 1000)
    assert change.items() <= cpo.get(path).data.items()
    assert counted(cpo) == {"TRN-039 refused: last_updated": 1}


@pytest.mark.req("LOC-30")
@pytest.mark.parametrize(
    ("member", "codes"), [("name", (200, 1000)), ("city", (200, 2001)), ("coordinates", (200, 2001))]
)
def test_a_patch_takes_no_information_away_but_what_may_be_absent(
    cpo: Person, document: Document, member: str, codes: tuple[int, int]
) -> None:
    sent = document("location")
    cpo.put(URL, sent)

    assert cpo.patch(URL, {"last_updated": LATER}).ok
    left_out = cpo.get(URL).data
    answer = cpo.patch(URL, {member: None, "last_updated": LATEST})

    assert left_out == {**sent, "last_updated": LATER}
    assert answer.codes == codes
    assert (member in cpo.get(URL).data) is (codes[1] != 1000)


@pytest.mark.req("QRK-25", "LOC-64")
def test_a_status_that_comes_as_a_put_of_everything_is_the_status(cpo: Person, document: Document) -> None:
    sent = document("location")
    cpo.put(URL, sent)
    for status, moment in (("CHARGING", LATER), ("AVAILABLE", LATEST)):
        evse(sent).update(status=status, last_updated=moment)
        assert cpo.put(URL, {**sent, "last_updated": moment}).codes == (200, 1000)
        assert EVSE.objects.get(uid=evse(sent)["uid"]).status == status

    # The schedule announces; the status is what was pushed, whatever the schedule says of now.
    evse(sent).update(status_schedule=[{"period_begin": "2020-01-01T00:00:00Z", "status": "INOPERATIVE"}])
    cpo.put(URL, {**sent, "last_updated": LATEST})
    assert EVSE.objects.get(uid=evse(sent)["uid"]).status == "AVAILABLE"


@pytest.mark.req("PIT-49")
def test_tariffs_with_one_id_overwrite_each_other_only_within_a_party(
    cpo: Person, second_cpo: Person, document: Document
) -> None:
    """The specification's examples use ids twice: loaded into one store, the later one is what is left."""
    url = "emsp/2.2.1/tariffs/NL/TNM/12"
    first, second = document("tariff", id="12"), document("tariff", id="12", currency="USD", last_updated=LATER)
    foreign = document("tariff", id="12", country_code="FR", party_id="CPX")

    codes = [cpo.put(url, first).codes, cpo.put(url, second).codes,
             second_cpo.put(url.replace("NL/TNM", "FR/CPX"), foreign).codes]  # fmt: skip

    assert codes == [(201, 1000), (200, 1000), (201, 1000)]
    assert cpo.get(url).data == second
    assert second_cpo.get(url.replace("NL/TNM", "FR/CPX")).data == foreign
