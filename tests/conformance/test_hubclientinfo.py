"""HubClientInfo, Receiver: what a hub tells us about those behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocpi import pull_plan, pull_rows, snapshot
from ocpi.models import Party, PullCursor
from tests.fixtures import Document, Partner, Side
from tests.people import Person, at

pytestmark = pytest.mark.usefixtures("emsp_side")

URL = "2.2.1/hubclientinfo/NL/TNM"


@pytest.mark.req("HCI-02", "HCI-03", "HCI-05", "HCI-08", "TRN-042", "TRN-043", "TRN-033")
def test_a_client_info_is_stored_changed_and_given_back(hub: Person, document: Document) -> None:
    created = hub.put(URL, document("client_info"))
    offline = document("client_info", status="OFFLINE", last_updated="2025-09-12T08:00:00Z")
    changed = hub.put(URL, offline)

    assert created.codes == (201, 1000)
    assert changed.codes == (200, 1000)
    assert not created.has_data
    assert hub.get(URL).data == offline
    assert [(str(party), party.status, party.through_hub) for party in Party.objects.filter(through_hub=True)] == [
        ("NL*TNM:CPO", "OFFLINE", True)
    ]


@pytest.mark.req("HCI-08", "HCI-10", "TRN-039")
@pytest.mark.parametrize(
    "changes",
    [
        {"role": None},
        {"status": None},
        {"last_updated": None},
        {"party_id": None},
        {"country_code": None},
        {"status": "AWAY"},
        {"role": "DRIVER"},
        {"last_updated": "yesterday"},
    ],
    ids=str,
)
def test_an_incomplete_client_info_is_refused_by_field(
    hub: Person, document: Document, changes: dict[str, Any]
) -> None:
    answer = hub.put(URL, document("client_info", **changes))

    assert answer.codes == (200, 2001)
    assert next(iter(changes)) in answer.message
    assert not Party.objects.filter(through_hub=True).exists()


@pytest.mark.req("HCI-10")
@pytest.mark.parametrize("status", ["CONNECTED", "OFFLINE", "PLANNED", "SUSPENDED"])
def test_each_status_is_kept(hub: Person, document: Document, status: str) -> None:
    hub.put(URL, document("client_info", status=status))

    assert hub.get(URL).data["status"] == status


@pytest.mark.req("HCI-04", "HCI-12", "TRN-093", "TRN-021")
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_client_infos_are_neither_patched_nor_deleted(hub: Person, document: Document, method: str) -> None:
    hub.put(URL, document("client_info"))

    answer = hub.request(method, URL, None if method == "DELETE" else {"status": "SUSPENDED"})

    assert answer.codes == (405, 2000)
    assert hub.get(URL).data == document("client_info")


@pytest.mark.req("HCI-05", "TRN-048")
def test_the_url_names_the_described_party(hub: Person, document: Document) -> None:
    other = hub.put(URL, document("client_info", party_id="XXX"))
    lower_case = hub.put("2.2.1/hubclientinfo/nl/tnm", document("client_info"))

    assert other.codes == (200, 2001)
    assert "party_id" in other.message
    assert lower_case.codes == (201, 1000)
    assert hub.get(URL).ok


@pytest.mark.req("HCI-09")
def test_a_party_with_two_roles_has_two_client_infos(hub: Person, document: Document) -> None:
    hub.put(URL, document("client_info", role="CPO", last_updated="2025-09-12T09:00:00Z"))
    hub.put(URL, document("client_info", role="EMSP", status="PLANNED", last_updated="2025-09-12T08:00:00Z"))

    assert Party.objects.filter(through_hub=True).count() == 2
    assert hub.get(URL).data["role"] == "CPO"
    hub.put(URL, document("client_info", role="EMSP", last_updated="2025-09-12T10:00:00Z"))
    assert hub.get(URL).data["role"] == "EMSP"


@pytest.mark.req("TRN-091")
def test_an_older_client_info_is_not_applied(hub: Person, document: Document) -> None:
    hub.put(URL, document("client_info"))

    older = hub.put(URL, document("client_info", status="OFFLINE", last_updated="2025-09-12T06:59:59Z"))
    equal = hub.put(URL, document("client_info", status="PLANNED"))

    assert older.codes == (200, 2001)
    assert "2025-09-12T06:59:59Z" in older.message
    assert "2025-09-12T07:00:00Z" in older.message
    assert equal.codes == (200, 1000)
    assert hub.get(URL).data["status"] == "PLANNED"


@pytest.mark.req("SEC-38", "TRN-046")
def test_only_a_hub_knows_others(hub: Person, cpo: Person, document: Document) -> None:
    hub.put(URL, document("client_info"))

    assert cpo.put("2.2.1/hubclientinfo/FR/XXX", document("client_info")).codes == (404, 2000)
    assert cpo.get(URL).codes == (404, 2000)
    assert Party.objects.filter(through_hub=True).count() == 1


@pytest.mark.req("HCI-03", "TRN-040", "TRN-041")
def test_an_unknown_party_is_404(hub: Person) -> None:
    assert hub.get(URL).codes == (404, 2000)


@pytest.mark.req("HCI-06")
def test_no_routing_headers_come_back(hub: Person, document: Document) -> None:
    answer = hub.put(URL, document("client_info"), to="DE*EMS", sender="BE*HUB")

    assert not [name for name in answer.headers if name.lower().startswith("ocpi-")]


@pytest.mark.req("TRN-046", "HCI-16", "HUB-87")
def test_a_party_behind_the_hub_may_be_spoken_for_by_the_hub(hub: Person, document: Document) -> None:
    before = snapshot.current().platforms[hub.id].has_party(at("NL*TNM"), "CPO")
    hub.put(URL, document("client_info"))

    assert not before
    assert snapshot.current().platforms[hub.id].has_party(at("NL*TNM"), "CPO")
    assert not snapshot.current().platforms[hub.id].has_party(at("NL*TNM"), "EMSP")


@pytest.mark.req("HCI-07", "TRN-123")
def test_the_url_is_the_one_of_our_version_details(hub: Person, document: Document) -> None:
    listed = hub.get("2.2.1").data["endpoints"]
    (url,) = [entry["url"] for entry in listed if entry["identifier"] == "hubclientinfo"]

    assert hub.put(f"{url}/NL/TNM", document("client_info")).codes == (201, 1000)
    assert hub.get(f"{url}/NL/TNM").data == document("client_info")


@pytest.mark.req("HCI-12", "HCI-16", "HCI-17", "HCI-19")
@pytest.mark.parametrize(("status", "connected"), [("CONNECTED", True), ("OFFLINE", False), ("PLANNED", False),
                                                   ("SUSPENDED", False)])  # fmt: skip
def test_what_the_hub_says_of_a_party_is_in_the_registry_at_once(
    hub: Person, document: Document, status: str, connected: bool
) -> None:
    hub.put(URL, document("client_info", status=status))

    (party,) = snapshot.current().at(at("NL*TNM"), "CPO")
    assert (party.platform_id, party.through_hub) == (hub.id, True)
    assert (party.status == "CONNECTED") is connected


@pytest.fixture
def strict_hub(partner: Partner) -> Person:
    """A hub of whom nobody has said that it speaks for all."""
    return partner("BE*HUB:HUB", speaks_for_all=False)


@pytest.mark.req("PIT-78", "HUB-47", "SEC-35", "HCI-16")
def test_a_hub_speaks_for_those_alone_that_its_client_info_names(strict_hub: Person, document: Document) -> None:
    location = document("location", id="LOC1")
    url = "emsp/2.2.1/locations/NL/TNM/LOC1"

    before = strict_hub.put(url, location)
    assert strict_hub.put(URL, document("client_info")).ok

    assert before.http_status == 404
    assert strict_hub.put(url, location).codes == (201, 1000)
    assert strict_hub.put("emsp/2.2.1/locations/NL/TNX/LOC1", {**location, "party_id": "TNX"}).http_status == 404


@pytest.mark.req("PIT-78")
def test_an_operator_may_let_a_hub_without_client_info_speak_for_all(
    partner: Partner, cpo: Person, document: Document
) -> None:
    hub = partner("BE*HUB:HUB", speaks_for_all=True)
    location = document("location", id="LOC1")

    assert hub.put("emsp/2.2.1/locations/NL/TNX/LOC1", {**location, "party_id": "TNX"}).codes == (201, 1000)
    # Whoever is connected to us speaks for itself.
    assert hub.put("emsp/2.2.1/locations/NL/TNM/LOC1", location).http_status == 404
    # And one that begins to name its clients is taken at its word.
    assert hub.put("2.2.1/hubclientinfo/FR/CPX", document("client_info", country_code="FR", party_id="CPX")).ok
    assert hub.put("emsp/2.2.1/locations/NL/TNY/LOC1", {**location, "party_id": "TNY"}).http_status == 404


@pytest.mark.req("HCI-21", "PIT-78")
def test_in_doubt_the_hub_is_asked_who_is_behind_it(strict_hub: Person, document: Document) -> None:
    pull_rows._doubted.clear()
    (cursor_id,) = pull_rows.due(pull_plan.lists(platform_id=strict_hub.id, module="hubclientinfo"))
    PullCursor.objects.update(due_at=datetime.now(UTC) + timedelta(hours=9))
    url = "emsp/2.2.1/locations/NL/TNM/LOC1"

    strict_hub.put(url, document("location", id="LOC1"))

    cursor = PullCursor.objects.get(pk=cursor_id)
    assert cursor.full_wanted
    assert cursor.due_at <= datetime.now(UTC)
    # Not at every request of a hub that goes on like that.
    PullCursor.objects.update(due_at=datetime.now(UTC) + timedelta(hours=9))
    strict_hub.put(url, document("location", id="LOC1"))
    assert PullCursor.objects.get(pk=cursor_id).due_at > datetime.now(UTC)


@pytest.mark.req("HCI-21", "HUB-78")
@pytest.mark.parametrize("sides", [["hub"], ["cpo"], ["emsp"]], ids=str)
def test_who_is_behind_a_hub_is_the_first_thing_that_is_pulled_from_it(
    side: Side, strict_hub: Person, sides: list[str]
) -> None:
    side(*sides, parties=[{"hub": "NL*HUB:HUB", "cpo": "NL*TNM:CPO", "emsp": "DE*EMS:EMSP"}[sides[0]]])

    assert next(found.module for found in pull_plan.lists()) == "hubclientinfo"


@pytest.mark.req("HCI-16", "TRN-121", "PIT-78")
def test_what_was_refused_before_a_party_was_named_is_pulled(strict_hub: Person, document: Document) -> None:
    lists = pull_plan.lists(platform_id=strict_hub.id, module="tariffs")
    pull_rows.due(lists)
    PullCursor.objects.update(due_at=datetime.now(UTC) + timedelta(hours=9), date_from=datetime.now(UTC))

    assert strict_hub.put(URL, document("client_info")).ok

    cursor = PullCursor.objects.get(module="tariffs")
    assert cursor.recover_from is not None
    assert cursor.due_at <= datetime.now(UTC)
