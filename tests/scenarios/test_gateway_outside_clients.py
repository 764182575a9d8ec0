"""Clients that nobody here wrote, at a real gateway: `ocpp-rpc`, `ocpp-ws-cli` and the `ocpp` package in 2.0.1."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ocpp.routing import on
from ocpp.v201 import ChargePoint as PackageStation
from ocpp.v201 import call, call_result

from tests import outside_clients
from tests.gateway_support import PASSWORD, Node, World, eventually
from tests.gateway_support import world_fixture as world_fixture

_RPC = """
const { RPCClient } = require('ocpp-rpc');
const [endpoint, identity, password] = process.argv.slice(2);
(async () => {
  const out = [];
  const protocols = ['ocpp1.6'];
  const cli = new RPCClient({ endpoint, identity, password, protocols, strictMode: true, reconnect: false });
  cli.handle('ClearCache', () => ({ status: 'Accepted' }));
  const asked = new Promise(done => {
    cli.handle('Reset', ({ params }) => { done(params); return { status: 'Rejected' }; });
  });
  await cli.connect();
  const now = new Date().toISOString();
  out.push((await cli.call('BootNotification', { chargePointVendor: 'ocpp-rpc', chargePointModel: 'One' })).status);
  await cli.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Available', timestamp: now });
  out.push((await cli.call('Authorize', { idTag: 'TAG1' })).idTagInfo.status);
  const started = await cli.call('StartTransaction', { connectorId: 1, idTag: 'TAG1', meterStart: 10, timestamp: now });
  const transactionId = started.transactionId;
  const values = [];
  for (let each = 0; each < 20; each++)  // all at once: they are sent one after the other
    values.push(cli.call('MeterValues', { connectorId: 1, transactionId,
      meterValue: [{ timestamp: now, sampledValue: [{ value: String(10 + each) }] }] }));
  await Promise.all(values);
  await cli.call('StopTransaction', { transactionId, meterStop: 40, timestamp: now, reason: 'Local' });
  out.push(transactionId > 0, (await asked).type);
  await new Promise(done => setTimeout(done, 200));
  await cli.close();
  console.log(JSON.stringify(out));
})().catch(error => { console.error(error); process.exit(1); });
"""


@pytest.mark.req("OCPP-125")
def test_ocpp_rpc_charges_and_obeys(world: World) -> None:
    folder = outside_clients.node_package("ocpp-rpc")
    point_id = world.add("CP1", PASSWORD)
    (folder / "point.js").write_text(_RPC)

    async def scenario(node: Node) -> None:
        playing = asyncio.create_task(
            asyncio.to_thread(outside_clients.run_node, folder, "point.js", node.url, "CP1", PASSWORD)
        )
        await eventually(lambda: bool(world.inbox("BootNotification")))
        operation = world.ask(point_id, "Reset", {"type": "Soft"})
        done = await playing
        assert done.returncode == 0, done.stderr
        boot, authorized, has_number, reset = json.loads(done.stdout.splitlines()[-1])
        assert (boot, authorized, has_number, reset) == ("Accepted", "Accepted", True, "Soft")
        ended = await world.ended(operation)
        assert (ended["state"], json.loads(ended["answer"])) == ("ANSWERED", {"status": "Rejected"})

    world.run(scenario)

    kept = [row["action"] for row in world.inbox()]
    assert kept == [
        "BootNotification", "StatusNotification", "Authorize", "StartTransaction", *["MeterValues"] * 20,
        "StopTransaction",
    ]  # fmt: skip
    values = [
        json.loads(row["payload"])["meterValue"][0]["sampledValue"][0]["value"] for row in world.inbox("MeterValues")
    ]
    assert values == [str(10 + number) for number in range(20)]


@pytest.mark.req("OCPP-125", "OCPP-02", "OCPP-10", "OCPP-13", "OCPP-14", "OCPP-16")
def test_all_checks_of_ocpp_ws_cli_pass(world: World, tmp_path: Path) -> None:
    folder = outside_clients.node_package("ocpp-ws-cli")
    world.add("CP001")

    async def scenario(node: Node) -> None:
        tool = "node_modules/ocpp-ws-cli/dist/index.js"
        options = ["--endpoint", node.url, "--identity", "CP001", "--protocol", "ocpp1.6", "--suite", "all"]
        done = await asyncio.to_thread(
            outside_clients.run_node, folder, tool, "test", *options, "--report", "json", "--report-dir", str(tmp_path)
        )
        [report] = [json.loads(file.read_text()) for file in tmp_path.glob("*.json")]
        failed = [each for each in report["testResults"] if not each["passed"]]
        assert failed == [], done.stdout[-3000:]
        assert len(report["testResults"]) == 21
        # Some of its checks pass on silence, so what it said is looked at here.
        assert "currentTime" in (await _heartbeat(node))

    world.run(scenario, decide=None)


async def _heartbeat(node: Node) -> Any:
    async with node.connect("CP001") as point:
        return await point.call("Heartbeat", {})


@pytest.mark.req("OCPP-125", "OCPP-98")
def test_a_session_of_the_ocpp_package_in_2_0_1(world: World) -> None:
    point_id = world.add("CP1", PASSWORD, protocols=json.dumps(["ocpp2.0.1"]))
    began_at = datetime.now(UTC) - timedelta(minutes=10)

    class Station(PackageStation):  # type: ignore[misc]  # the package has no types
        @on("Reset")
        def reset(self, **_: Any) -> Any:
            return call_result.Reset(status="Scheduled")

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, subprotocols=["ocpp2.0.1"]) as point:
            station = Station("CP1", point.socket)
            listening = asyncio.create_task(station.start())
            about = {"vendor_name": "Package", "model": "One"}
            boot = await station.call(call.BootNotification(charging_station=about, reason="PowerUp"))
            assert boot.status == "Accepted"
            await station.call(
                call.StatusNotification(
                    timestamp=began_at.isoformat(), connector_status="Occupied", evse_id=1, connector_id=1
                )
            )
            token = {"id_token": "TAG1", "type": "ISO14443"}
            for number, (kind, trigger) in enumerate(
                (("Started", "Authorized"), ("Updated", "MeterValuePeriodic"), ("Ended", "StopAuthorized"))
            ):
                moment = (began_at + timedelta(minutes=number)).isoformat()
                answer = await station.call(
                    call.TransactionEvent(
                        event_type=kind, timestamp=moment, trigger_reason=trigger, seq_no=number,
                        transaction_info={"transaction_id": "T-1", "charging_state": "Charging"},
                        evse={"id": 1, "connector_id": 1}, id_token=token if kind == "Started" else None,
                        meter_value=[{"timestamp": moment, "sampled_value": [{"value": 1000.5 + number}]}],
                    )
                )  # fmt: skip
                assert (answer.id_token_info is not None) is (kind == "Started")
            operation = world.ask(point_id, "Reset", {"type": "OnIdle"})
            ended = await world.ended(operation)
            assert (ended["state"], json.loads(ended["answer"])) == ("ANSWERED", {"status": "Scheduled"})
            listening.cancel()

    world.run(scenario, decide=None, decision_seconds=0.3)

    assert [(row["action"], row["protocol"]) for row in world.inbox()] == [
        ("BootNotification", "2.0.1"),
        ("StatusNotification", "2.0.1"),
        *[("TransactionEvent", "2.0.1")] * 3,
    ]
