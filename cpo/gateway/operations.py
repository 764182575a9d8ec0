"""Ask a charge point for something and wait for how it ends, from any process that has Django (OCPP-79 … OCPP-81).

Whichever node holds the socket sends it; `operation_runner` is that half.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from cpo.gateway import frames, operation_ear, outgoing, schemas
from cpo.gateway.operation_states import ENDED, OperationState
from cpo.gateway_models import ChargePoint, Operation
from ocpi import clock

QUEUE = 50
LATER = timedelta(days=7)
DEFAULT_SECONDS = outgoing.DEFAULT_SECONDS


class QueueFull(Exception):
    """Too many operations wait for this charge point (OCPP-22)."""


class UnknownAction(ValueError):
    """The charge point's OCPP version has no such action."""


def ask(
    charge_point: ChargePoint,
    action: str,
    payload: dict[str, Any],
    *,
    asked_by: str,
    timeout: float = DEFAULT_SECONDS,
    idempotency_key: str | None = None,
    deliver_later: bool = False,
    expires_at: datetime | None = None,
    refs: Mapping[str, str] | None = None,
) -> Operation:
    """Queue an operation; an idempotency key already used returns the operation it was used for (OCPP-81).

    It is sent once the caller's transaction is committed. `refs` are the records of ours that the payload is about.

    :raises UnknownAction: if the version has no such action.
    :raises frames.PayloadError: if the payload breaks the action's schema.
    :raises QueueFull: if too many wait already.
    """
    if idempotency_key is not None:
        earlier = Operation.objects.filter(idempotency_key=idempotency_key).first()
        if earlier is not None:
            return earlier
    version = version_of(charge_point)
    text = _checked(version, action, payload)
    waiting = Operation.objects.filter(charge_point=charge_point, state=OperationState.QUEUED).count()
    if waiting >= QUEUE:
        raise QueueFull(charge_point.identity)
    if deliver_later and expires_at is None:
        expires_at = clock.now() + LATER
    try:
        with transaction.atomic():
            return Operation.objects.create(
                charge_point=charge_point,
                action=action,
                protocol=version,
                payload=text,
                asked_by=asked_by[:128],
                timeout_s=timeout,
                idempotency_key=idempotency_key,
                deliver_later=deliver_later,
                expires_at=expires_at,
                refs=dict(refs) if refs else None,
            )
    except IntegrityError:
        # The same key was used in this very moment.
        return Operation.objects.get(idempotency_key=idempotency_key)


def version_of(charge_point: ChargePoint) -> str:
    """Return the OCPP version that a charge point speaks: that of its connection, else the first it is allowed."""
    for name in (charge_point.protocol, *charge_point.protocols):
        version = outgoing.version_of(str(name or ""))
        if version is not None:
            return version
    return "1.6"


def _checked(version: str, action: str, payload: dict[str, Any]) -> str:
    if action not in schemas.actions(version):
        raise UnknownAction(f"OCPP {version} has no {action}")
    text = frames.payload_text(payload)
    frames.check_text(version, action, text)
    return text


def wait(operation_id: uuid.UUID, timeout: float) -> Operation:
    """Return the operation once it has ended, or as it is when the time is up. Not inside a transaction."""
    return _wait(operation_id, timeout, lambda operation: operation.state in ENDED)


def wait_dispatched(operation_id: uuid.UUID, timeout: float) -> Operation:
    """Return the operation once its frame is on the socket or it has ended; else as it is when the time is up."""
    return _wait(operation_id, timeout, lambda operation: operation.on_wire_at is not None or operation.state in ENDED)


def _wait(operation_id: uuid.UUID, timeout: float, enough: Callable[[Operation], bool]) -> Operation:
    deadline = time.monotonic() + timeout
    with operation_ear.waiting(operation_id) as told:
        while True:
            told.clear()
            operation = Operation.objects.select_related("charge_point").get(id=operation_id)
            left = deadline - time.monotonic()
            if enough(operation) or left <= 0:
                return operation
            # A note is only a wake-up; without one we look once a second.
            told.wait(min(1.0, left))


def next_request_id() -> int:
    """Return an id for a request whose reports name it; no charge point is given one twice (OCPP-83, OCPP-85)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('ocpp_request_id')")
        return int(cursor.fetchone()[0])


def cancel(operation_id: uuid.UUID) -> bool:
    """Take back an operation that has not been sent; return whether it was in time."""
    waiting = Operation.objects.filter(id=operation_id, state=OperationState.QUEUED)
    return waiting.update(state=OperationState.CANCELLED, ended_at=clock.now()) == 1
