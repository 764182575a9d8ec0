"""An operation as a caller of the API wants it: checked, completed, queued, and waited for (OCPP-80 … OCPP-82, 115)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from cpo.api import base, known, refs
from cpo.api.errors import (
    Invalid,
    NotSent,
    Offline,
    ProtocolMismatch,
    QueueFull,
    Refusal,
    UnknownAction,
)
from cpo.gateway import frames, operations, outgoing
from cpo.gateway.operation_states import OperationState
from cpo.models import ChargePoint, Operation
from ocpi import clock

LONGEST_DISPATCH = 10.0  # seconds that a caller waits for the frame to go out
_NOT_SENT = frozenset({OperationState.CANCELLED, OperationState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks of a charge point."""

    action: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    protocol: str | None = None
    refs: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    deliver_later: bool | None = None
    expires_at: datetime | None = None
    force: bool = False
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    operation: Operation
    repeated: bool = False  # the key was used before: nothing is sent again


def ask(charge_point: ChargePoint, wish: Wish, *, by: str) -> Asked:
    """Queue what is wished, once per idempotency key (OCPP-81).

    :raises Refusal: saying why it is not done; nothing is stored then.
    """
    version = operations.version_of(charge_point)
    _check_protocol(charge_point, version, wish.protocol)
    key = _key_of(charge_point, wish.key)
    with transaction.atomic():
        if key is not None:
            earlier = _earlier(key)
            if earlier is not None:
                return Asked(earlier, repeated=True)
        return Asked(_queue(charge_point, version, wish, key, by))


def wait(asked: Asked, *, answered: bool) -> Operation:
    """Return the operation once its frame is on the socket, or once it has ended. Not inside a transaction.

    :raises Refusal: if it ended without having been sent.
    """
    operation = asked.operation
    waits_long = operation.deliver_later and not operation.charge_point.online
    if answered and not waits_long:
        # A second more than the charge point has: the end is to be seen, not overtaken.
        operation = operations.wait(operation.id, operation.timeout_s + 1 + _behind(operation))
    elif not waits_long:
        operation = operations.wait_dispatched(operation.id, LONGEST_DISPATCH)
    refusal = unsent(operation)
    if refusal is not None:
        raise refusal
    return operation


def unsent(operation: Operation) -> Refusal | None:
    """Return why an operation that has ended was never sent; nothing if it was, or may still be."""
    state = OperationState(operation.state)
    if operation.sent_at is None and state is OperationState.CONNECTION_LOST:
        return Offline(f"{operation.charge_point} is not connected")
    if state in _NOT_SENT:
        return NotSent(f"it was not sent: {operation.error or state.value}")
    return None


def _behind(operation: Operation) -> float:
    """Return the seconds that operations before this one may take."""
    before = Operation.objects.filter(
        charge_point_id=operation.charge_point_id,
        state__in=(OperationState.QUEUED, OperationState.SENT),
        created_at__lt=operation.created_at,
    )
    return min(sum(before.values_list("timeout_s", flat=True)), 60.0)


def _queue(charge_point: ChargePoint, version: str, wish: Wish, key: str | None, by: str) -> Operation:
    _check_action(version, wish.action)
    later = wish.deliver_later
    if later is None:
        later = wish.action in outgoing.DELIVER_LATER
    if wish.expires_at is not None and wish.expires_at <= clock.now():
        raise Invalid("expires_at: must not be past", field="expires_at", rule="future")
    payload = refs.fill(charge_point, version, wish.action, dict(wish.payload), wish.refs)
    given = dict(wish.refs)
    if wish.action == "ReserveNow" and not {"reservationId", "id"} & payload.keys():
        given["reservation"] = refs.write(refs.RESERVATION, refs.reserve(charge_point, version, payload).pk)
    if not wish.force:
        known.check(charge_point, version, wish.action, payload)
    try:
        if not charge_point.online and not later:
            frames.check_text(version, wish.action, frames.payload_text(payload))
            raise Offline(f"{charge_point} is not connected")
        return operations.ask(
            charge_point,
            wish.action,
            payload,
            asked_by=by,
            timeout=wish.timeout or outgoing.seconds(wish.action),
            idempotency_key=key,
            deliver_later=later,
            expires_at=wish.expires_at,
            refs=given,
        )
    except frames.PayloadError as error:
        raise _invalid(error) from error
    except operations.QueueFull as error:
        raise QueueFull(f"{operations.QUEUE} operations wait for {charge_point} already") from error


def _invalid(error: frames.PayloadError) -> Invalid:
    rule, _, steps = error.kind.partition(":")
    name = ".".join(filter(None, ("payload", steps)))
    if rule == "required" and (names := base.missing(error.text)):
        name = f"{name}.{names[0]}"
        return Invalid(f"{name}: must be there", field=name, rule=rule)
    return Invalid(f"payload: {error.text.removeprefix('payload: ')}", field=name, rule=rule)


def _check_protocol(charge_point: ChargePoint, version: str, wanted: str | None) -> None:
    if wanted is None:
        return
    asked = outgoing.version_of(wanted) or wanted
    if not outgoing.same_family(asked, version):
        raise ProtocolMismatch(f"{charge_point} speaks OCPP {version}, not {asked}", field="protocol")


def _check_action(version: str, action: str) -> None:
    if action in outgoing.actions(version):
        return
    others = [other for other in outgoing.ACTIONS if action in outgoing.actions(other)]
    hint = f"; it is one of OCPP {' and '.join(others)}" if others else ""
    raise UnknownAction(f"OCPP {version} has no operation {action}{hint}", field="action")


def _key_of(charge_point: ChargePoint, given: str | None) -> str | None:
    # A key is the caller's own: the same word at another charge point is another operation.
    return None if given is None else f"api {charge_point.pk} {hashlib.sha256(given.encode()).hexdigest()}"


def _earlier(key: str) -> Operation | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
    return Operation.objects.select_related("charge_point").filter(idempotency_key=key).first()
