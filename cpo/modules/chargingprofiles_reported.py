"""After a boot a charge point of OCPP 2.0.1 is asked which profiles it still has, and our books follow (OCPP-89).

What it has lost is gone from the books; limits of the operator are set again, for they are to hold whatever boots. What
it has and should not is removed if it was ours; profiles of somebody else are listed and left alone.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from cpo import chargingprofile_states as states
from cpo.active_profiles import TX
from cpo.charging_schedules import NotPossible
from cpo.gateway import operations
from cpo.gateway.operation_states import ENDED
from cpo.models import ChargePoint, ChargePointProfile, InboxMessage, Operation, SmartCharging
from cpo.modules import chargingprofiles_active as active
from cpo.modules import chargingprofiles_installed as installed
from cpo.modules.chargingprofiles_installed import Origin, Wanted
from cpo.ocpp import calls

log = logging.getLogger(__name__)

ASKED_BY = "profiles after a boot"
_ACTION = "GetChargingProfiles"
TELLING = (_ACTION,)
_MOST = 2**31 - 1


def note_boot(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Ask a charge point which profiles it has, if any of ours may be there, in the caller's transaction."""
    point = message.charge_point
    if not calls.speaks_201(point):
        return
    if ChargePointProfile.objects.filter(charge_point=point, state__in=states.IN_FORCE).exists():
        ask(point)


def ask(point: ChargePoint) -> Operation | None:
    """Ask a charge point which profiles it has; the answer comes in parts, by `note_report`."""
    number = secrets.randbelow(_MOST) + 1
    try:
        operation = operations.ask(
            point,
            _ACTION,
            {"requestId": number, "chargingProfile": {"chargingLimitSource": ["CSO"]}},
            asked_by=ASKED_BY,
            idempotency_key=f"{ASKED_BY} {uuid4().hex}",
        )
    except operations.QueueFull as error:
        log.info("%s could not be asked for its profiles: %s", point, error)
        return None
    SmartCharging.objects.update_or_create(charge_point=point, defaults={"report_id": number, "reported": []})
    return operation


def note_report(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Keep one part of a report; the last one settles the books."""
    row = SmartCharging.objects.select_for_update(of=("self",)).filter(charge_point_id=message.charge_point_id).first()
    if row is None or row.report_id is None or payload.get("requestId") != row.report_id:
        return
    profiles = payload.get("chargingProfile")
    found = [each for each in (profiles if isinstance(profiles, list) else ()) if isinstance(each, dict)]
    row.reported = [*row.reported, *(each["id"] for each in found if isinstance(each.get("id"), int))]
    row.save(update_fields=["reported"])
    if payload.get("tbc") is not True:
        _settle(row)


def settle(operation_id: UUID) -> None:
    """Take the answer of a charge point that has no profiles at all; other operations are not ours."""
    asked = Operation.objects.filter(pk=operation_id, action=_ACTION, asked_by=ASKED_BY, state__in=sorted(ENDED))
    operation = asked.first()
    if operation is None or calls.ending(operation).status != "NoProfiles":
        return
    with transaction.atomic():
        rows = SmartCharging.objects.select_for_update(of=("self",))
        row = rows.filter(charge_point_id=operation.charge_point_id, report_id__isnull=False).first()
        if row is not None and f'"requestId":{row.report_id}' in operation.payload:
            _settle(row)


def _settle(row: SmartCharging) -> None:
    """Bring the books in line with a whole report."""
    there, row.report_id = set(row.reported), None
    row.reported_at = timezone.now()
    known = ChargePointProfile.objects.select_for_update(of=("self",)).select_related("charge_point", "transaction")
    ours = list(known.filter(charge_point_id=row.charge_point_id, pk__in=there))
    row.foreign = sorted(there - {each.pk for each in ours})
    row.save(update_fields=["report_id", "reported_at", "foreign"])
    for profile in ours:
        if profile.state in (states.REMOVED, states.REPLACED, states.REJECTED):
            installed.take_back(profile)
    lost = known.filter(charge_point_id=row.charge_point_id, state=states.INSTALLED, created_at__lt=_asked_at(row))
    for profile in lost.exclude(pk__in=there):
        _lost(profile)


def _asked_at(row: SmartCharging) -> Any:
    asked = Operation.objects.filter(charge_point_id=row.charge_point_id, action=_ACTION, asked_by=ASKED_BY)
    newest = asked.order_by("-created_at").values_list("created_at", flat=True).first()
    return newest or timezone.now()


def _lost(profile: ChargePointProfile) -> None:
    log.warning("%s has lost profile %s", profile.charge_point, profile.pk)
    profile.state, profile.changed_at = states.next_state(profile.state, "over"), timezone.now()
    profile.save(update_fields=["state", "changed_at"])
    running = profile.transaction is not None and profile.transaction.stopped_at is None
    if (profile.purpose == TX and not running) or profile.origin != Origin.OPERATOR:
        active.note_change(profile.charge_point_id, profile.connector_id)
        return
    wanted = Wanted(
        charge_point=profile.charge_point,
        connector=profile.connector_id,
        purpose=profile.purpose,
        origin=profile.origin,
        level=profile.stack_level,
        schedule=active.read(profile.unit, profile.schedule),
        asked_by=profile.asked_by,
        transaction=profile.transaction,
    )
    try:
        installed.put(wanted)
    except (NotPossible, calls.NotAsked) as error:
        log.warning("profile %s could not be set again: %s", profile.pk, error)
