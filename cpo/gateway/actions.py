"""What the gateway does with each action of a charge point: keep, wait for a decision, answer. A table per version."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cpo.gateway import frames, moments
from cpo.gateway.frames import Payload

# Subprotocol → version, in the order we would name them.
SUBPROTOCOLS = {"ocpp1.6": "1.6", "ocpp2.0.1": "2.0.1", "ocpp2.1": "2.1"}


@dataclass(frozen=True, slots=True)
class Situation:
    """What an answer may depend on."""

    now: datetime
    boot_status: str
    heartbeat_seconds: int
    retry_seconds: int


Answer = Callable[[Payload, Situation], Payload]


@dataclass(frozen=True, slots=True)
class Action:
    answer: Answer  # for a decided action: the answer if no decision comes in time
    kept: bool = True  # committed to the inbox before it is answered
    decided: bool = False  # the CPO side decides the answer
    decided_if: Callable[[Any], bool] | None = None  # it decides this one
    fresh: bool = False  # a repeat is answered afresh (OCPP-26)
    parked: bool = False  # never refused: what breaks the schema is kept for the operator (OCPP-44)
    in_pending: bool = False  # OCPP 2: taken while the boot is Pending, triggered or not (OCPP-32)

    def waits(self, payload: Any) -> bool:
        """Say whether the answer is the CPO side's to give."""
        return self.decided or (self.decided_if is not None and self.decided_if(payload))


def _nothing(payload: Payload, situation: Situation) -> Payload:
    return {}


def _heartbeat(payload: Payload, situation: Situation) -> Payload:
    return {"currentTime": moments.write(situation.now)}


def _boot_notification(payload: Payload, situation: Situation) -> Payload:
    accepted = situation.boot_status == "Accepted"
    return {
        "currentTime": moments.write(situation.now),
        "interval": situation.heartbeat_seconds if accepted else situation.retry_seconds,
        "status": situation.boot_status,
    }


def _undecided(payload: Payload, situation: Situation) -> Payload:
    # The whitelist is not known here, so nobody is let in unasked; a start keeps its real id all the same (OCPP-39).
    return {"idTagInfo": {"status": "Invalid"}}


def _data_transfer(payload: Payload, situation: Situation) -> Payload:
    # Nobody has looked at it in time: whether its vendor is known is not known here (OCPP-86).
    return {"status": "Rejected"}


def _sign_certificate(payload: Payload, situation: Situation) -> Payload:
    return {"status": "Rejected"}


# What is answered alike in every version.
_SHARED = {
    "BootNotification": Action(_boot_notification, fresh=True, in_pending=True),
    "DataTransfer": Action(_data_transfer, decided=True),
    "FirmwareStatusNotification": Action(_nothing),
    "Heartbeat": Action(_heartbeat, kept=False, fresh=True),
    "LogStatusNotification": Action(_nothing),
    "MeterValues": Action(_nothing, parked=True),
    "SecurityEventNotification": Action(_nothing),
    "SignCertificate": Action(_sign_certificate, decided=True),
    "StatusNotification": Action(_nothing),
}

V16 = _SHARED | {
    "Authorize": Action(_undecided, decided=True),
    "DiagnosticsStatusNotification": Action(_nothing),
    "SignedFirmwareStatusNotification": Action(_nothing),
    "StartTransaction": Action(_undecided, decided=True),
    "StopTransaction": Action(_nothing, parked=True),
}


def _undecided_token(payload: Payload, situation: Situation) -> Payload:
    return {"idTokenInfo": {"status": "Invalid"}}


def _undecided_event(payload: Any, situation: Situation) -> Payload:
    # A card shown to end a transaction never fails for want of an answer: without idTokenInfo it is just taken.
    starts = isinstance(payload, dict) and "idToken" in payload and payload.get("eventType") != "Ended"
    return {"idTokenInfo": {"status": "Invalid"}} if starts else {}


