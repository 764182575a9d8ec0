"""What a simulated OCPP 2.0.1 charging station answers to the CALLs of its CSMS, and does about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cpo.simulator import jobs, local_list
from cpo.simulator.clock import write
from cpo.simulator.link import Payload

if TYPE_CHECKING:
    from cpo.simulator.behavior import Connector
    from cpo.simulator.station import SimulatedStation

_PURPOSES = {"ChargingStationMaxProfile": "ChargePointMaxProfile"}
_PROFILES_PER_REPORT, _VARIABLES_PER_REPORT = 2, 8


class Commands:
    """The commands of one station."""

    def __init__(self, station: SimulatedStation) -> None:
        self._station = station
        self._given: dict[int, tuple[int, Payload]] = {}  # profiles as they were given, with their EVSE

    def table(self) -> dict[str, Callable[[Payload], Payload]]:
        """Return what is done about each action; another is not implemented."""
        return {
            "CancelReservation": self._cancel_reservation,
            "ChangeAvailability": self._change_availability,
            "ClearCache": lambda asked: {"status": "Rejected"},  # there is none
            "ClearChargingProfile": self._clear_profile,
            "DataTransfer": lambda asked: {"status": "UnknownVendorId"},
            "GetBaseReport": self._base_report,
            "GetChargingProfiles": self._get_profiles,
            "GetCompositeSchedule": self._composite,
            "GetLocalListVersion": lambda asked: {"versionNumber": self._station.local_list.version},
            "GetLog": lambda asked: jobs.get_log(self._station.jobs, asked),
            "GetTransactionStatus": self._transaction_status,
            "GetVariables": lambda asked: self._station.variables.get(asked),
            "RequestStartTransaction": self._start,
            "RequestStopTransaction": self._stop,
            "ReserveNow": self._reserve,
            "Reset": self._reset,
            "SendLocalList": self._send_list,
            "SetChargingProfile": self._set_profile,
            "SetVariables": lambda asked: self._station.variables.set(asked),
            "TriggerMessage": self._trigger,
            "UnlockConnector": self._unlock,
            "UpdateFirmware": lambda asked: {"status": self._station.jobs.update(jobs.update_of(asked))},
        }

    # ------------------------------------------------------------ sessions

    def _start(self, asked: Payload) -> Payload:
        station = self._station
        chosen = station.free(asked.get("evseId"), asked["idToken"]["idToken"])
        if chosen is None:
            return {"status": "Rejected"}
        station.spawn(station.start_remotely(chosen, asked))
        return {"status": "Accepted"}

    def _stop(self, asked: Payload) -> Payload:
        found = self._station.remote_stop(asked["transactionId"])
        return {"status": "Accepted" if found else "Rejected"}

    def _transaction_status(self, asked: Payload) -> Payload:
        waiting = {"messagesInQueue": self._station.events.waiting}
        if "transactionId" not in asked:
            return waiting
        running = {each.open.transaction_id for each in self._station.connectors.values() if each.open is not None}
        return {**waiting, "ongoingIndicator": asked["transactionId"] in running}

    def _unlock(self, asked: Payload) -> Payload:
        connector = self._station.connectors.get(asked["evseId"])
        if connector is None or asked["connectorId"] != 1:
            return {"status": "UnknownConnector"}
        if connector.open is not None and connector.open.accepted:
            return {"status": "OngoingAuthorizedTransaction"}
        self._station.unlock(connector.number)
        return {"status": "Unlocked"}

    # ------------------------------------------------------------ reservations

    def _reserve(self, asked: Payload) -> Payload:
        wanted = {
            "reservationId": asked["id"],
            "connectorId": asked.get("evseId", 0),
            "expiryDate": asked["expiryDateTime"],
            "idTag": asked["idToken"]["idToken"],
            "parentIdTag": (asked.get("groupIdToken") or {}).get("idToken", ""),
        }
        return {"status": self._station.reservations.reserve(wanted)}

    def _cancel_reservation(self, asked: Payload) -> Payload:
        return {"status": "Accepted" if self._station.reservations.end(asked["reservationId"]) else "Rejected"}

    # ------------------------------------------------------------ charging profiles

    def _set_profile(self, asked: Payload) -> Payload:
        station, profile, evse = self._station, asked["chargingProfile"], asked["evseId"]
        if evse not in {0, *station.connectors}:
            return _rejected("UnknownEvse")
        purpose = profile["chargingProfilePurpose"]
        if purpose == "TxProfile" and "transactionId" not in profile:
            return _rejected("MissingParam")
        wanted = {
            **profile,
            "chargingProfileId": profile["id"],
            "chargingProfilePurpose": _PURPOSES.get(purpose, purpose),
            "chargingSchedule": profile["chargingSchedule"][0],
        }
        status = station.profiles.set(
            {"connectorId": evse, "csChargingProfiles": wanted}, station.now(), station.running()
        )
        if status != "Accepted":
            return _rejected("InvalidProfile")
        self._given[profile["id"]] = (evse, profile)
        return {"status": status}

    def _clear_profile(self, asked: Payload) -> Payload:
        criteria = asked.get("chargingProfileCriteria") or {}
        wanted: Payload = {"id": asked["chargingProfileId"]} if "chargingProfileId" in asked else {}
        if "evseId" in criteria:
            wanted["connectorId"] = criteria["evseId"]
        if "chargingProfilePurpose" in criteria:
            purpose = criteria["chargingProfilePurpose"]
            wanted["chargingProfilePurpose"] = _PURPOSES.get(purpose, purpose)
        if "stackLevel" in criteria:
            wanted["stackLevel"] = criteria["stackLevel"]
        return {"status": self._station.profiles.clear(wanted)}

    def _composite(self, asked: Payload) -> Payload:
        station, evse = self._station, asked["evseId"]
        if evse not in {0, *station.connectors}:
            return _rejected("UnknownEvse")
        wanted = {"connectorId": evse, "duration": asked["duration"]}
        found = station.profiles.composite(wanted, station.now(), write(datetime.now(UTC)))
        schedule, unit = found["chargingSchedule"], asked.get("chargingRateUnit", "W")
        factor = 1.0 if unit == "W" else station.behavior.voltage * station.behavior.phases
        periods = [{**each, "limit": round(each["limit"] / factor, 1)} for each in schedule["chargingSchedulePeriod"]]
        return {
            "status": "Accepted",
            "schedule": {
                "evseId": evse,
                "duration": schedule["duration"],
                "scheduleStart": found["scheduleStart"],
                "chargingRateUnit": unit,
                "chargingSchedulePeriod": periods,
            },
        }

    def _get_profiles(self, asked: Payload) -> Payload:
        criterion = asked["chargingProfile"]
        sources = criterion.get("chargingLimitSource", ["CSO"])
        by_evse: dict[int, list[Payload]] = {}
        for number in self._station.profiles.held:
            evse, profile = self._given[number]
            named = all(
                criterion.get(name, profile[name]) == profile[name] for name in ("chargingProfilePurpose", "stackLevel")
            )
            wanted = number in criterion.get("chargingProfileId", [number]) and asked.get("evseId", evse) == evse
            if named and wanted and "CSO" in sources:
                by_evse.setdefault(evse, []).append(profile)
        parts = [(evse, part) for evse, found in by_evse.items() for part in _parts(found, _PROFILES_PER_REPORT)]
        for number, (evse, part) in enumerate(parts, 1):
            told = {"requestId": asked["requestId"], "chargingLimitSource": "CSO", "evseId": evse}
            self._station.say("ReportChargingProfiles", {**told, "chargingProfile": part, "tbc": number < len(parts)})
        return {"status": "Accepted" if parts else "NoProfiles"}

    # ------------------------------------------------------------ the station

    def _base_report(self, asked: Payload) -> Payload:
        found = self._station.variables.report(asked["reportBase"])
        if not found:
            return {"status": "NotSupported"}
        parts = _parts(found, _VARIABLES_PER_REPORT)
        for number, part in enumerate(parts):
            self._station.say(
                "NotifyReport",
                {
                    "requestId": asked["requestId"],
                    "generatedAt": write(datetime.now(UTC)),
                    "reportData": part,
                    "tbc": number + 1 < len(parts),
                    "seqNo": number,
                },
            )
        return {"status": "Accepted"}

    def _change_availability(self, asked: Payload) -> Payload:
        evse = (asked.get("evse") or {}).get("id", 0)
        return {"status": self._station.make_available(evse, operative=asked["operationalStatus"] == "Operative")}

    def _reset(self, asked: Payload) -> Payload:
        station, evse = self._station, asked.get("evseId")
        if evse is not None and evse not in station.connectors:
            return _rejected("UnknownEvse")
        charging = [
            each for each in station.connectors.values() if each.open is not None and evse in (None, each.number)
        ]
        if evse is not None:
            for each in charging if asked["type"] == "Immediate" else ():
                each.stopping = "ImmediateReset"
        elif asked["type"] == "Immediate":
            station.boot_reason = "RemoteReset"
            station.spawn(station.restart("ImmediateReset"))
        else:
            station.spawn(station.boot_again("ScheduledReset", _tasks(charging)))
        return {"status": "Scheduled" if charging and asked["type"] == "OnIdle" else "Accepted"}

    def _send_list(self, asked: Payload) -> Payload:
        full, kept = asked["updateType"] == "Full", self._station.local_list
        status = kept.send(asked["versionNumber"], full=full, told=local_list.read_201(asked))
        self._station.variables.note("LocalAuthListCtrlr", "Entries", str(len(kept)))
        return {"status": status}

    def _trigger(self, asked: Payload) -> Payload:
        station, evse = self._station, (asked.get("evse") or {}).get("id")
        match asked["requestedMessage"]:
            case wanted if wanted in jobs.TRIGGERED:
                station.jobs.tell(wanted)
            case "BootNotification":
                station.boot_reason = "Triggered"
                station.spawn(station.boot())
            case "StatusNotification":
                station.report_statuses()
            case "Heartbeat":
                station.say("Heartbeat", {})
            case "TransactionEvent":
                for each in station.connectors.values():
                    if each.open is not None and evse in (None, each.number):
                        station.tell_meter(each, each.open, "Trigger", station.now())
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}


def _tasks(connectors: list[Connector]) -> list[asyncio.Task[None]]:
    return [each.charging for each in connectors if each.charging is not None]


def _parts(found: list[Payload], size: int) -> list[list[Payload]]:
    return [found[start : start + size] for start in range(0, len(found), size)]


def _rejected(reason: str) -> dict[str, Any]:
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason}}
