"""Out: ask a charge point for something, through whatever gateway holds its socket.

The operation is a stored row that is sent once the caller's transaction is committed; an idempotency key makes it one
row however often it is asked for, so nothing reaches a charge point twice (REL-47). How it ended is read back later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from cpo.gateway import frames, operations
from cpo.models import EVSE, ChargePoint, Operation, Transaction
from cpo.ocpp import events, v16, v201_write
from cpo.ocpp.events import Request

_numbers = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an operation ended."""

    state: str
    status: str  # of the charge point's answer
    error: str


class NotAsked(Exception):
    """The charge point cannot be asked: too much waits for it, or the message would be no OCPP."""


def speaks_201(charge_point: ChargePoint) -> bool:
    """Say whether a charge point is asked in the messages of OCPP 2.0.1, which 2.1 shares."""
    return charge_point.protocol.startswith("2.")


def number_of(row: Transaction) -> int | str:
    """Return what its charge point calls a transaction."""
    return row.ocpp_id or row.transaction_id


def remote_start(
    charge_point: ChargePoint, asked: events.RemoteStart, *, asked_by: str, key: str, timeout: float
) -> Operation:
    """Ask for a start.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(charge_point, asked, asked_by, key, timeout)


def remote_stop(row: Transaction, *, asked_by: str, key: str, timeout: float) -> Operation:
    """Ask for the stop of a transaction.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(row.charge_point, events.RemoteStop(transaction_id=number_of(row)), asked_by, key, timeout)


def set_profile(
    charge_point: ChargePoint, wanted: events.SetProfile, *, asked_by: str, key: str, timeout: float
) -> Operation:
    """Ask to take a charging profile.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(charge_point, wanted, asked_by, key, timeout)


def clear_profile(
    charge_point: ChargePoint,
    *,
    profile_id: int,
    asked_by: str,
    key: str,
    timeout: float,
    until: datetime | None = None,
) -> Operation:
    """Ask to remove a charging profile; with `until` also when the charge point comes back by then.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(charge_point, events.ClearProfile(profile_id=profile_id), asked_by, key, timeout, until)


def composite_schedule(
    charge_point: ChargePoint, *, connector: int, seconds: int, asked_by: str, key: str, timeout: float
) -> Operation:
    """Ask which limits hold at a connector.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(charge_point, events.AskSchedule(connector=connector, seconds=seconds), asked_by, key, timeout)


def raw_answer(operation: Operation) -> dict[str, Any]:
    """Return what the charge point answered, as it did, with decimals as such; nothing if that is no object."""
    try:
        found = _numbers.decode(operation.answer or "{}")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def answer(operation: Operation) -> dict[str, Any]:
    """Return what the charge point answered, in the names of OCPP 1.6."""
    return v201_write.answer_of(operation.action, raw_answer(operation))


def said(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings in an answer of `answer`, their keys in lower case; what is not readable is left out."""
    keys = answer.get("configurationKey")
    return {
        str(each.get("key")).lower(): str(each.get("value") or "")
        for each in (keys if isinstance(keys, list) else ())
        if isinstance(each, dict)
    }


def reserve(charge_point: ChargePoint, asked: events.Reserve, *, asked_by: str, key: str, timeout: float) -> Operation:
    """Ask for a reservation; one with the same number replaces the former.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(charge_point, asked, asked_by, key, timeout)


def cancel_reservation(
    charge_point: ChargePoint,
    *,
    number: int,
    asked_by: str,
    key: str,
    timeout: float = operations.DEFAULT_SECONDS,
    until: datetime | None = None,
) -> Operation:
    """Ask for the end of a reservation; with `until` a charge point that is away is asked when it comes back by then.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(charge_point, events.CancelReservation(reservation_id=number), asked_by, key, timeout, until)


def unlock(
    charge_point: ChargePoint, *, connector: int, plug: int = 1, asked_by: str, key: str, timeout: float
) -> Operation:
    """Ask for a connector to be unlocked; `plug` says which of an EVSE.

    :raises NotAsked: if it cannot even be queued.
    """
    return _ask(charge_point, events.Unlock(connector=connector, plug=plug), asked_by, key, timeout)


def read_configuration(charge_point: ChargePoint, *keys: str, asked_by: str, key: str) -> Operation:
    """Ask for some of its settings, named as in OCPP 1.6.

    :raises NotAsked: if it cannot even be queued.
    """
    asked = events.ReadConfiguration(keys=keys)
    return _ask(charge_point, asked, asked_by, key, operations.DEFAULT_SECONDS)


def ending(operation: Operation) -> Ending:
    """Return how an operation ended."""
    status = raw_answer(operation).get("status")
    return Ending(operation.state, status if isinstance(status, str) else "", operation.error)


def address_of(row: EVSE) -> tuple[int, int]:
    """Return EVSE and connector as a charge point of OCPP 2.0.1 numbers them."""
    if row.hardware is None:
        return row.connector_id or 0, 1
    sharing = EVSE.objects.filter(charge_point=row.charge_point, hardware=row.hardware, connector_id__isnull=False)
    return row.hardware, sharing.filter(connector_id__lte=row.connector_id or 0).count()


def _addressed(charge_point: ChargePoint, request: Request) -> Request:
    """Return a request that names EVSE and connector as a charge point of OCPP 2.0.1 numbers them."""
    number = getattr(request, "connector", None)
    row = EVSE.objects.filter(charge_point=charge_point, connector_id=number).first() if number else None
    if row is None or row.hardware is None:
        return request
    evse, plug = address_of(row)
    match request:
        case events.Unlock():
            return replace(request, connector=evse, plug=plug)
        case events.RemoteStart() | events.Reserve() | events.SetProfile() | events.AskSchedule():
            return replace(request, connector=evse)
    return request


def _ask(
    charge_point: ChargePoint, request: Request, asked_by: str, key: str, timeout: float, until: datetime | None = None
) -> Operation:
    if speaks_201(charge_point):
        action, payload = v201_write.write(_addressed(charge_point, request))
    else:
        action, payload = v16.write(request)
    return queue(charge_point, action, payload, asked_by=asked_by, key=key, timeout=timeout, until=until)


def queue(
    charge_point: ChargePoint,
    action: str,
    payload: dict[str, Any],
    *,
    asked_by: str,
    key: str,
    timeout: float = operations.DEFAULT_SECONDS,
    until: datetime | None = None,
) -> Operation:
    """Queue a message in the words of an OCPP version; with `until` also for when the charge point comes back by then.

    :raises NotAsked: if it cannot even be queued.
    """
    try:
        return operations.ask(
            charge_point,
            action,
            payload,
            asked_by=asked_by,
            timeout=timeout,
            idempotency_key=key,
            deliver_later=until is not None,
            expires_at=until,
        )
    except (operations.QueueFull, operations.UnknownAction, frames.PayloadError) as error:
        raise NotAsked(str(error)) from error
