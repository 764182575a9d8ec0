"""Every door reads JSON with the one strict reader: what a schema would let through is refused all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emsp.models import Command
from hub.models import Callback
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

pytestmark = pytest.mark.req("SEC-46")
DARK = ['"x_unknown":1,"x_unknown":2', '"x_unknown":"\\u0000"', '"x_unknown":' + "[" * 33 + "]" * 33]


def with_more(told: Any, more: str) -> bytes:
    return (json.dumps(told)[:-1] + "," + more + "}").encode()


@pytest.mark.parametrize("more", DARK)
def test_an_emsp_refuses_it(emsp_side: None, cpo: Person, document: Document, more: str) -> None:
    tariff, cdr = document("tariff", id="T1"), document("cdr")

    assert cpo.put("emsp/2.2.1/tariffs/NL/TNM/T1", with_more(tariff, more)).codes == (400, 2000)
    assert cpo.post("emsp/2.2.1/cdrs", with_more(cdr, more)).codes == (400, 2000)
    assert cpo.put("emsp/2.2.1/tariffs/NL/TNM/T1", with_more(tariff, '"x_unknown":1')).codes == (201, 1000)


@pytest.mark.parametrize("door", ["hub_side", "in_lane"])
@pytest.mark.parametrize("slashes", ["/", "//"])  # what is odd is read more slowly
@pytest.mark.parametrize("more", DARK)
def test_a_hub_refuses_it(
    request: pytest.FixtureRequest, hub_side: None, cpo: Person, document: Document, door: str, slashes: str, more: str
) -> None:
    request.getfixturevalue(door)
    where, tariff = f"hub/2.2.1/receiver{slashes}tariffs/NL/TNM/T1", document("tariff", id="T1")

    assert cpo.put(where, with_more(tariff, more)).codes == (400, 2000)
    assert cpo.put(where, with_more(tariff, '"x_unknown":1')).codes == (201, 1000)


@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("more", DARK)
def test_a_hub_refuses_it_in_a_result_and_passes_nothing_on(
    hub_side: None, cpo: Person, partner: Partner, listener: Listener, more: str
) -> None:
    owner, key = partner("DE*EMS:EMSP", listener=listener), "k" * 43
    Callback.objects.create(
        key=key, kind="RESPONSE_URL", url=f"{listener.url}/theirs", owner_id=owner.id, caller_id=cpo.id,
        module="commands", correlation_id="c",
    )  # fmt: skip
    where, result = f"hub/2.2.1/callbacks/{key}", {"result": "ACCEPTED"}

    assert cpo.post(where, with_more(result, more), documented=False).codes == (400, 2000)
    too_long = b'{"result":"ACCEPTED"}' + b" " * (1 << 20)
    assert cpo.post(where, too_long, documented=False).codes == (400, 2000)
    assert cpo.post(where, result, documented=False, headers={"Content-Encoding": "gzip"}).codes == (415, 2000)
    assert listener.received("POST") == []
    assert cpo.post(where, with_more(result, '"x_unknown":1'), documented=False).codes == (200, 1000)


@pytest.mark.parametrize("more", DARK)
def test_an_emsp_refuses_it_in_a_result_and_waits_on(emsp_side: None, cpo: Person, more: str) -> None:
    command = Command.objects.create(
        key="k" * 43, command="START_SESSION", platform_id=cpo.id, state="ACCEPTED", correlation_id="c", request="{}",
    )  # fmt: skip
    where, result = f"emsp/2.2.1/commands/START_SESSION/{command.key}", {"result": "ACCEPTED"}

    assert cpo.post(where, with_more(result, more)).codes == (400, 2000)
    profiles = "emsp/2.2.1/chargingprofiles"
    assert cpo.post(f"{profiles}/results/ChargingProfileResult/k", with_more(result, more)).codes == (400, 2000)
    assert cpo.put(f"{profiles}/S1", with_more({"start_date_time": "x"}, more)).codes == (400, 2000)
    command.refresh_from_db()
    assert command.state == "ACCEPTED"
    assert cpo.post(where, with_more(result, '"x_unknown":1')).codes == (200, 1000)
