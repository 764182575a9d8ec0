"""A ChangeAvailability answered Scheduled is pending until the status arrives (OCPP-84).

A charge point says Scheduled while something charges there. The operation has ended, its effect has not come: `effect`
is PENDING until the connectors it is about say so, or a later ChangeAvailability takes its place.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from cpo.gateway import frames
from cpo.gateway.operation_states import OperationState
from cpo.models import ChargePointConnector, InboxMessage, Operation
from ocpi import prepared

PENDING, DONE, REPLACED = "PENDING", "DONE", "REPLACED"
ACTION = "ChangeAvailability"
TELLING = (ACTION,)
_UNAVAILABLE = "Unavailable"
_IS_PENDING = "SELECT 1 FROM cpo_operation WHERE charge_point_id = %s AND action = %s AND effect = %s LIMIT 1"
_LOOKED_AT = 200  # messages between the answer and our looking at it


def settle(operation_id: UUID) -> None:
    """Note that the effect of an operation is still to come; operations about anything else are not ours."""
    with transaction.atomic():
        row = (
            Operation.objects.select_for_update(of=("self",))
            .filter(pk=operation_id, action=ACTION, state=OperationState.ANSWERED, effect="")
            .first()
        )
        if row is None:
            return
        status = frames.read_payload(row.answer or "{}").get("status")
        if status in ("Accepted", "Scheduled"):
            _replace_older(row)
        if status != "Scheduled":
            return
        row.effect = PENDING
        row.save(update_fields=["effect"])
        # The status may have been quicker than this.
        messages = InboxMessage.objects.filter(
            charge_point_id=row.charge_point_id,
            action="StatusNotification",
            state="DONE",
            received_at__gte=row.sent_at or row.created_at,
        )
        for message in messages.order_by("id")[:_LOOKED_AT]:
            if _fulfils(row, frames.read_payload(message.payload)):
                _done(row)
                return


def not_yet_noted(row: Operation) -> str | None:
    """Return PENDING for an operation that was answered Scheduled a moment ago, and that nobody has looked at since."""
    if row.effect or row.action != ACTION or row.state != OperationState.ANSWERED:
        return None
    answer = frames.read_payload(row.answer or "{}")
    return PENDING if isinstance(answer, dict) and answer.get("status") == "Scheduled" else None


def note_status(message: InboxMessage, payload: Any) -> None:
    """End the waiting for an effect, in the transaction that settles a StatusNotification."""
    if not prepared.fetch_all(_IS_PENDING, [message.charge_point_id, ACTION, PENDING]):
        return
    rows = Operation.objects.select_for_update(of=("self",)).filter(
        charge_point_id=message.charge_point_id, action=ACTION, effect=PENDING
    )
    for row in rows:
        if _fulfils(row, payload):
            _done(row)


def _done(row: Operation) -> None:
    row.effect = DONE
    row.save(update_fields=["effect"])


def _replace_older(row: Operation) -> None:
    older = Operation.objects.filter(
        charge_point_id=row.charge_point_id, action=ACTION, effect=PENDING, created_at__lt=row.created_at
    )
    place = _place(row)
    for each in older:
        if place in (_WHOLE, _place(each)):
            each.effect = REPLACED
            each.save(update_fields=["effect"])


_Place = tuple[int, int | None]
_WHOLE: _Place = (0, None)


def _place(row: Operation) -> _Place:
    """Return what an operation is about: a connector of 1.6, an EVSE or one of its connectors of 2.0.1, or all."""
    asked = frames.read_payload(row.payload)
    if "connectorId" in asked:
        return (int(asked["connectorId"]), None)
    evse = asked.get("evse") or {}
    return (int(evse.get("id", 0)), evse.get("connectorId"))


def _wanted(row: Operation) -> bool:
    """Say whether it is to be unavailable."""
    asked = frames.read_payload(row.payload)
    return bool((asked.get("type") or asked.get("operationalStatus")) == "Inoperative")


def _fulfils(row: Operation, payload: Any) -> bool:
    status = payload.get("status") or payload.get("connectorStatus")
    if (status == _UNAVAILABLE) != _wanted(row):
        return False
    of_201 = "evseId" in payload
    place = _place(row)
    said: _Place = (payload["evseId"], payload.get("connectorId")) if of_201 else (payload.get("connectorId"), None)
    if place == _WHOLE:
        return said == _WHOLE or _all_are(row)
    if place[1] is None:
        return said[0] == place[0]
    return said == place


def _all_are(row: Operation) -> bool:
    known = ChargePointConnector.objects.filter(charge_point_id=row.charge_point_id, connector_id__gt=0)
    statuses = [status for status in known.values_list("status", flat=True) if status]
    return bool(statuses) and all((status == _UNAVAILABLE) == _wanted(row) for status in statuses)
