"""A broadcast PATCH in two statements: overtaken, repeated, older, and what it leaves for the receivers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub import quick_patch
from hub.models import SharedObject
from ocpi import prepared
from ocpi.models import Delivery
from ocpi.v2_2_1.types import format_datetime
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.statements import at_most

pytestmark = pytest.mark.django_db
LOCATION = "hub/2.2.1/receiver/locations/NL/TNM/LOC1"
EVSE = "TNM-UTR-0042-1"


@pytest.fixture
def owner(hub_side: None, partner: Partner, document: Document) -> Person:
    """A CPO whose Location two eMSPs have got."""
    found = partner("NL*TNM:CPO")
    partner("DE*EMS:EMSP")
    partner("BE*MSX:EMSP")
    body = document("location", id="LOC1")
    assert found.put(LOCATION, body, to="NL*HUB").codes[1] == 1000
    Delivery.objects.all().delete()
    return found


def _evse() -> SharedObject:
    return SharedObject.objects.exclude(container=None).order_by("id")[0]


def _overtake(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], Any]) -> list[Any]:
    """Have something happen once, between the reading and the writing of a PATCH; return what came of it."""
    read, left, done = prepared.fetch_all, [happen], []

    def overtake(statement: str, values: Any) -> Sequence[Any]:
        found = read(statement, values)
        if statement == quick_patch._READ and left:
            done.append(left.pop()())
        return found

    monkeypatch.setattr(prepared, "fetch_all", overtake)
    return done


def _status(owner: Person, status: str, minute: int, **members: Any) -> Any:
    body = {"status": status, "last_updated": f"2025-10-01T00:{minute:02}:00Z", **members}
    return owner.patch(f"{LOCATION}/{EVSE}", body, to="NL*HUB")


@pytest.mark.req("HUB-43", "REL-01")
def test_a_status_costs_two_statements_and_marks_everybody(owner: Person) -> None:
    _status(owner, "BLOCKED", 1)

    with at_most(2):
        assert _status(owner, "CHARGING", 2).codes == (200, 1000)

    evse = _evse()
    assert json.loads(evse.document)["status"] == "CHARGING"
    assert evse.container is not None
    assert json.loads(evse.container.document)["last_updated"] == "2025-10-01T00:02:00Z"
    rows = list(Delivery.objects.order_by("platform_id"))
    assert [(row.to_party_id, row.fields, row.change) for row in rows] == [
        ("EMS", ["last_updated", "status"], 2), ("MSX", ["last_updated", "status"], 2)
    ]  # fmt: skip


@pytest.mark.req("REL-15", "REL-49")
def test_who_is_overtaken_between_reading_and_writing_loses_nothing(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken = _overtake(monkeypatch, lambda: _status(owner, "BLOCKED", 1, physical_reference="Level -1"))
    assert _status(owner, "CHARGING", 2).codes == (200, 1000)

    assert overtaken[0].codes == (200, 1000)
    kept = json.loads(_evse().document)
    assert (kept["status"], kept["physical_reference"]) == ("CHARGING", "Level -1")
    assert [(row.change, row.fields) for row in Delivery.objects.all()] == [
        (2, ["last_updated", "physical_reference", "status"])
    ] * 2


@pytest.mark.req("TRN-091")
def test_an_older_one_that_is_overtaken_is_refused(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    _overtake(monkeypatch, lambda: _status(owner, "BLOCKED", 5))

    assert _status(owner, "CHARGING", 2).codes[1] == 2001
    assert json.loads(_evse().document)["status"] == "BLOCKED"


@pytest.mark.req("REL-49")
def test_a_patch_that_was_here_before_is_taken_and_tells_nobody_anything(owner: Person) -> None:
    _status(owner, "CHARGING", 1)
    Delivery.objects.all().delete()

    assert _status(owner, "CHARGING", 1).codes == (200, 1000)
    assert not Delivery.objects.exists()

    assert _status(owner, "CHARGING", 2).codes == (200, 1000)  # a newer time stamp is a change
    assert Delivery.objects.count() == 2


@pytest.mark.req("TRN-091")
def test_a_patch_older_than_what_is_kept_is_refused(owner: Person) -> None:
    _status(owner, "CHARGING", 5)

    assert _status(owner, "BLOCKED", 4).codes[1] == 2001
    assert json.loads(_evse().document)["status"] == "CHARGING"


@pytest.mark.req("REL-53")
def test_what_is_far_ahead_of_our_clock_blocks_nothing(owner: Person, document: Document) -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(days=30))
    assert _status(owner, "BLOCKED", 1, last_updated=ahead).codes == (200, 1000)
    assert _status(owner, "CHARGING", 2).codes == (200, 1000)
    assert json.loads(_evse().document)["status"] == "CHARGING"

    tariff = "hub/2.2.1/receiver/tariffs/NL/TNM/T1"
    for moment, currency in ((ahead, "CHF"), ("2025-10-01T00:00:00Z", "EUR")):
        body = document("tariff", id="T1", last_updated=moment, currency=currency)
        assert owner.put(tariff, body, to="NL*HUB").codes[1] == 1000
    assert json.loads(SharedObject.objects.get(module="tariffs").document)["currency"] == "EUR"


@pytest.mark.req("HUB-43")
def test_what_is_deleted_or_unknown_is_patched_by_nobody(owner: Person) -> None:
    assert owner.patch(f"{LOCATION}/NOWHERE", {"status": "BLOCKED", "last_updated": "2025-10-01T00:00:00Z"},
                       to="NL*HUB").codes[1] == 2003  # fmt: skip
    assert not Delivery.objects.exists()