def _is_decided_event(payload: Any) -> bool:
    # A token wants a word about it (OCPP-55), and the end may have a price; all else is answered at once.
    return isinstance(payload, dict) and ("idToken" in payload or payload.get("eventType") == "Ended")


def _accepted(payload: Payload, situation: Situation) -> Payload:
    return {"status": "Accepted"}


def _rejected(payload: Payload, situation: Situation) -> Payload:
    return {"status": "Rejected"}


def _failed(payload: Payload, situation: Situation) -> Payload:
    return {"status": "Failed"}


def _no_contract_certificate(payload: Payload, situation: Situation) -> Payload:
    return {"exiResponse": "", "status": "Failed"}


V201 = _SHARED | {
    "Authorize": Action(_undecided_token, decided=True),
    "ClearedChargingLimit": Action(_nothing),
    "Get15118EVCertificate": Action(_no_contract_certificate),
    "GetCertificateStatus": Action(_failed),
    "NotifyChargingLimit": Action(_nothing),
    "NotifyCustomerInformation": Action(_nothing, in_pending=True),
    "NotifyDisplayMessages": Action(_nothing),
    # We have no schedule of our own for a car: it charges within the limits it is given otherwise.
    "NotifyEVChargingNeeds": Action(_rejected),
    "NotifyEVChargingSchedule": Action(_accepted),
    "NotifyEvent": Action(_nothing),
    "NotifyMonitoringReport": Action(_nothing, in_pending=True),
    "NotifyReport": Action(_nothing, in_pending=True),
    "PublishFirmwareStatusNotification": Action(_nothing),
    "ReportChargingProfiles": Action(_nothing, in_pending=True),
    "ReservationStatusUpdate": Action(_nothing),
    "TransactionEvent": Action(_undecided_event, decided_if=_is_decided_event, parked=True),
}
# Of 2.1 what it shares with 2.0.1, and the one message that comes as SEND (OCPP-30).
V21 = V201 | {"NotifyPeriodicEventStream": Action(_nothing)}
ACTIONS = {"1.6": V16, "2.0.1": V201, "2.1": V21}
# What drivers are billed by: never answered with CALLERROR for a fault of ours (OCPP-27).
BILLED = frozenset({"MeterValues", "StartTransaction", "StopTransaction", "TransactionEvent"})
# What can be switched off for a charge point (OCPP-16): not its boot, and not what must never be refused.
SWITCHABLE = frozenset(V16 | V21) - BILLED - {"BootNotification"}

# What TriggerMessage asks for → the action that comes.
_TRIGGERED = {
    "SignChargingStationCertificate": "SignCertificate",
    "SignV2GCertificate": "SignCertificate",
    "SignCombinedCertificate": "SignCertificate",
    "SignV2G20Certificate": "SignCertificate",
}


def triggered_by(payload: Any) -> str:
    """Return the action that a TriggerMessage asks for."""
    wanted = payload.get("requestedMessage") if isinstance(payload, dict) else None
    return _TRIGGERED.get(str(wanted), str(wanted))


def payload_hash(action: str, text: str) -> str:
    return hashlib.blake2b(f"{action}\n{text}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class StartKey:
    """What a StartTransaction is known by; with `since`, any key from there on is the same start."""

    key: str
    since: str | None = None


_SUSPECT_SECONDS = 600


def start_key(charge_point: int, payload: Payload, received_at: datetime) -> StartKey:
    """Return the key by which a repeated start is recognised (OCPP-38).

    With a clock that cannot be right, the timestamp is left out and only a repeat within ten minutes counts.
    """
    content = [charge_point, payload["connectorId"], str(payload["idTag"]).lower(), str(payload["meterStart"])]
    moment = moments.read(payload["timestamp"], received_at)
    if not moment.suspect:
        content.append(moment.at.isoformat())
        return StartKey(payload_hash("StartTransaction", frames.payload_text(content)))
    base = payload_hash("suspect", frames.payload_text(content))
    second = int(received_at.timestamp())
    return StartKey(f"{base}:{second:012d}", since=f"{base}:{second - _SUSPECT_SECONDS:012d}")
