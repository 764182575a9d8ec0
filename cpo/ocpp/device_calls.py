"""Out: ask a device for something beside charging, in the words of its OCPP version.

As `calls`: the operation is a stored row that is sent once the caller's transaction is committed, and an idempotency
key makes it one row however often it is asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from cpo.gateway import operations
from cpo.models import ChargePoint, Operation
from cpo.ocpp import calls, v16_devices, v201_devices
from cpo.ocpp.calls import NotAsked as NotAsked
from cpo.ocpp.device_words import Message


def words(version: str) -> Any:
    """Return the module that speaks a version: 1.6, 2.0.1 and 2.1; before the first connection it is 1.6."""
    return v16_devices if version in ("", "1.6") else v201_devices


def ask(
    charge_point: ChargePoint,
    message: Message,
    *,
    asked_by: str,
    key: str,
    timeout: float = operations.DEFAULT_SECONDS,
    until: datetime | None = None,
) -> Operation:
    """Queue a message; with `until` also for when the charge point comes back by then.

    :raises NotAsked: if it cannot even be queued.
    """
    return calls.queue(charge_point, *message, asked_by=asked_by, key=key, timeout=timeout, until=until)


def payload(operation: Operation) -> dict[str, Any]:
    """Return what was asked."""
    found = msgspec.json.decode(operation.payload)
    return found if isinstance(found, dict) else {}


def answer(operation: Operation) -> dict[str, Any]:
    """Return what the charge point answered, in its own words; nothing if it did not, or not with an object."""
    return calls.raw_answer(operation) if operation.state == "ANSWERED" else {}
