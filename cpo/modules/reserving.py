"""Which EVSE a RESERVE_NOW means that names none: any of a charge point that can do that, else the first free one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import uuid4

from cpo.models import EVSE, ChargePoint, Operation
from cpo.ocpp import calls

log = logging.getLogger(__name__)

KEY = "ReserveConnectorZeroSupported"
_AVAILABLE = "AVAILABLE"


def choose(able: Sequence[EVSE]) -> tuple[ChargePoint | None, EVSE | None]:
    """Return charge point and EVSE; no EVSE: connector 0, whichever is free; neither: nothing is free (M-6)."""
    free = [
        row for row in able if row.status == _AVAILABLE and row.charge_point is not None and row.charge_point.online
    ]
    for row in free:
        if row.charge_point is not None and keeps_any_free(row.charge_point):
            return row.charge_point, None
    return (free[0].charge_point, free[0]) if free else (None, None)


def keeps_any_free(charge_point: ChargePoint) -> bool:
    """Say whether a charge point reserves without naming a connector; one that has not said so since its boot does not.

    It is asked then, so that the next one knows.
    """
    said = Operation.objects.filter(charge_point=charge_point, asked_by=KEY)
    newest = said.order_by("-created_at").first()
    if newest is None or (charge_point.booted_at is not None and newest.created_at < charge_point.booted_at):
        ask(charge_point)
        return False
    return calls.said(calls.answer(newest)).get(KEY.lower(), "").lower() == "true"


def ask(charge_point: ChargePoint) -> None:
    """Ask a charge point whether it keeps any of its connectors free."""
    try:
        calls.read_configuration(charge_point, KEY, asked_by=KEY, key=f"{KEY} {charge_point.pk} {uuid4().hex}")
    except calls.NotAsked as error:
        log.info("%s could not be asked for %s: %s", charge_point, KEY, error)
