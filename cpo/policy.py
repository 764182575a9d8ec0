"""What an operator may choose on the owner side: durations, in seconds."""

from __future__ import annotations

from django.conf import settings


def push_seconds() -> float:
    """Return the least time between two pushes of a running Session (OCPP-96)."""
    return float(settings.OCPI_SESSION_PUSH_SECONDS)


def period_seconds() -> float:
    """Return how long a ChargingPeriod of a Session is at most; 0: as long as its price stays (M-10)."""
    return float(settings.OCPI_SESSION_PERIOD_SECONDS)


def command_seconds(command: str = "") -> float:
    """Return the time within which an eMSP gets the result of a command (CMD-09), or of a charging profile."""
    return float(settings.OCPI_COMMAND_TIMEOUTS.get(command, settings.OCPI_COMMAND_TIMEOUT))


def authorize_seconds() -> float:
    """Return the time in which eMSPs have to answer a real-time authorization (OCPP-73)."""
    return float(settings.OCPI_AUTHORIZE_TIMEOUT)


def profile_change_seconds() -> float:
    """Return the time in which a session takes one change of its charging profile (CHP-12)."""
    return float(settings.OCPI_PROFILE_CHANGE_SECONDS)


def profile_stack_level() -> int:
    """Return the stack level of partners' charging profiles (OCPP-89)."""
    return int(settings.OCPI_PROFILE_STACK_LEVEL)


def active_profile_seconds() -> int:
    """Return how much time an ActiveChargingProfile covers (CHP-23)."""
    return int(settings.OCPI_ACTIVE_PROFILE_SECONDS)


def stops_refused() -> bool:
    """Say whether a charge point that goes on for a driver who was refused is told to stop (OCPP-77)."""
    return bool(settings.OCPP_STOP_REFUSED)


def pending_seconds() -> float:
    """Return how long an accepted START_SESSION is shown as a PENDING Session; 0: not at all (M-4)."""
    return float(settings.OCPI_PENDING_SECONDS)


def stale_hours() -> float:
    """Return after how many hours of silence a transaction may be over (OCPP-48)."""
    return float(settings.OCPP_STALE_HOURS)
