"""A simulated OCPP 2.0.1 charging station: each connector of ours is an EVSE with one connector.

Its transactions begin when the power path is closed: authorised and plugged in. What happens while the line is away is
told afterwards, in order, as `offline`.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

from cpo.simulator.base import LOST, Simulated
from cpo.simulator.behavior import Connector
from cpo.simulator.clock import write
from cpo.simulator.energy import Metered
from cpo.simulator.link import Payload
from cpo.simulator.station_commands import Commands
from cpo.simulator.transaction_events import Events
from cpo.simulator.variables import Variables

__all__ = ["SimulatedStation"]

# What the connectors here are called → ConnectorStatus of 2.0.1; the others are called the same.
_STATUSES = {"Charging": "Occupied", "Finishing": "Occupied", "Preparing": "Occupied"}
_TRIGGERS = {
    "DeAuthorized": "Deauthorized",
    "EVDisconnected": "EVDeparted",
    "ImmediateReset": "ResetCommand",
    "Local": "StopAuthorized",
    "Remote": "RemoteStop",
    "UnlockCommand": "UnlockCommand",
}
_REASONS = {"UnlockCommand": "Other"}  # it is no stoppedReason in 2.0.1
CARD = "ISO14443"


class SimulatedStation(Simulated):
    """One OCPP 2.0.1 charging station on one WebSocket."""

    subprotocol = "ocpp2.0.1"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.variables = Variables(self.behavior)
        self.events = Events(self.link, signs=self.behavior.signs)
        self.commands = Commands(self).table()
        self.boot_reason = "PowerUp"
        self._told: dict[int, str] = {}

    async def run(self) -> None:
        self.spawn(self.events.run())
        await super().run()

    # ------------------------------------------------------------ what it does by itself

    async def _connected(self) -> None:
        """Boot once; a line that comes back is no reason to boot again."""
        self._told.clear()
        if not self.booted.is_set():
            await super()._connected()
            return
        await self._report_statuses()
        await self._beat()

    async def boot(self) -> bool:
        accepted = await super().boot()
        if accepted:
            self.boot_reason = "PowerUp"
            self.variables.note("OCPPCommCtrlr", "HeartbeatInterval", str(round(self._heartbeat_seconds)))
        return accepted

    async def _beat(self) -> None:
        while self.behavior.heartbeat:
            await asyncio.sleep(self.variables.number("OCPPCommCtrlr", "HeartbeatInterval") or 60)
            await self.link.call("Heartbeat", {})

    def _boot_payload(self) -> Payload:
        return {
            "reason": self.boot_reason,
            "chargingStation": {
                "vendorName": self.behavior.vendor,
                "model": self.behavior.model,
                "serialNumber": self.identity[:25],
                "firmwareVersion": self.firmware,
            },
        }

    async def _notify(self, number: int, status: str, error_code: str = "NoError") -> None:
        told = _STATUSES.get(status, status)
        if number == 0 or self._told.get(number) == told:
            return
        self._told[number] = told
        # Always of now, by the real clock: what is told with a clock that is behind would be taken for old.
        payload = {"evseId": number, "connectorId": 1, "connectorStatus": told, "timestamp": write(datetime.now(UTC))}
        await self.link.call("StatusNotification", payload)

    def _reservation_ended(self, number: int, status: str) -> None:
        told = {"reservationId": number, "reservationUpdateStatus": status}
        self.spawn(self.link.call_until_answered("ReservationStatusUpdate", told))

    # ------------------------------------------------------------ charging

    async def start_local(self, id_tag: str, connector: int = 1, *, token_type: str = CARD) -> Metered:
        """Show a card and start if it is accepted, or while nobody can be asked; the session then runs by itself.

        :raises PermissionError: if the card is refused, or the EVSE is reserved for another.
        """
        info: Payload = {}
        if self.link.online.is_set():
            token = {"idToken": id_tag, "type": token_type}
            info = (await self.link.call("Authorize", {"idToken": token}))["idTokenInfo"]
            if info["status"] != "Accepted":
                raise PermissionError(f"{id_tag}: {info['status']}")
        else:
            self.check_list(id_tag)
        group = (info.get("groupIdToken") or {}).get("idToken", "")
        if not self.reservations.is_open_to(connector, id_tag, group):
            raise PermissionError(f"{id_tag}: EVSE {connector} is reserved")
        if self.connectors[connector].car is None:
            await self.plug_in(connector)
        return await self.start(self.connectors[connector], id_tag, token_type, "Authorized", group=group)

    async def start_remotely(self, connector: Connector, asked: Payload) -> None:
        """Do what an accepted RequestStartTransaction asks for."""
        token = asked["idToken"]
        if self.variables.is_true("AuthCtrlr", "AuthorizeRemoteStart"):
            answer = await self.link.call("Authorize", {"idToken": token})
            if answer["idTokenInfo"]["status"] != "Accepted":
                return
        if connector.car is None:
            await self.plug_in(connector.number)
        group = (asked.get("groupIdToken") or {}).get("idToken", "")
        metered = await self.start(
            connector, token["idToken"], token["type"], "RemoteStart", group=group, remote=asked["remoteStartId"]
        )
        if "chargingProfile" in asked and connector.open is metered:
            profile = {**asked["chargingProfile"], "transactionId": metered.transaction_id}
            self.commands["SetChargingProfile"]({"evseId": connector.number, "chargingProfile": profile})

    async def start(
        self,
        connector: Connector,
        id_tag: str,
        token_type: str,
        trigger: str,
        *,
        group: str = "",
        remote: int | None = None,
    ) -> Metered:
        """Begin a transaction and tell of it; offline it charges, and the answer is heard later."""
        if all(each.open is None for each in self.connectors.values()):
            self.clock.leave_room()
        metered = Metered(connector.number, id_tag, round(connector.register_wh), self.now(), str(uuid.uuid4()))
        metered.token_type, metered.remote_start_id, metered.state = token_type, remote, "Charging"
        metered.accepted = True
        connector.open, connector.stopping = metered, ""
        self.transactions.append(metered)
        answered = self.events.tell(
            "Started",
            trigger,
            metered,
            at=metered.started_at,
            wh=metered.meter_start_wh,
            context="Transaction.Begin",
            token=True,
            reservation=self.reservations.take(connector.number, id_tag, group),
        )
        if self.link.online.is_set():
            self._hear(connector, metered, await answered)
        else:
            self.spawn(self._hear_later(connector, metered, answered))
        if connector.open is metered:
            await self.set_status(connector.number, "Charging")
            connector.charging = self.spawn(self._charge(connector, metered))
        return metered

    async def _hear_later(self, connector: Connector, metered: Metered, answered: asyncio.Future[Payload]) -> None:
        self._hear(connector, metered, await answered)

    def _hear(self, connector: Connector, metered: Metered, answer: Payload) -> None:
        """Take the verdict about the token of a transaction: one that is refused gets no energy."""
        metered.accepted = answer.get("idTokenInfo", {"status": "Accepted"})["status"] == "Accepted"
        if (
            not metered.accepted
            and connector.open is metered
            and self.variables.is_true("TxCtrlr", "StopTxOnInvalidId")
        ):
            connector.stopping = connector.stopping or "DeAuthorized"

    async def _meter(self, connector: Connector, metered: Metered, now: datetime, power_w: float) -> None:
        state = "Charging"
        if power_w <= 0:
            state = "SuspendedEVSE" if self.available(connector, metered, now) <= 0 else "SuspendedEV"
        trigger = "MeterValuePeriodic" if state == metered.state else "ChargingStateChanged"
        metered.state = state
        self.tell_meter(connector, metered, trigger, now, power_w)

    def tell_meter(
        self, connector: Connector, metered: Metered, trigger: str, now: datetime, power_w: float | None = None
    ) -> None:
        self.events.tell(
            "Updated",
            trigger,
            metered,
            at=now,
            wh=round(connector.register_wh),
            watts=power_w,
            charge=connector.car.state_of_charge if connector.car is not None else None,
        )

    async def _tell_stop(self, connector: Connector, metered: Metered) -> None:
        if metered.stopped_at is None:
            raise ValueError("the transaction has not stopped")
        trigger = _TRIGGERS.get(metered.reason, "AbnormalCondition")
        metered.reason = _REASONS.get(metered.reason, metered.reason)
        metered.state = "EVConnected"
        answered = self.events.tell(
            "Ended",
            trigger,
            metered,
            at=metered.stopped_at,
            wh=metered.meter_stop_wh,
            context="Transaction.End",
            token=metered.reason == "Local",
        )
        if self.link.online.is_set():
            await answered

    async def boot_again(self, reason: str, delay_for: list[asyncio.Task[None]]) -> None:
        """Boot again, after what still runs."""
        if delay_for:
            await asyncio.wait(delay_for)
        self.boot_reason = reason
        await self.reboot()

    async def boot_updated(self) -> None:
        """Boot with another firmware, and say that too."""
        self.boot_reason = "FirmwareUpdate"
        await super().boot_updated()
        told = {"type": "FirmwareUpdated", "timestamp": write(datetime.now(UTC)), "techInfo": self.firmware}
        self.say("SecurityEventNotification", told)

    def report_statuses(self) -> None:
        """Tell every status anew, as soon as what is under way is answered."""
        self._told.clear()
        self.spawn(self._report_statuses())

    def say(self, action: str, payload: Payload) -> None:
        """Send a CALL as soon as what is under way is answered; one that is lost is lost."""
        self.spawn(self._say(action, payload))

    async def _say(self, action: str, payload: Payload) -> None:
        try:
            await self.link.call(action, payload)
        except LOST:
            return
