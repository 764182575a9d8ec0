"""Every example file of the specification, through the front door: stored under its owner and given back without loss.

One test per file. What is refused is refused for the reason its README gives; what is changed on the way is said here.
The files are not ours to publish (CC BY-ND); where they are not, these tests are not either.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emsp.models import Tariff
from ocpi.models import Party
from ocpi.v2_2_1 import versions
from tests.answers import OcpiAnswer
from tests.fixtures import Partner, Side
from tests.people import Person
from tests.platforms import Listener

EXAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ocpi-2.2.1-examples"
NAMES = sorted(file.stem for file in EXAMPLES.glob("*.json"))
pytestmark = pytest.mark.skipif(not NAMES, reason="the specification's examples are not here")
LATER = "2030-01-01T00:00:00Z"


def text_of(name: str) -> str:
    return (EXAMPLES / f"{name}.json").read_text(encoding="utf-8")


def exact(text: str) -> Any:
    """Read JSON so that no digit is lost: 4.00 is not 4.0."""
    return json.loads(text, parse_float=lambda digits: f"number {digits}", parse_int=lambda digits: f"number {digits}")


def data_of(answer: OcpiAnswer) -> Any:
    assert answer.ok, answer.message
    return exact(answer.text)["data"]


def of(prefix: str) -> list[str]:
    return [name for name in NAMES if name.startswith(prefix) and name not in REFUSED and "_patch_" not in name]


REFUSED = {
    "location_put_example_add_evse": "connectors[0].power_type: is required",
    "tariff_put_example": "last_updated: is required",
}
LOCATIONS, SESSIONS, TARIFFS, CDRS = of("location_example"), of("session_example"), of("tariff"), of("cdr_")
TOKENS, CREDENTIALS = of("token_"), of("credentials_")
# Parts of a Location, and the member they are; the hours and the mix are whole objects or stand in one.
PARTS = {
    **{name: "opening_times" for name in NAMES if name.startswith(("location_hours", "location_regularhours"))},
    **{name: "energy_mix" for name in NAMES if name.startswith("location_energymix")},
    "type_displaytext_example": "directions",
}
PATCHES = {
    "location_patch_example_location": "",
    "location_patch_example_remove_evse": "/3256",
    "location_patch_example_status": "/3256",
    "location_patch_example_tariff": "/3256/1",
}
SESSION_PATCHES = [name for name in NAMES if name.startswith("session_patch")]
ENVELOPES = [name for name in NAMES if name.startswith(("transport_", "versions_", "version_"))]


def test_no_file_is_left_out() -> None:
    tried = [*LOCATIONS, *SESSIONS, *TARIFFS, *CDRS, *TOKENS, *CREDENTIALS, *PARTS, *PATCHES, *SESSION_PATCHES,
             *ENVELOPES, *REFUSED, "token_patch_example"]  # fmt: skip

    assert sorted(tried) == NAMES
    assert len(NAMES) == 59


@pytest.fixture
def owner(side: Side, partner: Partner) -> Callable[[Any], Person]:
    """Make us the eMSP an object is for, and return its CPO."""

    def become(body: Any) -> Person:
        token = body.get("cdr_token") or {"country_code": "DE", "party_id": "EMS"}
        side("emsp", parties=[f"{token['country_code']}*{token['party_id']}:EMSP"])
        return partner(f"{body['country_code']}*{body['party_id']}:CPO")

    return become


def url_of(module: str, body: Any) -> str:
    return f"emsp/2.2.1/{module}/{body['country_code']}/{body['party_id']}/{body['id']}"


def put(cpo: Person, module: str, text: str) -> str:
    """Push an object as it stands in its file; return its URL."""
    url = url_of(module, json.loads(text))
    answer = cpo.put(url, text.encode())
    assert answer.codes == (201, 1000), answer.message
    return url


@pytest.mark.req("LOC-03", "LOC-04", "TRN-114")
@pytest.mark.parametrize("name", LOCATIONS)
def test_a_location(owner: Callable[[Any], Person], name: str) -> None:
    text = text_of(name)
    cpo = owner(json.loads(text))

    stored = data_of(cpo.get(put(cpo, "locations", text)))

    assert stored == newest_on_top(exact(text))


@pytest.mark.req("SES-04", "SES-05")
@pytest.mark.parametrize("name", SESSIONS)
def test_a_session(owner: Callable[[Any], Person], name: str) -> None:
    text = text_of(name)
    cpo = owner(json.loads(text))

    assert data_of(cpo.get(put(cpo, "sessions", text))) == exact(text)


@pytest.mark.req("TAR-02", "TAR-03", "PIT-43")
@pytest.mark.parametrize("name", TARIFFS)
def test_a_tariff(owner: Callable[[Any], Person], name: str) -> None:
    text = text_of(name)
    cpo = owner(json.loads(text))

    assert data_of(cpo.get(put(cpo, "tariffs", text))) == exact(text)


@pytest.mark.req("CDR-02", "CDR-04", "PIT-33")
@pytest.mark.parametrize("name", CDRS)
def test_a_cdr(owner: Callable[[Any], Person], name: str) -> None:
    """It has latitude and longitude in each other's place and an early last_updated; that is its owner's affair."""
    text = text_of(name)
    cpo = owner(json.loads(text))

    posted = cpo.post("emsp/2.2.1/cdrs", text.encode())

    assert posted.codes == (201, 1000), posted.message
    assert data_of(cpo.get(posted.headers["Location"])) == exact(text)


@pytest.mark.req("TOK-03", "TOK-04", "PIT-47")
@pytest.mark.parametrize("name", TOKENS)
def test_a_token(side: Side, partner: Partner, name: str) -> None:
    text = text_of(name)
    body = json.loads(text)
    side("cpo", parties=["NL*CPX:CPO"])
    emsp = partner(f"{body['country_code']}*{body['party_id']}:EMSP")
    url = f"cpo/2.2.1/tokens/{body['country_code']}/{body['party_id']}/{body['uid']}"

    assert emsp.put(url, text.encode(), query={"type": body["type"]}).codes == (201, 1000)

    assert data_of(emsp.get(url, query={"type": body["type"]})) == exact(text)


@pytest.mark.req("CRED-02", "CRED-47", "CRED-49", "CRED-50")
@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials(side: Side, invited: Person, listener: Listener, name: str) -> None:
    """Its url is one of example.com, which cannot be asked: it is replaced by one that can."""
    side("emsp", parties=["DE*EMS:EMSP"])
    body = json.loads(text_of(name))
    roles = [(role["role"], role["country_code"], role["party_id"]) for role in body["roles"]]

    answer = invited.post("2.2.1/credentials", body | {"url": listener.versions_url})

    assert answer.codes == (200, 1000), answer.message
    stored = Party.objects.filter(platform=invited.platform, through_hub=False)
    assert sorted(stored.values_list("role", "country_code", "party_id")) == sorted(roles)
    details = {party.party_id: party.business_details for party in stored}
    assert details == {role["party_id"]: role["business_details"] for role in body["roles"]}


@pytest.mark.req("LOC-04", "LOC-57")
@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_location(owner: Callable[[Any], Person], name: str) -> None:
    member, part = PARTS[name], text_of(name)
    found = json.loads(part)
    inner = found.get(member, found) if member != "directions" else [found]
    body = json.loads(text_of("location_example")) | {member: inner}
    cpo = owner(body)

    stored = data_of(cpo.get(put(cpo, "locations", json.dumps(body))))

    expected = exact(part)
    assert stored[member] == (expected.get(member, expected) if member != "directions" else [expected])


@pytest.mark.req("LOC-05", "LOC-10", "LOC-25", "LOC-32", "LOC-33")
@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_of_a_location(owner: Callable[[Any], Person], name: str) -> None:
    whole, patch, below = text_of("location_example"), text_of(name), PATCHES[name]
    cpo = owner(json.loads(whole))
    url = put(cpo, "locations", whole)
    before = data_of(cpo.get(url + below))

    answer = cpo.patch(url + below, patch.encode())

    assert answer.codes == (200, 1000), answer.message
    assert data_of(cpo.get(url + below)) == before | exact(patch)
    assert data_of(cpo.get(url))["last_updated"] == exact(patch)["last_updated"]


@pytest.mark.req("SES-06", "SES-29", "PIT-32")
@pytest.mark.parametrize("name", SESSION_PATCHES)
def test_a_patch_of_a_session(owner: Callable[[Any], Person], name: str) -> None:
    """It is of 2019 and the Session of 2020, so the Session is made older; a volume in Wh is its owner's affair."""
    session = json.loads(text_of("session_example_1_simple_start")) | {"last_updated": "2019-01-01T00:00:00Z"}
    cpo = owner(session)
    url = put(cpo, "sessions", json.dumps(session))

    answer = cpo.patch(url, text_of(name).encode())

    assert answer.codes == (200, 1000), answer.message
    assert data_of(cpo.get(url)) == exact(json.dumps(session)) | exact(text_of(name))


