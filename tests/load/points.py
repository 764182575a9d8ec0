"""Charge points that change their connectors' status at a steady rate: `python -m tests.load.points FILE --rate 50`.

The file lists {"identity", "password", "evses"}. When all have booted, a line is printed; behind the load one more with
every change: EVSE, OCPI status, and when its StatusNotification was sent (seconds since 1970).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

_REST_SECONDS = 3.0
_STATUSES = itertools.cycle([("Unavailable", "INOPERATIVE"), ("Available", "AVAILABLE")])


async def _call(socket: ClientConnection, action: str, payload: dict[str, Any]) -> None:
    """Send a CALL and wait for its result; what the other side asks is answered with NotSupported."""
    number = str(uuid.uuid4())
    await socket.send(json.dumps([2, number, action, payload]))
    while True:
        message = await _read(socket)
        if message[0] != 2 and message[1] == number:
            if message[0] != 3:
                raise RuntimeError(f"{action}: {message}")
            return


async def _read(socket: ClientConnection) -> Any:
    message = json.loads(await asyncio.wait_for(socket.recv(), 30))
    if message[0] == 2:
        await socket.send(json.dumps([4, message[1], "NotSupported", "", {}]))
    return message


async def _rest(socket: ClientConnection, seconds: float) -> None:
    """Answer what is asked after a boot, as a charge point does that listens: it is no part of the changes to come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await _read(socket)


def _status(connector: int, status: str) -> dict[str, Any]:
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    return {"connectorId": connector, "errorCode": "NoError", "status": status, "timestamp": moment}


async def _boot(url: str, point: dict[str, Any]) -> ClientConnection:
    shown = base64.b64encode(f"{point['identity']}:{point['password']}".encode()).decode()
    socket = await connect(
        f"{url}/{point['identity']}", subprotocols=[Subprotocol("ocpp1.6")], compression=None, ping_interval=None,
        additional_headers={"Authorization": f"Basic {shown}"}, proxy=None,
    )  # fmt: skip
    await _call(socket, "BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "1"})
    for connector in range(len(point["evses"]) + 1):
        await _call(socket, "StatusNotification", _status(connector, "Available"))
    return socket


async def run(url: str, points: list[dict[str, Any]], rate: float, seconds: float) -> list[Any]:
    """Boot, wait a moment, change one status after the other at the rate; return what was sent."""
    sockets = [await _boot(url, point) for point in points]
    print(json.dumps({"booted": len(sockets)}), flush=True)
    await asyncio.gather(*(_rest(socket, _REST_SECONDS) for socket in sockets))
    locks = [asyncio.Lock() for _ in points]
    places = [(number, index) for index in range(8) for number, one in enumerate(points) if index < len(one["evses"])]
    sent: list[Any] = []

    async def change(number: int, index: int, status: str, ocpi_status: str) -> None:
        async with locks[number]:
            sent.append([points[number]["evses"][index], ocpi_status, time.time()])
            await _call(sockets[number], "StatusNotification", _status(index + 1, status))

    tasks = []
    start = time.perf_counter()
    count = int(rate * seconds)
    status, ocpi_status = next(_STATUSES)
    for number in range(count):
        if number and number % len(places) == 0:
            status, ocpi_status = next(_STATUSES)
        pause = start + number / rate - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.create_task(change(*places[number % len(places)], status, ocpi_status)))
    await asyncio.gather(*tasks)
    for socket in sockets:
        await socket.close()
    return sent


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description="charge points whose status changes")
    parser.add_argument("points", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    asked = parser.parse_args()
    sent = asyncio.run(run(asked.url, json.loads(asked.points.read_text()), asked.rate, asked.seconds))
    print(json.dumps(sent), flush=True)


if __name__ == "__main__":
    main()
