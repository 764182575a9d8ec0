"""Our sample data, pushed and read back: nothing is lost on the way. The specification's: its own file beside this."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from ocpi import sample_data
from tests.people import Person


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
