"""Reservations that a tenant makes by itself, over the operation API: the same books, no eMSP and no Session (OCPP-88).

They have no Location; the number is ours. Their Token's start uses them, the clock and broken connectors end them as
they do all others (`reservations_operations`).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction

from cpo import reservation_states
from cpo.gateway import frames
from cpo.gateway.operation_states import ENDED, OperationState
from cpo.models import ChargePoint, Operation, Reservation
from cpo.modules import reservations_operations as reservations
from cpo.ocpp.events import TransactionStarted
from cpo.reservation_states import ACCEPTED, DRIVER, OPERATOR, WAITING
from ocpi import clock

TELLING = ("ReserveNow", "CancelReservation")  # actions whose endings are ours to look at


def make(charge_point: ChargePoint, *, connector: int, id_tag: str, expires_at: datetime) -> Reservation:
    """Enter a reservation that a charge point is going to be asked for."""
    return Reservation.objects.create(
        number=reservations.new_number(),
        state=WAITING,
        country_code=charge_point.country_code,
        party_id=charge_point.party_id,
        reservation_id=str(uuid4()),
        location=None,
        charge_point=charge_point,
        connector_id=connector,
        id_tag=id_tag,
        expires_at=expires_at,
    )


def settle(operation_id: UUID) -> None:
    """Apply how an operation about a reservation of the operation API ended; others are not ours."""
    operation = Operation.objects.filter(pk=operation_id, refs__has_key="reservation", state__in=ENDED).first()
    if operation is None or operation.action not in TELLING:
        return
    payload = frames.read_payload(operation.payload)
    number = payload.get("id" if "id" in payload else "reservationId")
    answer = frames.read_payload(operation.answer or "{}") if operation.state == OperationState.ANSWERED else {}
    accepted = isinstance(answer, dict) and answer.get("status") == "Accepted"
    with transaction.atomic():
        rows = Reservation.objects.select_for_update(of=("self",)).select_related("charge_point", "session", "command")
        row = rows.filter(number=number, charge_point_id=operation.charge_point_id).first()
        if row is None:
            return
        if operation.action == "CancelReservation":
            if accepted:
                reservations.end(row, "cancel", OPERATOR)
        elif row.location_id is None:
            _settle_reserve(row, operation, accepted=accepted)


def _settle_reserve(row: Reservation, operation: Operation, *, accepted: bool) -> None:
    event = "accept" if accepted else "refuse"
    if not reservation_states.takes(row.state, event):
        return
    row.state = reservation_states.next_state(row.state, event)
    if accepted:
        row.started_at = row.started_at or clock.now()
    else:
        row.ended_at = clock.now()
    row.save(update_fields=["state", "started_at", "ended_at"])
    if operation.state in (OperationState.TIMEOUT, OperationState.CONNECTION_LOST, OperationState.INVALID_ANSWER):
        reservations.tell(row, row.charge_point)  # it may hold what it has not confirmed


def use(charge_point_id: int, event: TransactionStarted) -> None:
    """Note that a start uses a reservation of the tenant's own: its number, or its tag at its connector."""
    rows = Reservation.objects.select_for_update(of=("self",)).filter(
        charge_point_id=charge_point_id, state=ACCEPTED, location=None
    )
    for row in rows.order_by("-connector_id", "id"):
        there = row.connector_id in (0, event.connector) and event.moment.at <= row.expires_at
        if row.id_tag.upper() == event.id_token.upper() and (there or row.number == event.reservation_id):
            row.state = reservation_states.next_state(row.state, "use")
            row.ended_at, row.ended_by = clock.now(), DRIVER
            row.save(update_fields=["state", "ended_at", "ended_by"])
            return
