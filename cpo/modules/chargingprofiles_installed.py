"""The charging profiles at our charge points: given, taken back, what of them is active (OCPP-89, CHP-21 … CHP-25).

A row of ChargePointProfile is what we asked a charge point to hold. If nobody knows whether it did (no answer, lost
line), it is DOUBTFUL and the charge point is asked to remove that very id: from the answer we know what it has.
Everything here runs in the caller's transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from cpo import active_profiles, charging_schedules
from cpo import chargingprofile_states as states
from cpo.active_profiles import TX, Layer
from cpo.charging_schedules import Electrics, Schedule
from cpo.gateway.operation_states import ENDED
from cpo.models import (
    ActiveChargingProfile,
    ChargePoint,
    ChargePointProfile,
    ChargingProfileRequest,
    SmartCharging,
    Transaction,
)
from cpo.modules import locations_operations as locations
from cpo.modules import snapshots
from cpo.ocpp import calls, events
from ocpi import outbox
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime, parse_datetime

log = logging.getLogger(__name__)

MODULE = "chargingprofiles"
OPERATION_SECONDS = 30.0
Origin = ChargePointProfile.Origin


@dataclass(frozen=True, slots=True)
class Wanted:
    """A profile that a charge point is to hold."""

    charge_point: ChargePoint
    connector: int
    purpose: str
    origin: str
    level: int
    schedule: Schedule
    asked_by: str
    transaction: Transaction | None = None


# ---------------------------------------------------------------- given


def put(wanted: Wanted, *, timeout: float = OPERATION_SECONDS) -> ChargePointProfile:
    """Ask a charge point to hold a profile, as it can hold it (M-9).

    :raises NotPossible: if it cannot take such a schedule.
    :raises NotAsked: if it cannot be asked.
    """
    able = _ability(wanted.charge_point)
    level = wanted.level if able is None or able.max_stack_level is None else min(wanted.level, able.max_stack_level)
    schedule = charging_schedules.fitted(
        wanted.schedule,
        electrics_at(wanted.charge_point, wanted.connector, wanted.transaction),
        units=able.units if able else (),
        most=able.max_periods if able else None,
    )
    with transaction.atomic():
        row = ChargePointProfile.objects.create(
            charge_point=wanted.charge_point,
            connector_id=wanted.connector,
            purpose=wanted.purpose,
            stack_level=level,
            origin=wanted.origin,
            state=states.ASKED,
            transaction=wanted.transaction,
            unit=schedule.unit,
            schedule=_kept(schedule, wanted.schedule.unit),
            asked_by=wanted.asked_by[:128],
        )
        row.operation = calls.set_profile(
            wanted.charge_point,
            events.SetProfile(
                connector=wanted.connector,
                profile_id=row.pk,
                purpose=wanted.purpose,
                stack_level=level,
                schedule=schedule,
                transaction_id=wanted.transaction.transaction_id if wanted.transaction else None,
            ),
            asked_by=wanted.asked_by,
            key=f"profile {row.pk}",
            timeout=timeout,
        )
        row.save(update_fields=["operation"])
    return row


def clear(row: ChargePointProfile, *, asked_by: str, timeout: float = OPERATION_SECONDS) -> ChargePointProfile:
    """Ask a charge point to remove a profile that it holds.

    :raises NotAsked: if it cannot be asked.
    :raises IllegalTransition: if the profile is not installed.
    """
    _move(row, "clear", save=False)
    with transaction.atomic():
        _ask_to_remove(row, asked_by=asked_by, timeout=timeout)
    return row


def of_partner(row: Transaction) -> ChargePointProfile | None:
    """Return the profile that a partner has set for a transaction, if the charge point holds it."""
    rows = ChargePointProfile.objects.select_for_update(of=("self",)).select_related("charge_point")
    return rows.filter(transaction=row, origin=Origin.PARTNER, state=states.INSTALLED).order_by("-pk").first()


def with_transaction(pk: int) -> ChargePointProfile:
    return ChargePointProfile.objects.select_related("charge_point", "transaction").get(pk=pk)


def settle(operation_id: UUID) -> ChargePointProfile | None:
    """Apply how an operation about a profile ended; operations about anything else are not ours."""
    row = (
        ChargePointProfile.objects.select_for_update(of=("self",))
        .select_related("charge_point", "operation", "transaction")
        .filter(operation_id=operation_id, state__in=states.UNDER_WAY)
        .first()
    )
    if row is None or row.operation is None or row.operation.state not in ENDED:
        return None
    ending = calls.ending(row.operation)
    before = row.state
    event = states.event_of(before, ending.state, ending.status, sent=row.operation.sent_at is not None)
    if event == "kept" and before == states.DOUBTFUL:
        row.operation = None  # it could not be asked; the end of the session will
        row.save(update_fields=["operation"])
        return row
    if event == "accepted" or (before, event) == (states.DOUBTFUL, "cleared"):
        _replace_older(row)
    if event == "accepted" and _at_its_level(row).filter(pk__gt=row.pk, state__in=states.IN_FORCE).exists():
        _move(row, event, save=False)
        event = "replaced"  # the answers came in another order than the profiles
    _move(row, event)
    if row.state == states.DOUBTFUL:
        take_back(row)
    elif event in ("accepted", "cleared", "unknown"):
        note_change(row.charge_point_id, row.connector_id)
    return row


def give_up(row: ChargePointProfile) -> None:
    """Stop waiting for a profile that a partner has been told is REJECTED: if it gets there, it goes again."""
    if row.state == states.ASKED:
        _move(row, "lost")
        take_back(row)


def take_back(row: ChargePointProfile) -> None:
    """Have a profile removed that may be there although nobody wants it any more."""
    try:
        with transaction.atomic():
            _ask_to_remove(row, asked_by=f"taking back profile {row.pk}", timeout=OPERATION_SECONDS)
    except calls.NotAsked as error:
        log.warning("profile %s cannot be taken back: %s", row.pk, error)


def end(row: Transaction) -> None:
    """Remove what was installed for a transaction that has ended; nobody is told of a session that is over."""
    profiles = ChargePointProfile.objects.select_for_update(of=("self",)).select_related("charge_point")
    for profile in profiles.filter(transaction=row, state__in=states.MAY_BE_THERE):
        _move(profile, "over")
        if profile.charge_point.online:
            take_back(profile)
    if row.session_id is not None:
        ActiveChargingProfile.objects.filter(session_id=row.session_id).delete()


def _ask_to_remove(row: ChargePointProfile, *, asked_by: str, timeout: float) -> None:
    number = ChargePointProfile.objects.filter(pk=row.pk).values_list("operation_id", flat=True).get()
    row.operation = calls.clear_profile(
        row.charge_point,
        profile_id=row.pk,
        asked_by=asked_by,
        key=f"profile {row.pk} after {number}",
        timeout=timeout,
    )
    row.save(update_fields=["operation", "state", "changed_at"])


def _move(row: ChargePointProfile, event: str, *, save: bool = True) -> None:
    row.state, row.changed_at = states.next_state(row.state, event), timezone.now()
    if save:
        row.save(update_fields=["state", "changed_at"])


def _at_its_level(row: ChargePointProfile) -> QuerySet[ChargePointProfile]:
    return ChargePointProfile.objects.filter(
        charge_point_id=row.charge_point_id,
        connector_id=row.connector_id,
        purpose=row.purpose,
        stack_level=row.stack_level,
    )


def _replace_older(row: ChargePointProfile) -> None:
    """Note that a charge point holds one profile of a purpose and stack level: the newest (OCPP 1.6, 3.13.2)."""
    older = _at_its_level(row).filter(pk__lt=row.pk, state__in=(*states.IN_FORCE, states.DOUBTFUL))
    older.update(state=states.REPLACED, changed_at=timezone.now())


# ---------------------------------------------------------------- what it can do


def _ability(charge_point: ChargePoint) -> SmartCharging | None:
    return SmartCharging.objects.filter(charge_point=charge_point).first()


def electrics_at(charge_point: ChargePoint, connector: int, row: Transaction | None = None) -> Electrics:
    """Return what a connector delivers at most; of the charge point as a whole, what all of them do."""
    if row is not None and row.snapshot:
        return charging_schedules.electrics_of(snapshots.read(row.snapshot).connector)
    rows = charge_point.evses.exclude(status="REMOVED").order_by("connector_id")
    if connector:
        rows = rows.filter(connector_id=connector)
    found = [charging_schedules.electrics_of(locations.first_connector(each)) for each in rows]
    if not found:
        return charging_schedules.electrics_of({})
    return Electrics(
        voltage=found[0].voltage,
        phases=found[0].phases,
        maximum_w=sum((each.maximum_w for each in found), Decimal(0)),
        maximum_a=sum((each.maximum_a for each in found), Decimal(0)),
        direct=any(each.direct for each in found),
    )


# ---------------------------------------------------------------- what is active


def succeeded(request: ChargingProfileRequest, row: ChargePointProfile) -> None:
    """Note that a Sender has put a profile with success: from now on it is told of every change (CHP-21, CHP-22)."""
    if row.transaction is None or row.transaction.stopped_at is not None or request.session_id is None:
        return
    electrics = electrics_at(row.charge_point, row.connector_id, row.transaction)
    told = {
        "platform_id": request.platform_id,
        "country_code": request.country_code,
        "party_id": request.party_id,
        "unit": row.schedule["asked_unit"],
    }
    known, created = ActiveChargingProfile.objects.select_for_update().get_or_create(
        session_id=request.session_id, defaults={**told, "document": ""}
    )
    if not created:
        ActiveChargingProfile.objects.filter(pk=known.pk).update(**told)
        known.refresh_from_db()
    _tell(known, row.transaction, electrics)


def note_change(charge_point_id: int, connector: int) -> None:
    """Tell the Senders whose sessions a changed profile concerns what is active now, if that is something else."""
    rows = (
        ActiveChargingProfile.objects.select_for_update(of=("self",))
        .select_related("session__transaction__charge_point")
        .filter(session__transaction__charge_point_id=charge_point_id, session__transaction__stopped_at=None)
    )
    if connector:
        rows = rows.filter(session__transaction__connector_id=connector)
    for known in rows.order_by("pk"):
        row = known.session.transaction
        _tell(known, row, electrics_at(row.charge_point, row.connector_id, row))


def _tell(known: ActiveChargingProfile, row: Transaction, electrics: Electrics) -> None:
    now = timezone.now().replace(microsecond=0)
    steps = active_profiles.timeline(_layers(row), electrics, known.unit, now)
    if known.document and active_profiles.steps_of(known.document, now) == (known.unit, steps):
        return
    known.document, known.changed_at = active_profiles.text_of(steps, known.unit), now
    known.save(update_fields=["document", "changed_at"])
    session = known.session
    outbox.mark(
        [
            outbox.Recipient(
                known.platform_id,
                to=Address(known.country_code, known.party_id),
                sender=Address(session.country_code, session.party_id),
            )
        ],
        module=MODULE,
        source="cpo.ActiveChargingProfile",
        source_id=known.pk,
        path=outbox.path_of(session.object_id),
        order_key=f"profile {session.object_id}",
    )


def _layers(row: Transaction) -> list[Layer]:
    own = Q(purpose=TX, transaction=row) | (~Q(purpose=TX) & Q(connector_id__in=(0, row.connector_id)))
    rows = ChargePointProfile.objects.filter(own, charge_point_id=row.charge_point_id, state__in=states.IN_FORCE)
    return [
        Layer(each.purpose, each.stack_level, each.connector_id, _read(each.unit, each.schedule), row.started_at)
        for each in rows
    ]


def _kept(schedule: Schedule, asked_unit: str) -> dict[str, Any]:
    return {
        "start": None if schedule.start is None else format_datetime(schedule.start),
        "duration": schedule.duration,
        "least": None if schedule.least is None else str(schedule.least),
        "periods": [[start, str(limit)] for start, limit in schedule.periods],
        "asked_unit": asked_unit,
    }


def _read(unit: str, kept: dict[str, Any]) -> Schedule:
    start: datetime | None = None if kept["start"] is None else parse_datetime(kept["start"])
    return Schedule(
        unit=unit,
        periods=tuple((int(second), Decimal(limit)) for second, limit in kept["periods"]),
        start=start,
        duration=kept["duration"],
        least=None if kept["least"] is None else Decimal(kept["least"]),
    )
