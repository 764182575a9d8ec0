"""What charge points turn out not to do: three refusals of an action take its capability from their EVSEs (M-12).

They get it back when the charge point boots with another firmware.
"""

from __future__ import annotations

import logging

from django.db.models import F

from cpo import command_states
from cpo.models import EVSE, ChargePoint, MissingFeature, Operation
from cpo.modules import locations_operations as locations
from cpo.modules import reserving
from cpo.ocpp import calls
from cpo.ocpp.events import Booted

log = logging.getLogger(__name__)

REFUSALS = 3
CAPABILITIES = {
    "RemoteStartTransaction": "REMOTE_START_STOP_CAPABLE",
    "RemoteStopTransaction": "REMOTE_START_STOP_CAPABLE",
    "ReserveNow": "RESERVABLE",
    "CancelReservation": "RESERVABLE",
    "UnlockConnector": "UNLOCK_CAPABLE",
    "SetChargingProfile": "CHARGING_PROFILE_CAPABLE",
}

# The messages of OCPP 2.0.1 that do what others did before.
_SAME = {"RequestStartTransaction": "RemoteStartTransaction", "RequestStopTransaction": "RemoteStopTransaction"}


def lacks(charge_point: ChargePoint | None, action: str) -> bool:
    """Say whether a charge point is known not to do something (M-6)."""
    rows = MissingFeature.objects.filter(charge_point=charge_point, action=action, count__gte=REFUSALS)
    return charge_point is not None and rows.exists()


def taken_away() -> dict[int, set[str]]:
    """Return by EVSE the capabilities that were taken away: what is loaded does not bring them back."""
    found: dict[int, set[str]] = {}
    for action, evse_ids in MissingFeature.objects.filter(count__gte=REFUSALS).values_list("action", "evse_ids"):
        for evse_id in evse_ids:
            found.setdefault(evse_id, set()).add(CAPABILITIES[action])
    return found


def note_ending(operation: Operation) -> None:
    """Count an operation that a charge point says it does not know, in the caller's transaction."""
    action = _SAME.get(operation.action, operation.action)
    if action not in CAPABILITIES:
        return
    ending = calls.ending(operation)
    known = MissingFeature.objects.filter(charge_point_id=operation.charge_point_id, action=action)
    if ending.state == "ANSWERED" and ending.status != "NotSupported":
        known.filter(count__lt=REFUSALS).delete()
        return
    if not (
        ending.state == "ANSWERED" or (ending.state == "CALLERROR" and command_states.is_unsupported(ending.error))
    ):
        return
    point = operation.charge_point
    row, created = MissingFeature.objects.get_or_create(
        charge_point=point, action=action, defaults={"count": 1, "firmware": _firmware(point)}
    )
    if not created:
        known.update(count=F("count") + 1)
        row.refresh_from_db()
    if row.count == REFUSALS:
        _take_away(row)


def note_boot(charge_point_id: int, event: Booted) -> None:
    """Give back what another firmware may do and ask how it reserves, in the caller's transaction."""
    for row in MissingFeature.objects.filter(charge_point_id=charge_point_id).exclude(firmware=event.firmware):
        log.info("%s is offered again: the firmware is now %s", row, event.firmware)
        row.delete()
        for evse_id in row.evse_ids:
            locations.set_capability(evse_id, CAPABILITIES[row.action], present=True)
    evses = (
        EVSE.objects.filter(charge_point_id=charge_point_id).exclude(status="REMOVED").select_related("charge_point")
    )
    for evse in evses:
        if evse.charge_point is not None and "RESERVABLE" in locations.capabilities(evse):
            reserving.ask(evse.charge_point)
            break


def _take_away(row: MissingFeature) -> None:
    capability = CAPABILITIES[row.action]
    log.warning("%s is not offered any more: it does not know it", row)
    ids = (
        EVSE.objects.filter(charge_point_id=row.charge_point_id).exclude(status="REMOVED").values_list("pk", flat=True)
    )
    row.evse_ids = [pk for pk in ids if locations.set_capability(pk, capability, present=False)]
    row.save(update_fields=["evse_ids"])


def _firmware(charge_point: ChargePoint) -> str:
    told = (charge_point.boot_data or {}).get("firmwareVersion")
    return str(told or "")[:50]
