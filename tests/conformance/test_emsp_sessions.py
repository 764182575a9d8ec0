"""Sessions, Receiver interface."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from emsp.models import Session
from tests.conformance.suites import LATER, LATEST, ClientOwnedObjectSuite, PatchSuite, Subject, at_most
from tests.fixtures import Document, add_party
from tests.people import Person

URL = "emsp/2.2.1/sessions/NL/TNM/SES-20250912-0042"


class TestSessions(ClientOwnedObjectSuite, PatchSuite):
    place, owner, other = "emsp_side", "cpo", "second_cpo"
    path, document = "emsp/2.2.1/sessions", "session"
    required, optional = "currency", "meter_id"

    @pytest.mark.req("SES-09")
    def test_the_columns_say_what_the_document_says(self, subject: Subject) -> None:
        subject.put()

        subject.patch(status="COMPLETED", last_updated=LATEST)

        session = Session.objects.get()
        assert (session.status, session.token_uid) == ("COMPLETED", subject.body["cdr_token"]["uid"])
        assert session.start_date_time.isoformat() == "2025-09-12T15:00:00+00:00"
        assert session.platform_id == subject.owner.id


@pytest.fixture
def stored(emsp_side: None, cpo: Person, document: Document) -> dict[str, Any]:
    body: dict[str, Any] = document("session")
    assert cpo.put(URL, body).codes == (201, 1000)
    return body


def period(start: str, kwh: float = 1.0) -> dict[str, Any]:
    return {"start_date_time": start, "dimensions": [{"type": "ENERGY", "volume": kwh}]}


@pytest.mark.req("SES-29", "PIT-52")
def test_patched_periods_are_added(stored: dict[str, Any], cpo: Person) -> None:
    added = period("2025-09-12T16:00:00Z")

    assert cpo.patch(URL, {"charging_periods": [added], "last_updated": LATER}).codes == (200, 1000)

    assert cpo.get(URL).data["charging_periods"] == [*stored["charging_periods"], added]


@pytest.mark.req("SES-29")
@pytest.mark.parametrize("nothing", [[], None])
def test_patching_no_periods_changes_no_period(stored: dict[str, Any], cpo: Person, nothing: Any) -> None:
    assert cpo.patch(URL, {"charging_periods": nothing, "last_updated": LATER}).codes == (200, 1000)

    assert cpo.get(URL).data["charging_periods"] == stored["charging_periods"]


@pytest.mark.req("SES-32", "PIT-53", "REL-49")
def test_a_repeated_patch_adds_its_period_once(stored: dict[str, Any], cpo: Person) -> None:
    patch = {"charging_periods": [period("2025-09-12T16:00:00Z")], "last_updated": LATER}

    cpo.patch(URL, patch)
    cpo.patch(URL, patch)

    assert len(cpo.get(URL).data["charging_periods"]) == len(stored["charging_periods"]) + 1


@pytest.mark.req("SES-32")
def test_periods_are_sorted_by_their_start_however_it_is_written(stored: dict[str, Any], cpo: Person) -> None:
    early, again = period("2025-09-12T14:00:00Z"), period("2025-09-12T15:00:00.000Z", 9.0)

    cpo.patch(URL, {"charging_periods": [again, early], "last_updated": LATER})

    assert cpo.get(URL).data["charging_periods"] == [early, stored["charging_periods"][0], again]


@pytest.mark.req("SES-28", "SES-30")
def test_put_without_periods_removes_them(stored: dict[str, Any], cpo: Person) -> None:
    stored.pop("charging_periods")
    cpo.put(URL, stored)

    assert "charging_periods" not in cpo.get(URL).data


@pytest.mark.req("SES-31")
def test_patch_does_not_address_inner_objects(stored: dict[str, Any], cpo: Person) -> None:
    answer = cpo.patch(f"{URL}/charging_periods", {"last_updated": LATER})

    assert answer.codes == (404, 2000)


@pytest.mark.req("SES-14")
def test_a_change_after_completed_is_applied_and_flagged(
    stored: dict[str, Any], cpo: Person, caplog: pytest.LogCaptureFixture
) -> None:
    assert cpo.patch(URL, {"status": "COMPLETED", "last_updated": LATER}).codes == (200, 1000)

    with caplog.at_level(logging.WARNING, logger="emsp"):
        patched = cpo.patch(URL, {"kwh": 99, "last_updated": LATEST})
        replaced = cpo.put(URL, {**stored, "status": "COMPLETED", "last_updated": LATEST})

    assert (patched.codes, replaced.codes) == ((200, 1000), (200, 1000))
    assert len([record for record in caplog.records if "completed" in record.message]) == 2


@pytest.mark.req("PIT-31", "SES-16")
def test_reserved_means_reservation(emsp_side: None, cpo: Person, document: Document) -> None:
    cpo.put(URL, document("session", status="RESERVED"))

    assert cpo.get(URL).data["status"] == "RESERVATION"


@pytest.mark.req("SES-23")
def test_unknown_references_are_no_reason_to_refuse(emsp_side: None, cpo: Person, document: Document) -> None:
    body = document("session", location_id="NOWHERE", evse_uid="#NA", connector_id="#NA")

    assert cpo.put(URL, body).codes == (201, 1000)


@pytest.mark.req("SEC-37")
def test_a_driver_who_is_not_ours_is_refused(emsp_side: None, cpo: Person, document: Document) -> None:
    body = document("session")
    body["cdr_token"]["party_id"] = "XXX"

    answer = cpo.put(URL, body)

    assert answer.codes == (200, 2001)
    assert "cdr_token.party_id" in answer.message
    assert not Session.objects.exists()


@pytest.mark.req("SEC-37")
def test_a_session_cannot_be_patched_away_to_anothers_driver(stored: dict[str, Any], cpo: Person) -> None:
    foreign = {**stored["cdr_token"], "party_id": "XXX"}

    answer = cpo.patch(URL, {"cdr_token": foreign, "last_updated": LATER})

    assert answer.codes == (200, 2001)
    assert cpo.get(URL).data == stored


@pytest.mark.req("SES-26", "PIT-42")
def test_no_total_cost_is_not_free(emsp_side: None, cpo: Person, document: Document) -> None:
    cpo.put(URL, document("session", total_cost=None))
    unknown = cpo.get(URL).data
    cpo.put(URL, document("session", total_cost={"excl_vat": 0.00}, last_updated=LATER))

    assert "total_cost" not in unknown
    assert cpo.get(URL).data["total_cost"] == {"excl_vat": 0.00}


@pytest.mark.req("PIT-78", "TRN-046")
def test_a_hub_pushes_for_those_its_clientinfo_names(emsp_side: None, hub: Person, document: Document) -> None:
    from_hub = {"sender": "BE*HUB"}
    before = hub.put(URL, document("session"), **from_hub)
    _name_behind(hub, "FR*CPX:CPO")

    unnamed = hub.put(URL, document("session", last_updated=LATER), **from_hub)
    _name_behind(hub, "NL*TNM:CPO")
    named = hub.put(URL, document("session", last_updated=LATER), **from_hub)

    assert [before.codes, unnamed.codes, named.codes] == [(201, 1000), (404, 2000), (200, 1000)]


@pytest.mark.req("PIT-78", "TRN-046")
def test_a_hub_without_clientinfo_does_not_push_for_somebody_connected_directly(
    emsp_side: None, hub: Person, cpo: Person, document: Document
) -> None:
    assert hub.put(URL, document("session")).codes == (404, 2000)
    assert cpo.put(URL, document("session")).codes == (201, 1000)


def test_a_push_takes_few_statements(stored: dict[str, Any], cpo: Person) -> None:
    with at_most(2):
        cpo.put(URL, stored)
    with at_most(2):
        cpo.patch(URL, {"kwh": 30, "last_updated": LATER})


def _name_behind(hub: Person, text: str) -> None:
    add_party(hub.platform, text, through_hub=True)
