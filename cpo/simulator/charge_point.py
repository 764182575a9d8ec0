"""A simulated OCPP 1.6 charge point: boots, beats, charges cars, obeys commands, keeps its own books.

One whose clock is behind leaves the optional timestamp of StatusNotifications out.
"""

from datetime import UTC, datetime
from typing import Any

from cpo.simulator import jobs, local_list
from cpo.simulator.base import Simulated
from cpo.simulator.behavior import Behavior, Connector
from cpo.simulator.clock import Epoch, write
from cpo.simulator.energy import Metered
from cpo.simulator.limits import CONFIGURATION
from cpo.simulator.link import CallFailed, Payload

__all__ = ["Behavior", "CallFailed", "Connector", "Epoch", "SimulatedChargePoint"]


class SimulatedChargePoint(Simulated):
    """One OCPP 1.6 charge point on one WebSocket."""

    subprotocol = "ocpp1.6"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.commands = {
            "CancelReservation": self._cancel_reservation,
            "ChangeAvailability": lambda asked: {
                "status": self.make_available(asked["connectorId"], operative=asked["type"] == "Operative")
            },
            "ChangeConfiguration": lambda asked: {"status": "NotSupported"},
            "ClearCache": lambda asked: {"status": "Rejected"},  # there is none
            "ClearChargingProfile": lambda asked: {"status": self.profiles.clear(asked)},
            "ExtendedTriggerMessage": self._trigger,
            "GetCompositeSchedule": self._composite,
            "GetConfiguration": lambda asked: self._configuration(asked.get("key", [])),
            "GetDiagnostics": self._diagnostics,
            "GetLocalListVersion": lambda asked: {"listVersion": self.local_list.version},
            "GetLog": lambda asked: jobs.get_log(self.jobs, asked),
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": lambda asked: {
                "status": "Accepted" if self.remote_stop(asked["transactionId"]) else "Rejected"
            },
            "ReserveNow": lambda asked: {"status": self.reservations.reserve(asked)},
            "Reset": self._reset,
            "SendLocalList": self._send_list,
            "SetChargingProfile": self._set_profile,
            "SignedUpdateFirmware": lambda asked: {
                "status": self.jobs.update(jobs.update_of(asked, action="SignedFirmwareStatusNotification"))
            },
            "TriggerMessage": self._trigger,
            "UnlockConnector": lambda asked: {
                "status": "Unlocked" if self.unlock(asked["connectorId"]) else "UnlockFailed"
            },
            "UpdateFirmware": self._update_firmware,
        }

    # ------------------------------------------------------------ what the central system asks

    def _cancel_reservation(self, payload: Payload) -> Payload:
        return {"status": "Accepted" if self.reservations.end(payload["reservationId"]) else "Rejected"}

    def _composite(self, payload: Payload) -> Payload:
        if payload["connectorId"] not in {0, *self.connectors}:
            return {"status": "Rejected"}
        return self.profiles.composite(payload, self.now(), write(datetime.now(UTC)))

    def _set_profile(self, payload: Payload) -> Payload:
        if payload["connectorId"] not in {0, *self.connectors}:
            return {"status": "Rejected"}
        return {"status": self.profiles.set(payload, self.now(), self.running())}

    def _remote_start(self, payload: Payload) -> Payload:
        chosen = self.free(payload.get("connectorId"), payload["idTag"])
        if chosen is None:
            return {"status": "Rejected"}
        self.spawn(self._start_remotely(chosen, payload["idTag"]))
        return {"status": "Accepted"}

    def _reset(self, payload: Payload) -> Payload:
        self.spawn(self.restart(f"{payload['type']}Reset"))
        return {"status": "Accepted"}

    async def _start_remotely(self, connector: Connector, id_tag: str) -> None:
        if self.behavior.authorize_remote:
            answer = await self.link.call("Authorize", {"idTag": id_tag})
            if answer["idTagInfo"]["status"] != "Accepted":
                return
        if connector.car is None:
            await self.plug_in(connector.number)
        await self._start(connector, id_tag)

    def _configuration(self, keys: list[str]) -> Payload:
        known = {
            **CONFIGURATION,
            "LocalAuthListEnabled": "true",
            "LocalAuthListMaxLength": str(local_list.CAPACITY),
            "SendLocalListMaxLength": str(local_list.PER_MESSAGE),
            "ReserveConnectorZeroSupported": str(self.behavior.reserves_any).lower(),
            "StopTransactionOnInvalidId": str(self.behavior.stops_refused).lower(),
        }
        return {
            "configurationKey": [
                {"key": key, "readonly": True, "value": value}
                for key, value in known.items()
                if not keys or key in keys
            ],
            "unknownKey": [key for key in keys if key not in known],
        }

    def _send_list(self, payload: Payload) -> Payload:
        full = payload["updateType"] == "Full"
        return {"status": self.local_list.send(payload["listVersion"], full=full, told=local_list.read_16(payload))}

    def _update_firmware(self, payload: Payload) -> Payload:
        self.jobs.update(
            jobs.Update(
                location=payload["location"],
                at=payload["retrieveDate"],
                retries=payload.get("retries", 0),
                pause_seconds=payload.get("retryInterval", 0),
            )
        )
        return {}

    def _diagnostics(self, payload: Payload) -> Payload:
        name, content = self.jobs.log_of(payload, "Diagnostics")
        self.jobs.upload(
            jobs.Upload(
                location=payload["location"],
                name=name,
                content=content,
                action="DiagnosticsStatusNotification",
                failed="UploadFailed",
                retries=payload.get("retries", 0),
                pause_seconds=payload.get("retryInterval", 0),
            )
        )
        return {"fileName": name}

    def _trigger(self, payload: Payload) -> Payload:
        match payload["requestedMessage"]:
            case asked if asked in jobs.TRIGGERED:
                signed = "SignedFirmwareStatusNotification"
                newest = signed if asked == "FirmwareStatusNotification" and self.jobs.has_told(signed) else asked
                self.jobs.tell(newest)
            case "BootNotification":
                self.spawn(self.boot())
            case "StatusNotification":
                self.spawn(self._report_statuses())
            case "Heartbeat":
                self.spawn(self.link.call("Heartbeat", {}))
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    # ------------------------------------------------------------ what it does by itself

    def _boot_payload(self) -> Payload:
        return {
            "chargePointVendor": self.behavior.vendor,
            "chargePointModel": self.behavior.model,
            "chargePointSerialNumber": self.identity[:25],
            "firmwareVersion": self.firmware,
        }

    def _reservation_ended(self, number: int, status: str) -> None:
        """Say nothing: OCPP 1.6 has no word for it."""

    async def _notify(self, number: int, status: str, error_code: str = "NoError") -> None:
        payload: Payload = {"connectorId": number, "errorCode": error_code, "status": status}
        if self.behavior.seconds_per_minute >= 60:
            payload["timestamp"] = write(self.now())
        await self.link.call("StatusNotification", payload)

    async def start_local(self, id_tag: str, connector: int = 1) -> Metered:
        """Show a card: Authorize, then start if it is accepted; the session then runs by itself.

        :raises PermissionError: if the card is refused, or the connector is reserved for another.
        """
        info: Payload = {}
        if self.link.online.is_set():
            info = (await self.link.call("Authorize", {"idTag": id_tag}))["idTagInfo"]
            if info["status"] != "Accepted":
                raise PermissionError(f"{id_tag}: {info['status']}")
        else:
            self.check_list(id_tag)
        if not self.reservations.is_open_to(connector, id_tag, info.get("parentIdTag", "")):
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
        if metered.accepted or not self.behavior.stops_refused:
            await self.set_status(connector.number, "Charging" if metered.accepted else "SuspendedEVSE")
            connector.charging = self.spawn(self._charge(connector, metered))
        else:
            await self._stop(connector, metered, "DeAuthorized")
        return metered

    async def _meter(self, connector: Connector, metered: Metered, now: datetime, power_w: float) -> None:
        samples = [
            {"measurand": "Energy.Active.Import.Register", "unit": "Wh", "value": str(round(connector.register_wh))},
            {"measurand": "Power.Active.Import", "unit": "W", "value": f"{power_w:.1f}"},
        ]
        if connector.car is not None:
            samples.append(
                {"measurand": "SoC", "unit": "Percent", "value": f"{connector.car.state_of_charge * 100:.0f}"}
            )
        paused = self.available(connector, metered, now) <= 0
        if paused != (connector.status == "SuspendedEVSE"):
            await self.set_status(connector.number, "SuspendedEVSE" if paused else "Charging")
        timestamp = write(now)
        await self.link.call_until_answered(
            "MeterValues",
            {
                "connectorId": connector.number,
                "transactionId": metered.transaction_id,
                "meterValue": [{"timestamp": timestamp, "sampledValue": samples}],
            },
        )

    async def _tell_stop(self, connector: Connector, metered: Metered) -> None:
        if metered.meter_stop_wh is None or metered.stopped_at is None:
            raise ValueError("the transaction has not stopped")
        await self.link.call_until_answered(
            "StopTransaction",
            {
                "idTag": metered.id_tag,
                "meterStop": metered.meter_stop_wh,
                "reason": metered.reason,
                "timestamp": write(metered.stopped_at),
                "transactionId": metered.transaction_id,
            },
        )
