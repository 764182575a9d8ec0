"""Simulated charge points at a strict gateway: local lists, firmware and logs, in both versions, done for real."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cpo.simulator.base import Simulated
from cpo.simulator.behavior import Behavior
from cpo.simulator.charge_point import SimulatedChargePoint
from cpo.simulator.clock import write
from cpo.simulator.station import SimulatedStation
from tests.gateway_support import PASSWORD, Node, World, eventually
from tests.gateway_support import world_fixture as world_fixture

FIRMWARE = b"2.7.1\n" + bytes(range(256))
KINDS: dict[str, type[Simulated]] = {"1.6": SimulatedChargePoint, "2.0.1": SimulatedStation}


class Files(ThreadingHTTPServer):
    """Hands a firmware out, takes logs in; the first two times it is not there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.left: dict[str, bytes] = {}
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Files

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        late = self.server.asked.count(self.path) > 2
        body = FIRMWARE if self.path == "/firmware.bin" and late else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.server.left[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201 if self.path.startswith("/logs/") else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def files() -> Iterator[Files]:
    with Files() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


class Yard:
    """One simulated charge point, and what it is asked in the words of its version."""

    def __init__(self, world: World, node: Node, point_id: int, version: str) -> None:
        self._world, self._id, self.version = world, point_id, version
        behavior = Behavior(seconds_per_minute=0.05, heartbeat=False, reconnect_seconds=0.1)
        self.point = KINDS[version](node.url, "CS1", password=PASSWORD, behavior=behavior)
        self._running = asyncio.create_task(self.point.run())
        self._requests = 0

    async def asks(self, action: str, **payload: Any) -> dict[str, Any]:
        ended = await self._world.ended(self._world.ask(self._id, action, payload), 60)
        assert ended["state"] == "ANSWERED", ended
        answer: dict[str, Any] = json.loads(ended["answer"])
        return answer

    def told(self, action: str) -> list[dict[str, Any]]:
        return [json.loads(row["payload"]) for row in self._world.inbox(action)]

    async def statuses(self, action: str, last: str, *, after: int = 0) -> list[str]:
        """Return what it has told by an action, up to a status."""
        await eventually(lambda: last in [each["status"] for each in self.told(action)[after:]])
        return [each["status"] for each in self.told(action)[after:]]

    async def send_list(self, version: int, kind: str, **entries: str | None) -> str:
        if self.version == "1.6":
            listed: list[dict[str, Any]] = [
                {"idTag": tag, **({"idTagInfo": {"status": it}} if it else {})} for tag, it in entries.items()
            ]
            asked = {"listVersion": version, "updateType": kind, "localAuthorizationList": listed}
        else:
            listed = [
                {"idToken": {"idToken": tag, "type": "ISO14443"}} | ({"idTokenInfo": {"status": it}} if it else {})
                for tag, it in entries.items()
            ]
            asked = {"versionNumber": version, "updateType": kind} | (
                {"localAuthorizationList": listed} if listed else {}
            )
        return str((await self.asks("SendLocalList", **asked))["status"])

    async def list_version(self) -> int:
        answer = await self.asks("GetLocalListVersion")
        return int(answer["listVersion" if self.version == "1.6" else "versionNumber"])

    async def update(self, location: str, retries: int) -> None:
        at = write(datetime.now(UTC))
        if self.version == "1.6":
            again = {"retries": retries, "retryInterval": 0}
            assert await self.asks("UpdateFirmware", location=location, retrieveDate=at, **again) == {}
            return
        self._requests += 1
        firmware = {"location": location, "retrieveDateTime": at}
        asked = {"requestId": self._requests, "retries": retries, "retryInterval": 0, "firmware": firmware}
        assert (await self.asks("UpdateFirmware", **asked))["status"] == "Accepted"

    async def log(self, location: str) -> str:
        """Have a log uploaded; return the name it said."""
        if self.version == "1.6":
            return str((await self.asks("GetDiagnostics", location=location))["fileName"])
        self._requests += 1
        asked = {"requestId": self._requests, "logType": "DiagnosticsLog", "log": {"remoteLocation": location}}
        answer = await self.asks("GetLog", **asked)
        assert answer["status"] == "Accepted"
        return str(answer["filename"])

    async def close(self) -> None:
        await self.point.close()
        await self._running


async def local_list(yard: Yard) -> None:
    assert await yard.list_version() == 0
    assert await yard.send_list(3, "Full", GOOD="Accepted", BAD="Blocked") == "Accepted"
    assert await yard.send_list(3, "Differential", MORE="Accepted") == "VersionMismatch"
    assert await yard.list_version() == 3
    assert await yard.send_list(4, "Differential", GOOD=None, MORE="Accepted") == "Accepted"
    assert await yard.list_version() == 4
    assert [yard.point.local_list.find(tag) is not None for tag in ("good", "bad", "more")] == [False, True, True]
    many = {f"T{number}": "Accepted" for number in range(21)}
    assert await yard.send_list(5, "Differential", **many) == "Failed"
    # Nobody can be asked, so the list decides.
    yard.point.link._reconnect_seconds = 1
    yard.point.cut()
    await eventually(lambda: not yard.point.link.online.is_set())
    with pytest.raises(PermissionError, match="local list"):
        await yard.point.start_local("bad")
    yard.point.link._reconnect_seconds = 0.1
    assert await yard.send_list(6, "Full") == "Accepted"
    assert await yard.list_version() == 0


async def firmware(yard: Yard, files: Files) -> None:
    action, boots = "FirmwareStatusNotification", len(yard.told("BootNotification"))
    await yard.update(f"{files.url}/nothing.bin", retries=1)
    assert await yard.statuses(action, "DownloadFailed") == ["Downloading", "Downloading", "DownloadFailed"]
    assert files.asked == ["/nothing.bin"] * 2

    metered = await yard.point.start_local("TAG1")
    await yard.update(f"{files.url}/firmware.bin", retries=5)
    await yard.statuses(action, "Downloaded", after=3)
    assert "Installing" not in await yard.statuses(action, "Downloaded", after=3)
    assert metered.stopped_at is None, "a session is not cut short"
    await yard.point.stop(1)
    found = await yard.statuses(action, "Installed", after=3)
    detailed = ["InstallRebooting"] if yard.version == "2.0.1" else []
    assert found == [*["Downloading"] * 3, "Downloaded", "Installing", *detailed, "Installed"]
    booted = yard.told("BootNotification")[boots:]
    said = [each.get("chargingStation", each)["firmwareVersion"] for each in booted]
    assert said[-1] == "2.7.1"
    if yard.version == "2.0.1":
        assert booted[-1]["reason"] == "FirmwareUpdate"
        assert {each["requestId"] for each in yard.told(action)} == {1, 2}
        await eventually(
            lambda: [each["type"] for each in yard.told("SecurityEventNotification")] == ["FirmwareUpdated"]
        )
    assert {each.status for each in yard.point.connectors.values()} == {"Available"}


async def logs(yard: Yard, files: Files) -> None:
    action = "DiagnosticsStatusNotification" if yard.version == "1.6" else "LogStatusNotification"
    name = await yard.log(f"{files.url}/logs/")
    assert await yard.statuses(action, "Uploaded") == ["Uploading", "Uploaded"]
    content = files.left[f"/logs/{name}"].decode()
    assert "connector 1 is Charging" in content
    assert "firmware 2.7.1 installed" in content
    await yard.log(f"{files.url}/elsewhere")
    failed = "UploadFailed" if yard.version == "1.6" else "UploadFailure"
    assert await yard.statuses(action, failed, after=2) == ["Uploading", failed]
    assert (await yard.asks("TriggerMessage", requestedMessage=action))["status"] == "Accepted"
    await eventually(lambda: len(yard.told(action)) == 5)
    assert yard.told(action)[-1]["status"] == failed


@pytest.mark.req("OCPP-78", "OCPP-85", "OCPP-87", "OCPP-125")
@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_simulated_charge_point_keeps_a_list_installs_firmware_and_uploads_logs(
    world: World, files: Files, version: str
) -> None:
    strict = {"protocols": json.dumps([f"ocpp{version}"]), "strictness": "strict"}
    point_id = world.add("CS1", PASSWORD, **strict)

    async def scenario(node: Node) -> None:
        yard = Yard(world, node, point_id, version)
        await asyncio.wait_for(yard.point.booted.wait(), 60)
        try:
            await local_list(yard)
            await firmware(yard, files)
            await logs(yard, files)
        finally:
            await yard.close()

    world.run(scenario)
    assert not world.rows("SELECT * FROM cpo_chargepointdeviation"), "it breaks no schema"
