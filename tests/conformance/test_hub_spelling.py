"""What a hub keeps is shown and sent on with its ids as they first came, however later pushes spell them."""

from __future__ import annotations

from typing import Any

import pytest

from ocpi.models import Delivery
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("hub_side", "front_door"), pytest.mark.req("TRN-097", "TRN-090")]
AT = "hub/2.2.1/receiver"
LATER = "2031-05-01T10:00:00Z"


@pytest.fixture(params=["broadcast", "direct"])
def to(request: pytest.FixtureRequest) -> str:
    return "NL*HUB" if request.param == "broadcast" else "DE*EMS"


@pytest.fixture
def emsp(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


def _lower(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value.lower() if name in names else value for name, value in body.items()}


def _shown(emsp: Person, module: str) -> Any:
    [found] = emsp.get(f"hub/2.2.1/sender/{module}", to="NL*HUB").data
    return found


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("level", ["location", "evse", "connector", "evse in its location"])
def test_a_location_keeps_its_spelling(
    cpo: Person, emsp: Person, document: Document, to: str, method: str, level: str
) -> None:
    whole = document("location", id="LOC1")
    evse = {**whole["evses"][0], "uid": "EvSe1"}
    connector = {**evse["connectors"][0], "id": "Con1"}
    whole["evses"] = [{**evse, "connectors": [connector]}]
    assert cpo.put(f"{AT}/locations/NL/TNM/LOC1", whole, to=to).status_code == 1000
    Delivery.objects.all().delete()
    below = {"location": "", "evse": "/evse1", "connector": "/evse1/con1", "evse in its location": ""}[level]
    id_member = {"location": "id", "evse": "uid", "connector": "id", "evse in its location": ""}[level]
    body: dict[str, Any] = {"id": "loc1", "country_code": "nl", "party_id": "tnm"} if not below else {}
    if below:
        body[id_member] = below.rpartition("/")[2]
    respelled = {**connector, "id": "con1"}
    if level == "evse":
        body["connectors"] = [respelled]
    if level == "evse in its location":
        body["evses"] = [{"uid": "evse1", "connectors": [respelled], "last_updated": LATER}]
    if method == "PUT":
        evse = {**evse, "uid": "evse1", "connectors": [respelled]}
        wholes = {"location": whole, "evse": evse, "connector": connector, "evse in its location": whole}
        body = {**wholes[level], **body}
        if level == "evse in its location":
            body["evses"] = [evse]
    body["last_updated"] = LATER

    assert cpo.request(method, f"{AT}/locations/nl/tnm/loc1{below}", body, to=to).status_code == 1000

    shown = _shown(emsp, "locations")
    assert (shown["country_code"], shown["party_id"], shown["id"]) == ("NL", "TNM", "LOC1")
    assert [each["uid"] for each in shown["evses"]] == ["EvSe1"]
    assert [each["id"] for each in shown["evses"][0]["connectors"]] == ["Con1"]
    assert shown["last_updated"] == LATER
    paths = set(Delivery.objects.values_list("path", flat=True))
    expected = "NL/TNM/LOC1/EvSe1" if below else "NL/TNM/LOC1"
    assert paths == ({expected} if to == "NL*HUB" else set()), "what is sent is spelled as its URL"


@pytest.mark.req("LOC-31")
def test_connectors_in_a_patch_of_their_evse_are_matched_by_id_in_whatever_case(
    cpo: Person, emsp: Person, document: Document, to: str
) -> None:
    whole = document("location", id="LOC1")
    [first, *_] = whole["evses"][0]["connectors"]
    two = [{**first, "id": "Con1"}, {**first, "id": "Con2"}]
    whole["evses"] = [{**whole["evses"][0], "uid": "EvSe1", "connectors": two}]
    assert cpo.put(f"{AT}/locations/NL/TNM/LOC1", whole, to=to).status_code == 1000
    change = {"connectors": [{"id": "CON2", "tariff_ids": ["T9"]}], "last_updated": LATER}
    unknown = {"connectors": [{"id": "Con3", "tariff_ids": ["T9"]}], "last_updated": LATER}

    assert cpo.patch(f"{AT}/locations/NL/TNM/LOC1/EvSe1", change, to=to).status_code == 1000
    # To whom it goes Direct judges it; a part of a Connector that nobody has is not kept.
    assert cpo.patch(f"{AT}/locations/NL/TNM/LOC1/EvSe1", unknown, to=to).status_code == (
        2001 if to == "NL*HUB" else 1000
    )

    assert _shown(emsp, "locations")["evses"][0]["connectors"] == [two[0], {**two[1], "tariff_ids": ["T9"]}]


@pytest.mark.req("TRN-091")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_connector_that_is_older_than_the_kept_one_is_not_kept(
    cpo: Person, emsp: Person, document: Document, method: str
) -> None:
    whole = document("location", id="LOC1")
    [connector, *_] = whole["evses"][0]["connectors"]
    assert cpo.put(f"{AT}/locations/NL/TNM/LOC1", whole, to="NL*HUB").status_code == 1000
    older = {**connector, "max_amperage": 7, "last_updated": "2001-01-01T00:00:00Z"}
    url = f"{AT}/locations/NL/TNM/LOC1/{whole['evses'][0]['uid']}/{connector['id']}"

    assert cpo.request(method, url, older, to="NL*HUB").codes == (200, 2001)

    assert connector in _shown(emsp, "locations")["evses"][0]["connectors"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_token_keeps_its_spelling(cpo: Person, emsp: Person, document: Document, method: str) -> None:
    token = document("token_rfid", uid="Ab1", country_code="DE", party_id="EMS")
    assert emsp.put(f"{AT}/tokens/DE/EMS/Ab1", token, to="NL*HUB").status_code == 1000
    change = {**_lower(token, "uid", "country_code", "party_id"), "valid": False, "last_updated": LATER}
    if method == "PATCH":
        change = {name: change[name] for name in ("uid", "country_code", "party_id", "valid", "last_updated")}

    assert emsp.request(method, f"{AT}/tokens/de/ems/aB1", change, to="NL*HUB").status_code == 1000

    assert _shown(cpo, "tokens") == {**token, "valid": False, "last_updated": LATER}
    [path] = set(Delivery.objects.values_list("path", flat=True))
    assert path == "DE/EMS/Ab1"
