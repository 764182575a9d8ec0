"""The simulated OCPP 2.0.1 station at a real, strict gateway: every message of either side is checked by its schema."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.simulator.behavior import Behavior
from cpo.simulator.clock import write
from cpo.simulator.energy import Car
from cpo.simulator.station import SimulatedStation
from tests.gateway_support import PASSWORD, Node, World, eventually
from tests.gateway_support import world_fixture as world_fixture

OCPP_201 = {"protocols": json.dumps(["ocpp2.0.1"]), "strictness": "strict"}
TOKEN = {"idToken": "TAG1", "type": "ISO14443"}


class Street:
    """One station on one node."""

    def __init__(self, world: World, node: Node, point_id: int, **behavior: Any) -> None:
        self._world, self._id = world, point_id
        options = Behavior(**{"seconds_per_minute": 0.05, "heartbeat": False, "reconnect_seconds": 0.2, **behavior})
        self.station = SimulatedStation(node.url, "CS1", password=PASSWORD, behavior=options)
        self._running = asyncio.create_task(self.station.run())

    async def asks(self, action: str, **payload: Any) -> dict[str, Any]:
        """Return what the station answers; its answer obeys the schema."""
        ended = await self._world.ended(self._world.ask(self._id, action, payload), 30)
        assert ended["state"] == "ANSWERED", ended
        answer: dict[str, Any] = json.loads(ended["answer"])
        return answer

    async def told(self, action: str, *, of: str | int | None = None, count: int = 1) -> list[dict[str, Any]]:
        """Return what the station has said by an action, as soon as it is so many."""
        await eventually(lambda: len(self._told(action, of)) >= count)
        return self._told(action, of)

    def _told(self, action: str, of: str | int | None) -> list[dict[str, Any]]:
        found = [json.loads(row["payload"]) for row in self._world.inbox(action)]
        return [each for each in found if of in (None, each.get("transactionInfo", {}).get("transactionId"))]

    async def close(self) -> None:
        await self.station.close()
        await self._running


def play(world: World, scenario: Any, **behavior: Any) -> None:
    point_id = world.add("CS1", PASSWORD, **OCPP_201)

    async def whole(node: Node) -> None:
        street = Street(world, node, point_id, **behavior)
        await asyncio.wait_for(street.station.booted.wait(), 30)
        try:
            await scenario(street)
        finally:
            await street.close()

    world.run(whole)
    assert not world.rows("SELECT * FROM cpo_chargepointdeviation"), "the station breaks no schema"


@pytest.mark.req("OCPP-49", "OCPP-56", "OCPP-70", "OCPP-125")
def test_a_session_that_goes_on_while_the_line_is_away_is_told_in_order_afterwards(world: World) -> None:
    async def scenario(street: Street) -> None:
        station = street.station
        await station.plug_in(1, Car(state_of_charge=0.3))
        metered = await station.start_local("TAG1")
        await street.told("TransactionEvent", count=3)
        station.link._reconnect_seconds = 1.0
        station.cut()
        await eventually(lambda: not station.link.online.is_set())
        offline_from = metered.seq_no
        await eventually(lambda: metered.seq_no > offline_from + 2)
        stopping = asyncio.create_task(station.stop(1))
        await asyncio.wait_for(stopping, 30)
        await street.told("TransactionEvent", count=metered.seq_no)
        await asyncio.sleep(0.1)

        told = await street.told("TransactionEvent", of=str(metered.transaction_id))
        # One whose answer was cut off comes twice, with the same content.
        found = [each for number, each in enumerate(told) if number == 0 or each != told[number - 1]]
        assert [each["seqNo"] for each in found] == list(range(len(found)))
        assert [each["eventType"] for each in found] == ["Started", *["Updated"] * (len(found) - 2), "Ended"]
        assert any(each.get("offline") for each in found), "what happened in between is told as such"
        begin, end = found[0]["meterValue"][0], found[-1]["meterValue"][0]
        assert begin["sampledValue"][0]["signedMeterValue"]["encodingMethod"] == "OCMF"
        used = end["sampledValue"][0]["value"] - begin["sampledValue"][0]["value"]
        assert used == metered.energy_wh > 0
        assert found[-1]["transactionInfo"]["stoppedReason"] == "Local"
        boots = await street.told("BootNotification")
        assert len(boots) == 1, "a line that comes back is no boot"

    play(world, scenario, signs=True)


@pytest.mark.req("OCPP-54", "OCPP-78")
def test_a_remote_start_is_obeyed_limited_and_stopped(world: World) -> None:
    async def scenario(street: Street) -> None:
        start = {"idToken": TOKEN, "evseId": 1, "remoteStartId": 77}
        assert (await street.asks("RequestStartTransaction", **start))["status"] == "Accepted"
        [started] = await street.told("TransactionEvent")
        number = started["transactionInfo"]["transactionId"]
        assert (started["triggerReason"], started["transactionInfo"]["remoteStartId"]) == ("RemoteStart", 77)
        again = await street.asks("RequestStartTransaction", **start)
        assert again["status"] == "Rejected", "the EVSE is taken"
        assert (await street.asks("UnlockConnector", evseId=1, connectorId=1))["status"] == (
            "OngoingAuthorizedTransaction"
        )

        schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0.0}]}
        profile = {"id": 5, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative"}
        profile |= {"transactionId": number, "chargingSchedule": [schedule]}
        assert (await street.asks("SetChargingProfile", evseId=1, chargingProfile=profile))["status"] == "Accepted"
        composite = await street.asks("GetCompositeSchedule", evseId=1, duration=60)
        assert composite["schedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 0.0}]
        await eventually(lambda: street.station.transactions[0].state == "SuspendedEVSE")
        assert (await street.asks("GetChargingProfiles", requestId=9, chargingProfile={}))["status"] == "Accepted"
        [report] = await street.told("ReportChargingProfiles")
        assert (report["requestId"], [each["id"] for each in report["chargingProfile"]]) == (9, [5])
        assert (await street.asks("ClearChargingProfile", chargingProfileId=5))["status"] == "Accepted"
        await eventually(lambda: street.station.transactions[0].state == "Charging")

        status = await street.asks("GetTransactionStatus", transactionId=number)
        assert status["ongoingIndicator"] is True
        assert (await street.asks("RequestStopTransaction", transactionId=number))["status"] == "Accepted"
        await eventually(lambda: street.station.transactions[0].stopped_at is not None)
        found = await street.told("TransactionEvent", count=street.station.transactions[0].seq_no)
        assert (found[-1]["triggerReason"], found[-1]["transactionInfo"]["stoppedReason"]) == ("RemoteStop", "Remote")
        states = {each["transactionInfo"].get("chargingState") for each in found}
        assert {"Charging", "SuspendedEVSE"} <= states

    play(world, scenario)


@pytest.mark.req("OCPP-88", "OCPP-78")
def test_reservations_end_by_themselves_and_variables_are_told_and_written(world: World) -> None:
    async def scenario(street: Street) -> None:
        expiry = write(datetime.now(UTC) + timedelta(seconds=0.6))
        assert (await street.asks("ReserveNow", id=3, idToken=TOKEN, evseId=1, expiryDateTime=expiry))["status"] == (
            "Accepted"
        )
        [over] = await street.told("ReservationStatusUpdate")
        assert over == {"reservationId": 3, "reservationUpdateStatus": "Expired"}
        statuses = [each["connectorStatus"] for each in await street.told("StatusNotification", count=3)]
        assert statuses[:3] == ["Available", "Reserved", "Available"]

        asked = [{"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "RateUnit"}}]
        [got] = (await street.asks("GetVariables", getVariableData=asked))["getVariableResult"]
        assert (got["attributeStatus"], got["attributeValue"]) == ("Accepted", "A,W")
        wanted = [
            {"component": {"name": name}, "variable": {"name": variable}, "attributeValue": "60"}
            for name, variable in (
                ("OCPPCommCtrlr", "HeartbeatInterval"),
                ("SmartChargingCtrlr", "RateUnit"),
                ("X", "Y"),
            )
        ]
        results = (await street.asks("SetVariables", setVariableData=wanted))["setVariableResult"]
        assert [each["attributeStatus"] for each in results] == ["Accepted", "Rejected", "UnknownComponent"]
        assert (await street.asks("GetBaseReport", requestId=4, reportBase="FullInventory"))["status"] == "Accepted"
        await eventually(lambda: any(not row["tbc"] for row in street._told("NotifyReport", None)))
        parts = await street.told("NotifyReport")
        assert [part["seqNo"] for part in parts] == list(range(len(parts)))

        gone = await street.asks("Reset", type="Immediate")
        assert gone["status"] == "Accepted"
        boots = await street.told("BootNotification", count=2)
        assert boots[1]["reason"] == "RemoteReset"

    play(world, scenario)
