"""The end of a transaction, of either OCPP version: stopped, held or complete, its Session and CDR (M-4, M-5).

Everything here runs in the caller's transaction, but for what an operator or time alone brings about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from cpo import metering, policy, stop_reasons
from cpo.models import ChargePointConnector, Transaction
from cpo.modules import chargingprofiles_installed as chargingprofiles
from cpo.modules import credits_operations as credits
from cpo.modules import locations_operations as locations
from cpo.modules import sessions_operations as sessions
from cpo.modules import snapshots, transactions_causes
from ocpi import clock
from ocpi.v2_2_1.sessions import SessionStatus

log = logging.getLogger(__name__)

SUPERSEDED_WAIT = timedelta(seconds=60)
SYNTHETIC_WAIT = timedelta(hours=24)
OFFLINE_WAIT = timedelta(days=7)  # a charge point that is away may still have its transaction (OCPP-48)
_AT_ONCE = 200


def stopped(
    row: Transaction,
    *,
    at: datetime,
    meter: Decimal,
    reason: str,
    suspect: bool = False,
    ahead: bool = False,
    trigger: str = "",
    whole: bool = True,
) -> None:
    """Store an end; complete the Session unless something is not plausible, or not `whole`: events are missing."""
    row.stopped_at, row.meter_stop, row.reason = max(at, row.started_at), meter, reason
    row.heard_at = clock.now()
    if whole:
        faults = [*_faults(row, at, meter, reason), *(["stop_ahead"] if ahead else [])]
        notes = transactions_causes.note(row, trigger=trigger)
        row.flags = list(dict.fromkeys([*row.flags, *faults, *notes, *(["clock_suspect"] if suspect else [])]))
        row.held = row.held or bool(faults)
    row.save()
    chargingprofiles.end(row)
    if row.session is None:
        return
    if row.held or not whole:
        log.warning("%s waits: %s", row, ", ".join(row.flags) if whole else "events are missing")
        sessions.update(row)
    else:
        complete(row)


def _faults(row: Transaction, at: datetime, meter: Decimal, reason: str) -> list[str]:
    """Return why an operator has to look at an end first."""
    seen = snapshots.read(row.snapshot) if row.snapshot else None
    rated = seen.rated_power if seen else None
    faults = list(metering.faults_of_stop(row.started_at, row.meter_start, at, meter, rated))
    if stop_reasons.is_emergency(reason):
        log.error("emergency stop at connector %s of %s: %s", row.connector_id, row.charge_point, reason)
        if stop_reasons.holds_cdr(reason, meter - row.meter_start):
            faults.append("emergency_stop")
    return faults


def complete(row: Transaction) -> None:
    """Complete the Session and make its CDR; what has no price is held, so that it is never lost."""
    if row.session is None:
        return
    metered = sessions.meter(row, snapshots.read(row.snapshot))
    if metered.priced is None:
        row.held = True
        row.flags = list(dict.fromkeys([*row.flags, "not_priceable"]))
        row.save(update_fields=["held", "flags"])
        log.error("%s has no price", row)
        return
    row.flags = list(dict.fromkeys([*row.flags, *metered.course.flags]))
    row.cdr_due_at = clock.now() + SYNTHETIC_WAIT if row.synthetic else None
    row.save(update_fields=["flags", "cdr_due_at"])
    if row.session.status == SessionStatus.ACTIVE:
        metered = sessions.end(row)
    if not row.synthetic:
        credits.settle(row, metered)


def count_in(row: Transaction) -> None:
    """Count in what has come after the end of a transaction: its CDR says the same in whatever order it was told.

    A Session that is COMPLETED stays as it is; a CDR that is out is corrected if it would say otherwise (OCPP-127).
    """
    session = row.session
    if session is None or row.held or row.cdr_due_at is not None:
        return
    if session.status == SessionStatus.ACTIVE:
        complete(row)
    elif session.status == SessionStatus.COMPLETED:
        because = f"More of transaction {row.transaction_id} came when the CDR was out."
        credits.settle(row, sessions.meter(row, snapshots.read(row.snapshot)), because=because)


def gives_way(row: Transaction) -> bool:
    """Say whether a real stop takes the place of ours; a CDR that is out is corrected then (OCPP-42)."""
    if not row.synthetic or (row.session is not None and row.session.status == SessionStatus.INVALID):
        return False
    row.synthetic, row.cdr_due_at = False, None
    return True


# ---------------------------------------------------------------- by an operator


def release(pk: int) -> None:
    """Complete the Session of a held transaction: an operator has looked at it (OCPP-45)."""
    with transaction.atomic():
        row = locked(pk)
        if row.held and row.stopped_at is not None:
            row.held, row.gap_since = False, None
            row.save(update_fields=["held", "gap_since"])
            complete(row)


def discard(pk: int) -> None:
    """Make the Session of a held transaction INVALID: it will not be billed."""
    with transaction.atomic():
        row = locked(pk)
        if row.held and row.session is not None:
            row.held, row.gap_since = False, None
            row.save(update_fields=["held", "gap_since"])
            sessions.end(row, "discard")


# ---------------------------------------------------------------- by time


def close(pk: int) -> bool:
    """Stop an open transaction with its last reading; its real stop takes the place of ours if it still comes."""
    with transaction.atomic():
        return _close_open(locked(pk))


def close_superseded() -> int:
    """Stop transactions whose real stop has not come, with their last reading; return how many (OCPP-41)."""
    due = Transaction.objects.filter(stopped_at=None, superseded_at__lte=clock.now() - SUPERSEDED_WAIT)
    pks = list(due.values_list("pk", flat=True)[:_AT_ONCE])
    for pk in pks:
        close(pk)
    return len(pks)


def close_stale() -> int:
    """Stop transactions that nothing more is heard of, with their last reading; return how many (OCPP-48).

    Those of a connected charge point whose connector is free or broken, and after a week those of one that is away.
    """
    now = clock.now()
    silent = Q(heard_at__lte=now - timedelta(hours=policy.stale_hours())) | Q(
        heard_at=None, created_at__lte=now - timedelta(hours=policy.stale_hours())
    )
    away = Q(charge_point__online=False, charge_point__last_seen_at__lte=now - OFFLINE_WAIT)
    rows = Transaction.objects.filter(silent, stopped_at=None, superseded_at=None)
    due = [
        pk
        for pk, charge_point_id, connector_id in rows.filter(Q(charge_point__online=True) | away)
        .order_by("id")
        .values_list("pk", "charge_point_id", "connector_id")[: 5 * _AT_ONCE]
        if _is_over(charge_point_id, connector_id)
    ]
    away_too = list(rows.filter(away).values_list("pk", flat=True)[:_AT_ONCE])
    return _each([*due, *(pk for pk in away_too if pk not in due)], _close_stale)


def settle_due() -> int:
    """Make the CDRs that waited for a real stop; return how many were due."""
    due = Transaction.objects.filter(cdr_due_at__lte=clock.now())
    return _each(due.values_list("pk", flat=True), _settle)


def locked(pk: int) -> Transaction:
    """Return a transaction, kept for us until the end of the caller's transaction."""
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("session", "charge_point")
    return rows.get(pk=pk)


