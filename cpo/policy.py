"""What an operator may choose on the owner side: durations, in seconds."""

from __future__ import annotations

import os

from django.conf import settings


def push_seconds() -> float:
    """Return the least time between two pushes of a running Session (OCPP-96)."""
    return _seconds("OCPI_SESSION_PUSH_SECONDS", 60)


def command_seconds() -> float:
    """Return the time within which an eMSP gets the result of a command (CMD-09)."""
    return _seconds("OCPI_COMMAND_TIMEOUT", 60)


def authorize_seconds() -> float:
    """Return the time in which eMSPs have to answer a real-time authorization (OCPP-73)."""
    return float(settings.OCPI_AUTHORIZE_TIMEOUT)


def _seconds(name: str, default: float) -> float:
    value = getattr(settings, name, None)
    return float(os.environ.get(name, default) if value is None else value)
