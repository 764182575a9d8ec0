"""The eMSP behind the web server that a hub has, too: Django answers everything, nothing is passed on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
from django.conf import settings

from emsp.models import Location
from hub.management.commands import run as run_command
from tests import front_doors
from tests.fixtures import Document, Partner
from tests.platforms import Listener
from tests.short_way import PREFERENCES, Answer, Served, request, run

SESSION = "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1"


@pytest.fixture
def served(emsp_side: None, monkeypatch: pytest.MonkeyPatch) -> Served:
    front_doors.use_lane(monkeypatch)
    return Served(monkeypatch)


@pytest.fixture
def ask(served: Served) -> Callable[[bytes], Answer]:
    """Send a request over a connection of its own."""

    def send(octets: bytes) -> Answer:
        async def work() -> Answer:
            return await (await served.client()).ask(octets)

        found: Answer = run(served, work)
        return found

    return send


@pytest.mark.req("SEC-32")
@pytest.mark.parametrize("path", [PREFERENCES, SESSION, "/ocpi/hub/2.2.1/callbacks/0123456789abcdef"])
def test_an_emsp_passes_nothing_on(
    served: Served, ask: Callable[[bytes], Answer], partner: Partner, listener: Listener, path: str
) -> None:
    cpo, other = partner("NL*TNM:CPO"), partner("FR*OTH:EMSP", listener=listener)

    answer = ask(request(cpo, path=path, to=str(other.address)))

    assert answer.codes == (404, 2000)
    assert (served.long, listener.received()) == (0, [])


@pytest.mark.req("LOC-22")
def test_a_location_comes_in(ask: Callable[[bytes], Answer], partner: Partner, document: Document) -> None:
    cpo, location = partner("NL*TNM:CPO"), document("location", id="LOC1")
    body = json.dumps(location).encode()

    answer = ask(request(cpo, path="/ocpi/emsp/2.2.1/locations/NL/TNM/LOC1", body=body))

    assert answer.codes == (201, 1000)
    assert Location.objects.get().object_id == "LOC1"


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize(
    ("sides", "program"),
    [(["hub"], "hub.web"), (["emsp"], "hub.web"), (["cpo"], "gunicorn"), (["cpo", "emsp"], "gunicorn")],
)
def test_threads_read_where_charge_points_bring_files(
    side: Callable[..., None], sides: list[str], program: str
) -> None:
    side(*sides, parties=[])

    found = run_command.web()
    assert program in found.command
    # A process of it that dies is forked again from one that has loaded everything (REL-03).
    assert (found.main is not None) == sys.platform.startswith("linux")


def test_a_gateway_is_started_without_the_apps_it_has_no_use_for(cpo_side: None) -> None:
    found = run_command.gateway()

    assert found.command[1:3] == ["-m", "cpo.gateway"]
    assert found.folder == str(settings.BASE_DIR)
