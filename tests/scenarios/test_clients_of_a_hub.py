"""An eMSP behind a hub goes and comes back: the CPO learns of it, and what was missed arrives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import DOCUMENTS
from tests.platforms import ALL_MODULES, Instance, eventually, run_instance
from tests.scenarios.test_outside_hub import Partner

QUICK = {"OCPI_CLIENT_INFO_PAUSE": "0.5", "OCPI_PULL_GRACE": "0.5", "OCPI_RATE_PER_PLATFORM": "off"}
TOLD = "/ocpi/2.2.1/receiver/hubclientinfo"
TARIFFS = "/ocpi/2.2.1/receiver/tariffs"


@pytest.mark.req("HCI-11", "HCI-16", "HCI-17", "HCI-23", "HUB-71", "HUB-82", "REL-36", "REL-38", "REL-39", "HCI-20")
def test_a_cpo_learns_that_an_emsp_is_away_and_back_and_what_it_missed_arrives(tmp_path: Path) -> None:
    with (
        run_instance("hub", parties=["NL*HUB:HUB"], worker=True, settings=QUICK) as hub,
        run_instance("cpo", parties=["NL*TNM:CPO"], worker=True, settings=QUICK) as cpo,
    ):
        invited = hub.manage("invite_platform", "--name", "CPO", "--party", "NL*TNM:CPO")
        cpo.manage("register_platform", "--name", "hub", "--versions-url", invited["versions_url"], "--token",
                   invited["token_a"], "--party", "NL*HUB:HUB")  # fmt: skip
        drivers = Partner(hub, "DE*EMS:EMSP", endpoints=[*ALL_MODULES, ("hubclientinfo", "RECEIVER")])
        try:
            # Both are told of each other, without anybody asking.
            eventually(lambda: known(cpo) == "CONNECTED")
            (told,) = drivers.listener.wait_for(1, "PUT", f"{TOLD}/NL/TNM", seconds=60)
            assert (told.json["role"], told.json["status"]) == ("CPO", "CONNECTED")
            load_tariff(cpo, tmp_path, "BEFORE")
            drivers.listener.wait_for(1, "PUT", f"{TARIFFS}/NL/TNM/BEFORE", seconds=60)

            drivers.listener.down()
            load_tariff(cpo, tmp_path, "MEANWHILE")

            eventually(lambda: known(cpo) == "OFFLINE")
            assert waiting(hub)

            drivers.listener.up()
            listed = drivers.call("GET", drivers.at("hubclientinfo", "SENDER")).json()["data"]

            assert [(each["party_id"], each["status"]) for each in listed] == [("TNM", "CONNECTED")]
            eventually(lambda: known(cpo) == "CONNECTED")
            drivers.listener.wait_for(1, "PUT", f"{TARIFFS}/NL/TNM/MEANWHILE", seconds=60)
            eventually(lambda: waiting(hub) == [])
        finally:
            drivers.listener.down()


def known(cpo: Instance) -> str:
    """Return what the CPO knows of the eMSP behind the hub."""
    found = cpo.query("SELECT status FROM ocpi_party WHERE through_hub AND party_id = 'EMS' AND role = 'EMSP'")
    return str(found[0][0]) if found else ""


def waiting(hub: Instance) -> list[tuple[Any, ...]]:
    """Return the states of what the eMSP still has to get."""
    return hub.query(
        "SELECT d.state FROM ocpi_delivery d JOIN ocpi_platform p ON p.id = d.platform_id "
        "WHERE p.name = 'DE*EMS:EMSP' AND d.module = 'tariffs'"
    )


def load_tariff(cpo: Instance, folder: Path, tariff_id: str) -> None:
    tariff = json.loads((DOCUMENTS / "tariff.json").read_text()) | {
        "id": tariff_id, "end_date_time": "2036-09-01T00:00:00Z",
    }  # fmt: skip
    path = folder / f"{tariff_id}.json"
    path.write_text(json.dumps([tariff]))
    cpo.manage("load_tariffs", str(path))
