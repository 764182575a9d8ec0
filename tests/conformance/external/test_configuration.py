"""Versions, version details, credentials (OCPI 2.2.1, Versions, Credentials). Nothing here changes a registration."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.conformance.external.cases import OURS, SHOULD
from tests.conformance.external.tables import faults, tables
from tests.conformance.external.target import Target


@pytest.mark.req("VER-01", "VER-03", "TRN-028")
def test_the_versions_are_a_list(target: Target) -> None:
    data = target.get(target.versions_url).data

    assert isinstance(data, list)
    assert data
    for each in data:
        assert isinstance(each.get("version"), str)
        assert urlsplit(each.get("url", "")).scheme in ("http", "https")


@pytest.mark.req("VER-01")
def test_no_version_is_listed_twice(target: Target) -> None:
    versions = [each["version"] for each in target.get(target.versions_url).data]

    assert len(versions) == len(set(versions))


@pytest.mark.req("VER-02", "VER-06", "TRN-029")
def test_the_details_are_one_object(target: Target) -> None:
    data = target.get(target.details_url).data

    assert isinstance(data, dict), data
    assert data["version"] == target.version
    for each in data["endpoints"]:
        assert each["role"] in ("SENDER", "RECEIVER"), each
        assert urlsplit(each["url"]).netloc, each


@pytest.mark.req("VER-07")
def test_no_interface_is_listed_twice(target: Target) -> None:
    listed = [(each["identifier"], each["role"]) for each in target.get(target.details_url).data["endpoints"]]

    assert len(listed) == len(set(listed)), listed


@pytest.mark.req("VER-09", "VER-11")
def test_credentials_are_listed_once(target: Target) -> None:
    listed = [each for each in target.get(target.details_url).data["endpoints"] if each["identifier"] == "credentials"]

    assert len(listed) == 1, listed


@pytest.mark.level(SHOULD)
@pytest.mark.req("VER-10")
def test_the_role_of_the_credentials_endpoint_is_sender(target: Target) -> None:
    assert ("credentials", "SENDER") in target.endpoints


@pytest.mark.level(SHOULD)
@pytest.mark.req("VER-16", "VER-20")
def test_identifiers_are_modules_or_have_a_partys_prefix(target: Target) -> None:
    odd = [module for module, _ in target.endpoints if module not in tables()[1]["ModuleID"] and module[5:6] != "-"]

    assert not odd, odd


@pytest.mark.req("VER-13")
@pytest.mark.parametrize(
    ("interface", "needed"),
    [(("commands", "RECEIVER"), "locations"), (("commands", "RECEIVER"), "sessions"),
     (("chargingprofiles", "RECEIVER"), "sessions"), (("locations", "RECEIVER"), "tariffs")],
)  # fmt: skip
def test_a_module_comes_with_those_it_depends_on(target: Target, interface: tuple[str, str], needed: str) -> None:
    if interface not in target.endpoints:
        pytest.skip(f"{interface[0]} {interface[1]} is not advertised")

    assert needed in {module for module, _ in target.endpoints}


@pytest.mark.level(OURS)
@pytest.mark.req("VER-22")
def test_the_details_are_the_same_twice(target: Target) -> None:
    assert target.get(target.details_url).data == target.get(target.details_url).data


@pytest.mark.level(OURS)
@pytest.mark.req("VER-23")
def test_no_url_follows_the_host_header(target: Target) -> None:
    plain = target.get(target.details_url)

    other = target.get(target.details_url, headers={"Host": "elsewhere.example"})

    assert "elsewhere.example" not in other.text
    assert other.http in (400, 404, 421) or other.data == plain.data


@pytest.mark.level(SHOULD)
@pytest.mark.req("TRN-124")
def test_urls_name_the_version(target: Target) -> None:
    without = [url for url in target.endpoints.values() if target.version not in url]

    assert not without, without


@pytest.mark.req("CRED-01", "CRED-46", "CRED-47", "TRN-029")
def test_the_credentials_are_those_of_the_platform(target: Target) -> None:
    data = target.get(target.credentials_url).data

    assert not list(faults("Credentials", data)), list(faults("Credentials", data))
    assert data["url"].rstrip("/") == target.versions_url.rstrip("/")


@pytest.mark.req("CRED-45")
def test_the_token_in_the_credentials_is_plain_and_printable(target: Target) -> None:
    token = target.get(target.credentials_url).data["token"]
    length, odd = len(token), [character for character in token if not "!" <= character <= "~"]

    assert length <= 64
    assert not odd


@pytest.mark.level(OURS)
@pytest.mark.req("CRED-58", "PIT-07")
def test_the_credentials_hold_the_callers_token(target: Target) -> None:
    same = target.get(target.credentials_url).data["token"] == target.token

    assert same, "the token in it is another one"  # and neither is shown


@pytest.mark.req("CRED-48", "CRED-55")
def test_each_role_occurs_once_and_a_hub_is_nothing_else(target: Target) -> None:
    roles = [(role["role"], role["country_code"].upper(), role["party_id"].upper())
             for role in target.get(target.credentials_url).data["roles"]]  # fmt: skip

    assert len(roles) == len(set(roles)), roles
    assert "HUB" not in {role for role, *_ in roles} or len(roles) == 1, roles


@pytest.mark.req("CRED-19", "CRED-20")
def test_who_is_registered_cannot_register_again(target: Target) -> None:
    """Nothing changes: the body is not even a Credentials object."""
    answer = target.request("POST", target.credentials_url, {})

    assert answer.http == 405, answer.shown
