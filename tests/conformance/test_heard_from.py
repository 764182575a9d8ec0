"""Whoever sends us a valid request is CONNECTED, at whichever door it comes in."""

from __future__ import annotations

import pytest

from hub.models import Callback
from ocpi import snapshot
from ocpi.models import Platform
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener, eventually


@pytest.mark.req("REL-38", "REL-39", "HUB-85")
@pytest.mark.usefixtures("hub_side", "front_door")
@pytest.mark.parametrize("what", ["a push", "a result"])
def test_whoever_was_away_is_connected_with_its_first_request(
    cpo: Person, partner: Partner, listener: Listener, what: str
) -> None:
    emsp, key = partner("DE*EMS:EMSP", listener=listener), "k" * 43
    Callback.objects.create(
        key=key, kind="RESPONSE_URL", url=f"{listener.url}/theirs", owner_id=emsp.id, caller_id=cpo.id,
        module="commands", correlation_id="c",
    )  # fmt: skip
    Platform.objects.filter(pk=cpo.id).update(connection="OFFLINE", failures=3)
    snapshot.changed()

    if what == "a result":
        answer = cpo.post(f"hub/2.2.1/callbacks/{key}", {"result": "ACCEPTED"}, documented=False)
    else:
        answer = cpo.patch("hub/2.2.1/receiver/sessions/NL/TNM/S1", {"kwh": 1}, to="DE*EMS")

    assert answer.codes == (200, 1000)
    eventually(lambda: Platform.objects.get(pk=cpo.id).connection == "CONNECTED")
