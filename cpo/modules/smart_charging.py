"""What a charge point can do with charging profiles: asked of its configuration after a boot, kept beside it (M-9)."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from cpo.gateway.operation_states import ENDED
from cpo.models import EVSE, ChargePoint, Operation, SmartCharging
from cpo.modules import abilities
from cpo.ocpp import calls, fields

log = logging.getLogger(__name__)

UNITS = "ChargingScheduleAllowedChargingRateUnit"
PERIODS = "ChargingScheduleMaxPeriods"
LEVEL = "ChargeProfileMaxStackLevel"
FEATURES = "SupportedFeatureProfiles"
STOPS_REFUSED = "StopTransactionOnInvalidId"  # kept by `abilities`, as are the features
KEYS = (UNITS, PERIODS, LEVEL, FEATURES, STOPS_REFUSED)
# "Current" and "Power" are the words of OCPP 1.6; some say the units themselves.
_UNIT_OF = {"current": "A", "a": "A", "power": "W", "w": "W"}


def of(charge_point: ChargePoint) -> SmartCharging | None:
    """Return what is known; nothing if it has never said anything."""
    return SmartCharging.objects.filter(charge_point=charge_point).first()


def note_boot(charge_point_id: int) -> None:
    """Ask a charge point behind our EVSEs what it can do, in the caller's transaction."""
    rows = EVSE.objects.filter(charge_point_id=charge_point_id).exclude(status="REMOVED").select_related("charge_point")
    row = rows.first()
    if row is not None and row.charge_point is not None:
        ask(row.charge_point)


def ask(charge_point: ChargePoint) -> None:
    """Ask a charge point for its settings; what it answers is read by `settle`."""
    try:
        operation = calls.read_configuration(charge_point, *KEYS, asked_by="smart charging", key=f"smart {uuid4()}")
    except calls.NotAsked as error:
        log.info("%s could not be asked what it can do: %s", charge_point, error)
        return
    SmartCharging.objects.update_or_create(charge_point=charge_point, defaults={"operation": operation})


def settle(operation_id: UUID) -> None:
    """Keep what a charge point has said of itself, in the caller's transaction; other operations are not ours."""
    row = SmartCharging.objects.select_for_update(of=("self",)).filter(operation_id=operation_id).first()
    if row is None:
        return
    operation = Operation.objects.get(pk=operation_id)
    if operation.state not in ENDED:
        return
    row.operation = None
    if operation.state == "ANSWERED":
        for name, value in read(calls.answer(operation)).items():
            setattr(row, name, value)
        row.read_at = timezone.now()
        abilities.learn(operation)
    row.save()


def read(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that an answer to GetConfiguration means; what is not said or not readable is not known."""
    said = calls.said(answer)
    units = {_UNIT_OF[word] for word in _words(said.get(UNITS.lower(), "")) if word in _UNIT_OF}
    features = _words(said.get(FEATURES.lower(), ""))
    return {
        "rate_units": ",".join(sorted(units)),
        "max_periods": fields.count(said.get(PERIODS.lower())),
        "max_stack_level": fields.count(said.get(LEVEL.lower())),
        "supported": not features or "smartcharging" in features,
    }


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",") if word.strip()}