@pytest.mark.req("TOK-05", "TOK-12")
def test_the_patch_of_a_token(side: Side, partner: Partner) -> None:
    text = text_of("token_put_example")
    body = json.loads(text)
    side("cpo", parties=["NL*CPX:CPO"])
    emsp = partner(f"{body['country_code']}*{body['party_id']}:EMSP")
    url = f"cpo/2.2.1/tokens/{body['country_code']}/{body['party_id']}/{body['uid']}"
    emsp.put(url, text.encode())

    answer = emsp.patch(url, text_of("token_patch_example").encode())

    assert answer.codes == (200, 1000), answer.message
    assert data_of(emsp.get(url)) == exact(text) | exact(text_of("token_patch_example"))


@pytest.mark.req("LOC-21", "PIT-40")
def test_the_evse_that_breaks_its_table(owner: Callable[[Any], Person]) -> None:
    """`floor` is nobody's member and a number is as good as its text, but a Connector without power is none."""
    name = "location_put_example_add_evse"
    whole = text_of("location_example")
    cpo = owner(json.loads(whole))
    url = put(cpo, "locations", whole)
    before = data_of(cpo.get(url))

    answer = cpo.put(f"{url}/3256", text_of(name).encode())

    assert (answer.codes, answer.message) == ((200, 2001), REFUSED[name])
    assert data_of(cpo.get(url)) == before

    evse = json.loads(text_of(name))
    connector = json.loads(whole)["evses"][0]["connectors"][0]
    evse["connectors"] = [connector | evse["connectors"][0]]
    taken = cpo.put(f"{url}/3256", evse)

    assert taken.codes == (200, 1000), taken.message
    assert cpo.get(f"{url}/3256").data["physical_reference"] == "3"
    assert cpo.get(f"{url}/3256").data["floor"] == -1


