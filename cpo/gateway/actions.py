"""What the gateway does with each action of a charge point: keep, wait for a decision, answer. A table per version."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cpo.gateway import frames, moments
from cpo.gateway.frames import Payload

# Subprotocol → version, in the order we would name them.
SUBPROTOCOLS = {"ocpp1.6": "1.6"}


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
    fresh: bool = False  # a repeat is answered afresh (OCPP-26)
    parked: bool = False  # never refused: what breaks the schema is kept for the operator (OCPP-44)


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
    return {"status": "UnknownVendorId"}


def _sign_certificate(payload: Payload, situation: Situation) -> Payload:
    return {"status": "Rejected"}


V16 = {
    "Authorize": Action(_undecided, decided=True),
    "BootNotification": Action(_boot_notification, fresh=True),
    "DataTransfer": Action(_data_transfer),
    "DiagnosticsStatusNotification": Action(_nothing),
    "FirmwareStatusNotification": Action(_nothing),
    "Heartbeat": Action(_heartbeat, kept=False, fresh=True),
    "LogStatusNotification": Action(_nothing),
    "MeterValues": Action(_nothing, parked=True),
    "SecurityEventNotification": Action(_nothing),
    "SignCertificate": Action(_sign_certificate),
    "SignedFirmwareStatusNotification": Action(_nothing),
    "StartTransaction": Action(_undecided, decided=True),
    "StatusNotification": Action(_nothing),
    "StopTransaction": Action(_nothing, parked=True),
}
ACTIONS = {"1.6": V16}


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
