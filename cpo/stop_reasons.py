"""Why a transaction ended, in the words of OCPP 1.6 and 2.0.1, and what follows beyond its end: table M-5. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

LEAST_ENERGY = Decimal("0.01")  # kWh; with less there is a CDR only if something is to be paid
SMALL_ENERGY = Decimal("0.05")  # kWh
SHORT = timedelta(minutes=2)
METER_DIFFERENCE = Decimal(100)  # Wh between an end without power and the next start

_REFUSED = frozenset({"DeAuthorized", "MasterPass"})
EMERGENCIES = ("EmergencyStop", "GroundFault", "OvercurrentFault")
_POWER = frozenset({"PowerLoss", "PowerQuality"})
# Reason, or what triggered it in 2.0.1 → the operations of ours that may have caused it.
_CAUSES = {
    "Remote": ("RemoteStopTransaction", "RequestStopTransaction"),
    "RemoteStop": ("RemoteStopTransaction", "RequestStopTransaction"),
    "UnlockCommand": ("UnlockConnector",),
    "HardReset": ("Reset",),
    "SoftReset": ("Reset",),
    "Reboot": ("Reset",),
    "ImmediateReset": ("Reset",),
    "ResetCommand": ("Reset",),
}


def is_billed(reason: str, energy: Decimal, duration: timedelta) -> bool:
    """Say whether an end for this reason may make a CDR of this energy in kWh."""
    if reason in _REFUSED:
        return energy >= SMALL_ENERGY or duration >= SHORT
    return reason != "Timeout" or energy >= LEAST_ENERGY


def is_refusal(reason: str) -> bool:
    """Say whether the driver was not allowed to go on."""
    return reason in _REFUSED


def is_emergency(reason: str) -> bool:
    """Say whether an operator has to be told."""
    return reason in EMERGENCIES


def holds_cdr(reason: str, delivered_wh: Decimal) -> bool:
    """Say whether an operator looks at it before there is a CDR."""
    return reason in EMERGENCIES and delivered_wh < SMALL_ENERGY * 1000


def loses_power(reason: str) -> bool:
    """Say whether the meter may have been read wrongly, so that the next start on it is compared."""
    return reason in _POWER


def causes(reason: str, trigger: str = "") -> tuple[str, ...]:
    """Return the actions of operations that may have caused this end."""
    return _CAUSES.get(trigger) or _CAUSES.get(reason, ())
