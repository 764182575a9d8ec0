"""GET All at the hub: a list like any other, over what all parties pushed (OCPI 2.2.1, GET All)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from hub.models import SharedObject
from ocpi import counts
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.suites import ListSuite
from tests.fixtures import Document, Partner
from tests.people import Person

TARIFFS = "hub/2.2.1/sender/tariffs"
pytestmark = pytest.mark.usefixtures("hub_side")


class TestGetAll(ListSuite):
    place, reader, path = "hub_side", "emsp", TARIFFS

    @pytest.fixture(autouse=True)
    def _an_owner(self, cpo: Person) -> None:
        self.owner = cpo

    def make(self, index: int, moment: datetime) -> str:
        SharedObject.objects.create(
            platform_id=self.owner.id, module="tariffs", country_code="NL", party_id="TNM", path=f"T{index}",
            last_updated=moment, received_at=moment, document=json.dumps({"id": f"T{index}"}),
        )  # fmt: skip
        return f"T{index}"

    def test_methods_the_list_does_not_have_are_not_allowed(self, asking: Person) -> None:
        """Only GET is for the hub itself; all else has a party to go to."""
        answers = {method: asking.request(method, self.path, {}) for method in self.missing}

        assert {method: answer.codes for method, answer in answers.items()} == {
            "POST": (405, 2000), "PUT": (200, 4001), "PATCH": (405, 2000), "DELETE": (200, 4001),
        }  # fmt: skip
        assert answers["PATCH"].headers["Allow"] == "GET"


def push(person: Person, document: Document, name: str, **members: Any) -> None:
    party = person.address
    owner = {"country_code": party.country_code, "party_id": party.party_id}
    body = document("tariff", id=name, **owner, **members)
    url = f"hub/2.2.1/receiver/tariffs/{party.country_code}/{party.party_id}/{name}"
    assert person.put(url, body).codes == (201, 1000)


@pytest.mark.req("PIT-87", "HUB-61")
def test_an_object_that_reached_the_hub_late_is_not_missed(cpo: Person, emsp: Person, document: Document) -> None:
    push(cpo, document, "LATE", last_updated="2025-01-01T00:00:00Z")
    now = timezone.now()

    since = emsp.get(TARIFFS, query={"date_from": format_datetime(now - timedelta(minutes=5))})
    before = emsp.get(TARIFFS, query={"date_to": format_datetime(now - timedelta(minutes=5))})

    assert [(each["id"], each["last_updated"]) for each in since.data] == [("LATE", "2025-01-01T00:00:00Z")]
    assert (since.headers["X-Total-Count"], before.headers["X-Total-Count"]) == ("1", "0")


@pytest.mark.req("HUB-59", "HUB-60", "HUB-62", "TRN-068")
@pytest.mark.parametrize("summed_up", [False, True])
def test_the_total_is_over_all_parties_but_the_caller_and_without_what_is_deleted(
    cpo: Person, second_cpo: Person, partner: Partner, document: Document, summed_up: bool
) -> None:
    both = partner("DE*EMS:EMSP", "DE*OWN:CPO")
    for number in range(3):
        push(cpo, document, f"T{number}")
    push(second_cpo, document, "T9")
    own = Person(**{**{name: getattr(both, name) for name in Person.__slots__}, "parties": both.parties[1:]})
    push(own, document, "MINE")
    assert cpo.delete("hub/2.2.1/receiver/tariffs/NL/TNM/T1").codes == (200, 1000)
    if summed_up:
        counts.compact()

    page = both.get(TARIFFS, query={"limit": 2})
    rest = both.get(page.headers["Link"].partition(">")[0].lstrip("<"))
    since = both.get(TARIFFS, query={"date_from": "2001-01-01T00:00:00Z"})

    assert [(each["party_id"], each["id"]) for each in page.data + rest.data] == [
        ("TNM", "T0"), ("TNM", "T2"), ("CPX", "T9"),
    ]  # fmt: skip
    assert {each.headers["X-Total-Count"] for each in (page, rest, since)} == {"3"}
    assert since.data == page.data + rest.data
    assert page.headers["Link"].startswith("<http://127.0.0.1:8000/ocpi/hub/2.2.1/sender/tariffs?")
