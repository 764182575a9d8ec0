"""Locations at the eMSP in the fewest statements, and the longer way for whatever is not ordinary (docs/adr/0019)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from emsp.models import EVSE, Authorization, Location, Token
from emsp.modules import locations_quick
from ocpi import defects, keeping, prepared
from ocpi.v2_2_1.types import format_datetime
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.statements import at_most

pytestmark = pytest.mark.django_db
URL = "emsp/2.2.1/locations/NL/TNM/LOC1"
_LATER, _LATEST = "2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z"


@pytest.fixture
def cpo(emsp_side: None, partner: Partner) -> Person:
    return partner("NL*TNM:CPO")


@pytest.fixture
def location(document: Document) -> Callable[..., dict[str, Any]]:
    """Return the Location LOC1 with these EVSEs, changed at a moment."""

    def build(*uids: str, at: str = "2025-10-01T00:00:00Z", **evse: Any) -> dict[str, Any]:
        found: dict[str, Any] = document("location", id="LOC1", last_updated=at)
        one = found["evses"][0]
        connectors = [{**connector, "last_updated": at} for connector in one["connectors"]]
        found["evses"] = [
            {**one, "uid": uid, "last_updated": at, "connectors": connectors, **evse} for uid in uids
        ]  # fmt: skip
        return found

    return build


def _platform_id(person: Person) -> int:
    assert person.platform is not None
    return person.platform.pk


def _shown() -> dict[str, str]:
    return dict(EVSE.objects.filter(deleted_at=None).values_list("uid", "status"))


@pytest.mark.req("LOC-22")
def test_a_whole_location_is_one_statement(cpo: Person, location: Callable[..., dict[str, Any]]) -> None:
    assert cpo.put(URL, location("A", "B")).codes == (201, 1000)

    with at_most(1):
        assert cpo.put(URL, location("B", "C", at=_LATER, status="CHARGING")).codes == (200, 1000)

    assert _shown() == {"B": "CHARGING", "C": "CHARGING"}
    assert EVSE.objects.get(uid="A").deleted_at is not None
    kept = Location.objects.get()
    assert json.loads(kept.document)["last_updated"] == _LATER
    assert json.loads(EVSE.objects.get(uid="C").document)["last_updated"] == _LATER


def test_an_evse_that_did_not_change_is_neither_written_nor_locked(
    cpo: Person, location: Callable[..., dict[str, Any]]
) -> None:
    def versions() -> dict[str, str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT uid, concat_ws(' ', ctid, xmin, xmax) FROM emsp_evse")
            return dict(cursor.fetchall())

    tree = location("A", "B", "C")
    cpo.put(URL, tree)
    before = versions()
    tree["evses"][1].update(status="CHARGING", last_updated=_LATER)

    assert cpo.put(URL, tree).codes == (200, 1000)

    after = versions()
    assert (after["A"], after["C"]) == (before["A"], before["C"])
    assert after["B"] != before["B"]
    assert _shown()["B"] == "CHARGING"


@pytest.mark.req("LOC-22")
def test_an_evse_that_was_left_out_comes_back_with_the_next_put(
    cpo: Person, location: Callable[..., dict[str, Any]]
) -> None:
    cpo.put(URL, location("A", "B"))
    cpo.put(URL, location("B", at=_LATER))

    assert cpo.put(URL, location("A", "B", at=_LATER)).codes == (200, 1000)

    assert set(_shown()) == {"A", "B"}


@pytest.mark.req("TRN-091", "LOC-22")
def test_an_older_location_changes_nothing_of_it(cpo: Person, location: Callable[..., dict[str, Any]]) -> None:
    cpo.put(URL, location("A", at=_LATER))

    assert cpo.put(URL, location("B", status="CHARGING")).codes[1] == 2001

    assert _shown() == {"A": "AVAILABLE"}
    assert json.loads(Location.objects.get().document)["last_updated"] == _LATER


@pytest.mark.req("REL-53")
def test_an_evse_far_ahead_of_our_clock_is_changed_all_the_same(
    cpo: Person, location: Callable[..., dict[str, Any]]
) -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(days=30))
    cpo.put(URL, location("A", "B", at=ahead))

    answers = [
        cpo.patch(f"{URL}/A", {"status": "CHARGING", "last_updated": _LATER}),
        cpo.put(f"{URL}/B", location("B", at=_LATER, status="BLOCKED")["evses"][0]),
    ]

    assert [answer.codes for answer in answers] == [(200, 1000)] * 2
    assert _shown() == {"A": "CHARGING", "B": "BLOCKED"}
    assert cpo.put(URL, location("A", at=_LATER, status="INOPERATIVE")).codes == (200, 1000)
    assert _shown() == {"A": "INOPERATIVE"}


@pytest.mark.req("TRN-097", "LOC-28")
def test_other_spelling_and_return_after_removed_go_the_longer_way(
    cpo: Person, location: Callable[..., dict[str, Any]]
) -> None:
    cpo.put(URL, location("Aa", status="REMOVED"))
    before = {kind: defects.count(cpo.id, kind) for kind in ("QRK-20 identity in another case",
              "LOC-28 EVSE comes back after REMOVED")}  # fmt: skip

    assert cpo.put(URL, location("aA", at=_LATER)).codes == (200, 1000)

    evse = EVSE.objects.get()
    assert (evse.uid, evse.status, json.loads(evse.document)["uid"]) == ("Aa", "AVAILABLE", "Aa")
    assert all(defects.count(cpo.id, kind) == count + 1 for kind, count in before.items())


@pytest.mark.req("REL-01", "REL-49")
def test_what_goes_the_longer_way_leaves_nothing_written_before_it(
    cpo: Person, location: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cpo.put(URL, location("A", "B", status="REMOVED"))
    before = Location.objects.get().document
    seen: list[str] = []
    longer = keeping.put

    def look(*args: Any, **named: Any) -> Any:
        seen.append(Location.objects.get().document)
        return longer(*args, **named)

    monkeypatch.setattr(keeping, "put", look)

    assert cpo.put(URL, location("A", at=_LATER)).codes == (200, 1000)

    assert seen == [before]
    assert Location.objects.get().document != before


@pytest.mark.req("LOC-11")
def test_a_status_is_two_statements(cpo: Person, location: Callable[..., dict[str, Any]]) -> None:
    cpo.put(URL, location("A", "B"))

    with at_most(2):
        assert cpo.patch(f"{URL}/A", {"status": "CHARGING", "last_updated": _LATER}).codes == (200, 1000)

    assert _shown() == {"A": "CHARGING", "B": "AVAILABLE"}
    assert json.loads(Location.objects.get().document)["last_updated"] == _LATER


@pytest.mark.req("TRN-091", "REL-15")
def test_a_status_that_was_overtaken_is_refused_and_loses_nothing(
    cpo: Person, location: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cpo.put(URL, location("A"))
    read, left = prepared.fetch_all, [1]

    def overtake(statement: str, values: Any) -> Sequence[Any]:
        found = read(statement, values)
        if statement == locations_quick._READ and left:
            left.clear()
            cpo.patch(f"{URL}/A", {"status": "BLOCKED", "last_updated": _LATEST})
        return found

    monkeypatch.setattr(prepared, "fetch_all", overtake)
    answer = cpo.patch(f"{URL}/A", {"status": "CHARGING", "last_updated": _LATER})

    assert answer.codes[1] == 2001
    assert _shown() == {"A": "BLOCKED"}


@pytest.mark.req("TOK-25", "TOK-34")
def test_an_authorization_is_one_statement(cpo: Person, document: Document) -> None:
    body = json.dumps(document("token_rfid"))
    token = Token.objects.create(
        country_code="DE", party_id="EMS", object_id="012345678", uid="012345678", type="RFID", valid=True,
        document=body, last_updated=_LATER,
    )  # fmt: skip

    cpo.get("versions")  # that it was heard is written down every few seconds

    with at_most(1):
        answer = cpo.post("emsp/2.2.1/tokens/012345678/authorize", {"location_id": "LOC1"})

    assert answer.data["allowed"] == "ALLOWED"
    kept = Authorization.objects.get()
    assert (kept.reference, kept.token_id, kept.location_id, kept.platform_id) == (
        answer.data["authorization_reference"], token.pk, "LOC1", cpo.id,
    )  # fmt: skip


@pytest.mark.req("TOK-26")
def test_a_blocked_token_is_answered_and_not_remembered(cpo: Person, document: Document) -> None:
    Token.objects.create(
        country_code="DE", party_id="EMS", object_id="012345678", uid="012345678", type="RFID", valid=False,
        document=json.dumps(document("token_rfid")), last_updated=_LATER,
    )  # fmt: skip

    answer = cpo.post("emsp/2.2.1/tokens/012345678/authorize", {"location_id": "LOC1"})

    assert answer.data["allowed"] == "BLOCKED"
    assert "authorization_reference" not in answer.data
    assert not Authorization.objects.exists()
