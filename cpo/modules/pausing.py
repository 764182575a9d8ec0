"""A running session paused and resumed by whoever operates the charge point: a charging profile of 0 for it, and back.

The profile lies one stack level above partners' profiles, so that a partner's is in force again afterwards; where the
charge point has no level above, it takes the partner's place and gives it back. The session stays ACTIVE: nothing is
drawn, time goes on. How far it has come is read off the profile itself (`state_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.db import transaction

from cpo import chargingprofile_states as states
from cpo import policy
from cpo.active_profiles import TX
from cpo.charging_schedules import Schedule, W
from cpo.models import ChargePointProfile, Session, Transaction
from cpo.modules import chargingprofiles_active as active
from cpo.modules import chargingprofiles_installed as installed
from cpo.modules import smart_charging
from cpo.modules.chargingprofiles_installed import Origin, Wanted
from cpo.ocpp import calls


class PauseState(StrEnum):
    """How far a pause has come."""

    RUNNING = "RUNNING"  # not paused, or not any more
    PAUSING = "PAUSING"  # the charge point is being asked
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    REFUSED = "REFUSED"  # the charge point has refused the last pause, or nobody knows: it goes on charging


_STATES = {
    states.ASKED: PauseState.PAUSING,
    states.INSTALLED: PauseState.PAUSED,
    states.CLEARING: PauseState.RESUMING,
    states.DOUBTFUL: PauseState.REFUSED,
    states.REJECTED: PauseState.REFUSED,
}


class NotNow(Exception):
    """The session cannot be paused or resumed now; the text says why."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Where a session stands; `why` is the charge point's own word after a refusal."""

    state: PauseState
    since: datetime | None = None
    by: str = ""
    why: str = ""


def state_of(session: Session) -> Pause:
    """Return whether a session is paused; one that is over is not."""
    row = _newest(session)
    if row is None:
        return Pause(PauseState.RUNNING)
    why = _why(row) if row.state in (states.REJECTED, states.DOUBTFUL) else ""
    return Pause(_STATES.get(row.state, PauseState.RUNNING), row.changed_at, row.asked_by, why)


def pause(session: Session, *, by: str) -> Pause:
    """Ask the charge point of a running session to give nothing until `resume`.

    :raises NotNow: if the session does not run, is paused already, or its charge point is away or takes no profiles.
    """
    with transaction.atomic():
        row = _running(session)
        if state_of(session).state in (PauseState.PAUSING, PauseState.PAUSED, PauseState.RESUMING):
            raise NotNow("the session is paused, or is just being paused or resumed")
        able = smart_charging.of(row.charge_point)
        if able is not None and not able.supported:
            raise NotNow("the charge point takes no charging profiles")
        wanted = Wanted(
            charge_point=row.charge_point,
            connector=row.connector_id,
            purpose=TX,
            origin=Origin.PAUSE,
            level=policy.profile_stack_level() + 1,
            schedule=Schedule(W, ((0, Decimal(0)),)),
            asked_by=by,
            transaction=row,
        )
        try:
            installed.put(wanted)
        except calls.NotAsked as error:
            raise NotNow(f"the charge point cannot be asked: {error}") from error
    return state_of(session)


def resume(session: Session, *, by: str) -> Pause:
    """Ask the charge point of a paused session to charge on.

    :raises NotNow: if the session is not paused, or its charge point is away.
    """
    with transaction.atomic():
        _running(session)
        row = _newest(session, lock=True)
        if row is None or row.state != states.INSTALLED:
            raise NotNow("the session is not paused")
        try:
            installed.clear(row, asked_by=by)
        except calls.NotAsked as error:
            raise NotNow(f"the charge point cannot be asked: {error}") from error
    return state_of(session)


def give_back(row: ChargePointProfile) -> None:
    """Give a partner's profile back whose place a pause had taken that is over now, in the caller's transaction."""
    if row.origin != Origin.PAUSE or row.state != states.REMOVED:
        return
    if row.transaction is None or row.transaction.stopped_at is not None:
        return
    of_partner = ChargePointProfile.objects.select_for_update(of=("self",)).filter(
        transaction=row.transaction, origin=Origin.PARTNER, pk__lt=row.pk, stack_level=row.stack_level
    )
    lost = of_partner.order_by("-pk").first()
    later = ChargePointProfile.objects.filter(transaction=row.transaction, origin=Origin.PARTNER, pk__gt=row.pk)
    if lost is None or lost.state != states.REPLACED or later.exists():
        return
    installed.put(
        Wanted(
            charge_point=row.charge_point,
            connector=lost.connector_id,
            purpose=TX,
            origin=Origin.PARTNER,
            level=lost.stack_level,
            schedule=active.read(lost.unit, lost.schedule),
            asked_by=lost.asked_by,
            transaction=row.transaction,
        )
    )


def _running(session: Session) -> Transaction:
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("charge_point")
    row = rows.filter(session=session, stopped_at=None).first()
    if row is None:
        raise NotNow("the session does not run")
    if not row.charge_point.online:
        raise NotNow(f"{row.charge_point.identity} is not connected")
    return row


def _newest(session: Session, *, lock: bool = False) -> ChargePointProfile | None:
    rows = ChargePointProfile.objects.filter(transaction__session=session, origin=Origin.PAUSE)
    rows = rows.select_related("operation", "charge_point")
    return (rows.select_for_update(of=("self",)) if lock else rows).order_by("-pk").first()


def _why(row: ChargePointProfile) -> str:
    """Return what a charge point has said to a pause, or how the asking ended."""
    if row.state == states.DOUBTFUL or row.operation is None:
        return "no answer: the profile is being taken back"
    ending = calls.ending(row.operation)
    return ending.error or ending.status or ending.state
