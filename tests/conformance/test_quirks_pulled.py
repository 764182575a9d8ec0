"""The habits of partners in the lists they serve: one odd object spoils no list, and each is counted for itself."""

from __future__ import annotations

from typing import Any

import pytest

from emsp.models import Location, Tariff
from ocpi.models import PulledInvalid
from tests.deviations import counted, example
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener
from tests.pull_support import Lists, run

EARLY = "2025-09-12T07:00:00Z"


@pytest.fixture
def lists(listener: Listener) -> Lists:
    return Lists(listener)


@pytest.fixture
def owner(emsp_side: None, partner: Partner, listener: Listener, lists: Lists) -> Person:
    return partner("NL*TNM:CPO", listener=listener)


@pytest.mark.req("PIT-44", "TRN-104", "TRN-115", "QRK-12", "QRK-13", "QRK-21")
def test_one_odd_location_spoils_no_list_and_each_is_counted(owner: Person, lists: Lists, document: Document) -> None:
    listed: list[dict[str, Any]] = [document("location", id=name) for name in ("CLEAN", "MCS", "ROUND", "ODD", "BAD")]
    _, mcs, rounded, odd, bad = listed
    mcs["evses"][0]["connectors"][0]["standard"] = "MCS"
    rounded["coordinates"] = {"latitude": 52.1, "longitude": "5.1"}
    odd["coordinates"] = {"latitude": 52.1, "longitude": "5.1"}
    odd["evses"][0]["capabilities"].append("RFID_READER")
    bad["evses"][0]["status"] = "ON_FIRE"
    lists.serve("locations", listed)

    row = run(owner.id, "locations")

    assert (row.result, row.created, row.refused) == ("DONE", 4, 1)
    assert set(Location.objects.values_list("object_id", flat=True)) == {"CLEAN", "MCS", "ROUND", "ODD"}
    assert PulledInvalid.objects.get().field == "evses[0].status"
    assert counted(owner) == {
        "PIT-34 coordinates": 2, "PIT-44 standard": 1, "QRK-21 capabilities with the same value twice": 1,
    }  # fmt: skip
    assert example(owner, "PIT-44 standard").startswith("GET http")


@pytest.mark.req("QRK-14", "TYP-13")
def test_what_is_unchanged_is_counted_again_and_what_is_clean_never(
    owner: Person, lists: Lists, document: Document
) -> None:
    lists.serve("tariffs", [document("tariff", id=name, currency="eur", last_updated=EARLY) for name in "ABC"])

    run(owner.id, "tariffs")

    assert counted(owner) == {"TYP-13 currency in lower case": 3}
    assert {'"currency":"EUR"' in tariff.document for tariff in Tariff.objects.all()} == {True}
