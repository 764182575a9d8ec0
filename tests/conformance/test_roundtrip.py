"""Any valid object comes back as it was sent; any object with one thing wrong is refused, named, and changes nothing.

ROUNDTRIP_EXAMPLES says how many objects of each class are tried; more than the usual few are drawn anew each time.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ocpi.models import Party
from ocpi.v2_2_1 import (
    cdrs,
    chargingprofiles,
    checking,
    commands,
    credentials,
    hubclientinfo,
    locations,
    sessions,
    tariffs,
    tokens,
    versions,
)
from ocpi.v2_2_1.types import parse_datetime
from tests.people import Person
from tests.strategies import OUTER_MOMENT, faults, fields, objects

Json = Any
EXAMPLES = int(os.environ.get("ROUNDTRIP_EXAMPLES", "12"))
MANY = EXAMPLES > 12
usual = settings(
    max_examples=EXAMPLES,
    derandomize=not MANY,
    phases=[Phase.generate, *([Phase.shrink] if MANY else [])],
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
OWNER = {"country_code": "NL", "party_id": "TNM"}
OURS = {"country_code": "DE", "party_id": "EMS"}
TOKEN = {**OURS, "uid": "T1", "type": "RFID", "contract_id": "DE-EMS-1"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A class of objects that a partner pushes to us: where, and how it is found again."""

    kind: type[msgspec.Struct]
    path: str
    key: str = "id"
    fixed: tuple[tuple[str, Json], ...] = ()

    def objects(self) -> st.SearchStrategy[dict[str, Json]]:
        return objects(self.kind, **dict(self.fixed), last_updated=OUTER_MOMENT)

    def named(self, document: Json, number: int) -> Json:
        """Return an object of its own: a stored one keeps the first spelling of its id, and a CDR all of itself."""
        return {**document, self.key: f"{number}-{document[self.key]}"[:36]}

    def url(self, document: Json) -> str:
        return f"{self.path}/{quote(document[self.key], safe='')}"


def items(**members: Json) -> tuple[tuple[str, Json], ...]:
    return tuple(members.items())


LOCATION = "emsp/2.2.1/locations/NL/TNM"
AT_EMSP = [
    Stored(locations.Location, LOCATION, fixed=items(**OWNER)),
    Stored(locations.EVSE, f"{LOCATION}/L1", key="uid"),
    Stored(locations.Connector, f"{LOCATION}/L1/E1"),
    Stored(sessions.Session, "emsp/2.2.1/sessions/NL/TNM", fixed=items(**OWNER, cdr_token=TOKEN)),
    Stored(tariffs.Tariff, "emsp/2.2.1/tariffs/NL/TNM", fixed=items(**OWNER)),
]
AT_CPO = Stored(tokens.Token, "cpo/2.2.1/tokens/DE/EMS", key="uid", fixed=items(**OURS, type="RFID"))
CDRS = Stored(cdrs.CDR, "emsp/2.2.1/cdrs", fixed=items(**OWNER, cdr_token=TOKEN))


def name_of(stored: Stored) -> str:
    return stored.kind.__name__


def without_empty_parts(document: Json) -> Json:
    """Return what is stored of a Location: parts that are absent, null and [] are the same (TRN-109)."""
    return {name: value for name, value in document.items() if name not in ("evses",) or value}


def comes_back(person: Person, stored: Stored, document: Json) -> None:
    assert person.put(stored.url(document), document).status_code == 1000, json.dumps(document)
    found = person.get(stored.url(document)).data
    assert without_empty_parts(found) == without_empty_parts(document)


@pytest.fixture
def place(emsp_side: None, cpo: Person, document: Callable[..., Any]) -> Person:
    """A CPO at our eMSP, with a Location and an EVSE for what lies in them."""
    connector = {**document("connector"), "id": "zz-other"}
    evse = document("evse", uid="E1", connectors=[connector], last_updated="2019-01-01T00:00:00Z")
    location = document("location", id="L1", evses=[evse], last_updated="2019-01-01T00:00:00Z")
    assert cpo.put(f"{LOCATION}/L1", location).ok
    return cpo


@pytest.mark.req("TRN-114", "TRN-083", "TYP-06", "TRN-024", "PIT-17", "TRN-113")
@pytest.mark.parametrize("stored", AT_EMSP, ids=name_of)
def test_any_object_of_a_cpo_comes_back_as_it_was_sent(place: Person, stored: Stored) -> None:
    numbers = count(1)

    @usual
    @given(stored.objects())
    def check(document: Json) -> None:
        comes_back(place, stored, stored.named(document, next(numbers)))

    check()