def _each(pks: Iterable[int], work: Callable[[Transaction], None]) -> int:
    found = list(pks)[:_AT_ONCE]
    for pk in found:
        with transaction.atomic():
            work(locked(pk))
    return len(found)


def _is_over(charge_point_id: int, connector_id: int) -> bool:
    status = ChargePointConnector.objects.filter(
        charge_point_id=charge_point_id, connector_id=connector_id, status__in=("Available", "Faulted")
    )
    return status.exists()


def _close_stale(row: Transaction) -> None:
    if row.stopped_at is None:
        log.error("%s of %s is stale: closed", row, row.charge_point)
        row.flags = [*row.flags, "stale"]
        _close_open(row)


def _close_open(row: Transaction) -> bool:
    if row.stopped_at is not None:
        return False
    last = row.readings.filter(flag="", register_wh__isnull=False).order_by("-at", "-id").first()
    at, meter = (row.started_at, row.meter_start) if last is None else (last.at, last.register_wh)
    row.synthetic, row.gap_since = True, None
    stopped(row, at=at, meter=meter or row.meter_start, reason="Other")
    locations.refresh(row.charge_point_id, row.connector_id)
    return True


def _settle(row: Transaction) -> None:
    if row.cdr_due_at is not None:
        row.cdr_due_at = None
        row.save(update_fields=["cdr_due_at"])
        credits.settle(row, sessions.meter(row, snapshots.read(row.snapshot)))
