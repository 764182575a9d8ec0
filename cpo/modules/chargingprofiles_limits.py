"""Limits that an operator sets at a charge point: for all of it, or for each session at a connector (OCPP-89)."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from cpo.active_profiles import CHARGE_POINT_MAX, TX_DEFAULT
from cpo.charging_schedules import Schedule
from cpo.chargingprofile_states import INSTALLED
from cpo.models import ChargePoint, ChargePointProfile
from cpo.modules import chargingprofiles_installed as installed
from cpo.modules.chargingprofiles_installed import Origin, Wanted

_LEVEL = 0


class NotSet(Exception):
    """The charge point cannot be asked for this now."""


def set_limit(charge_point: ChargePoint, *, connector: int, unit: str, limit: Decimal, by: str) -> ChargePointProfile:
    """Ask a charge point to keep a limit from now on: as a whole (connector 0), or per session at a connector.

    :raises NotSet: if it is not connected.
    :raises NotPossible: if it cannot take such a limit.
    :raises NotAsked: if too much waits for it.
    """
    _check_online(charge_point)
    # Absolute: a charge point as a whole has no session that a relative one could begin with.
    start = timezone.now().replace(microsecond=0)
    wanted = Wanted(
        charge_point=charge_point,
        connector=connector,
        purpose=TX_DEFAULT if connector else CHARGE_POINT_MAX,
        origin=Origin.OPERATOR,
        level=_LEVEL,
        schedule=Schedule(unit, ((0, limit),), start=start),
        asked_by=by,
    )
    with transaction.atomic():
        return installed.put(wanted)


def remove(pk: int, *, by: str) -> bool:
    """Ask a charge point to remove a profile, whoever it is of; say whether it holds it (CHP-25).

    :raises NotSet: if it is not connected.
    :raises NotAsked: if too much waits for it.
    """
    with transaction.atomic():
        rows = ChargePointProfile.objects.select_for_update(of=("self",)).select_related("charge_point")
        row = rows.filter(pk=pk, state=INSTALLED).first()
        if row is None:
            return False
        _check_online(row.charge_point)
        installed.clear(row, asked_by=by)
    return True


def _check_online(charge_point: ChargePoint) -> None:
    if not charge_point.online:
        raise NotSet(f"{charge_point.identity} is not connected")