@pytest.mark.req("TAR-03", "TRN-082")
def test_the_tariff_that_breaks_its_table(owner: Callable[[Any], Person]) -> None:
    name = "tariff_put_example"
    body = json.loads(text_of(name))
    cpo = owner(body)

    answer = cpo.put(url_of("tariffs", body), text_of(name).encode())

    assert (answer.codes, answer.message) == ((200, 2001), REFUSED[name])
    assert cpo.get(url_of("tariffs", body)).codes == (404, 2000)


@pytest.mark.req("VER-01", "VER-02", "VER-06")
@pytest.mark.parametrize("name", ENVELOPES)
def test_what_only_a_client_reads(name: str) -> None:
    """Answers of version endpoints and of a Sender: nothing of a partner's is pushed with them."""
    found = json.loads(text_of(name))
    data = found.get("data", found) if isinstance(found, dict) else found
    body = json.dumps(data).encode()

    if isinstance(data, list) and "url" in data[0]:
        read = versions.known_versions(body)
        assert [(each.version, each.url) for each in read] == [(each["version"], each["url"]) for each in data]
    elif isinstance(data, dict) and "endpoints" in data:
        endpoints = versions.known_details(body).endpoints
        listed = [(each["identifier"], each["role"], each["url"]) for each in data["endpoints"]]
        assert [(each.identifier, each.role, each.url) for each in endpoints] == listed
    else:
        tokens = data if isinstance(data, list) else [data]
        assert {each["type"] for each in tokens} == {"RFID"}
        assert found["status_code"] == 1000


@pytest.mark.req("PIT-49", "TRN-096")
def test_all_tariffs_in_one_store_overwrite_some(owner: Callable[[Any], Person]) -> None:
    bodies = sorted((json.loads(text_of(name)) for name in TARIFFS), key=lambda body: str(body["last_updated"]))
    cpo = owner(bodies[0])
    assert {(body["country_code"], body["party_id"]) for body in bodies} == {("DE", "ALL")}

    answers = [cpo.put(url_of("tariffs", body), body) for body in bodies]

    assert {answer.status_code for answer in answers} == {1000}
    last = {body["id"]: body for body in bodies}
    assert len(last) < len(bodies)
    assert {row.object_id: json.loads(row.document) for row in Tariff.objects.all()} == last


@pytest.mark.req("PIT-50")
def test_the_client_info_in_the_text_is_no_json_and_all_is_a_party(side: Side, hub: Person) -> None:
    """The example of a PUT has a comma after its last member and no last_updated; ALL in it is a party's id."""
    side("emsp", parties=["DE*EMS:EMSP"])
    url = "2.2.1/hubclientinfo/NL/ALL"
    members = '"country_code": "NL", "party_id": "ALL", "role": "CPO", "status": "PLANNED"'

    comma, dateless = hub.put(url, f"{{{members},}}".encode()), hub.put(url, f"{{{members}}}".encode())
    taken = hub.put(url, f'{{{members}, "last_updated": "{LATER}"}}'.encode())

    assert comma.codes == (400, 2000)
    assert (dateless.codes, dateless.message) == ((200, 2001), "last_updated: is required")
    assert taken.codes == (201, 1000)
    assert [str(party) for party in Party.objects.filter(through_hub=True)] == ["NL*ALL:CPO"]


def newest_on_top(body: dict[str, Any]) -> dict[str, Any]:
    """Return a Location with the one thing that a receiver changes: none is older than its parts (LOC-12)."""
    for evse in body.get("evses", []):
        evse["last_updated"] = max([evse["last_updated"], *(each["last_updated"] for each in evse["connectors"])])
    stamps = [evse["last_updated"] for evse in body.get("evses", [])]
    return {**body, "last_updated": max([body["last_updated"], *stamps])}
