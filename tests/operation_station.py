"""A charge point for tests of the operation API: the `ocpp` package's client, connected to a gateway in a thread.

    with station(world, "1.6", {"Reset": {"status": "Accepted"}}) as point: …

The gateway and the charge point have an event loop of their own, so that a test may call the API as any caller does.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from ocpp.charge_point import camel_to_snake_case
from ocpp.routing import on
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.gateway_support import PASSWORD, World
from tests.platforms import eventually

Answers = Mapping[str, Mapping[str, Any]]
_PACKAGES = {"1.6": "ocpp.v16", "2.0.1": "ocpp.v201"}
_SECONDS = 60  # for what hangs


class Station:
    """A charge point that answers as it is told, and remembers what it was asked."""

    def __init__(self, loop: asyncio.AbstractEventLoop, version: str, answers: Answers) -> None:
        self.version = version
        self.answers = {action: dict(answer) for action, answer in answers.items()}
        self.asked: list[tuple[str, Any]] = []
        self.node = ""
        self.garbled: Any = None  # what it answers in place of what it should
        self._loop = loop
        self._socket: Any = None
        self._point: Any = None

    @property
    def last(self) -> tuple[str, Any]:
        return self.asked[-1]

    def call(self, action: str, payload: Mapping[str, Any]) -> Any:
        """Send a CALL of the charge point's own; return the answer."""
        package = import_module(_PACKAGES[self.version])
        request = getattr(package.call, action)(**camel_to_snake_case(dict(payload)))
        return asyncio.run_coroutine_threadsafe(self._point.call(request), self._loop).result(_SECONDS)

    def send(self, frame: Any) -> None:
        """Send any frame."""
        asyncio.run_coroutine_threadsafe(self._socket.send(json.dumps(frame)), self._loop).result(_SECONDS)

    async def play(self, socket: Any, ready: Callable[[], None]) -> None:
        self._socket = socket
        self._point = _point_class(self)("CP-1", _Recording(socket, self))
        ready()
        with suppress(ConnectionClosed):
            await self._point.start()


class _Recording:
    """A socket whose CALLs to the charge point are written down as they came."""

    def __init__(self, socket: Any, station: Station) -> None:
        self._socket = socket
        self._station = station

    async def recv(self) -> str:
        text = str(await self._socket.recv())
        frame = json.loads(text)
        if frame[0] == 2:
            self._station.asked.append((frame[2], frame[3]))
        return text

    async def send(self, text: str) -> None:
        frame = json.loads(text)
        if frame[0] == 3 and self._station.garbled is not None:
            text = json.dumps([3, frame[1], self._station.garbled])
        await self._socket.send(text)


def _point_class(station: Station) -> type[Any]:
    package = import_module(_PACKAGES[station.version])
    members = {f"on_{action}": _handler(package, station, action) for action in station.answers}
    made: type[Any] = type("Point", (package.ChargePoint,), members)
    return made


def _handler(package: Any, station: Station, action: str) -> Any:
    def handle(self: Any, **payload: Any) -> Any:
        answer = camel_to_snake_case(dict(station.answers[action]))
        return getattr(package.call_result, action)(**answer)

    handle.__name__ = f"on_{action}"  # the package finds handlers by their names
    return on(action)(handle)


def _is_online(world: World) -> bool:
    return bool(world.rows("SELECT 1 FROM cpo_chargepoint WHERE identity = 'CP-1' AND online"))


@contextmanager
def station(
    world: World, version: str, answers: Answers, *, columns: Mapping[str, Any] | None = None
) -> Iterator[Station]:
    """Run a gateway with one connected charge point, "CP-1" of NL*TNM."""
    world.add("CP-1", PASSWORD, **({"protocols": json.dumps([f"ocpp{version}"])} | dict(columns or {})))
    loop = asyncio.new_event_loop()
    played = Station(loop, version, answers)
    ready = threading.Event()
    stop = asyncio.Event()

    async def whole() -> None:
        protocols = [Subprotocol(f"ocpp{version}")]
        async with world.node() as node, node.connect("CP-1", PASSWORD, subprotocols=protocols) as point:
            played.node = node.gateway.config.node
            playing = asyncio.create_task(played.play(point.socket, ready.set))
            await stop.wait()
            playing.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(whole(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(_SECONDS), "the charge point does not connect"
        eventually(lambda: _is_online(world), seconds=_SECONDS)  # it is connected a moment before that is written down
        yield played
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_SECONDS)
        loop.close()
