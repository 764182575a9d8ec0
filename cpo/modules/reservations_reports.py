"""What a charge point of OCPP 2.0.1 says of its reservations by itself: they have expired or are gone (OCPP-88)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cpo.models import InboxMessage, Reservation
from cpo.modules import reservations_operations as reservations
from cpo.reservation_states import ACCEPTED, CHARGE_POINT, TIME
from ocpi import clock

log = logging.getLogger(__name__)


def note(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """End the reservation that a ReservationStatusUpdate is about, in the caller's transaction.

    One that has come to its end has expired, and its eMSP has known when; any other end the eMSP is told (CMD-20).
    """
    number = payload.get("reservationId")
    if not isinstance(number, int) or isinstance(number, bool):
        return
    found = Reservation.objects.filter(number=number, charge_point_id=message.charge_point_id).values_list("pk")
    row = reservations.locked(next((pk for (pk,) in found), None))
    if row is None or row.state != ACCEPTED:
        log.info("charge point %s ends reservation %s, which is not in force", message.charge_point_id, number)
        return
    if payload.get("reservationUpdateStatus") == "Expired" and row.expires_at - reservations.GRACE <= clock.now():
        reservations.end(row, "expire", TIME)
    else:
        reservations.end(row, "cancel", CHARGE_POINT)
