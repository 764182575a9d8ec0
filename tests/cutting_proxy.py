"""A balancer and a bad line in one: between charge points and nodes it drops, delays, doubles, swaps and cuts frames.

async with CuttingProxy([node.url, other.url], rule) as proxy:
    … connect to f"{proxy.url}/CP1" …

A rule sees every frame before it goes on and says what becomes of it. Connections go to the nodes in turn, as a plain
TCP balancer without stickiness sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

Direction = Literal["up", "down"]  # up: from the charge point


class Cut(Exception):
    """The line breaks here."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame on its way."""

    direction: Direction
    number: int  # of this connection and direction, from 1
    connection: int  # of this proxy, from 1
    text: str

    @property
    def parts(self) -> list[Any]:
        found = json.loads(self.text)
        return found if isinstance(found, list) else [None]

    @property
    def is_answer(self) -> bool:
        return self.parts[0] in (3, 4)

    @property
    def action(self) -> str:
        return str(self.parts[2]) if self.parts[0] == 2 else ""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a frame: how often it goes on, how late, after which other one, and where the line breaks."""

    times: int = 1
    delay: float = 0.0
    after_next: bool = False
    cut_before: bool = False
    cut_after: bool = False


PASS, DROP, DOUBLE, SWAP = Fate(), Fate(times=0), Fate(times=2), Fate(after_next=True)
CUT_BEFORE, CUT_AFTER = Fate(cut_before=True), Fate(cut_after=True)
Rule = Callable[[Frame], Fate]


def let_pass(frame: Frame) -> Fate:
    return PASS


class CuttingProxy:
    """The proxy; `rule` may be changed at any time."""

    def __init__(self, nodes: Sequence[str], rule: Rule = let_pass) -> None:
        self.rule = rule
        self.seen: list[Frame] = []
        self.fates: list[Fate] = []
        self.cuts = 0
        self._nodes = itertools.cycle(nodes)
        self._connections = itertools.count(1)
        self._server: Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")],
            compression=None, ping_interval=None, close_timeout=1,
        )  # fmt: skip
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/ocpp"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _handle(self, front: ServerConnection) -> None:
        assert front.request is not None
        headers = {name: value for name, value in front.request.headers.raw_items() if name.lower() == "authorization"}
        target = next(self._nodes) + front.request.path.removeprefix("/ocpp")
        number = next(self._connections)
        try:
            async with connect(
                target, additional_headers=headers, subprotocols=[front.subprotocol] if front.subprotocol else None,
                compression=None, ping_interval=None, proxy=None, close_timeout=1,
            ) as back:  # fmt: skip
                ways = [
                    asyncio.create_task(self._carry(front, back, "up", number)),
                    asyncio.create_task(self._carry(back, front, "down", number)),
                ]
                done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                if any(isinstance(way.exception(), Cut) for way in done if not way.cancelled()):
                    self.cuts += 1
                    front.transport.abort()
                    back.transport.abort()
                else:
                    code = back.close_code if back.close_code not in (None, 1005, 1006) else 1000
                    await front.close(code or 1000)
        except (OSError, InvalidStatus, ConnectionClosed):
            front.transport.abort()

    async def _carry(self, source: Any, target: Any, direction: Direction, connection: int) -> None:
        held: list[str] = []
        with contextlib.suppress(ConnectionClosed):
            for number in itertools.count(1):
                frame = Frame(direction, number, connection, str(await source.recv()))
                fate = self.rule(frame)
                self.seen.append(frame)
                self.fates.append(fate)
                if fate.cut_before:
                    raise Cut
                if fate.after_next:
                    held.append(frame.text)
                    continue
                if fate.delay:
                    await asyncio.sleep(fate.delay)
                for text in [frame.text] * fate.times + held:
                    await target.send(text)
                held.clear()
                if fate.cut_after:
                    # What was sent is on the wire before the line breaks.
                    await asyncio.sleep(0.05)
                    raise Cut
