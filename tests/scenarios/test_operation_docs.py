"""The examples of docs/OCPP-API.md do what it says, in the order in which they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from cpo.models import ChargingProfileTemplate, IdTag, Reservation
from cpo.modules import api_tokens
from tests.fixtures import Side
from tests.gateway_support import World, open_world
from tests.operation_station import station
from tests.operation_tables import answers

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "OCPP-API.md").read_text()
# What has to be drivable this way at least (OCPP-116).
LEAST_16 = {
    "Reset", "UnlockConnector", "ClearCache", "ChangeAvailability", "GetConfiguration", "ChangeConfiguration",
    "RemoteStartTransaction", "RemoteStopTransaction", "TriggerMessage", "SetChargingProfile", "GetCompositeSchedule",
    "ClearChargingProfile", "UpdateFirmware", "GetDiagnostics", "GetLocalListVersion", "SendLocalList", "ReserveNow",
    "CancelReservation",
}  # fmt: skip
LEAST_201 = {"Reset", "GetVariables", "SetVariables", "RequestStartTransaction", "RequestStopTransaction"}
_SECONDS = 120  # says only that something hangs
pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="the examples need curl and bash"
)


@pytest.fixture
def world(transactional_db: None, side: Side, settings: Settings) -> Iterator[World]:
    side("cpo", parties=["NL*TNM:CPO"])
    settings.ROOT_URLCONF = "cpo.operation_urls"
    with open_world() as opened:
        yield opened
        for model in (Reservation, IdTag, ChargingProfileTemplate):
            model.objects.all().delete()


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def _run(server: LiveServer, blocks: list[str]) -> list[Any]:
    """Run the examples in one shell; return the records of operations that they have shown."""
    _, token = api_tokens.make("docs", tenant=None, scopes=api_tokens.SCOPES, by="test")
    environment = {**os.environ, "API": f"{server.url}/api/ocpp/v1", "TOKEN": token, "no_proxy": "127.0.0.1,localhost"}
    script = "set -euo pipefail\n" + "\n".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"id":')]
    return [each for each in found if "action" in each and "state" in each]


@pytest.mark.req("OCPP-115", "OCPP-116")
def test_the_examples_of_1_6_drive_a_charge_point(live_server: LiveServer, world: World) -> None:
    with station(world, "1.6", {**answers("1.6"), "ReserveNow": {"status": "Accepted"}}) as point:
        told = _run(live_server, _blocks("sh"))

    asked = {action for action, _ in point.asked}
    assert asked >= LEAST_16
    assert {each["action"] for each in told if each["state"] == "ANSWERED"} >= LEAST_16
    assert {each["state"] for each in told} <= {"ANSWERED", "SENT"}


@pytest.mark.req("OCPP-115", "OCPP-116")
def test_the_examples_of_2_0_1_drive_a_charging_station(live_server: LiveServer, world: World) -> None:
    with station(world, "2.0.1", answers("2.0.1")) as point:
        told = _run(live_server, [_blocks("sh")[0], *_blocks("sh 2.0.1")])

    assert {action for action, _ in point.asked} >= LEAST_201
    assert {each["state"] for each in told} == {"ANSWERED"}
