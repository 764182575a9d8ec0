"""The content rules of Sessions, Tokens, Locations and types at their receivers, and identity in the database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Model

from cpo import models as cpo_models
from emsp import models as emsp_models
from hub.models import SharedObject
from ocpi import sample_data
from ocpi.models import ClientOwnedObject, Party
from tests.conformance.suites import EARLIER, LATER, LATEST
from tests.deviations import counted
from tests.fixtures import DOCUMENTS, Document
from tests.people import Person

SESSION = "emsp/2.2.1/sessions/NL/TNM/SES-20250912-0042"
LOCATION = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
TOKEN = "cpo/2.2.1/tokens/DE/EMS/04C7A1E2B95D80"

# ---------------------------------------------------------------- Sessions


@pytest.mark.req("SES-04", "SES-08")
def test_a_session_is_read_by_its_owner_as_it_is_stored(
    emsp_side: None, cpo: Person, second_cpo: Person, document: Document
) -> None:
    sent = document("session", x_unknown={"kept": [1.50]})
    cpo.put(SESSION, sent)

    assert cpo.get(SESSION).data == sent
    assert cpo.get(SESSION.lower().replace("emsp/2.2.1", "emsp/2.2.1")).data == sent
    assert second_cpo.get(SESSION).codes == (404, 2000)
    assert cpo.get(SESSION + "-OTHER").codes == (404, 2000)


@pytest.mark.req("SES-06", "TRN-085")
@pytest.mark.parametrize(
    ("patch", "codes"),
    [
        ({"kwh": 30, "last_updated": LATER}, (200, 1000)),
        ({"kwh": 30}, (200, 2001)),
        ({"kwh": "30", "last_updated": LATER}, (200, 2001)),
        ({"kwh": None, "last_updated": LATER}, (200, 2001)),
        ({"kwh": 30, "last_updated": EARLIER}, (200, 2001)),
    ],
)
def test_a_session_is_patched_with_its_time_stamp(
    emsp_side: None, cpo: Person, document: Document, patch: dict[str, Any], codes: tuple[int, int]
) -> None:
    sent = document("session")
    cpo.put(SESSION, sent)

    answer = cpo.patch(SESSION, patch)

    assert answer.codes == codes
    assert cpo.get(SESSION).data == ({**sent, **patch} if codes == (200, 1000) else sent)


@pytest.mark.req("SES-08")
@pytest.mark.parametrize(
    "changes", [{"country_code": "DE"}, {"party_id": "XYZ"}, {"id": "ANOTHER"}, {"id": "S" * 37}], ids=str
)
def test_a_session_is_the_one_its_url_names(
    emsp_side: None, cpo: Person, document: Document, changes: dict[str, Any]
) -> None:
    assert cpo.put(SESSION, document("session", **changes)).codes == (200, 2001)
    assert not emsp_models.Session.objects.exists()
    assert cpo.put(SESSION, document("session")).codes == (201, 1000)


@pytest.mark.req("SES-15")
@pytest.mark.parametrize(
    ("status", "codes"),
    [*((status, (201, 1000)) for status in ("ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION")),
     ("CHARGING", (200, 2001)), ("active", (200, 2001))],
)  # fmt: skip
def test_a_session_has_one_of_five_statuses(
    emsp_side: None, cpo: Person, document: Document, status: str, codes: tuple[int, int]
) -> None:
    assert cpo.put(SESSION, document("session", status=status)).codes == codes
    assert [row.status for row in emsp_models.Session.objects.all()] == [status] * (codes == (201, 1000))


@pytest.mark.req("SES-22", "TRN-113")
@pytest.mark.parametrize(
    ("status", "kinds"),
    [("RESERVATION", {}), ("COMPLETED", {}), ("ACTIVE", {"SES-22 no EVSE in an ACTIVE Session": 1})],
)
def test_a_session_without_an_evse_is_a_reservation(
    emsp_side: None, cpo: Person, document: Document, status: str, kinds: dict[str, int]
) -> None:
    sent = document("session", status=status, evse_uid="#NA", connector_id="#NA")

    assert cpo.put(SESSION, sent).codes == (201, 1000)
    assert cpo.get(SESSION).data == sent
    assert counted(cpo) == kinds


@pytest.mark.req("SES-23")
def test_a_session_may_refer_to_what_is_not_known_here(emsp_side: None, cpo: Person, document: Document) -> None:
    sent = document("session", location_id="NEVER-SEEN", evse_uid="NOR-THIS", connector_id="99")

    assert not emsp_models.Location.objects.exists()
    assert cpo.put(SESSION, sent).codes == (201, 1000)
    assert cpo.get(SESSION).data == sent


@pytest.mark.req("SES-34", "CDR-40")
@pytest.mark.parametrize("kind", ["CURRENT", "ENERGY_EXPORT", "ENERGY_IMPORT", "POWER", "STATE_OF_CHARGE"])
def test_momentary_values_are_for_sessions_and_odd_in_a_cdr(
    emsp_side: None, cpo: Person, document: Document, kind: str
) -> None:
    period = {"start_date_time": "2025-09-12T15:00:00Z", "dimensions": [{"type": kind, "volume": 7.5}]}
    session, cdr = document("session", charging_periods=[period]), document("cdr")
    cdr["charging_periods"][0]["dimensions"].append({"type": kind, "volume": 7.5})

    in_session = cpo.put(SESSION, {**session, "status": "COMPLETED"})
    before = counted(cpo)
    in_cdr = cpo.post("emsp/2.2.1/cdrs", cdr)

    assert (in_session.codes, before) == ((201, 1000), {})
    assert cpo.get(SESSION).data["charging_periods"] == [period]
    assert in_cdr.codes == (201, 1000)
    assert counted(cpo) == {"SES-34 momentary value in a CDR": 1}


# ---------------------------------------------------------------- Tokens


@pytest.mark.req("TOK-03", "TOK-04", "TOK-09")
@pytest.mark.parametrize(
    "changes", [{"country_code": "BE"}, {"party_id": "XYZ"}, {"uid": "ANOTHER"}, {"uid": "U" * 37}], ids=str
)
def test_a_token_is_the_one_its_url_names(
    cpo_side: None, emsp: Person, document: Document, changes: dict[str, Any]
) -> None:
    refused = emsp.put(TOKEN, document("token_rfid", **changes))
    stored = cpo_models.Token.objects.exists()
    taken = emsp.put(TOKEN, document("token_rfid"))

    assert (refused.codes, stored) == ((200, 2001), False)
    assert next(iter(changes)) in refused.message
    assert taken.codes == (201, 1000)
    assert emsp.get(TOKEN).data == document("token_rfid")


@pytest.mark.req("TOK-16", "TOK-17", "TOK-39")
@pytest.mark.parametrize(
    "changes",
    [{"whitelist": "ALWAYS", "type": "APP_USER"}, {"group_id": "G" * 36}, {"contract_id": "no EMA-ID at all"}],
    ids=str,
)
def test_what_a_token_should_be_is_no_reason_to_refuse_it(
    cpo_side: None, emsp: Person, document: Document, changes: dict[str, Any]
) -> None:
    sent = document("token_rfid", **changes)
    query = {"type": sent["type"]}

    assert emsp.put(TOKEN, sent, query=query).codes == (201, 1000)
    assert emsp.get(TOKEN, query=query).data == sent


@pytest.mark.req("QRK-12", "QRK-18", "TRN-115", "TYP-04")
def test_odd_tokens_are_taken_and_counted_by_put_and_patch(cpo_side: None, emsp: Person, document: Document) -> None:
    sent = document("token_rfid", default_profile_type="SLOW", last_updated="2025-09-12T09:00:00+02:00")

    put = emsp.put(TOKEN, sent)
    patched = emsp.patch(TOKEN, {"valid": False, "last_updated": "2026-01-01T01:00:00+01:00"})

    assert (put.codes, patched.codes) == ((201, 1000), (200, 1000))
    found = emsp.get(TOKEN).data
    assert (found["valid"], found["last_updated"], "default_profile_type" in found) == (False, LATER, False)
    assert counted(emsp) == {"TRN-115 default_profile_type": 1, "TYP-04 DateTime": 2}


# ---------------------------------------------------------------- Locations


@pytest.mark.req("LOC-08", "LOC-47")
def test_an_evse_is_addressed_by_its_uid_and_not_by_its_evse_id(
    emsp_side: None, cpo: Person, document: Document
) -> None:
    sent = document("location")
    cpo.put(LOCATION, sent)
    evse = sent["evses"][0]

    by_uid, by_evse_id = (cpo.get(f"{LOCATION}/{evse[name]}") for name in ("uid", "evse_id"))

    assert (by_uid.codes, by_evse_id.codes) == ((200, 1000), (404, 2003))
    assert cpo.get(f"{LOCATION}/{evse['connectors'][0]['id']}").codes == (404, 2003)


@pytest.mark.req("LOC-07")
@pytest.mark.parametrize("tail", ["L" * 37, "LOC-UTR-0042/" + "E" * 37, "LOC-UTR-0042/TNM-UTR-0042-1/" + "C" * 37])
def test_an_id_longer_than_36_is_nobodys(emsp_side: None, cpo: Person, document: Document, tail: str) -> None:
    sent = document("location")
    cpo.put(LOCATION, sent)
    base = LOCATION.rpartition("/")[0]
    level = tail.count("/")
    part = [sent, sent["evses"][0], sent["evses"][0]["connectors"][0]][level]
    own_id = ["id", "uid", "id"][level]

    put = cpo.put(f"{base}/{tail}", {**part, own_id: tail.rpartition("/")[2], "last_updated": LATER})

    assert put.codes == (200, 2001)
    assert own_id in put.message
    assert cpo.get(LOCATION).data == sent


@pytest.mark.req("LOC-10", "LOC-11")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_connector_carries_its_time_stamp_up(emsp_side: None, cpo: Person, document: Document, method: str) -> None:
    sent = document("location")
    cpo.put(LOCATION, sent)
    evse = sent["evses"][0]
    connector = {**evse["connectors"][0], "max_amperage": 16}
    url = f"{LOCATION}/{evse['uid']}/{connector['id']}"

    for moment, stamp in ((LATEST, LATEST), (LATER, LATEST)):
        body = {**connector, "last_updated": moment}
        answer = cpo.request(method, url, body if method == "PUT" else {"max_amperage": 16, "last_updated": moment})
        found = cpo.get(LOCATION).data
        assert answer.codes == ((200, 1000) if moment == LATEST else (200, 2001))
        assert (found["last_updated"], found["evses"][0]["last_updated"]) == (stamp, stamp)


# ---------------------------------------------------------------- CiStrings in the database


def _owned(model: type[Model], **columns: Any) -> dict[str, Any]:
    if not issubclass(model, ClientOwnedObject):
        return columns
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    given = {"country_code": "NL", "party_id": "TNM", "object_id": "Abc", "document": "{}", "last_updated": moment}
    return given | columns


_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_TOKEN = {"uid": "Abc", "type": "RFID", "contract_id": "C", "valid": True, "whitelist": "ALWAYS"}
_EMSP = {"emsp_country_code": "DE", "emsp_party_id": "EMS"}
# Model, the columns of one row, the columns whose case is changed in the other.
IDENTITIES: list[tuple[type[Model], dict[str, Any], tuple[str, ...]]] = [
    (cpo_models.Location, {"time_zone": "Europe/Amsterdam"}, ("country_code", "party_id", "object_id")),
    (cpo_models.Tariff, {}, ("object_id",)),
    (cpo_models.Session, {"status": "ACTIVE", "token_uid": "1", "start_date_time": _NOW, "location_id": "L", **_EMSP},
     ("object_id",)),
    (cpo_models.CDR, {"token_uid": "1", "start_date_time": _NOW, **_EMSP}, ("object_id",)),
    (cpo_models.Token, {**_TOKEN, "id_tag": "1"}, ("party_id", "object_id")),
    (emsp_models.Location, {}, ("object_id",)),
    (emsp_models.Tariff, {}, ("object_id",)),
    (emsp_models.Token, _TOKEN, ("object_id",)),
]  # fmt: skip


@pytest.mark.req("TYP-11", "TYP-12", "TRN-096", "TRN-097")
@pytest.mark.django_db
@pytest.mark.parametrize(("model", "columns", "members"), IDENTITIES, ids=[row[0]._meta.label for row in IDENTITIES])
def test_the_database_has_no_two_ids_that_differ_in_case(
    model: type[Model], columns: dict[str, Any], members: tuple[str, ...]
) -> None:
    given = _owned(model, **columns)
    model._default_manager.create(**given)

    for member in members:
        other = {**given, member: given[member].swapcase()}
        with pytest.raises(IntegrityError, match="identity"), transaction.atomic():
            model._default_manager.create(**other)

    model._default_manager.create(**{**given, "object_id": "Abcd"})
    assert model._default_manager.count() == 2


@pytest.mark.req("TYP-11", "TYP-12")
@pytest.mark.django_db
def test_evses_parties_and_kept_objects_too(cpo: Person) -> None:
    location = emsp_models.Location.objects.create(**_owned(emsp_models.Location))
    evse = {"location": location, "status": "AVAILABLE", "last_updated": _NOW, "document": "{}"}
    kept: dict[str, Any] = {
        "platform": cpo.platform,
        "module": "tariffs",
        "country_code": "NL",
        "party_id": "TNM",
        "document": "{}",
    }
    kept["last_updated"] = _NOW
    party = {"platform": cpo.platform, "country_code": "NL", "role": "CPO", "approved": False}
    rows: list[tuple[type[Model], dict[str, Any], str]] = [
        (emsp_models.EVSE, evse, "uid"), (SharedObject, kept, "path"), (Party, party, "party_id"),
    ]  # fmt: skip

    for model, columns, member in rows:
        model._default_manager.create(**columns, **{member: "Abc"})
        with pytest.raises(IntegrityError), transaction.atomic():
            model._default_manager.create(**columns, **{member: "aBC"})
        model._default_manager.create(**columns, **{member: "Abd"})


# ---------------------------------------------------------------- PIT-33: our own examples

_BOX = {"NLD": ((50.7, 53.6), (3.3, 7.3)), "BEL": ((49.4, 51.6), (2.5, 6.5)), "DEU": ((47.2, 55.1), (5.8, 15.1)),
        "FRA": ((41.3, 51.2), (-5.2, 9.6))}  # fmt: skip


def _assert_there(place: dict[str, Any]) -> None:
    (south, north), (west, east) = _BOX[place["country"]]
    latitude, longitude = (float(place["coordinates"][name]) for name in ("latitude", "longitude"))
    assert south <= latitude <= north, place
    assert west <= longitude <= east, place


@pytest.mark.req("PIT-33")
def test_the_examples_lie_where_they_say_and_end_before_they_are_written() -> None:
    cdr = json.loads((DOCUMENTS / "cdr.json").read_text())
    location = json.loads((DOCUMENTS / "location.json").read_text())

    _assert_there(cdr["cdr_location"])
    _assert_there(location)
    assert cdr["end_date_time"] <= cdr["last_updated"]


@pytest.mark.req("PIT-33")
def test_sample_data_lies_where_it_says_and_ends_before_it_is_written() -> None:
    found = [location for location in sample_data.locations(40) if location["country"] in _BOX]
    assert len(found) > 10
    for location in found:
        _assert_there(location)
    for cdr in sample_data.cdrs(10):
        assert cdr["end_date_time"] <= cdr["last_updated"]
