"""A hub, a CPO with a charge point, an eMSP and an SCSP: everything an eMSP asks, and what comes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cpo.simulator.base import Simulated
from cpo.simulator.charge_point import Behavior, SimulatedChargePoint
from cpo.simulator.station import SimulatedStation
from tests.emsp_support import EVSE_UID, LOCATION
from tests.fixtures import DOCUMENTS
from tests.platforms import Instance, Listener, eventually, run_instance
from tests.scenarios.test_outside_hub import Partner

TOKEN = "04C7A1E2B95D80"
DONE = {"response": "ACCEPTED", "result": "ACCEPTED"}
QUICK = {"OCPI_RATE_PER_PLATFORM": "off", "OCPI_SESSION_PUSH_SECONDS": "1", "OCPI_PROFILE_CHANGE_SECONDS": "0.1"}
EMS = ("DE", "EMS")


class Point:
    """A simulated charge point in a thread of its own."""

    def __init__(self, url: str, password: str, kind: type[Simulated], identity: str) -> None:
        behavior = Behavior(connectors=2, seconds_per_minute=0.5, clock_behind=timedelta(0))
        self._loop = asyncio.new_event_loop()
        self.simulated = kind(url, identity, password=password, behavior=behavior)
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self.simulated.run(),), daemon=True)
        self._thread.start()
        self.do(asyncio.wait_for(self.simulated.booted.wait(), 60))

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def heard(self, action: str) -> list[Any]:
        return [payload for name, payload in self.simulated.received if name == action]

    def close(self) -> None:
        self.do(self.simulated.close())
        self._thread.join(30)
        self._loop.close()


@dataclass(slots=True)
class World:
    hub: Instance
    cpo: Instance
    emsp: Instance
    scsp: Partner
    point: Point

    def evse(self) -> str:
        """Return the status of the first EVSE as the eMSP knows it."""
        found = self.emsp.query("SELECT status FROM emsp_evse WHERE uid = %s", [EVSE_UID])
        return str(found[0][0]) if found else ""

    def is_now(self, status: str) -> None:
        eventually(lambda: self.evse() == status, seconds=60)

    def session(self, session_id: str) -> str:
        return str(self.emsp.query("SELECT status FROM emsp_session WHERE object_id = %s", [session_id])[0][0])

    def reservation(self) -> str:
        return str(self.emsp.query("SELECT state FROM emsp_reservation ORDER BY id DESC LIMIT 1")[0][0])

    def active_profile(self) -> Any:
        """Return what the CPO has told of the charging profile, by itself or in a result."""
        found = self.emsp.query("SELECT document FROM emsp_activeprofile ORDER BY last_updated DESC LIMIT 1")
        return json.loads(found[0][0])["charging_profile"] if found else None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("objects")
    agreed = {"OCPI_SCSP_AGREEMENTS": "NL*SCS"}
    with (
        run_instance("hub", parties=["NL*HUB:HUB"], worker=True, settings=QUICK) as hub,
        run_instance("cpo", parties=["NL*TNM:CPO"], worker=True, gateway=True, settings=QUICK) as cpo,
        run_instance("emsp", parties=["DE*EMS:EMSP"], worker=True, settings=QUICK | agreed) as emsp,
    ):
        for instance, party in ((cpo, "NL*TNM:CPO"), (emsp, "DE*EMS:EMSP")):
            invited = hub.manage("invite_platform", "--name", party, "--party", party)
            instance.manage(
                "register_platform", "--name", "hub", "--versions-url", invited["versions_url"], "--token",
                invited["token_a"], "--party", "NL*HUB:HUB",
            )  # fmt: skip
        scsp = Partner(hub, "NL*SCS:SCSP")
        usual = _example("tariff", end_date_time="2036-09-01T00:00:00Z")
        cpo.manage("load_tariffs", _file(folder, usual, usual | {"id": "TNM-FAST", "type": "PROFILE_FAST"}))
        loaded = cpo.manage("load_locations", _file(folder, _location_with("TNM-FAST")))
        assert loaded["created"] == 1, loaded
        emsp.manage("load_tokens", _file(folder, _example("token_rfid")))
        added = cpo.manage("add_charge_point", "CP-1", "--location", LOCATION)
        gateway = cpo.environment["OCPP_GATEWAY_PORT"]
        point = eventually(lambda: _connected(gateway, added["password"]), seconds=60)
        found = World(hub, cpo, emsp, scsp, point)
        try:
            found.is_now("AVAILABLE")
            yield found
        finally:
            point.close()
            scsp.listener.down()


def _file(folder: Path, *objects: Any) -> str:
    """Write objects to a file of their own."""
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(objects))
    return str(path)


def _example(name: str, **changes: Any) -> Any:
    return json.loads((DOCUMENTS / f"{name}.json").read_text()) | changes


def _location_with(tariff_id: str) -> Any:
    """Return the example Location with one more Tariff at each of its Connectors."""
    location = _example("location", last_updated="2025-09-13T00:00:00Z")
    for connector in (each for evse in location["evses"] for each in evse["connectors"]):
        connector["tariff_ids"].append(tariff_id)
    return location


def _connected(
    port: str, password: str, kind: type[Simulated] = SimulatedChargePoint, identity: str = "CP-1"
) -> Point | None:
    try:
        return Point(f"ws://127.0.0.1:{port}/ocpp", password, kind, identity)
    except OSError:
        return None


@pytest.mark.req("CMD-20", "HUB-72", "HUB-73")
def test_a_reservation_is_made_given_up_and_taken_back(world: World) -> None:
    at = ("--to", "NL*TNM", "--location", LOCATION, "--evse", EVSE_UID)

    world.is_now("AVAILABLE")  # after the end of a session the car leaves first
    reserved = world.emsp.manage("reserve_now", *at, "--token", TOKEN, "--reservation", "RES-1")
    world.is_now("RESERVED")
    canceled = world.emsp.manage("cancel_reservation", "--to", "NL*TNM", "--reservation", "RES-1")
    world.is_now("AVAILABLE")
    again = world.emsp.manage("reserve_now", *at, "--token", TOKEN, "--reservation", "RES-2")
    world.is_now("RESERVED")
    # The charge point breaks down: its CPO reports at the URL that has had its result already.
    world.point.do(world.point.simulated.set_status(1, "Faulted", "GroundFailure"))

    assert reserved == {"command": "RESERVE_NOW", **DONE, "reservation": "RES-1", "state": "RESERVED"}
    assert canceled == {"command": "CANCEL_RESERVATION", **DONE, "reservation": "RES-1", "state": "CANCELED"}
    assert again["state"] == "RESERVED"
    eventually(lambda: world.reservation() == "CANCELED_BY_CPO", seconds=60)
    world.point.do(world.point.simulated.set_status(1, "Available"))
    world.is_now("AVAILABLE")


@pytest.mark.req("CHP-02", "CHP-05", "CHP-21", "CHP-26", "HUB-72", "SES-03")
def test_a_session_is_controlled_by_its_emsp_and_then_by_an_scsp(world: World) -> None:
    emsp, point, scsp = world.emsp, world.point, world.scsp
    at = ("--to", "NL*TNM", "--location", LOCATION, "--evse", EVSE_UID)
    unlocked = emsp.manage("unlock_connector", *at, "--connector", "1")
    started = emsp.manage("start_session", *at, "--connector", "1", "--token", TOKEN)
    session = started["session"]
    world.is_now("CHARGING")

    preferred = emsp.manage("set_charging_preferences", "--session", session, "--profile-type", "FAST")
    limited = emsp.manage("set_charging_profile", "--session", session, "--limit", "7400", "--unit", "W")
    told = eventually(world.active_profile, seconds=60)
    asked = emsp.manage("get_charging_profile", "--session", session, "--duration", "600")
    cleared = emsp.manage("clear_charging_profile", "--session", session)

    assert unlocked == {"command": "UNLOCK_CONNECTOR", **DONE}
    assert started == {"command": "START_SESSION", **DONE, "session": session}
    assert preferred["response"] == "ACCEPTED"
    assert limited == {"request": "SET", **DONE, "session": session}
    assert told["charging_profile_period"][0]["limit"] == 7400
    assert asked["profile"]["charging_profile"]["charging_profile_period"] == [{"start_period": 0, "limit": 7400}]
    assert cleared["result"] == "ACCEPTED"
    assert point.heard("SetChargingProfile")
    assert point.heard("ClearChargingProfile")

    _control(scsp, session)

    stopped = emsp.manage("stop_session", "--session", session)
    assert stopped == {"command": "STOP_SESSION", **DONE, "session": session}
    eventually(lambda: world.session(session) == "COMPLETED", seconds=60)


def _control(scsp: Partner, session: str) -> None:
    """Let the SCSP set a profile through the hub and the eMSP, and hear of the result and of what is active."""
    listener: Listener = scsp.listener
    profile = {"charging_rate_unit": "W", "charging_profile_period": [{"start_period": 0, "limit": 5000}]}
    body = {"charging_profile": profile, "response_url": f"{listener.url}/results/1"}

    answer = scsp.call("PUT", scsp.at("chargingprofiles", "RECEIVER", f"/{session}"), body, to=EMS)
    (result,) = listener.wait_for(1, "POST", "/results/1", seconds=60)
    told = listener.wait_for(1, "PUT", "/ocpi/2.2.1/sender/chargingprofiles", seconds=60)

    assert answer.json()["data"]["result"] == "ACCEPTED"
    assert result.json == {"result": "ACCEPTED"}
    assert (result.headers["ocpi-from-party-id"], result.headers["ocpi-to-party-id"]) == ("EMS", "SCS")
    assert told[-1].path.endswith(f"/{session}")
    assert told[-1].json["charging_profile"]["charging_profile_period"][0]["limit"] == 5000


@pytest.fixture
def station(world: World) -> Iterator[tuple[Point, str, str]]:
    """A charging station of OCPP 2.0.1 that is known everywhere, with its Location and its EVSE."""
    added = world.cpo.manage("add_charge_point", "CS-1", "--evses", "2", "--protocol", "2.0.1")
    gateway = world.cpo.environment["OCPP_GATEWAY_PORT"]
    point = eventually(lambda: _connected(gateway, added["password"], SimulatedStation, "CS-1"), seconds=60)
    evse = added["evses"][0]

    def known() -> bool:
        found = world.emsp.query("SELECT status, document FROM emsp_evse WHERE uid = %s", [evse])
        # It says itself that it takes charging profiles (M-12).
        return bool(found) and found[0][0] == "AVAILABLE" and "CHARGING_PROFILE_CAPABLE" in found[0][1]

    try:
        eventually(known, seconds=60)
        yield point, added["location"], evse
    finally:
        point.close()


@pytest.mark.req("OCPP-54", "OCPP-91", "OCPP-92", "OCPP-97", "LOC-69", "HUB-72")
def test_a_station_of_ocpp_2_0_1_is_started_limited_and_stopped_through_the_hub(
    world: World, station: tuple[Point, str, str]
) -> None:
    (point, location, evse), emsp = station, world.emsp
    at = ("--to", "NL*TNM", "--location", location, "--evse", evse)
    started = emsp.manage("start_session", *at, "--token", TOKEN)
    session = started["session"]
    [metered] = point.simulated.transactions
    eventually(lambda: metered.energy_wh > 30, seconds=60)

    limited = emsp.manage("set_charging_profile", "--session", session, "--limit", "0", "--unit", "W")
    eventually(lambda: metered.state == "SuspendedEVSE", seconds=60)
    stopped = emsp.manage("stop_session", "--session", session)
    eventually(lambda: world.session(session) == "COMPLETED", seconds=60)
    [cdr] = eventually(lambda: emsp.query("SELECT document, verdict FROM emsp_cdr WHERE session_id = %s AND "
                                          "verdict <> ''", [session]), seconds=60)  # fmt: skip

    assert started == {"command": "START_SESSION", **DONE, "session": session}
    assert limited == {"request": "SET", **DONE, "session": session}
    assert stopped == {"command": "STOP_SESSION", **DONE, "session": session}
    assert [each["remoteStartId"] > 0 for each in point.heard("RequestStartTransaction")] == [True]
    assert point.heard("RequestStopTransaction") == [{"transactionId": metered.transaction_id}]
    document = json.loads(cdr[0])
    assert cdr[1] == "match"
    assert round(document["total_energy"] * 1000) == metered.energy_wh
    assert document["auth_method"] == "COMMAND"
