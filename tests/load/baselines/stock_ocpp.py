"""The `ocpp` package's own receive loop behind a WebSocket server: answers everything, keeps nothing, knows nobody."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
from datetime import UTC, datetime
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


class Point(ChargePoint):  # type: ignore[misc]  # the package has no types
    @on("BootNotification")
    def boot(self, **_: Any) -> Any:
        return call_result.BootNotification(current_time=datetime.now(UTC).isoformat(), interval=60, status="Accepted")

    @on("Heartbeat")
    def heartbeat(self) -> Any:
        return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

    @on("StatusNotification")
    def status(self, **_: Any) -> Any:
        return call_result.StatusNotification()

    @on("MeterValues")
    def meter(self, **_: Any) -> Any:
        return call_result.MeterValues()


async def handle(socket: ServerConnection) -> None:
    assert socket.request is not None
    with contextlib.suppress(ConnectionClosed):
        await Point(socket.request.path.rpartition("/")[2], socket).start()


async def run(port: int) -> None:
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    async with serve(handle, "127.0.0.1", port, subprotocols=[Subprotocol("ocpp1.6")]):
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
