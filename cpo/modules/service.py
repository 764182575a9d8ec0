"""Put charge points into operation and take them out for good (OCPP-63, M-3)."""

from __future__ import annotations

from django.db import transaction

from cpo.gateway.operation_states import OperationState
from cpo.models import EVSE, ChargePoint, LocalList, Operation, Transaction
from cpo.modules import locations_operations as locations
from ocpi import clock


class StillCharging(Exception):
    """A car charges there."""


def put_into_operation(charge_point_id: int) -> int:
    """Let what the charge point says count from now on for its PLANNED EVSEs; return how many there were."""
    with transaction.atomic():
        planned = list(
            EVSE.objects.filter(charge_point_id=charge_point_id, status="PLANNED").values_list("pk", flat=True)
        )
        for pk in planned:
            locations.set_status(pk, "UNKNOWN")
        locations.refresh(charge_point_id)
    return len(planned)


def decommission(charge_point_id: int) -> int:
    """Take a charge point out of service for good: its EVSEs are REMOVED, it is let in no more; return how many EVSEs.

    What it has metered stays. There is no way back: an EVSE that was removed is never shown again (LOC-26).

    :raises StillCharging: if a transaction is open.
    """
    now = clock.now()
    with transaction.atomic():
        row = ChargePoint.objects.select_for_update(of=("self",)).get(pk=charge_point_id)
        if Transaction.objects.filter(charge_point=row, stopped_at=None).exists():
            raise StillCharging(f"{row} has an open transaction: end it first")
        removed = 0
        for pk in EVSE.objects.filter(charge_point=row).exclude(status="REMOVED").values_list("pk", flat=True):
            removed += locations.set_status(pk, "REMOVED")
        Operation.objects.filter(charge_point=row, state=OperationState.QUEUED).update(
            state=OperationState.CANCELLED, ended_at=now, error="the charge point is out of service"
        )
        LocalList.objects.filter(charge_point=row).update(wished=False)
        row.decommissioned_at, row.boot_status = now, "Rejected"
        row.save(update_fields=["decommissioned_at", "boot_status"])
    return removed
