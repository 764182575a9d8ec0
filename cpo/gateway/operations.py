"""Ask a charge point for something and wait for how it ends, from any process that has Django (OCPP-79 … OCPP-81).

Whichever node holds the socket sends it; `operation_runner` is that half.
"""

import time
import uuid
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import IntegrityError, connection, transaction

from cpo.gateway import frames, schemas
from cpo.gateway.operation_states import ENDED, OperationState
from cpo.gateway_models import ChargePoint, Operation
from ocpi import clock

QUEUE = 50
LATER = timedelta(days=7)
DEFAULT_SECONDS = 30.0


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
) -> Operation:
    """Queue an operation; an idempotency key already used returns the operation it was used for.

    It is sent once the caller's transaction is committed.

    :raises UnknownAction: if the version has no such action.
    :raises frames.PayloadError: if the payload breaks the action's schema.
    :raises QueueFull: if too many wait already.
    """
    if idempotency_key is not None:
        earlier = Operation.objects.filter(idempotency_key=idempotency_key).first()
        if earlier is not None:
            return earlier
    text = _checked(charge_point, action, payload)
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
                payload=text,
                asked_by=asked_by,
                timeout_s=timeout,
                idempotency_key=idempotency_key,
                deliver_later=deliver_later,
                expires_at=expires_at,
            )
    except IntegrityError:
        # The same key was used in this very moment.
        return Operation.objects.get(idempotency_key=idempotency_key)


def _checked(charge_point: ChargePoint, action: str, payload: dict[str, Any]) -> str:
    version = charge_point.protocol or "1.6"
    if action not in schemas.actions(version):
        raise UnknownAction(f"OCPP {version} has no {action}")
    text = frames.payload_text(payload)
    frames.check_text(version, action, text)
    return text


def wait(operation_id: uuid.UUID, timeout: float) -> Operation:
    """Return the operation once it has ended, or as it is when the time is up. Not inside a transaction."""
    deadline = time.monotonic() + timeout
    parameters = {name: value for name, value in connection.get_connection_params().items() if name in _CONNECTING}
    with psycopg.connect(autocommit=True, **parameters) as listener:
        listener.execute("LISTEN ocpp_operation_done")
        while True:
            operation = Operation.objects.get(id=operation_id)
            left = deadline - time.monotonic()
            if operation.state in ENDED or left <= 0:
                return operation
            # A note is only a wake-up; without one we look once a second.
            notes = listener.notifies(timeout=min(1.0, left))
            for note in notes:
                if note.payload == str(operation_id):
                    notes.close()


_CONNECTING = frozenset({"dbname", "user", "password", "host", "port", "connect_timeout", "sslmode", "sslrootcert"})


def cancel(operation_id: uuid.UUID) -> bool:
    """Take back an operation that has not been sent; return whether it was in time."""
    waiting = Operation.objects.filter(id=operation_id, state=OperationState.QUEUED)
    return waiting.update(state=OperationState.CANCELLED, ended_at=clock.now()) == 1
