"""The specification's own examples: those that conform are accepted, the others refused by the field that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocpi import documents, enums, status
from ocpi.v2_2_1 import cdrs, checking, credentials, locations, sessions, tariffs, tokens, types, versions

EXAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ocpi-2.2.1-examples"
REAL_LOCATIONS = EXAMPLES.parent / "real-locations" / "bnetza-918.json"
# The beginning of the file name → module, level, whether it is the body of a PATCH. The first that fits counts.
KINDS: tuple[tuple[str, Any, str, bool], ...] = (
    ("cdr_", cdrs, "CDR", False),
    ("credentials_", credentials, "Credentials", False),
    ("location_example", locations, "Location", False),
    ("location_patch_example_location", locations, "Location", True),
    ("location_patch_example_tariff", locations, "Connector", True),
    ("location_patch_", locations, "EVSE", True),
    ("location_put_", locations, "EVSE", False),
    ("session_patch_", sessions, "Session", True),
    ("session_", sessions, "Session", False),
    ("tariff", tariffs, "Tariff", False),
    ("token_patch_", tokens, "Token", True),
    ("token_", tokens, "Token", False),
)
BREAKING = {
    "location_put_example_add_evse": "connectors[0].power_type: is required",
    "tariff_put_example": "last_updated: is required",
}
BEGINNINGS = tuple(beginning for beginning, *_ in KINDS)
names = sorted(path.stem for path in EXAMPLES.glob("*.json"))
WHOLE = [name for name in names if name.startswith(BEGINNINGS) and name not in BREAKING]
pytestmark = pytest.mark.skipif(not names, reason="the examples of the specification are not here")


def kind_of(name: str) -> tuple[Any, str, bool]:
    return next((file, level, patch) for beginning, file, level, patch in KINDS if name.startswith(beginning))


def body_of(name: str) -> bytes:
    return (EXAMPLES / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", WHOLE)
def test_a_conforming_example_is_accepted_and_survives(name: str) -> None:
    file, level, partial = kind_of(name)
    body = body_of(name)

    file.check(body, level, partial=partial, strict=True)

    stored, _ = file.check_leniently(body, level, partial=partial)
    assert stored is body
    assert json.loads(documents.text(documents.members(file.write(file.read(body.decode()))))) == json.loads(body)


@pytest.mark.req("TRN-082", "LOC-21")
@pytest.mark.parametrize("name", BREAKING)
def test_an_example_that_breaks_a_table_is_refused_by_its_field(name: str) -> None:
    file, level, _ = kind_of(name)

    with pytest.raises(status.InvalidParameters) as refused:
        file.check_leniently(body_of(name), level)

    assert refused.value.message == BREAKING[name]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("location_hours_247_open_exception_closing", locations.Hours),
        ("location_hours_opening_hours_with_exceptional_closing", locations.Hours),
        ("location_hours_opening_hours_with_exceptional_opening", locations.Hours),
        ("type_displaytext_example", types.DisplayText),
        ("version_details_example", versions.VersionDetails),
        ("version_details_example2", versions.VersionDetails),
        ("transport_and_format_get_token_example", types.Envelope),
        ("transport_and_format_get_token_list_example", types.Envelope),
        ("transport_and_format_version_details_example", types.Envelope),
        ("transport_and_format_version_info_example", types.Envelope),
    ],
)
def test_a_class_reads_its_example(name: str, kind: type[types.Object]) -> None:
    assert isinstance(checking.load(kind, body_of(name)), kind)


@pytest.mark.parametrize(
    ("name", "member", "kind"),
    [
        ("location_energymix_example_complete", "energy_mix", locations.EnergyMix),
        ("location_energymix_example_energy_provider", "energy_mix", locations.EnergyMix),
        ("location_energymix_example_simple", "energy_mix", locations.EnergyMix),
        ("location_regularhours_example", "opening_times", locations.Hours),
    ],
)
def test_a_class_reads_the_fragment_of_an_example(name: str, member: str, kind: type[types.Object]) -> None:
    fragment = documents.members(body_of(name))[member]

    assert isinstance(checking.load(kind, bytes(fragment)), kind)


@pytest.mark.skipif(not REAL_LOCATIONS.exists(), reason="the real Locations are not here")
def test_real_locations_are_accepted() -> None:
    for location in documents.elements(REAL_LOCATIONS.read_bytes()):
        locations.check(bytes(location), "Location", strict=True)


@pytest.mark.req("VER-17")
def test_unknown_versions_of_a_partner_are_left_out() -> None:
    body = b'[{"version":"2.3.0","url":"https://x/2.3.0"},{"version":"2.2.1","url":"https://x/2.2.1"}]'

    assert [entry.version for entry in versions.known_versions(body)] == ["2.2.1"]
    assert versions.known_versions(b'[{"version":[]},{"version":2.2}]') == []
    with pytest.raises(status.InvalidParameters, match="url: is required"):
        versions.known_versions(b'[{"version":"2.2.1"}]')
    with pytest.raises(status.InvalidParameters, match="must be a list"):
        versions.known_versions(b'{"version":"2.2.1","endpoints":[]}')


@pytest.mark.req("VER-17", "PIT-11", "QRK-09")
def test_unknown_modules_of_a_partner_are_left_out() -> None:
    details = (
        '{"version":"2.2.1","endpoints":[{"identifier":"nltnm-tokens","role":"SENDER","url":"https://x/a"},'
        '{"identifier":"tokens","role":"receiver","url":"https://x/b"}]}'
    )

    for body in (details, f"[{details}]"):
        (endpoint,) = versions.known_details(body.encode()).endpoints
        assert (endpoint.identifier, endpoint.role) == (enums.ModuleID.tokens, enums.InterfaceRole.RECEIVER)
