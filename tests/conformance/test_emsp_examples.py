"""The specification's own example objects and our sample data, pushed and read back: nothing is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ocpi import sample_data
from ocpi.v2_2_1 import cdrs, locations, sessions, tariffs
from tests.fixtures import Partner, Side
from tests.people import Person

# The files are not ours to publish (CC BY-ND); where they are not, these tests are not either.
EXAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ocpi-2.2.1-examples"
_KINDS = {
    "location_example": (locations, "Location", "locations"),
    "session_example": (sessions, "Session", "sessions"),
    "tariff_": (tariffs, "Tariff", "tariffs"),
    "cdr_example": (cdrs, "CDR", "cdrs"),
}


def examples() -> list[Any]:
    found = []
    for prefix, (schema, level, module) in _KINDS.items():
        for file in sorted(EXAMPLES.glob(f"{prefix}*.json")):
            try:
                schema.check(file.read_bytes(), level, strict=True)
            except Exception:  # noqa: S112 - a file that breaks its own table is no example to go by
                continue
            found.append(pytest.param(module, file, id=file.stem))
    return found


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the specification's examples are not here")
@pytest.mark.req("TRN-114", "LOC-04", "SES-05", "TAR-03", "CDR-02")
@pytest.mark.parametrize(("module", "file"), examples())
def test_an_example_of_the_specification_is_read_back_as_it_was(
    side: Side, partner: Partner, module: str, file: Path
) -> None:
    body = json.loads(file.read_bytes())
    token = body.get("cdr_token") or {"country_code": "DE", "party_id": "EMS"}
    side("emsp", parties=[f"{token['country_code']}*{token['party_id']}:EMSP"])
    cpo = partner(f"{body['country_code']}*{body['party_id']}:CPO")

    assert push(cpo, module, body) == newest_on_top(body)


@pytest.mark.usefixtures("emsp_side")
@pytest.mark.req("TRN-114", "LOC-04", "SES-05", "TAR-03", "CDR-02")
@pytest.mark.parametrize("module", ["locations", "sessions", "tariffs", "cdrs"])
def test_generated_objects_are_read_back_as_they_were(cpo: Person, module: str) -> None:
    drawn_objects: dict[str, Iterable[Any]] = {
        "locations": sample_data.locations(25),
        "sessions": sample_data.sessions(25),
        "tariffs": sample_data.tariffs("NL", "TNM"),
        "cdrs": sample_data.cdrs(25),
    }
    for drawn in drawn_objects[module]:
        body = json.loads(sample_data.dumps(drawn))
        assert push(cpo, module, body) == body


def push(cpo: Person, module: str, body: dict[str, Any]) -> Any:
    """Push an object as its module has it, and return what the receiver has then."""
    path = f"emsp/2.2.1/{module}"
    if module == "cdrs":
        answer = cpo.post(path, body)
        url = answer.headers.get("Location", "")
    else:
        url = f"{path}/{body['country_code']}/{body['party_id']}/{body['id']}"
        answer = cpo.put(url, body)
    assert answer.codes == (201, 1000), answer.message
    return cpo.get(url).data


def newest_on_top(body: dict[str, Any]) -> dict[str, Any]:
    """Return the object with the one thing that a receiver changes: no Location is older than its parts (LOC-12)."""
    for evse in body.get("evses", []):
        evse["last_updated"] = max([evse["last_updated"], *(each["last_updated"] for each in evse["connectors"])])
    stamps = [evse["last_updated"] for evse in body.get("evses", [])]
    return {**body, "last_updated": max([body["last_updated"], *stamps])}
