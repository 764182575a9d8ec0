"""Versions and version details: where every other URL is found, for whoever shows a valid token."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from ocpi.enums import InterfaceRole, ModuleID, VersionNumber
from tests.fixtures import Document, Partner, Side
from tests.people import Person

PLACES = pytest.mark.parametrize(
    ("sides", "parties"),
    [
        (["hub"], ["NL*HUB:HUB"]),
        (["cpo"], ["NL*TNM:CPO"]),
        (["emsp"], ["DE*EMS:EMSP"]),
        (["cpo", "emsp"], ["NL*TNM:CPO", "DE*EMS:EMSP"]),
    ],
    ids=lambda value: "+".join(value),
)
Interfaces = dict[tuple[str, str], str]


@pytest.fixture
def partner_here(partner: Partner) -> Person:
    return partner("FR*CPX:CPO", "FR*CPX:EMSP")


def interfaces(person: Person) -> Interfaces:
    """Return the endpoints of our version details by identifier and role, none twice."""
    versions = person.get("versions").data
    listed = person.get(versions[0]["url"]).data["endpoints"]
    found = {(entry["identifier"], entry["role"]): entry["url"] for entry in listed}
    assert len(found) == len(listed)
    return found


@pytest.mark.req("VER-01", "VER-03", "TRN-028")
@PLACES
def test_versions_are_a_list_of_number_and_url(
    sides: list[str], parties: list[str], side: Side, partner_here: Person
) -> None:
    side(*sides, parties=parties)

    answer = partner_here.get("versions")

    assert answer.codes == (200, 1000)
    assert answer.data == [{"version": "2.2.1", "url": "http://127.0.0.1:8000/ocpi/2.2.1"}]


@pytest.mark.req("VER-02", "VER-03", "VER-06", "TRN-029")
@PLACES
def test_version_details_are_one_object_with_endpoints(
    sides: list[str], parties: list[str], side: Side, partner_here: Person
) -> None:
    side(*sides, parties=parties)

    answer = partner_here.get("2.2.1")

    assert answer.codes == (200, 1000)
    assert set(answer.data) == {"version", "endpoints"}
    assert answer.data["version"] == "2.2.1"
    assert len(answer.data["endpoints"]) > 1
    for endpoint in answer.data["endpoints"]:
        assert set(endpoint) == {"identifier", "role", "url"}
        assert endpoint["role"] in set(InterfaceRole)
        assert endpoint["url"].startswith("http://127.0.0.1:8000/ocpi/")


@pytest.mark.req("VER-05", "PIT-04", "TRN-008")
@pytest.mark.parametrize("path", ["versions", "2.2.1"])
def test_versions_need_a_token(hub_side: None, path: str, cpo: Person, invited: Person, stranger: Person) -> None:
    assert stranger.get(path).codes == (401, 2000)
    assert cpo.get(path, headers={"Authorization": None}).codes == (401, 2000)
    assert cpo.get(path).codes == (200, 1000)
    assert invited.get(path).codes == (200, 1000)


@pytest.mark.req("VER-07", "VER-08")
def test_a_hub_lists_both_interfaces_of_a_module_with_their_own_urls(
    hub_side: None, cpo: Person, emsp: Person, document: Document
) -> None:
    found = interfaces(cpo)

    assert found[("locations", "SENDER")] != found[("locations", "RECEIVER")]
    # What it says it sends can be pulled, what it says it receives can be pushed.
    pushed = cpo.put(found[("locations", "RECEIVER")] + "/NL/TNM/LOC-UTR-0042", document("location"))
    assert pushed.codes == (201, 1000)
    assert [entry["id"] for entry in emsp.get(found[("locations", "SENDER")]).data] == ["LOC-UTR-0042"]


@pytest.mark.req("VER-08")
def test_a_cpo_sends_locations_and_receives_tokens(cpo_side: None, emsp: Person) -> None:
    found = interfaces(emsp)

    assert ("locations", "SENDER") in found
    assert ("locations", "RECEIVER") not in found
    assert ("tokens", "RECEIVER") in found
    assert ("tokens", "SENDER") not in found
    assert emsp.get(found[("locations", "SENDER")]).codes == (200, 1000)


@pytest.mark.req("VER-08")
def test_an_emsp_receives_locations_and_sends_tokens(emsp_side: None, cpo: Person) -> None:
    found = interfaces(cpo)

    assert ("locations", "RECEIVER") in found
    assert ("locations", "SENDER") not in found
    assert ("tokens", "SENDER") in found
    assert cpo.get(found[("tokens", "SENDER")]).codes == (200, 1000)


@pytest.mark.req("VER-12")
def test_one_document_covers_both_roles(both_sides: None, partner_here: Person) -> None:
    found = interfaces(partner_here)

    assert {("locations", "SENDER"), ("locations", "RECEIVER")} <= set(found)


@pytest.mark.req("VER-09", "VER-10", "VER-11", "CRED-07")
@PLACES
def test_credentials_is_listed_once_and_as_sender(
    sides: list[str], parties: list[str], side: Side, partner_here: Person
) -> None:
    side(*sides, parties=parties)

    found = [key for key in interfaces(partner_here) if key[0] == "credentials"]

    assert found == [("credentials", "SENDER")]


@pytest.mark.req("VER-13")
@PLACES
def test_modules_come_with_those_they_depend_on(
    sides: list[str], parties: list[str], side: Side, partner_here: Person
) -> None:
    side(*sides, parties=parties)

    found = interfaces(partner_here)

    modules = {identifier for identifier, _ in found}
    assert "commands" in modules
    assert {"locations", "sessions"} <= modules
    if ("locations", "RECEIVER") in found:
        assert ("tariffs", "RECEIVER") in found


@pytest.mark.req("VER-16", "VER-18", "VER-19")
@PLACES
def test_only_the_specifications_modules_are_listed(
    sides: list[str], parties: list[str], side: Side, partner_here: Person
) -> None:
    side(*sides, parties=parties)

    assert {identifier for identifier, _ in interfaces(partner_here)} <= {
        "cdrs", "chargingprofiles", "commands", "credentials", "hubclientinfo", "locations", "sessions", "tariffs",
        "tokens",
    }  # fmt: skip
    assert {str(number) for number in VersionNumber} == {"2.0", "2.1", "2.1.1", "2.2", "2.2.1"}
    assert len(ModuleID) == 9


@pytest.mark.req("VER-22")
def test_version_details_are_the_same_each_time(hub_side: None, cpo: Person) -> None:
    first, second = cpo.get("2.2.1").data, cpo.get("2.2.1").data

    assert first == second


@pytest.mark.req("VER-22", "HCI-01", "HCI-02")
def test_a_hub_sends_client_info_and_the_others_receive_it(side: Side, partner_here: Person) -> None:
    side("hub", parties=["NL*HUB:HUB"])
    assert ("hubclientinfo", "SENDER") in interfaces(partner_here)
    assert ("hubclientinfo", "RECEIVER") not in interfaces(partner_here)

    side("cpo", parties=["NL*TNM:CPO"])
    found = interfaces(partner_here)

    assert ("hubclientinfo", "RECEIVER") in found
    assert ("hubclientinfo", "SENDER") not in found


@pytest.mark.req("VER-22", "HUB-78", "HCI-02")
def test_a_hub_is_told_of_clients_by_other_hubs_alone(
    hub_side: None, hub: Person, invited: Person, partner: Partner
) -> None:
    another = partner("DE*HBX:HUB", state="INVITED", purpose="A", connection="PLANNED")
    seller = partner("NL*TNM:CPO", state="INVITED", purpose="A", connection="PLANNED")

    assert ("hubclientinfo", "RECEIVER") in interfaces(hub)
    assert ("hubclientinfo", "RECEIVER") in interfaces(another)
    assert ("hubclientinfo", "RECEIVER") in interfaces(invited)  # it has not said yet who it is
    assert ("hubclientinfo", "RECEIVER") not in interfaces(seller)


@pytest.mark.req("VER-23", "TRN-124")
def test_urls_come_from_the_setting_and_not_from_the_host_header(
    hub_side: None, cpo: Person, settings: Settings
) -> None:
    settings.OCPI_BASE_URL = "https://hub.example"
    settings.ALLOWED_HOSTS = ["*"]

    versions = cpo.get("versions", headers={"Host": "evil.example"})
    details = cpo.get("2.2.1", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})

    assert versions.data[0]["url"] == "https://hub.example/ocpi/2.2.1"
    assert "evil" not in versions.text + details.text
    for endpoint in details.data["endpoints"]:
        assert endpoint["url"].startswith("https://hub.example/ocpi/")
        assert "/2.2.1/" in endpoint["url"]


@pytest.mark.req("VER-24", "CRED-59")
@pytest.mark.parametrize("path", ["versions", "2.2.1", "2.2.1/credentials"])
def test_configuration_modules_carry_no_routing_headers(hub_side: None, cpo: Person, path: str) -> None:
    plain = cpo.get(path)
    routed = cpo.get(path, to="NL*HUB", sender="NL*TNM")
    nonsense = cpo.get(path, headers={"OCPI-from-country-code": "ZZ", "OCPI-from-party-id": "ZZZ"})

    for answer in (plain, routed, nonsense):
        assert answer.codes == (200, 1000)
        assert not [name for name in answer.headers if name.lower().startswith("ocpi-")]


@pytest.mark.req("TRN-021")
@pytest.mark.parametrize("path", ["versions", "2.2.1"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_versions_can_only_be_read(hub_side: None, cpo: Person, path: str, method: str) -> None:
    answer = cpo.request(method, path, {} if method != "DELETE" else None)

    assert answer.codes == (405, 2000)
    assert answer.headers["Allow"] == "GET"
