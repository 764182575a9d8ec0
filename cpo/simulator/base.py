"""What simulated charge points of every OCPP version have in common: a line, a clock, connectors, cars, limits.

Each lives by its own clock (`clock.py`); one that runs fast is behind the real one. `charge_point.py` speaks OCPP 1.6,
`station.py` OCPP 2.0.1.
"""

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from websockets.exceptions import ConnectionClosed

from cpo.simulator.behavior import Behavior, Connector
from cpo.simulator.clock import Clock
from cpo.simulator.energy import Car, Metered
from cpo.simulator.jobs import Jobs
from cpo.simulator.limits import Profiles
from cpo.simulator.link import Link, NotDone, Payload
from cpo.simulator.local_list import LocalList
from cpo.simulator.reservations import Reservations

logger = logging.getLogger(__name__)

LOST = (ConnectionError, ConnectionClosed, TimeoutError)
_ENDS_RESERVATIONS = frozenset({"Faulted", "Unavailable"})


class Simulated(ABC):
    """One charge point on one WebSocket."""

    subprotocol: ClassVar[str]
    # What the central system may ask → what is done about it.
    commands: dict[str, Callable[[Payload], Payload]]

    def __init__(
        self, url: str, identity: str, *, password: str | None = None, behavior: Behavior | None = None, seed: int = 0
    ) -> None:
        self.identity = identity
        self.behavior = behavior or Behavior()
        self.random = random.Random(f"{identity}/{seed}")  # noqa: S311 (a simulation, not a secret)
        self.connectors = {
            number: Connector(number, register_wh=float(self.random.randrange(10_000, 9_000_000)))
            for number in range(1, self.behavior.connectors + 1)
        }
        self.transactions: list[Metered] = []
        self.profiles = Profiles(self.behavior.voltage, self.behavior.phases, self.behavior.power_w)
        self.local_list = LocalList()
        self.firmware = self.behavior.firmware
        self.diary: deque[tuple[datetime, str, bool]] = deque(maxlen=2000)  # when, what, and does it matter to security
        self.booted = asyncio.Event()
        self.received: list[tuple[str, Payload]] = []  # CALLs of the central system
        self.link = Link(
            url,
            identity,
            password,
            subprotocol=self.subprotocol,
            on_connect=self._connected,
            on_call=self._answer,
            answer_seconds=self.behavior.answer_seconds,
            reconnect_seconds=self.behavior.reconnect_seconds,
        )
        self.reservations = Reservations(
            self.connectors, any_of=self.behavior.reserves_any, show=self._show, ended=self._reservation_ended
        )
        self.clock = Clock(self.behavior.seconds_per_minute, self.behavior.clock_behind, self.behavior.epoch)
        self.jobs = Jobs(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._heartbeat_seconds = 300.0
        self._closed_after: set[int] = set()  # connectors that become Unavailable when their transaction ends

    # ------------------------------------------------------------ what each version says in its own way

    @abstractmethod
    def _boot_payload(self) -> Payload: ...

    @abstractmethod
    async def _notify(self, number: int, status: str, error_code: str = "NoError") -> None:
        """Report a status, given as OCPP 1.6 calls it; number 0 is the charge point."""

    @abstractmethod
    async def start_local(self, id_tag: str, connector: int = 1) -> Metered:
        """Show a card and start if it is accepted; the session then runs by itself.

        :raises PermissionError: if the card is refused, or the connector is reserved for another.
        """

    def check_list(self, id_tag: str) -> None:
        """Look into the local list while nobody can be asked.

        :raises PermissionError: if it says no.
        """
        if self.local_list.refuses(id_tag):
            raise PermissionError(f"{id_tag}: the local list says no")

    @abstractmethod
    async def _meter(self, connector: Connector, metered: Metered, now: datetime, power_w: float) -> None: ...

    @abstractmethod
    async def _tell_stop(self, connector: Connector, metered: Metered) -> None: ...

    @abstractmethod
    def _reservation_ended(self, number: int, status: str) -> None:
        """Tell that a reservation is Expired or Removed."""

    # ------------------------------------------------------------ time

    def now(self) -> datetime:
        """Return the charge point's own time."""
        return self.clock.now()

    async def pass_minutes(self, minutes: float) -> None:
        """Let some of the charge point's own minutes pass."""
        await self.clock.pass_minutes(minutes)

    # ------------------------------------------------------------ connection

    async def run(self) -> None:
        """Stay connected until closed; connect again after a loss.

        :raises InvalidStatus: if the central system refuses us (400, 401).
        """
        self.now()
        await self.link.run()

    async def close(self) -> None:
        """Go offline for good, with nothing left to do; transactions stay open."""
        self.reservations.close()
        ending = list(self._tasks)
        for task in ending:
            task.cancel()
        await self.link.close()
        await asyncio.gather(*ending, return_exceptions=True)

    def cut(self) -> None:
        """Lose the connection as a broken line would; `run` connects again."""
        self.link.cut()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("%s: %r", self.identity, error)

    def note(self, text: str, *, security: bool = False) -> None:
        """Write something into the log, by the real time."""
        self.diary.append((datetime.now(UTC), text, security))

    # ------------------------------------------------------------ what the central system asks

    def _answer(self, action: str, payload: Payload) -> Payload:
        self.received.append((action, payload))
        self.note(f"asked for {action}")
        command = self.commands.get(action)
        if command is None:
            raise NotDone("NotImplemented", f"this charge point knows no {action}")
        return command(payload)

    def free(self, wanted: int | None, id_tag: str) -> Connector | None:
        """Return a connector at which a tag may be started remotely."""
        free = (
            each
            for each in self.connectors.values()
            if each.open is None
            and each.status in {"Available", "Preparing", "Reserved"}
            and self.reservations.is_open_to(each.number, id_tag)
        )
        return next((each for each in free if wanted in (None, each.number)), None)

    def remote_stop(self, transaction_id: int | str) -> bool:
        for connector in self.connectors.values():
            if connector.open is not None and connector.open.transaction_id == transaction_id:
                connector.stopping = "Remote"
                return True
        return False

    def unlock(self, number: int) -> bool:
        connector = self.connectors.get(number)
        if connector is not None and connector.open is not None:
            connector.stopping = "UnlockCommand"
        return connector is not None

    def running(self) -> dict[int, tuple[int | str, datetime]]:
        """Return the transactions by connector, with their start."""
        return {
            each.number: (each.open.transaction_id, each.open.started_at)
            for each in self.connectors.values()
            if each.open is not None
        }

    def make_available(self, number: int, *, operative: bool) -> str:
        """Open or close a connector, or all of them (0); one that charges is closed when it has ended."""
        chosen = [each for each in self.connectors.values() if number in (0, each.number)]
        if not chosen:
            return "Rejected"
        busy = {each.number for each in chosen if each.open is not None}
        for each in chosen:
            if operative:
                self._closed_after.discard(each.number)
                if each.status == "Unavailable":
                    self._show(each.number, "Available")
            elif each.number in busy:
                self._closed_after.add(each.number)
            elif each.status != "Unavailable":
                self._show(each.number, "Unavailable")
        return "Scheduled" if busy and not operative else "Accepted"

    async def restart(self, reason: str) -> None:
        """End what runs and boot again, as after a reset."""
        charging = [each for each in self.connectors.values() if each.open is not None]
        for connector in charging:
            connector.stopping = reason
        tasks = [each.charging for each in charging if each.charging is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=30)
        await self.reboot()

    async def reboot(self) -> None:
        self.booted.clear()
        self.link.cut()

    async def boot_updated(self) -> None:
        """Boot with another firmware; return once that is accepted."""
        await self.reboot()
        await self.booted.wait()

    # ------------------------------------------------------------ what it does by itself

    async def _connected(self) -> None:
        if await self.boot():
            await self._beat()

    async def boot(self) -> bool:
        """Say who we are until we are accepted; say whether we are."""
        while True:
            try:
                answer = await self.link.call("BootNotification", self._boot_payload())
            except LOST:
                return False
            self._heartbeat_seconds = float(answer["interval"] or 60)
            if answer["status"] == "Accepted":
                break
            await asyncio.sleep(self._heartbeat_seconds)
        self.note(f"booted with firmware {self.firmware}", security=True)
        await self._report_statuses()
        self.booted.set()
        return True

    async def _beat(self) -> None:
        while self.behavior.heartbeat:
            await asyncio.sleep(self._heartbeat_seconds)
            await self.link.call("Heartbeat", {})

    async def _report_statuses(self) -> None:
        for number in (0, *self.connectors):
            status = self.connectors[number].status if number else "Available"
            await self._notify(number, status)

    def _show(self, connector: int, status: str) -> None:
        """Have another status from now on, and report it as soon as what is under way is answered."""
        self.connectors[connector].status = status
        self.spawn(self.set_status(connector, status))

    async def set_status(self, connector: int, status: str, error_code: str = "NoError") -> None:
        """Change a connector's status and report it."""
        self.connectors[connector].status = status
        self.note(f"connector {connector} is {status}" + (f": {error_code}" if error_code != "NoError" else ""))
        if status in _ENDS_RESERVATIONS:
            self.reservations.interrupt(connector)
        try:
            await self._notify(connector, status, error_code)
        except LOST as error:
            # Told again after the next boot.
            logger.info("%s could not report %s: %s", self.identity, status, error)

    async def plug_in(self, connector: int, car: Car | None = None) -> None:
        """Put a car's cable in."""
        chosen = self.connectors[connector]
        chosen.car = car or Car(state_of_charge=self.random.uniform(0.1, 0.5))
        if chosen.status != "Reserved":
            await self.set_status(connector, "Preparing")

    async def unplug(self, connector: int) -> None:
        """Take the cable out; a transaction on it ends."""
        chosen = self.connectors[connector]
        if chosen.open is not None:
            await self.stop(connector, "EVDisconnected")
        chosen.car = None
        await self.set_status(connector, "Available")

    async def _charge(self, connector: Connector, metered: Metered) -> None:
        limit = self.behavior.session_minutes
        last = metered.started_at
        while True:
            await self._wait_for_sample(connector)
            now = self.now()
            car = connector.car
            available = self.available(connector, metered, now)
            power = car.power(available) if car is not None else 0.0
            if car is not None:
                connector.register_wh += car.charge(available, now - last)
            last = now
            if connector.stopping:
                break
            metered.samples.append((now, round(connector.register_wh)))
            await self._meter(connector, metered, now, power)
            if car is None or car.state_of_charge >= 1:
                connector.stopping = "Local"
            if limit is not None and now - metered.started_at >= timedelta(minutes=limit):
                connector.stopping = "Local"
        await self._stop(connector, metered, connector.stopping)

    def available(self, connector: Connector, metered: Metered, now: datetime) -> float:
        """Return the W that a connector may draw now: nothing for a tag that is refused."""
        return self.profiles.available(connector.number, now) if metered.accepted else 0.0

    async def _wait_for_sample(self, connector: Connector) -> None:
        left = self.behavior.sample_minutes * self.behavior.seconds_per_minute
        while left > 0 and not connector.stopping:
            step = min(left, 0.1)
            await asyncio.sleep(step)
            left -= step

    async def stop(self, connector: int, reason: str = "Local") -> Metered:
        """End the connector's transaction and return it once the stop is answered.

        :raises LookupError: if there is none.
        """
        chosen = self.connectors[connector]
        metered = chosen.open
        if metered is None:
            raise LookupError(f"no transaction on connector {connector}")
        chosen.stopping = reason
        if chosen.charging is not None:
            await asyncio.shield(chosen.charging)
        return metered

    async def _stop(self, connector: Connector, metered: Metered, reason: str) -> None:
        metered.meter_stop_wh = round(connector.register_wh)
        metered.stopped_at = self.now()
        metered.reason = reason
        self.profiles.end(metered.transaction_id)
        await self._tell_stop(connector, metered)
        connector.open = connector.charging = None
        await self.set_status(connector.number, "Finishing")
        await self.pass_minutes(0.5)
        connector.car = None
        closed = connector.number in self._closed_after
        self._closed_after.discard(connector.number)
        await self.set_status(connector.number, "Unavailable" if closed else "Available")
