"""The charging profiles at our charge points: given, taken back (OCPP-89); `chargingprofiles_active` says what follows.

A row of ChargePointProfile is what we asked a charge point to hold. If nobody knows whether it did (no answer, lost
line), it is DOUBTFUL and the charge point is asked to remove that very id: from the answer we know what it has.
Everything here runs in the caller's transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from cpo import charging_schedules
from cpo import chargingprofile_states as states
from cpo.charging_schedules import Schedule
from cpo.gateway.operation_states import ENDED
from cpo.models import (
    ActiveChargingProfile,
    ChargePoint,
    ChargePointProfile,
    Transaction,
)
from cpo.modules import chargingprofiles_active as active
from cpo.modules import smart_charging
from cpo.ocpp import calls, events
from ocpi import clock

log = logging.getLogger(__name__)

OPERATION_SECONDS = 30.0
_RETURNS = timedelta(days=1)  # a charge point that is away that long has lost its transactions, too
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
    able = smart_charging.of(wanted.charge_point)
    level = wanted.level if able is None or able.max_stack_level is None else min(wanted.level, able.max_stack_level)
    schedule = charging_schedules.fitted(
        wanted.schedule,
        active.electrics_at(wanted.charge_point, wanted.connector, wanted.transaction),
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
            schedule=active.kept(schedule, wanted.schedule.unit),
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
                transaction_id=calls.number_of(wanted.transaction) if wanted.transaction else None,
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


def changes_of(row: Transaction, end: datetime) -> list[datetime]:
    """Return when what limits a transaction changed while it went on, by time and in whole seconds (M-10)."""
    rows = ChargePointProfile.objects.filter(
        Q(transaction=row)
        | Q(transaction=None, charge_point_id=row.charge_point_id, connector_id__in=(0, row.connector_id)),
        installed_at__isnull=False,
    )
    found = {
        at.replace(microsecond=0)
        for moments in rows.values_list("installed_at", "gone_at")
        for at in moments
        if at is not None and row.started_at < at < end
    }
    return sorted(found)


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
    _note_moment(row, event)
    if row.state == states.DOUBTFUL:
        take_back(row)
    elif event in ("accepted", "cleared", "unknown"):
        active.note_change(row.charge_point_id, row.connector_id)
    return row


def give_up(row: ChargePointProfile) -> None:
    """Stop waiting for a profile that a partner has been told is REJECTED: if it gets there, it goes again."""
    if row.state == states.ASKED:
        _move(row, "lost")
        take_back(row)


def take_back(row: ChargePointProfile) -> None:
    """Have a profile removed that may be there although nobody wants it any more, even if it can only be later."""
    try:
        with transaction.atomic():
            _ask_to_remove(row, asked_by=f"taking back profile {row.pk}", until=clock.now() + _RETURNS)
    except calls.NotAsked as error:
        log.warning("profile %s cannot be taken back: %s", row.pk, error)


def end(row: Transaction) -> None:
    """Remove what was installed for a transaction that has ended; nobody is told of a session that is over."""
    profiles = ChargePointProfile.objects.select_for_update(of=("self",)).select_related("charge_point")
    for profile in profiles.filter(transaction=row, state__in=states.MAY_BE_THERE):
        _move(profile, "over")
        take_back(profile)
    if row.session_id is not None:
        ActiveChargingProfile.objects.filter(session_id=row.session_id).delete()


def _ask_to_remove(
    row: ChargePointProfile, *, asked_by: str, timeout: float = OPERATION_SECONDS, until: datetime | None = None
) -> None:
    number = ChargePointProfile.objects.filter(pk=row.pk).values_list("operation_id", flat=True).get()
    row.operation = calls.clear_profile(
        row.charge_point,
        profile_id=row.pk,
        asked_by=asked_by,
        key=f"profile {row.pk} after {number}",
        timeout=timeout,
        until=until,
    )
    row.save(update_fields=["operation", "state", "changed_at"])


def _move(row: ChargePointProfile, event: str, *, save: bool = True) -> None:
    row.state, row.changed_at = states.next_state(row.state, event), clock.now()
    if save:
        row.save(update_fields=["state", "changed_at"])


def _note_moment(row: ChargePointProfile, event: str) -> None:
    """Note when a profile came into force or went, for the ChargingPeriods of the sessions it limits (M-10)."""
    at = clock.now() if row.operation is None or row.operation.ended_at is None else row.operation.ended_at
    if event == "accepted":
        row.installed_at = at
    elif event in ("cleared", "unknown") and row.installed_at is not None:
        row.gone_at = at
    row.save(update_fields=["installed_at", "gone_at"])


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
    older.update(state=states.REPLACED, changed_at=clock.now())
