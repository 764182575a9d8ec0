"""Charging profiles and preferences from an eMSP through a hub to a charge point of a CPO: three real instances."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cpo_support import tariff, with_tariff
from tests.fixtures import Document
from tests.instances import ROOT, Instance, run_instance
from tests.platforms import eventually

TAG, PASSWORD = "04C7A1E2B95D80", "0123456789abcdef0123456789abcdef01234567"
_SECONDS = 60


def _register(hub: Instance, side: Instance, party: str) -> None:
    invited = hub.manage("invite_platform", "--name", party, "--party", party)
    side.manage("register_platform", "--name", "Hub", "--versions-url", invited["versions_url"],
                "--token", invited["token_a"], "--party", "NL*HUB:HUB")  # fmt: skip


@pytest.fixture
def roaming(tmp_path: Path, document: Document) -> Iterator[tuple[Instance, Instance]]:
    """A CPO whose charge point charges a car of the eMSP's driver, both behind a hub."""
    settings = {"OCPI_PROFILE_CHANGE_SECONDS": "0.1", "OCPI_RATE_PER_PLATFORM": "off", "OCPI_SESSION_PUSH_SECONDS": "1"}
    with (
        run_instance("hub", parties=["NL*HUB:HUB"], worker=True, settings=settings) as hub,
        run_instance("cpo", parties=["NL*TNM:CPO"], worker=True, gateway=True, settings=settings) as cpo,
        run_instance("emsp", parties=["DE*EMS:EMSP"], worker=True, settings=settings) as emsp,
    ):
        _register(hub, cpo, "NL*TNM:CPO")
        _register(hub, emsp, "DE*EMS:EMSP")
        energy = [{"price_components": [{"type": "ENERGY", "price": 0.2, "step_size": 1}]}]
        _load(cpo, tmp_path, "load_tariffs", [tariff(), tariff(id="GREEN", type="PROFILE_GREEN", elements=energy)])
        location = with_tariff(document("location"))
        for connector in location["evses"][0]["connectors"]:
            connector["tariff_ids"].append("GREEN")
        _load(cpo, tmp_path, "load_locations", [location])
        _load(emsp, tmp_path, "load_tokens", [document("token_rfid", whitelist="ALWAYS", default_profile_type=None)])
        cpo.manage("add_charge_point", "SIM-0001", "--location", location["id"], "--password", PASSWORD)
        eventually(lambda: cpo.query("SELECT FROM cpo_token"), seconds=_SECONDS)
        url = f"ws://127.0.0.1:{cpo.environment['OCPP_GATEWAY_PORT']}/ocpp"
        simulated = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "simulate_charge_points", "--url", url, "--prefix", "SIM",
             "--password", PASSWORD, "--charge", "--tag", TAG, "--seconds-per-minute", "1",
             "--session-minutes", "1000"], env=dict(cpo.environment),
        )  # fmt: skip
        try:
            yield cpo, emsp
        finally:
            simulated.terminate()
            simulated.wait(20)


def _load(instance: Instance, folder: Path, command: str, documents: list[Any]) -> None:
    file = folder / f"{command}.json"
    file.write_text(json.dumps(documents))
    assert instance.manage(command, str(file))["refused"] == []


@pytest.mark.req("CHP-04", "CHP-05", "CHP-21", "CHP-35", "HUB-72", "SES-03", "SES-42")
def test_profiles_and_preferences_through_a_hub(roaming: tuple[Instance, Instance]) -> None:
    cpo, emsp = roaming
    [(session,)] = eventually(lambda: emsp.query("SELECT object_id FROM emsp_session"), seconds=_SECONDS)

    def metered(watts: float) -> None:
        newest = "SELECT power_w FROM cpo_meterreading WHERE power_w IS NOT NULL ORDER BY id DESC LIMIT 1"
        eventually(lambda: [(float(power),) for (power,) in cpo.query(newest)] == [(watts,)], seconds=_SECONDS)

    def active(limit: float) -> None:
        def told() -> bool:
            found = emsp.query("SELECT document FROM emsp_activeprofile")
            return bool(found) and json.loads(found[0][0])["charging_profile"]["charging_profile_period"] == [
                {"start_period": 0, "limit": limit}
            ]

        eventually(told, seconds=_SECONDS)

    put = emsp.manage("set_charging_profile", "--session", session, "--limit", "7000.5")
    metered(7000.5)
    active(7000.5)
    asked = emsp.manage("get_charging_profile", "--session", session)
    cleared = emsp.manage("clear_charging_profile", "--session", session)
    active(22000)
    departure = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    preferred = emsp.manage("set_charging_preferences", "--session", session, "--profile-type", "GREEN",
                            "--departure", departure, "--energy", "1")  # fmt: skip
    metered(4140)
    assert [each["result"] for each in (put, asked, cleared)] == ["ACCEPTED"] * 3
    assert preferred["response"] == "ACCEPTED"
    profile = asked["profile"]["charging_profile"]
    assert profile["charging_profile_period"] == [{"start_period": 0, "limit": 7000.5}]
