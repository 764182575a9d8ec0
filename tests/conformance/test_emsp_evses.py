"""Locations, Receiver interface: EVSEs and Connectors at URLs of their own."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from django.db import connection, transaction

from emsp.models import EVSE, Location
from ocpi import keeping
from tests import waiting
from tests.conformance.suites import EARLIER, LATER, LATEST, at_most
from tests.fixtures import Document
from tests.people import Person, at
from tests.platforms import eventually

URL = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
EVSE_URL = f"{URL}/TNM-UTR-0042-1"
CONNECTOR_URL = f"{EVSE_URL}/2"
LEVELS = pytest.mark.parametrize("url", [EVSE_URL, CONNECTOR_URL])


@pytest.fixture
def stored(emsp_side: None, cpo: Person, document: Document) -> dict[str, Any]:
    body: dict[str, Any] = document("location")
    assert cpo.put(URL, body).codes == (201, 1000)
    return body


@pytest.mark.req("LOC-03", "LOC-08")
def test_each_level_is_read_at_its_own_url(stored: dict[str, Any], cpo: Person) -> None:
    assert cpo.get(EVSE_URL).data == stored["evses"][0]
    assert cpo.get(CONNECTOR_URL).data == stored["evses"][0]["connectors"][1]
    assert cpo.get(EVSE_URL.lower().replace("tnm/loc", "TNM/loc")).data == stored["evses"][0]


@pytest.mark.req("LOC-03", "TRN-041")
def test_what_is_not_there_is_an_unknown_location(stored: dict[str, Any], cpo: Person) -> None:
    answers = [cpo.get(url).codes for url in (f"{URL}X", f"{URL}/X", f"{EVSE_URL}/X", f"{URL}/X/2")]

    assert answers == [(404, 2003)] * 4


@pytest.mark.req("LOC-32", "LOC-10", "LOC-13")
def test_a_status_patch_changes_the_evse_and_stamps_its_location(stored: dict[str, Any], cpo: Person) -> None:
    answer = cpo.patch(EVSE_URL, {"status": "CHARGING", "last_updated": LATER})

    assert answer.codes == (200, 1000)
    changed = {**stored["evses"][0], "status": "CHARGING", "last_updated": LATER}
    assert cpo.get(URL).data == {**stored, "evses": [changed, stored["evses"][1]], "last_updated": LATER}
    row = EVSE.objects.get(uid="TNM-UTR-0042-1")
    assert (row.status, row.last_updated) == ("CHARGING", Location.objects.get().last_updated)


def test_a_status_patch_takes_three_statements(stored: dict[str, Any], cpo: Person) -> None:
    with at_most(3):
        answer = cpo.patch(EVSE_URL, {"status": "CHARGING", "last_updated": LATER})

    assert answer.codes == (200, 1000)


@pytest.mark.req("LOC-11")
def test_a_parents_time_stamp_never_goes_backwards(stored: dict[str, Any], cpo: Person) -> None:
    cpo.patch(f"{URL}/TNM-UTR-0042-2", {"status": "BLOCKED", "last_updated": LATEST})

    cpo.patch(EVSE_URL, {"status": "CHARGING", "last_updated": LATER})

    found = cpo.get(URL).data
    assert found["last_updated"] == LATEST
    assert found["evses"][0]["last_updated"] == LATER


@pytest.mark.req("LOC-11")
@pytest.mark.parametrize("level", ["EVSE", "Connector"])
def test_a_put_of_a_part_does_not_make_its_parents_older(stored: dict[str, Any], cpo: Person, level: str) -> None:
    url, body = (EVSE_URL, stored["evses"][0]) if level == "EVSE" else (CONNECTOR_URL, cpo.get(CONNECTOR_URL).data)

    assert cpo.put(url, {**body, "x_note": "put"}).codes == (200, 1000)

    assert cpo.get(url).data["x_note"] == "put"
    assert cpo.get(EVSE_URL).data["last_updated"] == stored["evses"][0]["last_updated"]
    assert cpo.get(URL).data["last_updated"] == stored["last_updated"]


@pytest.mark.req("LOC-33", "LOC-10")
def test_a_connector_patch_stamps_evse_and_location(stored: dict[str, Any], cpo: Person) -> None:
    cpo.patch(CONNECTOR_URL, {"tariff_ids": ["NEW"], "last_updated": LATER})

    evse = cpo.get(EVSE_URL).data
    assert evse["connectors"][1]["tariff_ids"] == ["NEW"]
    assert evse["connectors"][0] == stored["evses"][0]["connectors"][0]
    assert {evse["last_updated"], evse["connectors"][1]["last_updated"], cpo.get(URL).data["last_updated"]} == {LATER}


@pytest.mark.req("LOC-19", "LOC-10", "TRN-042")
def test_an_evse_that_is_new_is_added(stored: dict[str, Any], cpo: Person, document: Document) -> None:
    evse = document("evse", uid="NEW", last_updated=LATER)

    created, replaced = cpo.put(f"{URL}/NEW", evse), cpo.put(f"{URL}/new", {**evse, "uid": "new"})

    assert (created.codes, replaced.codes) == ((201, 1000), (200, 1000))
    found = cpo.get(URL).data
    assert found["evses"] == [*stored["evses"], evse]
    assert found["last_updated"] == LATER


@pytest.mark.req("LOC-19", "LOC-10", "TRN-042")
def test_a_connector_that_is_new_is_added(stored: dict[str, Any], cpo: Person, document: Document) -> None:
    connector = document("connector", id="9", last_updated=LATER)

    created, replaced = cpo.put(f"{EVSE_URL}/9", connector), cpo.put(f"{EVSE_URL}/9", connector)

    assert (created.codes, replaced.codes) == ((201, 1000), (200, 1000))
    evse = cpo.get(EVSE_URL).data
    assert evse["connectors"] == [*stored["evses"][0]["connectors"], connector]
    assert evse["last_updated"] == cpo.get(URL).data["last_updated"] == LATER


@pytest.mark.req("TRN-083", "LOC-04")
def test_put_of_a_connector_replaces_it(stored: dict[str, Any], cpo: Person) -> None:
    connector = {k: v for k, v in stored["evses"][0]["connectors"][1].items() if k != "terms_and_conditions"}

    cpo.put(CONNECTOR_URL, {**connector, "last_updated": LATER})

    assert cpo.get(CONNECTOR_URL).data == {**connector, "last_updated": LATER}


@pytest.mark.req("LOC-20", "PIT-57")
def test_a_part_of_something_unknown_is_not_stored(emsp_side: None, cpo: Person, document: Document) -> None:
    evse, connector = document("evse", uid="A"), document("connector", id="1")

    answers = [
        cpo.put(f"{URL}/A", evse),
        cpo.patch(f"{URL}/A", {"status": "BLOCKED", "last_updated": LATER}),
        cpo.put(f"{URL}/A/1", connector),
    ]

    assert [answer.codes for answer in answers] == [(404, 2003)] * 3
    assert not Location.objects.exists()


@pytest.mark.req("LOC-20", "TRN-044")
def test_a_connector_of_an_unknown_evse_is_not_stored(stored: dict[str, Any], cpo: Person, document: Document) -> None:
    answers = [
        cpo.put(f"{URL}/NEW/1", document("connector", id="1")),
        cpo.patch(f"{URL}/NEW/1", {"max_amperage": 10, "last_updated": LATER}),
        cpo.patch(f"{EVSE_URL}/NEW", {"max_amperage": 10, "last_updated": LATER}),
    ]

    assert [answer.codes for answer in answers] == [(404, 2003)] * 3
    assert cpo.get(URL).data == stored


@LEVELS
@pytest.mark.req("TRN-085", "TRN-090", "TRN-091", "TRN-089", "LOC-18")
@pytest.mark.parametrize(
    "patch",
    [
        {"x_note": "no time"},
        {"x_note": "older", "last_updated": EARLIER},
        {"uid": "ANOTHER", "id": "ANOTHER", "last_updated": LATER},
        {"status": "NO_SUCH", "format": "NO_SUCH", "last_updated": LATER},
        {"status": None, "format": None, "last_updated": LATER},
        {"connectors": None, "power_type": None, "last_updated": LATER},
    ],
)
def test_a_patch_that_breaks_a_rule_changes_nothing(
    stored: dict[str, Any], cpo: Person, url: str, patch: dict[str, Any]
) -> None:
    answer = cpo.patch(url, patch)

    assert answer.codes == (200, 2001)
    assert cpo.get(URL).data == stored


@LEVELS
@pytest.mark.req("LOC-18", "LOC-21", "TRN-047", "TRN-091")
@pytest.mark.parametrize("change", [{"uid": "X", "id": "X"}, {"last_updated": EARLIER}, {"last_updated": None}])
def test_a_put_that_breaks_a_rule_changes_nothing(
    stored: dict[str, Any], cpo: Person, url: str, change: dict[str, Any]
) -> None:
    body = {**cpo.get(url).data, **change}
    if url == EVSE_URL and "last_updated" in change:
        body["connectors"] = [{**each, "last_updated": EARLIER} for each in body["connectors"]]

    answer = cpo.put(url, body)

    assert answer.codes == (200, 2001)
    assert cpo.get(URL).data == stored


@pytest.mark.req("LOC-28", "LOC-25", "LOC-27")
def test_a_removed_evse_that_comes_back_is_stored_and_flagged(
    stored: dict[str, Any], cpo: Person, caplog: pytest.LogCaptureFixture
) -> None:
    cpo.patch(EVSE_URL, {"status": "REMOVED", "evse_id": None, "last_updated": LATER})

    with caplog.at_level(logging.WARNING, logger="emsp"):
        answer = cpo.patch(EVSE_URL, {"status": "AVAILABLE", "last_updated": LATEST})
        cpo.patch(f"{URL}/TNM-UTR-0042-2", {"status": "AVAILABLE", "last_updated": LATEST})

    assert answer.codes == (200, 1000)
    assert [record.args for record in caplog.records] == [("TNM-UTR-0042-1", "AVAILABLE")]


@LEVELS
@pytest.mark.req("LOC-06", "TRN-093")
def test_parts_are_never_deleted(stored: dict[str, Any], cpo: Person, url: str) -> None:
    assert [cpo.delete(url).http_status, cpo.post(url, {}).http_status] == [405, 405]


@LEVELS
@pytest.mark.req("TRN-046", "SEC-35")
def test_nobody_touches_the_parts_of_anothers_location(
    stored: dict[str, Any], cpo: Person, second_cpo: Person, url: str
) -> None:
    answers = [second_cpo.get(url), second_cpo.patch(url, {"x_note": "mine", "last_updated": LATER})]

    assert [answer.codes for answer in answers] == [(404, 2003)] * 2
    assert cpo.get(URL).data == stored


@pytest.mark.req("PIT-17", "TRN-024")
def test_ids_with_odd_characters_survive(emsp_side: None, cpo: Person, document: Document) -> None:
    body = document("location", id="A/B #+*")
    body["evses"][0]["uid"] = "NL*TNM/1"
    url = "emsp/2.2.1/locations/NL/TNM/A%2FB%20%23%2B*"

    assert cpo.put(url, body).codes == (201, 1000)

    assert cpo.get(f"{url}/NL*TNM%2F1").data == body["evses"][0]


@pytest.mark.django_db(transaction=True)
def test_an_evse_is_never_locked_before_its_location(emsp_side: None, cpo: Person, document: Document) -> None:
    """Two locks in two orders are a deadlock; who waits for a Location must not hold one of its EVSEs."""
    cpo.put(URL, document("location"))

    def patch() -> None:
        try:
            cpo.patch(EVSE_URL, {"status": "BLOCKED", "last_updated": LATER})
        finally:
            connection.close()

    patching = threading.Thread(target=patch)
    with transaction.atomic():
        keeping.find(Location, owner=at("NL*TNM"), object_id="LOC-UTR-0042", lock=True)
        patching.start()
        eventually(_somebody_waits)
        free = len(EVSE.objects.select_for_update(nowait=True))
    patching.join()

    assert free == 2
    assert EVSE.objects.get(uid="TNM-UTR-0042-1").status == "BLOCKED"


@pytest.mark.django_db(transaction=True)
def test_pushes_of_a_location_and_its_evses_at_once_do_not_block_each_other(
    emsp_side: None, cpo: Person, document: Document
) -> None:
    body = document("location", last_updated=LATER)
    cpo.put(URL, body)
    answers: list[tuple[int, int]] = []

    def push(index: int) -> None:
        try:
            for _ in range(8):
                if index % 2:
                    answers.append(cpo.put(URL, body).codes)
                else:
                    answers.append(cpo.patch(EVSE_URL, {"status": "BLOCKED", "last_updated": LATER}).codes)
        finally:
            connection.close()

    threads = [threading.Thread(target=push, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [(200, 1000)] * 32


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(waiting.HOW_MANY)
        return bool(cursor.fetchone()[0])
