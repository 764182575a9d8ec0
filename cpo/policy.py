"""What an operator may choose on the owner side: durations, in seconds."""

from __future__ import annotations

from django.conf import settings


def push_seconds() -> float:
    """Return the least time between two pushes of a running Session (OCPP-96)."""
    return float(settings.OCPI_SESSION_PUSH_SECONDS)


def command_seconds() -> float:
    """Return the time within which an eMSP gets the result of a command (CMD-09)."""
    return float(settings.OCPI_COMMAND_TIMEOUT)


def authorize_seconds() -> float:
    """Return the time in which eMSPs have to answer a real-time authorization (OCPP-73)."""
    return float(settings.OCPI_AUTHORIZE_TIMEOUT)