@pytest.mark.req("TRN-114", "TRN-083", "TOK-03")
def test_any_token_comes_back_as_it_was_sent(cpo_side: None, emsp: Person) -> None:
    numbers = count(1)

    @usual
    @given(AT_CPO.objects())
    def check(document: Json) -> None:
        comes_back(emsp, AT_CPO, AT_CPO.named(document, next(numbers)))

    check()


@pytest.mark.req("TRN-114", "CDR-04", "CDR-03")
def test_any_cdr_comes_back_as_it_was_sent(place: Person) -> None:
    numbers = count(1)

    @usual
    @given(CDRS.objects())
    def check(document: Json) -> None:
        document = CDRS.named(document, next(numbers))
        posted = place.post(CDRS.path, document)
        assert posted.codes == (201, 1000), json.dumps(document)
        assert place.get(posted.headers["Location"]).data == document

    check()


@pytest.mark.req("HCI-03", "HCI-08")
def test_any_client_info_comes_back_with_the_members_it_has(cpo_side: None, hub: Person) -> None:
    @usual
    @given(objects(hubclientinfo.ClientInfo, country_code="NL", party_id="TNM", last_updated="2026-01-31T08:00:00Z"))
    def check(document: Json) -> None:
        Party.objects.filter(through_hub=True).delete()
        assert hub.put("2.2.1/hubclientinfo/NL/TNM", document).status_code == 1000
        found = hub.get("2.2.1/hubclientinfo/NL/TNM").data
        moment = found.pop("last_updated")
        assert found == {name: document[name] for name in ("country_code", "party_id", "role", "status")}
        assert parse_datetime(moment) == parse_datetime(document["last_updated"])

    check()


ONLY_CHECKED = [
    commands.StartSession, commands.StopSession, commands.ReserveNow, commands.CancelReservation,
    commands.UnlockConnector, commands.CommandResponse, commands.CommandResult, credentials.Credentials,
    tokens.LocationReferences, tokens.AuthorizationInfo, sessions.ChargingPreferences, versions.VersionDetails,
    chargingprofiles.SetChargingProfile, chargingprofiles.ActiveChargingProfileResult,
    chargingprofiles.ChargingProfileResponse, chargingprofiles.ActiveChargingProfile,
]  # fmt: skip


@pytest.mark.parametrize("kind", ONLY_CHECKED, ids=lambda kind: kind.__name__)
def test_any_other_object_is_read(kind: type[msgspec.Struct]) -> None:
    @usual
    @given(objects(kind))
    def check(document: Json) -> None:
        found = checking.load(kind, json.dumps(document))
        for path, _, owner, name in fields(kind, document):
            value: Any = found
            for part in path.replace("]", "").replace("[", ".").split("."):
                value = value[int(part)] if part.isdigit() else getattr(value, part)
            if isinstance(owner[name], str | bool | int) and isinstance(value, str | bool | int):
                assert value == owner[name]

    check()


# ---------------------------------------------------------------- one thing wrong


def one_fault(stored: Stored, document: Json, draw: st.DrawFn) -> tuple[str, Json]:
    """Return the document with one thing wrong, and the path of the field."""
    broken = copy.deepcopy(document)
    identity = {"country_code", "party_id", stored.key}
    candidates = [
        (path, owner, name, value)
        for path, shape, owner, name in fields(stored.kind, broken)
        if not (path == name and name in identity)
        and not (name == "connectors" and owner.get("status") == "REMOVED")  # may have none (QRK-11)
        for _, value in faults(shape, name)
    ]
    path, owner, name, value = draw(st.sampled_from(candidates))
    if value is msgspec.UNSET:
        del owner[name]
    else:
        owner[name] = value
    return path, broken


@st.composite
def broken_objects(draw: st.DrawFn, stored: Stored) -> tuple[Json, str, Json]:
    document = draw(stored.objects())
    path, broken = one_fault(stored, document, draw)
    return document, path, broken


@pytest.mark.req("TRN-039", "TRN-089", "TYP-10", "TRN-115")
@pytest.mark.parametrize("stored", [*AT_EMSP, AT_CPO], ids=name_of)
def test_one_thing_wrong_is_refused_and_named(request: pytest.FixtureRequest, both_sides: None, stored: Stored) -> None:
    person = request.getfixturevalue("emsp" if stored is AT_CPO else "place")

    @usual
    @given(broken_objects(stored))
    def check(drawn: tuple[Json, str, Json]) -> None:
        document, path, broken = drawn
        assert person.put(stored.url(document), document).status_code == 1000, json.dumps(document)
        before = person.get(stored.url(document)).data

        answer = person.put(stored.url(document), broken)

        assert answer.codes == (200, 2001), json.dumps(broken)
        assert answer.message.startswith((f"{path}:", f"{path}[")), f"{path}: {answer.message}"
        assert person.get(stored.url(document)).data == before

    check()
