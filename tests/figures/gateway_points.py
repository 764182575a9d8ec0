"""Charge points of a figure: they meter, tell everything until it is answered, and keep books of what was answered.

As real ones they repeat a message after a loss of the line with the same content; half of them with the same message
id, the other half starts and stops with a new one. OCPP 1.6 and 2.0.1.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import time
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

PASSWORD = "00112233445566778899aabbccddeeff00112233"
Payload = dict[str, Any]
_LOST = (OSError, ConnectionClosed, InvalidHandshake, TimeoutError)
_SAMPLE = timedelta(minutes=5)
_MOST_WH = 250  # in five minutes: 3 kW, less than any Connector gives (OCPP-45)
_ANSWER_SECONDS = 30.0
_NEW_ID = frozenset({"StartTransaction", "StopTransaction"})


def card_of(identity: str) -> str:
    """Return the card of a charge point's only driver: a card charges at one place at a time (OCPP-76)."""
    return f"04{zlib.crc32(identity.encode()):08X}"


@dataclass(slots=True)
class Metered:
    """A session as the charge point metered it."""

    identity: str
    version: str
    started_at: datetime
    meter_start: int
    meter_stop: int = 0
    samples: int = 0
    transaction: str = ""  # the number we gave (1.6), or the charge point's own (2.0.1)
    done: bool = False

    @property
    def energy_wh(self) -> int:
        return self.meter_stop - self.meter_start


@dataclass(frozen=True, slots=True)
class Answered:
    """A message that got its answer."""

    identity: str
    action: str
    payload: str
    seconds: float  # from the first time it was sent
    repeats: int
    at: float


@dataclass(slots=True)
class Books:
    """What all charge points of a run have noted."""

    metered: list[Metered] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # cards
    failed: list[str] = field(default_factory=list)  # CALLERRORs
    connects: int = 0

    def percentile(self, share: float, since: float = 0.0, until: float = float("inf")) -> float:
        """Return the time to the answer (s) that this share of the messages of a span stays below."""
        found = sorted(each.seconds for each in self.answered if since <= each.at <= until)
        return found[min(int(len(found) * share), len(found) - 1)] if found else 0.0


