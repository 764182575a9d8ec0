"""A simulated OCPP 1.6 charge point: boots, beats, charges cars, obeys commands, keeps its own books.

It lives by its own clock (`clock.py`). One that runs fast is behind the real one, so then StatusNotifications leave
their optional timestamp out.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.exceptions import ConnectionClosed

from cpo.simulator.behavior import Behavior, Connector
from cpo.simulator.clock import Clock, write
from cpo.simulator.energy import Car, Metered
from cpo.simulator.limits import CONFIGURATION, Profiles
from cpo.simulator.link import CallFailed, Link, Payload
from cpo.simulator.reservations import Reservations

__all__ = ["Behavior", "CallFailed", "Connector", "SimulatedChargePoint"]

logger = logging.getLogger(__name__)


class SimulatedChargePoint:
    """One charge point on one WebSocket."""

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
        self.booted = asyncio.Event()
        self.received: list[tuple[str, Payload]] = []  # CALLs of the central system
        self.link = Link(
            url,
            identity,
            password,
            on_connect=self._boot,
            on_call=self._answer,
            answer_seconds=self.behavior.answer_seconds,
            reconnect_seconds=self.behavior.reconnect_seconds,
        )
        self.reservations = Reservations(self.connectors, any_of=self.behavior.reserves_any, show=self._show)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._heartbeat_seconds = 300.0
        self.clock = Clock(self.behavior.seconds_per_minute, self.behavior.clock_behind)

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

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("%s: %r", self.identity, error)

    # ------------------------------------------------------------ what the central system asks

    def _answer(self, action: str, payload: Payload) -> Payload:
        self.received.append((action, payload))
        match action:
            case "RemoteStartTransaction":
                return {"status": "Accepted" if self._remote_start(payload) else "Rejected"}
            case "RemoteStopTransaction":
                return {"status": "Accepted" if self._remote_stop(payload["transactionId"]) else "Rejected"}
            case "UnlockConnector":
                return {"status": "Unlocked" if self._unlock(payload["connectorId"]) else "UnlockFailed"}
            case "TriggerMessage":
                return {"status": self._trigger(payload)}
            case "ReserveNow":
                return {"status": self.reservations.reserve(payload)}
            case "CancelReservation":
                return {"status": "Accepted" if self.reservations.end(payload["reservationId"]) else "Rejected"}
            case "Reset" | "ChangeAvailability" | "ClearCache":
                return {"status": "Accepted"}
            case "SetChargingProfile":
                return {"status": self._set_profile(payload)}
            case "ClearChargingProfile":
                return {"status": self.profiles.clear(payload)}
            case "GetCompositeSchedule":
                if payload["connectorId"] not in {0, *self.connectors}:
                    return {"status": "Rejected"}
                return self.profiles.composite(payload, self.now(), write(datetime.now(UTC)))
            case "ChangeConfiguration":
                return {"status": "NotSupported"}
            case "GetConfiguration":
                return self._configuration(payload.get("key", []))
            case _:
                return {}

    def _set_profile(self, payload: Payload) -> str:
        if payload["connectorId"] not in {0, *self.connectors}:
            return "Rejected"
        running = {
            each.number: (each.open.transaction_id, each.open.started_at)
            for each in self.connectors.values()
            if each.open is not None
        }
        return self.profiles.set(payload, self.now(), running)

    def _remote_start(self, payload: Payload) -> bool:
        wanted = payload.get("connectorId")
        free = [
            each
            for each in self.connectors.values()
            if each.open is None
            and each.status in {"Available", "Preparing", "Reserved"}
            and self.reservations.is_open_to(each.number, payload["idTag"])
        ]
        chosen = [each for each in free if wanted in (None, each.number)]
        if not chosen:
            return False
        self._spawn(self._start_remotely(chosen[0], payload["idTag"]))
        return True

    async def _start_remotely(self, connector: Connector, id_tag: str) -> None:
        if self.behavior.authorize_remote:
            answer = await self.link.call("Authorize", {"idTag": id_tag})
            if answer["idTagInfo"]["status"] != "Accepted":
                return
        if connector.car is None:
            await self.plug_in(connector.number)
        await self._start(connector, id_tag)

    def _remote_stop(self, transaction_id: int) -> bool:
        for connector in self.connectors.values():
            if connector.open is not None and connector.open.transaction_id == transaction_id:
                connector.stopping = "Remote"
                return True
        return False

    def _unlock(self, number: int) -> bool:
        connector = self.connectors.get(number)
        if connector is not None and connector.open is not None:
            connector.stopping = "UnlockCommand"
        return connector is not None

    def _configuration(self, keys: list[str]) -> Payload:
        known = {**CONFIGURATION, "ReserveConnectorZeroSupported": str(self.behavior.reserves_any).lower()}
        return {
            "configurationKey": [
                {"key": key, "readonly": True, "value": value}
                for key, value in known.items()
                if not keys or key in keys
            ],
            "unknownKey": [key for key in keys if key not in known],
        }

    def _trigger(self, payload: Payload) -> str:
        match payload["requestedMessage"]:
            case "BootNotification":
                self._spawn(self._boot())
            case "StatusNotification":
                self._spawn(self._report_statuses())
            case "Heartbeat":
                self._spawn(self.link.call("Heartbeat", {}))
            case _:
                return "NotImplemented"
        return "Accepted"

    # ------------------------------------------------------------ what it does by itself

    async def _boot(self) -> None:
        while True:
            try:
                answer = await self.link.call(
                    "BootNotification",
                    {
                        "chargePointVendor": self.behavior.vendor,
                        "chargePointModel": self.behavior.model,
                        "chargePointSerialNumber": self.identity[:25],
                        "firmwareVersion": self.behavior.firmware,
                    },
                )
            except (ConnectionError, ConnectionClosed, TimeoutError):
                return
            self._heartbeat_seconds = float(answer["interval"] or 60)
            if answer["status"] == "Accepted":
                break
            await asyncio.sleep(self._heartbeat_seconds)
        await self._report_statuses()
        self.booted.set()
        while self.behavior.heartbeat:
            await asyncio.sleep(self._heartbeat_seconds)
            await self.link.call("Heartbeat", {})

    async def _report_statuses(self) -> None:
        for number in (0, *self.connectors):
            status = self.connectors[number].status if number else "Available"
            await self._notify(number, status)

    async def _notify(self, number: int, status: str, error_code: str = "NoError") -> None:
        payload: Payload = {"connectorId": number, "errorCode": error_code, "status": status}
        if self.behavior.seconds_per_minute >= 60:
            payload["timestamp"] = write(self.now())
        await self.link.call("StatusNotification", payload)

    def _show(self, connector: int, status: str) -> None:
        """Have another status from now on, and report it as soon as what is under way is answered."""
        self.connectors[connector].status = status
        self._spawn(self.set_status(connector, status))

    async def set_status(self, connector: int, status: str, error_code: str = "NoError") -> None:
        """Change a connector's status and report it."""
        self.connectors[connector].status = status
        try:
            await self._notify(connector, status, error_code)
        except (ConnectionError, ConnectionClosed, TimeoutError) as error:
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

    async def start_local(self, id_tag: str, connector: int = 1) -> Metered:
        """Show a card: Authorize, then start if it is accepted; the session then runs by itself.

        :raises PermissionError: if the card is refused, or the connector is reserved for another.
        """
        answer = await self.link.call("Authorize", {"idTag": id_tag})
        if answer["idTagInfo"]["status"] != "Accepted":
            raise PermissionError(f"{id_tag}: {answer['idTagInfo']['status']}")
        if not self.reservations.is_open_to(connector, id_tag, answer["idTagInfo"].get("parentIdTag", "")):
            raise PermissionError(f"{id_tag}: connector {connector} is reserved")
        if self.connectors[connector].car is None:
            await self.plug_in(connector)
        return await self._start(self.connectors[connector], id_tag)

    async def _start(self, connector: Connector, id_tag: str) -> Metered:
        if all(each.open is None for each in self.connectors.values()):
            self.clock.leave_room()
        metered = Metered(connector.number, id_tag, round(connector.register_wh), self.now())
        connector.open, connector.stopping = metered, ""
        self.transactions.append(metered)
        start: Payload = {
            "connectorId": connector.number,
            "idTag": id_tag,
            "meterStart": metered.meter_start_wh,
            "timestamp": write(metered.started_at),
        }
        reservation = self.reservations.take(connector.number, id_tag)
        if reservation is not None:
            start["reservationId"] = reservation
        answer = await self.link.call_until_answered("StartTransaction", start)
        metered.transaction_id = answer["transactionId"]
        metered.accepted = answer["idTagInfo"]["status"] == "Accepted"
        if metered.accepted:
            await self.set_status(connector.number, "Charging")
            connector.charging = self._spawn(self._charge(connector, metered))
        else:
            await self._stop(connector, metered, "DeAuthorized")
        return metered

    async def _charge(self, connector: Connector, metered: Metered) -> None:
        limit = self.behavior.session_minutes
        last = metered.started_at
        while True:
            await self._wait_for_sample(connector)
            now = self.now()
            car = connector.car
            available = self.profiles.available(connector.number, now)
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

    async def _wait_for_sample(self, connector: Connector) -> None:
        left = self.behavior.sample_minutes * self.behavior.seconds_per_minute
        while left > 0 and not connector.stopping:
            step = min(left, 0.1)
            await asyncio.sleep(step)
            left -= step

    async def _meter(self, connector: Connector, metered: Metered, now: datetime, power_w: float) -> None:
        samples = [
            {"measurand": "Energy.Active.Import.Register", "unit": "Wh", "value": str(round(connector.register_wh))},
            {"measurand": "Power.Active.Import", "unit": "W", "value": f"{power_w:.1f}"},
        ]
        if connector.car is not None:
            samples.append(
                {"measurand": "SoC", "unit": "Percent", "value": f"{connector.car.state_of_charge * 100:.0f}"}
            )
        timestamp = write(now)
        await self.link.call_until_answered(
            "MeterValues",
            {
                "connectorId": connector.number,
                "transactionId": metered.transaction_id,
                "meterValue": [{"timestamp": timestamp, "sampledValue": samples}],
            },
        )

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
        await self.link.call_until_answered(
            "StopTransaction",
            {
                "idTag": metered.id_tag,
                "meterStop": metered.meter_stop_wh,
                "reason": reason,
                "timestamp": write(metered.stopped_at),
                "transactionId": metered.transaction_id,
            },
        )
        connector.open = connector.charging = None
        await self.set_status(connector.number, "Finishing")
        await self.pass_minutes(0.5)
        connector.car = None
        await self.set_status(connector.number, "Available")