class Point:
    """One charge point; `urls` are the nodes a balancer would choose from."""

    def __init__(
        self, identity: str, version: str, urls: Sequence[str], books: Books, seed: int, *, pause: float = 0.05
    ) -> None:
        self.identity = identity
        self.version = version
        self._urls = urls
        self._books = books
        self._pause = pause
        self._random = random.Random(f"{seed}/{identity}")
        self._new_ids = self._random.random() < 0.5
        self._socket: ClientConnection | None = None
        self._online = asyncio.Event()
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._one = asyncio.Lock()  # one CALL at a time
        self._register = self._random.randrange(10_000, 9_000_000)
        self._clock = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
        self._ending = False

    async def run(self) -> None:
        """Stay connected until told to end; boot on every connection."""
        token = base64.b64encode(f"{self.identity}:{PASSWORD}".encode()).decode()
        protocol = Subprotocol("ocpp1.6" if self.version == "1.6" else "ocpp2.0.1")
        while not self._ending:
            try:
                async with connect(
                    f"{self._random.choice(self._urls)}/{self.identity}", subprotocols=[protocol], compression=None,
                    additional_headers={"Authorization": f"Basic {token}"}, ping_interval=None, close_timeout=1,
                    open_timeout=20, proxy=None,
                ) as socket:  # fmt: skip
                    self._books.connects += 1
                    self._socket = socket
                    booting = asyncio.create_task(self._boot())
                    try:
                        async for text in socket:
                            await self._take(socket, str(text))
                    finally:
                        booting.cancel()
                        self._online.clear()
                        self._socket = None
                        for future in self._asked.values():
                            if not future.done():
                                future.set_exception(ConnectionError())
                        await asyncio.gather(booting, return_exceptions=True)
            except _LOST:
                pass
            if not self._ending:
                await asyncio.sleep(self._random.uniform(0.1, 1.0))

    async def end(self) -> None:
        self._ending = True
        if self._socket is not None:
            await self._socket.close()

    async def charge(self, coming: Callable[[], bool]) -> None:
        """Have one car after the other as long as any is coming; then see the last one off."""
        card = card_of(self.identity)
        while coming():
            await (self._session_16 if self.version == "1.6" else self._session_201)(card)
            await asyncio.sleep(self._pause)

    async def say_something(self) -> None:
        """Send one of the messages a charge point sends all day."""
        chosen = self._random.randrange(3)
        if chosen == 0:
            await self.tell("Heartbeat", {})
        elif chosen == 1:
            await self._status(self._random.choice(["Available", "Preparing"]))
        else:
            self._next_sample()
            value = {"value": str(self._register), "measurand": "Energy.Active.Import.Register"}
            sample = {"timestamp": _write(self._clock), "sampledValue": [value]}
            await self.tell("MeterValues", {"connectorId": 1, "meterValue": [sample]})

    # ------------------------------------------------------------ one session

    def _begin(self) -> Metered:
        metered = Metered(self.identity, self.version, self._clock, self._register)
        self._books.metered.append(metered)
        return metered

    def _next_sample(self) -> None:
        self._clock += _SAMPLE
        self._register += self._random.randrange(_MOST_WH // 2, _MOST_WH)

    def _samples(self) -> range:
        return range(self._random.randrange(2, 6))

    def _end(self, metered: Metered) -> None:
        metered.done = True
        self._clock += timedelta(minutes=1)

    async def _session_16(self, card: str) -> None:
        await self._status("Preparing")
        if (await self.tell("Authorize", {"idTag": card}))["idTagInfo"]["status"] != "Accepted":
            self._books.refused.append(f"{self.identity} Authorize")
            return
        metered = self._begin()
        start = {"connectorId": 1, "idTag": card, "meterStart": self._register, "timestamp": _write(self._clock)}
        answer = await self.tell("StartTransaction", start)
        metered.transaction = str(answer["transactionId"])
        if answer["idTagInfo"]["status"] != "Accepted":
            self._books.refused.append(f"{self.identity} StartTransaction")
        await self._status("Charging")
        for _ in self._samples():
            self._next_sample()
            metered.samples += 1
            value = {"measurand": "Energy.Active.Import.Register", "unit": "Wh", "value": str(self._register)}
            await self.tell(
                "MeterValues",
                {
                    "connectorId": 1,
                    "transactionId": answer["transactionId"],
                    "meterValue": [{"timestamp": _write(self._clock), "sampledValue": [value]}],
                },
            )
            await asyncio.sleep(self._pause)
        self._next_sample()
        metered.meter_stop = self._register
        await self.tell(
            "StopTransaction",
            {
                "transactionId": answer["transactionId"], "meterStop": self._register, "reason": "Local",
                "timestamp": _write(self._clock), "idTag": card,
            },
        )  # fmt: skip
        self._end(metered)
        await self._status("Available")

    async def _session_201(self, card: str) -> None:
        token = {"idToken": card, "type": "ISO14443"}
        if (await self.tell("Authorize", {"idToken": token}))["idTokenInfo"]["status"] != "Accepted":
            self._books.refused.append(f"{self.identity} Authorize")
            return
        await self._status("Occupied")
        metered = self._begin()
        metered.transaction = str(uuid.UUID(int=self._random.getrandbits(128)))
        count = itertools.count()

        async def event(kind: str, trigger: str, state: str, **more: Any) -> Any:
            value = {"value": self._register, "measurand": "Energy.Active.Import.Register", "context": _CONTEXT[kind]}
            info = {"transactionId": metered.transaction, "chargingState": state, **more.pop("info", {})}
            return await self.tell(
                "TransactionEvent",
                {
                    "eventType": kind, "triggerReason": trigger, "timestamp": _write(self._clock), "seqNo": next(count),
                    "transactionInfo": info, "evse": {"id": 1, "connectorId": 1},
                    "meterValue": [{"timestamp": _write(self._clock), "sampledValue": [value]}], **more,
                },
            )  # fmt: skip

        answer = await event("Started", "Authorized", "Charging", idToken=token)
        if answer.get("idTokenInfo", {}).get("status") != "Accepted":
            self._books.refused.append(f"{self.identity} TransactionEvent")
        for _ in self._samples():
            self._next_sample()
            metered.samples += 1
            await event("Updated", "MeterValuePeriodic", "Charging")
            await asyncio.sleep(self._pause)
        self._next_sample()
        metered.meter_stop = self._register
        await event("Ended", "StopAuthorized", "EVConnected", idToken=token, info={"stoppedReason": "Local"})
        self._end(metered)
        await self._status("Available")

    async def _status(self, status: str) -> None:
        moment = {"timestamp": _write(datetime.now(UTC))}
        if self.version == "1.6":
            await self.tell(
                "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status, **moment}
            )
        else:
            await self.tell("StatusNotification", {"evseId": 1, "connectorId": 1, "connectorStatus": status, **moment})

    # ------------------------------------------------------------ the line

    async def tell(self, action: str, payload: Payload) -> Any:
        """Say something until it is answered, however often the line breaks."""
        message_id, began_at = str(uuid.uuid4()), time.monotonic()
        async with self._one:
            for repeats in itertools.count():
                await self._online.wait()
                try:
                    answer = await self._call(message_id, action, payload)
                except (*_LOST, ConnectionError):
                    if self._new_ids and action in _NEW_ID:
                        message_id = str(uuid.uuid4())
                    await asyncio.sleep(0.02)
                    continue
                now = time.monotonic()
                text = json.dumps(payload, sort_keys=True)
                self._books.answered.append(Answered(self.identity, action, text, now - began_at, repeats, now))
                return answer
        raise AssertionError("it counts for ever")

    async def _call(self, message_id: str, action: str, payload: Payload) -> Any:
        if self._socket is None:
            raise ConnectionError
        future = self._asked[message_id] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(json.dumps([2, message_id, action, payload]))
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await future
        finally:
            self._asked.pop(message_id, None)
            if future.done() and not future.cancelled():
                future.exception()

    async def _boot(self) -> None:
        about = {"chargePointVendor": "Figure", "chargePointModel": "One"}
        if self.version != "1.6":
            about = {"reason": "PowerUp", "chargingStation": {"vendorName": "Figure", "model": "One"}}  # type: ignore[dict-item]
        while (await self._call(str(uuid.uuid4()), "BootNotification", about))["status"] != "Accepted":
            await asyncio.sleep(1)
        self._online.set()

    async def _take(self, socket: ClientConnection, text: str) -> None:
        kind, message_id, *rest = json.loads(text)
        if kind == 2:
            await socket.send(json.dumps([4, message_id, "NotSupported", "", {}]))
            return
        future = self._asked.get(message_id)
        if future is None or future.done():
            return
        if kind == 3:
            future.set_result(rest[0])
        else:
            self._books.failed.append(f"{self.identity} {rest[:2]}")
            future.set_exception(ConnectionError(str(rest)))


_CONTEXT = {"Started": "Transaction.Begin", "Updated": "Sample.Periodic", "Ended": "Transaction.End"}


def _write(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
